//! The interface of a facility for watching.

use std::io;
use std::task::{Context, Poll};

use super::quiet::Quiet;

/// The number of a watch. Never 0. The same directory or file has the same number as long as it is watched.
pub(super) type WatchId = i32;

/// What is wanted of a watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// The content of entries too, not only their names and attributes. Once wanted, it stays.
    pub(super) content: bool,
    /// Follow the symbolic link at the end of the path.
    pub(super) follow: bool,
    /// Refuse what is not a directory.
    pub(super) directory: bool,
}

/// Why there is no watch.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing is there (any more), or not what was wanted.
    Gone,
    /// The path may not be read.
    Denied,
    /// No watch is left.
    Watches,
    /// The facility watches nothing at all: only polling is left.
    Never,
    Other(io::Error),
}

/// What happened, as far as it matters to the hub.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct What {
    /// A name was added or removed, or stands for another object.
    pub(super) entry: bool,
    /// The object that the name stood for is not there any more.
    pub(super) gone: bool,
    /// The content, or the attributes, changed.
    pub(super) content: bool,
    pub(super) attributes: bool,
    /// The object is, or was, a directory.
    pub(super) directory: bool,
    /// The watched object itself was moved or removed.
    pub(super) moved: bool,
    /// The watch has ended.
    pub(super) dead: bool,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    /// At the watched object itself, or at one of its entries.
    At { watch: WatchId, name: Option<&'a [u8]>, what: What },
    /// Some events were lost.
    Overflow,
}

/// A facility to watch directories, each by itself: the directory, and the names in it.
pub(super) trait Backend: Send {
    /// Watches the object that is at the path now; whatever happens to it from now on is reported.
    fn arm(&mut self, path: &[u8], want: Want) -> Result<WatchId, Refusal>;

    /// Whether `narrow` does anything.
    fn narrows(&self) -> bool {
        false
    }

    /// Reports only the directory itself from now on, not its entries. Returns the watch of the object that is at the
    /// path now, which is the watch that was narrowed.
    fn narrow(&mut self, _path: &[u8]) -> Result<WatchId, Refusal> {
        Err(Refusal::Never)
    }

    /// Ends a watch; unknown ones are ignored.
    fn disarm(&mut self, watch: WatchId);

    /// Hands over a bounded number of events, in order; pending while there are none.
    fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Raw<'_>)) -> Poll<io::Result<()>>;

    /// Hands over the events so far, whether or not a wake-up has come for them; does not wait.
    fn drain(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> io::Result<()>;

    /// A check whether anything happens from now on; `None` if the facility has none.
    fn quiet(&self) -> Option<Quiet> {
        None
    }

    /// Notes that something was mounted or unmounted: the places concerned are armed again after this.
    fn remounted(&mut self) {}

    /// `false` if `arm` always refuses.
    fn is_able(&self) -> bool {
        true
    }
}

/// No facility: everything is polled.
#[derive(Debug)]
pub(super) struct Nothing;

impl Backend for Nothing {
    fn arm(&mut self, _: &[u8], _: Want) -> Result<WatchId, Refusal> {
        Err(Refusal::Never)
    }

    fn disarm(&mut self, _: WatchId) {}

    fn poll_drain(&mut self, _: &mut Context<'_>, _: &mut dyn FnMut(Raw<'_>)) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn drain(&mut self, _: &mut dyn FnMut(Raw<'_>)) -> io::Result<()> {
        Ok(())
    }

    fn is_able(&self) -> bool {
        false
    }
}
