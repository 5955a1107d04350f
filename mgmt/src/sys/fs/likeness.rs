//! What a copy has in common with its original besides the content: owner, group, mode, time, extended attributes,
//! access lists.
//!
//! None of this is declared, so none of it is required: what the system refuses is left out, and remembered for that
//! file, so that it is not tried again and again.

use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::attributes::{ACL, Adoption, Attributes, CAPABILITY, DEFAULT_ACL, Handle, xattr_names};
use super::calls::{Call, Calls};
use super::digest::Digest;
use super::error::FsError;
use super::fd::{Fd, How};
use super::read::{FileReader, ReadFs};
use super::stat::{Stat, stat_fd};
use super::write::{WriteFs, is_refused, without_group};

const NS_PER_S: i128 = 1_000_000_000;
/// The granularity of times in file systems, in nanoseconds: 100 ns (NTFS), 1 µs, 1 ms, 10 ms (exFAT), 1 s, 2 s (FAT).
const GRAINS_NS: [i128; 6] = [100, 1_000, 1_000_000, 10_000_000, NS_PER_S, 2 * NS_PER_S];
/// The first or the last second that a file system can store: in 1901, 1970, 1980, 2038, 2106, 2107 and 2446.
const EDGES_S: [i128; 7] = [-0x8000_0000, 0, 315_532_800, 0x7fff_ffff, 0xffff_ffff, 4_354_819_199, 0x3_7fff_ffff];
/// The numbers of file systems that store neither owners nor modes: FAT and exFAT.
const WITHOUT_OWNERS: [u64; 2] = [0x4d44, 0x2011_bab0];

/// What a copy takes over from its original. Where this is `None`, the copy keeps what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// Owner, group and mode.
    pub attributes: Attributes,
    /// The time of the last change of the content, in nanoseconds since 1970.
    pub mtime_ns: Option<i128>,
    /// Whether the copy gets the access lists of the original. If not, it has none.
    pub access_lists: bool,
    /// Whether the copy gets the capabilities of the original, if the file system of the original grants rights (no
    /// `nosuid`).
    pub capabilities: bool,
}

/// A trait in which a copy can differ from its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// Owner or group.
    Owner,
    /// The mode.
    Mode,
    /// The time of the last change of the content.
    Time,
    /// An access list, or the one that a directory gives to whatever is made in it.
    AccessList,
    /// Capabilities, and extended attributes of users.
    Xattrs,
}

/// The extended attributes that a copy can take over: those of users (`user.`), access lists, capabilities. Only
/// digests of the values are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xattrs {
    /// Names and digests of the values, sorted by name.
    values: Vec<(Box<[u8]>, Digest)>,
}

impl Xattrs {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether there is an access list besides the mode.
    pub fn has_access_list(&self) -> bool {
        self.get(ACL).is_some()
    }

    /// Whether there are capabilities.
    pub fn has_capabilities(&self) -> bool {
        self.get(CAPABILITY).is_some()
    }

    /// The traits in which a copy with these attributes differs from what it must have. Other attributes of its own do
    /// not count, except access lists, which are part of the mode.
    pub fn differences(&self, original: &Xattrs, likeness: &Likeness) -> Vec<Trait> {
        let mut differences = Vec::new();
        let wanted = |name| original.get(name).filter(|_| likeness.access_lists);
        if [ACL, DEFAULT_ACL].iter().any(|list| self.get(list) != wanted(list)) {
            differences.push(Trait::AccessList);
        }
        let is_taken = |name: &[u8]| is_of_users(name) || (likeness.capabilities && name == CAPABILITY);
        let mut taken = original.values.iter().filter(|(name, _)| is_taken(name));
        if taken.any(|(name, value)| self.get(name) != Some(value)) {
            differences.push(Trait::Xattrs);
        }
        differences
    }

    fn get(&self, name: &[u8]) -> Option<&Digest> {
        self.values.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
    }
}

