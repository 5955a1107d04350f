//! One edit of a user's file of keys. The user may change everything there at any moment, so nothing is looked at by
//! its path and then changed: the file is read as it was opened, and replaced as a whole.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::resource::{Change, Error, Obstacle, ObstacleKind, Recorders, Result, Stopping};
use crate::resources::account::files::{AccountFiles, missing};
use crate::resources::account::key::SshAuthorizedKey;
use crate::resources::account::key_lines::KeyWanted;
use crate::resources::account::key_reverse;
use crate::resources::paths::shown;
use crate::sys::account_files::PASSWD;
use crate::sys::fs::{Attributes, Content, FileReader, FsError, ReadFs, Replace, Stat, WriteFs, WriteOptions};
use crate::sys::users;

/// The largest file that is edited, in bytes.
const BYTES_MAX: u64 = 16 << 20;
/// How often an edit begins again because the file was changed meanwhile.
const TRIES: usize = 16;
/// The rights that `sshd` wants others not to have.
const OF_OTHERS: u32 = 0o077;

/// One edit at a time, for an engine.
#[derive(Debug, Default)]
pub(super) struct KeyTurn(pub(super) Mutex<()>);

/// The file in which a key is, and to whom it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyFile {
    pub(super) user: String,
    pub(super) path: PathBuf,
    /// Whether it is the usual one of its user: its directory is made, and is kept private too.
    pub(super) is_usual: bool,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The usual file of a user with this home directory.
pub(super) fn usual(home: &Path) -> PathBuf {
    home.join(".ssh/authorized_keys")
}

impl KeyFile {
    /// The file of a user; `None`: there is no such user yet.
    pub(super) fn find(
        fs: &ReadFs,
        files: &AccountFiles,
        user: &str,
        path: Option<PathBuf>,
    ) -> Result<Option<KeyFile>> {
        let users = files.users(fs)?;
        let Some(found) = users.get(user) else { return Ok(None) };
        let is_usual = path.is_none();
        if is_usual && !found.home.starts_with('/') {
            let why = format!("the user `{user}` has no home directory: give `file`");
            return Err(Error::new(why).waiting_for(missing(PASSWD)));
        }
        let path = path.unwrap_or_else(|| usual(Path::new(&found.home)));
        Ok(Some(KeyFile { user: user.to_owned(), path, is_usual, uid: found.uid, gid: found.gid }))
    }

    fn dir(&self) -> Option<&Path> {
        self.path.parent().filter(|_| self.is_usual)
    }

    /// What is wrong with the owner or the mode of the file or its directory.
    fn wrong(&self, what: &str, stat: &Stat) -> Vec<Change> {
        let mode = if stat.is_dir() { 0o700 } else { 0o600 };
        let owner = || Change::new(format!("owner of {what}"), users::user_name(stat.uid), users::user_name(self.uid));
        let bits = || Change::new(format!("mode of {what}"), format!("{:04o}", stat.mode), format!("{mode:04o}"));
        let all = [(stat.uid != self.uid).then(owner), (stat.mode & OF_OTHERS != 0).then(bits)];
        all.into_iter().flatten().collect()
    }

