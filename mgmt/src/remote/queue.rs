//! Reports that wait for the program: bounded, since another machine sends them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::remote::run::Report;

/// The most reports that wait, as for a reader of [`Events`](crate::runtime::Events).
const REPORTS_MAX: usize = 16_384;

/// The most bytes of reports that wait, as lines: what is far from any engine, and costs a hostile machine more than us.
const BYTES_MAX: usize = 16 << 20;

/// Reports that wait for one reader.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Each with the bytes of its line.
    reports: VecDeque<(Report, usize)>,
    bytes: usize,
    missed: u64,
    is_over: bool,
}

impl Queue {
    fn with<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a report, which has come as this many bytes.
    pub(super) fn push(&self, report: Report, bytes: usize) {
        self.with(|waiting| {
            // What is only of the moment is replaced.
            if let (Report::Progress(_), Some((last @ Report::Progress(_), _))) = (&report, waiting.reports.back_mut())
            {
                *last = report;
                return;
            }
            waiting.reports.push_back((report, bytes));
            waiting.bytes += bytes;
            while waiting.reports.len() > REPORTS_MAX || waiting.bytes > BYTES_MAX && waiting.reports.len() > 1 {
                let dropped = waiting.reports.pop_front();
                waiting.bytes -= dropped.map_or(0, |(_, bytes)| bytes);
                waiting.missed += 1;
            }
        });
        self.news.notify_one();
    }

    /// No further report comes.
    pub(super) fn end(&self) {
        self.with(|waiting| waiting.is_over = true);
        self.news.notify_one();
    }

    /// The next report; `None` after the last one. Cancel safe.
    pub(super) async fn next(&self) -> Option<Report> {
        loop {
            let taken = self.with(|waiting| match std::mem::take(&mut waiting.missed) {
                0 => match waiting.reports.pop_front() {
                    Some((report, bytes)) => {
                        waiting.bytes -= bytes;
                        Some(Some(report))
                    }
                    None => waiting.is_over.then_some(None),
                },
                missed => Some(Some(Report::Missed(missed))),
            });
            if let Some(next) = taken {
                return next;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_misses_the_oldest_and_learns_how_many() {
        let queue = Queue::default();
        for n in 0..REPORTS_MAX + 3 {
            queue.push(Report::Log(n.to_string()), 1);
        }
        queue.end();
        assert_eq!(queue.next().await, Some(Report::Missed(3)));
        for n in 3..REPORTS_MAX + 3 {
            assert_eq!(queue.next().await, Some(Report::Log(n.to_string())));
        }
        assert_eq!(queue.next().await, None);
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test]
    async fn large_reports_are_bounded_by_their_bytes() {
        let queue = Queue::default();
        for n in 0..100 {
            queue.push(Report::Log(n.to_string()), 1 << 20);
        }
        assert_eq!(queue.next().await, Some(Report::Missed(84)));
        assert_eq!(queue.next().await, Some(Report::Log("84".to_owned())));
        // One that is larger than all of that is not lost.
        queue.push(Report::Log("large".to_owned()), 2 * BYTES_MAX);
        assert_eq!(queue.next().await, Some(Report::Missed(15)));
        assert_eq!(queue.next().await, Some(Report::Log("large".to_owned())));
    }
}
