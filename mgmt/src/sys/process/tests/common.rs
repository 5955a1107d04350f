//! Parts that the tests of commands share.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tokio::time::sleep;

use crate::sys::process::group;
use crate::sys::process::*;

/// Much longer than anything here takes, even on a loaded machine.
pub(super) const LONG: Duration = Duration::from_secs(60);
pub(super) const MARK: &str = "MGMT_TEST_MARK";

/// A grace period that no test may have to wait for.
pub(super) const FOREVER: Duration = Duration::from_secs(100_000);

/// A mark in the environment by which all descendants of a test's commands are found, wherever they are.
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn new() -> Mark {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Mark(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn sh(&self, script: &str) -> Command {
        Command::shell("/bin/sh", script).var(MARK, &self.0)
    }

    /// The descendants that are alive now.
    pub(super) fn pids(&self) -> Vec<i32> {
        let wanted = format!("{MARK}={}", self.0);
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        let marked = pids.filter(|pid: &i32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|b| *b == 0).any(|var| var == wanted.as_bytes())
        });
        marked.filter(|pid| group::alive_in(*pid).is_some()).collect()
    }

    pub(super) async fn wait_for(&self, count: usize) -> Vec<i32> {
        eventually(&format!("{count} processes"), || Some(self.pids()).filter(|pids| pids.len() == count)).await
    }

    pub(super) async fn all_gone(&self) {
        eventually("all processes gone", || self.pids().is_empty().then_some(())).await;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A failed test leaves no process either.
        for pid in self.pids() {
            let _ = rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
    }
}

pub(super) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LONG, "never came: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a command has made this file.
pub(super) async fn exists(path: &Path) {
    eventually("the file", || path.exists().then_some(())).await;
}

pub(super) fn whole(captured: &Captured) -> String {
    String::from_utf8(captured.whole().expect("nothing left out").to_vec()).unwrap()
}

pub(super) async fn stdout(command: &Command) -> String {
    whole(&run(command).await.unwrap().require_success(command).unwrap().stdout)
}

pub(super) fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
