//! The exit codes and their meanings, for pipelines, service managers, and help texts.

use std::fs::File;
use std::process::ExitCode;

/// Something failed. A wrong command line has this code too, never that of [`PENDING`].
pub(crate) const FAILED: u8 = 1;
/// A plan has changes that are pending, a run ends with alerts, or hosts have not converged.
pub(crate) const PENDING: u8 = 2;
/// No instance answers.
pub(crate) const ABSENT: u8 = 3;
/// SIGHUP: the terminal was closed.
const HUNG_UP: u8 = 129;
/// SIGINT ended a command other than `run`, or a third signal ended a run at once.
pub(crate) const INTERRUPTED: u8 = 130;
/// SIGTERM ended the command.
const TERMINATED: u8 = 143;

/// A signal that ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Interrupt,
    Terminate,
    HangUp,
}

impl Ending {
    /// The exit code of a run that the signal has ended. To be stopped from the terminal or by a service manager is no
    /// failure.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Ending::Interrupt => ExitCode::SUCCESS,
            Ending::Terminate if is_service() => ExitCode::SUCCESS,
            Ending::Terminate | Ending::HangUp => self.cut_short(),
        }
    }

    /// The exit code of a command that the signal has ended before its result was complete.
    pub(crate) fn cut_short(self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The same as a number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Ending::Interrupt => INTERRUPTED,
            Ending::Terminate => TERMINATED,
            Ending::HangUp => HUNG_UP,
        }
    }
}

/// Whether a service manager has started this process, by the variables that it sets. A desktop that runs as a service
/// passes them on to programs in its terminals, so they count only if there is no controlling terminal.
fn is_service() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    (is_set("NOTIFY_SOCKET") || is_set("INVOCATION_ID")) && !has_terminal()
}

/// Whether this process has a controlling terminal.
pub(crate) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// An exit code and its meaning.
pub(crate) type Meaning = (&'static str, &'static str);

/// The exit codes of all commands.
pub(crate) const ALL: &[Meaning] = &[
    ("0", "Success; a run ended by ^C, its converged timeout, its maximum runtime, or a service manager."),
    ("1", "Wrong options or graph; a check failed; a run with a converged timeout can't converge."),
    (
        "2",
        "A plan found pending changes, a run that ended by itself left alerts, or hosts have not converged (`cluster status`).",
    ),
    ("3", "No instance runs at the prefix (`status`, `why`, `events`, `pause` …)."),
    ("129", "The terminal was closed."),
    ("130", "Interrupted; a run only if that happened three times."),
    ("143", "Terminated (SIGTERM); a run only if no service manager did it."),
    ("other", "A resource of the kind `exit` has ended the run with this code, 0 to 255."),
];

pub(crate) const OF_RUN: &[Meaning] = &[
    ("0", "Ended by ^C, by the converged timeout, by the maximum runtime, or by a service manager (SIGTERM)."),
    ("1", "Wrong options or graph; or a failure keeps the graph from converging, and there is a converged timeout."),
    (
        "2",
        "Ended by the converged timeout or the maximum runtime, with drift that is an alert (`alert`, `--alert-only`).",
    ),
    ("129", "The terminal was closed (SIGHUP). Without a terminal, SIGHUP reads the graph again."),
    ("130", "Interrupted three times: operations under way were abandoned."),
    ("143", "Terminated (SIGTERM) by something other than a service manager."),
    ("other", "A resource of the kind `exit` has ended the run with this code, 0 to 255."),
];

// The codes of commands other than `run` that a signal has ended.
const CLOSED: Meaning = ("129", "The terminal was closed (SIGHUP).");
const STOPPED: Meaning = ("130", "Interrupted.");
const ENDED: Meaning = ("143", "Terminated (SIGTERM).");

pub(crate) const OF_PLAN: &[Meaning] = &[
    ("0", "Nothing would change."),
    ("1", "Wrong options or graph, or a check failed: the plan is not complete."),
    ("2", "Changes are pending."),
    CLOSED,
    STOPPED,
    ENDED,
];

pub(crate) const OF_CHECK: &[Meaning] =
    &[("0", "The graph has no errors."), ("1", "Wrong options or graph."), CLOSED, STOPPED, ENDED];

pub(crate) const OF_SETUP: &[Meaning] = &[
    ("0", "The unit was printed, or written and enabled."),
    ("1", "Wrong options or graph, or the unit can't be written, enabled or started."),
    CLOSED,
    STOPPED,
    ENDED,
];

pub(crate) const OF_DEPLOY: &[Meaning] = &[
    ("0", "The deploy is in force, or was shown."),
    (
        "1",
        "Wrong options or graph, another deploy came first, or the world can't be reached: nothing was published. Or a deploy in waves has not reached all hosts.",
    ),
    CLOSED,
    STOPPED,
    ENDED,
];

