//! The watch hub: one watcher of the file system for a whole engine, shared by all resources.
//!
//! All watched paths are in one trie of path components. A directory of the trie has at most one kernel watch, whatever
//! the number of paths below it; a path that does not exist yet is watched at its deepest existing ancestor. Reports
//! are levels, not edges: [`Event::Changed`] means *look again*; for a tree, it names the entries to look at.
//!
//! One rule keeps changes from being lost: a node is looked at only after the watch of its parent is armed, so that
//! every change after the look is reported. Events only mark which keys changed and which nodes must be looked at. When
//! all waiting events are taken, the marked nodes are looked at from the top downwards, and then the batch is handed
//! out. A directory that is only on the way to other paths does not report its entries (`narrow`). The path to which a
//! link leads is watched like a subscribed path. Paths that can't be watched are polled by the same rules: a round of
//! polling compares, marks and looks as events do.

mod api;
mod backend;
mod collect;
mod core;
mod inotify;
mod links;
mod list;
mod look;
mod mounts;
mod narrow;
mod notify;
mod poll;
mod quiet;
mod ready;
mod run;
mod settle;
mod stat;
mod subscribe;
mod tree;
mod trie;

pub use api::{BackendKind, Error, Event, Extent, Listening, Options, Reason, Stats, Watched};
pub use quiet::Quiet;
pub use run::Hub;

#[cfg(test)]
mod tests;
