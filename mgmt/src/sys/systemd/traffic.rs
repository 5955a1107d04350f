//! What all questions to one systemd share.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use zbus::Connection;

use super::error::Result;
use super::jobs::{Jobs, Requested};

/// How many questions may be open at a time. A bus of dbus-daemon allows 128 for a connection, which others use too,
/// and systemd answers one after the other.
const OPEN_MAX: usize = 32;

/// What all questions to one systemd share: how many are open, and when it reads its unit files again.
#[derive(Debug)]
pub struct Traffic {
    open: Semaphore,
    /// How often it was asked to read its unit files again.
    asked: AtomicU64,
    /// Which of these requests are served.
    served: Mutex<u64>,
    jobs: Mutex<Option<Jobs>>,
}

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic {
            open: Semaphore::new(OPEN_MAX),
            asked: AtomicU64::new(0),
            served: Mutex::new(0),
            jobs: Mutex::new(None),
        }
    }
}

impl Traffic {
    /// Waits until another question may be asked. `None` can't occur: the semaphore is never closed.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.open.acquire().await.ok()
    }

    /// A job will be requested on this connection, and its end must be noticed.
    pub(super) async fn jobs(&self, connection: &Connection) -> Result<Requested> {
        let mut jobs = self.jobs.lock().await;
        let jobs = match jobs.take().filter(|jobs| jobs.are_of(connection)) {
            Some(present) => jobs.insert(present),
            None => jobs.insert(Jobs::listen(connection).await?),
        };
        Ok(jobs.requested())
    }

    /// Lets systemd read its unit files with this call. Requests that come while it does so share the next one.
    pub(super) async fn reload(&self, call: impl Future<Output = Result<()>>) -> Result<()> {
        let mine = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut served = self.served.lock().await;
        if *served < mine {
            let asked = self.asked.load(Ordering::Relaxed);
            call.await?;
            *served = asked;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn requests_to_reload_that_come_during_one_share_the_next() {
        let (traffic, calls) = (Traffic::default(), Cell::new(0));
        let call = async || {
            calls.set(calls.get() + 1);
            tokio::task::yield_now().await;
            Ok(())
        };
        let first = traffic.reload(call());
        let others = async {
            tokio::task::yield_now().await;
            join_all((0..50).map(|_| traffic.reload(call()))).await
        };
        let (first, others) = tokio::join!(first, others);
        assert!(first.is_ok() && others.iter().all(Result::is_ok));
        assert_eq!(calls.get(), 2);
        traffic.reload(call()).await.unwrap();
        assert_eq!(calls.get(), 3, "a later request is not served by an earlier call");
    }
}
