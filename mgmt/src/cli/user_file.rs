//! Writes files for the user, at paths that the user chooses: safely, since another user may have planted a symlink or
//! a file there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::sys::fs::{ReadFs, WriteFs, WriteOptions};
use crate::sys::ours::open_to_append;
use crate::sys::task::blocking;
use crate::sys::users::is_root;

/// Replaces a file. Under sudo it belongs to the user who called sudo.
///
/// # Errors
/// The file can't be written, there is a symlink in its place, or a symlink on its path may be planted by another user.
pub(crate) async fn replace(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    blocking(move || {
        if let Some(mut stream) = stream(&path)? {
            return stream.write_all(&bytes);
        }
        let id = |name: &str| std::env::var(name).ok().and_then(|id| id.parse::<u32>().ok());
        let mut options = WriteOptions::new().durable(false);
        if let (true, Some(user), Some(group)) = (is_root(), id("SUDO_UID"), id("SUDO_GID")) {
            options = options.uid(user).gid(group);
        }
        let path = std::path::absolute(path)?;
        WriteFs::new().write_file(path, &bytes[..], &options).map(drop).map_err(io::Error::other)
    })
    .await
}

/// Whether a file can be written later, as far as that is known without changing it.
///
/// # Errors
/// There is a directory at its place, or no directory above it.
pub(crate) fn examine(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match path.parent() {
        Some(dir) if !dir.metadata()?.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        _ => Ok(()),
    }
}

/// Appends to a file.
///
/// # Errors
/// The file can't be written, or another user may have planted it or a symlink on its path.
pub(crate) fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = match own_stream(path)? {
        Some(stream) => stream,
        None => open_to_append(path).map_err(io::Error::other)?,
    };
    file.write_all(text.as_bytes())
}

/// Opens the path if a pipe, a terminal or another special file is there. `None`: a regular file can be written there.
fn stream(path: &Path) -> io::Result<Option<File>> {
    if let Some(own) = own_stream(path)? {
        return Ok(Some(own));
    }
    match ReadFs::new().stat(std::path::absolute(path)?).map_err(io::Error::other)? {
        Some(there) if !there.is_file() && !there.is_dir() && !there.is_symlink() => {
            open_to_append(path).map(Some).map_err(io::Error::other)
        }
        _ => Ok(None),
    }
}

/// Opens a descriptor of this process by its path (`/dev/stdout`). The kernel makes that symlink, so it is safe to
/// follow.
fn own_stream(path: &Path) -> io::Result<Option<File>> {
    let is_ours = ["/dev/stdout", "/dev/stderr"].iter().any(|name| path == Path::new(name))
        || ["/dev/fd", "/proc/self/fd"].iter().any(|dir| path.parent() == Some(Path::new(dir)));
    if is_ours { OpenOptions::new().append(true).open(path).map(Some) } else { Ok(None) }
}
