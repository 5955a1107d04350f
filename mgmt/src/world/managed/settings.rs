//! An etcd that this program runs itself, as a program sets it up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::resource::{Member, World};
use crate::sys::ours;
use crate::world::elastic::{IDEAL_SIZE, MISSING_MAX};
use crate::world::etcd::{Direct, Etcd, Way, plain};
use crate::world::managed::error::ManagedError;
use crate::world::managed::kept::Directory;
use crate::world::managed::program;
use crate::world::managed::runner::{Runner, Wish};
use crate::world::managed::size::ServerCount;
use crate::world::managed::trusted::Trusted;
use crate::world::managed::url::{Addresses, Wanted, local_address, sockets};
use crate::world::trust::is_there;

/// The default of [`Managed::start_max`].
const START_MAX: Duration = Duration::from_secs(60);
/// How long a host that stops may take to leave first, if too few servers would be left without it.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// A world in an etcd that hosts run themselves: one starts it, others join, up to a number of servers; servers that
/// die are replaced. Needs the program `etcd` (3.4 or later).
///
/// ```no_run
/// # async fn first() -> Result<(), Box<dyn std::error::Error>> {
/// use mgmt::{Engine, world::Managed};
/// let servers = Managed::new("/var/lib/mgmt/etcd", "web1")
///     .server_urls(["https://10.0.0.1:2380"])
///     .tls("/etc/mgmt/ca.pem", "/etc/mgmt/web1.pem", "/etc/mgmt/web1.key")
///     .start()
///     .await?;
/// let engine = Engine::builder().world(servers.world()).hostname("web1").start().await?;
/// // …
/// engine.stop().await?;
/// servers.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Managed {
    pub(super) host: String,
    pub(super) dir: PathBuf,
    pub(super) program: PathBuf,
    pub(super) wanted: Wanted,
    pub(super) seeds: Vec<String>,
    pub(super) size: usize,
    /// The authority, the certificate and the key.
    pub(super) tls: Option<[PathBuf; 3]>,
    /// The working directory with an authority or an identity.
    pub(super) trust: Option<PathBuf>,
    pub(super) join: Option<String>,
    pub(super) join_url: Option<String>,
    pub(super) is_noop: bool,
    /// Its server has no network.
    pub(super) is_local: bool,
    pub(super) start_max: Duration,
    pub(super) space: Option<u64>,
    pub(super) missing_max: Duration,
    /// How servers and the join service are reached.
    pub(super) way: Arc<dyn Way>,
    is_over_ssh: bool,
}

fn texts(urls: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    urls.into_iter().map(Into::into).collect()
}

impl Managed {
    /// The server of the host with this name, whose data is in this directory. It is made if it is missing, and must
    /// belong to the user of this program.
    pub fn new(dir: impl Into<PathBuf>, host: impl Into<String>) -> Managed {
        Managed {
            host: host.into(),
            dir: dir.into(),
            program: PathBuf::from("etcd"),
            wanted: Wanted::default(),
            seeds: Vec::new(),
            size: IDEAL_SIZE,
            tls: None,
            trust: None,
            join: None,
            join_url: None,
            is_noop: false,
            is_local: false,
            start_max: START_MAX,
            space: None,
            missing_max: MISSING_MAX,
            way: Arc::new(Direct),
            is_over_ssh: false,
        }
    }

