//! The database file: created completely or not at all, moved aside when corrupt, rebuilt after a failure or from an
//! earlier schema.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{
    Builder, Database, ReadableDatabase as _, ReadableTable as _, StorageBackend as _, TableDefinition,
    WriteTransaction,
};

use crate::id::ResourceId;
use crate::sys::fs::NOFOLLOW;
use crate::sys::ours::{Trust, examine_file};
use crate::sys::rng;

use super::backend::{Backend, Fault, Reading, Step};
use super::error::JournalError;
use super::migrate;
use super::mirror::{Key, Mirror};

/// The version of the tables below.
const SCHEMA: u64 = 2;
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// (kind and name of the notifier, kind and name of the notified) → flags.
const OWED: TableDefinition<(&str, &str, &str, &str), u8> = TableDefinition::new("owed");
/// (kind and name of the resource, section, key) → value.
const FACTS: TableDefinition<(&str, &str, u8, &str), &[u8]> = TableDefinition::new("facts");

/// All content is in memory as well: the database needs a cache only while it writes.
const CACHE_BYTES: usize = 4 << 20;
/// The most corrupt files that are kept; a further one overwrites the last.
const CORRUPT_MAX: u32 = 8;

/// Values with their keys; `None` removes the key.
pub(super) type Writes = Vec<(Key, Option<Vec<u8>>)>;

/// The file that contains the journal now, by device and inode number; `None`: there is none yet.
#[derive(Debug, Default)]
pub(super) struct Placed(Mutex<Option<(u64, u64)>>);

impl Placed {
    fn lock(&self) -> MutexGuard<'_, Option<(u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file is still at this path, or there is none yet.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let placed = self.lock();
        placed.is_none() || fs::symlink_metadata(path).ok().map(identity) == *placed
    }
}

fn identity(meta: Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// The journal on disk.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    placed: Arc<Placed>,
    salt: [u8; 32],
    db: Db,
    fault: Faults,
    commits: u64,
}

/// The database in the file.
enum Db {
    /// No database is usable: the file is missing, or has an earlier schema, or its content is unknown after a failure.
    /// The next commit writes a new file.
    Missing,
    /// The file was read, and is not open: the next commit opens it.
    Closed,
    Open(Database),
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Db::Missing => "Missing",
            Db::Closed => "Closed",
            Db::Open(_) => "Open",
        })
    }
}

/// The result of opening a database.
pub(super) struct Opened {
    pub(super) file: DatabaseFile,
    pub(super) mirror: Mirror,
    pub(super) salt: [u8; 32],
    /// The corrupt file that was there.
    pub(super) aside: Option<Aside>,
}

/// A corrupt file, which was moved and replaced by an empty one.
#[derive(Clone, Debug)]
pub struct Aside {
    /// The path to which it was moved.
    pub to: PathBuf,
    /// How it is corrupt.
    pub why: String,
}

struct Faults(Option<Fault>);

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.is_some().fmt(f)
    }
}

/// The reason why a file can't be used as a journal.
enum Unusable {
    Corrupt(String),
    Newer(u64),
    Io(io::Error),
}

impl<E: Into<redb::Error>> From<E> for Unusable {
    fn from(error: E) -> Unusable {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        match error.into() {
            redb::Error::Io(error) if !matches!(error.kind(), InvalidData | UnexpectedEof) => Unusable::Io(error),
            other => Unusable::Corrupt(other.to_string()),
        }
    }
}

