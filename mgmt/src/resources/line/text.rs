//! Lines of a text, as bytes: found, added and removed without a change of any other byte.

use serde::{Deserialize, Serialize};

use crate::sys::fs::SavedBytes;

/// The byte order mark of UTF-8: it belongs to the text as a whole, not to its first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a text, each with its end, after the byte order mark.
fn lines(text: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let (mark, rest) = if text.starts_with(MARK) { text.split_at(MARK.len()) } else { (&text[..0], text) };
    (mark, rest.split_inclusive(|byte| *byte == b'\n'))
}

/// A line in two parts: its text, and its end: `\n`, `\r\n`, and for the last line also `\r` or nothing.
fn parts(line: &[u8]) -> (&[u8], &[u8]) {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    line.split_at(text.len())
}

/// How often the line occurs in the text.
pub(super) fn count(text: &[u8], line: &[u8]) -> usize {
    lines(text).1.filter(|found| parts(found).0 == line).count()
}

/// The text with the line as its last one. The line gets the end that the last line before it has which has one; a last
/// line without an end gets that too.
pub(super) fn with(text: &[u8], line: &[u8]) -> Vec<u8> {
    let ends = lines(text).1.map(|line| parts(line).1).filter(|end| end.ends_with(b"\n"));
    let end = ends.last().unwrap_or(b"\n".as_slice());
    let open = lines(text).1.last().filter(|last| !last.ends_with(b"\n"));
    let mut all = Vec::with_capacity(text.len() + line.len() + 2 * end.len());
    all.extend_from_slice(text);
    if let Some(last) = open {
        all.extend_from_slice(if last.ends_with(b"\r") { b"\n" } else { end });
    }
    all.extend_from_slice(line);
    all.extend_from_slice(end);
    all
}

/// The text without the line, however often it occurs.
pub(super) fn without(text: &[u8], line: &[u8]) -> Vec<u8> {
    let (mark, lines) = lines(text);
    let mut all = mark.to_vec();
    lines.filter(|found| parts(found).0 != line).for_each(|other| all.extend_from_slice(other));
    all
}

/// What must be known to put lines back that were removed, or to remove one that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Was {
    /// The line was not in the text.
    Absent {
        /// The last line, if it had no end.
        open: Option<SavedBytes>,
    },
    /// The line was in the text, at these places.
    Present(Vec<Occurrence>),
}

/// One occurrence of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Occurrence {
    /// How many lines were before it.
    at: usize,
    /// The line before it, without its end.
    after: Option<SavedBytes>,
    /// The end of the line.
    end: String,
}

/// How the line is in the text.
pub(super) fn was(text: &[u8], line: &[u8]) -> Was {
    let all: Vec<_> = lines(text).1.map(parts).collect();
    let found = all.iter().enumerate().filter(|(_, (text, _))| *text == line);
    let occurrence = |(at, (_, end)): (usize, &(&[u8], &[u8]))| Occurrence {
        at,
        after: at.checked_sub(1).map(|before| SavedBytes::of(all[before].0)),
        end: String::from_utf8_lossy(end).into_owned(),
    };
    let found: Vec<_> = found.map(occurrence).collect();
    if !found.is_empty() {
        return Was::Present(found);
    }
    let open = all.last().filter(|(_, end)| !end.ends_with(b"\n"));
    Was::Absent { open: open.map(|(last, end)| SavedBytes::of(&[*last, *end].concat())) }
}

/// The text with the line as it was before; all other lines stay. The places of lines are found again by the line
/// before them; if that is gone, the line becomes the last one.
pub(super) fn restored(text: &[u8], line: &[u8], was: &Was) -> Vec<u8> {
    let (mark, lines) = lines(text);
    let mut all: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    match was {
        Was::Absent { open } => {
            // Another program may have added the same line too: ours is the last.
            let Some(at) = all.iter().rposition(|found| parts(found).0 == line) else { return text.to_vec() };
            all.remove(at);
            if let (Some(open), Some(last)) = (open, all.last_mut().filter(|_| at > 0))
                && last.strip_prefix(open.bytes()).is_some_and(|end| [&b"\n"[..], b"\r\n"].contains(&end))
            {
                last.truncate(open.bytes().len());
            }
        }
        Was::Present(found) => {
            let lacking = found.len().saturating_sub(all.iter().filter(|found| parts(found).0 == line).count());
            for Occurrence { at, after, end } in &found[found.len() - lacking..] {
                let fits = |place: usize| match after {
                    None => place == 0,
                    Some(after) => place > 0 && all.get(place - 1).is_some_and(|known| parts(known).0 == after.bytes()),
                };
                let place = if fits(*at) { Some(*at) } else { (0..=all.len()).find(|place| fits(*place)) };
                let place = place.unwrap_or(all.len());
                close(&mut all[..place]);
                let is_last = place == all.len();
                let end = if is_last || end.ends_with('\n') { end.as_str() } else { "\n" };
                all.insert(place, [line, end.as_bytes()].concat());
            }
        }
    }
    [mark.to_vec(), all.concat()].concat()
}

