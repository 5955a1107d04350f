//! The file that a kind makes, apart from its content: whether it can be written, and what killed writes have left.

use std::path::Path;

use crate::resource::{Change, Error, Obstacle, ObstacleKind, OwnedPaths, Result};
use crate::resources::paths::{missing_dir, shown, with_remedy};
use crate::sys::fs::{FsError, ReadFs, Stat, WriteFs};

/// The stat of the output; `None` if nothing is there. Another object than a file is in the way.
pub(super) fn found(fs: &ReadFs, path: &Path) -> Result<Option<Stat>> {
    match fs.stat(path).map_err(with_remedy)? {
        Some(stat) if !stat.is_file() => {
            let why = format!("{} is a {}, which is not replaced: remove it", shown(path), stat.kind);
            Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path)))
        }
        found => Ok(found),
    }
}

/// What is due beside the content.
pub(super) fn beside(fs: &ReadFs, path: &Path) -> Vec<Change> {
    // An error here must not prevent a repair of the content.
    let left = fs.leftovers(path).unwrap_or_default();
    let left =
        (left > 0).then(|| Change::new("temporary files", format!("{left} beside it, left by killed writes"), "none"));
    let sync = fs.owes_sync(path).then(|| Change::new("sync", "not durable", "durable"));
    left.into_iter().chain(sync).collect()
}

/// Does what is due beside the content.
pub(super) fn tidy(fs: &WriteFs, path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    if fs.leftovers(path).unwrap_or_default() > 0 {
        fs.clean_temporary_files(dir)?;
    }
    if fs.owes_sync(path) {
        fs.sync_dir(dir)?;
    }
    Ok(())
}

/// The reason why the output can't be written now, as far as that can be found without a change.
pub(super) fn foresee(fs: &ReadFs, owned: &OwnedPaths, path: &Path) -> Result<()> {
    match missing_dir(fs, owned, path) {
        Some(error) => Err(error),
        None => Ok(fs.can_change_dir_of(path)?),
    }
}

/// An error of a write, with its remedy. What another program changed meanwhile is looked at again.
pub(super) fn refused(fs: &ReadFs, owned: &OwnedPaths, path: &Path, error: FsError) -> Error {
    missing_dir(fs, owned, path).unwrap_or_else(|| raced(error.into()))
}

/// The same error; if another program changed something meanwhile, the engine checks again.
pub(super) fn raced(error: Error) -> Error {
    let is_race = |error: &FsError| error.is_race() || matches!(error, FsError::Changed { .. });
    if error.cause::<FsError>().is_some_and(is_race) { error.outdated() } else { error }
}
