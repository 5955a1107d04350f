//! Work on a connection that must not be dropped in the middle.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long a call continues whose caller is gone: its message has long been written by then.
const ALONE_MAX: Duration = Duration::from_secs(10);

/// Does the work in a task of its own, since zbus does not survive it if a call is dropped at a wrong moment: half a
/// message ends the connection, and half a subscription ends every later one to the same signals.
pub(super) async fn in_own_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (mut end, ended) = oneshot::channel();
    let task = tokio::spawn(async move {
        let alone = async {
            end.closed().await;
            sleep(ALONE_MAX).await;
        };
        let outcome = tokio::select! {
            biased;
            outcome = work => Some(outcome),
            () = alone => None,
        };
        // Without a caller, a subscription ends here.
        if let Some(outcome) = outcome {
            drop(end.send(outcome));
        }
    });
    match ended.await {
        Ok(outcome) => outcome,
        Err(_) => match task.await {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down: the caller's future is about to be dropped too.
            _ => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_without_its_caller_unless_it_hangs() {
        assert_eq!(in_own_task(async { 7 }).await, 7);
        let done = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&done);
        let work = in_own_task(async move {
            sleep(Duration::from_secs(1)).await;
            mark.store(true, Ordering::Relaxed);
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
        sleep(Duration::from_secs(2)).await;
        assert!(done.load(Ordering::Relaxed));

        let held = Arc::new(());
        let hanging = Arc::clone(&held);
        let work = in_own_task(async move {
            std::future::pending::<()>().await;
            drop(hanging);
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
        assert_eq!(Arc::strong_count(&held), 2);
        sleep(ALONE_MAX + Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
