//! The system's limits for this process: descriptors and threads.

use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::Mutex;
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit, setrlimit};

/// The number of descriptors that a program needs to run a graph at all.
const NEEDED: u32 = 24;
/// The number of descriptors that are left for files, commands and the journal, however many connections are wanted.
const RESERVE: u64 = 64;

/// The limit that is assumed if the system does not give it.
const UNKNOWN: u64 = 1024;

/// If the soft limit of descriptors was raised: what it was when this process began, and how many commands are being
/// started under that limit now.
static RAISED: Mutex<Option<Raised>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Raised {
    was: Rlimit,
    is: Rlimit,
    starting: u32,
}

fn raised<T>(act: impl FnOnce(&mut Option<Raised>) -> T) -> T {
    act(&mut RAISED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// The limits of descriptors; `None` if the system does not give them. (The call `getrlimit` of rustix panics then.)
fn descriptors() -> Option<Rlimit> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    read_descriptors(&limits)
}

fn read_descriptors(limits: &str) -> Option<Rlimit> {
    let mut words = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace();
    let mut limit = || match words.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Rlimit { current: limit()?, maximum: limit()? })
}

/// Raises the soft limit of descriptors to the hard one, for this process but not for the commands that it starts.
pub fn raise() {
    raised(|raised| {
        let Some(was) = descriptors() else { return };
        let is = Rlimit { current: was.maximum, maximum: was.maximum };
        // If the system refuses, the limit stays as it is.
        if raised.is_none() && was != is && setrlimit(Resource::Nofile, is).is_ok() {
            *raised = Some(Raised { was, is, starting: 0 });
        }
    });
}

/// Starts a command under the limits that this process began with.
///
/// A command inherits the limits that apply when it is started, so the old limit is restored during the start, if
/// descriptors below it are free. If none are, the command has the raised limit for its first moments.
pub fn under_the_first<T>(start: impl FnOnce() -> io::Result<T>, pid: impl FnOnce(&T) -> Pid) -> io::Result<T> {
    let restored = raised(|raised| {
        let Some(raised) = raised else { return None };
        let has_room = raised.starting > 0 || has_room_below(raised.was.current.unwrap_or(u64::MAX));
        if !has_room || setrlimit(Resource::Nofile, raised.was).is_err() {
            return Some(Err(raised.was));
        }
        raised.starting += 1;
        Some(Ok(Restored))
    });
    let started = start()?;
    if let Some(Err(was)) = restored {
        // The command may have ended, or run as another user by now.
        let _ = prlimit(Some(pid(&started)), Resource::Nofile, was);
    }
    drop(restored);
    Ok(started)
}

/// The old limit applies; when the last of these is dropped, the raised one.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        raised(|raised| {
            let Some(raised) = raised else { return };
            raised.starting -= 1;
            if raised.starting == 0 {
                // This can't fail: it is the limit that applied before.
                let _ = setrlimit(Resource::Nofile, raised.is);
            }
        });
    }
}

/// Whether the descriptors that a start needs can have numbers below this limit.
fn has_room_below(limit: u64) -> bool {
    // A new descriptor has the lowest number that is free.
    let lowest = eventfd(0, EventfdFlags::CLOEXEC);
    lowest.is_ok_and(|fd| u64::try_from(fd.as_raw_fd()).is_ok_and(|fd| fd + 32 < limit))
}

/// The most connections that a listener may hold, at most `wanted`, so that descriptors are left for everything else.
pub fn connections_max(wanted: usize) -> usize {
    let limit = descriptors().map_or(UNKNOWN, |limit| limit.current.unwrap_or(u64::MAX));
    let room = limit.saturating_sub(RESERVE) / 2;
    usize::try_from(room).unwrap_or(usize::MAX).clamp(1, wanted)
}

/// Checks that a program can get as many descriptors as it needs.
///
/// # Errors
/// There are too few.
pub fn require_descriptors() -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..NEEDED {
        match eventfd(0, EventfdFlags::CLOEXEC) {
            Ok(fd) => held.push(fd),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                let limit = descriptors().and_then(|limit| limit.current);
                let limit = limit.map_or("none".to_owned(), |limit| limit.to_string());
                let have = held.len();
                let text = format!(
                    "{errno}: only {have} more can be had, and at least {NEEDED} are needed (`ulimit -n` is {limit}): \
                     raise the limit, or pass on fewer open files"
                );
                return Err(io::Error::other(text));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Whether the system gives this number of threads at once.
pub fn has_threads(count: usize) -> bool {
    let (open, gate) = std::sync::mpsc::sync_channel::<()>(0);
    let gate = Mutex::new(gate);
    thread::scope(|scope| {
        let wait = || drop(gate.lock().map(|gate| gate.recv()));
        let all = (0..count).all(|_| thread::Builder::new().spawn_scoped(scope, wait).is_ok());
        drop(open);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_are_asked_for_are_had() {
        assert!(has_threads(0) && has_threads(3));
    }

    #[test]
    fn limits_are_read_from_the_list_of_the_system() {
        let line = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 unlimited            files\n";
        assert_eq!(read_descriptors(line), Some(Rlimit { current: Some(1024), maximum: None }));
        assert_eq!(read_descriptors("Max open files x y\n"), None);
        assert_eq!(read_descriptors(""), None);
    }

    #[test]
    fn a_listener_leaves_descriptors_for_others() {
        let limit = descriptors().unwrap().current.unwrap_or(u64::MAX);
        assert_eq!(descriptors().unwrap(), rustix::process::getrlimit(Resource::Nofile));
        assert!(connections_max(usize::MAX) as u64 <= limit / 2);
        assert_eq!(connections_max(1), 1);
        require_descriptors().unwrap();
    }
}
