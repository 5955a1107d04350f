//! Digests of files that were read, so that an unchanged file is not read again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use sha2::{Digest as _, Sha256};

use crate::resource::Stopping;
use crate::resource::{Digest, Result};
use crate::sys::clock;
use crate::sys::fs::{FileReader, ReadFs, Stat, Xattrs};

/// The digest as 64 hexadecimal digits.
pub(super) fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How long before its reading a file must have last changed for its times to prove its content.
///
/// Times are as coarse as the file system keeps them (on most, nanoseconds from a clock that ticks every few
/// milliseconds; on some a second; two seconds on FAT): a file can be written again within one tick and keep its times.
/// A file that has changed so recently is read again at each check, until it has been quiet for long enough. Two
/// changes are not seen: those on a file server whose clock is behind by more than this, and writes through memory maps
/// that were not flushed yet.
const QUIET_NS: i128 = 2_000_000_000;

const CHUNK_BYTES: usize = 128 * 1024;

/// At most this many files that no longer exist are remembered in any case.
const FORGET_ABOVE: usize = 1024;

/// Identifies a version of a file. Includes the time of the last change of its attributes, which, unlike that of its
/// content, can't be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    identity: (u64, u64),
    size: u64,
    /// The lower bits: there may be very many versions, and the rest is the same for 584 years.
    mtime_ns: u64,
    ctime_ns: u64,
}

impl Version {
    pub(super) fn of(stat: &Stat) -> Version {
        let (mtime_ns, ctime_ns) = (stat.mtime_ns as u64, stat.ctime_ns as u64);
        Version { identity: stat.identity(), size: stat.size, mtime_ns, ctime_ns }
    }
}

/// Whether the file had been quiet for long enough when its reading began.
pub(super) fn is_quiet(stat: &Stat, begun_ns: i128) -> bool {
    stat.ctime_ns + QUIET_NS < begun_ns
}

/// Digests by path, for one resource.
#[derive(Debug, Default)]
pub(super) struct Digests {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    round: u32,
    files: Files,
    /// The digest of several files one after the other.
    joined: Option<Box<(Vec<Version>, Digest)>>,
    /// How many files the last complete check has left.
    count: usize,
    /// The numbers of the owners at that check.
    owners: [Option<u32>; 2],
    /// Shared, since nearly all files have no extended attributes. Made at its first use.
    no_xattrs: Option<Arc<Xattrs>>,
}

#[derive(Debug)]
struct Known {
    version: Version,
    digest: Digest,
    /// The extended attributes of the file, if they were asked for.
    xattrs: Option<Arc<Xattrs>>,
    round: u32,
}

/// What was read from a file.
pub(super) struct Contents {
    pub(super) digest: Digest,
    pub(super) xattrs: Arc<Xattrs>,
}

/// A path as a number. Two paths may have the same: a version proves a content whatever the path, so that costs no more
/// than reading a file again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PathHash(u64);

impl PathHash {
    fn of(path: &Path) -> PathHash {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        PathHash(hasher.finish())
    }
}

/// Known files by path. Most resources manage one file, and there may be very many of them: one file needs no table.
#[derive(Debug, Default)]
enum Files {
    #[default]
    None,
    One(PathHash, Known),
    Many(HashMap<PathHash, Known>),
}

impl Files {
    fn get_mut(&mut self, path: PathHash) -> Option<&mut Known> {
        match self {
            Files::None => None,
            Files::One(of, known) => (*of == path).then_some(known),
            Files::Many(many) => many.get_mut(&path),
        }
    }

    fn insert(&mut self, path: PathHash, known: Known) {
        *self = match std::mem::take(self) {
            Files::None => Files::One(path, known),
            Files::One(of, _) if of == path => Files::One(path, known),
            Files::One(of, other) => Files::Many(HashMap::from([(of, other), (path, known)])),
            Files::Many(mut many) => {
                many.insert(path, known);
                Files::Many(many)
            }
        };
    }

    fn remove(&mut self, path: PathHash) {
        match self {
            Files::One(of, _) if *of == path => *self = Files::None,
            Files::None | Files::One(..) => {}
            Files::Many(many) => drop(many.remove(&path)),
        }
    }

