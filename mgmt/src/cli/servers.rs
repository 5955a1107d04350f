//! The options of a host that runs a server of etcd itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::options::first_given;
use crate::cli::report::CommandError;
use crate::cli::world::{Seeds, WorldOptions, seeds, ttl};
use crate::resource::World;

/// The options of a host that runs a server of etcd itself.
#[derive(Clone, Debug, Default, Args)]
#[command(about = None, long_about = None)]
pub struct ServerOptions {
    /// Run a server of etcd, or be ready to, that other servers reach here: https://HOST:PORT (port 0: a free one), or
    /// http://127.0.0.1:PORT, which every user of this host can reach. Without `--seeds` it is the first one
    #[arg(long, alias = "peer-urls", global = true, value_name = "URLS", env = "MGMT_SERVER_URLS", value_parser = seeds)]
    pub server_urls: Vec<Seeds>,
    /// Run a server of etcd on unix sockets below the prefix, for programs of this user on this host alone
    #[arg(long, global = true)]
    pub no_network: bool,
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
    /// How many bytes the data of the server may have: 512MiB, 8GiB; default: that of etcd, which is 2GiB
    #[arg(long, global = true, value_name = "BYTES", env = "MGMT_SERVER_SPACE", value_parser = space)]
    pub server_space: Option<u64>,
    /// Join a cluster, with the word that `mgmt cluster token` has printed there, or with @FILE that holds it. A host
    /// that has joined needs it no more
    #[arg(long, global = true, value_name = "TOKEN", env = "MGMT_JOIN", hide_env_values = true)]
    pub join: Option<String>,
    /// Where other hosts join, if this one has the authority: https://HOST:PORT; default: as `--client-urls`, with port
    /// 2378
    #[arg(long, global = true, value_name = "URL", env = "MGMT_JOIN_URL")]
    pub join_url: Option<String>,
    /// How long the place of a server is kept whose host is gone, after its lease of 15 seconds: longer than a restart
    /// takes; then another host takes it. Give all servers the same; default: 60
    #[arg(long, global = true, value_name = "SECONDS", value_parser = ttl)]
    pub missing_max: Option<Duration>,
    /// Leave the servers at the end of the run, after another host has taken the place; default: keep the data for the
    /// next run
    #[arg(long, global = true)]
    pub leave: bool,
}

/// A number of bytes, with or without a unit. With less than the least one, etcd has no room for its own work.
fn space(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 4 << 20;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" => Some(1),
        "KiB" => Some(1_u64 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.parse().ok().zip(factor).and_then(|(number, factor): (u64, u64)| number.checked_mul(factor));
    // etcd reads it as a signed number.
    match bytes.filter(|bytes| i64::try_from(*bytes).is_ok()) {
        None => Err(format!("`{text}` is no number of bytes: give one such as 8589934592, 512MiB or 8GiB")),
        Some(bytes) if bytes < LEAST => Err(format!("`{text}` is too little: give 4MiB or more")),
        Some(bytes) => Ok(bytes),
    }
}

fn texts(options: &[Seeds]) -> Vec<String> {
    options.iter().flat_map(|seeds| &seeds.0).cloned().collect()
}

impl ServerOptions {
    /// An option that has no sense without a network.
    #[cfg(feature = "etcd")]
    pub(crate) fn of_network(&self) -> Option<&'static str> {
        let given = [
            ("--server-urls", !texts(&self.server_urls).is_empty()),
            ("--client-urls", !texts(&self.client_urls).is_empty()),
            ("--advertise-server-urls", !texts(&self.advertise_server_urls).is_empty()),
            ("--advertise-client-urls", !texts(&self.advertise_client_urls).is_empty()),
            ("--join", self.join.as_ref().is_some_and(|token| !token.is_empty())),
            ("--join-url", self.join_url.is_some()),
            ("--ideal-cluster-size", self.ideal_cluster_size.is_some()),
            ("--no-server", self.no_server),
            ("--leave", self.leave),
        ];
        first_given(&given)
    }

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
            ("--missing-max", self.missing_max.is_some()),
            ("--server-space", self.server_space.is_some()),
            ("--leave", self.leave),
        ];
        first_given(&given)
    }
}

/// Where the first server of a cluster listens for others if nothing is given.
#[cfg(feature = "etcd")]
const ALONE: &str = "https://127.0.0.1:2380";

/// What the prefix and the options give a host of a cluster with an authority.
#[cfg(feature = "etcd")]
#[derive(Debug)]
struct Trust {
    /// The host has an authority or an identity, or will get one.
    is_joined: bool,
    /// It is the first server although no address is given.
    begins: bool,
    token: Option<String>,
}

#[cfg(feature = "etcd")]
impl Trust {
    fn of(options: &WorldOptions, prefix: &Path, is_noop: bool) -> Result<Trust, CommandError> {
        let (servers, is_plain) = (&options.servers, options.is_plain());
        let authority = crate::world::Authority::open(prefix)?;
        let is_known = crate::world::Etcd::joined(prefix)?.is_some();
        let token = servers.join.as_deref().filter(|token| !token.is_empty()).map(read_token).transpose()?;
        if let (Some(_), true) = (&token, is_plain) {
            let why = "`--join` leads to servers that are reached with certificates: leave out addresses with http://";
            return Err(CommandError::Other(why.to_owned()));
        }
        if token.is_some() && is_noop && !is_known {
            let why = "joining a cluster changes it, which `--noop` must not: join without it once";
            return Err(CommandError::Other(why.to_owned()));
        }
        let begins = authority.is_some()
            && !is_plain
            && !servers.no_server
            && !is_over_ssh(options)
            && options.tls_files()?.is_none()
            && texts(&servers.server_urls).is_empty()
            && texts(&options.seeds).is_empty();
        let is_joined = !is_plain && (is_known || token.is_some() || (authority.is_some() && !is_noop));
        Ok(Trust { is_joined, begins, token })
    }
}