    /// Fails for a file or a directory of another user than this one and root, and for a file with other names: what is
    /// in it may be another user's, and would become that of this user.
    fn may_be_ours(&self, path: &Path, stat: &Stat) -> Result<()> {
        let why = if ![0, self.uid].contains(&stat.uid) {
            format!("belongs to `{}`, not to `{}`", users::user_name(stat.uid), users::user_name(self.uid))
        } else if stat.uid != self.uid && !stat.is_dir() && stat.nlink > 1 {
            "has other names (hard links), and belongs to root".to_owned()
        } else {
            return Ok(());
        };
        let why = format!("{} {why}: it is not taken over; look at it, and remove it", shown(path));
        Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path)))
    }

    fn attributes(&self, mode: u32) -> Attributes {
        let attributes = Attributes::new().mode(mode);
        // Only root can give a file away.
        if users::is_root() { attributes.uid(self.uid).gid(self.gid) } else { attributes }
    }

    /// The changes that a check finds to be necessary.
    pub(super) fn changes(&self, fs: &ReadFs, wanted: &KeyWanted) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        let dir = match self.dir() {
            Some(dir) => Some((dir, fs.stat(dir).map_err(refused)?)),
            None => None,
        };
        if let Some((path, Some(stat))) = &dir {
            self.may_be_ours(path, stat)?;
        }
        let is_missing = matches!(dir, Some((_, None)));
        let reader = if is_missing { None } else { open(fs, &self.path)? };
        let Some(mut reader) = reader else {
            return Ok(if wanted.is_absent { Vec::new() } else { vec![Change::new("state", "absent", "exists")] });
        };
        self.may_be_ours(&self.path, reader.stat())?;
        changes.extend(wanted.changes(&read_all(&mut reader)?));
        if !wanted.is_absent {
            changes.extend(self.wrong("the file", reader.stat()));
            changes.extend(dir.and_then(|(_, stat)| stat).iter().flat_map(|stat| self.wrong("the directory", stat)));
        }
        Ok(changes)
    }

    /// Gives the file the text that `edited` makes of its text. Returns whether anything was changed. `record` is
    /// called before that, with the text (`None`: there is no file) and whether there is a directory.
    pub(super) fn edit(
        &self,
        fs: &WriteFs,
        turn: &KeyTurn,
        stop: &Stopping,
        keeps_private: bool,
        edited: impl Fn(&[u8]) -> Option<Vec<u8>>,
        record: impl Fn(Option<&[u8]>, bool) -> Result<()>,
    ) -> Result<bool> {
        let _alone = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            stop.check()?;
            match self.step(fs, keeps_private, &edited, &record) {
                Err(error) if is_raced(&error) => {}
                done => return done,
            }
        }
        let path = shown(&self.path);
        Err(Error::new(format!("{path} was changed by another program again and again while it was edited")).outdated())
    }

    fn step(
        &self,
        fs: &WriteFs,
        keeps_private: bool,
        edited: &impl Fn(&[u8]) -> Option<Vec<u8>>,
        record: &impl Fn(Option<&[u8]>, bool) -> Result<()>,
    ) -> Result<bool> {
        let dir = match self.dir() {
            Some(dir) => fs.stat(dir).map_err(refused)?,
            None => None,
        };
        let has_dir = self.dir().is_none() || dir.is_some();
        let reader = if has_dir { open(fs, &self.path)? } else { None };
        let Some(mut reader) = reader else {
            let Some(text) = edited(b"") else { return Ok(false) };
            record(None, has_dir)?;
            self.make_dir_private(fs, dir.as_ref())?;
            let mut options = WriteOptions::new().replace(Replace::Nothing);
            options.attributes = self.attributes(0o600);
            fs.write_file(&self.path, &text, &options).map_err(refused)?;
            return Ok(true);
        };
        self.may_be_ours(&self.path, reader.stat())?;
        let text = read_all(&mut reader)?;
        let new = edited(&text);
        let is_wrong = keeps_private && !self.wrong("", reader.stat()).is_empty();
        let mut is_changed = false;
        if new.is_some() || is_wrong {
            record(Some(&text), has_dir)?;
            let mut options = WriteOptions::new();
            if keeps_private {
                options.attributes = self.attributes(0o600);
            }
            let bytes = new.as_ref().unwrap_or(&text);
            let content = Content::Edited { bytes, former: &reader, text: &text };
            fs.write_file(&self.path, content, &options).map_err(refused)?;
            is_changed = true;
        }
        Ok(is_changed | (keeps_private && self.make_dir_private(fs, dir.as_ref())?))
    }

    fn make_dir_private(&self, fs: &WriteFs, found: Option<&Stat>) -> Result<bool> {
        let Some(dir) = self.dir() else { return Ok(false) };
        if let Some(found) = found {
            self.may_be_ours(dir, found)?;
            return match self.wrong("", found).is_empty() {
                true => Ok(false),
                false => Ok(fs.set_attributes(dir, &self.attributes(0o700))?),
            };
        }
        if let Some(home) = dir.parent().filter(|home| matches!(fs.stat(home), Ok(None))) {
            let why =
                format!("the home directory {} does not exist: make it, or set `createhome` of its user", shown(home));
            return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(home)));
        }
        fs.make_dir(dir, &self.attributes(0o700)).map_err(refused)
    }

    /// Records how the key is in this text, before that is changed.
    pub(super) fn record(
        &self,
        recorders: &Recorders<SshAuthorizedKey>,
        wanted: &KeyWanted,
        text: Option<&[u8]>,
        has_dir: bool,
    ) -> Result<()> {
        recorders.iter().try_for_each(|recorder| key_reverse::record(recorder, self, wanted, text, has_dir))
    }
}

/// Another program has changed the file meanwhile: the next try finds what is there now.
fn is_raced(error: &Error) -> bool {
    let raced = |error: &FsError| matches!(error, FsError::Changed { .. } | FsError::Exists { .. });
    error.cause::<FsError>().is_some_and(raced)
}

/// The file, open at its beginning; `None` if nothing is there.
fn open(fs: &ReadFs, path: &Path) -> Result<Option<FileReader>> {
    match fs.open(path) {
        Ok(reader) => Ok(Some(reader)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// The error of the file system, with what to do about a symlink.
fn refused(error: FsError) -> Error {
    let FsError::Symlink { link, .. } = &error else { return error.into() };
    let link = link.clone();
    let why = format!("{error}: it is not followed, since any user may have made it; remove it, or give `file`");
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(link))
}

fn read_all(reader: &mut FileReader) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    reader.by_ref().take(BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        let why = format!("{} is larger than {} MiB", shown(reader.path()), BYTES_MAX >> 20);
        return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(reader.path())));
    }
    Ok(text)
}