pub(crate) const OF_CLUSTER: &[Meaning] = &[
    ("0", "All living hosts have converged, those that follow deploys on the one that they must have."),
    ("1", "Wrong options, or the world can't be reached."),
    ("2", "A host has not converged or has not reported its state yet, or no host is alive."),
    CLOSED,
    STOPPED,
    ENDED,
];

pub(crate) const OF_MEMBERS: &[Meaning] = &[
    ("0", "It was done, or shown."),
    ("1", "Wrong options, this host may not do it, no host runs a server, or none answers."),
    CLOSED,
    STOPPED,
    ENDED,
];

#[cfg(feature = "ssh")]
pub(crate) const OF_REMOTE_PLAN: &[Meaning] = &[
    ("0", "Nothing would change on any host."),
    ("1", "Wrong options or graph, a host can't be reached, or a check failed on one: not every plan is complete."),
    ("2", "Changes are pending on a host."),
    CLOSED,
    STOPPED,
    ENDED,
];

#[cfg(feature = "ssh")]
pub(crate) const OF_REMOTE: &[Meaning] = &[
    ("0", "All hosts have ended well: by their converged timeout, by ^C, or by the maximum runtime."),
    ("1", "Wrong options or graph, or a host can't be reached, was lost, has failed, or can't converge."),
    ("2", "A host has ended with drift that is an alert (`alert`, `--alert-only`), and none has failed."),
    ("129", "The terminal was closed (SIGHUP). Without a terminal, SIGHUP reads graph and hosts again."),
    ("130", "Interrupted three times: the hosts were left, and end by themselves."),
    ("143", "Terminated (SIGTERM) by something other than a service manager."),
    ("other", "A resource of the kind `exit` has ended the run of a host with this code, 0 to 255."),
];

pub(crate) const OF_GRAPH: &[Meaning] = &[
    ("0", "The graph was printed or drawn."),
    ("1", "Wrong options or graph, or the file can't be written."),
    CLOSED,
    STOPPED,
    ENDED,
];

pub(crate) const OF_SCHEMA: &[Meaning] = &[
    ("0", "The schema was printed, without the kinds of a graph that has errors."),
    ("1", "Wrong options, or the schema can't be written."),
    CLOSED,
    STOPPED,
    ENDED,
];

pub(crate) const OF_ASKING: &[Meaning] = &[
    ("0", "The instance has answered."),
    ("1", "Wrong options or names, or the instance refuses."),
    ("3", "No instance runs at the prefix, or it does not answer. `status` and `why` show what its journal remembers."),
    CLOSED,
    STOPPED,
    ENDED,
];

pub(crate) const OF_PRINTED: &[Meaning] =
    &[("0", "The text was printed."), ("1", "Wrong options, or the text can't be written.")];

pub(crate) const OF_CAPTURE: &[Meaning] =
    &[("0", "The graph was printed."), ("1", "Wrong options, or this host can't be looked at.")];

#[cfg(feature = "yaml")]
pub(crate) const OF_CONVERT: &[Meaning] = &[
    ("0", "The program was printed."),
    ("1", "Wrong options or graph, or the graph has a part without a form in Rust."),
];

/// The table of the exit codes of all commands, for the help of a program.
pub(crate) fn program() -> String {
    headed(ALL)
}

/// A table with its heading.
pub(crate) fn headed(meanings: &[Meaning]) -> String {
    format!("Exit codes:\n{}", table(meanings))
}

/// The width of the table in columns, for terminals with 80.
const WIDTH: usize = 78;

/// A table of exit codes, wrapped at [`WIDTH`].
fn table(meanings: &[Meaning]) -> String {
    let mut text = String::new();
    for (code, meaning) in meanings {
        let (mut line, indent) = (format!("  {code:<6}"), " ".repeat(8));
        for word in meaning.split(' ') {
            if line.len() + 1 + word.len() > WIDTH {
                text.push_str(line.trim_end());
                text.push('\n');
                line = indent.clone();
            }
            if line.len() > indent.len() {
                line.push(' ');
            }
            line.push_str(word);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_codes_is_aligned_and_narrow() {
        let all = [
            ALL, OF_RUN, OF_PLAN, OF_CHECK, OF_SETUP, OF_CLUSTER, OF_MEMBERS, OF_GRAPH, OF_SCHEMA, OF_ASKING,
            OF_PRINTED,
        ];
        for meanings in all {
            let table = table(meanings);
            assert!(table.lines().all(|line| line.len() <= WIDTH && line.starts_with("  ")), "{table}");
            assert!(table.lines().count() >= meanings.len() && table.contains("  1    "), "{table}");
        }
    }
}
