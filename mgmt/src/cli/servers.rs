//! The options of a host that runs a server of etcd itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::cli::report::CommandError;
use crate::cli::world::{Seeds, WorldOptions, seeds};
use crate::resource::World;

/// The options of a host that runs a server of etcd itself.
#[derive(Clone, Debug, Default, Args)]
#[command(about = None, long_about = None)]
pub struct ServerOptions {
    /// Run a server of etcd, or be ready to, that other servers reach here: https://HOST:PORT (port 0: a free one), or
    /// http://127.0.0.1:PORT, which every user of this host can reach. Without `--seeds` it is the first one
    #[arg(long, alias = "peer-urls", global = true, value_name = "URLS", env = "MGMT_SERVER_URLS", value_parser = seeds)]
    pub server_urls: Vec<Seeds>,
    /// Where clients reach that server; default: the same host, with port 2379
    #[arg(long, global = true, value_name = "URLS", env = "MGMT_CLIENT_URLS", value_parser = seeds)]
    pub client_urls: Vec<Seeds>,
    /// Where servers on other hosts reach that server; default: `--server-urls`
    #[arg(long, global = true, value_name = "URLS", env = "MGMT_ADVERTISE_SERVER_URLS", value_parser = seeds)]
    pub advertise_server_urls: Vec<Seeds>,
    /// Where clients on other hosts reach that server; default: `--client-urls`
    #[arg(long, global = true, value_name = "URLS", env = "MGMT_ADVERTISE_CLIENT_URLS", value_parser = seeds)]
    pub advertise_client_urls: Vec<Seeds>,
    /// How many servers there should be; only the first one sets it; default: 5
    #[arg(long, global = true, value_name = "N", env = "MGMT_IDEAL_CLUSTER_SIZE", value_parser = clap::value_parser!(u16).range(1..))]
    pub ideal_cluster_size: Option<u16>,
    /// Never run a server, whatever other options or variables name
    #[arg(long, global = true)]
    pub no_server: bool,
    /// The program of etcd, 3.4 or later; default: etcd, from PATH
    #[arg(long, global = true, value_name = "PATH")]
    pub etcd: Option<PathBuf>,
    /// Leave the servers at the end of the run, after another host has taken the place; default: keep the data for the
    /// next run
    #[arg(long, global = true)]
    pub leave: bool,
}

fn texts(options: &[Seeds]) -> Vec<String> {
    options.iter().flat_map(|seeds| &seeds.0).cloned().collect()
}

impl ServerOptions {
    /// Whether this host runs a server, or is ready to.
    pub(crate) fn serves(&self) -> bool {
        !self.no_server && !texts(&self.server_urls).is_empty()
    }

    /// An option that has no effect without a server.
    fn superfluous(&self) -> Option<&'static str> {
        let given = [
            ("--client-urls", !texts(&self.client_urls).is_empty()),
            ("--advertise-server-urls", !texts(&self.advertise_server_urls).is_empty()),
            ("--advertise-client-urls", !texts(&self.advertise_client_urls).is_empty()),
            ("--etcd", self.etcd.is_some()),
            ("--leave", self.leave),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }
}

/// The servers that a run uses, and the one that it runs itself, if it does.
#[cfg(feature = "etcd")]
#[derive(Debug)]
pub(crate) struct Servers {
    etcd: crate::world::ManagedEtcd,
    leaves: bool,
}

#[cfg(feature = "etcd")]
impl Servers {
    /// Starts them for this host, below this prefix. `None`: the options name none. In noop no server is started.
    ///
    /// # Errors
    /// The options can't be used, or the server does not come up.
    pub(crate) async fn start(
        options: &WorldOptions,
        host: &str,
        prefix: &Path,
        is_noop: bool,
        is_temporary: bool,
    ) -> Result<Option<Servers>, CommandError> {
        let seeds = texts(&options.seeds);
        let servers = &options.servers;
        if let (false, false, Some(option)) = (servers.serves(), servers.no_server, servers.superfluous()) {
            return Err(CommandError::Other(format!("`{option}` is for a server of etcd: give `--server-urls` too")));
        }
        let serves = servers.serves() && !is_noop;
        if seeds.is_empty() && !serves {
            return Ok(None);
        }
        let mut managed = crate::world::Managed::new(prefix.join(crate::resource::ETCD_DIR), host).seeds(seeds);
        if serves {
            managed = managed
                .server_urls(texts(&servers.server_urls))
                .client_urls(texts(&servers.client_urls))
                .advertise_server_urls(texts(&servers.advertise_server_urls))
                .advertise_client_urls(texts(&servers.advertise_client_urls));
        }
        if let Some(program) = &servers.etcd {
            managed = managed.program(program);
        }
        if let Some(size) = servers.ideal_cluster_size {
            managed = managed.ideal_cluster_size(size);
        }
        if let Some([authority, certificate, key]) = options.tls_files()? {
            managed = managed.tls(authority, certificate, key);
        }
        let etcd = managed.start().await.map_err(|error| CommandError::Other(error.to_string()))?;
        // What is in a temporary directory is lost for the next run.
        Ok(Some(Servers { etcd, leaves: servers.leave || is_temporary }))
    }

    pub(crate) fn world(&self) -> Arc<dyn World> {
        Arc::new(self.etcd.world())
    }

    /// Ends the server of this host.
    pub(crate) async fn end(self) {
        /// How long another host may take to become a server instead.
        const LEAVE_MAX: std::time::Duration = std::time::Duration::from_secs(60);
        match self.leaves {
            true => self.etcd.leave(LEAVE_MAX).await,
            false => self.etcd.stop().await,
        }
    }
}

/// A program without etcd has none.
#[cfg(not(feature = "etcd"))]
#[derive(Debug)]
pub(crate) enum Servers {}

#[cfg(not(feature = "etcd"))]
impl Servers {
    pub(crate) async fn start(
        options: &WorldOptions,
        _: &str,
        _: &Path,
        _: bool,
        _: bool,
    ) -> Result<Option<Servers>, CommandError> {
        let servers = &options.servers;
        if servers.serves() || servers.superfluous().is_some() {
            return Err(CommandError::Other(
                "`--server-urls` needs the Cargo feature `etcd`, which this program was built without: build it with it"
                    .to_owned(),
            ));
        }
        Ok(None)
    }

    pub(crate) fn world(&self) -> Arc<dyn World> {
        match *self {}
    }

    pub(crate) async fn end(self) {
        match self {}
    }
}
