//! Safe access to the file system: read-only ([`ReadFs`]), or for reading and writing ([`WriteFs`]).

pub mod hub;

mod attributes;
mod batch;
mod calls;
mod copy;
mod digest;
mod entry;
mod error;
#[cfg(any(test, feature = "testing"))]
mod faults;
mod fd;
mod group;
mod in_place;
mod likeness;
mod memory;
mod mode;
mod options;
mod path;
mod read;
mod same;
mod saved;
mod shelf;
mod stat;
mod temp;
#[cfg(test)]
mod tests;
mod tree;
mod walk;
mod whole;
mod write;

pub use attributes::Attributes;
pub use batch::SyncBatch;
pub use calls::Call;
pub use copy::CopySource;
pub use digest::Digest;
pub use error::{FsError, LinkReason};
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub use faults::{At, Faults};
pub use group::{Gathered, gathering};
pub use likeness::{Likeness, Trait, Xattrs};
pub use mode::{Mode, ModeError};
pub use options::{Replace, WriteOptions};
pub use path::{NAME_BYTES_MAX, PATH_BYTES_MAX, PathError, normal_form, without_dots};
pub use read::{DirEntry, FileReader, ReadFs};
pub use same::FileKey;
pub use saved::{Saved, SavedAttributes, SavedBytes, SavedContent};
pub use shelf::share_directories;
pub use stat::{FileKind, Stat};
pub use temp::is_temporary_name;
pub use tree::{Tree, TreeEntry};
pub use walk::{Links, NOFOLLOW};
pub(crate) use write::without_group;
pub use write::{Content, WriteFs, Written};
