//! A private directory of this process for the sockets and pipes of its calls of ssh, removed at the end, also when
//! this process is killed.

use std::fs::{self, OpenOptions};
use std::io::{self, PipeWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::sys::{limits, ours, rng};

const ASK: &str = include_str!("scripts/ask.sh");
const REMOVE: &str = include_str!("scripts/remove.sh");
/// ssh makes its socket as a file with 17 more characters in its name, and a path of a socket has at most 107 bytes.
const DIR_BYTES_MAX: usize = 107 - 17 - "/mgmt-ssh-0123456789/1000000/s".len();
/// How often the start of a new script is tried: another thread may just have started a process that has it open.
const TRIES: u32 = 100;

/// The one of this process, while it is needed.
static DEN: Mutex<Weak<Den>> = Mutex::new(Weak::new());

/// A private directory of this process.
#[derive(Debug)]
pub(super) struct Den {
    dir: PathBuf,
    count: AtomicU64,
    /// What removes the directory if this process is killed, and what keeps it from doing so now.
    remover: Option<(Child, PipeWriter)>,
}

/// A directory in it for one host.
#[derive(Debug)]
pub(super) struct Slot {
    dir: PathBuf,
    den: Arc<Den>,
}

impl Den {
    /// That of this process. Blocks.
    pub(super) fn get() -> io::Result<Arc<Den>> {
        let mut den = DEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(den) = den.upgrade() {
            return Ok(den);
        }
        let made = Arc::new(Den::make()?);
        *den = Arc::downgrade(&made);
        Ok(made)
    }

    fn make() -> io::Result<Den> {
        let wanted = [std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), Some(std::env::temp_dir())];
        let all = wanted.into_iter().flatten().chain(["/run".into(), "/tmp".into()]);
        let mut problems = Vec::new();
        for parent in all {
            if !parent.is_absolute() || parent.as_os_str().as_bytes().len() > DIR_BYTES_MAX {
                problems.push(format!("{}: it is relative, or too long for a socket", parent.display()));
                continue;
            }
            match Den::make_in(&parent) {
                Ok(den) => return Ok(den),
                Err(error) => problems.push(format!("{}: {error}", parent.display())),
            }
        }
        Err(io::Error::other(problems.join("; ")))
    }

    fn make_in(parent: &Path) -> io::Result<Den> {
        let name = rng::letters(10, "abcdefghijklmnopqrstuvwxyz0123456789")?;
        let dir = parent.join(format!("mgmt-ssh-{}", *name));
        if !parent.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let dir = ours::make_dir(&dir).map_err(io::Error::other)?;
        // From here on it is removed with this.
        let mut den = Den { dir, count: AtomicU64::new(0), remover: None };
        for (name, text) in [("ask", ASK), ("remove", REMOVE)] {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(den.dir.join(name))?;
            file.write_all(text.as_bytes())?;
        }
        // This also shows that scripts can be run there.
        den.remover = Some(den.watched()?);
        Ok(den)
    }

    fn watched(&self) -> io::Result<(Child, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(self.dir.join("remove"));
        command.env("DIR", &self.dir).current_dir("/").process_group(0);
        command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        let mut tries = 0;
        loop {
            match limits::under_the_first(|| command.spawn(), Pid::from_child) {
                Ok(child) => return Ok((child, writer)),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::TXTBSY) && tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The program that ssh asks.
    pub(super) fn asker(&self) -> PathBuf {
        self.dir.join("ask")
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        // What can't be removed now is tried once more by the script.
        let _ = fs::remove_dir_all(&self.dir);
        if let Some((mut child, writer)) = self.remover.take() {
            drop(writer);
            // It ends at once, unless another program has stopped it: then the system collects it with this process.
            for _ in 0..TRIES {
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

impl Slot {
    /// Makes the directory for one host. Blocks.
    pub(super) fn make() -> io::Result<Slot> {
        let den = Den::get()?;
        let number = den.count.fetch_add(1, Ordering::Relaxed);
        let dir = den.dir.join(number.to_string());
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Slot { dir, den })
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The control socket of its connection.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// The program that ssh asks.
    pub(super) fn asker(&self) -> PathBuf {
        self.den.asker()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // With the den, at the latest.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_is_private_and_goes_with_its_process_also_when_that_is_killed() {
        let slot = Slot::make().unwrap();
        let den = slot.dir().parent().unwrap().to_owned();
        for dir in [slot.dir(), &den] {
            assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let other = Slot::make().unwrap();
        assert!(other.dir().starts_with(&den) && other.dir() != slot.dir());
        let dir = slot.dir().to_owned();
        drop(slot);
        assert!(!dir.exists() && other.dir().exists());
        drop(other);
        // Like the end of the process: the pipe is closed, and nothing here removes it.
        let mut den = Den::make().unwrap();
        let (mut child, writer) = den.remover.take().unwrap();
        drop(writer);
        assert!(child.wait().unwrap().success());
        assert!(!den.dir.exists());
    }
}
