//! The journal, as the engine uses it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::id::ResourceId;
use crate::sys::ours::{NotOurs, look_at_dir, make_dir};
use crate::sys::rng;

use super::backend::Fault;
use super::database::{Aside, DatabaseFile, Opened, Placed};
use super::entry::{Digest, Entry, Owed};
use super::error::{CommitError, JournalError};
use super::lock::{Lock, holder_of};
use super::mirror::{Mirror, Section};
use super::writer::{Done, Held, Shared, work, work_here};

/// The largest mark or value, in bytes. A larger one belongs in a file.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// Options of a journal.
#[derive(Clone)]
pub struct Options {
    /// The longest time until batches of [`Journal::note`] are written. Default: 100 ms.
    pub lazy: Duration,
    /// For tests: makes the disk fail. Default: none.
    pub fault: Option<Fault>,
}

impl Default for Options {
    /// 100 ms; no faults.
    fn default() -> Options {
        Options { lazy: Duration::from_millis(100), fault: None }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("lazy", &self.lazy).field("fault", &self.fault.is_some()).finish()
    }
}

/// Everything that this host must remember. All content is held in memory too, so a query costs no disk access, and its
/// result includes everything submitted before, durable or not.
///
/// When dropped, the journal writes what is left and releases the prefix.
pub struct Journal {
    shared: Arc<Shared>,
    /// The lock of the prefix, as long as the writer holds it.
    held_lock: Weak<Mutex<Lock>>,
    /// The path of the journal's file, and what is there.
    file: Option<(PathBuf, Arc<Placed>)>,
    /// All content is in memory only.
    is_volatile: bool,
    /// The disk of a simulated host.
    #[cfg(any(test, feature = "testing"))]
    disk: Option<super::simulated::Disk>,
    writer: Mutex<Writer>,
    lazy: Duration,
    salt: [u8; 32],
    aside: Option<Aside>,
}

/// The thread that writes. It starts with the first batch.
#[derive(Default)]
struct Writer {
    thread: Option<JoinHandle<()>>,
    /// What the thread takes over when it starts. `None`: it has started, or the journal has no disk.
    held: Arc<Mutex<Option<Held>>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("lazy", &self.lazy).field("aside", &self.aside).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in this directory. The directory is created if it is missing (mode 0700), and locked. The
    /// journal's file is not written or created before there is something to write.
    ///
    /// A corrupt journal is moved aside, see `moved_aside`.
    ///
    /// # Errors
    /// Another process uses the prefix, another user could have planted what is there, the disk fails, or a newer
    /// version has written the journal.
    pub fn open(prefix: &Path) -> Result<Journal, JournalError> {
        Journal::open_with(prefix, Options::default())
    }

