//! The files of this machine that travel with a graph which is made on the other host.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::sleep;

use crate::gapi::Watcher;
use crate::remote::error::RemoteError;
use crate::remote::host::Host;
use crate::remote::job::{Job, Parcel};

/// The most processes that make graphs here at once.
const PROCESSES_MAX: usize = 4;

/// How long files that can't be packed may be the half of a change.
const PAUSE: Duration = Duration::from_secs(1);

/// How the files are found.
#[derive(Clone, Debug, Default)]
pub(super) struct Packing {
    /// `None`: no files are.
    places: Option<Arc<Semaphore>>,
    /// Whether they are found once.
    is_once: bool,
}

impl Packing {
    /// By making the graph here too.
    pub(super) fn local() -> Packing {
        Packing { places: Some(Arc::new(Semaphore::new(PROCESSES_MAX))), is_once: false }
    }

    /// Changes of the files are not followed.
    pub(super) fn once(self, is_once: bool) -> Packing {
        Packing { is_once, ..self }
    }

    /// The job of the host with this name, with the files.
    pub(super) async fn packed(&self, job: Job, name: &str) -> Result<Job, RemoteError> {
        let Some(places) = self.places.as_ref().filter(|_| job.parcel.is_none()) else { return Ok(job) };
        // An error would mean that the semaphore is closed, which nothing does.
        let _place = places.acquire().await;
        let files = Host::local(name).pack(&job, &[]).await?;
        Ok(job.with_graph(files))
    }

    /// Follows the files of this job, which was packed: sends each change of them. Ends when nothing receives that, or
    /// there is nothing to follow.
    pub(super) async fn follow(
        self,
        packed: Job,
        name: String,
        changes: mpsc::Sender<Result<Parcel, RemoteError>>,
        again: Arc<Notify>,
    ) {
        if self.places.is_none() || self.is_once {
            return;
        }
        let Some(mut parcel) = packed.parcel.clone().filter(Parcel::has_no_graph) else { return };
        let job = Job { parcel: None, ..packed };
        let mut following: Option<(Vec<String>, Option<Watcher>)> = None;
        let mut problem = None;
        loop {
            let paths: Vec<String> = parcel.files().map(str::to_owned).collect();
            match &mut following {
                Some((watched, watcher)) if *watched == paths => tokio::select! {
                    () = changed(watcher) => {}
                    () = again.notified() => {}
                    () = changes.closed() => return,
                },
                // What has changed before is found by packing them once more.
                _ => following = Some((paths.clone(), watcher(&paths, &name))),
            }
            let next = self.packed(job.clone(), &name).await.map(|job| job.parcel);
            let sent = match next {
                Ok(Some(next)) if next.is_same(&parcel) => {
                    problem = None;
                    continue;
                }
                Ok(Some(next)) => {
                    problem = None;
                    parcel = next.clone();
                    changes.send(Ok(next)).await
                }
                Ok(None) => return,
                Err(error) if problem.as_ref() == Some(&error) => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => {
                    problem = Some(error.clone());
                    let sent = changes.send(Err(error)).await;
                    sleep(PAUSE).await;
                    sent
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

fn watcher(paths: &[String], name: &str) -> Option<Watcher> {
    let watcher = Watcher::with_trees(paths.iter().map(String::as_str));
    watcher.inspect_err(|error| tracing::warn!(target: "mgmt", "{name}: {error}: its changes are not noticed")).ok()
}

async fn changed(watcher: &mut Option<Watcher>) {
    match watcher {
        Some(watcher) => watcher.rested().await,
        None => pending().await,
    }
}
