//! What was at a path, as data that can be put back later.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attributes::{ACL, Attributes, CAPABILITY, DEFAULT_ACL, xattr, xattr_names};
use super::calls::Call;
use super::copy::CopySource;
use super::digest::Digest;
use super::error::FsError;
use super::fd::How;
use super::likeness::{Likeness, is_of_users, is_passed};
use super::options::{Replace, WriteOptions};
use super::read::ReadFs;
use super::stat::{FileKind, Stat};
use super::write::{WriteFs, without_group};

/// Bytes that are a text most of the time: a path, the name of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SavedBytes {
    /// They are UTF-8.
    Text(String),
    /// They are not.
    Raw(Vec<u8>),
}

impl SavedBytes {
    /// These bytes.
    pub fn of(bytes: &[u8]) -> SavedBytes {
        match std::str::from_utf8(bytes) {
            Ok(text) => SavedBytes::Text(text.to_owned()),
            Err(_) => SavedBytes::Raw(bytes.to_owned()),
        }
    }

    /// A path.
    pub fn path(path: &Path) -> SavedBytes {
        SavedBytes::of(path.as_os_str().as_bytes())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            SavedBytes::Text(text) => text.as_bytes(),
            SavedBytes::Raw(bytes) => bytes,
        }
    }

    /// The path that they are.
    pub fn to_path(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(self.bytes()))
    }
}

/// Owner, mode, time and extended attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedAttributes {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime_ns: i64,
    /// Extended attributes of users, access lists and capabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(SavedBytes, SavedBytes)>,
}

/// What was at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum Saved {
    /// Nothing.
    Nothing,
    /// A regular file.
    File {
        /// Its attributes.
        attributes: SavedAttributes,
        /// Its content, unless only the attributes were saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<SavedContent>,
    },
    /// A directory, without what is in it.
    Directory {
        /// Its attributes.
        attributes: SavedAttributes,
    },
    /// A symlink.
    Symlink {
        /// Where it leads.
        target: SavedBytes,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Something that can't be made again: a pipe, a socket, a device.
    Other {
        /// Its type, in words.
        what: String,
    },
}

/// The content of a regular file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedContent {
    /// The name of the copy, in the directory of the copies.
    pub copy: String,
    /// The digest of the content.
    pub digest: Digest,
}

impl WriteFs {
    /// Saves what is at `path`. The content of a regular file is copied to the file `copy`, if that is given: readable
    /// by this user alone, shared with the original where the file system can do that, and durable.
    ///
    /// # Errors
    /// It can't be read or copied; [`FsError::Changed`] if it is written meanwhile.
    pub fn save(&self, path: impl AsRef<Path>, copy: Option<&Path>) -> Result<Saved, FsError> {
        let path = path.as_ref();
        let Some(stat) = self.stat(path)? else { return Ok(Saved::Nothing) };
        Ok(match stat.kind {
            FileKind::File => {
                let mut file = self.open_seen(path, &stat)?;
                let attributes = self.saved_attributes(path, &stat)?;
                let content = match copy {
                    Some(to) => {
                        let source = CopySource { file: &mut file, is_stopped: &|| false };
                        let options = WriteOptions::new().mode(0o600).replace(Replace::NotDirectory);
                        let digest =
                            WriteFs::new_like(self).write_file(to, super::Content::File(source), &options)?.digest;
                        let copy = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        Some(SavedContent { copy, digest })
                    }
                    None => None,
                };
                Saved::File { attributes, content }
            }
            FileKind::Directory => Saved::Directory { attributes: self.saved_attributes(path, &stat)? },
            FileKind::Symlink => {
                let target = SavedBytes::path(stat.link_target.as_deref().unwrap_or(Path::new("")));
                Saved::Symlink { target, uid: stat.uid, gid: stat.gid }
            }
            other => Saved::Other { what: other.to_string() },
        })
    }

    /// The same file system with the usual rule for symlinks.
    fn new_like(fs: &WriteFs) -> WriteFs {
        fs.clone().links(super::Links::default())
    }

    fn saved_attributes(&self, path: &Path, stat: &Stat) -> Result<SavedAttributes, FsError> {
        let (fd, path) = self.open_path(path)?;
        let calls = &self.inner.calls;
        let mut xattrs = Vec::new();
        for name in xattr_names(calls, &fd, &path)?.split(|byte| *byte == 0) {
            if is_of_users(name) || [ACL, DEFAULT_ACL, CAPABILITY].contains(&name) {
                let value = xattr(calls, &fd, name, &path)?;
                xattrs.extend(value.map(|value| (SavedBytes::of(name), SavedBytes::of(&value))));
            }
        }
        let mtime_ns = i64::try_from(stat.mtime_ns).unwrap_or(i64::MAX);
        Ok(SavedAttributes { mode: stat.mode, uid: stat.uid, gid: stat.gid, mtime_ns, xattrs })
    }