/// Whether the servers are reached through another host.
#[cfg(all(feature = "etcd", feature = "ssh"))]
fn is_over_ssh(options: &WorldOptions) -> bool {
    options.ssh_url.is_some()
}

#[cfg(all(feature = "etcd", not(feature = "ssh")))]
fn is_over_ssh(_: &WorldOptions) -> bool {
    false
}

#[cfg(feature = "etcd")]
fn read_token(option: &str) -> Result<String, CommandError> {
    let Some(file) = option.strip_prefix('@') else { return Ok(option.to_owned()) };
    std::fs::read_to_string(file).map_err(|error| CommandError::Other(format!("`--join @{file}`: {error}")))
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
        if servers.no_network {
            return Servers::without_network(options, host, prefix, is_noop).await;
        }
        let trust = Trust::of(options, prefix, is_noop)?;
        let is_server = servers.serves() || trust.begins;
        if let (false, false, Some(option)) = (is_server, servers.no_server, servers.superfluous()) {
            return Err(CommandError::Other(format!("`{option}` is for a server of etcd: give `--server-urls` too")));
        }
        let serves = !is_noop && is_server;
        #[cfg(feature = "ssh")]
        if let (true, Some(_)) = (seeds.is_empty() && !trust.is_joined, &options.ssh_url) {
            let why = "`--ssh-url` leads to servers: name them with `--seeds`, as that host knows them";
            return Err(CommandError::Other(why.to_owned()));
        }
        if seeds.is_empty() && !serves && !trust.is_joined {
            return Ok(None);
        }
        let mut managed =
            crate::world::Managed::new(prefix.join(crate::resource::ETCD_DIR), host).seeds(seeds).noop(is_noop);
        if trust.is_joined {
            managed = managed.trust(prefix);
        }
        if let Some(token) = trust.token {
            managed = managed.join(token);
        }
        if let Some(url) = &servers.join_url {
            managed = managed.join_url(url);
        }
        if serves {
            let urls = if trust.begins { vec![ALONE.to_owned()] } else { texts(&servers.server_urls) };
            managed = managed
                .server_urls(urls)
                .client_urls(texts(&servers.client_urls))
                .advertise_server_urls(texts(&servers.advertise_server_urls))
                .advertise_client_urls(texts(&servers.advertise_client_urls));
        }
        #[cfg(feature = "ssh")]
        if let Some(forward) = options.forward()? {
            managed = managed.over_ssh(forward);
        }
        if let Some(program) = &servers.etcd {
            managed = managed.program(program);
        }
        if let Some(space) = servers.server_space {
            managed = managed.space(space);
        }
        if let Some(size) = servers.ideal_cluster_size {
            managed = managed.ideal_cluster_size(size);
        }
        if let Some(time) = servers.missing_max {
            managed = managed.missing_max(time);
        }
        if let Some([authority, certificate, key]) = options.tls_files()? {
            managed = managed.tls(authority, certificate, key);
        }
        let etcd = managed.start().await.map_err(|error| CommandError::Other(error.to_string()))?;
        // What is in a temporary directory is lost for the next run.
        Ok(Some(Servers { etcd, leaves: servers.leave || is_temporary }))
    }

    /// The server on sockets below the prefix.
    async fn without_network(
        options: &WorldOptions,
        host: &str,
        prefix: &Path,
        is_noop: bool,
    ) -> Result<Option<Servers>, CommandError> {
        options.check_no_network()?;
        if is_noop {
            return Ok(None);
        }
        let servers = &options.servers;
        let mut managed =
            crate::world::Managed::new(prefix.join(crate::resource::ETCD_DIR), host).trust(prefix).no_network();
        if let Some(program) = &servers.etcd {
            managed = managed.program(program);
        }
        if let Some(space) = servers.server_space {
            managed = managed.space(space);
        }
        let etcd = managed.start().await.map_err(|error| CommandError::Other(error.to_string()))?;
        Ok(Some(Servers { etcd, leaves: false }))
    }

    pub(crate) fn world(&self) -> Arc<dyn World> {
        Arc::new(self.etcd.world())
    }

    /// Ends the server of this host.
    pub(crate) async fn end(self) {
        /// How long another host may take to become a server instead.
        const LEAVE_MAX: Duration = Duration::from_secs(60);
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
        if servers.serves() || servers.no_network || servers.superfluous().is_some() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_bytes_with_a_unit_or_without_and_not_too_little() {
        assert_eq!((space("16777216"), space("512MiB"), space("8GiB")), (Ok(1 << 24), Ok(512 << 20), Ok(8 << 30)));
        for wrong in
            ["", "GiB", "8GB", "-1", "1.5GiB", "8 GiB", "18446744073709551616", "9223372036854775808", "99999999999GiB"]
        {
            assert!(space(wrong).unwrap_err().contains("no number of bytes"), "{wrong}");
        }
        assert!(space("1KiB").unwrap_err().contains("4MiB or more"));
    }
}
