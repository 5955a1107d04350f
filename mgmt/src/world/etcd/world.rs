//! The world as a program gives it to engines: addresses and certificates.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::resource::{Member, World};
use crate::sys::rng;
use crate::world::etcd::address::{EtcdError, check};
use crate::world::etcd::line::Line;
use crate::world::etcd::member::{ANSWER_MAX, ANY_KEY, EtcdMember, words};
use crate::world::etcd::socket::socket;
use crate::world::etcd::way::{Direct, Way, reach};

/// How long a server may take until it answers for the first time: it may be far away.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A server that has not answered by then may be away: the next one is asked too.
const NEXT: Duration = Duration::from_secs(1);
/// A connection without an answer for this long is asked for a sign of life, which may take as long again. So a cut
/// that sends no packet is noticed, also while nothing is asked.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A world in etcd (3.4 or later), in one that runs already. Clones share one connection.
///
/// A program that can write to it decides what runs on all hosts that collect. So it is reached encrypted and with
/// certificates (`https://`); without encryption (`http://`) only on this host, where every local user can then write
/// to it, unless etcd itself requires more.
///
/// ```no_run
/// # fn certificates() -> std::io::Result<()> {
/// use mgmt::{Engine, world::Etcd};
/// let world = Etcd::new(["https://10.0.0.1:2379", "https://10.0.0.2:2379"]).tls(
///     std::fs::read("/etc/mgmt/ca.pem")?,
///     std::fs::read("/etc/mgmt/host.pem")?,
///     std::fs::read("/etc/mgmt/host.key")?,
/// );
/// let engine = Engine::builder().world(world.checked()?);
/// # drop(engine);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Etcd {
    /// Clones share them: they change when servers come and go.
    addresses: Arc<RwLock<Vec<String>>>,
    /// Clones share them: they change when certificates are renewed.
    tls: Arc<RwLock<Option<TlsOptions>>>,
    link: Arc<Mutex<Link>>,
    /// See [`Etcd::reports_progress`].
    reports_progress: Arc<OnceCell<bool>>,
    line: Line,
    /// Its host may read only some keys.
    is_limited: bool,
    /// How its servers are reached; `None`: directly.
    way: Option<Arc<dyn Way>>,
}

