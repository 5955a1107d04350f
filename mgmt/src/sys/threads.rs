//! Threads that may block: those of tokio, with provision for a system that gives no more threads.
//!
//! tokio panics if it can start no thread at all, and otherwise leaves work to threads that may never be free. Here,
//! such work waits and begins as soon as the system gives a thread again, even if other blocked work holds all threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long work waits to begin before another thread is asked for, and the longest such pause.
const PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE_MAX: Duration = Duration::from_secs(2);

/// The outcome of work: its value, or its panic.
type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Runs `work` on a thread that may block, from now on. It continues to its end even if the returned future is dropped.
/// `None`: the runtime is shutting down.
pub fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<Outcome<T>>> + Send {
    let (sender, receiver) = oneshot::channel();
    let has_begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&has_begun);
    hand_over(move || {
        begins.store(true, Ordering::Relaxed);
        // If the receiver is gone, the value is dropped here.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    });
    async move {
        let mut receiver = pin!(receiver);
        let mut patience = PATIENCE;
        loop {
            tokio::select! {
                biased;
                outcome = &mut receiver => return outcome.ok(),
                () = sleep(patience), if !has_begun.load(Ordering::Relaxed) => {
                    if !has_begun.load(Ordering::Relaxed) {
                        tracing::debug!("the system gives no thread: work that blocks waits for one");
                        ask_again();
                        patience = (patience * 2).min(PATIENCE_MAX);
                    }
                }
            }
        }
    }
}

/// Runs `work` in the background, on a thread that may block.
pub fn in_background(work: impl FnOnce() + Send + 'static) {
    tokio::spawn(on_thread(work));
}

/// Hands `work` to a thread that may block. If there is none, the work waits until [`ask_again`] finds one.
pub fn hand_over(work: impl FnOnce() + Send + 'static) {
    // tokio panics if there is no thread at all. Then the work is in its queue, and is not lost.
    let _ = catch_unwind(AssertUnwindSafe(|| tokio::task::spawn_blocking(work)));
}

/// Asks the system for a thread for work that has been handed over and has not begun.
pub fn ask_again() {
    hand_over(|| ());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_its_value_or_its_panic() {
        assert_eq!(on_thread(|| 7).await.unwrap().unwrap(), 7);
        let panicked = on_thread(|| panic!("gone")).await.unwrap().unwrap_err();
        assert_eq!(*panicked.downcast_ref::<&str>().unwrap(), "gone");
        let (sender, receiver) = oneshot::channel();
        in_background(move || sender.send(8).unwrap());
        assert_eq!(receiver.await, Ok(8));
    }

    #[test]
    fn work_that_no_thread_is_free_for_begins_when_one_is() {
        // One thread, as if the system gave no more.
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (open, gate) = std::sync::mpsc::channel::<()>();
            in_background(move || gate.recv().unwrap());
            let waits = tokio::spawn(on_thread(|| 1));
            tokio::time::sleep(3 * PATIENCE).await;
            assert!(!waits.is_finished());
            open.send(()).unwrap();
            assert_eq!(waits.await.unwrap().unwrap().unwrap(), 1);
        });
    }
}
