//! The token that makes work stop.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use crate::resource::error::{Error, Result};

/// A token that shows whether work must stop: its operation was cancelled, or the future that waits for the work was
/// dropped. Clones are the same token.
///
/// Blocking work checks the token between two steps; a kind's own task waits for it. The default is a token that never
/// stops, for tests of a kind's own functions.
///
/// ```
/// # use mgmt::resource::Stopping;
/// fn long_work(stopping: &Stopping) -> mgmt::resource::Result<u32> {
///     let mut done = 0;
///     for step in 0..3 {
///         stopping.check()?;
///         done += step;
///     }
///     Ok(done)
/// }
/// assert_eq!(long_work(&Stopping::default()).unwrap(), 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<State>);

#[derive(Debug, Default)]
struct State {
    stopped: AtomicBool,
    /// The tasks that wait for the token to stop.
    waiting: Mutex<Vec<Waker>>,
}

impl Stopping {
    /// Whether the work must stop.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// For work of several steps: to be called before each step.
    ///
    /// # Errors
    /// `cancelled`, if the work must stop. The caller can return this error: its result is not used any more.
    pub fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(Error::new("cancelled")) } else { Ok(()) }
    }

    /// Returns when the work must stop.
    pub async fn stopped(&self) {
        poll_fn(|cx| {
            if self.is_stopped() {
                return Poll::Ready(());
            }
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // `stop` sets the flag before it takes this lock: either the flag is seen here, or `stop` wakes this waker.
            if self.is_stopped() {
                return Poll::Ready(());
            }
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Held by the future that waits for some work: when the future is dropped, the work stops.
#[derive(Debug, Default)]
pub(crate) struct StopOnDrop(Stopping);

impl StopOnDrop {
    pub(crate) fn token(&self) -> Stopping {
        self.0.clone()
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_for_it_wakes_when_the_future_is_dropped() {
        let waiting = StopOnDrop::default();
        let token = waiting.token();
        let waits = tokio::spawn({
            let token = token.clone();
            async move { token.stopped().await }
        });
        tokio::task::yield_now().await;
        assert!(!token.is_stopped() && !waits.is_finished());
        token.check().unwrap();
        drop(waiting);
        waits.await.unwrap();
        assert_eq!(token.check().unwrap_err().to_string(), "cancelled");
        // The token has stopped already, so this returns at once.
        token.stopped().await;
    }
}