/// The connection to one of the servers.
#[derive(Default)]
struct Link {
    client: Option<Client>,
    /// The address to which it leads.
    address: String,
    /// How many connections were lost.
    lost: u64,
    /// The server to which the next one leads, counted on and on.
    next: usize,
    /// It was reported that it is not encrypted.
    is_reported: bool,
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Etcd {
    /// The etcd with servers at these addresses: `https://HOST:PORT`, or on this host `unix:/PATH` or
    /// `http://127.0.0.1:PORT`. One is enough; with several, others are used when one is away.
    pub fn new(addresses: impl IntoIterator<Item = impl Into<String>>) -> Etcd {
        Etcd {
            addresses: Arc::new(RwLock::new(addresses.into_iter().map(Into::into).collect())),
            tls: Arc::default(),
            link: Arc::new(Mutex::new(Link { next: first(), ..Link::default() })),
            reports_progress: Arc::default(),
            line: Line::default(),
            is_limited: false,
            way: None,
        }
    }

    /// The certificate of the authority that has signed those of the servers, and the certificate and the key of this
    /// host, all as PEM. Default: none, which `https://` needs.
    #[must_use]
    pub fn tls(mut self, authority: impl AsRef<[u8]>, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Etcd {
        self.tls = Arc::new(RwLock::new(Some(tls_options(authority, certificate, key))));
        self
    }

    /// The same certificates at other addresses.
    #[must_use]
    pub fn at(&self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Etcd {
        let (tls, way) = (Arc::clone(&self.tls), self.way.clone());
        Etcd { tls, way, is_limited: self.is_limited, ..Etcd::new(addresses) }
    }

    /// The same world, whose servers are reached through a host that can: their addresses are those that it knows them
    /// by. What is sent is encrypted for the server (`https://`), or the server is on that host (`http://127.0.0.1`).
    #[cfg(feature = "ssh")]
    #[must_use]
    pub fn over_ssh(self, forward: crate::sys::ssh::Forward) -> Etcd {
        self.through(Arc::new(forward))
    }

    /// How its servers are reached.
    pub(in crate::world) fn way(&self) -> Arc<dyn Way> {
        self.way.clone().unwrap_or_else(|| Arc::new(Direct))
    }

    /// The same world, whose servers are reached by this way.
    #[must_use]
    pub(crate) fn through(mut self, way: Arc<dyn Way>) -> Etcd {
        self.way = Some(way);
        self
    }

    /// The same world, of a host that may read only some keys.
    #[must_use]
    pub(in crate::world) fn limited(mut self) -> Etcd {
        self.is_limited = true;
        self
    }

    pub(super) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// The same servers for a host with other certificates: its connection is one of its own.
    pub(in crate::world) fn of(&self, [authority, certificate, key]: [Vec<u8>; 3]) -> Etcd {
        Etcd { way: self.way.clone(), ..Etcd::new(self.addresses()).tls(authority, certificate, key) }
    }

    /// Clones have these certificates too from now on. The present connection is given up; watches keep theirs.
    pub(in crate::world) async fn renew(&self, [authority, certificate, key]: [Vec<u8>; 3]) {
        let options = tls_options(authority, certificate, key);
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = Some(options);
        let mut link = self.link.lock().await;
        if link.client.take().is_some() {
            link.lost += 1;
        }
    }

    fn options(&self) -> Option<TlsOptions> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same world, if its addresses can be used. An engine that is given one that was not checked reports the same
    /// error when it uses it, and continues without.
    ///
    /// # Errors
    /// What is wrong with the addresses.
    pub fn checked(self) -> std::io::Result<Etcd> {
        match self.problem() {
            Some(problem) => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, problem)),
            None => Ok(self),
        }
    }

    /// What is wrong with the addresses.
    pub(in crate::world) fn problem(&self) -> Option<EtcdError> {
        let addresses = self.addresses();
        if addresses.is_empty() {
            return Some(EtcdError::NoAddress);
        }
        addresses.iter().find_map(|address| match check(address) {
            Ok(_) if self.way.is_some() && socket(address).is_some() => Some(EtcdError::NoUrl(address.clone())),
            Ok(true) if self.options().is_none() => Some(EtcdError::NoCertificates(address.clone())),
            checked => checked.err(),
        })
    }

    /// A connection to a server that answers, and its number. It is made when it is first used, and with the next
    /// server after it was lost.
    pub(super) async fn client(&self) -> Result<(Client, u64), String> {
        if let Some(problem) = self.problem() {
            return Err(problem.to_string());
        }
        let mut link = self.link.lock().await;
        if let Some(client) = &link.client {
            return Ok((client.clone(), link.lost));
        }
        let mut addresses = self.addresses();
        let count = addresses.len().max(1);
        addresses.rotate_left(link.next % count);
        // Counted before: the caller may not wait so long.
        link.next += 1;
        let (client, address) = self.connect_to_one(addresses).await?;
        link.next = self.addresses().iter().position(|other| *other == address).map_or(link.next, |place| place + 1);
        if address.starts_with("http://") && !std::mem::replace(&mut link.is_reported, true) {
            tracing::warn!(target: "mgmt", "{}", plain(&address));
        }
        (link.client, link.address) = (Some(client.clone()), address);
        Ok((client, link.lost))
    }

    /// A connection to the first of these servers that answers. They are asked one after the other; one that does not
    /// answer soon is not waited for.
    async fn connect_to_one(&self, addresses: Vec<String>) -> Result<(Client, String), String> {
        let (mut asked, mut problems) = (JoinSet::new(), Vec::new());
        let mut rest = addresses.into_iter();
        loop {
            if let Some(address) = rest.next() {
                let world = self.clone();
                asked.spawn(async move {
                    let connected = tokio::time::timeout(CONNECT_MAX, world.connect(&address)).await;
                    let connected = connected.unwrap_or_else(|_| Err(format!("no answer within {CONNECT_MAX:?}")));
                    connected.map(|client| (client, address.clone())).map_err(|why| format!("{address}: {why}"))
                });
            }
            let has_more = rest.len() > 0;
            tokio::select! {
                answer = asked.join_next() => match answer {
                    Some(Ok(Ok(connected))) => return Ok(connected),
                    Some(Ok(Err(why))) => problems.push(why),
                    Some(Err(ended)) => problems.push(ended.to_string()),
                    None => return Err(problems.join("; ")),
                },
                () = tokio::time::sleep(NEXT), if has_more => {}
            }
        }
    }

    async fn connect(&self, address: &str) -> Result<Client, String> {
        let client = self.reach(address).await?;
        // The connection is made with the first question.
        client
            .kv_client()
            .get(ANY_KEY, Some(GetOptions::new().with_count_only()))
            .await
            .map_err(|error| words(&error))?;
        Ok(client)
    }

    /// A connection to the server at this address, which may not answer.
    pub(super) async fn reach(&self, address: &str) -> Result<Client, String> {
        let options = ConnectOptions::new().with_keep_alive(KEEP_ALIVE, KEEP_ALIVE).with_keep_alive_while_idle(true);
        // A server that has lost the others reports it, and does not just fall silent.
        let options = options.with_connect_timeout(CONNECT_MAX).with_require_leader(true);
        if self.way.is_some() || socket(address).is_some() {
            let way = self.way();
            let endpoint = self.endpoint(address).map_err(|error| error.to_string())?;
            let endpoint = endpoint.connect_timeout(CONNECT_MAX);
            let endpoint = endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE);
            let endpoint = endpoint.keep_alive_while_idle(true);
            return reach(way, address, endpoint, options).await.map_err(|error| words(&error));
        }
        let options = match self.options() {
            Some(tls) => options.with_tls(tls),
            None => options,
        };
        Client::connect([address], Some(options)).await.map_err(|error| words(&error))
    }

