//! The rules of words: names that tell nothing, and phrases that plain technical English does not have.

use std::collections::BTreeMap;

use super::rules::Problem;

/// Words that the name of a type or a module may not have: they fit anything, or mean something else here.
const VAGUE: &[&str] = &[
    "catalog",
    "controller",
    "core",
    "handler",
    "helper",
    "magic",
    "manager",
    "manifest",
    "misc",
    "monitor",
    "poke",
    "service",
    "services",
    "stale",
    "trigger",
    "util",
    "utils",
];

/// Phrases of comments, documents and messages, and what to write in place of each.
const PHRASES: &[(&str, &str)] = &[
    ("said", "printed, reported"),
    ("says", "prints, reports, means"),
    ("told", "reported, notified"),
    ("whoever", "the caller, the resource that"),
    ("nobody", "no resource, no caller"),
    ("somebody", "another program, another resource"),
    ("anybody", "any user, any program"),
    ("so many", "at most, at least"),
    ("is to be", "must be, will be"),
    ("are to be", "must be, will be"),
    ("anew", "again"),
    ("of old", "formerly"),
    ("goes on", "continues"),
    ("let go", "dropped, released"),
];

/// Comments that consist of one of these have no content.
const EMPTY: &[&str] = &["How", "It", "None", "Them", "What", "When", "Where", "Which", "Who", "Why"];

/// A comment line is not longer than this many characters.
const COLUMNS_MAX: usize = 120;

/// The names of types and modules that have a vague word in them, each with what is wrong.
pub fn names(items: &[(usize, String)]) -> Vec<(String, Problem)> {
    let vague = |name: &str| parts(name).into_iter().find(|part| VAGUE.contains(&part.as_str()));
    let problem = |(line, name): &(usize, String)| {
        let what = format!("`{name}`: `{}` tells nothing, name what it is", vague(name)?);
        Some((name.clone(), Problem { line: *line, what }))
    };
    items.iter().filter_map(problem).collect()
}

/// `SyncBatch` and `sync_batch` have the same words.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && parts.last().is_some_and(|part| !part.is_empty())) {
            parts.push(String::new());
        }
        if let (true, Some(part)) = (c != '_', parts.last_mut()) {
            part.extend(c.to_lowercase());
        }
    }
    parts
}

/// The comment on a line of Rust, if there is one; slashes in a text that look like one do no harm.
fn comment(line: &str) -> Option<&str> {
    let start = if line.trim_start().starts_with("//") { line.find("//") } else { line.find(" // ").map(|at| at + 1) };
    start.map(|start| &line[start..])
}

/// Everything about the prose of a file that is not plain. `rust`: only comments are prose.
pub fn prose(text: &str, rust: bool) -> Vec<Problem> {
    let mut bad = vec![];
    for (line, whole) in (1..).zip(text.lines()) {
        let prose = if rust { comment(whole) } else { Some(whole) };
        let Some(prose) = prose else { continue };
        let mut say = |what: String| bad.push(Problem { line, what });
        let lower = prose.to_lowercase();
        for (phrase, instead) in PHRASES {
            if holds(&lower, phrase) {
                say(format!("\"{phrase}\": write {instead}, or name the noun"));
            }
        }
        if !rust {
            continue;
        }
        let bare = prose.trim_start_matches('/').trim_start_matches('!').trim().trim_end_matches('.');
        if EMPTY.contains(&bare) {
            say(format!("\"{bare}.\" explains nothing: name the noun"));
        }
        if whole.chars().count() > COLUMNS_MAX {
            say(format!("a comment beyond column {COLUMNS_MAX}"));
        }
    }
    bad
}

/// Everything about the texts in the code of a program that is not plain. A text without a blank is a word of some
/// language, and one that begins with `#!` is a script.
pub fn messages(texts: &[(usize, String)]) -> Vec<Problem> {
    let is_prose = |text: &str| text.trim().contains(char::is_whitespace) && !text.starts_with("#!");
    let mut bad = vec![];
    for (line, text) in texts.iter().filter(|(_, text)| is_prose(text)) {
        // The name of a value in braces is no word of the message.
        let parts = text.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after));
        let lower = parts.collect::<String>().to_lowercase();
        for (phrase, instead) in PHRASES.iter().filter(|(phrase, _)| holds(&lower, phrase)) {
            bad.push(Problem {
                line: *line,
                what: format!("a message with \"{phrase}\": write {instead}, or name the noun"),
            });
        }
    }
    bad
}

/// Statements about modules that do not end with how they are kept: `*(type)*`, `*(tidy)*`, `*(sim: file)*`, `*(test:
/// file)*` or `*(review)*`. Reads the items of lists below `## The modules`.
pub fn untagged(text: &str) -> Vec<Problem> {
    let (mut inside, mut bad) = (false, vec![]);
    let mut item: Option<(usize, String)> = None;
    let end = |item: Option<(usize, String)>, bad: &mut Vec<Problem>| {
        let tagged = |text: &str| text.trim_end_matches('.').ends_with(")*");
        if let Some((line, _)) = item.filter(|(_, text)| !tagged(text.trim_end())) {
            bad.push(Problem {
                line,
                what: "how is it kept? End it with *(type)*, *(tidy)*, *(sim: …)*, *(test: …)* or *(review)*".into(),
            });
        }
    };
    for (line, text) in (1..).zip(text.lines().chain(["## the end"])) {
        let is_item = text.starts_with("- ");
        if is_item || text.is_empty() || text.starts_with('#') {
            end(item.take(), &mut bad);
        }
        if text.starts_with("## ") {
            inside = text == "## The modules";
        }
        match &mut item {
            Some((_, whole)) => whole.push_str(text),
            None if inside && is_item => item = Some((line, text.to_owned())),
            None => {}
        }
    }
    bad
}

/// Whether a text holds a phrase as whole words.
fn holds(text: &str, phrase: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(phrase).any(|(at, found)| {
        !is_word(text[..at].chars().next_back()) && !is_word(text[at + found.len()..].chars().next())
    })
}

/// Waivers from their text: a line a file, `path count`.
pub fn waivers(text: &str) -> BTreeMap<&str, usize> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(path, count)| Some((path, count.parse().ok()?)))
        .collect()
}

/// What is over its waiver; and waivers that no file needs any more. A waiver is an upper bound, which only shrinks.
pub fn over(found: &BTreeMap<String, Vec<Problem>>, waived: &BTreeMap<&str, usize>) -> Vec<String> {
    let mut bad = vec![];
    for (path, problems) in found {
        let allowed = waived.get(path.as_str()).copied().unwrap_or_default();
        if problems.len() > allowed {
            bad.extend(problems.iter().map(|problem| format!("{path}:{problem}")));
            if allowed > 0 {
                bad.push(format!(
                    "{path}: {} of these, {allowed} are waived: mend as many as you wrote",
                    problems.len()
                ));
            }
        }
    }
    let clean = waived.keys().filter(|path| found.get(**path).is_none_or(Vec::is_empty));
    bad.extend(clean.map(|path| format!("{path}: waived, but its prose is plain: take it off the list")));
    bad
}
