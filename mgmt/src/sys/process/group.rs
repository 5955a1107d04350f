//! The members of a process group.

use std::fs;

use rustix::process::Pid;

use crate::sys::threads::on_thread;

/// Whether a member of the group, other than its leader, is still alive. (Zombies are not: they only wait to be
/// collected by their parent.) `false` if `/proc` can't be read.
pub(super) async fn has_others(leader: Pid) -> bool {
    // Reading /proc takes milliseconds on a machine with many processes.
    matches!(on_thread(move || others(leader.as_raw_nonzero().get())).await, Some(Ok(true)))
}

fn others(leader: i32) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let mut pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.any(|pid| pid != leader && alive_in(pid) == Some(leader))
}

/// The group of the process, if it exists and is not a zombie. (Not from `getpgid`: for kernel threads and for
/// processes outside of our namespace, it returns 0, which is not the number of a group.)
pub(super) fn alive_in(pid: i32) -> Option<i32> {
    // `pid (name) state parent group …`; the name may contain anything, even `)`.
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}
