//! How a process ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::Signal;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// On its own, with this code; 0 is success.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl Status {
    /// Whether the process ended on its own with code 0.
    pub fn success(self) -> bool {
        self == Status::Exit(0)
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Status {
        match (status.code(), status.signal()) {
            (Some(code), _) => Status::Exit(code),
            (None, Some(signal)) => Status::Signal(signal),
            // This can't happen for a process that was waited for without WUNTRACED.
            (None, None) => Status::Exit(-1),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Exit(code) => write!(f, "exit code {code}"),
            Status::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {number}"),
            },
        }
    }
}

const NAMES: &[(Signal, &str)] = &[
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    (Signal::CHILD, "SIGCHLD"),
    (Signal::CONT, "SIGCONT"),
    (Signal::STOP, "SIGSTOP"),
    (Signal::TSTP, "SIGTSTP"),
    (Signal::WINCH, "SIGWINCH"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::SYS, "SIGSYS"),
];

/// The signal with this name: `TERM`, `SIGTERM`, `sigterm` or `15`. Real-time signals have no name.
pub fn signal_by_name(name: &str) -> Option<Signal> {
    if let Ok(number) = name.parse() {
        return Signal::from_named_raw(number);
    }
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    NAMES.iter().find(|(_, long)| &long[3..] == name).map(|(signal, _)| *signal)
}

fn signal_name(number: i32) -> Option<&'static str> {
    NAMES.iter().find(|(signal, _)| signal.as_raw() == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_in_both_directions() {
        for (signal, name) in NAMES {
            assert_eq!(signal_by_name(name), Some(*signal));
            assert_eq!(signal_by_name(&name[3..].to_lowercase()), Some(*signal));
            assert_eq!(signal_by_name(&signal.as_raw().to_string()), Some(*signal));
            assert_eq!(signal_name(signal.as_raw()), Some(*name));
        }
        assert_eq!(NAMES.len(), NAMES.iter().map(|(_, name)| name).collect::<std::collections::BTreeSet<_>>().len());
        for unknown in ["", "SIG", "TERMINATE", "0", "-1", "4096"] {
            assert_eq!(signal_by_name(unknown), None, "{unknown}");
        }
        assert_eq!(Status::Signal(40).to_string(), "killed by signal 40");
    }
}
