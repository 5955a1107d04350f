//! Temporary files next to their targets: unpredictable, recognisable, and locked while a process works on them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::calls::{Call, Calls};
use super::digest::Digest;
use super::error::FsError;
use super::fd::Fd;
use super::read::{DirEntry, ReadFs, open_dir, read_entries};
use super::stat::{FileKind, Stat, stat_fd};
use super::walk::Place;
use crate::sys::rng;

const PREFIX: &str = ".mgmt-";
/// The suffix of a file that becomes the target, or that guards a symlink that does.
const FILE_SUFFIX: &str = ".tmp";
/// The suffix of a symlink that becomes the target. A symlink can't be locked; the file with the same number is locked
/// instead.
const LINK_SUFFIX: &str = ".lnk";
/// The most names that are tried for one file.
const TRIES: usize = 16;

/// A temporary file that is removed when dropped, unless it was renamed.
pub(super) struct Temp<'a> {
    calls: &'a Calls,
    place: &'a Place,
    name: String,
    pub(super) fd: Arc<Fd>,
    in_place: bool,
}

impl<'a> Temp<'a> {
    /// Creates an empty, locked file next to `place`, with `mode` (at most `0600`), owned by us.
    pub(super) fn create(calls: &'a Calls, place: &'a Place, euid: u32, mode: u32) -> Result<Temp<'a>, FsError> {
        // Readable too: the digest of content that the kernel copied is computed from the new file.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o600);
        for _ in 0..TRIES {
            let name = new_name(calls, euid, &place.path)?;
            let fd = match calls.run(Call::Create, &place.path, || place.dir.create(&name, flags, mode)) {
                Err(error) if error.is(Errno::EXIST) => continue,
                other => other?,
            };
            let temp = Temp { calls, place, name, fd: Arc::new(fd), in_place: false };
            if temp.lock()? {
                return Ok(temp);
            }
        }
        Err(FsError::Changed { path: place.path.clone() })
    }

    /// Locks the file. Returns `false` if another process, which was cleaning up, has locked or removed it since its
    /// creation.
    fn lock(&self) -> Result<bool, FsError> {
        match try_lock(self.calls, &self.fd, &self.place.path)? {
            Lock::Held => Ok(false),
            Lock::Taken => Ok(stat_fd(self.calls, &self.fd, &self.place.path)?.nlink > 0),
            // No other process can lock the file either, so none takes it for a left-over.
            Lock::Unsupported => Ok(true),
        }
    }

    /// Renames the file to its final name, over what is there or (`over: false`) only if nothing is there.
    pub(super) fn rename(&mut self, over: bool) -> Result<(), FsError> {
        rename(self.calls, self.place, &self.name, over)?;
        self.in_place = true;
        Ok(())
    }

    /// Renames the file to its final name if nothing is there and the file system can check that. Returns whether it
    /// did.
    pub(super) fn rename_to_free(&mut self) -> Result<bool, FsError> {
        match self.rename(false) {
            Ok(()) => Ok(true),
            Err(error) if [Errno::EXIST, Errno::INVAL, Errno::NOSYS].iter().any(|e| error.is(*e)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a symlink next to `place`, gives it to `owner`, and renames it to its final name. This file guards the
    /// link meanwhile.
    pub(super) fn rename_link(self, target: &Path, owner: Option<u32>, over: bool) -> Result<(), FsError> {
        let name = self.name.replace(FILE_SUFFIX, LINK_SUFFIX);
        let place = self.place;
        self.calls.run(Call::Symlink, &place.path, || place.dir.symlink(target, &name))?;
        let owned = owner.map_or(Ok(()), |owner| {
            let owner = Uid::from_raw_unchecked(owner);
            self.calls.run(Call::Chown, &place.path, || place.dir.chown_link(&name, owner))
        });
        let outcome = owned.and_then(|()| match rename(self.calls, place, &name, over) {
            // This file system can't check whether the name is free; nothing was there a moment ago.
            Err(error) if !over && [Errno::INVAL, Errno::NOSYS].iter().any(|e| error.is(*e)) => {
                rename(self.calls, place, &name, true)
            }
            outcome => outcome,
        });
        if outcome.is_err() {
            remove(self.calls, place, &name);
        }
        outcome
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            remove(self.calls, self.place, &self.name);
        }
    }
}

fn rename(calls: &Calls, place: &Place, name: &str, over: bool) -> Result<(), FsError> {
    calls.run(Call::Rename, &place.path, || place.dir.rename(name, &place.name, over))
}

/// Removes a temporary file. A failure is only logged: the next clean-up removes a file that stays.
fn remove(calls: &Calls, place: &Place, name: &str) {
    let outcome = calls.run(Call::Unlink, &place.path, || place.dir.unlink(name, AtFlags::empty()));
    if let Err(error) = outcome {
        tracing::debug!(%error, name, "a temporary file stays");
    }
}

enum Lock {
    Taken,
    Held,
    Unsupported,
}

fn try_lock(calls: &Calls, fd: &Fd, path: &Path) -> Result<Lock, FsError> {
    match calls.run(Call::Lock, path, || fd.lock()) {
        Ok(()) => Ok(Lock::Taken),
        Err(error) if error.is(Errno::WOULDBLOCK) => Ok(Lock::Held),
        Err(error) if [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].iter().any(|e| error.is(*e)) => {
            Ok(Lock::Unsupported)
        }
        Err(error) => Err(error),
    }
}

/// A new name: 64 random bits, and 32 check bits that are derived from them and from our user number.
fn new_name(calls: &Calls, euid: u32, path: &Path) -> Result<String, FsError> {
    let random = calls.run(Call::Random, path, || rng::number().map_err(|_| Errno::NOSYS))?;
    Ok(name_of(random, euid))
}

fn name_of(random: u64, euid: u32) -> String {
    let digest = Digest::of(format!("temporary file {random:016x} of {euid}").as_bytes());
    let [a, b, c, d, ..] = digest.as_bytes();
    format!("{PREFIX}{random:016x}{a:02x}{b:02x}{c:02x}{d:02x}{FILE_SUFFIX}")
}

/// Whether a name looks like that of a temporary file of this program, run by any user. Code that lists or purges a
/// directory must skip such a file, since it may be about to become something else.
pub fn is_temporary_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let digits = name.strip_prefix(PREFIX.as_bytes()).and_then(|rest| {
        rest.strip_suffix(FILE_SUFFIX.as_bytes()).or_else(|| rest.strip_suffix(LINK_SUFFIX.as_bytes()))
    });
    digits.is_some_and(|digits| digits.len() == 24 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Whether a name is one that this program gives, as this user. A foreign file has such a name with a chance of 1 in
/// 2³².
fn is_ours(name: &str, euid: u32) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.get(..16))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .is_some_and(|random| name == name_of(random, euid))
}