impl Likeness {
    /// This likeness, with the declared attributes in place of those of the original.
    #[must_use]
    pub fn with(mut self, declared: &Attributes) -> Likeness {
        self.attributes = declared.or(&self.attributes);
        self
    }

    /// This likeness without a time.
    #[must_use]
    pub fn without_time(mut self) -> Likeness {
        self.mtime_ns = None;
        self
    }

    /// Whether an object with this stat has the wanted time, as far as its file system can store that.
    pub fn has_time(&self, there: &Stat) -> bool {
        self.mtime_ns.is_none_or(|wanted| is_same_time(wanted, there.mtime_ns))
    }
}

/// Whether a file system that was given the one time may show the other: it cuts off what is finer than its
/// granularity, and clamps a time outside of its range.
fn is_same_time(given: i128, shown: i128) -> bool {
    let grain = |grain: &i128| given.div_euclid(*grain) * grain == shown;
    let edge = |edge: &i128| {
        let (edge, shown_s) = (edge * NS_PER_S, shown.div_euclid(NS_PER_S) * NS_PER_S);
        shown_s == edge && ((given < shown && edge <= 315_532_800 * NS_PER_S) || (given > shown && edge > NS_PER_S))
    };
    given == shown || GRAINS_NS.iter().any(grain) || EDGES_S.iter().any(edge)
}

pub(super) fn is_of_users(name: &[u8]) -> bool {
    name.starts_with(b"user.")
}

/// Reads the extended attributes that a copy can take over.
fn read(calls: &Calls, fd: &Fd, path: &Path) -> Result<Xattrs, FsError> {
    let mut values = Vec::new();
    for name in xattr_names(calls, fd, path)?.split(|byte| *byte == 0) {
        if is_of_users(name) || [ACL, DEFAULT_ACL, CAPABILITY].contains(&name) {
            let value = super::attributes::xattr(calls, fd, name, path)?;
            values.extend(value.map(|value| (name.into(), Digest::of(&value))));
        }
    }
    values.sort_by(|(a, _), (b, _)| Ord::cmp(a, b));
    Ok(Xattrs { values })
}

impl FileReader {
    /// The extended attributes that a copy of the file can take over.
    ///
    /// # Errors
    /// They can't be read.
    pub fn xattrs(&self) -> Result<Xattrs, FsError> {
        read(&self.calls, &self.fd, &self.path)
    }
}

impl ReadFs {
    /// The extended attributes of the object at `path`, a file or a directory, that a copy of it can take over.
    ///
    /// # Errors
    /// Nothing is there, or it can't be examined.
    pub fn xattrs(&self, path: impl AsRef<Path>) -> Result<Xattrs, FsError> {
        let (fd, path) = self.open_path(path.as_ref())?;
        read(&self.inner.calls, &fd, &path)
    }

    /// Whether the file system of the object at `path` grants rights by set-user-id, set-group-id and capabilities.
    ///
    /// # Errors
    /// Nothing is there, or it can't be examined.
    pub fn grants_rights(&self, path: impl AsRef<Path>) -> Result<bool, FsError> {
        let (fd, path) = self.open_path(path.as_ref())?;
        grants_rights(&self.inner.calls, &fd, &path)
    }

    /// Whether the object at `path`, whose stat is `found`, can get this trait: its file system supports it, and has
    /// not refused it for this file before.
    ///
    /// # Errors
    /// Nothing is there, or it can't be examined.
    pub fn can_have(&self, path: impl AsRef<Path>, found: &Stat, what: Trait) -> Result<bool, FsError> {
        if self.inner.memory.is_refused(found, what) {
            return Ok(false);
        }
        let name = match what {
            Trait::Time => return Ok(true),
            Trait::Owner | Trait::Mode => {
                let place = self.place(path.as_ref())?;
                let system = self.inner.calls.run(Call::Stat, &place.path, || place.dir.file_system())?;
                return Ok(!WITHOUT_OWNERS.contains(&system));
            }
            Trait::AccessList => ACL,
            Trait::Xattrs => b"user.mgmt",
        };
        let (fd, path) = self.open_path(path.as_ref())?;
        let read = self.inner.calls.run(Call::ReadXattr, &path, || fd.has_xattr(name));
        Ok(!matches!(read, Err(error) if error.is(Errno::OPNOTSUPP)))
    }

