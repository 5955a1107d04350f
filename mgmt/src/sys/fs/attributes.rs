//! Owner, group, mode and extended attributes. They are always changed through an open file, and while they change,
//! access is never wider than asked for.

use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::calls::{Call, Calls};
use super::error::{FsError, LinkReason};
use super::fd::{Fd, How};
use super::read::ReadFs;
use super::stat::{FileKind, Stat, stat_fd};
use super::walk::{Links, Place};
use super::write::WriteFs;

/// The extended attribute that holds the access list.
pub(super) const ACL: &[u8] = b"system.posix_acl_access";
/// The extended attribute of a directory that holds the access list of whatever is made in it.
pub(super) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
/// The extended attribute that holds the capabilities of a program.
pub(super) const CAPABILITY: &[u8] = b"security.capability";
/// Set-user-id and set-group-id.
const SET_IDS: u32 = 0o6000;
/// The bits that remain of the mode of an object that was another user's: none by which that user could still change
/// it.
const ADOPTED_MODE: u32 = 0o755;
/// Like [`ADOPTED_MODE`], for an object that had an access list.
const ADOPTED_MODE_WITH_ACL: u32 = 0o700;

/// The desired attributes of an object; `None` leaves an attribute as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits with set-user-id, set-group-id and sticky: 0 to 0o7777; higher bits are ignored.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
}

impl Attributes {
    /// Nothing is desired.
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Desires this mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Attributes {
        self.mode = Some(mode);
        self
    }

    /// Desires this owner.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Attributes {
        self.uid = Some(uid);
        self
    }

    /// Desires this group.
    #[must_use]
    pub fn gid(mut self, gid: u32) -> Attributes {
        self.gid = Some(gid);
        self
    }

    /// These attributes; those that are `None` are taken from `other`.
    #[must_use]
    pub(super) fn or(&self, other: &Attributes) -> Attributes {
        Attributes { mode: self.mode.or(other.mode), uid: self.uid.or(other.uid), gid: self.gid.or(other.gid) }
    }

    /// Whether neither an owner nor a group is desired.
    pub(super) fn has_no_owners(&self) -> bool {
        self.uid.is_none() && self.gid.is_none()
    }

    /// Whether an object with this `stat` has all desired attributes.
    pub fn are_those_of(&self, stat: &Stat) -> bool {
        self.mode.is_none_or(|mode| mode & 0o7777 == stat.mode)
            && self.uid.is_none_or(|uid| uid == stat.uid)
            && self.gid.is_none_or(|gid| gid == stat.gid)
    }
}

/// How much of an object is kept when its owner or group changes. Rights that were given while it had another owner are
/// not rights to the file of the new owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adoption {
    /// Owner and group stay.
    None,
    /// The owner changes, and was root or us before; or only the group changes.
    Trusted,
    /// The owner changes, and was another user before.
    Foreign,
}

impl Adoption {
    /// The adoption of an object with the stat `now`, for a process of the user `euid`.
    pub(super) fn of(now: &Stat, desired: &Attributes, euid: u32) -> Adoption {
        if desired.uid.is_some_and(|uid| uid != now.uid) && now.uid != 0 && now.uid != euid {
            Adoption::Foreign
        } else if desired.uid.is_some_and(|uid| uid != now.uid) || desired.gid.is_some_and(|gid| gid != now.gid) {
            Adoption::Trusted
        } else {
            Adoption::None
        }
    }

    /// What remains of the mode `mode`, if none is desired.
    pub(super) fn mode(self, mode: u32) -> u32 {
        match self {
            Adoption::None => mode,
            Adoption::Trusted => mode & !SET_IDS,
            Adoption::Foreign => mode & ADOPTED_MODE,
        }
    }

    /// Like [`Adoption::mode`], for an object with an access list.
    pub(super) fn mode_with_acl(self, mode: u32) -> u32 {
        if self == Adoption::Foreign { mode & ADOPTED_MODE_WITH_ACL } else { self.mode(mode) }
    }
}

