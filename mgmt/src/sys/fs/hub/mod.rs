//! The watch hub: one watcher of the file system for a whole engine, shared by all resources.
//!
//! Every watched path is a line in one trie of path components. A directory of the trie has at most one kernel
//! watch, whatever the number of paths below it; a path that does not exist yet is watched at its deepest existing
//! ancestor. What comes out is level, not edge: [`Event::Changed`] means *look again*.

mod api;
mod backend;
mod collect;
mod core;
mod inotify;
mod links;
mod list;
mod look;
mod mounts;
mod notify;
mod poll;
mod ready;
mod run;
mod stat;
mod subscribe;
mod tree;
mod trie;

pub use api::{BackendKind, Error, Event, Options, Reason, Stats, Watched};
pub use run::Hub;

#[cfg(test)]
mod tests;
