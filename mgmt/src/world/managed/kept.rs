//! What this host remembers of its server and of the cluster, in a file below the prefix.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::sys::fs::{WriteFs, WriteOptions};
use crate::sys::ours;
use crate::sys::process::Earlier;
use crate::world::managed::error::ManagedError;
use crate::world::managed::raft_log::is_without_entries;
use crate::world::managed::url::Addresses;

const FILE: &str = "server.json";
const LOCK: &str = "lock";
const DATA: &str = "data";
/// Where the data of a member goes that was removed from the cluster.
const OLD_DATA: &str = "data.removed";
/// The most addresses of servers that are remembered.
const SERVERS_MAX: usize = 64;

/// How long a program that has just ended may still hold the directory.
const LOCK_MAX: Duration = Duration::from_secs(5);
const LOCK_LOOK: Duration = Duration::from_millis(20);

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// Where the server of this host listens.
    pub(super) addresses: Option<Addresses>,
    /// How the server has begun; `None`: there is none.
    pub(super) initial: Option<Initial>,
    /// The member that the data is of, as soon as it is known.
    pub(super) member: Option<u64>,
    /// The number of the cluster.
    pub(super) cluster: Option<u64>,
    /// The addresses of all servers for clients.
    pub(super) servers: BTreeSet<String>,
    /// The users of its etcd are set up. A first server lets no host in before.
    pub(super) has_users: bool,
    /// The process of the server that was started last.
    pub(super) process: Option<Earlier>,
}

/// How a server has begun: etcd needs this until it has data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Initial {
    /// The members with their addresses, in the form of etcd.
    pub(super) cluster: String,
    /// It is the first one.
    pub(super) is_new: bool,
}

/// The addresses of servers for clients that a program on this directory has come to know. It may be running.
pub(in crate::world) fn known_servers(dir: &Path) -> Vec<String> {
    let kept = fs::read(dir.join(FILE)).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    let Some(kept) = kept else { return Vec::new() };
    let own = kept.addresses.filter(|_| kept.initial.is_some()).map(|own| own.advertise_client).unwrap_or_default();
    kept.servers.into_iter().chain(own).collect()
}

/// The directory, with what is remembered.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    kept: Kept,
    /// No other program uses the directory as long as this is open.
    _lock: File,
}

impl Directory {
    /// Opens the directory, which is made if it is missing, for this program alone.
    pub(super) async fn open(path: &Path) -> Result<Directory, ManagedError> {
        let path = ours::make_dir(path)?;
        let lock = lock(&path).await?;
        let file = path.join(FILE);
        let kept = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| ManagedError::File {
                path: file,
                why: format!("can't be understood ({error}): restore it, or move the whole directory away"),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(ManagedError::File { path: file, why: error.to_string() }),
        };
        Ok(Directory { path, kept, _lock: lock })
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Whether the server of this host has begun.
    pub(super) fn has_data(&self) -> bool {
        self.data().join("member").exists()
    }

    /// Whether the first server of a cluster has begun and has no users yet.
    pub(super) fn is_beginning(&self) -> bool {
        !self.kept.has_users && self.kept.initial.as_ref().is_some_and(|initial| initial.is_new)
    }

    /// Whether the first server of a cluster has begun, has not been seen to answer, and has data that never held
    /// anything: etcd would not answer with it either.
    pub(super) fn has_begun_in_vain(&self) -> bool {
        let is_new = self.kept.initial.as_ref().is_some_and(|initial| initial.is_new);
        is_new && self.kept.member.is_none() && is_without_entries(&self.data())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes what is remembered. It is on disk when this returns.
    pub(super) fn keep(&mut self, change: impl FnOnce(&mut Kept)) -> Result<(), ManagedError> {
        let mut kept = self.kept.clone();
        change(&mut kept);
        while kept.servers.len() > SERVERS_MAX {
            kept.servers.pop_last();
        }
        if kept == self.kept {
            return Ok(());
        }
        let file = self.path.join(FILE);
        let failed = |why: String| ManagedError::File { path: file.clone(), why };
        let bytes = serde_json::to_vec_pretty(&kept).map_err(|error| failed(error.to_string()))?;
        WriteFs::new()
            .write_file(&file, &bytes[..], &WriteOptions::new().mode(0o600))
            .map_err(|error| failed(error.to_string()))?;
        self.kept = kept;
        Ok(())
    }

    /// The member was removed from the cluster: its data can't be used again, and is put aside.
    pub(super) fn put_data_aside(&mut self) -> Result<(), ManagedError> {
        let (data, old) = (self.data(), self.path.join(OLD_DATA));
        let failed = |error: io::Error| ManagedError::File { path: data.clone(), why: error.to_string() };
        if data.exists() {
            match fs::remove_dir_all(&old) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => fs::rename(&data, &old).map_err(failed)?,
            }
        }
        self.keep(|kept| (kept.initial, kept.member) = (None, None))
    }
}

/// The kernel releases the lock however the program ends.
async fn lock(dir: &Path) -> Result<File, ManagedError> {
    let path = dir.join(LOCK);
    let failed = |error: io::Error| ManagedError::File { path: path.clone(), why: error.to_string() };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if began.elapsed() > LOCK_MAX => {
                return Err(ManagedError::InUse(dir.to_owned()));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_LOOK).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_remembered_is_there_after_a_restart_and_removed_data_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd");
        let mut first = Directory::open(&path).await.unwrap();
        assert_eq!(*first.kept(), Kept::default());
        let initial = Initial { cluster: "a=https://a:1".to_owned(), is_new: true };
        first.keep(|kept| (kept.initial, kept.member) = (Some(initial), Some(u64::MAX))).unwrap();
        first.keep(|kept| kept.servers.extend((0..100).map(|n| format!("https://a:{n}")))).unwrap();
        assert!(matches!(Directory::open(&path).await, Err(ManagedError::InUse(_))));
        drop(first);
        let mut second = Directory::open(&path).await.unwrap();
        assert_eq!((second.kept().member, second.kept().servers.len()), (Some(u64::MAX), SERVERS_MAX));
        for text in ["one", "two"] {
            fs::create_dir_all(second.data()).unwrap();
            fs::write(second.data().join("member"), text).unwrap();
            second.put_data_aside().unwrap();
            assert!(!second.data().exists() && second.kept().initial.is_none());
            assert_eq!(fs::read_to_string(path.join(OLD_DATA).join("member")).unwrap(), text);
        }
        second.put_data_aside().unwrap();
        drop(second);
        fs::write(path.join(FILE), "{").unwrap();
        assert!(Directory::open(&path).await.unwrap_err().to_string().contains("can't be understood"));
    }
}
