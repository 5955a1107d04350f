//! The graphs that have come into force, counted, for kinds that begin something again with each.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The number of graphs that have come into force in an engine. Clones count the same.
#[derive(Clone, Debug, Default)]
pub struct Graphs(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    /// The tasks that wait for the next graph.
    waiting: Vec<Waker>,
}

impl Graphs {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of graphs so far, that in force included.
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// Returns the number of graphs as soon as it is greater than this.
    pub async fn after(&self, count: u64) -> u64 {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.count > count {
                return Poll::Ready(state.count);
            }
            state.waiting.retain(|waker| !waker.will_wake(cx.waker()));
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// A graph has come into force.
    pub(crate) fn note(&self) {
        let mut state = self.lock();
        state.count += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}
