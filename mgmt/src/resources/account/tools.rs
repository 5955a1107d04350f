//! The system's tools for accounts: run one at a time, with exact arguments, and their errors with what to do.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::Mutex;

use crate::resource::{ApplyCx, CheckCx, Error, Obstacle, ObstacleKind, Result, Ships, Uid};
use crate::sys::account_files::LOCK;
use crate::sys::fs::ReadFs;
use crate::sys::process::{self, Command, Env, ProcessError, run_guarded};
use crate::sys::users;

/// Where the tools are looked for, and where they find what they run.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where distributions install the tools.
const DIR: &str = "/usr/sbin";

/// One tool at a time, for an engine: they lock the files of accounts, and one that has waited for 15 seconds gives up.
#[derive(Debug, Default)]
pub(super) struct Turn(pub(super) Mutex<()>);

/// A tool with its arguments.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) program: &'static str,
    pub(super) args: Vec<String>,
    /// What it reads on its standard input: it may be a secret.
    pub(super) input: Option<String>,
}

impl Tool {
    pub(super) fn new(program: &'static str) -> Tool {
        Tool { program, args: Vec::new(), input: None }
    }

    /// Adds an argument.
    pub(super) fn arg(mut self, arg: impl Into<String>) -> Tool {
        self.args.push(arg.into());
        self
    }

    /// Adds an option if it is set.
    pub(super) fn flag(self, option: &str, is_set: bool) -> Tool {
        if is_set { self.arg(option) } else { self }
    }

    /// Adds an option with its value, if there is one.
    pub(super) fn option(self, option: &str, value: Option<impl ToString>) -> Tool {
        match value {
            Some(value) => self.arg(option).arg(value.to_string()),
            None => self,
        }
    }

    /// The command. Messages are in English, and dates those of UTC.
    fn command(&self) -> Command {
        let vars = [("PATH", PATH), ("LC_ALL", "C"), ("TZ", "UTC")];
        let vars = vars.map(|(name, value)| (name.into(), value.into())).into();
        let mut command = Command::new(self.program).args(&self.args).env(Env::Explicit(vars));
        command.input = self.input.as_deref().map(Into::into);
        command
    }

    /// The reason why the tool can't run now.
    pub(super) async fn examine(&self) -> Result<()> {
        must_be_root()?;
        process::examine(&self.command()).await.map_err(|error| self.not_started(error))
    }

    /// Runs the tool to its end.
    pub(super) async fn run(&self, cx: &ApplyCx) -> Result<()> {
        must_be_root()?;
        let command = self.command();
        let ran = run_guarded(command.clone(), cx.work(format!("waiting for `{}` to stop", self.program))).await;
        let output = ran.map_err(|error| self.not_started(error))?;
        if !output.stderr.text().is_empty() {
            tracing::debug!(target: "mgmt::account", resource = %cx.id(), stderr = %output.stderr.text(), "{}", self.program);
        }
        match output.require_success(&command) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(cx, error).await),
        }
    }

    fn not_started(&self, error: ProcessError) -> Error {
        if !matches!(error, ProcessError::NotFound { .. }) {
            return error.into();
        }
        let package = match self.program {
            "mkhomedir_helper" => "`libpam-modules` (Debian) or `pam` (Fedora)",
            _ => "`passwd` (Debian) or `shadow-utils` (Fedora)",
        };
        let why = format!("the program `{}` is not installed: install the package {package}", self.program);
        Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(Path::new(DIR).join(self.program)))
    }

    /// What a failure of the tool means.
    async fn failed(&self, cx: &CheckCx, error: ProcessError) -> Error {
        let text = match &error {
            ProcessError::Failed { stderr, .. } => stderr.as_str(),
            _ => "",
        };
        let busy = Obstacle::new(ObstacleKind::Busy);
        if text.contains("cannot lock") {
            let holder = cx.look(|fs, _| holder(fs)).await.unwrap_or_else(|| "another program".to_owned());
            let why = format!("{holder} has locked the accounts of this host ({LOCK}); it is tried again: {error}");
            return Error::new(why).waiting_for(busy);
        }
        if text.contains("currently used by process") || text.contains("currently logged in") {
            return Error::new(format!("{error}; end it, or log it out; it is tried again")).waiting_for(busy);
        }
        error.into()
    }
}

/// The error of a tool. If it would not be chosen again now, another program was in the middle of a change: `userdel`
/// removes a user before its group.
pub(super) fn chosen_too_early(error: Error, is_chosen_again: bool) -> Error {
    if is_chosen_again { error } else { error.outdated() }
}

/// Only root can change accounts.
fn must_be_root() -> Result<()> {
    if users::is_root() {
        return Ok(());
    }
    let why = "only root can change the accounts of this host: run it as root";
    Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoPermission)))
}

/// The process that has locked the accounts.
fn holder(fs: &ReadFs) -> Option<String> {
    const BYTES_MAX: u64 = 16 << 20;
    let inode = fs.stat(LOCK).ok()??.ino;
    let locks = fs.read_file("/proc/locks", BYTES_MAX).ok()?;
    let pid = holder_in(&String::from_utf8_lossy(&locks), inode)?;
    let name = fs.read_file(format!("/proc/{pid}/comm"), BYTES_MAX).unwrap_or_default();
    Some(format!("process {pid} ({})", String::from_utf8_lossy(&name).trim()))
}

/// The process that has locked the file with this number for writing, of the lines of `/proc/locks`.
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    let mut of_file = locks.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // A line with `->` is about a process that waits.
        let [_, "POSIX" | "OFDLCK", _, "WRITE", pid, file, ..] = words.as_slice() else { return None };
        let is_it = file.rsplit(':').next().and_then(|number| number.parse().ok()) == Some(inode);
        pid.parse().ok().filter(|_| is_it)
    });
    of_file.next()
}

/// The keys of packages that ship these tools.
pub(super) fn shipped(programs: &[&str]) -> Vec<Uid> {
    let paths: BTreeMap<_, _> = programs.iter().map(|program| (program, Path::new(DIR).join(program))).collect();
    paths.into_values().map(|path| Uid::of(Ships(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_holds_a_lock_is_found_among_all_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 4382 00:28:24 0 EOF\n1: -> POSIX  ADVISORY  WRITE 17 00:28:25 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 2931 fe:00:25 0 EOF\n3: POSIX  ADVISORY  READ 5 fe:00:25 0 EOF\n\
                     4: POSIX  ADVISORY  WRITE 99 fe:00:25 0 EOF\n";
        assert_eq!(holder_in(locks, 24), Some(4382));
        assert_eq!(holder_in(locks, 25), Some(99));
        assert_eq!(holder_in(locks, 26), None);
    }
}
