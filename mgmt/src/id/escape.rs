//! Makes foreign text safe to show: names, contents and messages from outside must not move the cursor, colour a
//! screen, or look like other text.

use std::borrow::Cow;

/// Whether a character is invisible, or changes how others are shown: control, direction, zero width, line separators.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with an escape for each hidden character except line ends and tabs: `\r`, `\u{1b}`, `\u{202e}`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_hidden(c) && c != '\n' && c != '\t')
}

/// The text as one line: like [`harmless`], with escapes for line ends and tabs too.
pub fn in_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// JSON text with an escape for each hidden character that stands in its strings raw, which JSON permits for most.
pub fn in_json(text: &str) -> Cow<'_, str> {
    let is_raw = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(is_raw) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_raw(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The first `chars_max` characters of a text as one line; `…` stands for the rest.
pub fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", in_one_line(&text[..end])),
        None => in_one_line(text).into_owned(),
    }
}

/// Like [`harmless`], but the colours and weights that a program gives its text are kept: `ESC [ numbers m`.
pub fn harmless_in_colour(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, after) = rest.split_at(at);
        let numbers = after[2..].find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(after.len() - 2);
        let is_colour = after[2 + numbers..].starts_with('m');
        let end = if is_colour { 3 + numbers } else { 2 };
        out.push_str(&harmless(before));
        out.push_str(&if is_colour { Cow::Borrowed(&after[..end]) } else { harmless(&after[..end]) });
        rest = &after[end..];
    }
    if out.is_empty() {
        return harmless(rest);
    }
    out.push_str(&harmless(rest));
    Cow::Owned(out)
}

fn escaped(text: &str, is_wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_wanted) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_wanted(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_text_is_escaped() {
        assert_eq!(harmless("two\n\tlines: größe 日本"), "two\n\tlines: größe 日本");
        assert_eq!(harmless("\u{feff}a\rb\u{1b}[2J"), "\\u{feff}a\\rb\\u{1b}[2J");
        assert_eq!(in_one_line("a\nb\u{202e}c\u{2028}d\u{9b}m\u{7f}"), "a\\nb\\u{202e}c\\u{2028}d\\u{9b}m\\u{7f}");
    }

    #[test]
    fn json_has_escapes_of_its_own_and_means_the_same() {
        let value = serde_json::json!({ "a\u{202e}": "\u{9b}b\u{2028}\u{e0041}\n" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = in_json(&text);
        assert_eq!(shown, "{\n  \"a\\u202e\": \"\\u009bb\\u2028\\udb40\\udc41\\n\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn a_shortened_text_is_one_line_of_at_most_so_many_characters() {
        assert_eq!(shortened("größe\n", 6), "größe\\n");
        assert_eq!(shortened("größe\n", 5), "größe…");
        assert_eq!(shortened("", 0), "");
    }

    #[test]
    fn colours_stay_and_nothing_else_that_a_terminal_obeys() {
        let text = "\u{1b}[1;31mred\u{1b}[0m";
        assert_eq!(harmless_in_colour(text), text);
        assert_eq!(harmless_in_colour("a\u{1b}[2Jb\u{1b}]0;title\u{7}"), "a\\u{1b}[2Jb\\u{1b}]0;title\\u{7}");
        assert_eq!(harmless_in_colour("\u{1b}[\u{1b}[31m\u{1b}["), "\\u{1b}[\u{1b}[31m\\u{1b}[");
        assert_eq!(harmless_in_colour("\u{1b}[31"), "\\u{1b}[31");
    }
}
