//! The description of a command, as data.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::account::Account;

/// The default of `Command::output_max`: the bytes of each output stream that are kept of its beginning, and again of
/// its end.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// The default of `Command::linger`: how long output is still awaited after the command itself has ended. Descendants
/// may hold its pipes open.
pub const LINGER: Duration = Duration::from_millis(500);

/// A program gives this to kinds whose commands should get the program's environment if they declare none.
#[derive(Clone, Copy, Debug)]
pub struct InheritEnv;

/// The environment with which a command starts.
#[derive(Clone, Default, PartialEq)]
pub enum Env {
    /// That of this process. If the command runs as another user, `HOME`, `USER`, `LOGNAME` and `SHELL` become that
    /// user's.
    #[default]
    Inherit,
    /// Exactly these variables.
    Explicit(Vec<(OsString, OsString)>),
}

/// What happens to processes of the group that outlive the command itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// They continue: the command may have started a service in the background. (After a timeout, a cancellation or a
    /// drop they are killed all the same.)
    #[default]
    Leave,
    /// They are killed.
    Kill,
}

/// A command: a program with its arguments, and the limits within which it runs.
#[derive(Clone, PartialEq)]
pub struct Command {
    /// The program: a path if it contains a `/` (relative ones start at `cwd`), otherwise looked up in the command's
    /// own `PATH`.
    pub program: OsString,
    /// Its arguments, passed on as they are.
    pub args: Vec<OsString>,
    /// What it reads on its standard input; `None`: nothing (`/dev/null`). May be a secret: it is never shown, and is
    /// kept in memory.
    pub input: Option<Vec<u8>>,
    /// The working directory; `None`: that of this process.
    pub cwd: Option<PathBuf>,
    /// The environment to start from.
    pub env: Env,
    /// Changes to `env`, in order: sets a variable or, with `None`, removes it.
    pub vars: Vec<(OsString, Option<OsString>)>,
    /// The user to run as, with its groups; `None`: that of this process.
    pub user: Option<Account>,
    /// The primary group to run with; `None`: that of the user.
    pub group: Option<Account>,
    /// The time after which the whole group is ended; `None`: never.
    pub timeout: Option<Duration>,
    /// The bytes of each output stream that are kept of its beginning, and again of its end. The rest is counted.
    pub output_max: usize,
    /// Whether the whole standard output is wanted: the command is ended as soon as it has printed more than is kept.
    pub whole: bool,
    /// The signal that asks the group to end.
    pub stop_signal: Signal,
    /// The time that the group then has before it is killed.
    pub grace: Duration,
    /// How long output is awaited after the command itself has ended.
    pub linger: Duration,
    /// What happens to descendants that outlive the command.
    pub leftovers: Leftovers,
    /// Texts that are left out of output that is shown in errors. See `Captured::without`.
    pub secrets: Vec<String>,
}

impl Command {
    /// A command that runs this program without arguments, as the user of this process, without a timeout.
    pub fn new(program: impl Into<OsString>) -> Command {
        Command {
            program: program.into(),
            args: Vec::new(),
            input: None,
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

    /// A command that runs `script` in this shell: `<shell> -c <script>`.
    pub fn shell(shell: impl Into<OsString>, script: impl Into<OsString>) -> Command {
        Command::new(shell).arg("-c").arg(script)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Command {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Command {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Gives the command this on its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Command {
        self.input = Some(input.into());
        self
    }

    /// Runs the command in this directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Command {
        self.cwd = Some(dir.into());
        self
    }

    /// Starts from this environment.
    #[must_use]
    pub fn env(mut self, env: Env) -> Command {
        self.env = env;
        self
    }

    /// Sets a variable on top of the environment.
    #[must_use]
    pub fn var(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Command {
        self.vars.push((name.into(), Some(value.into())));
        self
    }

    /// Runs the command as this user.
    #[must_use]
    pub fn user(mut self, user: impl Into<Account>) -> Command {
        self.user = Some(user.into());
        self
    }

    /// Runs the command with this primary group.
    #[must_use]
    pub fn group(mut self, group: impl Into<Account>) -> Command {
        self.group = Some(group.into());
        self
    }

    /// Ends the whole group after this time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = Some(timeout);
        self
    }

    /// Keeps this many bytes of the beginning and of the end of each output stream.
    #[must_use]
    pub fn output_max(mut self, bytes: usize) -> Command {
        self.output_max = bytes;
        self
    }

    /// Wants the whole standard output: ends the command as soon as it has printed more than `output_max` lets be kept,
    /// with [`TooMuch`](crate::sys::process::ProcessError::TooMuch). Otherwise the command continues, and the middle of
    /// its output is dropped.
    #[must_use]
    pub fn whole_output(mut self) -> Command {
        self.whole = true;
        self
    }

    /// Sets the signal that asks the group to end, and the time that the group then has.
    #[must_use]
    pub fn stop(mut self, signal: Signal, grace: Duration) -> Command {
        self.stop_signal = signal;
        self.grace = grace;
        self
    }

    /// Sets how long output is awaited after the command itself has ended.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Command {
        self.linger = linger;
        self
    }

    /// Sets what happens to descendants that outlive the command.
    #[must_use]
    pub fn leftovers(mut self, leftovers: Leftovers) -> Command {
        self.leftovers = leftovers;
        self
    }

    /// The value that the variable will have in the command.
    pub(super) fn lookup(&self, name: &str) -> Option<OsString> {
        if let Some((_, value)) = self.vars.iter().rev().find(|(n, _)| n == name) {
            return value.clone();
        }
        match &self.env {
            Env::Inherit => std::env::var_os(name),
            Env::Explicit(vars) => vars.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone()),
        }
    }

    /// Whether `vars` sets or removes this variable.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.vars.iter().any(|(n, _)| n == name)
    }
}

/// Shows only the names of variables: values may be secrets.
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
