//! The hosts of a cluster, for a program on a host with all rights.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::resource::ETCD_DIR;
use crate::world::etcd::Etcd;
use crate::world::managed::known_servers;
use crate::world::trust::error::TrustError;
use crate::world::trust::identity::Identity;
use crate::world::trust::users::{forget, hosts, set_deploys};

/// A host that has joined a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JoinedHost {
    /// Its name.
    pub name: String,
    /// Whether it may run a server of etcd.
    pub serves: bool,
    /// Whether it may deploy.
    pub deploys: bool,
}

/// Which hosts belong to a cluster, and what they may do. Only a host that may serve can read and change it.
#[derive(Clone, Debug)]
pub struct Membership {
    etcd: Etcd,
    /// This host.
    own: String,
}

impl Etcd {
    /// The world of the cluster that the host with this working directory (the prefix) has joined; `None`: it has
    /// joined none, or has the authority of a cluster that has not begun.
    ///
    /// # Errors
    /// Its key or certificates can't be read.
    pub fn joined(prefix: impl AsRef<Path>) -> Result<Option<Etcd>, TrustError> {
        let prefix = prefix.as_ref();
        let Some(identity) = Identity::open(prefix)? else { return Ok(None) };
        let servers = servers(prefix, &identity);
        if servers.addresses().is_empty() {
            return Ok(None);
        }
        Ok(Some(servers.of(identity.client()?).limited()))
    }
}

/// The servers that this host knows, without certificates.
pub(super) fn servers(prefix: &Path, identity: &Identity) -> Etcd {
    let mut addresses = known_servers(&prefix.join(ETCD_DIR));
    addresses.extend(identity.endpoints().iter().cloned());
    let mut known: Vec<String> = Vec::new();
    addresses.into_iter().for_each(|address| {
        if !known.contains(&address) {
            known.push(address);
        }
    });
    Etcd::new(known)
}

impl Membership {
    /// The cluster of the host with this working directory (the prefix).
    ///
    /// # Errors
    /// The host has joined none, or may not change it.
    pub fn open(prefix: impl AsRef<Path>) -> Result<Membership, TrustError> {
        let prefix = prefix.as_ref();
        let identity = Identity::open(prefix)?.ok_or_else(|| TrustError::NotJoined(PathBuf::from(prefix)))?;
        if !identity.serves() {
            return Err(TrustError::NoRights);
        }
        let own = identity.host().to_owned();
        Ok(Membership { etcd: servers(prefix, &identity).of(identity.root()?), own })
    }

    /// The world of the cluster, with all rights.
    pub fn world(&self) -> Etcd {
        self.etcd.clone()
    }

    /// The hosts that have joined, in the order of their names.
    ///
    /// # Errors
    /// No server answers.
    pub async fn hosts(&self) -> Result<Vec<JoinedHost>, TrustError> {
        let hosts = hosts(&self.etcd).await?;
        let joined = |(name, allowed): (String, super::users::Allowed)| JoinedHost {
            name,
            serves: allowed.serves,
            deploys: allowed.deploys,
        };
        Ok(hosts.into_iter().map(joined).collect())
    }

    /// Lets a host deploy, or no longer.
    ///
    /// # Errors
    /// No host of that name has joined, or no server answers.
    pub async fn set_deploys(&self, host: &str, deploys: bool) -> Result<(), TrustError> {
        set_deploys(&self.etcd, host, deploys).await
    }

    /// Forgets a host: its certificates are refused from now on, and its exports, its own values and its state are
    /// gone. A new host of that name inherits nothing. If this is cut short, it can be done again.
    ///
    /// # Errors
    /// No host of that name has joined, it is this host, or no server answers.
    pub async fn forget(&self, host: &str) -> Result<(), TrustError> {
        if host == self.own {
            return Err(TrustError::ForgetsItself);
        }
        forget(&self.etcd, host).await
    }
}
