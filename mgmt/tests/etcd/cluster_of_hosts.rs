//! A cluster with an authority, for one test: hosts that join with tokens.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mgmt::resource::{Condition, Keys, LeaseId, Member, Transaction, World as _, WorldError, Write};
use mgmt::world::{Authority, Etcd, Invitation, Managed, ManagedError, ManagedEtcd};

/// The prefixes of hosts, below a directory of their own. The host `web1` has the authority.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
}

impl Cluster {
    /// With certificates that hold for so long.
    pub(crate) fn new(life: Duration) -> Cluster {
        let cluster = Cluster { dir: tempfile::tempdir().unwrap() };
        Authority::builder().certificate_life(life).create(cluster.prefix("web1")).unwrap();
        cluster
    }

    /// The working directory of a host.
    pub(crate) fn prefix(&self, host: &str) -> PathBuf {
        self.dir.path().join(host)
    }

    /// The part of a host, before it starts.
    pub(crate) fn host(&self, host: &str) -> Managed {
        managed(&self.prefix(host), host)
    }

    /// The host with the authority, which runs the first server.
    pub(crate) async fn first(&self) -> ManagedEtcd {
        self.host("web1").server_urls(["https://127.0.0.1:0"]).start().await.unwrap()
    }

    pub(crate) fn authority(&self) -> Authority {
        Authority::open(self.prefix("web1")).unwrap().unwrap()
    }

    pub(crate) fn token(&self, invitation: Invitation) -> String {
        invitation.token(&self.authority()).unwrap()
    }

    /// A host that joins, or has joined.
    pub(crate) async fn joined(&self, host: &str) -> ManagedEtcd {
        self.host(host).join(self.token(Invitation::default())).start().await.unwrap()
    }

    /// The same connection that an engine of this host has.
    pub(crate) fn world(&self, host: &str) -> Etcd {
        Etcd::joined(self.prefix(host)).unwrap().unwrap()
    }
}

/// With the etcd of the environment.
pub(crate) fn managed(prefix: &Path, host: &str) -> Managed {
    let managed = Managed::new(prefix.join("etcd"), host).trust(prefix);
    match std::env::var_os("MGMT_ETCD") {
        Some(etcd) => managed.program(etcd),
        None => managed,
    }
}

/// Why a host could not start.
pub(crate) async fn refusal(host: Managed) -> String {
    match host.start().await {
        Ok(_) => panic!("it was let in"),
        Err(error) => words(&error),
    }
}

fn words(error: &ManagedError) -> String {
    error.to_string()
}

/// Writes a key as this member.
pub(crate) async fn put(member: &dyn Member, key: &str, value: &str) -> Result<(), WorldError> {
    put_with(member, key, value, None).await
}

pub(crate) async fn put_with(
    member: &dyn Member,
    key: &str,
    value: &str,
    lease: Option<LeaseId>,
) -> Result<(), WorldError> {
    let mut transaction = Transaction::default();
    transaction.writes.insert(key.to_owned(), Write::Put(value.as_bytes().into(), lease));
    member.commit(transaction).await.map(drop)
}

/// Removes a key as this member, on a condition that always holds for keys that do not exist.
pub(crate) async fn remove(member: &dyn Member, key: &str) -> Result<(), WorldError> {
    let mut transaction = Transaction::default();
    transaction.conditions.push(Condition { key: "/mgmt".to_owned(), written: None });
    transaction.writes.insert(key.to_owned(), Write::Remove);
    member.commit(transaction).await.map(drop)
}

pub(crate) async fn get(member: &dyn Member, keys: Keys) -> Result<Vec<String>, WorldError> {
    Ok(member.get(vec![keys]).await?.entries.into_keys().collect())
}

/// Waits until it succeeds.
pub(crate) async fn in_the_end(limit: Duration, mut works: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !works().await {
        assert!(began.elapsed() < limit, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The access of a host under the name of any.
pub(crate) fn member(world: &Etcd, host: &str) -> std::sync::Arc<dyn Member> {
    world.member(host)
}
