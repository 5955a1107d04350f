//! A program without etcd shares no world with the hosts of `remote`.

use std::path::Path;

use crate::cli::remote::options::SshOptions;
use crate::cli::remote::run::Purpose;
use crate::cli::report::CommandError;
use crate::cli::session::Session;
use crate::remote::Job;

/// No cluster.
#[derive(Debug)]
pub(crate) struct Cluster;

impl Cluster {
    #[expect(clippy::unused_async, reason = "the form of the one with etcd")]
    pub(crate) async fn begin(_: &Session, _: &SshOptions, _: &Path, _: Purpose) -> Result<Cluster, CommandError> {
        Ok(Cluster)
    }

    pub(crate) fn give(&self, job: Job) -> Job {
        job
    }

    #[expect(clippy::unused_async, reason = "as above")]
    pub(crate) async fn end(self) {}
}
