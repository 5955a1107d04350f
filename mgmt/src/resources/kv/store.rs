//! The store of this host: a file for each key, below the engine's working directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::paths::shown;
use crate::sys::fs::{Attributes, Digest, ReadFs, WriteFs, WriteOptions};

/// The longest key, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 4096;
/// The largest file of the store, in bytes: values of many hosts, with escapes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is stored under a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    key: String,
    /// The value that all hosts share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The value of each host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    hosts: BTreeMap<String, String>,
}

impl Stored {
    /// The value of this host, or without a host the one that all share.
    pub(super) fn value(&self, host: Option<&str>) -> Option<&String> {
        match host {
            Some(host) => self.hosts.get(host),
            None => self.value.as_ref(),
        }
    }

    fn set(&mut self, host: Option<&str>, value: Option<String>) {
        match (host, value) {
            (None, value) => self.value = value,
            (Some(host), Some(value)) => drop(self.hosts.insert(host.to_owned(), value)),
            (Some(host), None) => drop(self.hosts.remove(host)),
        }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.hosts.is_empty()
    }
}

/// The file of a key, in the directory of the store.
pub(super) fn file(dir: &Path, key: &str) -> PathBuf {
    let mut name = String::new();
    Digest::of(key.as_bytes()).as_bytes().iter().for_each(|byte| _ = write!(name, "{byte:02x}"));
    dir.join(name + ".json")
}

/// What is stored under the key in this file.
pub(super) fn read(fs: &ReadFs, file: &Path, key: &str) -> Result<Stored> {
    let bytes = match fs.read_file(file, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(Stored { key: key.to_owned(), ..Stored::default() }),
        Err(error) => return Err(error.into()),
    };
    let problem = match serde_json::from_slice::<Stored>(&bytes) {
        Ok(stored) if stored.key == key => return Ok(stored),
        Ok(_) => "it belongs to another key".to_owned(),
        Err(error) => error.to_string(),
    };
    let why = format!("the store can't be read, {}: {problem}; remove the file to begin with no value", shown(file));
    Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(file)))
}

/// Sets or removes the value in this file. What is stored beside it stays.
pub(super) fn write(fs: &WriteFs, file: &Path, key: &str, host: Option<&str>, value: Option<String>) -> Result<()> {
    let mut stored = read(fs, file, key)?;
    stored.set(host, value);
    if stored.is_empty() {
        fs.remove_file(file)?;
        return Ok(());
    }
    if let Some(dir) = file.parent() {
        fs.make_dirs(dir, &Attributes::new().mode(0o700))?;
    }
    fs.write_file(file, &serde_json::to_vec(&stored)?, &WriteOptions::new().mode(0o600))?;
    Ok(())
}