    fn retain(&mut self, keep: impl Fn(&Known) -> bool) {
        match self {
            Files::One(_, known) if !keep(known) => *self = Files::None,
            Files::None | Files::One(..) => {}
            Files::Many(many) => many.retain(|_, known| keep(known)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Files::None => 0,
            Files::One(..) => 1,
            Files::Many(many) => many.len(),
        }
    }
}

impl Digests {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A complete check begins; these are the owners.
    pub(super) fn begin(&self, owners: [Option<u32>; 2]) {
        let mut inner = self.lock();
        inner.round = inner.round.wrapping_add(1);
        inner.owners = owners;
    }

    /// A check has ended: files that it did not ask for are forgotten. A check of parts forgets nothing until too many
    /// files that no longer exist may be remembered: then it forgets all files, which costs no more than reading them
    /// again.
    pub(super) fn end(&self, is_whole: bool) {
        let mut inner = self.lock();
        if is_whole {
            let round = inner.round;
            inner.files.retain(|known| known.round == round);
            inner.count = inner.files.len();
        } else if inner.files.len() > 2 * inner.count + FORGET_ABOVE {
            inner.files = Files::None;
        }
    }

    /// The owners at the last complete check.
    pub(super) fn owners(&self) -> [Option<u32>; 2] {
        self.lock().owners
    }

    /// There is no file at this path.
    pub(super) fn forget(&self, path: &Path) {
        self.lock().files.remove(PathHash::of(path));
    }

    /// The SHA-256 of a regular file with this `stat`.
    pub(super) fn digest(&self, fs: &ReadFs, path: &Path, stat: &Stat, stop: &Stopping) -> Result<Digest> {
        self.digest_at(fs, path, stat, stop, now_ns())
    }

    /// The SHA-256 and the extended attributes of a regular file.
    pub(super) fn contents(&self, fs: &ReadFs, path: &Path, stat: &Stat, stop: &Stopping) -> Result<Contents> {
        let (digest, xattrs) = self.read(fs, path, stat, stop, (now_ns(), true))?;
        Ok(Contents { digest, xattrs: xattrs.unwrap_or_default() })
    }

    fn digest_at(&self, fs: &ReadFs, path: &Path, stat: &Stat, stop: &Stopping, now_ns: i128) -> Result<Digest> {
        self.read(fs, path, stat, stop, (now_ns, false)).map(|(digest, _)| digest)
    }

    fn read(
        &self,
        fs: &ReadFs,
        path: &Path,
        stat: &Stat,
        stop: &Stopping,
        (now_ns, with_xattrs): (i128, bool),
    ) -> Result<(Digest, Option<Arc<Xattrs>>)> {
        let place = PathHash::of(path);
        {
            let mut inner = self.lock();
            let round = inner.round;
            let is_known =
                |known: &&mut Known| known.version == Version::of(stat) && (known.xattrs.is_some() || !with_xattrs);
            if let Some(known) = inner.files.get_mut(place).filter(is_known) {
                known.round = round;
                return Ok((known.digest, known.xattrs.clone()));
            }
        }
        let mut reader = fs.open_seen(path, stat)?;
        let (version, is_quiet) = (Version::of(reader.stat()), is_quiet(reader.stat(), now_ns));
        let mut hasher = Sha256::new();
        let read = feed(&mut hasher, &mut reader, stop)?;
        let digest = hasher.finalize().into();
        let xattrs = with_xattrs.then(|| reader.xattrs()).transpose()?;
        // A write during the reading leaves a newer time, and so another version than the one that is remembered here.
        let mut inner = self.lock();
        let round = inner.round;
        let xattrs = xattrs.map(|xattrs| match xattrs.is_empty() {
            true => Arc::clone(inner.no_xattrs.get_or_insert_default()),
            false => Arc::new(xattrs),
        });
        if is_quiet && read == version.size {
            inner.files.insert(place, Known { version, digest, xattrs: xattrs.clone(), round });
        } else {
            inner.files.remove(place);
        }
        Ok((digest, xattrs))
    }

