//! Patterns of names, asked of a running engine: they select what an obvious reading of them selects.
#![no_main]

mod engine;

use engine::Running;
use libfuzzer_sys::fuzz_target;
use mgmt::runtime::control::{Ask, Reply};

const NAMES: &[&str] = &["a", "aa", "ab", "aab", "abab", "b*", "a?b", "[", "a]", "é", "/etc/a.conf", "file[a]", "*"];

/// Whether a text fits a pattern, tried in all ways.
fn fits(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|taken| fits(rest, &text[taken..])),
        ['?', rest @ ..] => !text.is_empty() && fits(rest, &text[1..]),
        [one, rest @ ..] => text.first() == Some(one) && fits(rest, &text[1..]),
    }
}

/// The names that a pattern selects.
fn selected(pattern: &str) -> Vec<String> {
    let parts = pattern.strip_suffix(']').and_then(|rest| rest.split_once('['));
    let (kind, name) = match parts {
        Some((kind, name)) => (Some(kind.to_ascii_lowercase()), name),
        None => (None, pattern),
    };
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    let of_kind = |like: bool| {
        kind.as_deref().is_none_or(|kind| if like { fits(&chars(kind), &chars("noop")) } else { kind == "noop" })
    };
    if of_kind(false) && NAMES.contains(&name) {
        return vec![name.to_owned()];
    }
    NAMES.iter().filter(|one| of_kind(true) && fits(&chars(name), &chars(one))).map(|one| (*one).to_owned()).collect()
}

fuzz_target!(|pattern: &str| {
    // Ways grow with each star.
    if pattern.len() > 40 || pattern.matches('*').count() > 6 || pattern.contains('\n') {
        return;
    }
    let mut expected = selected(pattern);
    expected.sort_unstable();
    let mut found: Vec<String> = Running::with(NAMES, |running| {
        running
            .ask(Ask::Names { names: vec![pattern.to_owned()], kind: None })
            .into_iter()
            .filter_map(|reply| match reply {
                Reply::Name { id } => Some(id.name.to_string()),
                Reply::Done { .. } | Reply::Refused { .. } => None,
                other => panic!("{other:?}"),
            })
            .collect()
    });
    found.sort_unstable();
    assert_eq!(found, expected, "{pattern:?}");
});
