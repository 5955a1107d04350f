//! What a resource declares, in one form for mounts and swap devices.

use std::path::PathBuf;

use crate::resources::mount::flags::is_bind;
use crate::resources::mount::fstab::{Entry, Which};
use crate::resources::mount::state::MountState;

/// What must be mounted where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) what: What,
    pub(super) state: MountState,
    pub(super) entry: Entry,
}

/// A mount point, or a swap device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// In normal form.
    Point(PathBuf),
    Swap,
}

impl Wanted {
    /// What its entry is known by.
    pub(super) fn which(&self) -> Which<'_> {
        match &self.what {
            What::Point(_) => Which::Point(&self.entry.point),
            What::Swap => Which::Swap(&self.entry.device),
        }
    }

    pub(super) fn is_bind(&self) -> bool {
        is_bind(&self.entry.options)
    }

    /// The entry that the file must have.
    pub(super) fn kept_entry(&self) -> Option<&Entry> {
        (self.state != MountState::Absent).then_some(&self.entry)
    }
}
