//! One check of a file resource, with all its inputs; each of the files that extend it compares one thing.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::resource::{OwnState, OwnedPaths, Result, Stopping};
use crate::resources::digests::Digests;
use crate::resources::file::alias::Asker;
use crate::resources::file::owner_ids::OwnerIds;
use crate::resources::file::wanted::Wanted;
use crate::resources::paths::with_remedy;
use crate::sys::fs::{ReadFs, Stat};

/// One check, with all its inputs.
pub(super) struct Look<'a> {
    pub(super) fs: &'a ReadFs,
    pub(super) wanted: &'a Wanted,
    pub(super) seen: &'a Digests,
    pub(super) names: &'a OwnerIds,
    /// Paths that resources of the graph own.
    pub(super) owned: &'a OwnedPaths,
    pub(super) alias: &'a Asker,
    pub(super) stop: &'a Stopping,
    /// Contents that other users may not read are shown too.
    pub(super) shows_private: bool,
    /// The paths that have changed since the resource was in sync; `None`: check everything.
    pub(super) paths: Option<&'a [PathBuf]>,
    /// See [`Look::own`].
    pub(super) own: OnceCell<OwnState>,
}

impl Look<'_> {
    /// The engine's own working directory, looked up once.
    pub(super) fn own(&self) -> &OwnState {
        self.own.get_or_init(|| self.owned.own_state(self.fs))
    }

    /// The metadata of a path.
    pub(super) fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        self.fs.stat(path).map_err(with_remedy)
    }

    /// The metadata of paths, one after the other: the directory of the last path is held open.
    pub(super) fn stat_near(&self, last: &mut Option<(PathBuf, ReadFs)>, path: &Path) -> Result<Option<Stat>> {
        let dir = path.parent().unwrap_or(path);
        if last.as_ref().is_none_or(|(last, _)| last != dir) {
            *last = Some((dir.to_owned(), self.fs.near(path)));
        }
        let fs = last.as_ref().map_or(self.fs, |(_, fs)| fs);
        fs.stat(path).map_err(with_remedy)
    }
}
