//! Text files of which several resources keep parts: how they are read, and how one is edited as a whole.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::resource::{Error, Obstacle, ObstacleKind, OwnedPaths, Result, Stopping};
use crate::resources::beside;
use crate::resources::locks::Locks;
use crate::resources::paths::{missing_dir, shown, with_remedy};
use crate::sys::fs::{Content, FileReader, FsError, ReadFs, Replace, WriteFs, WriteOptions};

/// The largest file that is edited, in bytes: it is read as a whole.
pub(super) const BYTES_MAX: u64 = 16 << 20;
/// How often an edit begins again because another program has changed the file meanwhile, before the engine checks
/// again.
pub(super) const TRIES: usize = 16;

/// An edit of a file, one at a time for each file of an engine.
pub(super) struct FileEdit<'a> {
    /// In normal form.
    pub(super) path: &'a Path,
    pub(super) locks: &'a Locks,
    pub(super) owned: &'a OwnedPaths,
    pub(super) stop: &'a Stopping,
    /// The journal holds that this change will owe refreshes.
    pub(super) is_announced: bool,
    /// Whether a file that would be left empty is removed.
    pub(super) removes_empty: bool,
}

impl FileEdit<'_> {
    /// Gives the file the text that `edit` makes of the present one (`None`: there is no file), which may be called
    /// several times. If that returns `None` or the same text, nothing is written. A missing file is made, with mode
    /// 0644. Returns whether something was written. The change is durable when the batch of `fs` is committed.
    pub(super) fn run(
        &self,
        fs: &WriteFs,
        mut edit: impl FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>>,
    ) -> Result<bool> {
        let lock = self.locks.of(&real(fs, self.path)?);
        let _alone = lock.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            self.stop.check()?;
            match self.step(fs, &mut edit) {
                Err(error) if is_raced(&error) => {}
                outcome => return outcome.map_err(|error| waiting(error, self.path)),
            }
        }
        let path = shown(self.path);
        Err(Error::new(format!("{path} was changed by another program again and again while it was edited")).outdated())
    }

    fn step(&self, fs: &WriteFs, edit: &mut impl FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>>) -> Result<bool> {
        let Some(mut reader) = open(fs, self.path)? else { return self.make(fs, edit(None)?) };
        let text = read_all(&mut reader)?;
        match edit(Some(&text))? {
            Some(new) if new.is_empty() && self.removes_empty => {
                may_edit(fs, self.owned, self.path)?;
                Ok(fs.remove_file(self.path)?)
            }
            Some(new) if new != text => {
                may_edit(fs, self.owned, self.path)?;
                let content = Content::Edited { bytes: &new, former: &reader, text: &text };
                fs.write_file(self.path, content, &WriteOptions::new())?;
                Ok(true)
            }
            _ => beside::tidy(fs, self.path).map(|()| false),
        }
    }

    fn make(&self, fs: &WriteFs, text: Option<Vec<u8>>) -> Result<bool> {
        let Some(text) = text else { return beside::tidy(fs, self.path).map(|()| false) };
        may_edit(fs, self.owned, self.path)?;
        let options = WriteOptions::new().replace(Replace::Nothing).named_first(!self.is_announced);
        match fs.write_file(self.path, &text, &options) {
            Ok(_) => Ok(true),
            Err(error) => Err(missing_dir(fs, self.owned, self.path).unwrap_or_else(|| error.into())),
        }
    }
}

/// The path by which all resources know the file.
pub(super) fn real(fs: &ReadFs, path: &Path) -> Result<PathBuf> {
    Ok(fs.behind_links(path).map_err(with_remedy)?.unwrap_or_else(|| path.to_path_buf()))
}

/// Another program has changed the file meanwhile: the next look finds what is there now.
pub(super) fn is_raced(error: &Error) -> bool {
    let raced =
        |error: &FsError| matches!(error, FsError::Changed { .. } | FsError::Exists { .. }) || error.is_missing();
    error.cause::<FsError>().is_some_and(raced)
}

/// Problems with the present state of the file system can be solved there, and the watch reports that: the resource
/// waits.
pub(super) fn waiting(error: Error, path: &Path) -> Error {
    if is_raced(&error) {
        return error.outdated();
    }
    match error.cause::<FsError>() {
        None if error.obstacle().is_none() => error.waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path)),
        _ => error,
    }
}

/// The text of the file; `None` if nothing is there.
pub(super) fn text_of(fs: &ReadFs, path: &Path) -> Result<Option<Vec<u8>>> {
    open(fs, path)?.map(|mut reader| read_all(&mut reader)).transpose()
}

/// The file, open at its beginning; `None` if nothing is there.
pub(super) fn open(fs: &ReadFs, path: &Path) -> Result<Option<FileReader>> {
    match fs.open(path) {
        Ok(reader) => Ok(Some(reader)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error @ FsError::Symlink { .. }) if error.path() == path => {
            let target = fs.stat(path)?.and_then(|stat| stat.link_target).unwrap_or_default();
            let why = format!("{} is a symlink to {}: name what it leads to", shown(path), shown(&target));
            Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path)))
        }
        Err(error) => Err(with_remedy(error)),
    }
}

/// All of the file, from its beginning.
pub(super) fn read_all(reader: &mut FileReader) -> Result<Vec<u8>> {
    let too_large = |reader: &FileReader| {
        let (path, most) = (shown(reader.path()), BYTES_MAX >> 20);
        let why = format!("{path} is larger than {most} MiB: a file is edited in memory, and at most that is");
        Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(reader.path())))
    };
    if reader.stat().size > BYTES_MAX {
        return too_large(reader);
    }
    let mut text = Vec::with_capacity(usize::try_from(reader.stat().size).unwrap_or(0) + 1);
    // The size of a file that the kernel makes is 0, and others may grow meanwhile.
    reader.by_ref().take(BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return too_large(reader);
    }
    match text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        false => Ok(text),
        true => {
            let why = format!("{} is text in UTF-16, and a line is text in UTF-8", shown(reader.path()));
            Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(reader.path())))
        }
    }
}

/// Fails for a file that belongs to the engine.
pub(super) fn may_edit(fs: &ReadFs, owned: &OwnedPaths, path: &Path) -> Result<()> {
    let is_own = owned.is_in_own(path) || fs.stat(path)?.is_some_and(|found| owned.own_state(fs).is(&found));
    match is_own {
        true => Err(Error::new(format!("{} belongs to the engine itself: name another file", shown(path)))),
        false => Ok(()),
    }
}

/// The reason why the file can't be edited or made now, as far as that can be found without a change.
pub(super) fn foresee(fs: &ReadFs, owned: &OwnedPaths, path: &Path) -> Result<()> {
    if let Some(error) = missing_dir(fs, owned, path) {
        return Err(error);
    }
    match fs.stat(path)? {
        Some(found) if found.is_file() && fs.is_written_in_place(path, &found)? => Ok(()),
        _ => Ok(fs.can_change_dir_of(path)?),
    }
}
