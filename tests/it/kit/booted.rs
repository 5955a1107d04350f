//! A machine for a test: systemd as PID 1 of namespaces of its own, over a throw-away overlay of this machine's root.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::program::{Ended, Program};
use super::run::LONG;

/// A systemd that runs, in which all is up; it ends when this is dropped, and with the process that has it, however that
/// ends. It has the files of this machine, but none of its services, and no network but the loopback device. Needs root,
/// systemd and dbus.
pub struct Booted {
    /// `tests/boot.sh`, which ends it all once its standard input is closed.
    attendant: Child,
    leader: u32,
}

impl Booted {
    pub fn start() -> Booted {
        Booted::with(&[])
    }

    /// With these directories of this machine, each at its place inside. What else changes in this machine's root may or
    /// may not show.
    pub fn with(dirs: &[(&Path, &str)]) -> Booted {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boot.sh"));
        for (outside, inside) in dirs {
            command.arg(outside).arg(inside);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Where an interrupt at the terminal does not reach it: it ends in order, after us.
        let mut attendant = command.process_group(0).spawn().unwrap();
        let (stdout, stderr) = (attendant.stdout.take().unwrap(), attendant.stderr.take().unwrap());
        let mut booted = Booted { attendant, leader: 0 };
        let (mut leader, mut why) = (String::new(), String::new());
        BufReader::new(stdout).read_line(&mut leader).unwrap();
        match leader.trim().parse() {
            Ok(leader) => booted.leader = leader,
            Err(_) => {
                BufReader::new(stderr).read_to_string(&mut why).unwrap();
                panic!("no systemd boots:\n{why}");
            }
        }
        booted
    }

    /// Its PID 1, as this machine numbers it.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// A command to be run in it, as root.
    pub fn command(&self, command: &[&str]) -> Program {
        let mut program = Program::new(Path::new("nsenter"));
        program.arg("--target").arg(self.leader.to_string());
        program.args("--mount --pid --net --uts --ipc --cgroup --");
        program.command.args(command);
        program.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
        program
    }

    /// Runs a command in it to its end.
    pub fn run(&self, command: &[&str]) -> Ended {
        self.command(command).run()
    }

    /// What a command prints that must succeed, without the end of its last line.
    #[track_caller]
    pub fn out(&self, command: &[&str]) -> String {
        self.run(command).code(0).out.trim_end().to_owned()
    }

    /// A path in it as seen from here, to be read and written. A link on the way that is absolute leads to this machine.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new("/proc").join(self.leader.to_string()).join("root").join(inside.trim_start_matches('/'))
    }

    /// Copies a file of this machine into it, mode and all.
    pub fn copy(&self, file: &Path, inside: &str) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        super::program::copy(file, &path);
    }
}

/// Set in the process of a test that runs inside.
const INSIDE: &str = "MGMT_TEST_INSIDE";

/// Runs a part of the test of this name inside of a booted machine, so that it may change that as it likes: this test
/// calls itself there.
pub fn inside(test: &str, part: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return part();
    }
    let this = std::env::current_exe().unwrap();
    let booted = Booted::with(&[(this.parent().unwrap(), "/run/tests")]);
    let this = Path::new("/run/tests").join(this.file_name().unwrap());
    let this = this.to_str().unwrap();
    let mut program = booted.command(&[this, "--exact", test, "--include-ignored", "--nocapture"]);
    let ended = program.env(INSIDE, "1").run().code(0);
    assert!(ended.out.contains("1 passed"), "{}{}", ended.out, ended.err);
}

impl Drop for Booted {
    fn drop(&mut self) {
        drop(self.attendant.stdin.take());
        let deadline = Instant::now() + LONG;
        while let Ok(None) = self.attendant.try_wait() {
            if Instant::now() > deadline {
                eprintln!("what was booted does not end in order");
                // All of it ends with its attendant.
                let _ = self.attendant.kill();
                let _ = self.attendant.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
