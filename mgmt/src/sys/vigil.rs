//! Notices that a file at a path, or one beside it, has gone, or is no longer reached by that path.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::pollable::register;

/// If a file is deleted while a process has it open, it only loses a name: that is a change of its attributes.
const FILE: WatchFlags = WatchFlags::ATTRIB.union(WatchFlags::DELETE_SELF).union(WatchFlags::MOVE_SELF);
const ABOVE: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);
/// For the directory that holds the file: also what leaves it, and what takes the place of something in it.
const AROUND: WatchFlags = ABOVE.union(WatchFlags::DELETE).union(WatchFlags::MOVE);

/// Watches a file and the directories on its path.
#[derive(Debug)]
pub struct Vigil {
    inotify: AsyncFd<Arc<OwnedFd>>,
}

impl Vigil {
    /// Watches the file at `path`.
    ///
    /// # Errors
    /// The file does not exist, or the system has no watches left.
    pub fn over(path: &Path) -> io::Result<Vigil> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, path, FILE)?;
        for (n, above) in path.ancestors().skip(1).enumerate() {
            match inotify::add_watch(&fd, above, if n == 0 { AROUND } else { ABOVE }) {
                // A directory that may be entered but not read can't be watched.
                Ok(_) | Err(Errno::ACCESS) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Vigil { inotify: register(Arc::new(fd), Interest::READABLE)? })
    }

    /// Waits until something may have happened to the file, to one beside it, or to a directory on its path.
    ///
    /// # Errors
    /// The system does not report changes any more.
    pub async fn stirred(&mut self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut ready = self.inotify.readable().await?;
        let mut reader = Reader::new(ready.get_inner(), &mut buffer);
        loop {
            match reader.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_deleted_or_moved_or_lies_below_what_is_moved_stirs_and_what_is_written_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        type Change = fn(&Path, &Path);
        let changes: [(Change, bool); 6] = [
            (|a, _| fs::remove_file(a.join("beside")).unwrap(), true),
            (|a, _| fs::rename(a.join("file"), a.join("beside")).unwrap(), true),
            (|a, b| fs::rename(a, b).unwrap(), true),
            (|a, _| fs::remove_file(a.join("file")).unwrap(), true),
            (|a, _| fs::rename(a.join("file"), a.join("other")).unwrap(), true),
            (|a, _| ["file", "new"].iter().for_each(|name| fs::write(a.join(name), "x").unwrap()), false),
        ];
        for (n, (change, stirs)) in changes.into_iter().enumerate() {
            fs::create_dir(&a).unwrap();
            fs::write(a.join("file"), "").unwrap();
            fs::write(a.join("beside"), "").unwrap();
            // An open descriptor keeps the file from being removed completely.
            let _held = fs::File::open(a.join("file")).unwrap();
            let mut vigil = Vigil::over(&a.join("file")).unwrap();
            change(&a, &b);
            let wait = if stirs { Duration::from_secs(10) } else { Duration::from_millis(50) };
            assert_eq!(tokio::time::timeout(wait, vigil.stirred()).await.is_ok(), stirs, "{n}");
            let _ = (fs::remove_dir_all(&a), fs::remove_dir_all(&b));
        }
    }
}
