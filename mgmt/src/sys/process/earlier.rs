//! A process that an earlier run of this program has started, found again by more than its number.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// How often a process is looked at that must end.
const LOOK: Duration = Duration::from_millis(20);
/// How long a killed process may take to disappear.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A process: its number, and what no later process with that number has in common with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    pid: i32,
    /// When it was started, in ticks after the boot.
    started: u64,
    /// The boot of the machine.
    boot: String,
}

impl Earlier {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Earlier> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Earlier { pid, started: started(pid)?, boot })
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        Earlier::of(self.pid).as_ref() == Some(self)
    }

    /// Ends it, if it runs: asks it to, and kills it after `grace`. Returns whether it has ended.
    pub async fn end(&self, grace: Duration) -> bool {
        for (signal, wait) in [(Signal::TERM, grace), (Signal::KILL, KILL_WAIT)] {
            if !self.send(signal) {
                return true;
            }
            let until = tokio::time::Instant::now() + wait;
            while self.runs() && tokio::time::Instant::now() < until {
                tokio::time::sleep(LOOK).await;
            }
        }
        !self.runs()
    }

    /// Sends the signal to this process and to no other one. Returns whether it runs.
    fn send(&self, signal: Signal) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        // The descriptor belongs to the process that is compared afterwards.
        let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        self.runs() && pidfd_send_signal(fd, signal).is_ok()
    }
}

/// When the process was started, unless it is a zombie: `pid (name) state …`, where the name may contain anything.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let is_over = matches!(fields.next()?, "Z" | "X");
    // The 22nd field of all.
    let started = fields.nth(18)?.parse().ok()?;
    (!is_over).then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_ended_by_its_identity_and_no_other_one_with_its_number() {
        let mut sleep = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(sleep.id()).unwrap();
        let real = Earlier::of(pid).unwrap();
        let other = Earlier { started: real.started + 1, ..real.clone() };
        let of_another_boot = Earlier { boot: "other".to_owned(), ..real.clone() };
        for not_it in [other, of_another_boot] {
            assert!(!not_it.runs() && not_it.end(Duration::from_millis(10)).await);
        }
        assert_eq!(sleep.try_wait().unwrap(), None);
        assert!(real.runs());
        assert!(real.end(Duration::from_secs(10)).await);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&sleep.wait().unwrap()), Some(15));
        assert!(!real.runs() && Earlier::of(pid).is_none());
    }
}
