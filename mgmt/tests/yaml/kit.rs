//! The program `mgmt`, run as users run it, in a directory of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// So long a loaded machine may take for anything.
pub(crate) const LONG: Duration = Duration::from_secs(300);

/// Removes from a part of a graph where it and its parts were declared.
pub(crate) fn forget_origins(part: &mut serde_json::Value) {
    match part {
        serde_json::Value::Object(entries) => {
            entries.remove("origin");
            entries.values_mut().for_each(forget_origins);
        }
        serde_json::Value::Array(entries) => entries.iter_mut().for_each(forget_origins),
        _ => {}
    }
}

/// A directory, and the program's working directory beside it.
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
    prefix: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk { dir: tempfile::tempdir().unwrap(), prefix: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// Writes a file; `$DIR` becomes the directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, fill(text, self.dir.path())).unwrap();
        path
    }

    /// A graph outside of the directory.
    pub(crate) fn graph(&self, text: &str) -> PathBuf {
        let path = self.prefix.path().join("graph.yaml");
        std::fs::write(&path, fill(text, self.dir.path())).unwrap();
        path
    }

    pub(crate) fn mgmt(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mgmt"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
        command.env("MGMT_PREFIX", self.prefix.path().join("prefix")).env("GREETING", "hello").args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The same program under these limits, given as `prlimit` takes them.
    pub(crate) fn limited(&self, limits: &str, arguments: &[&str]) -> Command {
        let program = self.mgmt(arguments);
        let mut command = Command::new("prlimit");
        command.arg(limits).arg(program.get_program()).args(program.get_args()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a graph until it has converged for so long.
    pub(crate) fn converge(&self, text: &str, seconds: &str) -> Output {
        let graph = self.graph(text);
        let graph = graph.to_str().unwrap();
        self.mgmt(&["run", "--yaml", graph, "-t", seconds, "--max-runtime", "120"]).output().unwrap()
    }

    /// Runs a graph until it is dropped.
    pub(crate) fn run(&self, text: &str, more: &[&str]) -> Running {
        let graph = self.graph(text);
        let mut command = self.mgmt(&["run", "--yaml", graph.to_str().unwrap()]);
        command.args(more);
        Running::start(command)
    }
}

/// Puts the directory and whom we run as in the place of `$DIR`, `$UID` and `$GID`.
pub(crate) fn fill(text: &str, dir: &Path) -> String {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let text = text.replace("$DIR", &dir.display().to_string());
    text.replace("$UID", &user.to_string()).replace("$GID", &group.to_string())
}

/// A running program, and its output so far.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, stderr) = (Arc::clone(&said), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut said = lines.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Running { child, said }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn wait_said(&self, what: &str) {
        wait(|| self.said().contains(what), || format!("it never said {what:?}, but\n{}", self.said()));
    }

    /// Waits until a condition holds; if it never does, fails with the output so far.
    pub(crate) fn wait(&self, what: &str, until: impl Fn() -> bool) {
        wait(until, || format!("{what}: never; it said\n{}", self.said()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()) {
            // It may have ended already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait(until: impl Fn() -> bool, what: impl Fn() -> String) {
    let end = Instant::now() + LONG;
    while !until() {
        assert!(Instant::now() < end, "{}", what());
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where the files of these tests are.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/yaml").join(name)
}

/// The YAML files in a folder, in order.
pub(crate) fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
