//! The numbers of users and groups, remembered for a moment: many files of one graph have the same owner.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resources::file::owner::Owner;
use crate::resources::file::wanted::Owners;
use crate::sys::fs::{Attributes, ReadFs, Stat};
use crate::sys::users::UserError;

/// How long an answer is valid while the account files of this machine do not change: some answers come from elsewhere.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Answers of the system. An unknown name is asked for again each time.
#[derive(Debug, Default)]
pub(super) struct OwnerIds {
    known: Mutex<HashMap<(bool, Owner), Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    id: u32,
    since: Instant,
    list: Option<(u64, i128)>,
}

/// The owners that a file must have, as far as the system has them now.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) uid: Option<Result<u32, UserError>>,
    pub(super) gid: Option<Result<u32, UserError>>,
}

impl OwnerIds {
    /// The numbers of these owners.
    pub(super) fn resolve(&self, fs: &ReadFs, owners: &Owners) -> Resolved {
        Resolved { uid: self.uid(fs, owners), gid: self.gid(fs, owners) }
    }

    /// The number of the user.
    pub(super) fn uid(&self, fs: &ReadFs, owners: &Owners) -> Option<Result<u32, UserError>> {
        owners.user.as_ref().map(|user| self.id(fs, false, user))
    }

    /// The number of the group.
    pub(super) fn gid(&self, fs: &ReadFs, owners: &Owners) -> Option<Result<u32, UserError>> {
        owners.group.as_ref().map(|group| self.id(fs, true, group))
    }

    fn id(&self, fs: &ReadFs, group: bool, owner: &Owner) -> Result<u32, UserError> {
        if let Owner::Id(id) = owner {
            return Ok(*id);
        }
        let list = fs.stat(if group { "/etc/group" } else { "/etc/passwd" }).ok().flatten().map(version);
        let key = (group, owner.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&key).filter(|known| known.list == list && known.since.elapsed() < GOOD_FOR) {
            return Ok(known.id);
        }
        known.remove(&key);
        let since = Instant::now();
        let id = if group { owner.gid() } else { owner.uid() }?;
        known.insert(key, Known { id, since, list });
        Ok(id)
    }
}

fn version(stat: Stat) -> (u64, i128) {
    (stat.ino, stat.ctime_ns)
}

impl Owners {
    /// The attributes to set, with this mode.
    pub(super) fn attributes(&self, mode: Option<u32>) -> Result<Attributes, UserError> {
        Ok(Attributes {
            mode,
            uid: self.user.as_ref().map(Owner::uid).transpose()?,
            gid: self.group.as_ref().map(Owner::gid).transpose()?,
        })
    }
}