    /// The program. Default: `etcd`, looked up in `PATH`.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Managed {
        self.program = program.into();
        self
    }

    /// Where the server of this host listens for other servers: `https://HOST:PORT`, or on this host alone
    /// `http://127.0.0.1:PORT`, which every local user can reach. The port 0 is one that is free; it stays the same as
    /// long as the server has data. A server with data that gets other addresses becomes known at them. Default: none,
    /// and this host does not run a server.
    pub fn server_urls(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Managed {
        self.wanted.server = texts(urls);
        self
    }

    /// The server of this host listens on unix sockets in its directory alone, which only the user of this program (and
    /// root) can reach: no other host, no other user, and no certificates. So it is the only one, for engines on this
    /// host; other programs reach it with [`Etcd::on_sockets_in`]. Default: no.
    pub fn no_network(mut self) -> Managed {
        self.is_local = true;
        self
    }

    /// Where the server of this host listens for clients. Default: the host of the first one of
    /// [`Managed::server_urls`], with port 2379, or with a free one if that has port 0.
    pub fn client_urls(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Managed {
        self.wanted.client = texts(urls);
        self
    }

    /// Where clients on other hosts reach the server. Default: [`Managed::client_urls`].
    pub fn advertise_client_urls(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Managed {
        self.wanted.advertise_client = texts(urls);
        self
    }

    /// Where servers on other hosts reach the server. Default: [`Managed::server_urls`].
    pub fn advertise_server_urls(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Managed {
        self.wanted.advertise_server = texts(urls);
        self
    }

    /// The addresses of servers that run already, for clients; one that answers is enough. All others are remembered.
    /// Default: none, and this host is the first server, unless it remembers others.
    pub fn seeds(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Managed {
        self.seeds = texts(urls);
        self
    }

    /// How many servers there should be. Only the first server sets it; [`ManagedEtcd::set_size`] changes it. At least
    /// 1. Default: 5.
    pub fn ideal_cluster_size(mut self, size: u16) -> Managed {
        self.size = usize::from(size).max(1);
        self
    }

    /// Files with the certificate of the authority, and with the certificate and the key of this host, as PEM. Servers
    /// use them among one another and for clients, and accept no host without a certificate of this authority.
    pub fn tls(
        mut self,
        authority: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Managed {
        self.tls = Some([authority.into(), certificate.into(), key.into()]);
        self
    }

    /// The working directory (the prefix) below which the authority of the cluster is
    /// ([`Authority`](crate::world::Authority)), or the certificates that this host got when it joined. With them,
    /// servers accept no host that has not joined, and let each one write its own keys alone. Default: none.
    pub fn trust(mut self, prefix: impl Into<PathBuf>) -> Managed {
        self.trust = Some(prefix.into());
        self
    }

    /// Joins a cluster with this token, unless this host has joined already. Needs [`Managed::trust`], where its key
    /// and its certificates are kept. The servers of the cluster are then seeds.
    pub fn join(mut self, token: impl Into<String>) -> Managed {
        self.join = Some(token.into());
        self
    }

    /// Where other hosts join, if this one has the authority: `https://HOST:PORT`. Default: where clients reach the
    /// server of this host, with port 2378, or with a free one if [`Managed::server_urls`] has port 0.
    pub fn join_url(mut self, url: impl Into<String>) -> Managed {
        self.join_url = Some(url.into());
        self
    }

    /// The servers, and the join service, are reached through a host that can: see [`Etcd::over_ssh`]. A host that runs
    /// a server itself needs no such way, and others would not reach it. Default: directly.
    #[cfg(feature = "ssh")]
    pub fn over_ssh(mut self, forward: crate::sys::ssh::Forward) -> Managed {
        self.way = Arc::new(forward);
        self.is_over_ssh = true;
        self
    }

    /// Only looks at the cluster: lets no host in, and grants nothing. Default: no.
    pub fn noop(mut self, is_noop: bool) -> Managed {
        self.is_noop = is_noop;
        self
    }

    /// Whether its cluster has an authority.
    pub(super) fn is_trusted(&self) -> bool {
        self.tls.is_none() && (self.join.is_some() || self.trust.as_ref().is_some_and(|prefix| is_there(prefix)))
    }

    /// Whether this host runs a server, or is ready to.
    pub(super) fn serves(&self) -> bool {
        !self.wanted.server.is_empty()
    }

    /// How long the first server may take until it answers. Default: 60 seconds.
    pub fn start_max(mut self, time: Duration) -> Managed {
        self.start_max = time;
        self
    }

    /// How many bytes the file of the server may have; see `--quota-backend-bytes` of etcd. A server that needs more
    /// forgets its history and writes its file again; until then no server accepts writes. Default: that of etcd, which
    /// is 2 GiB.
    pub fn space(mut self, bytes: u64) -> Managed {
        self.space = Some(bytes);
        self
    }

    /// How long a server whose host is gone stays one of the servers, in addition to the 15 seconds after which its
    /// lease ends; then another host takes its place. A host that comes back in that time continues with its data, so
    /// it should be longer than a restart takes. The host that decides uses its own value: give all the same. Default:
    /// 60 seconds.
    pub fn missing_max(mut self, time: Duration) -> Managed {
        self.missing_max = time;
        self
    }

    /// Starts what this host does for the world: it runs a server, volunteers to run one, or only follows the servers.
    /// A first server answers when this returns.
    ///
    /// # Errors
    /// The addresses, the directory or the program can't be used, or the first server does not come up.
    pub async fn start(mut self) -> Result<ManagedEtcd, ManagedError> {
        if self.is_over_ssh && (self.serves() || self.is_local) {
            return Err(ManagedError::ServesOverSsh);
        }
        if self.is_local {
            self.check_local()?;
            self.wanted = Wanted::local();
        }
        let mut dir = Directory::open(&self.dir).await?;
        if self.serves() {
            program::examine(&self.program).await?;
            choose_addresses(&self, &mut dir)?;
        }
        let trusted = Trusted::open(&self, &dir).await?;
        let own = dir.kept().addresses.clone().filter(|_| self.serves());
        let mut addresses: Vec<String> = Vec::new();
        let joined = trusted.iter().flat_map(|trusted| trusted.identity.endpoints());
        for address in self.seeds.iter().chain(&dir.kept().servers).chain(joined) {
            let is_own = own.iter().any(|own| own.advertise_client.contains(address));
            if !addresses.contains(address) && (!is_own || dir.has_data()) && !self.is_local {
                addresses.push(address.clone());
            }
        }
        if let (Some(own), true) = (&own, dir.has_data()) {
            // It may have other addresses than those that were known.
            let news: Vec<String> =
                own.advertise_client.iter().filter(|url| !addresses.contains(url)).cloned().collect();
            addresses.extend(news);
        }
        let is_first = self.serves() && addresses.is_empty() && !dir.has_data();
        if let (true, Some(own)) = (addresses.is_empty(), &own) {
            // As long as no other one is known.
            addresses.extend(own.advertise_client.clone());
        }
        let mut world = Etcd::new(addresses);
        if self.is_over_ssh {
            world = world.through(Arc::clone(&self.way));
        }
        if let Some(files) = &self.tls {
            let [authority, certificate, key] = files.each_ref().map(|file| read(file));
            world = world.tls(authority?, certificate?, key?);
        }
        let (mut servers, mut server) = (world.clone(), None);
        if let Some(trusted) = &trusted {
            world = world.of(trusted.identity.client()?).limited();
            server = trusted.server()?;
            servers = match &server {
                Some(_) if is_first || dir.is_beginning() => world.of(trusted.identity.beginning()?),
                Some(server) => world.of(server.root.clone()),
                None => world.clone(),
            };
        }
        if let Some(problem) = world.problem() {
            return Err(problem.into());
        }
        if self.serves() {
            // With its own addresses.
            world.reported().await;
        }
        let (wish, wishes) = watch::channel(Wish::Serve);
        let settings = self.clone();
        let mut runner = Runner::new(self, dir, servers.clone(), world.clone(), server, wishes);
        let addresses = runner.servers.subscribe();
        runner.begin(is_first).await?;
        let work = match trusted {
            Some(trusted) => trusted.begin(&settings, own.as_ref(), world.clone(), servers).await?,
            None => JoinSet::new(),
        };
        Ok(ManagedEtcd { world, servers: addresses, wish, task: tokio::spawn(runner.run()), _work: work })
    }

    /// Refuses what a server without a network can't have.
    fn check_local(&self) -> Result<(), ManagedError> {
        let has = [
            (!self.wanted.is_empty(), "the addresses of the server"),
            (!self.seeds.is_empty(), "`--seeds`"),
            (self.join.is_some() || self.join_url.is_some(), "`--join` and `--join-url`"),
            (self.tls.is_some(), "`--tls-ca`, `--tls-cert` and `--tls-key`"),
            (self.is_trusted(), "the prefix of a cluster with an authority"),
        ];
        has.into_iter().find(|(has, _)| *has).map_or(Ok(()), |(_, what)| Err(ManagedError::NoNetwork(what)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ManagedError> {
    std::fs::read(path).map_err(|error| ManagedError::File { path: path.to_owned(), why: error.to_string() })
}

/// The addresses of an earlier run, if they were chosen for the same wishes.
fn choose_addresses(settings: &Managed, dir: &mut Directory) -> Result<(), ManagedError> {
    if settings.is_local {
        ours::make_dir(&sockets(dir.path()))?;
    }
    let is_met = |addresses: &&Addresses| settings.wanted.is_met_by(addresses) && !settings.is_local;
    let remembered = dir.kept().addresses.as_ref().filter(is_met);
    let mut addresses = match remembered {
        Some(addresses) => addresses.clone(),
        None if settings.is_local => Addresses::local(dir.path()),
        None => settings.wanted.choose(settings.tls.is_some() || settings.is_trusted())?,
    };
    if let (Some(known), true) = (&dir.kept().addresses, dir.has_data()) {
        let before = known.advertise_server.join(", ");
        if !settings.wanted.can_follow(known) {
            let why = format!(
                "its server is known to others at {before}: give addresses of the same kind, or let it leave the cluster first"
            );
            return Err(ManagedError::File { path: dir.path().to_owned(), why });
        }
        if settings.wanted.has_servers_of(known) {
            // Ports that were chosen stay.
            (addresses.server, addresses.advertise_server) = (known.server.clone(), known.advertise_server.clone());
        } else if known.advertise_server != addresses.advertise_server {
            let now = addresses.advertise_server.join(", ");
            tracing::info!(target: "mgmt", "the server of etcd moves from {before} to {now}, as other servers will learn");
        }
    }
    if settings.tls.is_none() {
        for url in addresses.plain() {
            if settings.is_trusted() {
                return Err(ManagedError::PlainInCluster(url.to_owned()));
            }
            tracing::warn!(target: "mgmt", "{}", plain(url));
        }
    }
    dir.keep(|kept| {
        // Clients find it where it is now.
        let known = kept.servers.len();
        if let Some(before) = &kept.addresses {
            kept.servers.retain(|url| !before.advertise_client.contains(url));
        }
        if kept.servers.len() < known {
            kept.servers.extend(addresses.advertise_client.iter().cloned());
        }
        kept.addresses = Some(addresses);
    })
}

impl Etcd {
    /// The etcd that runs without a network in this directory ([`Managed::no_network`]), or will.
    pub fn on_sockets_in(dir: impl AsRef<Path>) -> Etcd {
        Etcd::new([local_address(dir.as_ref())])
    }
}

/// The part of this host in an etcd that hosts run themselves. If it is dropped, its server is killed.
#[derive(Debug)]
pub struct ManagedEtcd {
    world: Etcd,
    servers: watch::Receiver<Vec<String>>,
    wish: watch::Sender<Wish>,
    task: JoinHandle<()>,
    /// What lets this host and others stay in the cluster.
    _work: JoinSet<()>,
}

impl Drop for ManagedEtcd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ManagedEtcd {
    /// The world. It follows the servers when they come and go.
    pub fn world(&self) -> Etcd {
        self.world.clone()
    }

    /// The addresses of the servers for clients, as far as this host knows them now. Those that have not joined yet are
    /// not among them.
    pub fn servers(&self) -> Vec<String> {
        self.servers.borrow().clone()
    }

    /// Sets how many servers there should be, at least 1.
    ///
    /// # Errors
    /// The world can't be reached, or does not permit it.
    pub async fn set_size(&self, size: u16) -> Result<(), crate::resource::WorldError> {
        let member: Arc<dyn Member> = self.world.member("");
        ServerCount::set(&*member, size).await
    }

    /// Stops the server of this host; its data stays for the next start. If too few of the other servers would be left,
    /// it leaves the cluster first, as far as that is possible within some seconds.
    pub async fn stop(self) {
        self.end(Wish::Stop(LEAVE_MAX)).await;
    }

    /// Leaves the cluster, and stops the server: another host takes its place first, if there is one. Gives up after
    /// this time, and then only stops. The last server of all stays a member: it only stops.
    pub async fn leave(self, time_max: Duration) {
        self.end(Wish::Leave(time_max)).await;
    }

    async fn end(mut self, wish: Wish) {
        self.wish.send_replace(wish);
        // Its end is all that matters: what went wrong is reported.
        let _ = (&mut self.task).await;
    }
}
