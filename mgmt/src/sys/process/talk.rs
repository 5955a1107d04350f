//! A command that is spoken to: its standard input, output and error are pipes of the caller.

use std::io;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::unix::pipe::{Receiver, Sender};

use super::child::Child;
use super::command::Command;
use super::error::ProcessError;
use super::spawn;
use super::status::Status;
use crate::sys::if_simulated;

/// How long a killed command may take to end.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A command that runs, with the pipes to it.
#[derive(Debug)]
pub struct Talk {
    /// Its standard input.
    pub stdin: Sender,
    /// Its standard output.
    pub stdout: Receiver,
    /// Its standard error.
    pub stderr: Receiver,
    /// The command itself.
    pub talker: Talker,
}

/// A command that runs in a process group of its own. When this is dropped, or this process is killed, the whole group
/// is killed.
#[derive(Debug)]
pub struct Talker {
    child: Child,
    program: String,
    ended: Option<Status>,
}

/// Starts a command, as the user of this process, with pipes for all of its streams. Its `timeout`, `input` and limits
/// of output do not apply.
///
/// # Errors
/// The command can't be started.
pub async fn spawn_talk(command: &Command) -> Result<Talk, ProcessError> {
    if_simulated!(host => {
        super::simulated::examine(&host, command)?;
        let source = io::Error::new(io::ErrorKind::Unsupported, "a simulated host has no commands with pipes");
        Err(ProcessError::Io { program: command.shown(), source })
    });
    let (child, stdin, (stdout, stderr)) = spawn::start_talking(command).await?;
    let program = command.shown();
    let pipes = || {
        let missing = || io::Error::other("a pipe is missing");
        Ok((
            Sender::from_owned_fd(stdin.ok_or_else(missing)?)?,
            Receiver::from_owned_fd(stdout.ok_or_else(missing)?)?,
            Receiver::from_owned_fd(stderr.ok_or_else(missing)?)?,
        ))
    };
    let (stdin, stdout, stderr) = pipes().map_err(|source| ProcessError::Io { program: program.clone(), source })?;
    Ok(Talk { stdin, stdout, stderr, talker: Talker { child, program, ended: None } })
}

impl Talker {
    /// The number of its process, which is that of its group.
    pub fn pid(&self) -> i32 {
        self.child.pid().as_raw_nonzero().get()
    }

    /// Waits until the command itself has ended. Cancel safe, and may be called again.
    ///
    /// # Errors
    /// The end can't be awaited.
    pub async fn ended(&mut self) -> Result<Status, ProcessError> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let ended = async {
            self.child.exited().await?;
            self.child.collect()
        };
        let status = ended.await.map_err(|source| ProcessError::Io { program: self.program.clone(), source })?;
        self.ended = Some(status);
        Ok(status)
    }

    /// Waits at most this long for the end, and then kills the whole group.
    ///
    /// # Errors
    /// The command does not end even when killed.
    pub async fn end_within(&mut self, grace: Duration) -> Result<Status, ProcessError> {
        if let Ok(ended) = tokio::time::timeout(grace, self.ended()).await {
            return ended;
        }
        self.child.signal(Signal::KILL);
        match tokio::time::timeout(KILL_WAIT, self.ended()).await {
            Ok(ended) => ended,
            Err(_) => {
                let source = io::Error::other("it does not end, although it was killed");
                Err(ProcessError::Io { program: self.program.clone(), source })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_command_answers_until_its_input_ends() {
        let mut talk = spawn_talk(&Command::shell("/bin/sh", "cat; echo end >&2; exit 3")).await.unwrap();
        let mut buffer = [0; 3];
        for word in [b"one", b"two"] {
            talk.stdin.write_all(word).await.unwrap();
            talk.stdout.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, word);
        }
        drop(talk.stdin);
        let mut text = String::new();
        talk.stderr.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "end\n");
        assert_eq!(talk.talker.ended().await.unwrap(), Status::Exit(3));
        assert_eq!(talk.talker.ended().await.unwrap(), Status::Exit(3));
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed_with_its_group_also_when_dropped() {
        let script = "sleep 60 & echo $!; exec sleep 60";
        for is_dropped in [false, true] {
            let mut talk = spawn_talk(&Command::shell("/bin/sh", script)).await.unwrap();
            let mut buffer = [0; 64];
            let count = talk.stdout.read(&mut buffer).await.unwrap();
            let pid: i32 = std::str::from_utf8(&buffer[..count]).unwrap().trim().parse().unwrap();
            match is_dropped {
                true => drop(talk),
                false => assert_eq!(
                    talk.talker.end_within(Duration::from_millis(10)).await.unwrap(),
                    Status::Signal(Signal::KILL.as_raw())
                ),
            }
            let gone = async {
                while crate::sys::process::group::alive_in(pid).is_some() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), gone).await.expect("its child is killed too");
        }
    }
}
