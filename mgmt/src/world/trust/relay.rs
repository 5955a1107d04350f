//! Lets hosts in, and reaches the servers for them, that can't reach the servers by themselves: for a program that has
//! a way to both.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::Mutex;
use tokio::time::{Duration, timeout};

use crate::sys::ssh::Forward;
use crate::world::etcd::{Connection, Direct, Etcd, Way};
use crate::world::trust::access::{of_host, user};
use crate::world::trust::authority::Authority;
use crate::world::trust::error::TrustError;
use crate::world::trust::identity::{Identity, issue};
use crate::world::trust::membership::{Membership, servers};
use crate::world::trust::protocol::{Request, VERSION, is_host};
use crate::world::trust::users::{Allowed, admit, allowed, conflict};

/// How long the users of etcd are waited for.
const USERS_MAX: Duration = Duration::from_secs(5);
/// How long a server may take until it accepts a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The cluster of this host, for hosts that can't reach its servers: they exchange resources through this program. Each
/// of them has a key of its own, which never leaves it, and gets a certificate of its own: so etcd lets it do what that
/// host may, and not what this one may. Clones are the same.
#[derive(Clone, Debug)]
pub struct Relay {
    prefix: Arc<Path>,
    /// The fingerprint of the authority.
    authority: Arc<str>,
    /// Servers that were named.
    seeds: Arc<[String]>,
    /// How the servers are reached.
    way: Arc<dyn Way>,
    /// Of two hosts with one name, one is first.
    turn: Arc<Mutex<()>>,
}

/// What is offered to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// The fingerprint of the authority.
    pub(crate) authority: String,
    /// The addresses of the servers.
    pub(crate) servers: Vec<String>,
    /// The users of etcd with the name of the host; `None`: they are not known now.
    pub(crate) users: Option<Vec<String>>,
    /// Where a host that reaches it renews its certificates by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
}

impl Relay {
    /// The cluster that the host with this working directory (the prefix) belongs to; `None`: it belongs to none, or to
    /// one that has not begun. To let hosts in, it must have the authority; without that, it is for hosts that have
    /// joined already.
    ///
    /// # Errors
    /// Its key or certificates can't be read.
    pub fn open(prefix: impl Into<PathBuf>) -> Result<Option<Relay>, TrustError> {
        let prefix: PathBuf = prefix.into();
        let Some(identity) = Identity::open(&prefix)? else { return Ok(None) };
        if servers(&prefix, &identity).addresses().is_empty() {
            return Ok(None);
        }
        let authority = identity.authority().into();
        Ok(Some(Relay {
            prefix: prefix.into(),
            authority,
            seeds: Arc::default(),
            way: Arc::new(Direct),
            turn: Arc::default(),
        }))
    }

