//! Everything that this host must remember across crashes and restarts: owed refreshes, marks, digests of sent values,
//! small values of resources.

mod backend;
mod database;
mod entry;
mod error;
mod facts;
mod forget;
#[expect(clippy::module_inception, reason = "the type is the module's")]
mod journal;
mod lock;
mod migrate;
mod mirror;
#[cfg(any(test, feature = "testing"))]
mod simulated;
mod writer;

#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use backend::{Fault, Step};
pub use database::Aside;
pub use entry::{Digest, Entry, Owed};
pub use error::{CommitError, JournalError};
pub use forget::{ABSENT_DAYS_MAX, ABSENT_RESOURCES_MAX};
pub use journal::{Journal, Options, VALUE_BYTES_MAX};
pub use lock::LOCK_NAME;
