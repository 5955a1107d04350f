//! Output in bounded memory: its beginning, its end, and the number of bytes in between.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use super::escape::escape_text;

/// The text that replaces a secret.
const SECRET: &str = "(secret)";

/// What was kept of one output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// All of it or, if `skipped` is not 0, its beginning.
    pub head: Vec<u8>,
    /// The end of it, if `skipped` is not 0.
    pub tail: Vec<u8>,
    /// The number of bytes between the two, which were dropped.
    pub skipped: u64,
}

impl Captured {
    /// The number of bytes of the whole stream.
    pub fn total(&self) -> u64 {
        self.skipped + (self.head.len() + self.tail.len()) as u64
    }

    /// All bytes of the stream; `None` if some were dropped.
    pub fn whole(&self) -> Option<&[u8]> {
        (self.skipped == 0).then_some(&self.head)
    }

    /// Text to show, as `escape_text` makes it, with a note where something is missing.
    pub fn text(&self) -> String {
        if self.skipped == 0 {
            return escape_text(&self.head);
        }
        let (head, tail) = (escape_text(&self.head), escape_text(&self.tail));
        format!("{head}\n[{} bytes left out]\n{tail}", self.skipped)
    }

    /// The output with a placeholder for each of these secrets, to be shown.
    pub fn without(&self, secrets: &[String]) -> Cow<'_, Captured> {
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.trim().as_bytes()).collect();
        let Some(longest) = secrets.iter().map(|secret| secret.len()).max().filter(|longest| *longest > 0) else {
            return Cow::Borrowed(self);
        };
        // A secret may be cut in two where the middle is left out: leave out all bytes that could be a part of one.
        let cut = if self.skipped == 0 { 0 } else { longest - 1 };
        let head_end = self.head.len().saturating_sub(cut);
        let tail_begin = cut.min(self.tail.len());
        Cow::Owned(Captured {
            head: masked(&self.head, 0..head_end, &secrets),
            tail: masked(&self.tail, tail_begin..self.tail.len(), &secrets),
            skipped: self.skipped + (self.head.len() - head_end + tail_begin) as u64,
        })
    }

    /// The last bytes, at most `max`.
    pub fn last(&self, max: usize) -> Cow<'_, [u8]> {
        let from = |bytes: &[u8]| bytes.len().saturating_sub(max);
        if self.skipped == 0 {
            Cow::Borrowed(&self.head[from(&self.head)..])
        } else {
            Cow::Borrowed(&self.tail[from(&self.tail)..])
        }
    }
}

/// A part of the bytes, with a placeholder for each secret that overlaps it. Secrets are searched in all of the bytes.
fn masked(bytes: &[u8], part: Range<usize>, secrets: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len());
    let mut at = 0;
    while at < bytes.len() {
        let here = secrets.iter().filter(|secret| !secret.is_empty() && bytes[at..].starts_with(secret));
        match here.map(|secret| secret.len()).max() {
            Some(length) => {
                if at < part.end && at + length > part.start {
                    out.extend_from_slice(SECRET.as_bytes());
                }
                at += length;
            }
            None => {
                if part.contains(&at) {
                    out.push(bytes[at]);
                }
                at += 1;
            }
        }
    }
    out
}

/// Collects an output stream.
#[derive(Debug)]
pub(super) struct Capture {
    max: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    skipped: u64,
}

impl Capture {
    /// Keeps the first and the last `max` bytes.
    pub(super) fn new(max: usize) -> Capture {
        Capture { max, head: Vec::new(), tail: VecDeque::new(), skipped: 0 }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        let first = bytes.len().min(self.max - self.head.len());
        self.head.extend_from_slice(&bytes[..first]);
        bytes = &bytes[first..];
        let unkept = bytes.len().saturating_sub(self.max);
        let gone = (self.tail.len() + bytes.len() - unkept).saturating_sub(self.max);
        self.tail.drain(..gone);
        self.tail.extend(&bytes[unkept..]);
        self.skipped += (unkept + gone) as u64;
    }

    /// Whether bytes had to be dropped.
    pub(super) fn is_cut(&self) -> bool {
        self.skipped > 0
    }

    /// Returns what was kept so far, and begins again.
    pub(super) fn take(&mut self) -> Captured {
        let fresh = Capture::new(self.max);
        let Capture { mut head, tail, skipped, .. } = std::mem::replace(self, fresh);
        let tail = Vec::from(tail);
        if skipped > 0 {
            return Captured { head, tail, skipped };
        }
        head.extend_from_slice(&tail);
        Captured { head, tail: Vec::new(), skipped: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_are_the_first_and_last_bytes_and_the_count_is_right(
            max in 0usize..20,
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..10),
        ) {
            let mut capture = Capture::new(max);
            for chunk in &chunks {
                capture.push(chunk);
            }
            let all = chunks.concat();
            let got = capture.take();
            prop_assert_eq!(got.total(), all.len() as u64);
            if all.len() <= 2 * max {
                prop_assert_eq!(got.whole(), Some(&all[..]));
            } else {
                prop_assert_eq!(&got.head[..], &all[..max]);
                prop_assert_eq!(&got.tail[..], &all[all.len() - max..]);
            }
        }
    }

    #[test]
    fn secrets_are_left_out_also_where_one_is_cut_in_two() {
        let captured = |max: usize, text: &str| {
            let mut capture = Capture::new(max);
            capture.push(text.as_bytes());
            capture.take()
        };
        let secrets = ["hunter2".to_owned(), "hunter".to_owned(), "pass\n".to_owned(), String::new()];
        let shown = |max: usize, text: &str| captured(max, text).without(&secrets).text();
        assert_eq!(shown(100, "hunter2, not hunter; huntre"), "(secret), not (secret); huntre");
        assert_eq!(shown(100, "hunter2hunter2pass"), "(secret)(secret)(secret)");
        // Of the 10 bytes at the beginning and at the end, 6 each could be a part of a secret.
        assert_eq!(shown(10, "0123 hunter2 456 hunter2 789"), "0123\n[20 bytes left out]\n 789");
        assert_eq!(shown(10, "hunter2 78 and so on hunter2 9"), "(secret)\n[22 bytes left out]\n(secret) 9");
        assert!(matches!(captured(100, "hunter2").without(&[]), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_part_of_a_secret_is_left_that_is_longer_than_what_stands_there_anyway(
            before in "[ab]{0,12}", between in "[ab]{0,12}", max in 0usize..20,
        ) {
            let mut capture = Capture::new(max);
            capture.push(format!("{before}SECRET{between}SECRET").as_bytes());
            let text = capture.take().without(&["SECRET".to_owned()]).text();
            prop_assert!(!text.replace("(secret)", "").contains(['S', 'E', 'C', 'R', 'T']), "{}", text);
        }
    }

    #[test]
    fn shown_text_says_what_is_missing() {
        let mut capture = Capture::new(2);
        capture.push(b"abcdefg");
        assert_eq!(capture.take().text(), "ab\n[3 bytes left out]\nfg");
    }
}
