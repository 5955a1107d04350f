//! Who changes a file: the kernel names the process to root (fanotify), where the file system supports it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::if_simulated;
use super::pollable::register;
use super::task::blocking;
use super::users::user_name;
use crate::id::harmless;

/// `FAN_REPORT_DIR_FID | FAN_REPORT_NAME` (since Linux 5.9): events name the entry of the directory, and come for
/// entries that are made, removed or renamed, too.
const REPORT_NAMES: u32 = 0xc00;
/// The record of an event that holds the directory and the name.
const NAMED: u8 = 2;
/// How long a process that has ended by the time it is looked up is kept in mind while another may show itself.
const ENDED_KEPT: Duration = Duration::from_secs(2);

/// A process that has changed a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The program that it runs. Not known if it had ended by the time it was looked up.
    pub program: Option<PathBuf>,
    /// The user that it runs as.
    pub user: Option<String>,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { pid, program, user } = self;
        match program {
            Some(program) => write!(f, "{} (pid {pid}", harmless(&program.to_string_lossy()))?,
            None => write!(f, "a process that has ended (pid {pid}")?,
        }
        match user {
            Some(user) => write!(f, ", user {})", harmless(user)),
            None => f.write_str(")"),
        }
    }
}

/// Waits for the next change of the file or directory at `path` by another process than this one, and returns that
/// process. `None`: nothing changed it in that time, or the system does not tell (it tells root, from Linux 5.9 on,
/// and not on every file system). A change deeper in a directory is not noticed.
pub async fn who_changes(path: &Path, time: Duration) -> Option<Process> {
    // On a simulated host, no process but this one has a number.
    if_simulated!(_host => None);
    let above = path.parent().zip(path.file_name()).map(|(above, name)| Listener::new(above, Some(name)));
    let within = path.is_dir().then(|| Listener::new(path, None));
    let mut listeners = above.into_iter().chain(within).collect::<io::Result<Vec<_>>>().ok()?.into_iter();
    let (first, second) = (listeners.next()?, listeners.next());
    let second = async {
        match &second {
            Some(second) => second.process().await,
            None => std::future::pending().await,
        }
    };
    let (first, second) = (pin!(first.process()), pin!(second));
    let found = async {
        tokio::select! {
            found = first => found,
            found = second => found,
        }
    };
    tokio::time::timeout(time, found).await.ok()?.ok()
}

/// Listens to the changes in one directory.
#[derive(Debug)]
struct Listener {
    fanotify: AsyncFd<Arc<OwnedFd>>,
    /// Only changes of this entry.
    name: Option<OsString>,
}

impl Listener {
    fn new(directory: &Path, name: Option<&OsStr>) -> io::Result<Listener> {
        let flags = InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK | InitFlags::from_bits_retain(REPORT_NAMES);
        let fanotify = Fanotify::init(flags, EventFFlags::O_RDONLY)?;
        let changes = MaskFlags::FAN_MODIFY | MaskFlags::FAN_ATTRIB | MaskFlags::FAN_CREATE | MaskFlags::FAN_DELETE;
        let all = changes | MaskFlags::FAN_MOVE | MaskFlags::FAN_EVENT_ON_CHILD | MaskFlags::FAN_ONDIR;
        fanotify.mark(MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_ONLYDIR, all, rustix::fs::CWD, Some(directory))?;
        let fd = Arc::new(fanotify.as_fd().try_clone_to_owned()?);
        Ok(Listener { fanotify: register(fd, Interest::READABLE)?, name: name.map(OsStr::to_owned) })
    }

    /// The first process that can still be looked up; or one that can't, if no other shows itself soon.
    async fn process(&self) -> io::Result<Process> {
        let ended = match self.next_process().await? {
            process if process.program.is_some() => return Ok(process),
            ended => ended,
        };
        let another = async {
            loop {
                match self.next_process().await {
                    Ok(process) if process.program.is_none() => {}
                    found => return found,
                }
            }
        };
        tokio::time::timeout(ENDED_KEPT, another).await.unwrap_or(Ok(ended))
    }

