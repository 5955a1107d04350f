//! Names in directories: making directories and symlinks, and removing.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Adoption, Attributes, Handle};
use super::calls::Call;
use super::error::FsError;
use super::fd::How;
use super::options::Replace;
use super::path::{PATH_BYTES_MAX, PathError};
use super::read::expect_kind;
use super::stat::{FileKind, stat_fd};
use super::temp::Temp;
use super::walk::Place;
use super::write::{WriteFs, is_refused};

/// The mode of a new directory when none is given.
const DIR_MODE: u32 = 0o755;

impl WriteFs {
    /// Makes the directory `path`; returns whether it is new. An existing directory is left as it is. The parent must
    /// exist. With a given mode, a new directory is accessible to this user alone until it has its owner and mode.
    /// Without one, its mode is `0755`, from the beginning: no later check would find it wrong if this process were
    /// killed before. A given mode is final: the access list that the parent would add is removed.
    ///
    /// # Errors
    /// [`FsError::WrongType`] or [`FsError::Symlink`] if something else is there.
    pub fn make_dir(&self, path: impl AsRef<Path>, attributes: &Attributes) -> Result<bool, FsError> {
        let normal = self.normal(path.as_ref())?;
        if normal == Path::new("/") {
            return Ok(false);
        }
        let place = self.walker().place(&normal)?;
        self.make_dir_at(&place, attributes)
    }

    /// Makes the directory `path` and its missing parents, all with these attributes; returns the number of new ones.
    pub fn make_dirs(&self, path: impl AsRef<Path>, attributes: &Attributes) -> Result<usize, FsError> {
        let normal = self.normal(path.as_ref())?;
        let mut missing = Vec::new();
        for dir in normal.ancestors() {
            match self.walker().directory(dir) {
                Ok(_) => break,
                Err(error) if error.is_missing() => missing.push(dir),
                Err(error) => return Err(error),
            }
        }
        let mut made = 0;
        for dir in missing.into_iter().rev() {
            made += usize::from(self.make_dir(dir, attributes)?);
        }
        Ok(made)
    }

    fn make_dir_at(&self, place: &Place, attributes: &Attributes) -> Result<bool, FsError> {
        let calls = &self.inner.calls;
        let first = Mode::from_raw_mode(if attributes.mode.is_some() { 0o700 } else { DIR_MODE });
        match calls.run(Call::MakeDir, &place.path, || place.dir.make_dir(&place.name, first)) {
            Err(error) if error.is(Errno::EXIST) => {
                expect_kind(&place.path, self.stat_required(place)?.kind, FileKind::Directory)?;
                return Ok(false);
            }
            other => other?,
        }
        let outcome = self.finish_dir(place, attributes);
        if outcome.is_err() {
            // The first error is reported; an empty directory that stays is only untidy.
            let _ = calls.run(Call::RemoveDir, &place.path, || place.dir.unlink(&place.name, AtFlags::REMOVEDIR));
        }
        outcome?;
        self.sync_parent(place)?;
        Ok(true)
    }

    fn finish_dir(&self, place: &Place, attributes: &Attributes) -> Result<(), FsError> {
        let calls = &self.inner.calls;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match calls.run(Call::Open, &place.path, || place.dir.open(&place.name, flags)) {
            Err(error) if [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].iter().any(|e| error.is(*e)) => {
                return Err(FsError::Changed { path: place.path.clone() });
            }
            other => other?,
        };
        let now = stat_fd(calls, &fd, &place.path)?;
        if now.uid != self.inner.euid {
            // Another program has put its own directory there.
            return Err(FsError::Changed { path: place.path.clone() });
        }
        let desired = Attributes { mode: attributes.mode.or(Some(DIR_MODE | now.mode & 0o2000)), ..*attributes };
        let handle = Handle { calls, fd: &fd, how: How::PathOnly, path: &place.path };
        if attributes.mode.is_some() {
            handle.remove_acl()?;
        }
        if desired.are_those_of(&now) {
            return Ok(());
        }
        match handle.set(&now, &desired, Adoption::of(&now, &desired, self.inner.euid)) {
            // The file system has no modes, and no option asks for one.
            Err(error) if is_refused(&error) && attributes.mode.is_none() => {
                let owners = Attributes { mode: None, ..desired };
                if owners.are_those_of(&now) { Ok(()) } else { handle.chown(&owners) }
            }
            other => other,
        }
    }

