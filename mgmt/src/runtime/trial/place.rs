//! A trial on disk: `PREFIX/trial`. Its state is the name of one file, so that exactly one of those who decide about it
//! succeeds: the one that renames the file `open`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::id::ResourceId;
use crate::resource::{Records, Result, TRIAL, TRIAL_RECORDS};
use crate::sys::fs::{Attributes, WriteFs, WriteOptions};

/// The run is not decided yet.
const OPEN: &str = "open";
/// The run is confirmed: what it changed stays.
const CONFIRMED: &str = "confirmed";
/// What the run changed is put back.
const PUT_BACK: &str = "put-back";
/// The run has converged.
const SETTLED: &str = "settled";
/// The longest of these files, in bytes.
const BYTES_MAX: u64 = 4096;

/// What the file of the state contains.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Opened {
    id: String,
}

/// Confirms the trial with this id in a prefix: what its run has changed stays. May be called by any process of the
/// user of the engine, while it runs. Returns whether the trial is confirmed: not if its changes are put back already.
/// Blocks.
///
/// # Errors
/// There is no such trial, or the state can't be written.
pub fn confirm(prefix: &Path, id: &str) -> io::Result<bool> {
    TrialPlace::of(prefix).confirm(id)
}

/// Whether a prefix has a trial that is not decided yet, or whose changes are still being put back. Blocks.
pub fn is_pending(prefix: &Path) -> bool {
    let place = TrialPlace::of(prefix);
    place.has(OPEN) || place.has(PUT_BACK)
}

/// The directory of the trial of a prefix.
#[derive(Clone, Debug)]
pub(crate) struct TrialPlace {
    prefix: PathBuf,
    dir: PathBuf,
}

impl TrialPlace {
    pub(crate) fn of(prefix: &Path) -> TrialPlace {
        TrialPlace { prefix: prefix.to_owned(), dir: prefix.join(TRIAL) }
    }

    pub(super) fn confirm(&self, id: &str) -> io::Result<bool> {
        self.must_be(id)?;
        Ok(self.decide(CONFIRMED)? || self.has(CONFIRMED))
    }

    /// The records of the trial. Reads nothing.
    pub(super) fn records(&self) -> Records {
        Records::of_trial(&self.prefix)
    }

    /// Begins a trial. What an earlier one has recorded that was neither confirmed nor put back stays: then this one
    /// decides about both. The lock of the prefix is held.
    pub(super) fn open(&self, id: &str) -> Result<()> {
        let writer = WriteFs::new();
        if !is_pending(&self.prefix) {
            writer.remove_tree(&self.dir, usize::MAX)?;
        }
        writer.make_dirs(&self.dir, &Attributes::new().mode(0o700))?;
        writer.remove_file(self.dir.join(SETTLED))?;
        let state = serde_json::to_vec(&Opened { id: id.to_owned() })?;
        writer.write_file(self.dir.join(OPEN), &state[..], &WriteOptions::new().mode(0o600))?;
        for former in [PUT_BACK, CONFIRMED] {
            writer.remove_file(self.dir.join(former))?;
        }
        Ok(())
    }

