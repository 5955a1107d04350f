//! What this host must remember over crashes and restarts: owed refreshes, marks, digests of values last sent, small values of resources.

mod backend;
mod entry;
mod error;
mod facade;
mod lock;
mod mirror;
mod store;
mod writer;

#[cfg(test)]
mod tests;

pub use backend::{Fault, Step};
pub use entry::{Digest, Entry, Owed};
pub use error::{CommitError, JournalError};
pub use facade::{Journal, Options, VALUE_BYTES_MAX};
