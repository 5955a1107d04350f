//! Watching by the `notify` crate: one watcher, whose thread hands its events over.
//!
//! The crate watches by path. When it reads that a path was renamed or removed, it drops the watches there and below by
//! itself, which may be after the hub has watched something new there. So every watch at or below a path that is
//! reported as renamed or removed counts as dead here, and is set up again.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{Error, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::backend::{Backend, Raw, Refusal, Want, WatchId, What};
use super::core::to_path;
use super::look::is_absent;
use super::stat::{self, Signature};

/// The most events that may wait; more are an overflow.
const WAITING_MAX: usize = 65_536;

/// What the thread of the watcher and the hub share.
#[derive(Debug, Default)]
struct Inbox {
    events: Vec<Event>,
    is_overflowed: bool,
    waker: Option<Waker>,
}

/// One watched path.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    identity: Signature,
    /// Where the same object was watched before it was moved.
    former: Vec<PathBuf>,
    epoch: u64,
}

#[derive(Debug)]
pub(super) struct Notify {
    watcher: RecommendedWatcher,
    inbox: Arc<Mutex<Inbox>>,
    places: HashMap<WatchId, Place>,
    /// Ordered, so that all paths below a path are next to each other.
    by_path: BTreeMap<PathBuf, WatchId>,
    by_identity: HashMap<Signature, WatchId>,
    /// Watches that were replaced here, but may still be in use by nodes that were not looked at since.
    dropped: Vec<WatchId>,
    next: WatchId,
    epoch: u64,
}

impl Notify {
    pub(super) fn new() -> io::Result<Self> {
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let theirs = Arc::clone(&inbox);
        let watcher = notify::recommended_watcher(move |event| receive(&theirs, event)).map_err(to_io)?;
        Ok(Self {
            watcher,
            inbox,
            places: HashMap::new(),
            by_path: BTreeMap::new(),
            by_identity: HashMap::new(),
            dropped: Vec::new(),
            next: 1,
            epoch: 0,
        })
    }

    /// The existing watch of the path, if it can be trusted.
    fn known(&mut self, path: &Path, identity: Signature) -> Option<WatchId> {
        let id = *self.by_identity.get(&identity)?;
        let place = &self.places[&id];
        if place.epoch != self.epoch || !identity.is_born() {
            return None;
        }
        // At another path, it is the same object mounted twice, unless it was moved.
        let is_there = place.path == path || self::identity(&place.path).is_some_and(|there| there == identity);
        is_there.then_some(id)
    }

    fn forget(&mut self, id: WatchId) -> Option<Place> {
        let place = self.places.remove(&id)?;
        for path in std::iter::once(&place.path).chain(&place.former) {
            if self.by_path.get(path) == Some(&id) {
                self.by_path.remove(path);
            }
        }
        if self.by_identity.get(&place.identity) == Some(&id) {
            self.by_identity.remove(&place.identity);
        }
        // Fails if the watcher has dropped the watch by itself.
        let _ = self.watcher.unwatch(&place.path);
        Some(place)
    }

    fn watch(&mut self, path: PathBuf, identity: Signature) -> Result<WatchId, Refusal> {
        let mut former = Vec::new();
        if let Some(&moved) = self.by_identity.get(&identity) {
            self.dropped.push(moved);
            former.extend(self.forget(moved).map(|place| place.path).filter(|old| *old != path));
        }
        if let Some(&replaced) = self.by_path.get(&path) {
            self.dropped.push(replaced);
            self.forget(replaced);
        }
        self.watcher.watch(&path, RecursiveMode::NonRecursive).map_err(refusal)?;
        let id = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        for path in std::iter::once(&path).chain(&former) {
            self.by_path.insert(path.clone(), id);
        }
        self.by_identity.insert(identity, id);
        self.places.insert(id, Place { path, identity, former, epoch: self.epoch });
        Ok(id)
    }

