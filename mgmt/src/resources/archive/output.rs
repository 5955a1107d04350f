//! The file that a kind makes, apart from its content: what is there, and whether it can be written.

use std::path::Path;

use crate::resource::{Error, Obstacle, ObstacleKind, OwnedPaths, Result};
use crate::resources::paths::{missing_dir, shown, with_remedy};
use crate::sys::fs::{FsError, ReadFs, Stat};

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
