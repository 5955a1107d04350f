//! The reasons why a file can't be repaired now, as far as they can be found without a change.
use crate::resource::{Error, OwnedPaths, Result};
use crate::resources::file::drift::{Action, FileDrift};
use crate::resources::file::wanted::{Wanted, What};
use crate::resources::paths::missing_dir;
use crate::sys::fs::{Attributes, ReadFs};

/// Fails if the first step that makes or removes something can't succeed, or a declared owner does not exist.
pub(super) fn foresee(fs: &ReadFs, wanted: &Wanted, owned: &OwnedPaths, drift: &FileDrift) -> Result<()> {
    owners(wanted)?;
    let names = |action: &Action| {
        matches!(action, Action::Write { .. } | Action::MakeDir { .. } | Action::Link { .. } | Action::Remove { .. })
    };
    let Some(step) = drift.steps.iter().find(|step| names(&step.action)) else { return Ok(()) };
    if let Some(error) = missing_dir(fs, owned, &step.path) {
        return Err(error);
    }
    let in_place = match fs.stat(&step.path)? {
        Some(found) => found.is_file() && fs.is_written_in_place(&step.path, &found)?,
        None => false,
    };
    if !in_place {
        fs.can_change_dir_of(&step.path)?;
    }
    Ok(())
}

/// The declared owners, which must exist.
pub(super) fn owners(wanted: &Wanted) -> Result<Attributes> {
    if matches!(wanted.what, What::Absent) {
        return Ok(Attributes::default());
    }
    wanted.owners.attributes(None).map_err(|error| {
        let text = format!("{error}: create it, or declare an exec that does so, and this resource after that");
        match Error::from(error).obstacle() {
            Some(obstacle) => Error::new(text).waiting_for(obstacle),
            None => Error::new(text),
        }
    })
}
