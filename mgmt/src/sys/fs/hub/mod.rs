//! The watch hub: one watcher of the file system for a whole engine, shared by all resources.
//!
//! Every watched path is a line in one trie of path components. A directory of the trie has at most one kernel
//! watch, whatever the number of paths below it; a path that does not exist yet is watched at its deepest existing
//! ancestor. What comes out is level, not edge: [`Event::Changed`] means *look again*; of a tree, at which entries.
//!
//! One rule keeps changes from being lost: a node is looked at only after the watch of its parent is armed, so that
//! whatever changes after the look is reported. Events only mark which keys changed and what must be looked at; when
//! all that were waiting are taken, the marked nodes are looked at from the top downwards, and then the batch is
//! handed out. A directory that is only on the way to others reports nothing of its entries (`narrow`). Where a link
//! leads is watched like a subscribed path. What can't be watched is polled by the same rules: a round of polling
//! compares, marks and looks as events do.

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
mod stat;
mod subscribe;
mod tree;
mod trie;

pub use api::{BackendKind, Error, Event, Extent, Options, Reason, Stats, Watched};
pub use quiet::Quiet;
pub use run::Hub;

#[cfg(test)]
mod tests;
