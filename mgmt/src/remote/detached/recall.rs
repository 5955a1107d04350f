//! The lines that a run has reported, for those who are attached and for those who will be: the last ones, bounded.

use std::collections::VecDeque;
use std::sync::Arc;

/// The most lines and bytes that are kept.
const LINES_MAX: usize = 4096;
const BYTES_MAX: usize = 4 << 20;
/// How many bytes are handed out at once.
const BATCH_BYTES: usize = 1 << 16;

/// The lines that are kept, each with a number.
#[derive(Debug, Default)]
pub(super) struct Recall {
    lines: VecDeque<Arc<[u8]>>,
    /// The number of the first line that is kept.
    first: u64,
    bytes: usize,
    /// The number of the first line that has arrived at no near end.
    shown: u64,
}

/// The lines behind a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// How many are not kept any more.
    pub(super) missed: u64,
    pub(super) lines: Vec<u8>,
    /// The number of the line behind them.
    pub(super) next: u64,
}

impl Recall {
    pub(super) fn push(&mut self, line: &[u8]) {
        self.bytes += line.len();
        self.lines.push_back(line.into());
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
            self.first += 1;
        }
    }

    /// The number of the next line.
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// The number of the first line that has arrived at no near end.
    pub(super) fn unseen(&self) -> u64 {
        self.shown
    }

    /// The lines before this number have arrived at a near end.
    pub(super) fn seen(&mut self, next: u64) {
        self.shown = self.shown.max(next.min(self.end()));
    }

    /// Some of the lines from this number on. `None`: there are none yet.
    pub(super) fn due(&self, from: u64) -> Option<Due> {
        let start = from.max(self.first);
        if start >= self.end() {
            return None;
        }
        let (mut lines, mut next) = (Vec::new(), start);
        for line in self.lines.iter().skip(usize::try_from(start - self.first).unwrap_or(usize::MAX)) {
            lines.extend_from_slice(line);
            lines.push(b'\n');
            next += 1;
            if lines.len() >= BATCH_BYTES {
                break;
            }
        }
        Some(Due { missed: start - from, lines, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_near_end_has_seen_is_kept_within_bounds_and_the_rest_is_counted() {
        let mut recall = Recall::default();
        assert_eq!(recall.due(0), None);
        for n in 0..3 {
            recall.push(n.to_string().as_bytes());
        }
        assert_eq!(recall.due(1), Some(Due { missed: 0, lines: b"1\n2\n".to_vec(), next: 3 }));
        recall.seen(2);
        recall.seen(1);
        assert_eq!((recall.unseen(), recall.due(3)), (2, None));
        for n in 3..LINES_MAX + 10 {
            recall.push(n.to_string().as_bytes());
        }
        let due = recall.due(recall.unseen()).unwrap();
        assert_eq!((due.missed, due.lines.starts_with(b"10\n11\n")), (8, true));
        // In batches, up to the last one.
        let (mut from, mut count) = (recall.unseen(), 0);
        while let Some(due) = recall.due(from) {
            assert!(due.lines.len() < BATCH_BYTES + 10);
            count += due.lines.iter().filter(|byte| **byte == b'\n').count();
            from = due.next;
        }
        assert_eq!((from, count), (recall.end(), LINES_MAX));
    }

    #[test]
    fn large_lines_are_bounded_by_their_bytes() {
        let mut recall = Recall::default();
        for _ in 0..10 {
            recall.push(&[b'x'; 1 << 20]);
        }
        assert_eq!(recall.due(0).map(|due| due.missed), Some(6));
        // One that is larger than all of that is not lost.
        recall.push(&vec![b'y'; 2 * BYTES_MAX]);
        assert_eq!(recall.due(0).map(|due| (due.missed, due.next)), Some((10, 11)));
    }
}
