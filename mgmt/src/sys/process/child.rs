//! A running child and its group: awaited until its end, or killed.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::guard;
use super::reaper;
use super::status::Status;

/// The leader of a process group that we started. Until it is collected its number is not used again, so signals to the
/// group can't hit other processes. If it is dropped before that, the whole group is killed, unless it must outlive us.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    /// `None` after the child has been collected.
    child: Option<std::process::Child>,
    /// Our end of the pipe of its standard error.
    error: Option<OwnedFd>,
    /// Whether nothing of ours ends it.
    outlives: bool,
}

impl Leader {
    pub(super) fn new(child: std::process::Child, error: Option<OwnedFd>) -> Leader {
        let pid = Pid::from_child(&child);
        guard::begin(pid);
        Leader { pid, child: Some(child), error, outlives: false }
    }

    /// The leader of a group that is not killed, neither when this is dropped nor when this process is.
    pub(super) fn outliving(child: std::process::Child) -> Leader {
        Leader { pid: Pid::from_child(&child), child: Some(child), error: None, outlives: true }
    }

    /// The standard output and error of the child, if piped. Only the first call returns them.
    pub(super) fn take_pipes(&mut self) -> (Option<OwnedFd>, Option<OwnedFd>) {
        let Some(child) = &mut self.child else { return (None, None) };
        (child.stdout.take().map(OwnedFd::from), self.error.take())
    }

    /// The standard input of the child, if piped. Only the first call returns it.
    #[cfg(feature = "ssh")]
    pub(super) fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.child.as_mut()?.stdin.take().map(OwnedFd::from)
    }

    /// Sends the signal to the whole group.
    fn signal(&self, signal: Signal) {
        if self.child.is_some() {
            // Fails if all members run as another user (setuid programs) or have ended: then nothing more can be done.
            let _ = kill_process_group(self.pid, signal);
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.child.is_some() && !self.outlives {
            self.signal(Signal::KILL);
            guard::end(self.pid);
        }
        if let Some(child) = self.child.take() {
            reaper::collect(child);
        }
    }
}

/// A child whose end can be awaited.
#[derive(Debug)]
pub(super) struct Child {
    leader: Leader,
    /// `None` if the kernel gives none (before 5.3, or forbidden by a sandbox).
    pidfd: Option<AsyncFd<OwnedFd>>,
}

impl Child {
    pub(super) fn new(leader: Leader) -> Child {
        let fd = pidfd_open(leader.pid, PidfdFlags::empty()).ok();
        Child { leader, pidfd: fd.and_then(register) }
    }

    pub(super) fn pid(&self) -> Pid {
        self.leader.pid
    }

    /// Waits until the child itself has ended; does not collect it. Cancel safe.
    pub(super) async fn exited(&self) -> io::Result<()> {
        if let Some(fd) = &self.pidfd {
            return fd.readable().await.map(drop);
        }
        let mut pause = Duration::from_millis(1);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(self.leader.pid), options)?.is_none() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Sends the signal to the whole group.
    pub(super) fn signal(&self, signal: Signal) {
        self.leader.signal(signal);
    }

    /// Collects the child, which has ended. After that its group can't be signalled any more.
    pub(super) fn collect(&mut self) -> io::Result<Status> {
        match &mut self.leader.child {
            None => Err(io::Error::other("already collected")),
            Some(child) => {
                guard::end(self.leader.pid);
                let status = child.wait()?;
                self.leader.child = None;
                Ok(status.into())
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, because a type may change the descriptor it owns; `OwnedFd` does not"
)]
fn register(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_child_is_seen_with_and_without_a_descriptor_for_it() {
        for with in [true, false] {
            let sleep = std::process::Command::new("sleep").arg("0.1").spawn().unwrap();
            let mut child = Child::new(Leader::new(sleep, None));
            assert!(child.pidfd.is_some(), "this kernel has them");
            if !with {
                child.pidfd = None;
            }
            child.exited().await.unwrap();
            child.exited().await.unwrap();
            assert_eq!(child.collect().unwrap(), Status::Exit(0));
            assert!(child.collect().is_err());
        }
    }
}
