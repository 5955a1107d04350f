//! A directory with graphs and lists of hosts, and the program `mgmt` in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::executable::program;
use crate::kit::LONG;
use crate::session::without_terminal;

/// A directory for the files of a test.
pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        // As editors do, so that a half-written file is never seen.
        let (path, new) = (self.path(name), self.path(&format!(".{name}.new")));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// A graph with one file, which each host has for itself: `out-HOST`.
    pub(crate) fn graph(&self, content: &str) -> String {
        // The working directory of each host is a temporary one of its own.
        let out = self.path("out");
        format!("graph: g\nresources:\n  file:\n  - name: {}\n    content: \"{content}\"\n", out.display())
    }

    /// The program, which needs a prefix.
    pub(crate) fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        // A temporary prefix remains where the program is killed.
        command.args(words).current_dir(self.0.path()).env("TMPDIR", self.0.path());
        for name in ["MGMT_PREFIX", "MGMT_CCONNS", "MGMT_SSH_PRIV_ID_RSA", "MGMT_CONVERGED_TIMEOUT", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn mgmt(&self, words: &[&str]) -> Command {
        let mut command = self.program(words);
        command.arg("--tmp-prefix");
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.mgmt(words).output().unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Waits until that is so, while the child runs.
pub(crate) fn wait(child: &mut Child, what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "ended before: {what}: {ended:?}");
        assert!(began.elapsed() < LONG, "not so yet: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

pub(crate) fn is_there(path: &Path) -> bool {
    path.exists()
}

/// The same program, which SIGHUP does not end. What it prints is not read.
pub(crate) fn silent_session(program: &Command) -> Command {
    let mut command = without_terminal(program);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Stops the run that was left on `local:NAME` with this prefix, also if the test fails.
pub(crate) struct StopAtEnd(pub(crate) &'static str, pub(crate) PathBuf);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        let StopAtEnd(name, prefix) = self;
        let mut mgmt = Command::new(program());
        let _ = mgmt.args(["remote", "stop", &format!("local:{name}"), "--prefix"]).arg(prefix).output();
    }
}
