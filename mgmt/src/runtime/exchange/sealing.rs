//! The key of this host, with which others seal what is for it alone; and the exports that are sealed.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::graph::{ExportKey, ExportPlace, Offers, export_key, seal_key, sealed_entry, sealed_parts};
use crate::resource::{
    Attempts, Followed, Following, Keys, Member, Snapshot, TRUST_DIR, Transaction, Why, Write, part_of,
};
use crate::runtime::exchange::settings::InForce;
use crate::sys::fs::{Links, ReadFs, WriteFs, WriteOptions};
use crate::sys::ours;
use crate::sys::seal::{CAN_SEAL, SealKey, seal};
use crate::sys::task::blocking;

/// The pause after this host has written its key, so that two hosts with one name do not write all the time.
const REWRITTEN: Duration = Duration::from_secs(5);
/// The file of the key.
const SEAL_KEY: &str = "seal.key";
/// The most bytes of it.
const KEY_BYTES_MAX: u64 = 4096;

/// The key of a host, and what it has opened with it. Clones share both.
#[derive(Clone, Default)]
pub(crate) struct Sealing(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Where the key is kept. Empty: nowhere.
    path: PathBuf,
    key: Option<Arc<SealKey>>,
    /// The sealed entries that were opened last, by their keys in the world.
    opened: HashMap<String, Opened>,
    /// The exports of this host that were sealed last, by what they are bound to.
    made: HashMap<String, Made>,
}

/// An export of this host that is sealed.
struct Made {
    plain: Arc<[u8]>,
    recipient: String,
    entry: Arc<[u8]>,
}

/// An export of this host that must be sealed.
#[derive(Clone)]
pub(super) struct ToSeal {
    pub(super) place: ExportPlace,
    pub(super) name: String,
    pub(super) plain: Arc<[u8]>,
    /// The key of the host that it is for.
    pub(super) recipient: String,
}

impl Inner {
    /// The key of this host; `None`: it has none yet, or can't read it.
    fn key(&mut self) -> Option<Arc<SealKey>> {
        if self.key.is_none() && !self.path.as_os_str().is_empty() && CAN_SEAL {
            match read_key(&self.path) {
                Ok(key) => self.key = key.map(Arc::new),
                Err(why) => tracing::error!(target: "mgmt", "{why}"),
            }
        }
        self.key.clone()
    }

    /// The key of this host, which is made once.
    fn made_key(&mut self) -> Result<Arc<SealKey>, String> {
        if let Some(key) = &self.key {
            return Ok(Arc::clone(key));
        }
        let key = match read_key(&self.path)? {
            Some(key) => key,
            None => {
                let key = SealKey::make().ok_or("this program was built without the feature `etcd`")?;
                write_key(&self.path, &key)?;
                key
            }
        };
        Ok(Arc::clone(self.key.insert(Arc::new(key))))
    }
}

fn read_key(path: &Path) -> Result<Option<SealKey>, String> {
    let wrong = |why: &str| {
        format!("the key in {} can't be used: {why}; move the file away, and the host gets another one", path.display())
    };
    let fs = ReadFs::new().links(Links::Follow);
    let Some(_) = fs.stat(path).map_err(|error| wrong(&error.to_string()))? else { return Ok(None) };
    let bytes = fs.read_file(path, KEY_BYTES_MAX).map_err(|error| wrong(&error.to_string()))?;
    let text = zeroize::Zeroizing::new(String::from_utf8(bytes).map_err(|_| wrong("it is no text"))?);
    SealKey::read(&text).map(Some).map_err(wrong)
}

fn write_key(path: &Path, key: &SealKey) -> Result<(), String> {
    let wrong = |why: String| format!("the key of this host can't be kept in {}: {why}", path.display());
    if let Some(dir) = path.parent() {
        ours::make_dir(dir).map_err(|error| wrong(error.to_string()))?;
    }
    let options = WriteOptions::new().mode(0o600);
    let written = WriteFs::new().links(Links::Follow).write_file(path, key.line().as_bytes(), &options);
    written.map(drop).map_err(|error| wrong(error.to_string()))
}

/// An entry as the world has it, and what is in it.
struct Opened {
    sealed: Arc<[u8]>,
    plain: Arc<[u8]>,
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing")
    }
}

/// What a sealed entry begins with: whose export it is, so that no other host can give it out as its own.
fn bound(place: &ExportPlace, host: &str, name: &str) -> String {
    export_key(place, host, name, 0)
}

impl Sealing {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key is kept below this working directory.
    pub(super) fn keep_below(&self, prefix: &Path) {
        self.with(|inner| inner.path = prefix.join(TRUST_DIR).join(SEAL_KEY));
    }

    /// The exports that these entries of the world are. Those that are sealed for this host are opened. Blocks.
    pub(super) fn offers(&self, snapshot: &Snapshot) -> Offers {
        self.with(|inner| {
            let key = inner.key();
            let mut before = std::mem::take(&mut inner.opened);
            for (at, entry) in &snapshot.entries {
                let Some((_, sealed)) = sealed_parts(&entry.value) else { continue };
                let plain = match before.remove(at).filter(|opened| opened.sealed == entry.value) {
                    Some(opened) => Some(opened.plain),
                    None => key.as_ref().and_then(|key| open(key, at, sealed)),
                };
                if let Some(plain) = plain {
                    inner.opened.insert(at.clone(), Opened { sealed: Arc::clone(&entry.value), plain });
                }
            }
            let value = |key: &str, sealed| inner.opened.get(key).map_or(sealed, |opened| &opened.plain);
            Offers::of(snapshot.entries.iter().map(|(key, entry)| (key.as_str(), value(key, &entry.value))))
        })
    }