    /// Also the servers at these addresses.
    #[must_use]
    pub fn seeds(mut self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Relay {
        self.seeds = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// The servers are reached through a host that can, as by [`Etcd::over_ssh`]; `None`: directly.
    #[must_use]
    pub fn through(mut self, forward: Option<Forward>) -> Relay {
        self.way = match forward {
            Some(forward) => Arc::new(forward),
            None => Arc::new(Direct),
        };
        self
    }

    /// With all rights.
    fn root(&self) -> Result<Etcd, TrustError> {
        Ok(Membership::open(&*self.prefix)?.world().through(Arc::clone(&self.way)))
    }

    /// The addresses of the servers, as this host knows them now.
    pub(crate) fn servers(&self) -> Vec<String> {
        let mut all = match Identity::open(&self.prefix) {
            Ok(Some(identity)) => servers(&self.prefix, &identity).addresses(),
            _ => Vec::new(),
        };
        let news: Vec<String> = self.seeds.iter().filter(|seed| !all.contains(seed)).cloned().collect();
        all.extend(news);
        all
    }

    /// What the host with this name is offered.
    pub(crate) async fn offer(&self, host: &str) -> Offer {
        let users = async {
            let etcd = self.root().ok()?;
            let users = timeout(USERS_MAX, etcd.users()).await.ok()?.ok()?;
            Some(users.into_iter().filter(|user| user.starts_with(&of_host(host))).collect())
        };
        let (authority, servers, users) = (self.authority.to_string(), self.servers(), users.await);
        Offer { authority, servers, users, service: self.service() }
    }

    /// The join service of the cluster, if this host knows it.
    fn service(&self) -> Option<String> {
        let of_authority = || Authority::open(&*self.prefix).ok()??.service().ok()?;
        let of_identity = || Some(Identity::open(&self.prefix).ok()??.url().to_owned()).filter(|url| !url.is_empty());
        of_authority().or_else(of_identity)
    }

    /// Certificates for the host with this name, which asks for them with a request that it has signed with its key. It
    /// is let in if it is new.
    ///
    /// # Errors
    /// Why it gets none, in words.
    pub(crate) async fn certify(&self, host: &str, csr: String) -> Result<Json, String> {
        let certified = timeout(2 * USERS_MAX, self.certified(host, csr)).await;
        certified.unwrap_or_else(|_| Err("the servers of etcd do not answer".to_owned()))
    }

    async fn certified(&self, host: &str, csr: String) -> Result<Json, String> {
        let words = |error: TrustError| error.to_string();
        let authority = Authority::open(&*self.prefix).map_err(words)?.ok_or_else(|| {
            "the host from which this run is started does not have the authority of the cluster, so it can't let others in: \
             start it where `mgmt cluster init` was, or let this host join once with `mgmt run --join TOKEN`"
                .to_owned()
        })?;
        if !is_host(host) {
            return Err(words(TrustError::NoName(host.to_owned())));
        }
        let request = Request { version: VERSION, host: host.to_owned(), csr, token: None, names: Vec::new() };
        let checked = request.check()?;
        let user = user(host, &checked.key);
        let _turn = self.turn.lock().await;
        self.stay(&authority).map_err(words)?;
        let etcd = self.root().map_err(words)?;
        if allowed(&etcd, &user).await.map_err(words)?.is_none() {
            if let Some(why) = conflict(&etcd, host, &user).await.map_err(words)? {
                return Err(why);
            }
            admit(&etcd, host, &user, Allowed { serves: false, deploys: false }).await.map_err(words)?;
        }
        let certificates = issue(&authority, &checked.csr.public_key, &user, None, self.servers()).map_err(words)?;
        serde_json::to_value(certificates).map_err(|error| error.to_string())
    }

    /// Renews the certificates of this host if it is time, and no other program has.
    fn stay(&self, authority: &Authority) -> Result<(), TrustError> {
        match Identity::open(&self.prefix)? {
            Some(identity) if identity.renewal_in().is_zero() => {
                Identity::own(&self.prefix, authority, identity.host(), identity.names()).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// A connection to the server at this address, which must be one of the cluster.
    pub(crate) async fn connect(&self, address: &str) -> io::Result<Connection> {
        if !self.servers().iter().any(|server| server == address) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "no server of the cluster is there"));
        }
        let connected = timeout(CONNECT_MAX, self.way.connect(address)).await;
        connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A host that exchanges resources through another program.
#[derive(Debug)]
pub(crate) struct Guest {
    identity: Identity,
}

impl Guest {
    /// The host with this name whose identity is below this prefix; `None`: it has none there.
    ///
    /// # Errors
    /// It has joined another cluster, or under another name.
    pub(crate) fn known(prefix: &Path, host: &str, authority: &str) -> Result<Option<Guest>, TrustError> {
        let Some(identity) = Identity::open(prefix)? else { return Ok(None) };
        if identity.authority() != authority {
            return Err(TrustError::OtherCluster(identity.dir().to_owned()));
        }
        if identity.host() != host {
            let (was, is) = (identity.host().to_owned(), host.to_owned());
            return Err(TrustError::OtherHost { was, is, dir: identity.dir().to_owned() });
        }
        Ok(Some(Guest { identity }))
    }

    /// The request for certificates of the host with this prefix. Its key is made if it has none, and kept first.
    ///
    /// # Errors
    /// The key can't be made, kept or read.
    pub(crate) fn request(prefix: &Path) -> Result<String, TrustError> {
        let dir = super::identity::dir(prefix)?;
        super::identity::request(&super::identity::key(&dir)?)
    }

    /// Keeps the certificates that the host with this name got.
    ///
    /// # Errors
    /// They are not of this authority, or can't be kept.
    pub(crate) fn admitted(
        prefix: &Path,
        host: &str,
        authority: &str,
        certificates: Json,
    ) -> Result<Guest, TrustError> {
        let certificates: super::protocol::Certificates =
            serde_json::from_value(certificates).map_err(|error| TrustError::Certificate(error.to_string()))?;
        let dir = super::identity::dir(prefix)?;
        if super::authority::fingerprint(&certificates.authority)? != authority {
            return Err(TrustError::OtherCluster(dir));
        }
        let key = super::identity::key(&dir)?;
        // One that has joined by itself can renew its certificates by itself.
        let url = Identity::open(prefix)?.map(|identity| identity.url().to_owned()).unwrap_or_default();
        let identity = Identity::take(dir, key, host, &url, &certificates, &[])?;
        Ok(Guest { identity })
    }

    /// The same, which renews its certificates at this join service if it does so by itself. `None`: at the one that it
    /// knows, if any.
    ///
    /// # Errors
    /// It can't be kept.
    pub(crate) fn served_at(self, service: Option<&str>) -> Result<Guest, TrustError> {
        Ok(match service {
            Some(url) => Guest { identity: self.identity.served_at(url)? },
            None => self,
        })
    }

    /// Where it renews its certificates by itself, if it knows that.
    pub(crate) fn service(&self) -> Option<&str> {
        Some(self.identity.url()).filter(|url| !url.is_empty())
    }

    /// How long its certificates hold when they are new.
    pub(crate) fn life(&self) -> Duration {
        self.identity.life()
    }

    /// The user of etcd that this host is.
    pub(crate) fn user(&self) -> String {
        self.identity.user()
    }

    /// How long its certificates are left as they are.
    pub(crate) fn renewal_in(&self) -> Duration {
        self.identity.renewal_in()
    }

    /// The world of this host, whose servers at these addresses are reached by this way.
    ///
    /// # Errors
    /// Its certificates can't be read.
    pub(crate) fn world(&self, servers: Vec<String>, way: Arc<dyn Way>) -> Result<Etcd, TrustError> {
        let [authority, certificate, key] = self.identity.client()?;
        Ok(Etcd::new(servers).tls(authority, certificate, key).limited().through(way))
    }

    /// The world has the certificates of this host from now on.
    pub(crate) async fn renew(&self, world: &Etcd) -> Result<(), TrustError> {
        world.renew(self.identity.client()?).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cluster of the host `desk`, with these servers.
    fn relay(prefix: &Path, servers: &[&str]) -> Relay {
        let authority = Authority::builder().create(prefix).unwrap();
        let identity = Identity::own(prefix, &authority, "desk", &[]).unwrap();
        let authority = identity.authority().into();
        let none = Relay {
            prefix: prefix.into(),
            authority,
            seeds: Arc::default(),
            way: Arc::new(Direct),
            turn: Arc::default(),
        };
        none.seeds(servers.iter().copied())
    }

    #[tokio::test]
    async fn a_host_is_led_to_servers_of_the_cluster_alone() {
        let dir = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let relay = relay(dir.path(), &[&url]);
        assert!(relay.connect(&url).await.is_ok());
        for other in ["https://127.0.0.1:22", "http://127.0.0.1:80", "unix:/run/docker.sock", "", &format!("{url}/")] {
            let error = relay.connect(other).await.err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{other}");
        }
    }

    #[tokio::test]
    async fn an_identity_is_of_one_cluster_and_one_name() {
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [desk, other, host] = dirs.each_ref().map(tempfile::TempDir::path);
        let (relay, other) = (relay(desk, &[]), self::relay(other, &[]));
        assert!(Guest::known(host, "web1", &relay.authority).unwrap().is_none());
        // What the authority would answer if the users were set up.
        let answer = |relay: &Relay| {
            let request = Guest::request(host).unwrap();
            let request =
                Request { version: VERSION, host: "web1".to_owned(), csr: request, token: None, names: vec![] };
            let checked = request.check().unwrap();
            let authority = Authority::open(&*relay.prefix).unwrap().unwrap();
            let user = user("web1", &checked.key);
            let issued = issue(&authority, &checked.csr.public_key, &user, None, vec!["https://a:1".to_owned()]);
            (user, serde_json::to_value(issued.unwrap()).unwrap())
        };
        let (user, certificates) = answer(&relay);
        let foreign = Guest::admitted(host, "web1", &other.authority, certificates.clone());
        assert!(matches!(foreign, Err(TrustError::OtherCluster(_))), "{foreign:?}");
        let guest = Guest::admitted(host, "web1", &relay.authority, certificates).unwrap();
        assert!(guest.user() == user && !guest.renewal_in().is_zero());
        // The key stays, so the host is the same user the next time.
        assert_eq!(answer(&relay).0, user);
        assert_eq!(Guest::known(host, "web1", &relay.authority).unwrap().unwrap().user(), user);
        let known = |name: &str, relay: &Relay| Guest::known(host, name, &relay.authority).unwrap_err();
        assert!(matches!(known("web2", &relay), TrustError::OtherHost { .. }));
        assert!(matches!(known("web1", &other), TrustError::OtherCluster(_)));
        // Without servers that answer, no host is let in.
        let refused = relay.certify("web1", "no request".to_owned()).await.unwrap_err();
        assert!(refused.contains("can't be used"), "{refused}");
        assert!(relay.certify("", Guest::request(host).unwrap()).await.unwrap_err().contains("1 to 253 bytes"));
    }
}