    /// Decides about an open trial. Returns whether this call has.
    fn decide(&self, decision: &str) -> io::Result<bool> {
        match fs::rename(self.dir.join(OPEN), self.dir.join(decision)) {
            Ok(()) => fs::File::open(&self.dir)?.sync_all().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the run changed must be put back, unless it is confirmed. Returns whether it must.
    pub(crate) fn give_up(&self) -> io::Result<bool> {
        Ok(self.decide(PUT_BACK)? || self.has(PUT_BACK))
    }

    /// Whether the trial with this id is confirmed; the one before it may have been.
    #[cfg(any(feature = "ssh", test))]
    pub(crate) fn is_confirmed(&self, id: &str) -> bool {
        !self.is_open() && self.has(CONFIRMED) && self.must_be(id).is_ok()
    }

    /// Notes that the run has converged, for those who confirm it.
    #[cfg(feature = "ssh")]
    pub(crate) fn settle(&self) -> io::Result<()> {
        fs::write(self.dir.join(SETTLED), "")
    }

    /// Whether the run has converged.
    #[cfg(feature = "ssh")]
    pub(crate) fn is_settled(&self) -> bool {
        self.has(SETTLED)
    }

    /// Whether it is not decided yet.
    #[cfg(any(feature = "ssh", test))]
    pub(crate) fn is_open(&self) -> bool {
        self.has(OPEN)
    }

    /// Forgets what the run has recorded. That it was confirmed is known until the next run.
    pub(super) fn forget_records(&self) -> Result<()> {
        WriteFs::new().remove_tree(self.prefix.join(TRIAL_RECORDS), usize::MAX)?;
        Ok(())
    }

    /// Forgets the trial: nothing of it is needed any more.
    pub(crate) fn remove(&self) -> Result<()> {
        let writer = WriteFs::new();
        // The state first: without one, the records are those of no trial.
        for state in [OPEN, CONFIRMED, PUT_BACK] {
            writer.remove_file(self.dir.join(state))?;
        }
        writer.remove_tree(&self.dir, usize::MAX)?;
        Ok(())
    }

    /// The records of what a trial has changed become those of resources that have left the graph: of a trial of an
    /// earlier run, and of one after which something was kept. Returns whose. The lock of the prefix is held.
    pub(super) fn leave_to(&self, records: &Records) -> Result<Vec<ResourceId>> {
        let own = self.records();
        let mut adopted = Vec::new();
        if is_pending(&self.prefix) {
            drop(own.load(true));
            adopted = records.adopt(&own, &WriteFs::new())?;
        }
        if self.dir.exists() {
            self.remove()?;
        }
        Ok(adopted)
    }

    fn has(&self, state: &str) -> bool {
        self.dir.join(state).exists()
    }

    fn must_be(&self, id: &str) -> io::Result<()> {
        match self.opened() {
            Ok(opened) if opened.id == id => Ok(()),
            Ok(_) => Err(io::Error::other("another run has begun meanwhile, and must be confirmed by itself")),
            Err(_) => Err(io::Error::other("there is no run that could be confirmed: its changes were put back")),
        }
    }

    fn opened(&self) -> io::Result<Opened> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        // It may be renamed between two of these looks, but not twice.
        for state in [OPEN, CONFIRMED, PUT_BACK, OPEN, CONFIRMED] {
            match WriteFs::new().read_file(self.dir.join(state), BYTES_MAX) {
                Ok(bytes) => return serde_json::from_slice(&bytes).map_err(io::Error::other),
                Err(error) => last = io::Error::other(error),
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, TrialPlace) {
        let dir = tempfile::tempdir().unwrap();
        let place = TrialPlace::of(dir.path());
        (dir, place)
    }

    #[test]
    fn a_trial_is_decided_once() {
        let (dir, place) = place();
        assert!(!is_pending(dir.path()));
        place.open("one").unwrap();
        assert!(is_pending(dir.path()) && place.is_open());
        assert!(confirm(dir.path(), "two").unwrap_err().to_string().contains("another run"));
        assert!(confirm(dir.path(), "one").unwrap());
        // The second answer to the same question is the same, and it can't be put back any more.
        assert!(confirm(dir.path(), "one").unwrap());
        assert!(!place.give_up().unwrap() && place.is_confirmed("one") && !is_pending(dir.path()));

        place.open("two").unwrap();
        assert!(!place.is_confirmed("one") && !place.is_confirmed("two"));
        assert!(place.give_up().unwrap() && place.give_up().unwrap());
        assert!(!confirm(dir.path(), "two").unwrap());
        place.remove().unwrap();
        assert!(confirm(dir.path(), "two").unwrap_err().to_string().contains("put back"));
    }

    #[test]
    fn the_state_is_readable_by_the_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (dir, place) = place();
        place.open("one").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir.path().join(TRIAL)), mode(&dir.path().join(TRIAL).join(OPEN))), (0o700, 0o600));
    }
}