impl DatabaseFile {
    /// Reads the journal of the prefix, whose lock is held. Writes nothing: the first commit does, and creates the file
    /// if it is missing.
    pub(super) fn open(prefix: &Path, fault: Option<Fault>) -> Result<Opened, JournalError> {
        let path = prefix.join("journal.redb");
        let fail = |what, source| JournalError::Io { what, path: path.clone(), source };
        let mut aside = None;
        let placed = Arc::new(Placed::default());
        // A crash may have left an incomplete new file.
        let _ = fs::remove_file(path.with_extension("redb.new"));
        match open_file(&path) {
            Ok(file) => match read_of(&path, file, &placed, fault.clone())? {
                Ok(Loaded { mirror, salt, schema }) => {
                    // A file of an earlier schema is not changed until there is something to write.
                    let db = if schema == SCHEMA { Db::Closed } else { Db::Missing };
                    let file = DatabaseFile { path, placed, salt, db, fault: Faults(fault), commits: 0 };
                    return Ok(Opened { file, mirror, salt, aside });
                }
                Err(Unusable::Io(source)) => return Err(fail("read", source)),
                Err(Unusable::Newer(found)) => return Err(JournalError::Newer { path, found, known: SCHEMA }),
                Err(Unusable::Corrupt(why)) => {
                    *placed.lock() = None;
                    let to = move_aside(&path).map_err(|source| fail("move aside", source))?;
                    aside = Some(Aside { to, why: why.to_string() });
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail("open", error)),
        }
        let mut salt = [0; 32];
        rng::fill(&mut salt).map_err(|source| fail("create", source))?;
        let file = DatabaseFile { path, placed, salt, db: Db::Missing, fault: Faults(fault), commits: 0 };
        Ok(Opened { file, mirror: Mirror::default(), salt, aside })
    }

    /// The content of the prefix's journal now, read from a copy: nothing is locked or changed, and a process that uses
    /// the prefix is not disturbed. `None` if there is no journal or it can't be read (a commit may be in progress, or
    /// only another user may read it).
    pub(super) fn glance(prefix: &Path) -> Result<Option<(Mirror, [u8; 32])>, JournalError> {
        let path = prefix.join("journal.redb");
        let Ok(journal) = OpenOptions::new().read(true).custom_flags(NOFOLLOW).open(&path) else { return Ok(None) };
        let journal = examined(journal, &path, Trust::UsAndRoot)?;
        let copy =
            nameless_copy(journal).map_err(|source| JournalError::Io { what: "copy", path: path.clone(), source })?;
        match load(copy, None) {
            Ok(loaded) => Ok(Some((loaded.mirror, loaded.salt))),
            Err(Unusable::Newer(found)) => Err(JournalError::Newer { path, found, known: SCHEMA }),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file is.
    pub(super) fn placed(&self) -> Arc<Placed> {
        Arc::clone(&self.placed)
    }

    /// Opens the file for a commit. Returns whether that commit must write all content, not only the changes.
    pub(super) fn prepare(&mut self) -> bool {
        if let Db::Closed = self.db {
            // The pages were checked when the file was read. A failure here loses nothing: all content is in memory.
            let opened = catch_unwind(AssertUnwindSafe(|| -> Result<Database, Unusable> {
                let file = open_file(&self.path).map_err(Unusable::Io)?;
                if file.metadata().ok().map(identity) != *self.placed.lock() {
                    return Err(Unusable::Corrupt("it is another file".to_owned()));
                }
                let backend = Backend::new(file, self.fault.0.clone());
                if backend.len().map_err(Unusable::Io)? == 0 {
                    return Err(Unusable::Corrupt("it is empty".to_owned()));
                }
                Ok(builder().create_with_backend(backend)?)
            }));
            self.db = match opened {
                Ok(Ok(db)) => Db::Open(db),
                _ => Db::Missing,
            };
        }
        self.is_missing()
    }

    /// Marks the file as unusable because it is missing or was replaced: the next commit writes a new one.
    pub(super) fn forget(&mut self) {
        let db = std::mem::replace(&mut self.db, Db::Missing);
        // Closing the database may fail in the same way.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }

    /// No usable file contains the journal.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.db, Db::Missing)
    }

    /// Makes the writes durable. After an error, a later open may find all of them or none.
    pub(super) fn commit(&mut self, writes: Writes) -> io::Result<()> {
        self.commits += 1;
        let done = catch_unwind(AssertUnwindSafe(|| self.try_commit(writes)));
        match done {
            Ok(Ok(())) => Ok(()),
            failed => {
                self.forget();
                Err(match failed {
                    Ok(Err(error)) => into_io(error),
                    _ => io::Error::other("the database has panicked"),
                })
            }
        }
    }

    fn try_commit(&mut self, writes: Writes) -> Result<(), redb::Error> {
        self.at(Step::Commit(self.commits))?;
        match &self.db {
            Db::Open(db) => {
                let transaction = db.begin_write()?;
                write(&transaction, &writes)?;
                transaction.commit()?;
            }
            Db::Closed | Db::Missing => self.rebuild(writes)?,
        }
        Ok(self.at(Step::Committed(self.commits))?)
    }

    fn at(&self, step: Step) -> io::Result<()> {
        self.fault.0.as_ref().map_or(Ok(()), |fault| fault(step))
    }

    /// Writes a new file with all content and renames it over the old one, so an incomplete file never has the
    /// journal's name. After a failed sync the page cache may differ from the disk, so nothing of the old file is
    /// reused.
    fn rebuild(&mut self, all: Writes) -> Result<(), redb::Error> {
        let new = self.path.with_extension("redb.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new)?;
        let made = file.metadata().ok().map(identity);
        let db = builder().create_with_backend(Backend::new(file, self.fault.0.clone()))?;
        let transaction = db.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
            meta.insert("salt", self.salt.as_slice())?;
        }
        write(&transaction, &all)?;
        transaction.commit()?;
        {
            let mut placed = self.placed.lock();
            fs::rename(&new, &self.path)?;
            *placed = made;
        }
        sync_parent(&self.path)?;
        self.db = Db::Open(db);
        Ok(())
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn into_io(error: redb::Error) -> io::Error {
    match error {
        redb::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(NOFOLLOW).open(path)
}

/// Reads the journal in this file, if no other user could have written it.
fn read_of(
    path: &Path,
    file: File,
    placed: &Placed,
    fault: Option<Fault>,
) -> Result<Result<Loaded, Unusable>, JournalError> {
    let file = examined(file, path, Trust::Us)?;
    *placed.lock() = file.metadata().ok().map(identity);
    Ok(load(file, fault))
}

/// Refuses a journal that another user could have written.
fn examined(file: File, path: &Path, trust: Trust) -> Result<File, JournalError> {
    let prefix = || path.parent().unwrap_or(path).to_owned();
    examine_file(&file, path, trust).map_err(|source| JournalError::NotOurs { prefix: prefix(), source })?;
    Ok(file)
}

fn nameless_copy(mut file: File) -> io::Result<File> {
    let name = rng::letters(16, "abcdefghijklmnopqrstuvwxyz")?;
    let path = std::env::temp_dir().join(format!("mgmt-{}", &*name));
    let mut copy = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    // The file has no name any more, so it is removed when it is closed.
    fs::remove_file(&path)?;
    io::copy(&mut file, &mut copy)?;
    Ok(copy)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// The content of a journal, with the names of the current schema.
struct Loaded {
    mirror: Mirror,
    salt: [u8; 32],
    /// The schema of the file.
    schema: u64,
}

/// Reads a journal into memory.
fn load(file: File, fault: Option<Fault>) -> Result<Loaded, Unusable> {
    if file.metadata().is_ok_and(|meta| meta.len() == 0) {
        // The database would take the file for a new one. This program never leaves an empty file: another program has
        // emptied it.
        return Err(Unusable::Corrupt("it is empty".to_owned()));
    }
    // The file may contain anything, and the database panics on some of it.
    catch_unwind(AssertUnwindSafe(|| {
        let reading = Reading::new(Backend::new(file, fault))?;
        // All content is read anyway, so the check costs little.
        let db = builder().set_check_integrity_on_open(true).create_with_backend(reading)?;
        let transaction = db.begin_read()?;
        let meta = transaction.open_table(META)?;
        let number = |key| -> Result<Option<u64>, redb::StorageError> {
            Ok(meta.get(key)?.and_then(|bytes| bytes.value().try_into().ok()).map(u64::from_le_bytes))
        };
        let schema = match number("schema")? {
            Some(schema @ 1..=SCHEMA) => schema,
            Some(newer) if newer > SCHEMA => return Err(Unusable::Newer(newer)),
            _ => return Err(Unusable::Corrupt("it has no schema".to_owned())),
        };
        let salt = meta.get("salt")?.and_then(|bytes| bytes.value().try_into().ok());
        let salt = salt.ok_or_else(|| Unusable::Corrupt("it has no salt".to_owned()))?;
        let mut mirror = read(&transaction)?;
        // The first release with this schema wrote only the last day: a list of one.
        if let Some(days) = meta.get("counted")? {
            mirror.load_counted(days.value());
        }
        if schema == 1 {
            migrate::from_1(&mut mirror);
        }
        drop((meta, transaction));
        Ok(Loaded { mirror, salt, schema })
    }))
    .unwrap_or_else(|_| Err(Unusable::Corrupt("the database has panicked".to_owned())))
}

fn read(transaction: &redb::ReadTransaction) -> Result<Mirror, Unusable> {
    let mut mirror = Mirror::default();
    let mut strange = 0;
    for row in transaction.open_table(OWED)?.iter()? {
        let (key, value) = row?;
        let (from_kind, from_name, to_kind, to_name) = key.value();
        let (from, to) = (ResourceId::new(from_kind, from_name), ResourceId::new(to_kind, to_name));
        strange += u32::from(!mirror.load_edge(from, to, value.value()));
    }
    for row in transaction.open_table(FACTS)?.iter()? {
        let (key, value) = row?;
        let (kind, name, section, fact) = key.value();
        strange += u32::from(!mirror.load_fact(ResourceId::new(kind, name), section, fact, value.value()));
    }
    if strange > 0 { Err(Unusable::Corrupt(format!("{strange} rows make no sense"))) } else { Ok(mirror) }
}

fn write(transaction: &WriteTransaction, writes: &Writes) -> Result<(), redb::Error> {
    let mut owed = transaction.open_table(OWED)?;
    let mut facts = transaction.open_table(FACTS)?;
    let mut meta = transaction.open_table(META)?;
    for (key, value) in writes {
        match key {
            Key::Edge(from, to) => {
                let key = (from.kind.as_str(), from.name.as_str(), to.kind.as_str(), to.name.as_str());
                match value.as_deref().and_then(<[u8]>::first) {
                    Some(flags) => drop(owed.insert(key, *flags)?),
                    None => drop(owed.remove(key)?),
                }
            }
            Key::Fact(of, section, fact) => {
                let key = (of.kind.as_str(), of.name.as_str(), *section as u8, fact.as_str());
                match value {
                    Some(value) => drop(facts.insert(key, value.as_slice())?),
                    None => drop(facts.remove(key)?),
                }
            }
            Key::Counted => match value {
                Some(days) => drop(meta.insert("counted", days.as_slice())?),
                None => drop(meta.remove("counted")?),
            },
        }
    }
    Ok(())
}

/// Renames a corrupt journal to a free name.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let names = (1..=CORRUPT_MAX).map(|n| path.with_extension(format!("redb.corrupt-{n}")));
    let mut last = path.to_owned();
    for name in names {
        last = name;
        if last.symlink_metadata().is_err() {
            break;
        }
    }
    fs::rename(path, &last)?;
    Ok(last)
}