    /// Like [`Journal::open`], with options.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(prefix: &Path, options: Options) -> Result<Journal, JournalError> {
        let lock = Arc::new(Mutex::new(take(prefix)?));
        let Opened { file, mirror, salt, aside } = DatabaseFile::open(prefix, options.fault)?;
        let shared = Arc::new(Shared::new(mirror));
        let written = Some((file.path().to_owned(), file.placed()));
        let held_lock = Arc::downgrade(&lock);
        let held = Arc::new(Mutex::new(Some(Held { file, _lock: lock })));
        let writer = Mutex::new(Writer { thread: None, held });
        Ok(Journal {
            shared,
            held_lock,
            file: written,
            writer,
            lazy: options.lazy,
            salt,
            aside,
            is_volatile: false,
            #[cfg(any(test, feature = "testing"))]
            disk: None,
        })
    }

    /// A journal without a disk and without a thread: it forgets everything when it is dropped, and every batch counts
    /// as durable at once.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn volatile() -> std::io::Result<Journal> {
        let mut salt = [0; 32];
        rng::fill(&mut salt)?;
        Ok(Journal::in_memory(Mirror::default(), salt))
    }

    /// The content of this prefix's journal now, for a program that only reads: nothing is locked, created or changed,
    /// even if another process uses the prefix. What is submitted to this journal is forgotten when it is dropped.
    ///
    /// # Errors
    /// Another user than root could have planted the journal, a newer version has written it, or the system gives no
    /// randomness or no temporary file.
    pub fn glance(prefix: &Path) -> Result<Journal, JournalError> {
        look_at_dir(prefix).map_err(|source| JournalError::NotOurs { prefix: prefix.to_owned(), source })?;
        match DatabaseFile::glance(prefix)? {
            Some((mirror, salt)) => Ok(Journal::in_memory(mirror, salt)),
            None => Journal::volatile().map_err(|source| JournalError::Io {
                what: "look at",
                path: prefix.to_owned(),
                source,
            }),
        }
    }

    /// Whether the held lock is still the lock of the prefix, or the journal has no lock to lose.
    pub fn has_its_lock(&self) -> bool {
        self.held_lock.upgrade().is_none_or(|held| lock(&held).is_in_place())
    }

    /// Whether the file that was read or written is still the journal of the prefix.
    pub fn has_its_file(&self) -> bool {
        self.file.as_ref().is_none_or(|(path, placed)| placed.is_at(path))
    }

    /// Whether the held lock is still the lock of the prefix, and the file that was read or written is still the
    /// journal there.
    pub fn is_in_place(&self) -> bool {
        self.has_its_lock() && self.has_its_file()
    }

    /// Recreates a prefix, or the journal's file alone, that was deleted or moved away: takes the lock of the prefix,
    /// unless it is held, and writes all content. Blocks the thread.
    ///
    /// # Errors
    /// As [`Journal::open`], above all if another process uses the prefix by now; or the prefix can't be written.
    pub fn restore(&self, prefix: &Path) -> Result<(), JournalError> {
        let fail =
            |error| JournalError::Io { what: "write", path: prefix.to_owned(), source: std::io::Error::other(error) };
        let held = self.held_lock.upgrade().filter(|_| !self.shared.lock().closing);
        let Some(held) = held else { return Err(fail(CommitError::Closed)) };
        if !self.has_its_lock() {
            let again = take(prefix)?;
            *lock(&held) = again;
        }
        drop(held);
        self.shared.set_lost();
        self.flush().map_err(fail)
    }

    /// The process that uses this prefix, if there is exactly one and the kernel names it. Nothing is locked.
    pub fn holder(prefix: &Path) -> Option<u32> {
        holder_of(prefix)
    }

    pub(super) fn in_memory(mirror: Mirror, salt: [u8; 32]) -> Journal {
        let shared = Arc::new(Shared::new(mirror));
        let (held_lock, writer) = (Weak::new(), Mutex::default());
        Journal {
            shared,
            held_lock,
            file: None,
            is_volatile: true,
            #[cfg(any(test, feature = "testing"))]
            disk: None,
            writer,
            lazy: Duration::ZERO,
            salt,
            aside: None,
        }
    }

    /// A journal on the disk of a simulated host.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn on(disk: super::simulated::Disk, mirror: Mirror, salt: [u8; 32]) -> Journal {
        let mut journal = Journal::in_memory(mirror, salt);
        journal.disk = Some(disk);
        journal
    }

    /// Whether the disk has taken the batch.
    fn is_kept(&self, batch: &[Entry], lazily: bool) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if let Some(disk) = &self.disk {
            return disk.keep(batch, lazily);
        }
        let _ = (batch, lazily);
        true
    }

    /// The corrupt journal that was moved when this one was opened.
    pub fn moved_aside(&self) -> Option<&Aside> {
        self.aside.as_ref()
    }

    /// Writes a batch, all of it or nothing, and calls `done` when it is durable or could not be written. All that was
    /// submitted before is then durable too. `done` runs on the writer's thread and must not block it; without a disk
    /// it runs at once.
    pub fn submit(&self, batch: Vec<Entry>, done: impl FnOnce(Result<(), CommitError>) + Send + 'static) {
        match too_large(&batch) {
            Some(error) => done(Err(error)),
            // The process is over: it learns nothing any more.
            None if self.is_volatile && !self.is_kept(&batch, false) => {}
            None if self.is_volatile => self.shared.keep(batch, Some(Box::new(done))),
            None => self.hand_over(batch, Some(Box::new(done) as Done)),
        }
    }

    /// Writes a batch, all of it or nothing, within `Options::lazy`, or earlier together with a submitted batch.
    pub fn note(&self, batch: Vec<Entry>) {
        match too_large(&batch) {
            Some(error) => tracing::error!("{error}"),
            None if self.is_volatile && !self.is_kept(&batch, true) => {}
            None if self.is_volatile => self.shared.keep(batch, None),
            None => self.hand_over(batch, None),
        }
    }

    /// Gives a batch to the writer, and starts the writer if needed.
    fn hand_over(&self, batch: Vec<Entry>, done: Option<Done>) {
        if !self.shared.submit(batch, done, self.lazy) {
            return;
        }
        let mut writer = lock(&self.writer);
        if writer.thread.is_some() || lock(&writer.held).is_none() {
            return;
        }
        let (shared, held) = (Arc::clone(&self.shared), Arc::clone(&writer.held));
        let begun = std::thread::Builder::new().name("mgmt-journal".into()).spawn(move || {
            let held = lock(&held).take();
            if let Some(held) = held {
                work(&shared, held);
            }
        });
        match begun {
            Ok(thread) => writer.thread = Some(thread),
            // The system gives no thread. Submitted batches are written here; a later batch tries to start the thread
            // again.
            Err(_) => {
                let place = Arc::clone(&writer.held);
                drop(writer);
                self.write_here(&place);
            }
        }
    }

    /// Does at once what the writer would do, without holding a lock: a callback may drop the journal.
    fn write_here(&self, place: &Mutex<Option<Held>>) {
        loop {
            let Some(mut held) = lock(place).take() else { return };
            work_here(&self.shared, &mut held);
            if self.shared.lock().closing {
                // `close` found no file to write to: this thread held it.
                return work(&self.shared, held);
            }
            *lock(place) = Some(held);
            if self.shared.urgent().is_none() {
                return;
            }
        }
    }

    /// Waits, blocking the thread, until all that was submitted is durable.
    ///
    /// # Errors
    /// The journal could not be written.
    pub fn flush(&self) -> Result<(), CommitError> {
        let (sender, receiver) = channel();
        self.submit(Vec::new(), move |result| drop(sender.send(result)));
        // The writer answers all waiters before it ends.
        receiver.recv().unwrap_or(Ok(()))
    }

    /// Writes what is left, and releases the prefix. Queries still work; what is submitted from then on is refused with
    /// [`CommitError::Closed`].
    ///
    /// # Errors
    /// The journal could not be written.
    pub fn close(&self) -> Result<(), CommitError> {
        self.end();
        self.shared.last().map_or(Ok(()), Err)
    }

    fn end(&self) {
        #[cfg(any(test, feature = "testing"))]
        self.disk.iter().for_each(super::simulated::Disk::close);
        self.shared.close();
        let (thread, held) = {
            let mut writer = lock(&self.writer);
            // With a thread, the thread has taken it or will take it in a moment.
            let held = if writer.thread.is_none() { lock(&writer.held).take() } else { None };
            (writer.thread.take(), held)
        };
        if let Some(held) = held {
            // There was nothing to write, or no thread to write it: the rest is written here.
            work(&self.shared, held);
        }
        if let Some(thread) = thread
            // `done` may drop the journal on the writer's own thread, which cannot join itself.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }

    /// All refreshes that are owed, sorted by name.
    pub fn owed(&self) -> Vec<(ResourceId, ResourceId, Owed)> {
        self.shared.lock().mirror.all_owed()
    }

    /// What `from` owes `to`.
    pub fn is_owed(&self, from: &ResourceId, to: &ResourceId) -> Option<Owed> {
        self.shared.lock().mirror.owed(from, to)
    }

    /// The mark of a resource; `None` if it has none.
    pub fn mark(&self, of: &ResourceId) -> Option<Vec<u8>> {
        self.fact(of, Section::Mark, "")
    }

    /// The digest of the last value of the output with this name; `None` if there is none.
    pub fn sent(&self, of: &ResourceId, port: &str) -> Option<Digest> {
        self.fact(of, Section::Sent, port)?.try_into().ok()
    }

    /// A value that a resource keeps; `None` if there is none with that key.
    pub fn value(&self, of: &ResourceId, key: &str) -> Option<Vec<u8>> {
        self.fact(of, Section::Value, key)
    }

    fn fact(&self, of: &ResourceId, section: Section, key: &str) -> Option<Vec<u8>> {
        self.shared.lock().mirror.get(of, section, key).map(<[u8]>::to_vec)
    }

    /// Whether the journal has any fact about this resource; debts do not count.
    pub fn is_known(&self, of: &ResourceId) -> bool {
        self.shared.lock().mirror.is_known(of)
    }

    /// All resources about which the journal has a fact or a debt, sorted by name.
    pub fn resources(&self) -> Vec<ResourceId> {
        self.shared.lock().mirror.resources().into_iter().collect()
    }

    /// The number of counted days on which a resource has been in no graph. `None`: it is in the graph, or nothing
    /// about it is remembered.
    pub fn absent(&self, of: &ResourceId) -> Option<u16> {
        self.shared.lock().mirror.absent(of)
    }

    /// All resources that are counted as absent, sorted by name.
    pub(super) fn all_absent(&self) -> Vec<ResourceId> {
        self.shared.lock().mirror.all_absent()
    }

    /// The days on which absences were counted, the last one at the end.
    pub(super) fn counted(&self) -> Vec<u64> {
        self.shared.lock().mirror.counted().to_vec()
    }

    /// A random number that this journal keeps, to be mixed into the digests that are written to it: with it, short
    /// secrets can't be looked up in a precomputed table of digests. A user who can read the journal can still try
    /// secrets one by one.
    pub fn salt(&self) -> [u8; 32] {
        self.salt
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
    }
}

/// Creates or examines the directory, and locks it.
fn take(prefix: &Path) -> Result<Lock, JournalError> {
    make_dir(prefix).map_err(|source| match source {
        NotOurs::Io { path, source } => JournalError::Io { what: "use", path, source },
        source => JournalError::NotOurs { prefix: prefix.to_owned(), source },
    })?;
    Lock::take(prefix)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of the first entry that is too large.
fn too_large(batch: &[Entry]) -> Option<CommitError> {
    batch.iter().find_map(|entry| {
        let (what, bytes) = match entry {
            Entry::Mark { of, mark: Some(mark) } => (format!("the mark of {of}"), mark.len()),
            Entry::Value { of, key, value: Some(value) } => {
                (format!("value `{}` of {of}", key.escape_debug()), value.len())
            }
            _ => return None,
        };
        (bytes > VALUE_BYTES_MAX).then_some(CommitError::TooLarge { what, bytes, max: VALUE_BYTES_MAX })
    })
}
