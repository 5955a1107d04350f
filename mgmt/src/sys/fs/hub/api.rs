//! The interface of the hub: options, events, errors.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The facility of the system that reports changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// The best that the system has: inotify on Linux.
    #[default]
    Auto,
    /// Linux' inotify, one instance.
    Inotify,
    /// The `notify` crate, which supports many systems; one watcher, with a thread of its own.
    Notify,
    /// No facility: every path is polled.
    Poll,
}

/// How a hub works.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The facility to use. Default: `Auto`.
    pub backend: BackendKind,
    /// The interval between two looks at a path that can't be watched. Default: 1 s.
    pub poll_interval: Duration,
    /// The most directories of all trees together; a tree that would exceed this fails. Default: 100 000.
    pub tree_directories_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { backend: BackendKind::Auto, poll_interval: Duration::from_secs(1), tree_directories_max: 100_000 }
    }
}

/// How much of a path is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Like [`Watched::Path`], but without the names in a directory.
    Itself,
    /// The object at the path: its content, attributes and existence, and those of its target if it is a symbolic link;
    /// also the directory entries on the way to it. For a directory, the names in it too, but not what they contain.
    Path,
    /// Like [`Watched::Path`], and this number of levels below: 1 adds the content and attributes of all entries of the
    /// directory. Symbolic links below are not followed.
    Levels(u16),
    /// Like [`Watched::Path`], and everything below, down to [`Watched::LEVELS_MAX`] levels.
    Tree,
}

impl Watched {
    /// The most levels of a tree that are watched; a directory nested deeper is named once in a warning. Programs that
    /// nest directories without end must not keep the hub busy.
    pub const LEVELS_MAX: u16 = 256;

    /// The number of levels of a tree; `None` if this is no tree.
    pub(super) fn levels(self) -> Option<usize> {
        match self {
            Watched::Tree => Some(Watched::LEVELS_MAX.into()),
            Watched::Levels(levels) => Some(levels.min(Watched::LEVELS_MAX).into()),
            Watched::Itself | Watched::Path => None,
        }
    }

    /// Whether what is below the path is watched.
    pub fn is_tree(self) -> bool {
        self.levels().is_some()
    }
}

/// How much of the subscriptions of a key may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Anything.
    All,
    /// Only these paths in subscribed trees, spelled as the trees were, each with everything below it.
    Entries(BTreeSet<PathBuf>),
}

impl Extent {
    /// The most entries; more count as all: then one look at everything costs less than a look at each of them.
    pub const ENTRIES_MAX: usize = 256;

    /// No entry.
    pub(crate) fn none() -> Extent {
        Extent::Entries(BTreeSet::new())
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, entry: PathBuf) {
        self.merge_up_to(Extent::ENTRIES_MAX, Extent::Entries([entry].into()));
    }

    /// Adds the changes of `other`.
    pub(crate) fn merge(&mut self, other: Extent) {
        self.merge_up_to(Extent::ENTRIES_MAX, other);
    }

    /// Like [`Extent::merge`], with another limit.
    pub(crate) fn merge_up_to(&mut self, entries_max: usize, other: Extent) {
        let Extent::Entries(entries) = self else { return };
        match other {
            Extent::All => *self = Extent::All,
            Extent::Entries(others) => {
                entries.extend(others);
                if entries.len() > entries_max {
                    *self = Extent::All;
                }
            }
        }
    }
}

/// Whether a subscription listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// Every later change is reported.
    Now,
    /// From the next [`Event::Ready`] of the key on, every later change is reported.
    Later,
}

/// A report of the hub.
#[derive(Debug)]
pub enum Event {
    /// All subscriptions of this key listen: one of them was answered by [`Listening::Later`].
    Ready(u64),
    /// Something about a path of this key may have changed: look again at all of this extent. At most one for a key in
    /// a batch.
    Changed(u64, Extent),
    /// Changes came faster than they were taken, and some were lost. Every key is reported as `Changed` in the same
    /// batch.
    Rescan,
    /// Some paths can't be watched by the system and are polled every `poll_interval` instead; for [`Reason::Depth`],
    /// they are not polled either. Reported at most once an hour for each kind of reason.
    Degraded(Reason),
    /// Every path that was affected by a limit is watched by the system again.
    Recovered,
    /// The state of a path of this key can't be determined now. The path stays subscribed: `Changed` follows when it
    /// can be looked at again. Only `TreeTooLarge` ends the subscription.
    Failed(u64, Error),
}

/// Why paths are polled instead of watched.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The user's watches are used up.
    #[error("no inotify watch left for {}: raise fs.inotify.max_user_watches", path.display())]
    Watches {
        /// The directory that could not be watched.
        path: PathBuf,
    },
    /// The user's inotify instances, or the file descriptors, are used up.
    #[error("no inotify instance left ({source}): raise fs.inotify.max_user_instances")]
    Instances {
        /// The error of the system.
        source: io::Error,
    },
    /// The directory may be entered but not read.
    #[error("{} can't be read, so it can't be watched", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
    },
    /// Directories of a tree are nested too deep.
    #[error("{} is nested too deep: of a tree {max} levels are watched, and what is in it is not", path.display())]
    Depth {
        /// The first directory that was found to be too deep.
        path: PathBuf,
        /// The number of levels that are watched.
        max: u16,
    },
    /// Any other error.
    #[error("can't watch {}: {source}", path.display())]
    Other {
        /// The directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// Why a path can't be subscribed or looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path has a NUL in it.
    #[error("the path {path:?} has a NUL byte in it")]
    Nul {
        /// The path.
        path: PathBuf,
    },
    /// The path is longer than the system accepts.
    #[error("the path {}… is longer than {max} bytes", path.display())]
    TooLong {
        /// The beginning of the path.
        path: PathBuf,
        /// The most bytes that the system accepts.
        max: usize,
    },
    /// The path is relative, and the current directory is not known.
    #[error("can't watch the relative path {}: {source}", path.display())]
    Relative {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The state of the path can't be determined.
    #[error("can't look at {}: {source}", path.display())]
    Unreachable {
        /// The path, or the ancestor that is in the way.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The tree has too many directories.
    #[error("{} has too many directories to watch (the limit is {max})", path.display())]
    TreeTooLarge {
        /// The root of the tree.
        path: PathBuf,
        /// The limit for all trees together.
        max: usize,
    },
}

/// What a hub holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of subscribed keys.
    pub keys: usize,
    /// The number of names in the trie.
    pub nodes: usize,
    /// The number of watches held in the system.
    pub watches: usize,
    /// The number of polled directories.
    pub polled: usize,
}
