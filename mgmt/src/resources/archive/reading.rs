//! Reads an archive from its beginning to its end, compressed or not, within limits.

use std::cell::Cell;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tar::Archive;

use crate::id::in_one_line;
use crate::resource::{Digest, Error, Obstacle, ObstacleKind, Result, Stopping};
use crate::resources::archive::member::{Head, head};
use crate::resources::archive::original::{Original, regular};
use crate::resources::archive::output::raced;
use crate::resources::paths::shown;
use crate::sys::fs::{FsError, ReadFs};

/// The most bytes that the headers of one member may take, its long name included: they are kept in memory.
const HEADERS_BYTES_MAX: u64 = 1 << 20;
/// How a file begins that gzip has compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The most that an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) members: u32,
    /// Uncompressed, headers included.
    pub(super) bytes: u64,
}

/// Counts what is read of an archive.
struct Meter {
    limits: Limits,
    read: Cell<u64>,
    /// How much of the headers of the next member may still be read; `None`: content is being read.
    headers: Cell<Option<u64>>,
}

/// The uncompressed archive.
struct Metered<'a> {
    from: Box<dyn Read + 'a>,
    meter: &'a Meter,
}

impl Read for Metered<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        let read = self.meter.read.get() + n as u64;
        self.meter.read.set(read);
        let most = self.meter.limits.bytes;
        if read > most {
            return Err(io::Error::other(format!("it has more than {most} bytes, uncompressed (`bytes_max`)")));
        }
        if let Some(left) = self.meter.headers.get() {
            let left = left.checked_sub(n as u64).ok_or_else(|| {
                io::Error::other(format!("the headers of a member have more than {HEADERS_BYTES_MAX} bytes"))
            })?;
            self.meter.headers.set(Some(left));
        }
        Ok(n)
    }
}

/// Calls `each` with every member and its content, in order. Nothing outside of `each` is changed.
///
/// # Errors
/// The file is no archive, a member is refused, or a limit is passed.
pub(super) fn each_member(
    fs: &ReadFs,
    source: &Path,
    limits: Limits,
    stop: &Stopping,
    mut each: impl FnMut(Head, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut file = fs.open_seen(source, &regular(fs, source, "source")?)?;
    let mut first = Vec::new();
    file.by_ref().take(2).read_to_end(&mut first)?;
    file.rewind()?;
    let original = Original::file(file, stop);
    let from: Box<dyn Read> = match first == GZIP {
        true => Box::new(MultiGzDecoder::new(original)),
        false => Box::new(original),
    };
    let meter = Meter { limits, read: Cell::new(0), headers: Cell::new(None) };
    let mut archive = Archive::new(Metered { from, meter: &meter });
    let unusable = |error: io::Error| unusable(source, error);
    let mut entries = archive.entries().map_err(unusable)?;
    let mut count = 0;
    loop {
        stop.check()?;
        meter.headers.set(Some(HEADERS_BYTES_MAX));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(unusable)?;
        meter.headers.set(None);
        count += 1;
        if count > limits.members {
            let most = limits.members;
            return Err(refused(source, &format!("it has more than {most} members (`members_max`)")));
        }
        let name = entry.path_bytes().into_owned();
        let wrong = |why: String| refused_member(source, &String::from_utf8_lossy(&name), &why);
        let mode = entry.header().mode().map_err(|_| wrong("has no usable mode".to_owned()))?;
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let head = head(&name, entry.header().entry_type(), link.as_deref(), mode).map_err(wrong)?;
        each(head, &mut entry)?;
        // The rest is content too.
        io::copy(&mut entry, &mut io::sink()).map_err(unusable)?;
    }
    meter.headers.set(None);
    if meter.read.get() == 0 {
        return Err(refused(source, "it is empty"));
    }
    // Up to the end, where gzip has its checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(unusable)?;
    Ok(())
}

/// Why nothing of an archive is unpacked.
pub(super) fn refused(source: &Path, why: &str) -> Error {
    let why = format!("{} can't be unpacked: {why}", shown(source));
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(source))
}

/// Why nothing of an archive is unpacked: because of a member.
pub(super) fn refused_member(source: &Path, name: &str, why: &str) -> Error {
    refused(source, &format!("its member `{}` {}", in_one_line(name), in_one_line(why)))
}

/// The error of reading an archive.
pub(super) fn unusable(source: &Path, error: io::Error) -> Error {
    match error.downcast::<FsError>() {
        Ok(error) => raced(error.into()),
        Err(error) => refused(source, &in_one_line(&error.to_string())),
    }
}

/// Reads content, and fails at its end if it has another SHA-256 than was found before.
pub(super) struct Verified<'a> {
    pub(super) from: &'a mut dyn Read,
    pub(super) hasher: Sha256,
    pub(super) digest: Digest,
}

impl Read for Verified<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        self.hasher.update(&into[..n]);
        if n == 0 && !into.is_empty() && Digest::from(self.hasher.clone().finalize()) != self.digest {
            return Err(io::Error::other("the archive was changed while it was unpacked"));
        }
        Ok(n)
    }
}