impl WriteFs {
    /// Sets the attributes of the object at `path`; returns whether anything had to change. While they change, the mode
    /// is never wider than the old one and the new one together. For a symlink, the owner is that of the link itself;
    /// its mode can't be changed.
    ///
    /// If the owner or the group changes and no mode is given, set-user-id and set-group-id are cleared. An object that
    /// belonged to a user other than root and the user of this process also loses its access lists and the write
    /// permission of its group and of others.
    ///
    /// # Errors
    /// [`FsError::Missing`]; [`FsError::Symlink`] for the mode of a symlink; as root [`FsError::HardLink`] for a file
    /// with several names in a directory that others can write: they may have made the name `path` for a file
    /// elsewhere.
    pub fn set_attributes(&self, path: impl AsRef<Path>, desired: &Attributes) -> Result<bool, FsError> {
        let place = self.place(path.as_ref())?;
        let calls = &self.inner.calls;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match calls.run(Call::Open, &place.path, || place.dir.open(&place.name, flags)) {
            Err(error) if error.is_missing() => return Err(FsError::Missing { path: place.path }),
            other => other?,
        };
        let now = stat_fd(calls, &fd, &place.path)?;
        if desired.are_those_of(&now) {
            return Ok(false);
        }
        if now.is_symlink() && desired.mode.is_some() {
            return Err(FsError::Symlink { link: place.path, reason: LinkReason::NotA(FileKind::File) });
        }
        self.guard_hard_links(&place, &now)?;
        let adoption = Adoption::of(&now, desired, self.inner.euid);
        Handle { calls, fd: &fd, how: How::PathOnly, path: &place.path }.set(&now, desired, adoption)?;
        Ok(true)
    }

    pub(super) fn guard_hard_links(&self, place: &Place, now: &Stat) -> Result<(), FsError> {
        let guarded = self.inner.euid == 0 && self.links == Links::Guarded;
        if !guarded || now.is_dir() || now.nlink < 2 {
            return Ok(());
        }
        if stat_fd(&self.inner.calls, &place.dir, &place.path)?.others_can_write() {
            return Err(FsError::HardLink { path: place.path.clone(), links: now.nlink });
        }
        Ok(())
    }
}

/// An open file whose attributes are changed.
pub(super) struct Handle<'a> {
    pub(super) calls: &'a Calls,
    pub(super) fd: &'a Fd,
    pub(super) how: How,
    pub(super) path: &'a Path,
}

