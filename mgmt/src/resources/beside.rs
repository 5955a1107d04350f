//! What is due beside a file whose content is as declared: what killed writes have left, and what is not durable yet.

use std::path::Path;

use crate::resource::{Change, Result};
use crate::sys::fs::{ReadFs, WriteFs};

/// Temporary files that killed writes have left beside the path, possibly whole files: nothing else would remove them.
pub(super) fn leftovers(fs: &ReadFs, path: &Path) -> Option<Change> {
    // An error here must not prevent other repairs.
    let count = fs.leftovers(path).unwrap_or_default();
    (count > 0).then(|| Change::new("temporary files", format!("{count} beside it, left by killed writes"), "none"))
}

/// An earlier change of the path is not durable.
pub(super) fn unsynced(fs: &ReadFs, path: &Path) -> Option<Change> {
    fs.owes_sync(path).then(|| Change::new("durable", "an earlier change is not on the disk", "it is"))
}

/// Does what is due.
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
