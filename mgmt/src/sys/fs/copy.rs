//! Copies the content of one file into another: shared between the two (a reflink) or copied by the kernel, if the file
//! systems can do that; otherwise read and written.

use std::io::{self, Read as _};
use std::path::Path;

use rustix::io::Errno;

use super::calls::{Call, Calls};
use super::digest::{Digest, Hasher};
use super::error::FsError;
use super::fd::Fd;
use super::read::{CHUNK_BYTES, FileReader};

/// The most bytes that the kernel copies at a time: between two pieces a copy can be stopped.
const PIECE_BYTES: usize = 8 << 20;

/// The errors of a kind of copy that these file systems, or this kernel, can't make.
const CANNOT: [Errno; 11] = [
    Errno::OPNOTSUPP,
    Errno::NOTTY,
    Errno::NOSYS,
    Errno::XDEV,
    Errno::INVAL,
    Errno::PERM,
    Errno::ACCESS,
    Errno::BADF,
    Errno::ISDIR,
    Errno::TXTBSY,
    Errno::OVERFLOW,
];

/// A file whose content is copied. It must not change meanwhile.
pub struct CopySource<'a> {
    /// The file, open at its beginning.
    pub file: &'a mut FileReader,
    /// Called between two pieces: returns whether to give up.
    pub is_stopped: &'a dyn Fn() -> bool,
}

/// Writes all of `source` into `to`, which is new and empty. Returns the digest of the content of `to`, computed from
/// what is read back.
pub(super) fn copy(calls: &Calls, source: &mut CopySource<'_>, to: &Fd, path: &Path) -> Result<Digest, FsError> {
    if !clone(calls, source, to, path)? {
        copy_pieces(calls, source, to, path)?;
    }
    // A mix of two versions of the source would be neither of them.
    if source.file.changed_since_opened()? {
        return Err(FsError::Changed { path: source.file.path().to_path_buf() });
    }
    hash(calls, source, to, path)
}

/// Shares the content of `source` with `to`. Returns `false` if that is not possible.
fn clone(calls: &Calls, source: &CopySource<'_>, to: &Fd, path: &Path) -> Result<bool, FsError> {
    if source.file.stat().size == 0 {
        return Ok(false);
    }
    match calls.run(Call::Clone, path, || to.share_content(&source.file.fd)) {
        Ok(()) => Ok(true),
        Err(error) if is_unable(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn copy_pieces(calls: &Calls, source: &mut CopySource<'_>, to: &Fd, path: &Path) -> Result<(), FsError> {
    // The size of a file that the kernel generates is 0, and the kernel does not copy such a file.
    let mut by_kernel = source.file.stat().size > 0;
    let mut copied = 0;
    while by_kernel {
        stop(source, path)?;
        match calls.run(Call::Copy, path, || to.copy_from(&source.file.fd, PIECE_BYTES)) {
            Ok(0) => by_kernel = false,
            Ok(n) => copied += n,
            Err(error) if copied == 0 && is_unable(&error) => by_kernel = false,
            Err(error) => return Err(error),
        }
    }
    // Continue where that ended: the file may have grown, or be larger than its size.
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        stop(source, path)?;
        let n = source.file.read(&mut chunk).map_err(|error| read_error(error, source.file.path()))?;
        if n == 0 {
            return Ok(());
        }
        write_all(calls, to, &chunk[..n], path)?;
    }
}

/// The digest of the content of a file that was just written.
fn hash(calls: &Calls, source: &CopySource<'_>, file: &Fd, path: &Path) -> Result<Digest, FsError> {
    let (mut hasher, mut chunk, mut at) = (Hasher::default(), vec![0; CHUNK_BYTES], 0);
    loop {
        stop(source, path)?;
        let n = calls.run(Call::Read, path, || file.read_at(&mut chunk, at))?;
        if n == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&chunk[..n]);
        at += n as u64;
    }
}

pub(super) fn write_all(calls: &Calls, to: &Fd, mut bytes: &[u8], path: &Path) -> Result<(), FsError> {
    while !bytes.is_empty() {
        match calls.run(Call::Write, path, || to.write(bytes))? {
            // This can't happen with a regular file, and another try would not end.
            0 => return Err(FsError::Changed { path: path.to_path_buf() }),
            n => bytes = &bytes[n..],
        }
    }
    Ok(())
}

/// The error of a reader. If it is an error of this module, it already has the path of the file.
pub(super) fn read_error(error: io::Error, path: &Path) -> FsError {
    let call = |source| FsError::Call { call: Call::Read, path: path.to_path_buf(), source };
    error.downcast().unwrap_or_else(call)
}

fn stop(source: &CopySource<'_>, path: &Path) -> Result<(), FsError> {
    match (source.is_stopped)() {
        true => {
            Err(FsError::Call { call: Call::Copy, path: path.to_path_buf(), source: io::Error::other("cancelled") })
        }
        false => Ok(()),
    }
}

fn is_unable(error: &FsError) -> bool {
    CANNOT.iter().any(|errno| error.is(*errno))
}