impl Handle<'_> {
    /// Changes the attributes from `now` to the desired ones: takes rights away first, then sets the owner, then the
    /// mode.
    pub(super) fn set(&self, now: &Stat, desired: &Attributes, adoption: Adoption) -> Result<(), FsError> {
        let mut final_mode = desired.mode.map_or(adoption.mode(now.mode), |mode| mode & 0o7777);
        let mut mode = now.mode;
        if adoption != Adoption::None {
            if !now.is_symlink() && mode & !final_mode != 0 {
                mode &= final_mode;
                self.chmod(mode)?;
            }
            self.chown(desired)?;
        }
        if now.is_symlink() {
            return Ok(());
        }
        if adoption == Adoption::Foreign {
            if self.has_acl()? && desired.mode.is_none() {
                // With an access list, the group bits of the mode are the most that the list grants, not the group's
                // permissions.
                final_mode = adoption.mode_with_acl(final_mode);
                self.chmod(final_mode)?;
            }
            self.remove_acl()?;
            if now.is_dir() {
                self.remove_xattr(DEFAULT_ACL)?;
            }
        }
        // Until the owner changed, the former one could set another mode; the change may have cleared set-id bits.
        if mode != final_mode || adoption != Adoption::None {
            self.chmod(final_mode)?;
        }
        Ok(())
    }

    fn has_acl(&self) -> Result<bool, FsError> {
        match self.calls.run(Call::ReadXattr, self.path, || self.fd.has_xattr(ACL)) {
            Ok(()) => Ok(true),
            Err(error) if [Errno::NODATA, Errno::OPNOTSUPP].iter().any(|e| error.is(*e)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the access list, if there is one.
    pub(super) fn remove_acl(&self) -> Result<(), FsError> {
        self.remove_xattr(ACL)
    }

    pub(super) fn remove_xattr(&self, name: &[u8]) -> Result<(), FsError> {
        match self.calls.run(Call::SetXattr, self.path, || self.fd.remove_xattr(name, self.how)) {
            Err(error) if [Errno::NODATA, Errno::OPNOTSUPP].iter().any(|e| error.is(*e)) => Ok(()),
            other => other,
        }
    }

    pub(super) fn chown(&self, desired: &Attributes) -> Result<(), FsError> {
        let uid = desired.uid.map(Uid::from_raw_unchecked);
        let gid = desired.gid.map(Gid::from_raw_unchecked);
        self.calls.run(Call::Chown, self.path, || self.fd.chown(uid, gid))
    }

    pub(super) fn chmod(&self, mode: u32) -> Result<(), FsError> {
        let mode = Mode::from_raw_mode(mode);
        self.calls.run(Call::Chmod, self.path, || self.fd.chmod(mode, self.how))
    }
}

impl ReadFs {
    /// What remains of the mode of the object at `path`, whose stat is `now`, when it gets these owners: without the
    /// rights that were given while it had another owner. A relative mode is applied to this.
    ///
    /// # Errors
    /// The object can't be examined.
    pub fn adopted_mode(&self, path: impl AsRef<Path>, now: &Stat, owners: &Attributes) -> Result<u32, FsError> {
        let adoption = Adoption::of(now, owners, self.inner.euid);
        if adoption == Adoption::Foreign && self.has_access_list(path)? {
            return Ok(adoption.mode_with_acl(now.mode));
        }
        Ok(adoption.mode(now.mode))
    }

    /// Whether the file at `path` has an access list besides its mode. `false` for a symlink, and if nothing is there.
    ///
    /// # Errors
    /// The file can't be examined.
    pub fn has_access_list(&self, path: impl AsRef<Path>) -> Result<bool, FsError> {
        let place = self.place(path.as_ref())?;
        let calls = &self.inner.calls;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = calls.run(Call::Open, &place.path, || place.dir.open(&place.name, flags));
        let fd = match opened {
            Err(error) if error.is_missing() => return Ok(false),
            other => other?,
        };
        if stat_fd(calls, &fd, &place.path)?.is_symlink() {
            return Ok(false);
        }
        Handle { calls, fd: &fd, how: How::PathOnly, path: &place.path }.has_acl()
    }
}

/// Copies the extended attributes of the file at `place` to the new file that will replace it. Not copied: those that
/// belong to the old content (capabilities, integrity), and those that only the system may set.
pub(super) fn copy_xattrs(calls: &Calls, place: &Place, to: &Fd) -> Result<(), FsError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let old = calls.run(Call::Open, &place.path, || place.dir.open(&place.name, flags))?;
    if !stat_fd(calls, &old, &place.path)?.is_file() {
        return Err(FsError::Changed { path: place.path.clone() });
    }
    for name in xattr_names(calls, &old, &place.path)?.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        if belongs_to_the_content(name) {
            continue;
        }
        copy_xattr(calls, &old, to, name, &place.path)?;
    }
    Ok(())
}

/// The names of the extended attributes of an object, each with a NUL at its end.
pub(super) fn xattr_names(calls: &Calls, from: &Fd, path: &Path) -> Result<Vec<u8>, FsError> {
    match calls.run(Call::ReadXattr, path, || from.xattr_names()) {
        Err(error) if error.is(Errno::OPNOTSUPP) => Ok(Vec::new()),
        other => other,
    }
}

/// The value of an extended attribute; `None` if it is gone by now, or may not be read.
pub(super) fn xattr(calls: &Calls, from: &Fd, name: &[u8], path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match calls.run(Call::ReadXattr, path, || from.xattr(name)) {
        Err(error) if [Errno::NODATA, Errno::PERM, Errno::ACCESS].iter().any(|e| error.is(*e)) => Ok(None),
        other => other.map(Some),
    }
}

fn copy_xattr(calls: &Calls, from: &Fd, to: &Fd, name: &[u8], path: &Path) -> Result<(), FsError> {
    let Some(value) = xattr(calls, from, name, path)? else { return Ok(()) };
    match calls.run(Call::SetXattr, path, || to.set_xattr(name, &value, How::Opened)) {
        Err(error) if !name.starts_with(b"user.") && name != ACL && is_not_allowed(&error) => Ok(()),
        other => other,
    }
}

fn is_not_allowed(error: &FsError) -> bool {
    [Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP].iter().any(|errno| error.is(*errno))
}

fn belongs_to_the_content(name: &[u8]) -> bool {
    [CAPABILITY, b"security.ima", b"security.evm"].contains(&name)
}
