//! Records: what was there before a resource first changed it, in files of their own.
//!
//! `PREFIX/records/<kind>/<name>/record`, with copies of contents beside it. The directory is readable by the engine's
//! user alone, since the contents may be secrets. A record is written as a whole, and is on disk before the change.

use std::collections::BTreeSet;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::id::ResourceId;
use crate::resource::error::{Context as _, Error, Result};
use crate::resource::meta::{Backoff, Meta};
use crate::resource::private_dirs::PrivateDirs;
use crate::resource::reverse::Reverse;
use crate::resource::seconds;
use crate::sys::fs::{Attributes, Digest, FsError, Saved, SavedBytes, WriteFs, WriteOptions};

/// The directory of the records, in the prefix.
pub(crate) const RECORDS: &str = "records";
/// The directory of a trial, in the prefix.
pub(crate) const TRIAL: &str = "trial";
/// The directory of the records of a trial, in the prefix.
pub(crate) const TRIAL_RECORDS: &str = "trial/records";
/// The name of a record in its directory.
const RECORD: &str = "record";
/// The form of the first line of a record; the digest of the rest follows.
const FORM: &str = "mgmt record 1 ";
/// The longest record, in bytes.
const RECORD_BYTES_MAX: u64 = 256 << 20;

/// What the engine notes in a record besides what the kind does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The resources before this one that may have a record too: they are undone after it.
    pub(crate) after: Vec<ResourceId>,
    /// The paths that the resource owns.
    pub(crate) owns: Vec<SavedBytes>,
    /// The settings of the undo, as they were declared when this was recorded.
    #[serde(default)]
    pub(crate) settings: UndoSettings,
    /// The change was a refresh, which must be made again when the resources of `after` are undone: so this one is
    /// undone after them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) refreshed: bool,
}

/// Where an operation records what is there before it changes anything.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// For the time when the resource has left the graph.
    pub(crate) reverse: Option<Arc<Head>>,
    /// For the end of a trial that is not confirmed.
    pub(crate) trial: Option<Arc<Head>>,
}

/// The metaparameters that an undo obeys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UndoSettings {
    retry: i32,
    #[serde(with = "seconds")]
    delay: Duration,
    backoff: Backoff,
    #[serde(with = "seconds::option")]
    timeout: Option<Duration>,
}

impl Default for UndoSettings {
    fn default() -> UndoSettings {
        UndoSettings::of(&Meta::default())
    }
}

impl UndoSettings {
    pub(crate) fn of(meta: &Meta) -> UndoSettings {
        let Meta { retry, delay, backoff, timeout, .. } = *meta;
        UndoSettings { retry, delay, backoff, timeout }
    }

    pub(crate) fn to_meta(&self) -> Meta {
        let UndoSettings { retry, delay, backoff, timeout } = *self;
        Meta::with(|meta| {
            (meta.reverse, meta.retry, meta.delay, meta.backoff, meta.timeout) = (true, retry, delay, backoff, timeout);
        })
    }
}

/// A record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The resource that made the changes, or has taken them over.
    pub(crate) id: ResourceId,
    #[serde(flatten)]
    pub(crate) head: Head,
    /// What the kind has recorded.
    pub(crate) data: Json,
}