    /// Puts back what was at `path`, in place of what is there, unless that is a directory with entries. The copies of
    /// contents are in the directory `copies`. What was there already is only given its attributes.
    ///
    /// # Errors
    /// It can't be put back; [`FsError::Changed`] if the copy of the content is not what was saved.
    pub fn put_back(&self, path: impl AsRef<Path>, saved: &Saved, copies: &Path) -> Result<(), FsError> {
        let path = path.as_ref();
        let now = self.stat(path)?;
        let is_directory = now.as_ref().is_some_and(Stat::is_dir);
        match saved {
            Saved::Nothing if is_directory => self.remove_dir(path).map(drop),
            Saved::Nothing => self.remove_file(path).map(drop),
            Saved::File { attributes, content } => {
                if is_directory {
                    self.remove_dir(path)?;
                }
                let is_file = now.as_ref().is_some_and(Stat::is_file);
                match content {
                    Some(content) if !is_file || self.hash_file(path)? != content.digest => {
                        self.put_content(path, attributes, content, copies)?;
                    }
                    _ => drop(self.set_attributes(path, &attributes.without_list())?),
                }
                self.put_xattrs(path, attributes)
            }
            Saved::Directory { attributes } => {
                if now.is_some() && !is_directory {
                    self.remove_file(path)?;
                }
                let private = Attributes::new().mode(attributes.without_list().mode.unwrap_or(0o700));
                self.make_dir(path, &private)?;
                self.set_attributes(path, &attributes.without_list())?;
                self.put_xattrs(path, attributes)
            }
            Saved::Symlink { target, uid, gid } => {
                if is_directory {
                    self.remove_dir(path)?;
                }
                self.make_symlink(path, target.to_path(), Replace::NotDirectory)?;
                self.set_attributes(path, &Attributes::new().uid(*uid).gid(*gid)).map(drop)
            }
            // What takes its place is left.
            Saved::Other { .. } => Ok(()),
        }
    }

    fn put_content(
        &self,
        path: &Path,
        attributes: &SavedAttributes,
        content: &SavedContent,
        copies: &Path,
    ) -> Result<(), FsError> {
        let copy = copies.join(&content.copy);
        let own = WriteFs::new_like(self);
        if own.hash_file(&copy)? != content.digest {
            return Err(FsError::Changed { path: copy });
        }
        let mut file = own.open(&copy)?;
        let source = CopySource { file: &mut file, is_stopped: &|| false };
        let likeness = Likeness {
            attributes: attributes.without_list(),
            mtime_ns: Some(attributes.mtime_ns.into()),
            access_lists: false,
            capabilities: false,
        };
        let options = WriteOptions::new().replace(Replace::NotDirectory);
        self.write_copy(path, source, &options, &likeness).map(drop)
    }

    /// Sets the extended attributes as they were, as far as the system allows, and removes access lists that were not
    /// there; then sets the time.
    fn put_xattrs(&self, path: &Path, saved: &SavedAttributes) -> Result<(), FsError> {
        let (fd, path) = self.open_path(path)?;
        let calls = &self.inner.calls;
        let pass = |outcome: Result<(), FsError>| match outcome {
            Err(error) if is_passed(&error) => Ok(()),
            other => other,
        };
        for name in xattr_names(calls, &fd, &path)?.split(|byte| *byte == 0) {
            let is_list = [ACL, DEFAULT_ACL].contains(&name);
            if is_list && saved.xattrs.iter().all(|(known, _)| known.bytes() != name) {
                pass(calls.run(Call::SetXattr, &path, || fd.remove_xattr(name, How::PathOnly)))?;
            }
        }
        for (name, value) in &saved.xattrs {
            let set = || fd.set_xattr(name.bytes(), value.bytes(), How::PathOnly);
            pass(calls.run(Call::SetXattr, &path, set))?;
        }
        let likeness = Likeness { mtime_ns: Some(saved.mtime_ns.into()), ..Likeness::default() };
        self.set_time(&path, &likeness)
    }
}

impl ReadFs {
    /// Whether what is at `path` now is what was there, apart from its attributes.
    ///
    /// # Errors
    /// It can't be examined.
    pub fn is_as_saved(&self, path: impl AsRef<Path>, saved: &Saved) -> Result<bool, FsError> {
        let path = path.as_ref();
        let now = self.stat(path)?;
        Ok(match (saved, now) {
            (Saved::Nothing, None) => true,
            (Saved::File { content, .. }, Some(now)) if now.is_file() => match content {
                Some(content) => self.hash_file(path)? == content.digest,
                None => true,
            },
            (Saved::Directory { .. }, Some(now)) => now.is_dir(),
            (Saved::Symlink { target, .. }, Some(now)) => now.link_target == Some(target.to_path()),
            (Saved::Other { what }, Some(now)) => now.kind.to_string() == *what,
            _ => false,
        })
    }
}

impl Saved {
    /// The mode of what was there, if that was of this type. `None` if it had an access list too, with which the mode
    /// does not show all rights.
    pub fn mode_of(&self, kind: FileKind) -> Option<u32> {
        let attributes = match (self, kind) {
            (Saved::File { attributes, .. }, FileKind::File) => attributes,
            (Saved::Directory { attributes }, FileKind::Directory) => attributes,
            _ => return None,
        };
        (!attributes.has_list()).then_some(attributes.mode)
    }
}

impl SavedAttributes {
    fn has_list(&self) -> bool {
        self.xattrs.iter().any(|(name, _)| name.bytes() == ACL)
    }

    /// Mode and owners; where there is an access list, without the group's rights, which are its mask, until it is set.
    fn without_list(&self) -> Attributes {
        let mode = if self.has_list() { without_group(self.mode) } else { self.mode };
        Attributes::new().mode(mode).uid(self.uid).gid(self.gid)
    }
}
