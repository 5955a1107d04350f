//! The kind `file`, tested against the real file system.

mod attributes;
mod content;
mod copies;
mod faults;
mod fields;
mod harness;
mod levels;
mod makers;
mod parts;
mod places;
mod purge;
mod removal;
mod secrets;
mod sources;
mod tree;
mod types;
mod undoing;
