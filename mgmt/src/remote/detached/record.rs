//! What a run that stays on its machine records there, in the working directory of its engine: where it is found, and
//! how it has ended.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::id::in_one_line;
use crate::remote::message::HowEnded;
use crate::resource::DETACHED_DIR;
use crate::sys::clock::{rfc3339, wall};
use crate::sys::fs::NOFOLLOW;
use crate::sys::ours::{Trust, examine_file, make_dir};
use crate::sys::process::Earlier;

/// The names in the directory.
const LOCK: &str = "lock";
const RECORD: &str = "run.json";
const NEW_RECORD: &str = "run.json.new";
const LOG: &str = "log";
pub(super) const SOCKET: &str = "socket";
/// The most bytes of a record that are read.
const RECORD_BYTES_MAX: u64 = 64 << 10;
/// How long the lock may be held by those who only look.
const LOOKED_AT_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);
/// A log that is longer begins again.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// A run that was left on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Detached {
    /// The number of its process.
    pub pid: u32,
    /// The unit of systemd that it is, if that runs there.
    #[serde(default)]
    pub unit: Option<String>,
    /// The working directory of its engine.
    pub prefix: String,
    /// When it was started, as in RFC 3339.
    pub started: String,
    /// Where its log is: a command that shows it, or the path of a file.
    pub log: String,
    /// Whether it runs.
    #[serde(default)]
    pub runs: bool,
    /// How it has ended. `None`, although it does not run: it was killed, or the machine was rebooted.
    #[serde(default)]
    pub ended: Option<DetachedEnd>,
}

/// The end of a run that was left on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DetachedEnd {
    /// When it has ended, as in RFC 3339.
    pub at: String,
    /// Its exit code.
    pub code: u8,
    /// How it has ended.
    pub how: HowEnded,
    /// Why it has failed.
    #[serde(default)]
    pub error: Option<String>,
}

impl fmt::Display for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(unit) = &self.unit {
            write!(f, "unit {}, ", in_one_line(unit))?;
        }
        write!(f, "process {} in {}, since {}", self.pid, in_one_line(&self.prefix), in_one_line(&self.started))
    }
}

/// The directory with all of this, which belongs to the engine.
#[derive(Clone, Debug)]
pub(in crate::remote) struct Place {
    prefix: PathBuf,
    dir: PathBuf,
}

/// The time of this moment.
pub(super) fn now() -> String {
    rfc3339(wall())
}

impl Place {
    /// That of this working directory.
    pub(in crate::remote) fn of(prefix: &Path) -> Place {
        Place { prefix: prefix.to_owned(), dir: prefix.join(DETACHED_DIR) }
    }

