//! Paths in the messages of kinds, and the errors of paths that can't be used, each with its remedy.

use std::path::{Path, PathBuf};

use crate::id::shortened;
use crate::resource::{Error, Obstacle, ObstacleKind, OwnedPaths, Result};
use crate::sys::fs::{FsError, LinkReason, ReadFs, normal_form};

/// A path for one line of text.
pub(super) fn shown(path: &Path) -> String {
    const CHARS_MAX: usize = 512;
    shortened(&path.to_string_lossy(), CHARS_MAX)
}

/// The path that a field gives, in normal form. (What was validated is right; what was received may not be.)
pub(super) fn declared(field: &str, path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    normal_form(path).map_err(|error| Error::new(format!("`{field}`: `{}`: {error}", shown(path))))
}

/// An error of reading a path, with its remedy.
pub(super) fn with_remedy(error: FsError) -> Error {
    match &error {
        FsError::Symlink {
            reason: LinkReason::WritableParent | LinkReason::Owner(_) | LinkReason::CopiedFrom(_),
            ..
        } => Error::new(format!(
            "{error}: it is not followed, since any user may have made it; if it should be followed, set `follow_symlinks`"
        )),
        _ => error.into(),
    }
}

/// The error for a path whose directory does not exist.
pub(super) fn missing_dir(fs: &ReadFs, owned: &OwnedPaths, path: &Path) -> Option<Error> {
    let parent = path.parent().filter(|parent| matches!(fs.stat(parent), Ok(None)))?;
    let missing = Obstacle::new(ObstacleKind::Missing).at(parent);
    let is_declared = owned.contains(parent);
    let (path, parent) = (shown(path), shown(parent));
    let remedy = if is_declared {
        format!("add an edge: file[{parent}/] must come before this")
    } else {
        format!("declare it too: file[{parent}/]")
    };
    let why = format!("{path} can't be made: the directory {parent} does not exist; {remedy}");
    Some(Error::new(why).waiting_for(missing))
}
