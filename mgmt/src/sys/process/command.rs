//! What is to be run, as data.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::account::Account;

/// How much of each output stream is kept at its beginning, and as much again at its end, unless `Command::output_max` says otherwise.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// How long output is still awaited after the command itself has ended, unless `Command::linger` says otherwise: descendants may hold its pipes open.
pub const LINGER: Duration = Duration::from_millis(500);

/// Given to kinds by a program whose commands get its own environment where they declare none.
#[derive(Clone, Copy, Debug)]
pub struct InheritEnv;

/// With which environment a command starts.
#[derive(Clone, Default, PartialEq)]
pub enum Env {
    /// Ours. If the command runs as another user, `HOME`, `USER`, `LOGNAME` and `SHELL` become that user's.
    #[default]
    Inherit,
    /// Exactly these variables.
    Explicit(Vec<(OsString, OsString)>),
}

/// What happens to processes of the group that outlive the command itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// They go on: the command may have started a service in the background. (After a timeout, a cancel or a drop they are killed all the same.)
    #[default]
    Leave,
    /// They are killed.
    Kill,
}

/// A command: a program with its arguments, and the bounds within which it runs. Standard input is `/dev/null`.
#[derive(Clone, PartialEq)]
pub struct Command {
    /// The program: a path if it contains a `/` (relative ones start at `cwd`), else looked up in the command's own `PATH`.
    pub program: OsString,
    /// Its arguments, passed on as they are.
    pub args: Vec<OsString>,
    /// Working directory; `None`: ours.
    pub cwd: Option<PathBuf>,
    /// The environment to start from.
    pub env: Env,
    /// Changes to `env`, in order: a variable is set, or with `None` removed.
    pub vars: Vec<(OsString, Option<OsString>)>,
    /// Run as this user, with its groups; `None`: as we are.
    pub user: Option<Account>,
    /// Run with this primary group; `None`: the user's.
    pub group: Option<Account>,
    /// The whole group is ended after this long; `None`: never.
    pub timeout: Option<Duration>,
    /// Bytes kept of each output stream: this many of its beginning and this many of its end. The rest is counted.
    pub output_max: usize,
    /// Its whole standard output is wanted: it is ended as soon as it has said more than is kept.
    pub whole: bool,
    /// How the group is asked to end.
    pub stop_signal: Signal,
    /// How long it then has before it is killed.
    pub grace: Duration,
    /// How long output is awaited after the command itself has ended.
    pub linger: Duration,
    /// What becomes of descendants that outlive the command.
    pub leftovers: Leftovers,
    /// Texts that are left out where its output is told in errors. See `Captured::without`.
    pub secrets: Vec<String>,
}

impl Command {
    /// This program, without arguments, as ourselves, without a timeout.
    pub fn new(program: impl Into<OsString>) -> Command {
        Command {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            env: Env::Inherit,
            vars: Vec::new(),
            user: None,
            group: None,
            timeout: None,
            output_max: OUTPUT_BYTES_MAX,
            whole: false,
            stop_signal: Signal::TERM,
            grace: Duration::from_secs(5),
            linger: LINGER,
            leftovers: Leftovers::Leave,
            secrets: Vec::new(),
        }
    }

    /// `script` run by this shell: `<shell> -c <script>`.
    pub fn shell(shell: impl Into<OsString>, script: impl Into<OsString>) -> Command {
        Command::new(shell).arg("-c").arg(script)
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Command {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Command {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Run in this directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Command {
        self.cwd = Some(dir.into());
        self
    }

    /// Start from this environment.
    #[must_use]
    pub fn env(mut self, env: Env) -> Command {
        self.env = env;
        self
    }

    /// Set a variable on top of the environment.
    #[must_use]
    pub fn var(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Command {
        self.vars.push((name.into(), Some(value.into())));
        self
    }

    /// Run as this user.
    #[must_use]
    pub fn user(mut self, user: impl Into<Account>) -> Command {
        self.user = Some(user.into());
        self
    }

    /// Run with this primary group.
    #[must_use]
    pub fn group(mut self, group: impl Into<Account>) -> Command {
        self.group = Some(group.into());
        self
    }

    /// End the whole group after this long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = Some(timeout);
        self
    }

    /// Keep this many bytes of the beginning and of the end of each output stream.
    #[must_use]
    pub fn output_max(mut self, bytes: usize) -> Command {
        self.output_max = bytes;
        self
    }

    /// The whole standard output is wanted: end it as soon as it has said more than `output_max` lets be kept, with
    /// [`TooMuch`](crate::sys::process::ProcessError::TooMuch). Otherwise it goes on, and the middle is thrown away.
    #[must_use]
    pub fn whole_output(mut self) -> Command {
        self.whole = true;
        self
    }

    /// How to ask the group to end, and how long it then has.
    #[must_use]
    pub fn stop(mut self, signal: Signal, grace: Duration) -> Command {
        self.stop_signal = signal;
        self.grace = grace;
        self
    }

    /// How long output is awaited after the command itself has ended.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Command {
        self.linger = linger;
        self
    }

    /// What becomes of descendants that outlive the command.
    #[must_use]
    pub fn leftovers(mut self, leftovers: Leftovers) -> Command {
        self.leftovers = leftovers;
        self
    }

    /// The value of a variable as the command will see it.
    pub(super) fn lookup(&self, name: &str) -> Option<OsString> {
        if let Some((_, value)) = self.vars.iter().rev().find(|(n, _)| n == name) {
            return value.clone();
        }
        match &self.env {
            Env::Inherit => std::env::var_os(name),
            Env::Explicit(vars) => vars.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone()),
        }
    }

    /// Does the command itself say what this variable is?
    pub(super) fn sets(&self, name: &str) -> bool {
        self.vars.iter().any(|(n, _)| n == name)
    }
}

/// The names only: values may be secrets.
struct Names<'a>(Vec<&'a OsStr>);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Env::Inherit => f.write_str("Inherit"),
            Env::Explicit(vars) => {
                f.debug_tuple("Explicit").field(&Names(vars.iter().map(|(n, _)| n.as_os_str()).collect())).finish()
            }
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("cwd", &self.cwd)
            .field("env", &self.env)
            .field("vars", &Names(self.vars.iter().map(|(n, _)| n.as_os_str()).collect()))
            .field("user", &self.user)
            .field("group", &self.group)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
