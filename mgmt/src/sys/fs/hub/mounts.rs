//! What is mounted where. A watch on a directory does not report that something is mounted over it.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;

use super::quiet::Changes;
use super::ready::{Read, Ready};
use crate::sys::tables::unescape;

const TABLE: &str = "/proc/self/mountinfo";
const CHUNK: usize = 16 * 1024;

/// The table of mounts, and the wait for its next change.
#[derive(Debug)]
pub(super) struct Mounts {
    ready: Ready,
    /// From the hash of a line to the path of its mount point.
    lines: HashMap<u64, Box<[u8]>>,
    is_waited_for: bool,
    changes: Changes,
    /// How many changes there had been when the table was read.
    read_at: u64,
}

impl Mounts {
    /// Fails if there is no `/proc`.
    pub(super) fn new() -> io::Result<Self> {
        let changes = Changes::new(File::open(TABLE)?.into());
        let read_at = changes.count();
        let fd = OwnedFd::from(File::open(TABLE)?);
        let lines = parse(&read(&fd)?);
        Ok(Self { ready: Ready::new(fd, Interest::PRIORITY), lines, is_waited_for: false, changes, read_at })
    }

    /// Waits for a change; returns the places where something was mounted, unmounted or mounted differently. The list
    /// is empty if the table is the same as before: the numbers of mounts are used again.
    pub(super) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<Vec<u8>>>> {
        let notice = Read { value: Some(()), is_drained: true };
        match self.ready.poll_read(cx, |_| Ok(notice.clone())) {
            Poll::Ready(Ok(())) => Poll::Ready(self.compare()),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // The first wait discards the notice of earlier changes.
            Poll::Pending if !std::mem::replace(&mut self.is_waited_for, true) => match self.compare() {
                Ok(places) if places.is_empty() => Poll::Pending,
                compared => Poll::Ready(compared),
            },
            Poll::Pending => Poll::Pending,
        }
    }

    /// As `poll_changed`, without waiting: `None` if nothing has changed since the table was read.
    pub(super) fn changed(&mut self) -> Option<io::Result<Vec<Vec<u8>>>> {
        (self.changes.count() != self.read_at).then(|| self.compare())
    }

    /// The changes, and how many of them have been noticed here.
    pub(super) fn changes(&self) -> (Changes, u64) {
        (self.changes.clone(), self.read_at)
    }

    fn compare(&mut self) -> io::Result<Vec<Vec<u8>>> {
        // Before the table is read: what changes meanwhile counts as not noticed yet.
        self.read_at = self.changes.count();
        Ok(difference(&mut self.lines, parse(&read(self.ready.fd())?)))
    }
}

fn read(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let start = all.len();
        all.resize(start + CHUNK, 0);
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(fd.as_fd(), &mut all[start..], start as u64))?;
        all.truncate(start + count);
        if count == 0 {
            return Ok(all);
        }
    }
}

fn parse(table: &[u8]) -> HashMap<u64, Box<[u8]>> {
    let mut lines = HashMap::new();
    for line in table.split(|&byte| byte == b'\n') {
        if let Some(place) = line.split(|&byte| byte == b' ').nth(4) {
            let mut hasher = DefaultHasher::new();
            line.hash(&mut hasher);
            lines.insert(hasher.finish(), unescape(place).into());
        }
    }
    lines
}

fn difference(old: &mut HashMap<u64, Box<[u8]>>, new: HashMap<u64, Box<[u8]>>) -> Vec<Vec<u8>> {
    let mut places: Vec<Vec<u8>> = Vec::new();
    places.extend(old.iter().filter(|(hash, _)| !new.contains_key(hash)).map(|(_, place)| place.to_vec()));
    places.extend(new.iter().filter(|(hash, _)| !old.contains_key(hash)).map(|(_, place)| place.to_vec()));
    places.sort();
    places.dedup();
    *old = new;
    places
}