    /// The SHA-256 of several files one after the other.
    pub(super) fn joined(&self, fs: &ReadFs, files: &[(PathBuf, Stat)], stop: &Stopping) -> Result<Digest> {
        let mut versions: Vec<Version> = files.iter().map(|(_, stat)| Version::of(stat)).collect();
        if let Some(joined) = self.lock().joined.as_ref().filter(|joined| joined.0 == versions) {
            return Ok(joined.1);
        }
        let (begun, mut vouched) = (now_ns(), true);
        let mut hasher = Sha256::new();
        for ((path, _), version) in files.iter().zip(&mut versions) {
            let mut reader = fs.open(path)?;
            *version = Version::of(reader.stat());
            let is_quiet = is_quiet(reader.stat(), begun);
            vouched &= feed(&mut hasher, &mut reader, stop)? == version.size && is_quiet;
        }
        let digest = hasher.finalize().into();
        self.lock().joined = vouched.then(|| Box::new((versions, digest)));
        Ok(digest)
    }
}

/// Feeds a file to a digest up to its end; returns its length in bytes. Files that the kernel generates (`/proc`,
/// `/sys`) have another length than their size, and meaningless times.
fn feed(hasher: &mut Sha256, reader: &mut FileReader, stop: &Stopping) -> Result<u64> {
    let mut read = 0;
    let size = usize::try_from(reader.stat().size).unwrap_or(CHUNK_BYTES);
    // A small file is read at once, and the read that finds its end is as small.
    let mut chunk = vec![0; size.saturating_add(1).clamp(512, CHUNK_BYTES)];
    loop {
        stop.check()?;
        match reader.read(&mut chunk)? {
            0 => return Ok(read),
            n => {
                read += n as u64;
                hasher.update(&chunk[..n]);
                // All of the file, and there was room for more: this was the end.
                if read == reader.stat().size && n < chunk.len() {
                    return Ok(read);
                }
            }
        }
    }
}

pub(super) fn now_ns() -> i128 {
    match clock::wall().duration_since(UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
        // Before 1970 no file is quiet.
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs::{Call, WriteFs};
    use crate::testing::Fake;
    use std::fs as std_fs;

    const LATER_NS: i128 = 10_000_000_000;

    fn written(host: &Fake) -> PathBuf {
        let path = host.path("f");
        std_fs::write(&path, "one").unwrap();
        path
    }

    #[test]
    fn a_file_that_rested_is_read_once_and_again_when_it_changed() {
        let host = Fake::new().unwrap();
        let (path, fs) = (written(&host), WriteFs::with_faults(Arc::clone(host.faults())));
        let (seen, stop) = (Digests::default(), Stopping::default());
        let digest = |now| seen.digest_at(&fs, &path, &fs.stat(&path).unwrap().unwrap(), &stop, now).unwrap();
        let one = digest(now_ns() + LATER_NS);
        let reads = host.faults().count(Call::Read);
        assert_eq!(digest(now_ns() + LATER_NS), one);
        assert_eq!(host.faults().count(Call::Read), reads, "it was not read again");
        std_fs::write(&path, "two").unwrap();
        assert_ne!(digest(now_ns() + LATER_NS), one);
        assert!(host.faults().count(Call::Read) > reads);
    }

    #[test]
    fn a_file_written_a_moment_ago_is_read_again_although_its_times_are_the_same() {
        let host = Fake::new().unwrap();
        let (path, fs) = (written(&host), WriteFs::with_faults(Arc::clone(host.faults())));
        let (seen, stop) = (Digests::default(), Stopping::default());
        let stat = fs.stat(&path).unwrap().unwrap();
        seen.digest(&fs, &path, &stat, &stop).unwrap();
        let reads = host.faults().count(Call::Read);
        seen.digest(&fs, &path, &stat, &stop).unwrap();
        assert!(host.faults().count(Call::Read) > reads);
    }

    #[test]
    fn what_a_check_does_not_ask_for_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let fs = WriteFs::new();
        let (seen, stop) = (Digests::default(), Stopping::default());
        for name in ["a", "b"] {
            std_fs::write(dir.path().join(name), name).unwrap();
        }
        let ask = |name: &str| {
            let path = dir.path().join(name);
            let stat = fs.stat(&path).unwrap().unwrap();
            seen.digest_at(&fs, &path, &stat, &stop, now_ns() + LATER_NS).unwrap();
        };
        seen.begin([None; 2]);
        ask("a");
        ask("b");
        seen.end(true);
        assert_eq!(seen.lock().files.len(), 2);
        seen.begin([None; 2]);
        ask("b");
        seen.end(true);
        let mut seen = seen.lock();
        assert!(seen.files.len() == 1 && seen.files.get_mut(PathHash::of(&dir.path().join("b"))).is_some());
    }
}
