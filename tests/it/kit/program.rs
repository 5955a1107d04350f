//! Programs of this workspace, run as users run them.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use super::run::LONG;

/// The newest change of a source file below.
fn newest(dir: &Path) -> SystemTime {
    let mut last = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let time = if path.is_dir() { newest(&path) } else { entry.metadata().unwrap().modified().unwrap() };
        last = last.max(time);
    }
    last
}

/// Where cargo puts what it builds with the profile of these tests.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

/// Programs below `target()` are built from these sources: `cargo test` has done so, or if only this test was built, `cargo build` with these
/// arguments does.
fn build(programs: &[&str], sources: &[&str], arguments: &[&str]) -> bool {
    let (root, target) = (Path::new(env!("CARGO_MANIFEST_DIR")), target());
    let changed = sources.iter().map(|dir| newest(&root.join(dir))).max().unwrap();
    let built = |name: &&str| std::fs::metadata(target.join(name)).and_then(|file| file.modified());
    if programs.iter().all(|name| built(name).is_ok_and(|built| built >= changed)) {
        return true;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).env("CARGO_TARGET_DIR", target.parent().unwrap());
    build.args(["build", "--quiet"]).args(arguments);
    if target.ends_with("release") {
        build.arg("--release");
    }
    build.status().unwrap().success()
}

/// An example of the workspace.
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<bool> = OnceLock::new();
    let sources = ["mgmt/src", "mgmt-macros/src", "examples", "tests/programs"];
    let built = BUILT.get_or_init(|| build(&["examples/act", "examples/hello"], &sources, &["--examples"]));
    assert!(built, "the examples can't be built");
    let path = target().join("examples").join(name);
    assert!(path.exists(), "there is no example {name}");
    path
}

/// The example `remote`.
#[cfg(feature = "ssh")]
pub fn remote_example() -> PathBuf {
    let sources = ["mgmt/src", "mgmt-macros/src", "examples"];
    let arguments = ["--example", "remote", "--features", "ssh"];
    assert!(build(&["examples/remote"], &sources, &arguments), "the example remote can't be built");
    target().join("examples/remote")
}

/// The program `mgmt`, with all features.
pub fn mgmt() -> PathBuf {
    static BUILT: OnceLock<bool> = OnceLock::new();
    let arguments = ["--package", "mgmt", "--bin", "mgmt", "--all-features"];
    let built = BUILT.get_or_init(|| build(&["mgmt"], &["mgmt/src", "mgmt-macros/src"], &arguments));
    assert!(built, "the program mgmt can't be built");
    target().join("mgmt")
}

/// The program for tests: `tests/programs/act.rs`.
pub fn act(scene: &str, dir: &Path) -> Program {
    let mut program = Program::new(&example("act"));
    program.arg("--scene").arg(scene).arg("--dir").arg(dir);
    program.command.env("MGMT_PREFIX", dir.join("prefix"));
    program
}

/// Copies a program or a script, mode and all. A child does it: what this process has open for writing is open, and so
/// "busy", in each command that other tests start meanwhile.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} to {}", from.display(), to.display());
}

/// A command line to be run.
pub struct Program {
    pub command: Command,
}

/// What came of it.
#[derive(Debug)]
pub struct Ended {
    /// `None`: killed by a signal.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Program {
    /// With an environment that holds nothing of ours.
    pub fn new(path: &Path) -> Program {
        let mut command = Command::new(path);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", "/nonexistent").env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Program { command }
    }

    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Program {
        self.command.arg(arg);
        self
    }

    pub fn args(&mut self, args: &str) -> &mut Program {
        self.command.args(args.split_whitespace());
        self
    }

    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Program {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    pub fn run(&mut self) -> Ended {
        self.start().wait()
    }

    pub fn start(&mut self) -> Running {
        let began = Instant::now();
        let mut child = self.command.spawn().unwrap();
        let (out, err) = (Collect::new(child.stdout.take()), Collect::new(child.stderr.take()));
        Running { child, began, out, err }
    }
}

/// Reads a pipe as it comes.
struct Collect {
    text: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Collect {
    fn new(pipe: Option<impl std::io::Read + Send + 'static>) -> Collect {
        let text: std::sync::Arc<std::sync::Mutex<Vec<u8>>> = std::sync::Arc::default();
        let into = std::sync::Arc::clone(&text);
        let thread = pipe.map(|mut pipe| {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count) = pipe.read(&mut bytes)
                    && count > 0
                {
                    into.lock().unwrap().extend_from_slice(&bytes[..count]);
                }
            })
        });
        Collect { text, thread }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn all(mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.so_far()
    }
}

/// A program that runs; killed when dropped.
pub struct Running {
    child: Child,
    pub began: Instant,
    out: Collect,
    err: Collect,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until the program has printed this, on either output.
    pub fn says(&mut self, text: &str) {
        self.until(text, |running| running.err.so_far().contains(text) || running.out.so_far().contains(text));
    }

    /// What the program has printed on standard error.
    pub fn err_so_far(&self) -> String {
        self.err.so_far()
    }

    /// What it has printed on standard output.
    pub fn out_so_far(&self) -> String {
        self.out.so_far()
    }

    /// Waits until something is so.
    pub fn until(&mut self, what: &str, is: impl Fn(&Running) -> bool) {
        let deadline = Instant::now() + LONG;
        while !is(self) {
            let ended = self.child.try_wait().unwrap();
            // Its last output may have come meanwhile.
            std::thread::sleep(Duration::from_millis(if ended.is_some() { 100 } else { 3 }));
            if is(self) {
                return;
            }
            let told = || format!("{}{}", self.out.so_far(), self.err.so_far());
            assert!(ended.is_none(), "ended before `{what}`: {ended:?}\n{}", told());
            assert!(Instant::now() < deadline, "`{what}` never comes:\n{}", told());
        }
    }

    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + LONG;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let told = format!("{}{}", self.out.so_far(), self.err.so_far());
                panic!("it does not end:\n{told}");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.began.elapsed();
        let nothing = || Collect { text: Default::default(), thread: None };
        let (out, err) = (std::mem::replace(&mut self.out, nothing()), std::mem::replace(&mut self.err, nothing()));
        Ended { code: status.code(), signal: status.signal(), out: out.all(), err: err.all(), took }
    }

    pub fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, where all is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// It ended with this exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The program printed this, on either output.
    #[track_caller]
    pub fn said(self, text: &str) -> Ended {
        assert!(self.out.contains(text) || self.err.contains(text), "nothing says `{text}`: {self:#?}");
        self
    }
}
