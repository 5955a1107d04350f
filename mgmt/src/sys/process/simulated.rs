//! Commands on a simulated host: looked up in its table, and run in its time.

use std::future::{Future, pending};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::capture::{Capture, Captured};
use super::command::Command;
use super::error::ProcessError;
use super::escape::escape_lossless;
use super::run::Output;
use super::status::Status;
use crate::sys::simulated::{Host, Rule};
use crate::sys::users::{gid_of, uid_of};

/// The lines of a command.
pub(super) type Lines = UnboundedReceiver<Vec<u8>>;

/// The program and its arguments.
fn argv(command: &Command) -> Vec<String> {
    let all = std::iter::once(&command.program).chain(&command.args);
    all.map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The row of the table for a command.
///
/// # Errors
/// The command can't be started, for the reasons that it could not on a real host.
pub(super) fn examine(host: &Host, command: &Command) -> Result<Rule, ProcessError> {
    command.validate()?;
    let program = command.shown();
    let is_known = |account: &Option<Account>, of: fn(&str) -> bool| match account {
        None => Ok(()),
        Some(account) if of(&account.to_string()) => Ok(()),
        Some(account) => {
            let (who, why) = (format!("`{account}`"), "there is no such user or group on this machine".to_owned());
            Err(ProcessError::Account { program: program.clone(), who, why })
        }
    };
    is_known(&command.user, |user| uid_of(user).is_ok())?;
    is_known(&command.group, |group| gid_of(group).is_ok())?;
    if let Some(cwd) = command.cwd.as_ref().filter(|cwd| !host.is_dir(cwd)) {
        let why = "No such file or directory (os error 2)".to_owned();
        return Err(ProcessError::Cwd { program, cwd: cwd.clone(), why });
    }
    let path = PathBuf::from(&command.program);
    let is_path = command.program.as_encoded_bytes().contains(&b'/');
    let Some(rule) = host.rule(&argv(command)) else {
        return Err(match is_path {
            true => ProcessError::NoFile { program, path },
            false => ProcessError::NotFound { program, path: escape_lossless(b"the programs of the simulated host") },
        });
    };
    if is_path && rule.needs_file() && host.read_bytes(&path).is_none() {
        return Err(ProcessError::NoFile { program, path });
    }
    Ok(rule)
}

/// Why a command ends before it has done anything.
enum Ended {
    Timeout(Duration),
    Cancelled,
}

/// Runs a command to its end, or until `stop` completes.
pub(super) async fn run_until(
    host: &Host,
    command: &Command,
    stop: impl Future<Output = ()>,
) -> Result<Output, ProcessError> {
    let rule = examine(host, command)?;
    let (life, started, program) = (host.life(), Instant::now(), command.shown());
    let expiry = async {
        match command.timeout {
            Some(after) => {
                sleep(after).await;
                after
            }
            None => pending().await,
        }
    };
    let ended = tokio::select! {
        biased;
        () = stop => Some(Ended::Cancelled),
        () = sleep(rule.takes()), if !rule.takes().is_zero() => None,
        () = std::future::ready(()), if rule.takes().is_zero() => None,
        after = expiry => Some(Ended::Timeout(after)),
    };
    if life.is_over() {
        // The process that has started it is gone: nothing waits for the end.
        pending::<()>().await;
    }
    let captured = |text: &str| {
        let mut capture = Capture::new(command.output_max);
        capture.push(text.as_bytes());
        capture.take()
    };
    let elapsed = started.elapsed();
    if let Some(ended) = ended {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let status = Status::Signal(command.stop_signal.as_raw());
        let output = Box::new(Output { status, stdout, stderr, elapsed, complete: true });
        return Err(match ended {
            Ended::Timeout(after) => ProcessError::Timeout { program, after, output },
            Ended::Cancelled => ProcessError::Cancelled { program, output },
        });
    }
    let argv = argv(command);
    host.note_run(&argv);
    let answer = rule.run(host, &argv, command.input.as_deref().unwrap_or_default());
    let (stdout, stderr) = (captured(&answer.stdout), captured(&answer.stderr));
    let output = Output { status: Status::Exit(answer.code), stdout, stderr, elapsed, complete: true };
    if command.whole && output.stdout.skipped > 0 {
        let max = command.output_max.saturating_mul(2);
        return Err(ProcessError::TooMuch { program, max, output: Box::new(output) });
    }
    Ok(output)
}

/// Starts a command whose lines are wanted.
pub(super) fn start_lines(host: &Host, command: &Command) -> Result<Lines, ProcessError> {
    examine(host, command)?;
    let (sender, lines) = unbounded_channel();
    host.note_stream(argv(command), sender);
    Ok(lines)
}
