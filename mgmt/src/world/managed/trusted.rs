//! How this host is let in, and lets others in: its identity, and the work that goes with it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::world::etcd::{Etcd, UNIX};
use crate::world::managed::error::ManagedError;
use crate::world::managed::kept::Directory;
use crate::world::managed::settings::Managed;
use crate::world::managed::url::Addresses;
use crate::world::trust::{
    Authority, Gate, Identity, JoinToken, ServerFiles, Stay, TrustError, join, keep_grants, serve,
};

/// The port of the join service, next to that of etcd for clients.
const JOIN_PORT: u16 = 2378;

/// What a host has whose cluster has an authority.
#[derive(Debug)]
pub(super) struct Trusted {
    prefix: PathBuf,
    authority: Option<Authority>,
    pub(super) identity: Identity,
    names: Vec<String>,
}

/// The files of the server, and what it needs to begin.
#[derive(Clone, Debug)]
pub(super) struct ServerIdentity {
    pub(super) user: String,
    /// Before the users of etcd are set up, and from then on.
    pub(super) beginning: ServerFiles,
    pub(super) files: ServerFiles,
    /// The certificate of all rights.
    pub(super) root: [Vec<u8>; 3],
}

impl Trusted {
    /// The identity of this host; it joins if it must. `None`: it uses certificates of another authority, or none.
    pub(super) async fn open(settings: &Managed, dir: &Directory) -> Result<Option<Trusted>, ManagedError> {
        let (Some(prefix), None) = (&settings.trust, &settings.tls) else {
            return match &settings.join {
                Some(_) => Err(ManagedError::JoinsWithTls),
                None => Ok(None),
            };
        };
        let plain = settings.seeds.iter().find(|seed| seed.starts_with("http://") || seed.starts_with(UNIX));
        if let (Some(seed), true) = (plain, settings.is_trusted()) {
            return Err(ManagedError::PlainInCluster(seed.clone()));
        }
        let host = settings.host.as_str();
        let addresses = dir.kept().addresses.as_ref().filter(|_| settings.serves());
        let names = addresses.map(Addresses::hosts).unwrap_or_default();
        let token = settings.join.as_deref().map(str::parse::<JoinToken>).transpose()?;
        let authority = Authority::open(prefix)?;
        let identity = Identity::open(prefix)?;
        let identity = match (&authority, identity, &token) {
            (Some(authority), _, Some(token)) if !token.is_of(&authority.fingerprint()) => {
                return Err(TrustError::OtherCluster(prefix.clone()).into());
            }
            (_, Some(identity), Some(token)) if !token.is_of(identity.authority()) => {
                return Err(TrustError::OtherCluster(identity.dir().to_owned()).into());
            }
            (_, Some(identity), _) => identity,
            (Some(authority), None, _) => Identity::own(prefix, authority, host, &names)?,
            (None, None, Some(token)) => join(prefix, token, host, &names, &*settings.way).await?,
            (None, None, None) => return Ok(None),
        };
        if identity.host() != host {
            let (was, is) = (identity.host().to_owned(), host.to_owned());
            return Err(TrustError::OtherHost { was, is, dir: identity.dir().to_owned() }.into());
        }
        if settings.serves() && !identity.serves() {
            return Err(TrustError::NoServer.into());
        }
        // One that runs no server now keeps the names that it had.
        let names = if settings.serves() { names } else { identity.names().to_vec() };
        let has_authority = authority.is_some();
        let (prefix, way) = (prefix.clone(), Arc::clone(&settings.way));
        let stay = Stay { prefix, identity, names, has_authority, clients: vec![], roots: vec![], way };
        let (stay, renewed) = stay.renew_if_due().await;
        if let Err(error) = renewed {
            tracing::warn!(target: "mgmt", "the certificates of this host can't be renewed now: {error}");
        }
        let Stay { prefix, identity, names, .. } = stay;
        Ok(Some(Trusted { prefix, authority, identity, names }))
    }

    /// What its server needs, if it may run one.
    pub(super) fn server(&self) -> Result<Option<ServerIdentity>, ManagedError> {
        if !self.identity.serves() {
            return Ok(None);
        }
        Ok(Some(ServerIdentity {
            user: self.identity.user(),
            beginning: self.identity.server_files(false),
            files: self.identity.server_files(true),
            root: self.identity.root()?,
        }))
    }

    /// Starts what continues as long as this host is in the cluster: it renews its certificates, grants what others
    /// ask for, and lets others in. `world` is that of the host, and `servers` that of its server.
    pub(super) async fn begin(
        self,
        settings: &Managed,
        own: Option<&Addresses>,
        world: Etcd,
        servers: Etcd,
    ) -> Result<JoinSet<()>, ManagedError> {
        let mut work = JoinSet::new();
        let serves = self.identity.serves();
        let has_authority = self.authority.is_some();
        if let Some(authority) = self.authority.filter(|_| !settings.is_noop) {
            let url = match &settings.join_url {
                Some(url) => Some(url.clone()),
                None => join_url(&authority, own)?,
            };
            if let Some(url) = url {
                let gate = Gate::listen(authority, servers.clone(), &url).await?;
                work.spawn(serve(gate));
            }
        }
        if serves && !settings.is_noop {
            work.spawn(keep_grants(servers.clone(), settings.host.clone()));
        }
        let (clients, roots) = (vec![world], if serves { vec![servers] } else { Vec::new() });
        let (prefix, identity, names) = (self.prefix, self.identity, self.names);
        let way = Arc::clone(&settings.way);
        work.spawn(Stay { prefix, identity, names, has_authority, clients, roots, way }.keep());
        Ok(work)
    }
}

/// Where hosts join by default: where clients reach the server of this host. A free port stays the same.
fn join_url(authority: &Authority, own: Option<&Addresses>) -> Result<Option<String>, TrustError> {
    let was = authority.service()?;
    let Some(own) = own else { return Ok(was) };
    let Some(url) = own.join_url(JOIN_PORT) else { return Ok(was) };
    let host_of = |url: &str| url.rsplit_once(':').map(|(host, _)| host.to_owned());
    match was {
        Some(was) if url.ends_with(":0") && host_of(&was) == host_of(&url) => Ok(Some(was)),
        _ => Ok(Some(url)),
    }
}
