//! The ends of jobs, which systemd announces to all.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::Stream as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zbus::{Connection, OwnedObjectPath};

use super::error::{Result, SystemdError};
use super::over_bus::{MANAGER, MANAGER_PATH, NAME};
use crate::sys::dbus::subscribe;

/// Listens to the ends of all jobs on one connection. There is one for all who wait: a stream for each would have to be
/// read all the time, since the connection stands still as long as one of its streams is full.
#[derive(Debug)]
pub(super) struct Jobs {
    connection: Connection,
    ends: Arc<Mutex<Ends>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Ends {
    waiting: HashMap<OwnedObjectPath, Waits>,
    /// For the unit of a job that has ended: whether another job of that unit has ended after it.
    followed: HashMap<String, bool>,
    /// How many jobs are requested whose paths are not known yet.
    requested: usize,
    /// Jobs that have ended since the first of these requests, and how.
    unclaimed: HashMap<OwnedObjectPath, String>,
    /// The connection is lost: no end will be announced.
    are_over: bool,
}

/// Who waits for a job.
#[derive(Debug)]
struct Waits {
    unit: String,
    end: oneshot::Sender<String>,
}

/// A job is requested: its end is noticed, even if it comes before the answer to the request.
#[derive(Debug)]
pub(super) struct Requested(Arc<Mutex<Ends>>);

/// How a job ends, and what comes after it.
#[derive(Debug)]
pub(super) struct End {
    result: oneshot::Receiver<String>,
    unit: String,
    ends: Arc<Mutex<Ends>>,
}

fn lock(ends: &Mutex<Ends>) -> MutexGuard<'_, Ends> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jobs {
    /// Begins to listen on a connection.
    pub(super) async fn listen(connection: &Connection) -> Result<Jobs> {
        let rule =
            format!("type='signal',sender='{NAME}',path='{MANAGER_PATH}',interface='{MANAGER}',member='JobRemoved'");
        let mut signals = subscribe(connection, rule, None).await?;
        let ends = Arc::new(Mutex::new(Ends::default()));
        let told = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            while let Some(Ok(signal)) = poll_fn(|cx| Pin::new(&mut signals).poll_next(cx)).await {
                // A signal of another form is none of systemd.
                if let Ok(ended) = signal.body().deserialize() {
                    let (_, path, unit, result): (u32, OwnedObjectPath, String, String) = ended;
                    lock(&told).end(path, &unit, result);
                }
            }
            let mut ends = lock(&told);
            ends.are_over = true;
            ends.waiting.clear();
        });
        Ok(Jobs { connection: connection.clone(), ends, task })
    }

    /// Whether this listens on that connection, which is not lost.
    pub(super) fn are_of(&self, connection: &Connection) -> bool {
        let same = self.connection.unique_name() == connection.unique_name()
            && self.connection.server_guid() == connection.server_guid();
        same && !lock(&self.ends).are_over && !self.task.is_finished()
    }

    /// A job will be requested.
    pub(super) fn requested(&self) -> Requested {
        lock(&self.ends).requested += 1;
        Requested(Arc::clone(&self.ends))
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ends {
    fn end(&mut self, path: OwnedObjectPath, unit: &str, result: String) {
        if let Some(waits) = self.waiting.remove(&path) {
            self.followed.insert(waits.unit, false);
            // Nothing waits any more if it was cancelled.
            return drop(waits.end.send(result));
        }
        if let Some(is_followed) = self.followed.get_mut(unit) {
            *is_followed = true;
        }
        if self.requested > 0 {
            self.unclaimed.insert(path, result);
        }
    }
}

impl Requested {
    /// The path is known, of a job for this unit: what comes when it has ended.
    pub(super) fn is(self, path: &OwnedObjectPath, unit: &str) -> End {
        let (sender, result) = oneshot::channel();
        let mut ends = lock(&self.0);
        match ends.unclaimed.remove(path) {
            Some(result) => {
                ends.followed.insert(unit.to_owned(), false);
                drop(sender.send(result));
            }
            None if ends.are_over => {}
            None => drop(ends.waiting.insert(path.clone(), Waits { unit: unit.to_owned(), end: sender })),
        }
        End { result, unit: unit.to_owned(), ends: Arc::clone(&self.0) }
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        let mut ends = lock(&self.0);
        ends.requested -= 1;
        if ends.requested == 0 {
            ends.unclaimed.clear();
        }
    }
}

impl End {
    /// The result of the job, when it has ended.
    pub(super) async fn result(&mut self) -> Result<String> {
        (&mut self.result).await.map_err(|_| SystemdError::lost())
    }

    /// Whether another job of the unit has ended since.
    pub(super) fn is_followed(&self) -> bool {
        lock(&self.ends).followed.get(&self.unit).copied().unwrap_or_default()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        lock(&self.ends).followed.remove(&self.unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::obstacle::ObstacleKind;

    fn job(number: u32) -> OwnedObjectPath {
        OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{number}")).unwrap()
    }

    fn request(ends: &Arc<Mutex<Ends>>) -> Requested {
        lock(ends).requested += 1;
        Requested(Arc::clone(ends))
    }

    #[tokio::test]
    async fn an_end_is_noticed_before_and_after_the_answer_and_nothing_is_kept() {
        let ends = Arc::new(Mutex::new(Ends::default()));
        lock(&ends).end(job(1), "a", "done".into());
        let (early, late) = (request(&ends), request(&ends));
        lock(&ends).end(job(2), "a", "failed".into());
        let mut early = early.is(&job(2), "a");
        assert_eq!(early.result().await.unwrap(), "failed");
        let mut late = late.is(&job(3), "b");
        lock(&ends).end(job(4), "b", "of another program".into());
        lock(&ends).end(job(3), "b", "done".into());
        assert_eq!(late.result().await.unwrap(), "done");
        assert!(!early.is_followed() && !late.is_followed(), "what has ended before does not follow");
        lock(&ends).end(job(5), "b", "done".into());
        assert!(!early.is_followed() && late.is_followed());
        drop((early, late));
        let ends = lock(&ends);
        assert!(ends.unclaimed.is_empty() && ends.waiting.is_empty() && ends.followed.is_empty(), "{ends:?}");
    }

    #[tokio::test]
    async fn when_the_connection_is_lost_so_is_the_end() {
        let ends = Arc::new(Mutex::new(Ends::default()));
        let mut waits = request(&ends).is(&job(1), "a");
        lock(&ends).are_over = true;
        lock(&ends).waiting.clear();
        assert!(matches!(waits.result().await, Err(error) if error.obstacle() == Some(ObstacleKind::NoComponent)));
        assert!(request(&ends).is(&job(2), "a").result().await.is_err());
    }
}
