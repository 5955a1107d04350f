//! The owners of symlinks that are copied: a copy is followed only where its original would be.

use std::path::{Path, PathBuf};

use crate::resource::{Change, Result};
use crate::resources::file::look::Look;
use crate::resources::file::owner::Owner;
use crate::sys::fs::Stat;
use crate::sys::users;

/// Neither root nor the user that runs this.
pub(super) fn is_stranger(uid: u32) -> bool {
    uid != 0 && uid != users::us()
}

/// The strangers to whom the directories of the source belong, one directory after the other.
pub(super) type Holder = Option<(PathBuf, Option<u32>)>;

impl Look<'_> {
    /// The stranger to whom a symlink of a source belongs, or the directory that holds it: the owner of a directory
    /// decides about the names of the links in it.
    pub(super) fn maker(&self, path: &Path, link: &Stat, holder: &mut Holder) -> Result<Option<u32>> {
        if is_stranger(link.uid) {
            return Ok(Some(link.uid));
        }
        let dir = path.parent().unwrap_or(path);
        if let Some((_, owner)) = holder.as_ref().filter(|(known, _)| known == dir) {
            return Ok(*owner);
        }
        let owner = self.stat(dir)?.map(|stat| stat.uid).filter(|uid| is_stranger(*uid));
        *holder = Some((dir.to_owned(), owner));
        Ok(owner)
    }

    /// The difference of the owner of a copied symlink.
    pub(super) fn link_owner_change(&self, old: &Stat, maker: Option<u32>) -> Option<Change> {
        let declared = self.names.uid(self.fs, &self.wanted.owners);
        match (maker, declared) {
            // Declared: a user who does not exist yet, or another one who is not trusted.
            (_, Some(Err(_))) => self.owner_change(old),
            (Some(_), Some(Ok(uid))) if is_stranger(uid) => self.owner_change(old),
            (Some(maker), _) if users::is_root() => {
                (old.uid != maker).then(|| Change::new("owner", users::user_name(old.uid), Owner::Id(maker)))
            }
            (Some(maker), _) => {
                self.fs.note_maker(old, maker);
                None
            }
            (None, _) => self.owner_change(old),
        }
    }
}
