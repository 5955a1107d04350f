//! The difference of two contents: as a text diff if they are text and small, otherwise in a few words.

use std::borrow::Cow;
use std::time::Duration;

use sha2::Digest as _;
use similar::TextDiff;

use crate::id::harmless;
use crate::resource::{Change, Digest};
use crate::resources::digests::hex;

/// Larger contents are not compared line by line.
pub(super) const BYTES_MAX: u64 = 1024 * 1024;
/// Longer diffs are not shown.
const LINES_MAX: usize = 2_000;
/// After this time a diff may be longer than necessary, but it ends.
const TIME_MAX: Duration = Duration::from_millis(200);

/// One of the two contents, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Side<'a> {
    pub(super) size: Option<u64>,
    pub(super) digest: Option<Digest>,
    /// `None` if the content is too big.
    pub(super) bytes: Option<Cow<'a, [u8]>>,
}

impl Side<'_> {
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes.as_deref()?).ok().filter(|text| !text.contains('\0'))
    }

    fn summary(&self, with_digest: bool) -> String {
        let mut words = Vec::new();
        if self.bytes.is_some() && self.text().is_none() {
            words.push("binary".to_owned());
        }
        match self.size {
            Some(1) => words.push("1 byte".to_owned()),
            Some(size) => words.push(format!("{size} bytes")),
            None => {}
        }
        let digest = self.digest.or_else(|| self.bytes.as_deref().map(|bytes| sha2::Sha256::digest(bytes).into()));
        if let Some(digest) = digest.filter(|_| with_digest) {
            words.push(format!("sha256 {}", hex(&digest)));
        }
        words.join(", ")
    }
}

/// The change from one content to another; `old` is `None` if there was none.
pub(super) fn change(old: Option<&Side<'_>>, new: &Side<'_>) -> Change {
    let text = old.map_or(Some(""), Side::text).zip(new.text());
    let diff = text.and_then(|(old, new)| unified(old, new));
    let summary = |side: &Side<'_>| side.summary(diff.is_none());
    let (was, mut becomes) = (old.map_or("nothing".to_owned(), summary), summary(new));
    if was == becomes {
        // Where no diff is shown, the sizes alone would look as if nothing changed.
        becomes = becomes.replacen("byte", "other byte", 1);
    }
    let change = Change::new("content", was, becomes);
    match diff {
        Some(diff) if !diff.is_empty() => change.with_diff(diff),
        _ => change,
    }
}

/// A unified diff of two texts, unless it is too long.
fn unified(old: &str, new: &str) -> Option<String> {
    // A carriage return alone does not end a line.
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let diff = TextDiff::configure().timeout(TIME_MAX).newline_terminated(true).diff_slices(&old, &new);
    let mut text = String::new();
    let mut lines = 0;
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let hunk = hunk.to_string();
        lines += hunk.lines().count();
        if lines > LINES_MAX {
            return None;
        }
        text.push_str(&harmless(&hunk));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(bytes: &[u8]) -> Side<'_> {
        Side { size: Some(bytes.len() as u64), digest: None, bytes: Some(bytes.into()) }
    }

    #[test]
    fn two_texts_are_shown_as_a_unified_diff() {
        let change = change(Some(&side(b"a\nb\nc\n")), &side(b"a\nB\nc\n"));
        assert_eq!(change.to_string(), "content: 6 bytes → 6 other bytes");
        assert_eq!(change.diff.as_deref(), Some("@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"));
    }

    #[test]
    fn a_new_file_is_all_new_lines_and_a_missing_newline_is_said() {
        let change = change(None, &side(b"a\nb"));
        assert_eq!(change.to_string(), "content: nothing → 3 bytes");
        let diff = change.diff.unwrap();
        assert!(diff.starts_with("@@ -0,0 +1,2 @@\n+a\n+b"), "{diff}");
        assert!(diff.contains("No newline at end of file"), "{diff}");
    }

    #[test]
    fn what_is_binary_or_big_or_differs_too_much_is_told_in_words() {
        let binary = change(Some(&side(b"\xff\x00")), &side(b"x"));
        assert!(binary.diff.is_none());
        assert!(binary.from.starts_with("binary, 2 bytes, sha256 "), "{binary}");
        assert!(binary.to.starts_with("1 byte, sha256 2d711642b726b044"), "{binary}");
        let big = change(Some(&Side { size: Some(5 << 20), ..Side::default() }), &side(b"x"));
        assert_eq!((big.from.as_str(), big.diff.as_ref()), ("5242880 bytes", None));
        let (old, new): (String, String) = ((0..3000).map(|n| format!("a{n}\n")).collect(), "x\n".into());
        let long = change(Some(&side(old.as_bytes())), &side(new.as_bytes()));
        assert!(long.diff.is_none() && long.from.contains("sha256"), "{long}");
    }

    #[test]
    fn a_diff_can_not_drive_the_terminal() {
        let diff = change(None, &side("a\x1b[2J\r\n".as_bytes())).diff.unwrap();
        assert!(diff.contains("+a\\u{1b}[2J\\r\n"), "{diff:?}");
    }

    #[test]
    fn what_does_not_show_is_shown_and_a_lone_carriage_return_ends_no_line() {
        let diff = change(Some(&side("\u{feff}a\nb\rc\n".as_bytes())), &side(b"a\nb\n")).diff.unwrap();
        assert_eq!(diff, "@@ -1,2 +1,2 @@\n-\\u{feff}a\n-b\\rc\n+a\n+b\n");
    }
}
