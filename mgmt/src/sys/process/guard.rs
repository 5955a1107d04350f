//! What ends the commands of a process that is killed: a shell that reads which groups run, and kills those that are
//! left when nothing more can come, which is when we are gone.
//!
//! A parent-death signal would have to be asked for in the child between fork and exec, and would reach only the leader
//! of a group.

use std::collections::BTreeSet;
use std::io::{PipeWriter, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::io::ioctl_fionbio;
use rustix::process::Pid;

use crate::sys::limits::under_the_first;

/// The groups that run are the lines' numbers with `+` that have none with `-`. It outlives signals that end us.
const SCRIPT: &str = "trap '' INT TERM HUP QUIT PIPE; left=' '
while read -r line; do
  group=${line#?}
  case $line in
    +*) left=\"$left$group \" ;;
    -*) case $left in *\" $group \"*) left=\"${left%% $group *} ${left#* $group }\" ;; esac ;;
  esac
done
for group in $left; do kill -s KILL -- \"-$group\" 2>/dev/null; done";

static GUARD: Mutex<Guard> = Mutex::new(Guard { shell: None, groups: BTreeSet::new() });

struct Guard {
    shell: Option<(Child, PipeWriter)>,
    /// What runs.
    groups: BTreeSet<i32>,
}

/// A command is about to be started: what guards it is there before.
pub(super) fn prepare() {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.shell.is_none() {
        guard.renew();
    }
}

/// This group runs. Without a shell to be had, it is not guarded.
pub(super) fn begin(group: Pid) {
    tell(group, true);
}

/// This group has ended, or is left to itself. To be called while its number can't be another's yet.
pub(super) fn end(group: Pid) {
    tell(group, false);
}

fn tell(group: Pid, runs: bool) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    let number = group.as_raw_nonzero().get();
    let is_news = if runs { guard.groups.insert(number) } else { guard.groups.remove(&number) };
    if !is_news {
        return;
    }
    let line = format!("{}{number}\n", if runs { '+' } else { '-' });
    let is_told = guard.shell.as_mut().is_some_and(|(_, pipe)| pipe.write_all(line.as_bytes()).is_ok());
    if is_told {
        return;
    }
    if let Some((mut shell, pipe)) = guard.shell.take() {
        // It must kill nothing: another one will.
        let _ = shell.kill();
        drop(pipe);
        let _ = shell.wait();
    }
    if !guard.groups.is_empty() {
        guard.renew();
    }
}

impl Guard {
    /// Another shell, for all that runs.
    fn renew(&mut self) {
        let all: String = self.groups.iter().map(|group| format!("+{group}\n")).collect();
        match start(&all) {
            Ok(shell) => self.shell = Some(shell),
            Err(error) => tracing::debug!("commands are not ended if this process is killed: {error}"),
        }
    }
}

fn start(groups: &str) -> std::io::Result<(Child, PipeWriter)> {
    let (reader, mut writer) = std::io::pipe()?;
    // A shell that has been stopped must not stop us.
    ioctl_fionbio(&writer, true)?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(SCRIPT).arg("mgmt-guard").env_clear().current_dir("/").process_group(0);
    shell.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
    let shell = under_the_first(|| shell.spawn(), Pid::from_child)?;
    writer.write_all(groups.as_bytes())?;
    Ok((shell, writer))
}