    /// Makes `path` a symlink to `target` (which may be relative, and need not exist); returns whether anything had to
    /// change. An old link is replaced atomically: there is a link at every moment.
    ///
    /// # Errors
    /// Something is there that `replace` does not allow to be replaced.
    pub fn make_symlink(
        &self,
        path: impl AsRef<Path>,
        target: impl AsRef<Path>,
        replace: Replace,
    ) -> Result<bool, FsError> {
        self.make_link(path.as_ref(), target.as_ref(), None, replace)
    }

    /// Like [`WriteFs::make_symlink`], for a copy of a symlink that the user `maker` made, who is neither root nor
    /// ours: such a copy is followed only where the original is. As root, the copy belongs to `maker` before it gets
    /// its name. Without the right to change owners, the maker is remembered
    /// ([`ReadFs::note_maker`](super::ReadFs::note_maker)).
    ///
    /// # Errors
    /// As [`WriteFs::make_symlink`].
    pub fn make_symlink_of(
        &self,
        path: impl AsRef<Path>,
        target: impl AsRef<Path>,
        maker: u32,
        replace: Replace,
    ) -> Result<bool, FsError> {
        self.make_link(path.as_ref(), target.as_ref(), Some(maker), replace)
    }

    fn make_link(&self, path: &Path, target: &Path, maker: Option<u32>, replace: Replace) -> Result<bool, FsError> {
        valid_target(target)?;
        let place = self.place(path)?;
        self.clean_once(&place);
        let calls = &self.inner.calls;
        let old = self.stat_optional(&place)?;
        if old.as_ref().is_some_and(|old| old.link_target.as_deref() == Some(target)) {
            return Ok(false);
        }
        self.may_replace(&place, old.as_ref(), FileKind::Symlink, replace)?;
        let owner = maker.filter(|_| self.inner.euid == 0);
        if old.is_some() || owner.is_some() {
            let guard = Temp::create(calls, &place, self.inner.euid, 0o600)?;
            self.clear_the_way(&place, old.as_ref(), replace)?;
            guard.rename_link(target, owner, old.is_some() && replace != Replace::Nothing)?;
        } else {
            calls.run(Call::Symlink, &place.path, || place.dir.symlink(target, &place.name))?;
        }
        if let Some(maker) = maker.filter(|_| owner.is_none()) {
            self.note_maker(&self.stat_required(&place)?, maker);
        }
        self.sync_parent(&place)?;
        Ok(true)
    }

    /// Removes a file, a symlink (not its target) or anything else that is no directory; returns whether it was there.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> Result<bool, FsError> {
        self.remove_name(path.as_ref(), Call::Unlink, AtFlags::empty())
    }

    /// Removes an empty directory; returns whether it was there.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> Result<bool, FsError> {
        self.remove_name(path.as_ref(), Call::RemoveDir, AtFlags::REMOVEDIR)
    }

    fn remove_name(&self, path: &Path, call: Call, flags: AtFlags) -> Result<bool, FsError> {
        let place = match self.place(path) {
            Err(error) if error.is_missing() => return Ok(false),
            other => other?,
        };
        self.clean_once(&place);
        match self.inner.calls.run(call, &place.path, || place.dir.unlink(&place.name, flags)) {
            Err(error) if error.is_missing() => return Ok(false),
            other => other?,
        }
        self.sync_parent(&place)?;
        Ok(true)
    }
}

fn valid_target(target: &Path) -> Result<(), FsError> {
    let bytes = target.as_os_str().as_bytes();
    let reason = match bytes.len() {
        0 => PathError::Empty,
        n if n >= PATH_BYTES_MAX => PathError::TooLong(n),
        _ if bytes.contains(&0) => PathError::Nul,
        _ => return Ok(()),
    };
    Err(FsError::BadPath { path: target.to_path_buf(), reason })
}