    /// Opens the object at `path`, of any type, only as a reference (`O_PATH`).
    pub(super) fn open_path(&self, path: &Path) -> Result<(Fd, std::path::PathBuf), FsError> {
        let place = self.place(path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let calls = &self.inner.calls;
        match calls.run(Call::Open, &place.path, || place.dir.open(&place.name, flags)) {
            Err(error) if error.is_missing() => Err(FsError::Missing { path: place.path }),
            fd => Ok((fd?, place.path)),
        }
    }
}

fn grants_rights(calls: &Calls, fd: &Fd, path: &Path) -> Result<bool, FsError> {
    calls.run(Call::Stat, path, || fd.grants_rights())
}

impl WriteFs {
    /// Makes the object at `path`, a file or a directory, like `original` in everything that the likeness names. What
    /// the system refuses stays as it is, and is remembered for [`ReadFs::can_have`].
    ///
    /// # Errors
    /// One of the two does not exist, or they are of different types; as root [`FsError::HardLink`] as in
    /// [`WriteFs::set_attributes`].
    pub fn make_alike(
        &self,
        path: impl AsRef<Path>,
        original: impl AsRef<Path>,
        likeness: &Likeness,
    ) -> Result<(), FsError> {
        let place = self.place(path.as_ref())?;
        let calls = &self.inner.calls;
        let (fd, path) = self.open_path(&place.path)?;
        let now = stat_fd(calls, &fd, &path)?;
        let (original, original_path) = self.open_path(original.as_ref())?;
        if stat_fd(calls, &original, &original_path)?.kind != now.kind || now.is_symlink() {
            return Err(FsError::Changed { path });
        }
        self.guard_hard_links(&place, &now)?;
        let handle = Handle { calls, fd: &fd, how: How::PathOnly, path: &path };
        let desired = &likeness.attributes;
        let adoption = Adoption::of(&now, desired, self.inner.euid);
        match handle.set(&now, desired, adoption) {
            Err(error) if is_refused(&error) => {
                // The owner stays: so no set-id bit of the original is taken over, since it would grant other rights.
                let mode = desired.mode.map(|mode| mode & 0o1777);
                pass(handle.set(&now, &Attributes { mode, ..Attributes::new() }, Adoption::None))?;
            }
            other => other?,
        }
        let refused = handle.take_over(&now, &original, likeness)?;
        self.note_refused(&stat_fd(calls, &fd, &path)?, likeness, &refused);
        Ok(())
    }

    /// Sets the time of the likeness on the object at `path`, if the system allows that.
    ///
    /// # Errors
    /// Nothing is there, or it can't be examined.
    pub fn set_time(&self, path: impl AsRef<Path>, likeness: &Likeness) -> Result<(), FsError> {
        let (fd, path) = self.open_path(path.as_ref())?;
        let handle = Handle { calls: &self.inner.calls, fd: &fd, how: How::PathOnly, path: &path };
        likeness.mtime_ns.map_or(Ok(()), |ns| pass(handle.set_mtime(ns)))
    }

    /// Remembers the traits of a likeness that an object did not get.
    pub(super) fn note_refused(&self, now: &Stat, likeness: &Likeness, refused: &[Trait]) {
        let Attributes { mode, uid, gid } = likeness.attributes;
        let differs = [
            (Trait::Owner, !Attributes { mode: None, uid, gid }.are_those_of(now)),
            (Trait::Mode, !Attributes { mode, uid: None, gid: None }.are_those_of(now)),
            (Trait::Time, !likeness.has_time(now)),
        ];
        let differs = differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what);
        let all: Vec<Trait> = differs.chain(refused.iter().copied()).collect();
        if !all.is_empty() {
            tracing::debug!(?all, ino = now.ino, "a copy can't have what its original has");
        }
        self.inner.memory.refuse(now, &all);
    }
}

