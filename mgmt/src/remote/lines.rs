//! Lines in a stream of bytes that another machine sends: bounded, whatever comes.

use std::collections::VecDeque;

/// The most bytes of a line, without its end.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// What was found in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Line(Vec<u8>),
    /// A line of this many bytes, which was dropped.
    TooLong(usize),
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    line: Vec<u8>,
    /// How many bytes of the present line were dropped.
    dropped: usize,
    found: VecDeque<Found>,
}

impl Cutter {
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[..end]);
            let line = std::mem::take(&mut self.line);
            let found = match std::mem::take(&mut self.dropped) {
                0 => Found::Line(line),
                dropped => Found::TooLong(dropped + line.len()),
            };
            self.found.push_back(found);
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.dropped > 0 || self.line.len() + bytes.len() > LINE_BYTES_MAX {
            self.dropped += bytes.len() + std::mem::take(&mut self.line).len();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// What is left of a line that has no end yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.line
    }
}

/// Foreign bytes as a line for people.
pub(super) fn foreign(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 4096;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]).trim_end().to_owned();
    if bytes.len() > SHOWN_MAX { format!("{shown}… ({} bytes)", bytes.len()) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_however_they_come() {
        let text = b"one\n\ntwo\r\nthree";
        for size in 1..text.len() {
            let mut cutter = Cutter::default();
            let mut found = Vec::new();
            for part in text.chunks(size) {
                cutter.push(part);
                found.extend(std::iter::from_fn(|| cutter.next()));
            }
            let lines = [&b"one"[..], b"", b"two\r"].map(|line| Found::Line(line.to_vec()));
            assert_eq!(found, lines, "in parts of {size}");
            assert_eq!(cutter.rest(), b"three");
        }
    }

    #[test]
    fn a_huge_line_costs_no_memory_and_the_next_one_is_found() {
        let mut cutter = Cutter::default();
        let part = vec![b'x'; 1 << 16];
        for _ in 0..100 {
            cutter.push(&part);
            assert!(cutter.line.capacity() <= 2 * LINE_BYTES_MAX);
        }
        cutter.push(b"\nnext\n");
        assert_eq!(cutter.next(), Some(Found::TooLong(100 << 16)));
        assert_eq!(cutter.next(), Some(Found::Line(b"next".to_vec())));
        let whole = vec![b'y'; LINE_BYTES_MAX];
        cutter.push(&whole);
        cutter.push(b"\n");
        assert_eq!(cutter.next(), Some(Found::Line(whole)));
    }
}
