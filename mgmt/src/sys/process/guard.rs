//! Ends the commands of a process that is killed: a shell reads which groups run, and kills those that are left when
//! its input ends, which happens when our process is gone. If the shell itself is killed, another one is started.
//!
//! A parent-death signal would have to be set in the child between fork and exec, and would reach only the leader of a
//! group.
//!
//! A command runs before its number is known here: until then it is identified by the pipe of its standard error, which
//! no other process has open.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{PipeWriter, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstat;
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::Pid;

use crate::sys::limits::under_the_first;

/// Running commands are the words with `+` that have none with `-`: the numbers of groups, and `p` with the number of a
/// pipe. The shell survives signals that end us. It searches several times for processes that hold a pipe, because a
/// child that is being started has the pipe as its standard error only when it runs its program.
const SCRIPT: &str = "trap '' INT TERM HUP QUIT PIPE; left=' '
while read -r line; do
  word=${line#?}
  case $line in
    +*) left=\"$left$word \" ;;
    -*) case $left in *\" $word \"*) left=\"${left%% $word *} ${left#* $word }\" ;; esac ;;
  esac
done
for word in $left; do
  case $word in p*) continue ;; esac
  kill -s KILL -- \"-$word\" 2>/dev/null
done
for pause in 0 0.1 0.5; do
  case $left in *p*) sleep $pause ;; *) break ;; esac
  for word in $left; do
    case $word in p*) ;; *) continue ;; esac
    ls -l /proc/[0-9]*/fd/2 2>/dev/null | while read -r line; do
      case $line in *\" -> pipe:[${word#p}]\") ;; *) continue ;; esac
      number=${line##*/proc/}
      number=${number%%/*}
      kill -s KILL -- \"-$number\" 2>/dev/null || kill -s KILL \"$number\" 2>/dev/null
    done
  done
done";

/// What a pipe holds at least, in bytes: that of a user who has many pipes has one page.
const EARLY_BYTES: usize = 4096;
/// The stack of the thread that waits for the end of the shell.
const STACK_BYTES: usize = 128 << 10;
/// A shell that lives shorter than this is not replaced before it is over.
const LIFE_MIN: Duration = Duration::from_millis(100);

static GUARD: Mutex<Guard> = Mutex::new(Guard { shell: None, words: BTreeSet::new(), count: 0 });

struct Guard {
    shell: Option<(Child, PipeWriter)>,
    /// How many shells were started.
    count: u64,
    /// The commands that run.
    words: BTreeSet<Word>,
}

/// How the shell identifies a command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Group(i32),
    Pipe(u64),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Group(number) => write!(f, "{number}"),
            Word::Pipe(number) => write!(f, "p{number}"),
        }
    }
}

/// A command that is being started, guarded before it runs. Drop this when the group of the command is guarded.
#[must_use]
pub(super) struct Starting(Option<Word>);

impl Starting {
    /// Guards a command whose standard error is this pipe.
    pub(super) fn new(pipe: impl AsFd) -> Starting {
        let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.shell.is_none() {
            guard.renew();
        }
        drop(guard);
        let word = fstat(pipe).ok().map(|stat| Word::Pipe(stat.st_ino));
        word.into_iter().for_each(|word| tell(word, true));
        Starting(word)
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.into_iter().for_each(|word| tell(word, false));
    }
}

/// Guards this group, which runs. If no shell can be started, it is not guarded.
pub(super) fn begin(group: Pid) {
    tell(Word::Group(group.as_raw_nonzero().get()), true);
}

/// Stops guarding this group, which has ended or is left alone. Call this before its number can be used again.
pub(super) fn end(group: Pid) {
    tell(Word::Group(group.as_raw_nonzero().get()), false);
}

fn tell(word: Word, runs: bool) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    let is_news = if runs { guard.words.insert(word) } else { guard.words.remove(&word) };
    if !is_news {
        return;
    }
    let line = format!("{}{word}\n", if runs { '+' } else { '-' });
    let is_told = guard.shell.as_mut().is_some_and(|(_, pipe)| pipe.write_all(line.as_bytes()).is_ok());
    if is_told {
        return;
    }
    guard.replace();
}

/// Waits until the shell with this number has ended, which only another program can have done, and starts another one.
/// Blocks.
fn attend(number: u64, pipe: &PipeWriter) {
    let began = Instant::now();
    // Nothing is asked for: the system reports in any case that no process reads the pipe any more.
    let mut fds = [PollFd::new(pipe, PollFlags::empty())];
    while !fds[0].revents().contains(PollFlags::ERR) {
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
    // Where no shell lives for long, they must not follow one another as fast as the system can start them.
    thread::sleep(LIFE_MIN.saturating_sub(began.elapsed()));
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.count == number && guard.shell.is_some() {
        guard.replace();
    }
}

impl Guard {
    /// Ends the shell, and starts another one if commands run.
    fn replace(&mut self) {
        if let Some((mut shell, pipe)) = self.shell.take() {
            // This shell must not kill anything: another one will.
            let _ = shell.kill();
            drop(pipe);
            let _ = shell.wait();
        }
        if !self.words.is_empty() {
            self.renew();
        }
    }

    /// Starts another shell, for all running commands.
    fn renew(&mut self) {
        let all: String = self.words.iter().map(|word| format!("+{word}\n")).collect();
        match start(&all) {
            Ok((shell, pipe)) => {
                self.count += 1;
                let (number, end) = (self.count, pipe.try_clone());
                self.shell = Some((shell, pipe));
                let attended = end.and_then(|end| {
                    let attends = thread::Builder::new().name("mgmt-guard".to_owned()).stack_size(STACK_BYTES);
                    attends.spawn(move || attend(number, &end))
                });
                if let Err(error) = attended {
                    tracing::debug!("the end of the guard of commands is noticed only at the next command: {error}");
                }
            }
            Err(error) => tracing::debug!("commands are not ended if this process is killed: {error}"),
        }
    }
}

fn start(words: &str) -> std::io::Result<(Child, PipeWriter)> {
    let (reader, mut writer) = std::io::pipe()?;
    // A stopped shell must not block us.
    ioctl_fionbio(&writer, true)?;
    // What fits into the pipe is there before the shell is: if we are killed meanwhile, it still reads all.
    let (early, late) = words.as_bytes().split_at(words.len().min(EARLY_BYTES));
    writer.write_all(early)?;
    let mut shell = Command::new("/bin/sh");
    // Lists of processes show the arguments, so the script is not among them.
    shell.args(["-c", "eval \"$SCRIPT\"", "mgmt-guard"]).env_clear().env("SCRIPT", SCRIPT);
    shell.current_dir("/").process_group(0);
    shell.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
    let mut shell = under_the_first(|| shell.spawn(), Pid::from_child)?;
    if let Err(error) = writer.write_all(late) {
        // It must not take the end of its input for the end of this process.
        let _ = shell.kill();
        let _ = shell.wait();
        return Err(error);
    }
    Ok((shell, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sleep`, in a group of its own, and the pipe of its standard error.
    fn sleep() -> (Child, std::io::PipeReader) {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut sleep = Command::new("sleep");
        sleep.arg("60").stderr(writer).process_group(0);
        (sleep.spawn().unwrap(), reader)
    }

    #[test]
    fn what_runs_is_killed_by_its_group_or_while_that_is_unknown_by_its_pipe_and_nothing_else() {
        let (mut by_group, _pipe) = sleep();
        let (mut by_pipe, pipe) = sleep();
        let (mut ended, ended_pipe) = sleep();
        let (mut other, _other_pipe) = sleep();
        let word = |pipe| Word::Pipe(fstat(pipe).unwrap().st_ino);
        let words = format!("+{}\n+{}\n+{}\n", by_group.id(), word(&pipe), word(&ended_pipe));
        let (mut shell, mut writer) = start(&words).unwrap();
        writer.write_all(format!("-{}\n", word(&ended_pipe)).as_bytes()).unwrap();
        // It is empty for a moment while the program is being executed.
        let read = || std::fs::read(format!("/proc/{}/cmdline", shell.id())).unwrap();
        let shown = std::iter::repeat_with(read).find(|shown| !shown.is_empty()).unwrap();
        assert!(shown.len() < 60 && shown.ends_with(b"\0mgmt-guard\0"), "{}", String::from_utf8_lossy(&shown));
        drop(writer);
        for killed in [&mut by_group, &mut by_pipe] {
            let status = killed.wait().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status:?}");
        }
        assert!(shell.wait().unwrap().success());
        for left in [&mut ended, &mut other] {
            assert_eq!(left.try_wait().unwrap(), None);
            left.kill().unwrap();
            left.wait().unwrap();
        }
    }
}
