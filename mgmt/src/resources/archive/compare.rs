//! How the members of an archive differ from what is on disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::resource::{Change, Error, Obstacle, ObstacleKind, Result, Stopping};
use crate::resources::archive::listing::Listing;
use crate::resources::archive::member::{Member, What};
use crate::resources::archive::original::regular;
use crate::resources::archive::reading::{Limits, refused};
use crate::resources::digests::{Digests, hex};
use crate::resources::paths::{shown, with_remedy};
use crate::sys::fs::{FileKind, ReadFs, Stat};

/// The most members whose differences are shown; the others are counted.
const SHOWN_MAX: usize = 50;

/// An archive that must be unpacked.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// In normal form.
    pub(super) dir: PathBuf,
    pub(super) source: PathBuf,
    /// The SHA-256 that the archive must have, in lower-case digits.
    pub(super) sha256: Option<String>,
    pub(super) limits: Limits,
}

/// What was found earlier, for one resource.
#[derive(Debug, Default)]
pub(super) struct Seen {
    digests: Digests,
    listing: Mutex<Option<Arc<Listing>>>,
}

/// What a check has found.
#[derive(Clone, Debug)]
pub(super) struct Differences {
    pub(super) changes: Vec<Change>,
    pub(super) listing: Arc<Listing>,
    /// What must be done for members, by their places in the listing.
    pub(super) due: Vec<(usize, Due)>,
}

/// What must be done for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is missing, or differs in more than its mode.
    Make,
    Mode,
}

impl Wanted {
    /// What must be done. All members are read if this engine has not read this version of the archive before.
    pub(super) fn look(&self, fs: &ReadFs, seen: &Seen, stop: &Stopping) -> Result<Differences> {
        seen.digests.begin([None; 2]);
        let listing = self.listing(fs, seen, stop)?;
        let mut found = Differences { changes: Vec::new(), listing: Arc::clone(&listing), due: Vec::new() };
        let root = fs.stat(&self.dir).map_err(with_remedy)?;
        match &root {
            None => found.changes.push(Change::new("directory", "absent", "created")),
            Some(stat) if stat.is_dir() => {}
            Some(stat) => return Err(in_the_way(&self.dir, stat.kind, FileKind::Directory)),
        }
        let mut hidden = 0;
        for (place, member) in listing.members.iter().enumerate() {
            stop.check()?;
            let Some((due, change)) = self.compare(fs, seen, member, stop)? else { continue };
            found.due.push((place, due));
            match found.changes.len() < SHOWN_MAX {
                true => found.changes.push(change),
                false => hidden += 1,
            }
        }
        if hidden > 0 {
            found.changes.push(Change::new("more members", format_args!("{hidden} that differ"), "as in the archive"));
        }
        seen.digests.end(true);
        Ok(found)
    }

    fn listing(&self, fs: &ReadFs, seen: &Seen, stop: &Stopping) -> Result<Arc<Listing>> {
        let stat = regular(fs, &self.source, "source")?;
        let digest = seen.digests.digest(fs, &self.source, &stat, stop)?;
        let found = hex(&digest);
        if let Some(sha256) = self.sha256.as_ref().filter(|sha256| **sha256 != found) {
            return Err(refused(&self.source, &format!("its SHA-256 is {found}, not {sha256}")));
        }
        let known = seen.listing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.digest == digest && known.limits == self.limits) {
            return Ok(known);
        }
        let listing = Arc::new(Listing::read(fs, &self.source, digest, self.limits, stop)?);
        *seen.listing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&listing));
        Ok(listing)
    }

    fn compare(&self, fs: &ReadFs, seen: &Seen, member: &Member, stop: &Stopping) -> Result<Option<(Due, Change)>> {
        let path = self.dir.join(&member.path);
        let field = shown(&member.path);
        self.check_above(fs, &member.path)?;
        let Some(stat) = fs.stat(&path).map_err(with_remedy)? else {
            return Ok(Some((Due::Make, Change::new(field, "absent", described(&member.what)))));
        };
        let make = |from: String| Ok(Some((Due::Make, Change::new(&field, from, described(&member.what)))));
        let mode_now = match &member.what {
            What::Directory { mode } if stat.is_dir() => (stat.mode & 0o777, *mode),
            What::Symlink { target } if stat.link_target.as_ref() == Some(target) => return Ok(None),
            What::File { mode, size, digest } | What::SameAs { mode, size, digest, .. } if stat.is_file() => {
                if stat.size != *size || seen.digests.digest(fs, &path, &stat, stop)? != *digest {
                    return make(format!("other content, {} bytes", stat.size));
                }
                (stat.mode, *mode)
            }
            What::Directory { .. } => return Err(in_the_way(&path, stat.kind, FileKind::Directory)),
            _ if stat.is_dir() => return Err(in_the_way(&path, stat.kind, FileKind::File)),
            _ => return make(present(&stat)),
        };
        let (now, mode) = mode_now;
        let change = || (Due::Mode, Change::new(format!("{field}: mode"), format!("{now:04o}"), format!("{mode:04o}")));
        Ok((now != mode).then(change))
    }

    /// Below the directory no symlink is followed: it would lead out of what the archive holds.
    pub(super) fn check_above(&self, fs: &ReadFs, member: &Path) -> Result<()> {
        let mut above: Vec<_> = member.ancestors().skip(1).filter(|path| *path != Path::new("")).collect();
        above.reverse();
        for path in above {
            let path = self.dir.join(path);
            match fs.stat(&path).map_err(with_remedy)? {
                None => return Ok(()),
                Some(stat) if stat.is_dir() => {}
                Some(stat) => return Err(in_the_way(&path, stat.kind, FileKind::Directory)),
            }
        }
        Ok(())
    }
}

fn in_the_way(path: &Path, found: FileKind, wanted: FileKind) -> Error {
    let why = format!("{} is a {found} where the archive has a {wanted}: it is not replaced; remove it", shown(path));
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path))
}

fn described(what: &What) -> String {
    match what {
        What::Directory { mode } => format!("directory, mode {mode:04o}"),
        What::File { mode, size, .. } | What::SameAs { mode, size, .. } => {
            format!("file, {size} bytes, mode {mode:04o}")
        }
        What::Symlink { target } => format!("symlink to {}", shown(target)),
    }
}

fn present(stat: &Stat) -> String {
    match &stat.link_target {
        Some(target) => format!("symlink to {}", shown(target)),
        None => stat.kind.to_string(),
    }
}
