//! Watching by Linux' inotify: one instance, one descriptor.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;

use super::backend::{Backend, Raw, Refusal, Want, WatchId, What};
use super::quiet::{Quiet, Reads};
use super::ready::{Read, Ready};

/// The size of the read buffer, in bytes.
const BUFFER: usize = 64 * 1024;
/// The most events that one drain hands over.
const EVENTS_MAX: usize = 65_536;
/// The most events that one poll hands over: the rest is asked for later.
const EVENTS_AT_ONCE: usize = 2048;

/// Always wanted: changes of the watched object itself. (With them, the system also reports attributes of entries.)
const ITSELF: WatchFlags =
    WatchFlags::ATTRIB.union(WatchFlags::DELETE_SELF).union(WatchFlags::MOVE_SELF).union(WatchFlags::EXCL_UNLINK);

const ENTRY: ReadFlags =
    ReadFlags::CREATE.union(ReadFlags::DELETE).union(ReadFlags::MOVED_FROM).union(ReadFlags::MOVED_TO);

pub(super) struct Inotify {
    ready: Ready,
    buffer: Box<[MaybeUninit<u8>]>,
    reads: Reads,
}

impl fmt::Debug for Inotify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inotify").field("ready", &self.ready).finish_non_exhaustive()
    }
}

impl Inotify {
    pub(super) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self {
            ready: Ready::new(fd, Interest::READABLE),
            buffer: Box::new_uninit_slice(BUFFER),
            reads: Reads::default(),
        })
    }
}

impl Backend for Inotify {
    fn arm(&mut self, path: &[u8], want: Want) -> Result<WatchId, Refusal> {
        // Two names of one directory share a watch: arming one must not remove what the other wants.
        let mut flags = ITSELF | WatchFlags::MASK_ADD | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        flags.set(WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE, want.content);
        flags.set(WatchFlags::DONT_FOLLOW, !want.follow);
        flags.set(WatchFlags::ONLYDIR, want.directory);
        inotify::add_watch(self.ready.fd(), path, flags).map_err(refusal)
    }

    fn narrows(&self) -> bool {
        true
    }

    fn narrow(&mut self, path: &[u8]) -> Result<WatchId, Refusal> {
        let flags = ITSELF | WatchFlags::DONT_FOLLOW | WatchFlags::ONLYDIR;
        inotify::add_watch(self.ready.fd(), path, flags).map_err(refusal)
    }

    fn disarm(&mut self, watch: WatchId) {
        // Fails if the system has removed the watch already.
        let _ = inotify::remove_watch(self.ready.fd(), watch);
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Raw<'_>)) -> Poll<io::Result<()>> {
        let Self { ready, buffer, reads } = self;
        ready.poll_read(cx, |fd| counted(reads, fd, buffer, EVENTS_AT_ONCE, sink))
    }

    fn drain(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> io::Result<()> {
        counted(&self.reads, self.ready.fd(), &mut self.buffer, EVENTS_MAX, sink).map(drop)
    }

    fn quiet(&self) -> Option<Quiet> {
        Some(Quiet::new(self.ready.shared(), &self.reads))
    }
}

fn counted(
    reads: &Reads,
    fd: &OwnedFd,
    buffer: &mut [MaybeUninit<u8>],
    events_max: usize,
    sink: &mut dyn FnMut(Raw<'_>),
) -> io::Result<Read<()>> {
    reads.during(|| {
        let outcome = read(fd, buffer, events_max, sink);
        let found = !matches!(outcome, Ok(Read { value: None, .. }));
        (outcome, found)
    })
}

/// Hands over the events that the kernel has queued, up to a bound.
fn read(
    fd: &OwnedFd,
    buffer: &mut [MaybeUninit<u8>],
    events_max: usize,
    sink: &mut dyn FnMut(Raw<'_>),
) -> io::Result<Read<()>> {
    let mut reader = Reader::new(fd, buffer);
    let mut count = 0;
    loop {
        match reader.next() {
            Ok(event) => {
                count += 1;
                sink(raw(&event));
            }
            Err(Errno::AGAIN) => return Ok(Read { value: (count > 0).then_some(()), is_drained: true }),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if count >= events_max && reader.is_buffer_empty() {
            return Ok(Read { value: Some(()), is_drained: false });
        }
    }
}

fn refusal(errno: Errno) -> Refusal {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG => Refusal::Gone,
        Errno::ACCESS | Errno::PERM => Refusal::Denied,
        Errno::NOSPC | Errno::NOMEM => Refusal::Watches,
        other => Refusal::Other(other.into()),
    }
}

fn raw<'a>(event: &'a inotify::Event<'_>) -> Raw<'a> {
    let flags = event.events();
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Raw::Overflow;
    }
    let what = What {
        entry: flags.intersects(ENTRY),
        gone: flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM),
        content: flags.intersects(ReadFlags::MODIFY | ReadFlags::CLOSE_WRITE),
        attributes: flags.contains(ReadFlags::ATTRIB),
        directory: flags.contains(ReadFlags::ISDIR),
        moved: flags.intersects(ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF | ReadFlags::UNMOUNT),
        dead: flags.contains(ReadFlags::IGNORED),
    };
    Raw::At { watch: event.wd(), name: event.file_name().map(std::ffi::CStr::to_bytes), what }
}
