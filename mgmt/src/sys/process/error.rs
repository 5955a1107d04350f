//! Why a command could not be run, or failed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::run::Output;
use super::status::Status;
use crate::id::shortened;
use crate::sys::obstacle::ObstacleKind;

/// A path in a message.
fn shown(path: &Path) -> String {
    const CHARS_MAX: usize = 4096;
    shortened(&path.to_string_lossy(), CHARS_MAX)
}

/// The file of a program between two texts, unless the program is named by this path already.
fn but(program: &str, path: &Path, before: &str, after: &str) -> String {
    if Path::new(program) == path { String::new() } else { format!("{before}{}{after}", shown(path)) }
}

/// Why a command could not be run, or failed. Arguments and variables are never shown: they may contain secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The program is in no directory of the command's `PATH`.
    #[error("program `{program}` not found in PATH ({path})")]
    NotFound {
        /// The program.
        program: String,
        /// The directories that were searched.
        path: String,
    },
    /// The file of the program does not exist.
    #[error("program `{program}` {}does not exist", but(.program, .path, "not found: ", " "))]
    NoFile {
        /// The program.
        program: String,
        /// The path of the file.
        path: PathBuf,
    },
    /// The program exists, but the file that it needs to start (its `#!` interpreter, its loader) does not.
    #[error("program `{program}` cannot start: its interpreter {interpreter} does not exist")]
    NoInterpreter {
        /// The program.
        program: String,
        /// The file that it needs.
        interpreter: String,
    },
    /// The file is not a program, or this user may not run it.
    #[error("program `{program}` cannot be executed: {}{why}", but(.program, .path, "", ": "))]
    NotExecutable {
        /// The program.
        program: String,
        /// The path of its file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The working directory is missing, or is not a directory.
    #[error("cannot run `{program}` in {}: {why}", shown(.cwd))]
    Cwd {
        /// The program.
        program: String,
        /// The directory.
        cwd: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The description of the command is unusable: an empty program, a NUL byte, a name of a variable with a `=`.
    #[error("cannot run `{program}`: {why}")]
    Invalid {
        /// The program.
        program: String,
        /// What is wrong.
        why: String,
    },
    /// The user or group does not exist, or this process may not run commands as it.
    #[error("cannot run `{program}` as {who}: {why}")]
    Account {
        /// The program.
        program: String,
        /// The user or group.
        who: String,
        /// What is wrong.
        why: String,
    },
    /// The limit of processes is reached: the one of the user that runs the command, or of the system.
    #[error(
        "cannot start `{program}`: no process is left (`ulimit -u`, or a limit of the service or container): {source}"
    )]
    NoProcess {
        /// The program.
        program: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The system could not start the command.
    #[error("cannot start `{program}`: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The output or the end of the command could not be read.
    #[error("lost `{program}`: {source}")]
    Io {
        /// The program.
        program: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The command took longer than its timeout; its whole group was ended.
    #[error("`{program}` did not end within {after:?} and was stopped ({})", .output.status)]
    Timeout {
        /// The program.
        program: String,
        /// The timeout.
        after: Duration,
        /// What it had printed until then, and how it ended.
        output: Box<Output>,
    },
    /// The command printed more on its standard output than is kept, although all of it was wanted; its whole group was
    /// ended.
    #[error("`{program}` printed more than {max} bytes and was stopped ({})", .output.status)]
    TooMuch {
        /// The program.
        program: String,
        /// The most bytes that are kept.
        max: usize,
        /// What it had printed until then, and how it ended.
        output: Box<Output>,
    },
    /// The command was cancelled; its whole group was ended.
    #[error("`{program}` was cancelled ({})", .output.status)]
    Cancelled {
        /// The program.
        program: String,
        /// What it had printed until then, and how it ended.
        output: Box<Output>,
    },
    /// The command had to be ended, but did not end in time even after a kill (the kernel holds it, for example on a
    /// dead disk).
    #[error("`{program}` (pid {pid}) does not die, even when killed")]
    Undead {
        /// The program.
        program: String,
        /// The number of its process.
        pid: u32,
    },
    /// A signal that this process did not send ended the command.
    #[error("`{program}` was {status}{}", say(.stderr))]
    Killed {
        /// The program.
        program: String,
        /// The signal.
        status: Status,
        /// The end of what it printed on standard error, escaped.
        stderr: String,
    },
    /// The command ended with a code other than 0.
    #[error("`{program}` failed with {status}{}", say(.stderr))]
    Failed {
        /// The program.
        program: String,
        /// The code.
        status: Status,
        /// The end of what it printed on standard error, escaped.
        stderr: String,
    },
}

impl ProcessError {
    /// The kind of obstacle that a retry waits for, and the path that must change, if known. `None`: the command itself
    /// failed, or is wrong.
    pub fn obstacle(&self) -> Option<(ObstacleKind, Option<&Path>)> {
        match self {
            ProcessError::NotFound { .. } => Some((ObstacleKind::Missing, None)),
            ProcessError::NoFile { path, .. } => Some((ObstacleKind::Missing, Some(path))),
            ProcessError::NoInterpreter { interpreter, .. } => {
                Some((ObstacleKind::Missing, Some(Path::new(interpreter))))
            }
            ProcessError::NotExecutable { path, .. } => Some((ObstacleKind::NoPermission, Some(path))),
            ProcessError::Cwd { cwd, .. } => Some((ObstacleKind::Missing, Some(cwd))),
            ProcessError::Account { .. } => Some((ObstacleKind::Missing, None)),
            ProcessError::NoProcess { .. } => Some((ObstacleKind::NoDescriptors, None)),
            ProcessError::Spawn { source, .. } | ProcessError::Io { source, .. } => {
                ObstacleKind::of(source).map(|kind| (kind, None))
            }
            ProcessError::Invalid { .. }
            | ProcessError::Timeout { .. }
            | ProcessError::TooMuch { .. }
            | ProcessError::Cancelled { .. }
            | ProcessError::Undead { .. }
            | ProcessError::Killed { .. }
            | ProcessError::Failed { .. } => None,
        }
    }
}

fn say(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}
