//! The cluster of this host, whose world the hosts of `remote` use through this program.

use std::path::Path;
use std::time::Duration;

use crate::cli::remote::options::SshOptions;
use crate::cli::remote::run::Purpose;
use crate::cli::report::CommandError;
use crate::cli::servers::Servers;
use crate::cli::session::Session;
use crate::remote::Job;
use crate::resource::{Keys, World};
use crate::sys::facts::hostname;
use crate::world::{Authority, Relay};

/// How long a server may take to answer before this run starts its own, if it may.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The cluster of this host, and the server that this run has started for it.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    relay: Option<Relay>,
    servers: Option<Servers>,
}

impl Cluster {
    /// The cluster that the prefix belongs to. If this host has the authority, and no server of it answers, its own is
    /// started, but not for a plan. Without a cluster, and with certificates or servers that the options name,
    /// the hosts use what their command line names.
    ///
    /// # Errors
    /// The certificates can't be read, or the server does not come up; or it would end before the runs that need it.
    pub(crate) async fn begin(
        session: &Session,
        ssh: &SshOptions,
        prefix: &Path,
        purpose: Purpose,
    ) -> Result<Cluster, CommandError> {
        let (options, world) = (&session.options, &session.options.world);
        if ssh.no_world || world.is_plain() || world.servers.no_network || world.tls_files()?.is_some() {
            return Ok(Cluster::default());
        }
        let is_noop = purpose == Purpose::Plan || options.noop || options.alert_only;
        let answers = match world.world(prefix)? {
            Some(world) => answers(&*world).await,
            None => false,
        };
        let host = options.hostname.clone().unwrap_or_else(hostname);
        if purpose == Purpose::Leave
            && !answers
            && !is_noop
            && (Authority::open(prefix)?.is_some() || Relay::open(prefix)?.is_some())
        {
            let why = "no server of the cluster answers, and a run that stays needs one that stays, too: run one (`mgmt run` \
                       on the prefix of this host, or as a service with `setup svc`), or give --no-world, and the hosts \
                       share nothing";
            return Err(CommandError::Other(why.to_owned()));
        }
        // One that runs for another program on this prefix would answer.
        let servers = match answers || is_noop {
            true => None,
            false => Servers::start(world, &host, prefix, is_noop, false).await?,
        };
        let seeds = world.seeds.iter().flat_map(|seeds| seeds.0.iter().cloned());
        let forward = world.forward()?;
        let relay = Relay::open(prefix)?.map(|relay| relay.seeds(seeds).through(forward));
        Ok(Cluster { relay, servers })
    }

    /// The hosts of the job use it.
    pub(crate) fn give(&self, job: Job) -> Job {
        match &self.relay {
            Some(relay) => job.relay(relay.clone()),
            None => job,
        }
    }

    /// Ends the server that this run has started.
    pub(crate) async fn end(self) {
        if let Some(servers) = self.servers {
            servers.end().await;
        }
    }
}

/// Whether any server answers.
async fn answers(world: &dyn World) -> bool {
    let asked = world.member("").get(vec![Keys::One("/mgmt".to_owned())]);
    tokio::time::timeout(ANSWER_MAX, asked).await.is_ok_and(|answer| answer.is_ok())
}
