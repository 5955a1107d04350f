//! What is asked of the hub and what it says: options, events, errors.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Which means of the system tells about changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// The best that the system has: inotify on Linux.
    #[default]
    Auto,
    /// Linux' inotify, one instance.
    Inotify,
    /// The `notify` crate, which knows many systems; one watcher, with a thread of its own.
    Notify,
    /// Nothing: every path is looked at again and again.
    Poll,
}

/// How a hub works.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which means of the system to use. Default: `Auto`.
    pub backend: BackendKind,
    /// How often paths are looked at that can't be watched otherwise. Default: 1 s.
    pub poll_interval: Duration,
    /// How many directories all trees together may have; a tree that would exceed it fails. Default: 100 000.
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
    /// As [`Watched::Path`], but of a directory not the names in it.
    Itself,
    /// The thing at the path: its content, attributes and existence, those of what it links to, and the entries of
    /// every directory on the way. Of a directory, the names in it too, not what those contain.
    Path,
    /// The same and this number of levels below it: with 1, what is directly in it, with its content. Symbolic links
    /// below are not followed.
    Levels(u16),
    /// The same and everything below it, down to [`Watched::LEVELS_MAX`] levels.
    Tree,
}

impl Watched {
    /// How many levels of a tree are watched at most: a directory nested deeper is named once in a warning. Programs
    /// that nest directories without end must not keep the hub busy.
    pub const LEVELS_MAX: u16 = 256;

    /// Of a tree: how many levels of it.
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

/// How much of what a key has subscribed to may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Anything.
    All,
    /// Only these paths in subscribed trees, spelled as the trees were, each with all that is below it.
    Entries(BTreeSet<PathBuf>),
}

impl Extent {
    /// At most this many entries; more count as all: one look at everything costs less then than looks at each.
    pub const ENTRIES_MAX: usize = 256;

    /// Nothing yet.
    pub(crate) fn none() -> Extent {
        Extent::Entries(BTreeSet::new())
    }

    /// One more entry.
    pub(crate) fn add(&mut self, entry: PathBuf) {
        self.merge_up_to(Extent::ENTRIES_MAX, Extent::Entries([entry].into()));
    }

    /// What has changed by this or by the other.
    pub(crate) fn merge(&mut self, other: Extent) {
        self.merge_up_to(Extent::ENTRIES_MAX, other);
    }

    /// The same, with another limit.
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

/// What the hub has to say.
#[derive(Debug)]
pub enum Event {
    /// Something about a path of this key may have changed: look again, at as much. At most one for a key in a batch.
    Changed(u64, Extent),
    /// Changes came faster than they were taken, some were missed. Every key is reported as `Changed` in the same batch.
    Rescan,
    /// Some paths can't be watched by the system and are looked at every `poll_interval` instead, but for
    /// [`Reason::Depth`]. Said once for each sort of reason in an hour.
    Degraded(Reason),
    /// Every path that had run into a limit is watched by the system again.
    Recovered,
    /// The state of a path of this key can't be known now. It stays subscribed: `Changed` follows when it can be
    /// looked at again; only after `TreeTooLarge` the subscription is gone.
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
        /// What the system said.
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
        /// The first directory that was found not to be watched.
        path: PathBuf,
        /// How many levels are.
        max: u16,
    },
    /// Any other trouble.
    #[error("can't watch {}: {source}", path.display())]
    Other {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a path can't be subscribed or looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No path has a NUL in it.
    #[error("the path {path:?} has a NUL byte in it")]
    Nul {
        /// The path.
        path: PathBuf,
    },
    /// The path is longer than the system takes.
    #[error("the path {}… is longer than {max} bytes", path.display())]
    TooLong {
        /// Its beginning.
        path: PathBuf,
        /// The most that the system takes.
        max: usize,
    },
    /// A relative path was given and the current directory is not known.
    #[error("can't watch the relative path {}: {source}", path.display())]
    Relative {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The state of the path can't be known.
    #[error("can't look at {}: {source}", path.display())]
    Unreachable {
        /// The path, or the ancestor that is in the way.
        path: PathBuf,
        /// What the system said.
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
    /// The chosen means does not work here.
    #[error("can't start to watch files: {source}")]
    Backend {
        /// What the system said.
        source: io::Error,
    },
}

/// What a hub holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Subscribed keys.
    pub keys: usize,
    /// Names in the trie.
    pub nodes: usize,
    /// Watches held in the system.
    pub watches: usize,
    /// Directories that are polled.
    pub polled: usize,
}