/// What is in a directory of records.
#[derive(Debug)]
pub(crate) enum Found {
    /// A record.
    Whole(Box<Record>),
    /// The file at this path is no record, or a damaged one.
    Damaged {
        /// The directory of the record.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// What a run records whose changes are put back unless it is confirmed.
#[derive(Debug)]
pub(crate) struct TrialRecords {
    pub(crate) records: Records,
    /// Whether changes are made all the same that can't be put back.
    pub(crate) is_partial: bool,
    is_over: AtomicBool,
}

impl TrialRecords {
    pub(crate) fn new(records: Records, is_partial: bool) -> TrialRecords {
        TrialRecords { records, is_partial, is_over: AtomicBool::new(false) }
    }

    /// Whether changes must still be recorded.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
    }

    /// The run is confirmed.
    pub(crate) fn close(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

/// The records of a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    dirs: PrivateDirs,
    /// The resources that have a record.
    known: Arc<Mutex<BTreeSet<ResourceId>>>,
}

impl Records {
    /// The records of a prefix. Reads nothing.
    pub(crate) fn new(prefix: &Path) -> Records {
        Records { dirs: PrivateDirs::of_another_sort(prefix, RECORDS), known: Arc::default() }
    }

    /// The records of a trial in this prefix. Reads nothing.
    pub(crate) fn of_trial(prefix: &Path) -> Records {
        Records { dirs: PrivateDirs::of_another_sort(prefix, TRIAL_RECORDS), known: Arc::default() }
    }

    /// Takes over these records of others, which have been loaded, except for resources that have a record here: the
    /// state before their first change is known already. Returns whose records were taken over. Blocks.
    ///
    /// # Errors
    /// One can't be moved.
    pub(crate) fn adopt(&self, others: &Records, fs: &WriteFs) -> Result<Vec<ResourceId>> {
        let mut adopted = Vec::new();
        let ids: Vec<ResourceId> = others.known().iter().cloned().collect();
        for id in ids {
            let (from, to) = (others.dir(&id), self.dir(&id));
            if to.join(RECORD).exists() {
                continue;
            }
            if let Some(kind) = to.parent() {
                make_dir(fs, kind)?;
            }
            // What is there has no record.
            let _ = fs::remove_dir_all(&to);
            fs::rename(&from, &to).context(format_args!("the record in {}", from.display()))?;
            others.known().remove(&id);
            self.known().insert(id.clone());
            adopted.push(id);
        }
        Ok(adopted)
    }

    /// Reads all records. With `cleans`, removes what a crash has left of incomplete ones. Blocks.
    pub(crate) fn load(&self, cleans: bool) -> Vec<Found> {
        let mut all = Vec::new();
        let mut dirs = self.dirs.list();
        dirs.sort_by(|a, b| a.path.cmp(&b.path));
        for dir in dirs {
            if cleans {
                // What killed writes have left may hold secrets. If this fails, the next start tries again.
                let _ = WriteFs::new().clean_temporary_files(&dir.path);
            }
            match read(&dir.path.join(RECORD)) {
                Ok(Some(record)) => {
                    let is_elsewhere = self.dirs.of(&record.id) != dir.path;
                    if is_elsewhere && cleans && !self.finish_move(&dir.path, &record.id) {
                        let why = format!("it belongs to {}, which has another one", record.id);
                        all.push(Found::Damaged { dir: dir.path, why });
                        continue;
                    }
                    self.known().insert(record.id.clone());
                    all.push(Found::Whole(Box::new(record)));
                }
                // Killed before its first record was complete, so nothing was changed; or when it was removed.
                Ok(None) if cleans => drop(fs::remove_dir_all(&dir.path)),
                Ok(None) => {}
                Err(error) => all.push(Found::Damaged { dir: dir.path, why: error.to_string() }),
            }
        }
        all
    }

    /// The resource has a record.
    pub(crate) fn knows(&self, id: &ResourceId) -> bool {
        self.known().contains(id)
    }

    /// The directory of the record of a resource.
    pub(crate) fn dir(&self, id: &ResourceId) -> PathBuf {
        self.dirs.of(id)
    }

    /// The record of a resource; `None` if it has none. Blocks.
    ///
    /// # Errors
    /// It is damaged, or can't be read.
    pub(crate) fn read(&self, id: &ResourceId) -> Result<Option<Record>> {
        read(&self.dir(id).join(RECORD))
    }

    /// Drops the record of a resource. Blocks.
    ///
    /// # Errors
    /// It can't be removed.
    pub(crate) fn drop(&self, id: &ResourceId, fs: &WriteFs) -> Result<()> {
        let dir = self.dir(id);
        // The record first: what is left after a crash is then no record any more.
        fs.remove_file(dir.join(RECORD))?;
        self.known().remove(id);
        fs.remove_tree(&dir, usize::MAX)?;
        Ok(())
    }

    /// Gives the record of a resource to another one of the same kind. Returns whether it could: not if that has one
    /// already. Blocks.
    ///
    /// # Errors
    /// It can't be read or moved.
    pub(crate) fn hand_over(&self, from: &ResourceId, to: &ResourceId, fs: &WriteFs) -> Result<bool> {
        if from.kind != to.kind || self.knows(to) {
            return Ok(false);
        }
        let Some(record) = self.read(from)? else { return Ok(false) };
        write(fs, &self.dir(from), &Record { id: to.clone(), ..record })?;
        Ok(self.finish_move(&self.dir(from), to))
    }

    /// Moves a directory whose record already names its new resource.
    fn finish_move(&self, dir: &Path, to: &ResourceId) -> bool {
        let new = self.dirs.of(to);
        let is_free = !new.join(RECORD).exists();
        let moved = is_free && {
            // What is there has no record.
            let _ = fs::remove_dir_all(&new);
            fs::rename(dir, &new).is_ok()
        };
        if moved {
            let mut known = self.known();
            known.retain(|id| self.dirs.of(id) != dir);
            known.insert(to.clone());
        }
        moved
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<ResourceId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Option<Record>> {
    let bytes = match WriteFs::new().read_file(path, RECORD_BYTES_MAX) {
        Err(FsError::Missing { .. }) => return Ok(None),
        Err(error) if error.is_missing() => return Ok(None),
        bytes => bytes?,
    };
    let rest = bytes.strip_prefix(FORM.as_bytes()).ok_or_else(|| Error::new("it is no record of this version"))?;
    let (digest, body) = rest.split_at_checked(64).ok_or_else(|| Error::new("it is cut"))?;
    let body = body.strip_prefix(b"\n").ok_or_else(|| Error::new("it is cut"))?;
    if Digest::of(body).to_string().as_bytes() != digest {
        return Err(Error::new("it is not as it was written"));
    }
    // The error would show what it stumbled over, which may be a secret.
    let record = serde_json::from_slice(body).map_err(|_| Error::new("it is no record of this version"))?;
    Ok(Some(record))
}

fn write(fs: &WriteFs, dir: &Path, record: &Record) -> Result<()> {
    let body = serde_json::to_vec(record)?;
    let mut bytes = format!("{FORM}{}\n", Digest::of(&body)).into_bytes();
    bytes.extend(body);
    make_dir(fs, dir)?;
    fs.write_file(dir.join(RECORD), &bytes[..], &WriteOptions::new().mode(0o600))?;
    Ok(())
}

fn make_dir(fs: &WriteFs, dir: &Path) -> Result<()> {
    fs.make_dirs(dir, &Attributes::new().mode(0o700))?;
    Ok(())
}

/// The records in which an operation must record what is there, before it changes anything: each by itself, since they
/// may have begun at different times. Often there is none.
#[derive(Debug)]
pub struct Recorders<R>(Vec<Recorder<R>>);

impl<R> Recorders<R> {
    pub(crate) fn new(recorders: impl IntoIterator<Item = Recorder<R>>) -> Recorders<R> {
        Recorders(recorders.into_iter().collect())
    }

    /// No record.
    pub fn none() -> Recorders<R> {
        Recorders(Vec::new())
    }

    /// Whether nothing must be recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All records.
    pub fn iter(&self) -> std::slice::Iter<'_, Recorder<R>> {
        self.0.iter()
    }
}

impl<'a, R> IntoIterator for &'a Recorders<R> {
    type Item = &'a Recorder<R>;
    type IntoIter = std::slice::Iter<'a, Recorder<R>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<R> IntoIterator for Recorders<R> {
    type Item = Recorder<R>;
    type IntoIter = std::vec::IntoIter<Recorder<R>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A record of a resource, for the operation that is about to change something. Its functions block.
#[derive(Debug)]
pub struct Recorder<R> {
    records: Records,
    fs: WriteFs,
    id: ResourceId,
    head: Arc<Head>,
    /// Whether the record that was read is that of a refresh.
    was_refreshed: OnceLock<bool>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Reverse> Recorder<R> {
    pub(crate) fn new(records: Records, fs: WriteFs, id: ResourceId, head: Arc<Head>) -> Recorder<R> {
        Recorder { records, fs, id, head, was_refreshed: OnceLock::new(), kind: PhantomData }
    }

    /// What is recorded already; `None` if nothing is.
    ///
    /// # Errors
    /// The record is damaged or can't be read. It is never replaced: while it is there, the resource changes nothing.
    pub fn read(&self) -> Result<Option<R::Record>> {
        let damaged = |error: Error| error.context(self.damaged());
        let record = self.records.read(&self.id).map_err(damaged)?;
        self.was_refreshed.get_or_init(|| record.as_ref().is_some_and(|record| record.head.refreshed));
        let Some(record) = record else { return Ok(None) };
        let of_another_version = |_| damaged(Error::new("it is not of this version"));
        serde_json::from_value(record.data).map(Some).map_err(of_another_version)
    }

    /// Writes the record, in place of the one before: it is on disk when this returns. What was recorded first must
    /// stay in it.
    ///
    /// # Errors
    /// It can't be written. Then the change must not be made.
    pub fn write(&self, data: &R::Record) -> Result<()> {
        let (id, mut head) = (self.id.clone(), Head::clone(&self.head));
        // A refresh that was recorded stays one, whatever else is changed later.
        head.refreshed |= match self.was_refreshed.get() {
            Some(was_refreshed) => *was_refreshed,
            None => self.records.read(&self.id)?.is_some_and(|former| former.head.refreshed),
        };
        let record = Record { id, head, data: serde_json::to_value(data)? };
        let dir = self.records.dir(&self.id);
        write(&self.fs, &dir, &record).context(format_args!("its record in {}", dir.display()))?;
        self.records.known().insert(self.id.clone());
        Ok(())
    }

    /// Saves what is at a path. The content of a regular file, if `with_content`, is copied beside the record.
    ///
    /// # Errors
    /// It can't be read or copied.
    pub fn save(&self, fs: &WriteFs, path: &Path, with_content: bool) -> Result<Saved> {
        if !with_content {
            return Ok(fs.save(path, None)?);
        }
        let dir = self.records.dir(&self.id);
        make_dir(&self.fs, &dir)?;
        let name: String = Digest::of(path.as_os_str().as_encoded_bytes()).to_string().chars().take(32).collect();
        Ok(fs.save(path, Some(&dir.join(format!("copy-{name}"))))?)
    }

    fn damaged(&self) -> String {
        let dir = self.records.dir(&self.id);
        format!("the record of what was there before, in {} (move it away if it can't be repaired)", dir.display())
    }
}
