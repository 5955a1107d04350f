//! This program once more, as a process that nothing here ends: one that this process talks with, by its standard input
//! and output, ends by itself when its input does; one that is left alone does not.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};

use rustix::process::Pid;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::child::{Child, Leader};
use super::status::Status;
use crate::sys::limits;
use crate::sys::signals::catch_ends_of_children;

/// A process with its three streams.
#[derive(Debug)]
pub struct Piped {
    /// Its standard input.
    pub stdin: ChildStdin,
    /// Its standard output.
    pub stdout: ChildStdout,
    /// Its standard error.
    pub stderr: ChildStderr,
    /// Its end.
    pub end: PipedEnd,
}

/// The end of a process.
#[derive(Debug)]
pub struct PipedEnd(Child);

impl PipedEnd {
    /// The number of the process.
    pub fn pid(&self) -> i32 {
        self.0.pid().as_raw_nonzero().get()
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// The system does not report it.
    pub async fn wait(mut self) -> io::Result<Status> {
        self.0.exited().await?;
        self.0.collect()
    }
}

/// Starts this program in a process group of its own: what is typed in the terminal does not reach it. `vars` are added
/// to the environment of this process.
///
/// # Errors
/// The program can't be started.
pub fn spawn_piped(program: &Path, args: &[OsString], vars: &[(String, OsString)]) -> io::Result<Piped> {
    catch_ends_of_children();
    let mut std = StdCommand::new(program);
    std.args(args).envs(vars.iter().map(|(name, value)| (name, value))).process_group(0);
    for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"].map(OsStr::new) {
        std.env_remove(name);
    }
    std.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = limits::under_the_first(|| std.spawn(), Pid::from_child)?;
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let end = PipedEnd(Child::new(Leader::outliving(child)));
    let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
        return Err(io::Error::other("a process without its streams"));
    };
    Ok(Piped {
        stdin: ChildStdin::from_std(stdin)?,
        stdout: ChildStdout::from_std(stdout)?,
        stderr: ChildStderr::from_std(stderr)?,
        end,
    })
}

/// Starts this program without a way to talk with it, so that it can outlive this process: what it prints goes to this
/// file. It must begin a session of its own ([`own_session`]).
///
/// # Errors
/// The program can't be started.
pub fn spawn_alone(program: &Path, args: &[OsString], vars: &[(String, OsString)], log: File) -> io::Result<PipedEnd> {
    catch_ends_of_children();
    let mut std = StdCommand::new(program);
    std.args(args).envs(vars.iter().map(|(name, value)| (name, value)));
    std.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = limits::under_the_first(|| std.spawn(), Pid::from_child)?;
    Ok(PipedEnd(Child::new(Leader::outliving(child))))
}

/// Makes this process the first one of a session of its own, which no terminal and no login ends.
pub fn own_session() {
    // One that leads a process group has been given a session, or a group, of its own already.
    let _ = rustix::process::setsid();
}
