//! What is in an archive: all members, each accepted, with the digests of their contents.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::resource::{Digest, Error, Result, Stopping};
use crate::resources::archive::member::{Head, Member, Sort, What};
use crate::resources::archive::reading::{Limits, each_member, refused, refused_member, unusable};
use crate::sys::fs::ReadFs;

/// The most bytes that the names and targets of all members may have together: they are kept in memory.
const NAMES_BYTES_MAX: usize = 64 << 20;
const CHUNK_BYTES: usize = 64 * 1024;

/// The members of an archive, in its order.
#[derive(Debug)]
pub(super) struct Listing {
    /// The SHA-256 of the archive.
    pub(super) digest: Digest,
    pub(super) limits: Limits,
    pub(super) members: Vec<Member>,
}

/// A listing that is being made.
struct Draft<'a> {
    source: &'a Path,
    members: Vec<Member>,
    /// The places of the members by path.
    places: HashMap<PathBuf, usize>,
    names_bytes: usize,
}

impl Listing {
    /// Reads all of an archive that has this digest. An archive with a member that is refused has no listing.
    pub(super) fn read(fs: &ReadFs, source: &Path, digest: Digest, limits: Limits, stop: &Stopping) -> Result<Listing> {
        let mut draft = Draft { source, members: Vec::new(), places: HashMap::new(), names_bytes: 0 };
        each_member(fs, source, limits, stop, |head, content| draft.add(head, content))?;
        draft.check_directories()?;
        Ok(Listing { digest, limits, members: draft.members })
    }
}

impl Draft<'_> {
    fn wrong(&self, path: &Path, why: &str) -> Error {
        refused_member(self.source, &path.to_string_lossy(), why)
    }

    fn add(&mut self, head: Head, content: &mut dyn Read) -> Result<()> {
        let Some(path) = head.path else { return Ok(()) };
        let mode = head.mode;
        self.names_bytes += path.as_os_str().len();
        let what = match head.sort {
            Sort::Global => return Ok(()),
            Sort::Directory => What::Directory { mode },
            Sort::Symlink(target) => {
                self.names_bytes += target.as_os_str().len();
                What::Symlink { target }
            }
            Sort::File => {
                let (size, digest) = hashed(content).map_err(|error| unusable(self.source, error))?;
                What::File { mode, size, digest }
            }
            Sort::Hardlink(to) => self.same_as(&path, to)?,
        };
        if self.names_bytes > NAMES_BYTES_MAX {
            let most = NAMES_BYTES_MAX >> 20;
            return Err(refused(self.source, &format!("the names of its members have more than {most} MiB")));
        }
        let is_directory = matches!(what, What::Directory { .. });
        if let Some(place) = self.places.get(&path) {
            let former = &mut self.members[*place];
            if !is_directory || !matches!(former.what, What::Directory { .. }) {
                return Err(self.wrong(&path, "is in it twice"));
            }
            former.what = what;
            return Ok(());
        }
        self.places.insert(path.clone(), self.members.len());
        self.members.push(Member { path, what });
        Ok(())
    }

    fn same_as(&self, path: &Path, to: PathBuf) -> Result<What> {
        match self.places.get(&to).map(|place| &self.members[*place].what) {
            Some(What::File { mode, size, digest }) => {
                Ok(What::SameAs { file: to, mode: *mode, size: *size, digest: *digest })
            }
            Some(What::SameAs { file, mode, size, digest }) => {
                Ok(What::SameAs { file: file.clone(), mode: *mode, size: *size, digest: *digest })
            }
            _ => {
                let why = format!("is a hard link to {}, which is no file that comes before it", to.display());
                Err(self.wrong(path, &why))
            }
        }
    }

    /// What is above a member must be a directory.
    fn check_directories(&self) -> Result<()> {
        for member in &self.members {
            for above in member.path.ancestors().skip(1) {
                let what = self.places.get(above).map(|place| &self.members[*place].what);
                if what.is_some_and(|what| !matches!(what, What::Directory { .. })) {
                    let why = format!("lies below {}, which is no directory", above.display());
                    return Err(self.wrong(&member.path, &why));
                }
            }
        }
        Ok(())
    }
}

fn hashed(content: &mut dyn Read) -> io::Result<(u64, Digest)> {
    let (mut hasher, mut size, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        match content.read(&mut chunk)? {
            0 => return Ok((size, hasher.finalize().into())),
            n => {
                hasher.update(&chunk[..n]);
                size += n as u64;
            }
        }
    }
}
