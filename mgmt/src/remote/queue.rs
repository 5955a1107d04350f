//! Reports that wait for the program: bounded, since another machine sends them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::remote::run::Report;

/// The most reports that wait, as for a reader of [`Events`](crate::runtime::Events).
const REPORTS_MAX: usize = 16_384;

/// Reports that wait for one reader.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    reports: VecDeque<Report>,
    missed: u64,
    is_over: bool,
}

impl Queue {
    fn with<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn push(&self, report: Report) {
        self.with(|waiting| {
            // What is only of the moment is replaced.
            if let (Report::Progress(_), Some(last @ Report::Progress(_))) = (&report, waiting.reports.back_mut()) {
                *last = report;
                return;
            }
            waiting.reports.push_back(report);
            if waiting.reports.len() > REPORTS_MAX {
                waiting.reports.pop_front();
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
                0 => waiting.reports.pop_front().map_or(waiting.is_over.then_some(None), |report| Some(Some(report))),
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
            queue.push(Report::Log(n.to_string()));
        }
        queue.end();
        assert_eq!(queue.next().await, Some(Report::Missed(3)));
        for n in 3..REPORTS_MAX + 3 {
            assert_eq!(queue.next().await, Some(Report::Log(n.to_string())));
        }
        assert_eq!(queue.next().await, None);
        assert_eq!(queue.next().await, None);
    }
}