    /// The key of this host, which is made if there is none.
    pub(super) async fn make_key(&self) -> Result<String, String> {
        let sealing = self.clone();
        blocking(move || sealing.with(Inner::made_key)).await.map(|key| key.public())
    }

    /// The entries of these exports of this host, each sealed for its recipient and for this host itself. `before`:
    /// what the world has of each. If that is the same, it stays, so that nothing is written. Blocks.
    pub(super) fn sealed(
        &self,
        host: &str,
        all: &[ToSeal],
        before: &[Option<Arc<[u8]>>],
    ) -> Result<Vec<Arc<[u8]>>, String> {
        self.with(|inner| {
            let mut last = std::mem::take(&mut inner.made);
            let mut entries = Vec::with_capacity(all.len());
            for (export, before) in all.iter().zip(before.iter().map(Option::as_ref)) {
                let at = bound(&export.place, host, &export.name);
                let is_same = |made: &Made| made.plain == export.plain && made.recipient == export.recipient;
                let entry = match (before, last.remove(&at).filter(is_same)) {
                    (None, Some(made)) => made.entry,
                    (Some(before), Some(made)) if made.entry == *before => made.entry,
                    (before, _) => {
                        let key = inner.made_key()?;
                        let plain = [at.as_bytes(), b"\n", &export.plain].concat();
                        let is_there = |before: &&Arc<[u8]>| is_sealed_as(before, &key, &export.recipient, &plain);
                        match before.filter(is_there) {
                            Some(before) => Arc::clone(before),
                            None => sealed_entry(
                                &export.recipient,
                                &seal(&plain, &[export.recipient.as_str(), &key.public()])?,
                            ),
                        }
                    }
                };
                let (plain, recipient) = (Arc::clone(&export.plain), export.recipient.clone());
                inner.made.insert(at, Made { plain, recipient, entry: Arc::clone(&entry) });
                entries.push(entry);
            }
            Ok(entries)
        })
    }
}

/// Whether one of these entries is sealed.
pub(super) fn has_sealed(snapshot: &Snapshot) -> bool {
    snapshot.entries.values().any(|entry| sealed_parts(&entry.value).is_some())
}

/// Whether an entry is sealed for that recipient and has that in it.
fn is_sealed_as(entry: &[u8], key: &SealKey, recipient: &str, plain: &[u8]) -> bool {
    sealed_parts(entry)
        .is_some_and(|(of, sealed)| of == recipient && key.open(sealed).is_ok_and(|opened| opened == plain))
}

/// The keys under which these hosts keep what others need to seal something for them.
pub(super) fn keys_of<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Vec<Keys> {
    hosts.into_iter().map(|host| Keys::One(seal_key(host))).collect()
}

/// The key of that host, as the world has it.
pub(super) fn recipient(state: &Snapshot, host: &str) -> Option<String> {
    let entry = state.entries.get(&seal_key(host))?;
    Some(String::from_utf8_lossy(&entry.value).into_owned())
}

/// Keeps the key of this host in the world as soon as its graph collects something. Runs for ever.
pub(super) async fn keep_key(member: Arc<dyn Member>, sealing: Sealing, mut in_force: watch::Receiver<InForce>) {
    let collects = |in_force: &InForce| in_force.as_ref().is_some_and(|all| !all.declared.collects.is_empty());
    if !CAN_SEAL || in_force.wait_for(collects).await.is_err() {
        return std::future::pending().await;
    }
    let mut attempts = Attempts::new("letting others seal what they export for this host");
    let own = seal_key(member.host());
    let mut following = Following::new(Arc::clone(&member), vec![Keys::One(own.clone())], Attempts::unreported());
    let key: Arc<[u8]> = loop {
        match sealing.make_key().await {
            Ok(key) => break key.into_bytes().into(),
            Err(why) => sleep(attempts.failed(Why::Own(why))).await,
        }
    };
    loop {
        if let Followed::Failed(pause) = following.next().await {
            sleep(pause).await;
            continue;
        }
        while following.state().entries.get(&own).is_none_or(|entry| entry.value != key) {
            let put = Write::Put(Arc::clone(&key), None);
            let transaction = Transaction { conditions: Vec::new(), writes: [(own.clone(), put)].into() };
            match member.commit(transaction).await {
                Ok(_) => {
                    attempts.succeeded();
                    sleep(REWRITTEN + part_of(REWRITTEN)).await;
                    break;
                }
                Err(error) => sleep(attempts.failed(&error)).await,
            }
        }
    }
}

/// What is sealed in the entry with that key in the world; `None`: it was not sealed for this host, or it was sealed as
/// another export.
fn open(key: &SealKey, at: &str, sealed: &[u8]) -> Option<Arc<[u8]>> {
    let ExportKey::Export { place, host, name, .. } = ExportKey::of(at)? else { return None };
    let opened = key.open(sealed).ok()?;
    opened.strip_prefix(bound(&place, &host, &name).as_bytes())?.strip_prefix(b"\n").map(Arc::from)
}