    fn sort(&mut self, event: &Event, sink: &mut dyn FnMut(Raw<'_>)) {
        if event.need_rescan() {
            sink(Raw::Overflow);
        }
        let Some(what) = what(event.kind) else { return };
        for path in &event.paths {
            let parent = path.parent().and_then(|parent| self.by_path.get(parent));
            if let (Some(&watch), Some(name)) = (parent, path.file_name()) {
                sink(Raw::At { watch, name: Some(name.as_bytes()), what });
            }
            if what.entry && !matches!(event.kind, EventKind::Create(_)) {
                self.lose_below(path, sink);
            } else if let Some(&watch) = self.by_path.get(path) {
                sink(Raw::At { watch, name: None, what: What { entry: false, ..what } });
            }
        }
    }

    /// Reports the watches of a path that was renamed or removed, and all those below, as dead.
    fn lose_below(&mut self, path: &Path, sink: &mut dyn FnMut(Raw<'_>)) {
        let below = self.by_path.range(path.to_owned()..).take_while(|(other, _)| other.starts_with(path));
        let lost: Vec<WatchId> = below.map(|(_, &watch)| watch).collect();
        for watch in lost {
            sink(Raw::At { watch, name: None, what: What { moved: true, dead: true, ..What::default() } });
            self.forget(watch);
        }
    }
}

impl Backend for Notify {
    fn arm(&mut self, path: &[u8], want: Want) -> Result<WatchId, Refusal> {
        let seen = stat::stat(path, want.follow).map_err(refusal_of_io)?;
        if (want.directory && !seen.is_dir) || seen.is_link {
            return Err(Refusal::Gone);
        }
        let path = fs::canonicalize(to_path(path)).map_err(refusal_of_io)?;
        // The object may have been replaced since: identify what is at the path that is watched.
        let identity = identity(&path).ok_or(Refusal::Gone)?;
        if let Some(id) = self.known(&path, identity) {
            return Ok(id);
        }
        self.watch(path, identity)
    }

    fn disarm(&mut self, watch: WatchId) {
        self.forget(watch);
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Raw<'_>)) -> Poll<io::Result<()>> {
        {
            let mut inbox = lock(&self.inbox);
            if inbox.events.is_empty() && !inbox.is_overflowed && self.dropped.is_empty() {
                inbox.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(self.drain(sink))
    }

    fn drain(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> io::Result<()> {
        let (events, is_overflowed) = {
            let mut inbox = lock(&self.inbox);
            (std::mem::take(&mut inbox.events), std::mem::take(&mut inbox.is_overflowed))
        };
        for watch in self.dropped.drain(..) {
            sink(Raw::At { watch, name: None, what: What { dead: true, ..What::default() } });
        }
        if is_overflowed {
            sink(Raw::Overflow);
        }
        for event in &events {
            self.sort(event, sink);
        }
        Ok(())
    }

    /// An unmounted file system loses its watches, which the watcher does not report.
    fn remounted(&mut self) {
        self.epoch += 1;
    }
}

fn identity(path: &Path) -> Option<Signature> {
    stat::stat(path.as_os_str().as_bytes(), false).ok().map(|seen| seen.signature.identity())
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs in the thread of the watcher.
fn receive(inbox: &Mutex<Inbox>, event: notify::Result<Event>) {
    let mut inbox = lock(inbox);
    match event {
        Ok(event) if !event.need_rescan() && what(event.kind).is_none() => return,
        Ok(event) if inbox.events.len() < WAITING_MAX => inbox.events.push(event),
        // An error of the watcher may mean that events were lost.
        Ok(_) | Err(_) => inbox.is_overflowed = true,
    }
    if let Some(waker) = inbox.waker.take() {
        waker.wake();
    }
}

/// What the event means to the hub, if anything.
fn what(kind: EventKind) -> Option<What> {
    let nothing = What::default();
    Some(match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => What { content: true, ..nothing },
        EventKind::Access(_) => return None,
        EventKind::Modify(ModifyKind::Data(_)) => What { content: true, ..nothing },
        EventKind::Modify(ModifyKind::Metadata(_)) => What { attributes: true, ..nothing },
        EventKind::Create(CreateKind::File) | EventKind::Remove(RemoveKind::File) => What { entry: true, ..nothing },
        _ => What { entry: true, directory: true, ..nothing },
    })
}

fn to_io(error: Error) -> io::Error {
    match error.kind {
        ErrorKind::Io(error) => error,
        _ => io::Error::other(error),
    }
}

fn refusal(error: Error) -> Refusal {
    match error.kind {
        ErrorKind::MaxFilesWatch => Refusal::Watches,
        ErrorKind::PathNotFound => Refusal::Gone,
        ErrorKind::Io(error) => refusal_of_io(error),
        _ => Refusal::Other(io::Error::other(error)),
    }
}

fn refusal_of_io(error: io::Error) -> Refusal {
    match error.kind() {
        _ if is_absent(&error) => Refusal::Gone,
        io::ErrorKind::PermissionDenied => Refusal::Denied,
        _ => Refusal::Other(error),
    }
}