/// Gives the last of these lines an end, since another one follows.
fn close(lines: &mut [Vec<u8>]) {
    if let Some(last) = lines.last_mut().filter(|last| !last.ends_with(b"\n")) {
        last.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_found_whole_whatever_its_end() {
        for (text, times) in [
            ("x\n", 1),
            ("x", 1),
            ("x\r\n", 1),
            ("a\nx\nb\nx", 2),
            ("\u{feff}x\n", 1),
            ("", 0),
            ("xx\n x\nx \n#x\n", 0),
            ("x\r", 1),
            ("X\n", 0),
        ] {
            assert_eq!(count(text.as_bytes(), b"x"), times, "{text:?}");
        }
    }

    #[test]
    fn a_new_line_is_the_last_and_has_the_end_of_the_others() {
        for (before, after) in [
            ("", "x\n"),
            ("a\n", "a\nx\n"),
            ("a", "a\nx\n"),
            ("a\r\n", "a\r\nx\r\n"),
            ("a\r\nb", "a\r\nb\r\nx\r\n"),
            ("a\r\nb\n", "a\r\nb\nx\n"),
            ("\n\n", "\n\nx\n"),
            ("a\r", "a\r\nx\n"),
            ("\u{feff}", "\u{feff}x\n"),
        ] {
            assert_eq!(text(with(before.as_bytes(), b"x")), after, "{before:?}");
        }
    }

    #[test]
    fn a_line_goes_with_its_end_and_every_time() {
        for (before, after) in [
            ("x\n", ""),
            ("x", ""),
            ("a\nx", "a\n"),
            ("a\r\nx\r\nb\n", "a\r\nb\n"),
            ("x\nx\na\nx", "a\n"),
            ("\u{feff}x\na\n", "\u{feff}a\n"),
            ("xx\n", "xx\n"),
        ] {
            assert_eq!(text(without(before.as_bytes(), b"x")), after, "{before:?}");
        }
    }

    /// Texts in which lines, ends of both sorts, and bytes that are no text meet often.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"x".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\xff".to_vec()),
            Just(b"ab".to_vec()),
        ];
        let start = prop_oneof![Just(Vec::new()), Just(MARK.to_vec())];
        // A byte order mark elsewhere is a character of its line.
        (start, proptest::collection::vec(piece, 0..12)).prop_map(|(start, pieces)| [start, pieces.concat()].concat())
    }

    #[test]
    fn a_line_comes_back_to_its_place_among_lines_that_have_changed() {
        let was = was(b"a\nx\nb\nx", b"x");
        for (now, then) in [
            ("a\nb\n", "a\nx\nb\nx"),
            ("new\na\nb\n", "new\na\nx\nb\nx"),
            ("b\nother\n", "b\nx\nother\nx\n"),
            ("", "x\nx"),
            ("a\nx\nb\n", "a\nx\nb\nx"),
        ] {
            assert_eq!(text(restored(now.as_bytes(), b"x", &was)), then, "{now:?}");
        }
    }

    #[test]
    fn of_a_line_that_others_have_added_too_one_is_removed() {
        let was = was(b"a", b"x");
        assert_eq!(text(restored(b"a\nx\nx\nb\n", b"x", &was)), "a\nx\nb\n");
        assert_eq!(text(restored(b"a\nx\n", b"x", &was)), "a");
        assert_eq!(text(restored(b"a\nb\n", b"x", &was)), "a\nb\n");
    }

    proptest! {
        #[test]
        fn a_text_is_as_before_when_the_line_is_restored(text in texts()) {
            let was = was(&text, b"x");
            let changed = if count(&text, b"x") == 0 { with(&text, b"x") } else { without(&text, b"x") };
            prop_assert_eq!(restored(&changed, b"x", &was), text.clone());
            prop_assert_eq!(restored(&text, b"x", &was), text);
        }

        #[test]
        fn what_is_added_is_there_and_all_before_it_stays(text in texts()) {
            let added = with(&text, b"x");
            prop_assert!(added.starts_with(&text));
            prop_assert_eq!(count(&added, b"x"), count(&text, b"x") + 1);
            prop_assert!(added.len() <= text.len() + 5);
        }

        #[test]
        fn what_is_removed_is_gone_and_all_else_stays_in_its_order(text in texts()) {
            let removed = without(&text, b"x");
            prop_assert_eq!(count(&removed, b"x"), 0);
            let others = |text: &[u8]| -> Vec<Vec<u8>> {
                lines(text).1.filter(|line| parts(line).0 != b"x").map(<[u8]>::to_vec).collect()
            };
            prop_assert_eq!(others(&removed), others(&text));
            prop_assert_eq!(without(&removed, b"x"), removed);
        }

        #[test]
        fn a_line_that_is_added_and_removed_leaves_at_most_the_end_of_the_line_before(text in texts()) {
            prop_assume!(count(&text, b"x") == 0);
            let back = without(&with(&text, b"x"), b"x");
            prop_assert!(back.starts_with(&text));
            prop_assert!([&b""[..], b"\n", b"\r\n"].contains(&&back[text.len()..]));
        }
    }
}
