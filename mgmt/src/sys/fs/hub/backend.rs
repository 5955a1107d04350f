//! What a means of watching must be able to do.

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
    /// Not there (any more), or not what was wanted.
    Gone,
    /// It may not be read.
    Denied,
    /// No watch is left.
    Watches,
    /// Nothing is watched at all: only polling is left.
    Never,
    Other(io::Error),
}

/// What happened, as far as the hub cares.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct What {
    /// A name came, went, or stands for something else.
    pub(super) entry: bool,
    /// … and what it stood for is not there any more.
    pub(super) gone: bool,
    /// … or a content, or attributes.
    pub(super) content: bool,
    pub(super) attributes: bool,
    /// It is, or was, a directory.
    pub(super) directory: bool,
    /// The watched thing itself was moved or removed.
    pub(super) moved: bool,
    /// The watch is no more.
    pub(super) dead: bool,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    /// At the watched thing itself, or at one of its entries.
    At { watch: WatchId, name: Option<&'a [u8]>, what: What },
    /// Some were lost.
    Overflow,
}

/// A means of watching directories, each by itself: names in it, and itself.
pub(super) trait Backend: Send {
    /// Watches what is at the path now; what happens from now on is reported.
    fn arm(&mut self, path: &[u8], want: Want) -> Result<WatchId, Refusal>;

    /// Whether `narrow` does anything.
    fn narrows(&self) -> bool {
        false
    }

    /// Reports no more than the directory itself, not its entries. Returns the watch of what is at the path now,
    /// which is the one of which no more is reported.
    fn narrow(&mut self, _path: &[u8]) -> Result<WatchId, Refusal> {
        Err(Refusal::Never)
    }

    /// Forgets a watch; unknown ones are ignored.
    fn disarm(&mut self, watch: WatchId);

    /// Hands over what happened, in order; pending while nothing did. Takes a bounded number.
    fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Raw<'_>)) -> Poll<io::Result<()>>;

    /// The same for what happened by now, whether or not a wake-up has come for it; waits for nothing.
    fn drain(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> io::Result<()>;

    /// Tells whether anything happens from now on; nothing if it can't.
    fn quiet(&self) -> Option<Quiet> {
        None
    }

    /// Something was mounted or unmounted: the places concerned are armed again after this.
    fn remounted(&mut self) {}

    /// False if `arm` can only ever refuse.
    fn is_able(&self) -> bool {
        true
    }
}

/// No means at all: everything is polled.
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
