//! What the fields of accounts may hold: a wrong one would break a file of accounts, or be taken as an option.

use crate::resource::FieldProblem;

/// The longest name, in bytes: the limit of the tools.
const NAME_BYTES_MAX: usize = 32;

/// What is wrong with the name of a user or a group in this field.
pub(super) fn wrong_name(field: &str, name: &str) -> Option<FieldProblem> {
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("has {} bytes", name.len())
    } else if name.starts_with(['-', '+', '~']) || [".", ".."].contains(&name) {
        format!("`{}` can't be the name of an account", name.escape_debug())
    } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("`{name}` would be taken as a number")
    } else {
        let is_wrong = |c: char| c.is_whitespace() || c.is_control() || ":,/\\\"'".contains(c);
        format!("holds {:?}", name.chars().find(|c| is_wrong(*c))?)
    };
    let remedy = "give a name of at most 32 bytes, such as `www-data`";
    Some(FieldProblem::new(field, problem, remedy))
}

/// What is wrong with a number of a user or a group.
pub(super) fn wrong_id(field: &str, id: Option<u32>) -> Option<FieldProblem> {
    let remedy = format!("0 to {} are", u32::MAX - 1);
    (id == Some(u32::MAX))
        .then(|| FieldProblem::new(field, format!("{} is not the number of an account", u32::MAX), remedy))
}

/// What is wrong with a text that becomes a part of a line.
pub(super) fn wrong_text(field: &str, text: &str) -> Option<FieldProblem> {
    let found = text.chars().find(|c| *c == ':' || c.is_control())?;
    Some(FieldProblem::new(field, format!("holds {found:?}, which a line of `/etc/passwd` can't"), "leave it out"))
}

/// What is wrong with the hash of a password. The problem does not show it.
pub(super) fn wrong_hash(hash: &str) -> Option<FieldProblem> {
    let (problem, remedy) = if hash.is_empty() {
        ("is empty: any password would be right", "give a hash, or `*`")
    } else if hash.starts_with('!') {
        ("begins with `!`", "leave that out, and set `locked`")
    } else if hash.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control()) {
        ("is not a hash", "give one of `crypt(5)`, such as that of a `password` resource, or `*`")
    } else {
        return None;
    };
    Some(FieldProblem::new("password", problem, remedy))
}
