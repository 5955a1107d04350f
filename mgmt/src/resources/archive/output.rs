//! The file that a kind makes, apart from its content: what is there, and whether it can be written.

use std::path::Path;

use crate::resource::{ApplyCx, Error, Obstacle, ObstacleKind, OwnedPaths, Result, Stopping};
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

/// The reason why the output can't be written now, as far as that can be found without a change.
pub(super) fn foresee(fs: &ReadFs, owned: &OwnedPaths, path: &Path) -> Result<()> {
    match missing_dir(fs, owned, path) {
        Some(error) => Err(error),
        None => Ok(fs.can_change_dir_of(path)?),
    }
}

/// What a write needs besides the wanted output.
pub(super) struct Writing<'a> {
    pub(super) owned: &'a OwnedPaths,
    pub(super) stop: &'a Stopping,
    /// The journal holds that this change will owe refreshes.
    pub(super) is_announced: bool,
}

/// Writes an output, and makes it durable.
pub(super) async fn written(
    cx: &ApplyCx,
    write: impl FnOnce(&WriteFs, &Writing<'_>) -> Result<()> + Send + 'static,
) -> Result<()> {
    let (owned, is_announced) = (cx.owned_paths(), cx.owes_refreshes());
    let work = move |fs: &WriteFs, stop: &Stopping| {
        let batch = fs.batch();
        let outcome = write(batch.fs(), &Writing { owned: &owned, stop, is_announced });
        (batch, outcome)
    };
    let (batch, outcome) = cx.change(work).await;
    let durable = cx.commit(batch).await;
    outcome.and(durable.map(drop)).map_err(raced)
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
