//! By what resources recognise one another, beside kind and name.

use std::path::PathBuf;

/// One identity of a resource in the world outside. Two resources of a graph that own the same one are refused; passes match on them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Uid {
    /// A path of the file system, in normal form.
    Path(PathBuf),
    /// Anything else: what sort of thing, and which.
    Other {
        /// What sort of thing, for example `user`.
        space: &'static str,
        /// Which.
        key: String,
    },
}
