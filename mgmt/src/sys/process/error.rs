//! Why a command could not be run, or did not end as it should.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::run::Output;
use super::status::Status;
use crate::sys::obstacle::ObstacleKind;

/// Why a command could not be run, or did not end as it should. Arguments and variables are never shown: they may hold secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The program is in no directory of the command's `PATH`.
    #[error("program `{program}` not found in PATH ({path})")]
    NotFound {
        /// The program.
        program: String,
        /// The directories that were looked at.
        path: String,
    },
    /// There is no such file.
    #[error("program `{program}` not found: {} does not exist", .path.display())]
    NoFile {
        /// The program.
        program: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// The program is there but what it needs to start (its `#!` interpreter, its loader) is not.
    #[error("program `{program}` cannot start: its interpreter {interpreter} does not exist")]
    NoInterpreter {
        /// The program.
        program: String,
        /// What it asks for.
        interpreter: String,
    },
    /// The file is not a program, or we may not run it.
    #[error("program `{program}` cannot be executed: {}: {why}", .path.display())]
    NotExecutable {
        /// The program.
        program: String,
        /// Its file.
        path: PathBuf,
        /// What stands in the way.
        why: String,
    },
    /// The working directory is missing or not one.
    #[error("cannot run `{program}` in {}: {why}", .cwd.display())]
    Cwd {
        /// The program.
        program: String,
        /// The directory.
        cwd: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The command's description is unusable: an empty program, a NUL byte, a variable's name with a `=`.
    #[error("cannot run `{program}`: {why}")]
    Invalid {
        /// The program.
        program: String,
        /// What is wrong.
        why: String,
    },
    /// The user or group does not exist.
    #[error("cannot run `{program}` as {who}: {why}")]
    Account {
        /// The program.
        program: String,
        /// The user or group.
        who: String,
        /// What is wrong.
        why: String,
    },
    /// The system could not start it.
    #[error("cannot start `{program}`: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Its output or its end could not be read.
    #[error("lost `{program}`: {source}")]
    Io {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took longer than its timeout; it and its whole group have been ended.
    #[error("`{program}` did not end within {after:?} and was stopped ({})", .output.status)]
    Timeout {
        /// The program.
        program: String,
        /// The timeout.
        after: Duration,
        /// What it had said until then, and how it ended.
        output: Box<Output>,
    },
    /// It said more on its standard output than could be kept, where all of it was wanted; it and its whole group have been ended.
    #[error("`{program}` printed more than {max} bytes and was stopped ({})", .output.status)]
    TooMuch {
        /// The program.
        program: String,
        /// What could be kept.
        max: usize,
        /// What it had said until then, and how it ended.
        output: Box<Output>,
    },
    /// It was asked to stop; it and its whole group have been ended.
    #[error("`{program}` was cancelled ({})", .output.status)]
    Cancelled {
        /// The program.
        program: String,
        /// What it had said until then, and how it ended.
        output: Box<Output>,
    },
    /// It had to be ended, but even a kill did not do it in time (the kernel holds it, for example on a dead disk).
    #[error("`{program}` (pid {pid}) does not die, even when killed")]
    Undead {
        /// The program.
        program: String,
        /// Its process number.
        pid: u32,
    },
    /// It ended by a signal that nobody here sent.
    #[error("`{program}` was {status}{}", say(.stderr))]
    Killed {
        /// The program.
        program: String,
        /// The signal.
        status: Status,
        /// The last of what it said on standard error, escaped.
        stderr: String,
    },
    /// It ended with a code other than 0.
    #[error("`{program}` failed with {status}{}", say(.stderr))]
    Failed {
        /// The program.
        program: String,
        /// The code.
        status: Status,
        /// The last of what it said on standard error, escaped.
        stderr: String,
    },
}

impl ProcessError {
    /// The sort of cause that it waits for, and what must change. `None`: the command itself failed, or is wrong.
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
