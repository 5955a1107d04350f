//! Patterns of command lines.

/// Whether the text has the form of the pattern, in which each `*` stands for any text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether a command line has the form of the pattern. A program without a `/` in the pattern is found by any path, and
/// ` *` at the end also stands for no argument at all.
pub(super) fn is_of(pattern: &str, argv: &[String]) -> bool {
    let mut argv = argv.to_vec();
    if let Some(program) = argv.first_mut().filter(|_| !program_of(pattern).contains('/')) {
        *program = name_of(program).to_owned();
    }
    let line = argv.join(" ");
    matches(pattern, &line) || pattern.strip_suffix(" *").is_some_and(|pattern| matches(pattern, &line))
}

/// The program in a pattern.
pub(super) fn program_of(pattern: &str) -> &str {
    pattern.split(' ').next().unwrap_or_default()
}

/// The last component of a path.
pub(super) fn name_of(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}
