//! The files of this machine that travel with a graph which is made on the other host.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::remote::error::RemoteError;
use crate::remote::host::Host;
use crate::remote::job::Job;

/// The most processes that make graphs here at once.
const PROCESSES_MAX: usize = 4;

/// How the files are found.
#[derive(Clone, Debug, Default)]
pub(super) struct Packing(Option<Arc<Semaphore>>);

impl Packing {
    /// By making the graph here too.
    pub(super) fn local() -> Packing {
        Packing(Some(Arc::new(Semaphore::new(PROCESSES_MAX))))
    }

    /// The job of the host with this name, with the files.
    pub(super) async fn packed(&self, job: Job, name: &str) -> Result<Job, RemoteError> {
        let Some(places) = self.0.as_ref().filter(|_| job.parcel.is_none()) else { return Ok(job) };
        // An error would mean that the semaphore is closed, which nothing does.
        let _place = places.acquire().await;
        let files = Host::local(name).pack(&job, &[]).await?;
        Ok(job.with_graph(files))
    }
}