impl Handle<'_> {
    /// Copies extended attributes and access lists, then sets the time: the last steps, after owner and mode. Returns
    /// the traits that were refused.
    pub(super) fn take_over(&self, now: &Stat, original: &Fd, likeness: &Likeness) -> Result<Vec<Trait>, FsError> {
        let names = xattr_names(self.calls, original, self.path)?;
        let names: Vec<&[u8]> = names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
        let mut refused = Vec::new();
        for name in names.iter().filter(|name| is_of_users(name) || **name == CAPABILITY) {
            let grants = || grants_rights(self.calls, original, self.path);
            if (*name == CAPABILITY && !(likeness.capabilities && grants()?)) || self.copy(original, name)? {
                continue;
            }
            refused.push(Trait::Xattrs);
        }
        let lists: &[&[u8]] = if now.is_dir() { &[ACL, DEFAULT_ACL] } else { &[ACL] };
        for list in lists {
            if !likeness.access_lists || !names.contains(list) {
                // A new file has already lost the list that its directory gave it.
                if matches!(self.how, How::PathOnly) {
                    self.remove_xattr(list)?;
                }
            } else if !self.copy(original, list)? {
                refused.push(Trait::AccessList);
                if let Some(mode) = likeness.attributes.mode.filter(|_| *list == ACL) {
                    // Without the list, the group bits of the mode would grant more than they do with it.
                    pass(self.chmod(without_group(mode)))?;
                }
            }
        }
        if let Some(ns) = likeness.mtime_ns {
            pass(self.set_mtime(ns))?;
        }
        refused.dedup();
        Ok(refused)
    }

    /// Copies an extended attribute of another file. Returns `false` if the system refuses it.
    fn copy(&self, from: &Fd, name: &[u8]) -> Result<bool, FsError> {
        let Some(value) = super::attributes::xattr(self.calls, from, name, self.path)? else { return Ok(true) };
        let set = self.calls.run(Call::SetXattr, self.path, || {
            // As for an object that is open only as a reference: the file may be open for reading.
            self.fd.set_xattr(name, &value, How::PathOnly)
        });
        match set {
            Ok(()) => Ok(true),
            Err(error) if is_passed(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn set_mtime(&self, ns: i128) -> Result<(), FsError> {
        self.calls.run(Call::SetTimes, self.path, || self.fd.set_mtime(ns, self.how))
    }
}

/// Whether the error means that the system can't do this, or does not allow it.
pub(super) fn is_passed(error: &FsError) -> bool {
    is_refused(error)
        || [Errno::ACCESS, Errno::NOSPC, Errno::DQUOT, Errno::TOOBIG, Errno::RANGE, Errno::OVERFLOW]
            .iter()
            .any(|errno| error.is(*errno))
}

fn pass(outcome: Result<(), FsError>) -> Result<(), FsError> {
    match outcome {
        Err(error) if is_passed(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_the_file_system_can_keep_it() {
        let given = 1_700_000_001_123_456_789;
        for shown in [given, given - 89, given - 789, 1_700_000_001_000_000_000, 1_700_000_000_000_000_000] {
            assert!(is_same_time(given, shown), "{shown}");
        }
        for shown in [given + 1, given - 1, 1_700_000_002_000_000_000, 1_699_999_999_000_000_000, 0] {
            assert!(!is_same_time(given, shown), "{shown}");
        }
        let year_2100 = 4_102_444_800 * NS_PER_S;
        assert!(is_same_time(year_2100, 0x7fff_ffff * NS_PER_S), "a file system that ends in 2038");
        assert!(is_same_time(-NS_PER_S, 315_532_800 * NS_PER_S), "one that begins in 1980");
        assert!(!is_same_time(NS_PER_S, 0x7fff_ffff * NS_PER_S) && !is_same_time(year_2100, 0));
    }
}