    /// The server at this address, for a connection that is made by a way.
    fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        match self.options() {
            Some(tls) if socket(address).is_none() => Endpoint::from_shared(address.to_owned())?.tls_config(tls),
            _ => Ok(Endpoint::from_static("http://localhost")),
        }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// It was reported already that some of its addresses are not encrypted.
    pub(in crate::world) async fn reported(&self) {
        self.link.lock().await.is_reported = true;
    }

    /// The addresses of its servers.
    pub(in crate::world) fn addresses(&self) -> Vec<String> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its servers are at these addresses from now on. A connection to another one is given up.
    pub(crate) async fn follow(&self, addresses: Vec<String>) {
        if self.addresses() == addresses {
            return;
        }
        addresses.clone_into(&mut self.addresses.write().unwrap_or_else(PoisonError::into_inner));
        let mut link = self.link.lock().await;
        if !addresses.contains(&link.address) && link.client.take().is_some() {
            link.lost += 1;
        }
    }

    /// Whether this address can be used.
    pub(in crate::world) fn accepts(&self, address: &str) -> bool {
        // With certificates, no server that does not show one is followed.
        check(address).is_ok_and(|is_encrypted| is_encrypted == self.options().is_some())
    }

    /// The connection of that number gives no answers: the next one leads to another server.
    pub(super) async fn lose(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.lost == number && link.client.take().is_some() {
            link.lost += 1;
        }
    }
}

/// What an address without encryption means.
pub(in crate::world) fn plain(url: &str) -> String {
    format!(
        "{url} is not encrypted: every user of this host can read and change what the hosts share, and so decide what \
         runs on all of them"
    )
}

fn tls_options(authority: impl AsRef<[u8]>, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> TlsOptions {
    TlsOptions::new().ca_certificate(Certificate::from_pem(authority)).identity(Identity::from_pem(certificate, key))
}

impl Etcd {
    /// Whether its servers report the progress of watches when these have really got that far.
    pub(super) async fn reports_progress(&self) -> Result<bool, String> {
        let ask = || async {
            let (client, number) = self.client().await?;
            // A connection that has ended meanwhile gives no answer at all.
            let Ok(status) = tokio::time::timeout(ANSWER_MAX, client.maintenance_client().status()).await else {
                self.lose(number).await;
                return Err(format!("no answer within {ANSWER_MAX:?}"));
            };
            let status = status.map_err(|error| words(&error))?;
            let is_new = has_sound_progress(status.version());
            if !is_new {
                let version = status.version();
                tracing::debug!(target: "mgmt", parent: None, "etcd {version} is asked more often than 3.4.31, 3.5.13 and later versions");
            }
            Ok(is_new)
        };
        self.reports_progress.get_or_try_init(ask).await.copied()
    }
}

/// Which server is tried first: not the same one by all hosts. Without random numbers it is, which only costs load.
fn first() -> usize {
    let number = rng::number().unwrap_or_default() % 1024;
    usize::try_from(number).unwrap_or_default()
}

fn has_sound_progress(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|number| number.parse::<u64>().unwrap_or_default());
    match [numbers.next(), numbers.next(), numbers.next()].map(Option::unwrap_or_default) {
        [3, 4, patch] => patch >= 31,
        [3, 5, patch] => patch >= 13,
        version => version >= [3, 6, 0],
    }
}

impl World for Etcd {
    fn member(&self, host: &str) -> Arc<dyn Member> {
        Arc::new(EtcdMember { world: self.clone(), host: host.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, sound) in [
            ("3.4.23", false),
            ("3.4.31", true),
            ("3.5.9", false),
            ("3.5.13", true),
            ("3.5.16", true),
            ("3.6.0-rc.1", true),
            ("3.10.0", true),
            ("4.0.0", true),
            ("3.3.99", false),
            ("", false),
        ] {
            assert_eq!(has_sound_progress(version), sound, "{version}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused() {
        let problem = |addresses: &[&str]| Etcd::new(addresses.to_vec()).checked().unwrap_err().to_string();
        assert!(problem(&[]).contains("no address"));
        assert!(problem(&["http://127.0.0.1:1", "http://10.0.0.1:1"]).contains("http://10.0.0.1:1 is not encrypted"));
        assert!(problem(&["https://10.0.0.1:1"]).contains("needs certificates"));
        assert!(Etcd::new(["http://127.0.0.1:1"]).checked().is_ok());
    }
}
