//! The text of a file of sysctl.d(5): lines `key = value`, comments, and blank lines.

use serde::{Deserialize, Serialize};

use crate::resources::sysctl::key::Key;
use crate::sys::fs::SavedBytes;

/// How a parameter was in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Was {
    /// In no line. `open`: the last line had no end.
    Absent { open: bool },
    /// In this line; of several, the last, which counts.
    Line(SavedBytes),
}

/// A line that sets a parameter.
struct Entry<'a> {
    key: Key,
    /// Where in the line the value begins and ends.
    value: std::ops::Range<usize>,
    line: &'a [u8],
}

impl Entry<'_> {
    fn value(&self) -> String {
        String::from_utf8_lossy(&self.line[self.value.clone()]).into_owned()
    }
}

fn lines(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// What a line sets; `None`: it is a comment, is blank, or excludes parameters (`-key`).
fn entry(line: &[u8]) -> Option<Entry<'_>> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(&line[..equals]).ok()?.trim();
    if name.starts_with(['#', ';']) {
        return None;
    }
    // With `-`, an error of this line counts for nothing.
    let name = name.strip_prefix('-').map_or(name, str::trim_start);
    let rest = &line[equals + 1..];
    let start = equals + 1 + (rest.len() - rest.trim_ascii_start().len());
    let value = rest.trim_ascii();
    // A value of blanks only ends where the line does.
    let start = if value.is_empty() { equals + 1 } else { start };
    Some(Entry { key: Key::of(name), value: start..start + value.len(), line })
}

/// The line that counts for a parameter: the last one, by its number.
fn last<'a>(text: &'a [u8], key: &Key) -> Option<(usize, Entry<'a>)> {
    let all = lines(text).enumerate().filter_map(|(at, line)| Some((at, entry(line)?)));
    all.filter(|(_, entry)| entry.key == *key).last()
}

/// The value that the text sets for a parameter.
pub(super) fn value(text: &[u8], key: &Key) -> Option<String> {
    last(text, key).map(|(_, entry)| entry.value())
}

/// The text with this value of the parameter: in the line that counts, or else in a new last line, in which the
/// parameter has this name.
pub(super) fn with(text: &[u8], key: &Key, name: &str, value: &str) -> Vec<u8> {
    let Some((at, entry)) = last(text, key) else {
        let mut all = text.to_vec();
        if !all.is_empty() && !all.ends_with(b"\n") {
            all.push(b'\n');
        }
        all.extend_from_slice(format!("{name} = {value}\n").as_bytes());
        return all;
    };
    let line = [&entry.line[..entry.value.start], value.as_bytes(), &entry.line[entry.value.end..]].concat();
    with_line(text, at, Some(&line))
}

/// The text with another line in the place of one, or without it.
fn with_line(text: &[u8], at: usize, new: Option<&[u8]>) -> Vec<u8> {
    let all = lines(text).enumerate();
    all.flat_map(|(number, line)| if number == at { new.unwrap_or_default() } else { line }).copied().collect()
}

/// How the parameter is in the text.
pub(super) fn was(text: &[u8], key: &Key) -> Was {
    match last(text, key) {
        Some((_, entry)) => Was::Line(SavedBytes::of(entry.line)),
        None => Was::Absent { open: !text.is_empty() && !text.ends_with(b"\n") },
    }
}

/// The text with the parameter as it was; all other lines stay.
pub(super) fn restored(text: &[u8], key: &Key, was: &Was) -> Vec<u8> {
    let found = last(text, key).map(|(at, _)| at);
    match (was, found) {
        (Was::Absent { .. }, None) => text.to_vec(),
        (Was::Absent { open }, Some(at)) => {
            let is_last = at + 1 == lines(text).count();
            let mut rest = with_line(text, at, None);
            if *open && is_last && rest.ends_with(b"\n") {
                rest.pop();
            }
            rest
        }
        (Was::Line(line), Some(at)) => {
            let is_last = at + 1 == lines(text).count();
            let mut line = line.bytes().to_vec();
            if !is_last && !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            with_line(text, at, Some(&line))
        }
        (Was::Line(line), None) => {
            let close: &[u8] = if text.is_empty() || text.ends_with(b"\n") { b"" } else { b"\n" };
            [text, close, line.bytes()].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key::of("net.ipv4.ip_forward")
    }

    fn edited(text: &str) -> String {
        String::from_utf8(with(text.as_bytes(), &key(), "net.ipv4.ip_forward", "1")).unwrap()
    }

    #[test]
    fn the_value_changes_and_every_other_byte_stays() {
        for (before, after) in [
            ("", "net.ipv4.ip_forward = 1\n"),
            ("# a\n\nvm.x=1", "# a\n\nvm.x=1\nnet.ipv4.ip_forward = 1\n"),
            ("net.ipv4.ip_forward=0", "net.ipv4.ip_forward=1"),
            ("  net/ipv4/ip_forward\t= 0  \r\nvm.x = 2\n", "  net/ipv4/ip_forward\t= 1  \r\nvm.x = 2\n"),
            ("- net.ipv4.ip_forward = 0 \n", "- net.ipv4.ip_forward = 1 \n"),
            (
                "net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 2\n",
                "net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n",
            ),
            ("net.ipv4.ip_forward =\n", "net.ipv4.ip_forward =1\n"),
            ("#net.ipv4.ip_forward = 0\n", "#net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n"),
            ("; net.ipv4.ip_forward = 0\n", "; net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward = 1\n"),
            ("-net.ipv4.ip_forward\n", "-net.ipv4.ip_forward\nnet.ipv4.ip_forward = 1\n"),
        ] {
            assert_eq!(edited(before), after, "{before:?}");
            assert_eq!(value(after.as_bytes(), &key()).as_deref(), Some("1"), "{after:?}");
        }
    }

    /// Texts in which lines of the parameter, other lines and ends meet often.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("net.ipv4.ip_forward = 0"),
            Just("net/ipv4/ip_forward=1"),
            Just("vm.x = 1"),
            Just("# c"),
            Just("\n"),
            Just("\n"),
            Just(" "),
            Just("\r\n"),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn a_text_is_as_before_when_the_parameter_is_restored(text in texts()) {
            let changed = with(&text, &key(), "net.ipv4.ip_forward", "5");
            prop_assert_eq!(value(&changed, &key()), Some("5".to_owned()));
            prop_assert_eq!(with(&changed, &key(), "net.ipv4.ip_forward", "5"), changed.clone());
            let was = was(&text, &key());
            prop_assert_eq!(restored(&changed, &key(), &was), text.clone());
            prop_assert_eq!(restored(&text, &key(), &was), text);
        }
    }
}
