//! The signals of this process, and those that it was started with ignored.

#[cfg(feature = "cli")]
use std::io;
use std::sync::Once;

#[cfg(feature = "cli")]
use nix::sys::signal::SigSet;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Signals that stay ignored, here and in commands, if this process was started so: SIGHUP (`nohup`), and those of job
/// control. The standard library ignores SIGPIPE, and restores it for commands.
#[cfg(feature = "cli")]
const LEFT: [Signal; 5] = [Signal::HUP, Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::PIPE];
/// The numbers of the signals that are not real-time signals.
#[cfg(feature = "cli")]
const NUMBERS: std::ops::RangeInclusive<i32> = 1..=31;

/// Lets every signal reach the calling thread, and the threads and commands that it starts: the program that started
/// this process may have blocked some, which is inherited. Call this before other threads are started.
///
/// # Errors
/// The system refuses.
#[cfg(feature = "cli")]
pub fn unblock_all() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Whether this process ignores the signal with this number.
pub fn is_ignored(number: i32) -> bool {
    contains(ignored(), number)
}

/// The signals that this process ignores: a bit for each, from the lowest on.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.unwrap_or_default()
}

fn contains(mask: u64, number: i32) -> bool {
    mask >> (number - 1) & 1 == 1
}

/// Catches the signals that this process was started with ignored, except SIGHUP and those of job control. They still
/// have no effect here; but a caught signal has its default effect in a command, and an ignored one stays ignored.
/// Catches SIGXFSZ too, which ends a process by default: a write beyond the largest size of a file (`ulimit -f`) is an
/// error then. Must be called in a tokio runtime.
#[cfg(feature = "cli")]
pub fn catch_ignored() {
    let is_left = |number: i32| LEFT.iter().any(|left| left.as_raw() == number);
    let mask = ignored();
    let wanted = NUMBERS.filter(|number| !is_left(*number) && contains(mask, *number));
    for number in wanted.chain([Signal::XFSZ.as_raw()]) {
        catch(number);
    }
}

/// Makes it possible to wait for children, also if this process was started with SIGCHLD ignored: then the system
/// itself collects children that have ended. Must be called in a tokio runtime.
pub fn catch_ends_of_children() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let number = Signal::CHILD.as_raw();
        if is_ignored(number) {
            catch(number);
        }
    });
}

/// A signal that the system does not let us catch stays as it is.
fn catch(number: i32) {
    if let Err(error) = signal(SignalKind::from_raw(number)) {
        tracing::debug!("signal {number} can't be caught: {error}");
    }
}
