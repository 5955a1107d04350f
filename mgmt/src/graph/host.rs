//! What passes may know about the host that a graph is for.

use std::path::{Path, PathBuf};

/// Where paths lead on a host, through symlinks in the middle of them.
pub(crate) trait Host {
    /// The real paths of the owned paths that differ from these, each with the number of the owned path.
    fn elsewhere(&self) -> &[(PathBuf, u32)];

    /// The real path of a path, if it differs; the last part of a path is not followed.
    fn real(&self, path: &Path) -> Option<PathBuf>;
}

/// A host of which nothing is known.
pub(super) struct AnyHost;

impl Host for AnyHost {
    fn elsewhere(&self) -> &[(PathBuf, u32)] {
        &[]
    }

    fn real(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}