    pub(in crate::remote) fn prefix(&self) -> &Path {
        &self.prefix
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn make(&self) -> Result<(), String> {
        make_dir(&self.dir).map(drop).map_err(|error| error.to_string())
    }

    fn open(&self, name: &str, options: &mut OpenOptions) -> io::Result<File> {
        let path = self.dir.join(name);
        let file = options.mode(0o600).custom_flags(NOFOLLOW).open(&path)?;
        examine_file(&file, &path, Trust::Us).map_err(io::Error::other)?;
        Ok(file)
    }

    /// The file of the log, to be written.
    pub(super) fn log(&self) -> io::Result<(File, PathBuf)> {
        let file = self.open(LOG, OpenOptions::new().append(true).create(true))?;
        file.set_len(0)?;
        Ok((file, self.dir.join(LOG)))
    }

    /// Lets the log begin again if it is too long.
    pub(super) fn shorten_log(&self) {
        let shorten = || -> io::Result<()> {
            let file = self.open(LOG, OpenOptions::new().append(true))?;
            if file.metadata()?.len() > LOG_BYTES_MAX { file.set_len(0) } else { Ok(()) }
        };
        // There is none if systemd keeps it.
        let _ = shorten();
    }

    /// The last lines of the log in the file.
    pub(super) fn last_words(&self) -> String {
        const BYTES: u64 = 2048;
        let read = || -> io::Result<String> {
            let mut file = self.open(LOG, OpenOptions::new().read(true))?;
            let from = file.metadata()?.len().saturating_sub(BYTES);
            io::Seek::seek(&mut file, io::SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        read().unwrap_or_default()
    }

    /// Takes the lock, which the run holds as long as its process lives. `None`: another run has it. Blocks.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let file = self.open(LOCK, OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                // It may only be looked at.
                Err(TryLockError::WouldBlock) if began.elapsed() > LOOKED_AT_MAX => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Whether a run lives.
    pub(super) fn is_held(&self) -> bool {
        let file = self.open(LOCK, OpenOptions::new().read(true));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Whether the process of the run still exits: it releases the lock a little before its end.
    pub(super) fn is_ending(&self) -> bool {
        let pid = self.read().and_then(|run| i32::try_from(run.pid).ok());
        pid.and_then(Earlier::of).is_some()
    }

    pub(super) fn write(&self, record: &Detached) -> io::Result<()> {
        let mut file = self.open(NEW_RECORD, OpenOptions::new().write(true).create(true).truncate(true))?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        std::fs::rename(self.dir.join(NEW_RECORD), self.dir.join(RECORD))
    }

    /// The run that is here, or that was here last.
    pub(in crate::remote) fn read(&self) -> Option<Detached> {
        let mut text = Vec::new();
        let file = self.open(RECORD, OpenOptions::new().read(true)).ok()?;
        file.take(RECORD_BYTES_MAX).read_to_end(&mut text).ok()?;
        let record: Detached = serde_json::from_slice(&text).ok()?;
        Some(Detached { runs: self.is_held(), ..record })
    }

    /// Why no other run can begin in this working directory: one that was left here runs.
    pub(in crate::remote) fn refusal(&self) -> Option<String> {
        if !self.is_held() {
            return None;
        }
        let prefix = self.prefix.display();
        let which = self.read().filter(|run| run.ended.is_none());
        let which = which.map_or_else(|| format!("it is about to start or to end in {prefix}"), |run| run.to_string());
        Some(format!(
            "a run that was left here with `--detach` has this working directory ({which}): `remote attach` shows it and \
             `remote stop` ends it; or give another working directory with --prefix"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_while_its_lock_is_held_and_its_end_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of(dir.path());
        assert!(!place.is_held() && place.read().is_none() && place.refusal().is_none());
        place.make().unwrap();
        let lock = place.lock().unwrap().unwrap();
        assert!(place.is_held());
        assert!(place.refusal().unwrap().contains("about to start or to end"));
        let run = Detached {
            pid: 4711,
            unit: Some("a.service\n".to_owned()),
            prefix: "/p".to_owned(),
            started: now(),
            log: "journalctl".to_owned(),
            runs: true,
            ended: None,
        };
        place.write(&run).unwrap();
        assert_eq!(place.read(), Some(run.clone()));
        let refusal = place.refusal().unwrap();
        assert!(refusal.contains("process 4711") && !refusal.contains('\n'), "{refusal}");
        // Another one does not get the lock, and a look does not keep it from the run.
        let (sender, second) = std::sync::mpsc::channel();
        let other = place.clone();
        std::thread::spawn(move || sender.send(other.lock().unwrap().is_some()).unwrap());
        assert!(!second.recv().unwrap());
        drop(lock);
        assert!(!place.is_held() && place.refusal().is_none());
        assert_eq!(place.read(), Some(Detached { runs: false, ..run }));
        std::fs::write(place.dir().join(RECORD), "no record").unwrap();
        assert_eq!(place.read(), None);
    }

    #[test]
    fn a_log_that_is_too_long_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of(dir.path());
        place.shorten_log();
        place.make().unwrap();
        let (mut log, path) = place.log().unwrap();
        log.write_all(b"first\nlast\n").unwrap();
        place.shorten_log();
        assert_eq!(place.last_words(), "first\nlast");
        let size = usize::try_from(LOG_BYTES_MAX).unwrap();
        log.write_all(&vec![b'x'; size]).unwrap();
        place.shorten_log();
        log.write_all(b"again\n").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"again\n");
    }
}
