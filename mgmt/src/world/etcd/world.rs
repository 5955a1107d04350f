//! The world as a program gives it to engines: addresses and certificates.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions};
use tokio::sync::{Mutex, OnceCell};

use crate::resource::{Member, World};
use crate::sys::rng;
use crate::world::etcd::address::{EtcdError, check};
use crate::world::etcd::line::Line;
use crate::world::etcd::member::{ANSWER_MAX, ANY_KEY, EtcdMember, words};

/// How long a server may take until it answers for the first time.
const CONNECT_MAX: Duration = Duration::from_secs(2);
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
    tls: Option<TlsOptions>,
    link: Arc<Mutex<Link>>,
    /// See [`Etcd::reports_progress`].
    reports_progress: Arc<OnceCell<bool>>,
    line: Line,
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
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Etcd {
    /// The etcd with servers at these addresses: `https://HOST:PORT`, or `http://127.0.0.1:PORT` on this host. One is
    /// enough; with several, others are used when one is away.
    pub fn new(addresses: impl IntoIterator<Item = impl Into<String>>) -> Etcd {
        Etcd {
            addresses: Arc::new(RwLock::new(addresses.into_iter().map(Into::into).collect())),
            tls: None,
            link: Arc::new(Mutex::new(Link { next: first(), ..Link::default() })),
            reports_progress: Arc::default(),
            line: Line::default(),
        }
    }

    /// The certificate of the authority that has signed those of the servers, and the certificate and the key of this
    /// host, all as PEM. Default: none, which `https://` needs.
    #[must_use]
    pub fn tls(mut self, authority: impl AsRef<[u8]>, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Etcd {
        let identity = Identity::from_pem(certificate, key);
        let options = TlsOptions::new().ca_certificate(Certificate::from_pem(authority)).identity(identity);
        self.tls = Some(options);
        self
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
            Ok(true) if self.tls.is_none() => Some(EtcdError::NoCertificates(address.clone())),
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
        let mut problems = Vec::new();
        let addresses = self.addresses();
        for _ in &addresses {
            if let Some(client) = &link.client {
                return Ok((client.clone(), link.lost));
            }
            let address = &addresses[link.next % addresses.len()];
            // Counted before: the caller may not wait so long.
            link.next += 1;
            let connected = tokio::time::timeout(CONNECT_MAX, self.connect(address)).await;
            match connected.unwrap_or_else(|_| Err(format!("no answer within {CONNECT_MAX:?}"))) {
                Ok(client) => (link.client, link.address) = (Some(client), address.clone()),
                Err(why) => problems.push(format!("{address}: {why}")),
            }
        }
        link.client.clone().map(|client| (client, link.lost)).ok_or_else(|| problems.join("; "))
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
        let options = match &self.tls {
            Some(tls) => options.with_tls(tls.clone()),
            None => options,
        };
        Client::connect([address], Some(options)).await.map_err(|error| words(&error))
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// The addresses of its servers.
    pub(in crate::world) fn addresses(&self) -> Vec<String> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its servers are at these addresses from now on. A connection to another one is given up.
    pub(in crate::world) async fn follow(&self, addresses: Vec<String>) {
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
        check(address).is_ok_and(|is_encrypted| !is_encrypted || self.tls.is_some())
    }

    /// The connection of that number gives no answers: the next one leads to another server.
    pub(super) async fn lose(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.lost == number && link.client.take().is_some() {
            link.lost += 1;
        }
    }
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
                tracing::info!(target: "mgmt", "etcd {version} is asked more often than 3.4.31, 3.5.13 and later versions");
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