/// Removes the temporary files that killed processes of this user left in a directory; returns their number. Those of
/// living processes, of other users and of other programs stay.
pub(super) fn clean(calls: &Calls, dir: &Fd, euid: u32, path: &Path) -> Result<usize, FsError> {
    let fd = open_dir(calls, dir, OsStr::new("."), path)?;
    let mut removed = 0;
    for entry in read_entries(calls, &fd, path)? {
        let state = state_of_entry(calls, &fd, &entry, euid, path)?;
        // Held until the name is gone: a process that has just made the file then finds it locked, or without a name.
        let _lock = match state {
            State::NotOurs => continue,
            State::Gone => None,
            State::LeftOver(lock) => Some(lock),
        };
        match calls.run(Call::Unlink, path, || fd.unlink(&entry.name, AtFlags::empty())) {
            Ok(()) => removed += 1,
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

impl ReadFs {
    /// Whether a process works on the temporary file `path` now (see [`is_temporary_name`]); also true if that can't be
    /// determined. A file that a killed process left is a file like any other.
    ///
    /// # Errors
    /// The file can't be examined.
    pub fn is_being_written(&self, path: impl AsRef<Path>) -> Result<bool, FsError> {
        let place = self.place(path.as_ref())?;
        if !is_temporary_name(&place.name) {
            return Ok(false);
        }
        // A symlink can't be locked; the file with the same number is locked instead.
        let guard = place.name.to_string_lossy().replace(LINK_SUFFIX, FILE_SUFFIX);
        let dir = open_dir(&self.inner.calls, &place.dir, OsStr::new("."), &place.path)?;
        Ok(matches!(state_of(&self.inner.calls, &dir, &guard, &place.path)?, State::NotOurs))
    }

    /// The number of temporary files that killed processes of this user have left next to `path`. A directory without
    /// any is searched once, and one with some again only for the path for which they were found.
    pub fn leftovers(&self, path: impl AsRef<Path>) -> Result<usize, FsError> {
        let memory = &self.inner.memory;
        let place = self.place(path.as_ref())?;
        let identity = self.identity_of_dir(&place)?;
        if !memory.looks_for_leftovers(identity, &place.path) {
            return Ok(0);
        }
        self.count_leftovers(&place.dir, identity, &place.path)
    }

    /// Like [`ReadFs::leftovers`], in the directory `path`, whose stat is `seen`.
    pub fn leftovers_in(&self, path: impl AsRef<Path>, seen: &Stat) -> Result<usize, FsError> {
        let normal = self.normal(path.as_ref())?;
        if !self.inner.memory.looks_for_leftovers(seen.identity(), &normal) {
            return Ok(0);
        }
        let dir = self.walker().directory(&normal)?;
        self.count_leftovers(&dir, stat_fd(&self.inner.calls, &dir, &normal)?.identity(), &normal)
    }

    fn count_leftovers(&self, dir: &Fd, identity: (u64, u64), path: &Path) -> Result<usize, FsError> {
        let calls = &self.inner.calls;
        let dir = open_dir(calls, dir, OsStr::new("."), path)?;
        let mut count = 0;
        for entry in read_entries(calls, &dir, path)? {
            count += usize::from(match state_of_entry(calls, &dir, &entry, self.inner.euid, path)? {
                State::LeftOver(_) => true,
                State::NotOurs => false,
                // A link without its guard is a left-over, unless it was renamed to its final name meanwhile.
                State::Gone => entry.kind == FileKind::Symlink && dir.read_link(&entry.name).is_ok(),
            });
        }
        if count == 0 {
            self.inner.memory.first_visit(identity);
        }
        Ok(count)
    }
}

/// Whether a temporary file is a left-over.
enum State {
    /// A process works on it, or that can't be determined: the file must not be touched.
    NotOurs,
    Gone,
    /// No process works on the file; it is locked by us now.
    LeftOver(Fd),
}

/// The state of a directory entry; `NotOurs` unless it is a temporary file of this user.
fn state_of_entry(calls: &Calls, dir: &Fd, entry: &DirEntry, euid: u32, path: &Path) -> Result<State, FsError> {
    let Some(name) = entry.name.to_str() else { return Ok(State::NotOurs) };
    match entry.kind {
        FileKind::File if is_ours(name, euid) => state_of(calls, dir, name, path),
        FileKind::Symlink => match name.strip_suffix(LINK_SUFFIX).map(|stem| format!("{stem}{FILE_SUFFIX}")) {
            // The guard is made before the link and removed after it: without a guard, no process works on the link.
            Some(guard) if is_ours(&guard, euid) => state_of(calls, dir, &guard, path),
            _ => Ok(State::NotOurs),
        },
        _ => Ok(State::NotOurs),
    }
}

fn state_of(calls: &Calls, dir: &Fd, name: &str, path: &Path) -> Result<State, FsError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = match calls.run(Call::Open, path, || dir.open(name, flags)) {
        Err(error) if error.is(Errno::NOENT) => return Ok(State::Gone),
        Err(error) if error.is(Errno::LOOP) || error.is(Errno::ACCESS) => return Ok(State::NotOurs),
        other => other?,
    };
    Ok(match try_lock(calls, &fd, path)? {
        Lock::Taken => State::LeftOver(fd),
        Lock::Held | Lock::Unsupported => State::NotOurs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ours_only_if_made_by_us_as_this_user() {
        let name = name_of(0x0123_4567_89ab_cdef, 0);
        assert!(name.starts_with(".mgmt-0123456789abcdef") && name.ends_with(".tmp"), "{name}");
        assert!(is_ours(&name, 0));
        assert!(is_temporary_name(OsStr::new(&name)) && is_temporary_name(OsStr::new(&name.replace(".tmp", ".lnk"))));
        assert!(!is_temporary_name(OsStr::new(".mgmt-1.tmp")) && !is_temporary_name(OsStr::new("motd")));
        assert!(!is_ours(&name, 1000), "another user's");
        assert!(!is_ours(".mgmt-0123456789abcdef00000000.tmp", 0), "a wrong check number");
        assert!(!is_ours(".mgmt-.tmp", 0) && !is_ours("motd", 0) && !is_ours(".mgmt-äöüäöüäöü.tmp", 0));
    }
}
