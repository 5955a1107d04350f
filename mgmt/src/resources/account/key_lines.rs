//! The lines of a file of keys: one key is set or removed, and no other byte changes.

use std::borrow::Cow;

use crate::resource::Change;
use crate::resources::account::key_line::KeyLine;

/// A key that must be in the file, or not. `None`: as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyWanted {
    pub(super) algorithm: String,
    pub(super) body: String,
    pub(super) options: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) is_absent: bool,
}

impl KeyWanted {
    /// The key as it must be, in place of this one.
    fn instead_of(&self, found: Option<&KeyLine>) -> KeyLine {
        let or =
            |wanted: &Option<String>, found: Option<&String>| wanted.clone().or(found.cloned()).unwrap_or_default();
        KeyLine {
            options: or(&self.options, found.map(|found| &found.options)),
            algorithm: self.algorithm.clone(),
            body: self.body.clone(),
            comment: or(&self.comment, found.map(|found| &found.comment)),
        }
    }

    fn is(&self, key: &KeyLine) -> bool {
        self.algorithm == key.algorithm && self.body == key.body
    }

    /// All lines of the text that hold the key.
    pub(super) fn found(&self, text: &[u8]) -> Vec<KeyLine> {
        lines(text).filter_map(key_of).filter(|key| self.is(key)).collect()
    }

    /// What must change in the text.
    pub(super) fn changes(&self, text: &[u8]) -> Vec<Change> {
        const NONE: &str = "none";
        let found = self.found(text);
        let wanted = self.instead_of(found.first());
        let mut changes = Vec::new();
        match (found.first(), self.is_absent) {
            (None, true) => {}
            (Some(_), true) => changes.push(Change::new("state", "exists", "absent")),
            (None, false) => changes.push(Change::new("state", "absent", "exists")),
            (Some(first), false) => {
                let mut differ = |field: &str, now: &str, wanted: &str| {
                    let or_none = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
                    changes.extend((now != wanted).then(|| Change::new(field, or_none(now), or_none(wanted))));
                };
                differ("options", &first.options, &wanted.options);
                differ("comment", &first.comment, &wanted.comment);
                if found.len() > 1 {
                    differ("lines with the key", &found.len().to_string(), "1");
                }
            }
        }
        changes
    }

    /// The text as it must be; `None`: it is so. The first line with the key counts for `sshd`: it gets the declared
    /// options and comment, and the others are removed, since they could have other options.
    pub(super) fn edited(&self, text: &[u8]) -> Option<Vec<u8>> {
        let found = self.found(text);
        let wanted = self.instead_of(found.first());
        let is_right = match self.is_absent {
            true => found.is_empty(),
            false => found == [wanted.clone()],
        };
        if is_right {
            return None;
        }
        let mut all = Vec::with_capacity(text.len() + 1024);
        let mut is_set = self.is_absent;
        for line in lines(text) {
            if !key_of(line).is_some_and(|key| self.is(&key)) {
                all.extend_from_slice(line);
            } else if !is_set {
                all.extend_from_slice(wanted.line().as_bytes());
                all.extend_from_slice(end_of(line));
                is_set = true;
            }
        }
        if !is_set {
            if !all.is_empty() && !all.ends_with(b"\n") {
                all.push(b'\n');
            }
            all.extend_from_slice(wanted.line().as_bytes());
            all.push(b'\n');
        }
        Some(all)
    }
}

/// The text in which the lines with this key are as they were: these, in this order. They take the place of those that
/// are there now.
pub(super) fn restored(text: &[u8], wanted: &KeyWanted, was: &[KeyLine]) -> Option<Vec<u8>> {
    if wanted.found(text) == was {
        return None;
    }
    let mut all = Vec::with_capacity(text.len() + 1024);
    let mut left = was.iter();
    for line in lines(text) {
        if !key_of(line).is_some_and(|key| wanted.is(&key)) {
            all.extend_from_slice(line);
        } else if let Some(key) = left.next() {
            all.extend_from_slice(key.line().as_bytes());
            all.extend_from_slice(end_of(line));
        }
    }
    for key in left {
        if !all.is_empty() && !all.ends_with(b"\n") {
            all.push(b'\n');
        }
        all.extend_from_slice(key.line().as_bytes());
        all.push(b'\n');
    }
    Some(all)
}

/// The lines, each with its end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

fn end_of(line: &[u8]) -> &[u8] {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    &line[text.len()..]
}

fn key_of(line: &[u8]) -> Option<KeyLine> {
    let text: Cow<'_, str> = String::from_utf8_lossy(&line[..line.len() - end_of(line).len()]);
    KeyLine::parse(&text)
}