    /// The process behind the next changes; if there are several, rather one that can be looked up.
    async fn next_process(&self) -> io::Result<Process> {
        let pids = self.next().await?;
        let mut found = blocking(move || pids.into_iter().map(look_up).collect::<Vec<_>>()).await;
        let at = found.iter().position(|process| process.program.is_some()).unwrap_or(0);
        Ok(found.swap_remove(at))
    }

    /// The processes behind the next changes.
    async fn next(&self) -> io::Result<Vec<u32>> {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let mut ready = self.fanotify.readable().await?;
            let read = match rustix::io::read(ready.get_inner(), &mut buffer[..]) {
                Ok(read) => read,
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let pids = changed_by(&buffer[..read], self.name.as_deref());
            if !pids.is_empty() {
                return Ok(pids);
            }
        }
    }
}

/// The processes, other than this one, that changed the entry `name` (or any) according to these events of the kernel.
fn changed_by(mut events: &[u8], name: Option<&OsStr>) -> Vec<u32> {
    let ours = std::process::id();
    let mut pids = Vec::new();
    while let Some(length) = number(events, 0) {
        let Some(event) = events.get(..length as usize).filter(|event| event.len() >= 24) else { break };
        events = &events[length as usize..];
        let start = usize::from(u16::from_ne_bytes([event[6], event[7]]));
        let is_it = name.is_none_or(|name| entry(event.get(start..).unwrap_or_default()) == Some(name));
        // 0: a process outside of this namespace.
        let pid = number(event, 20).filter(|pid| *pid != 0 && *pid != ours && is_it);
        pids.extend(pid.filter(|pid| !pids.contains(pid)));
    }
    pids
}

/// The name in the records of an event.
fn entry(mut records: &[u8]) -> Option<&OsStr> {
    loop {
        let length = usize::from(u16::from_ne_bytes([*records.get(2)?, *records.get(3)?]));
        let record = records.get(..length).filter(|record| record.len() >= 4)?;
        records = &records[length..];
        if record[0] == NAMED {
            // Behind the header: the number of the file system, then the size, type and bytes of the handle.
            let name = record.get(20 + number(record, 12)? as usize..)?;
            return Some(OsStr::from_bytes(&name[..name.iter().position(|byte| *byte == 0)?]));
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// What the system knows about a process. Blocks.
fn look_up(pid: u32) -> Process {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let user = std::fs::metadata(&directory).ok().map(|metadata| user_name(metadata.uid()));
    let program = std::fs::read_link(directory.join("exe")).ok();
    Process { pid, program, user }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event of the kernel with one record.
    fn event(pid: u32, kind: u8, name: &str) -> Vec<u8> {
        let handle = [7; 8];
        let record_length = 20 + handle.len() + name.len() + 1;
        let mut event = Vec::new();
        event.extend((24 + record_length as u32).to_ne_bytes());
        event.extend([3, 0]);
        event.extend(24u16.to_ne_bytes());
        event.extend([0; 8]);
        event.extend((-1i32).to_ne_bytes());
        event.extend(pid.to_ne_bytes());
        event.extend([kind, 0]);
        event.extend((record_length as u16).to_ne_bytes());
        event.extend([0; 8]);
        event.extend((handle.len() as u32).to_ne_bytes());
        event.extend([0; 4]);
        event.extend(handle);
        event.extend(name.bytes().chain([0]));
        event
    }

    #[test]
    fn only_changes_of_the_entry_by_others_count_and_damaged_events_are_left_out() {
        let ours = std::process::id();
        let events =
            [event(5, NAMED, "a"), event(6, NAMED, "b"), event(ours, NAMED, "a"), event(5, NAMED, "a")].concat();
        assert_eq!(changed_by(&events, Some(OsStr::new("a"))), [5]);
        assert_eq!(changed_by(&events, None), [5, 6]);
        assert_eq!(changed_by(&event(7, 3, "a"), Some(OsStr::new("a"))), [0; 0]);
        for length in 0..events.len() {
            let _ = changed_by(&events[..length], Some(OsStr::new("a")));
            let mut damaged = events.clone();
            damaged[length] = damaged[length].wrapping_add(200);
            let _ = changed_by(&damaged, Some(OsStr::new("a")));
        }
    }
}
