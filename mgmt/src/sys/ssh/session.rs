//! One call of ssh: a line to it, and the reports of the script there among the noise of its login.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::error::LinkProblem;
use crate::sys::process::{Command, ProcessError, Status, Talker, spawn_talk};

/// The longest line that is read, in bytes; longer ones are noise.
const LINE_BYTES_MAX: usize = 64 << 10;
/// The most noise that a login may print.
const NOISE_BYTES_MAX: usize = 1 << 20;
/// What is kept of the noise, for errors.
const NOISE_KEPT: usize = 2 << 10;
/// What is kept of standard error: its end.
const STDERR_KEPT: usize = 16 << 10;
/// How long a call may take to end when its output has ended.
const END_WAIT: Duration = Duration::from_secs(5);
/// How long the rest of standard error is awaited, which another process may hold open.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What a call of ssh brings next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A report of the script: its word, and the rest.
    Report(String, String),
    /// More on standard error.
    Errors,
    /// The login prints more noise than is read.
    TooMuchNoise,
    /// Standard output has ended.
    End,
}

/// One call of ssh.
#[derive(Debug)]
pub(super) struct Session {
    stdin: Option<Sender>,
    pub(super) stdout: BufReader<Receiver>,
    stderr: Option<Receiver>,
    pub(super) talker: Talker,
    mark: String,
    line: Vec<u8>,
    is_long: bool,
    noise: Vec<u8>,
    noise_bytes: usize,
    errors: Vec<u8>,
    buffer: Vec<u8>,
}

impl Session {
    /// Starts ssh. Reports there begin with this nonce.
    pub(super) async fn start(command: &Command, nonce: &str) -> Result<Session, LinkProblem> {
        let talk = spawn_talk(command).await.map_err(|error| no_ssh(command, &error))?;
        Ok(Session {
            stdin: Some(talk.stdin),
            stdout: BufReader::new(talk.stdout),
            stderr: Some(talk.stderr),
            talker: talk.talker,
            mark: format!("mgmt:{nonce}:"),
            line: Vec::new(),
            is_long: false,
            noise: Vec::new(),
            noise_bytes: 0,
            errors: Vec::new(),
            buffer: vec![0; 4096],
        })
    }

    /// Writes bytes to the script there. A failure shows itself by the end of the output.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        if let Some(stdin) = &mut self.stdin
            && let Err(error) = stdin.write_all(bytes).await
        {
            tracing::debug!("ssh takes no more input: {error}");
            self.stdin = None;
        }
    }

    /// The input there, for the caller alone.
    pub(super) fn take_stdin(&mut self) -> Option<Sender> {
        self.stdin.take()
    }

    /// Standard error, for the caller alone.
    pub(super) fn take_stderr(&mut self) -> Option<Receiver> {
        self.stderr.take()
    }

    /// What comes next. Cancel safe.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            tokio::select! {
                biased;
                bytes = self.stdout.fill_buf() => {
                    let bytes = bytes.unwrap_or_default();
                    if bytes.is_empty() {
                        return Heard::End;
                    }
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let part = &bytes[..end.unwrap_or(bytes.len())];
                    match self.line.len() + part.len() > LINE_BYTES_MAX {
                        true => self.is_long = true,
                        false => self.line.extend_from_slice(part),
                    }
                    let count = part.len() + usize::from(end.is_some());
                    self.stdout.consume(count);
                    self.noise_bytes += count;
                    if end.is_some() && let Some(report) = self.end_line() {
                        return report;
                    }
                    if self.noise_bytes > NOISE_BYTES_MAX {
                        return Heard::TooMuchNoise;
                    }
                }
                count = read(&mut self.stderr, &mut self.buffer), if self.stderr.is_some() => {
                    if count == 0 {
                        self.stderr = None;
                        continue;
                    }
                    self.errors.extend_from_slice(&self.buffer[..count]);
                    let surplus = self.errors.len().saturating_sub(STDERR_KEPT);
                    self.errors.drain(..surplus);
                    return Heard::Errors;
                }
            }
        }
    }

    /// The report in the line that is complete now, if it is one.
    fn end_line(&mut self) -> Option<Heard> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_long) {
            return None;
        }
        match line.strip_prefix(self.mark.as_bytes()) {
            Some(report) => {
                // What came before was noise, and what follows is counted from here.
                self.noise_bytes = 0;
                let report = String::from_utf8_lossy(report);
                let (word, rest) = report.split_once(' ').unwrap_or((&report, ""));
                Some(Heard::Report(word.to_owned(), rest.to_owned()))
            }
            None => {
                let room = NOISE_KEPT.saturating_sub(self.noise.len());
                self.noise.extend_from_slice(&line[..line.len().min(room)]);
                if room > 0 {
                    self.noise.push(b'\n');
                }
                None
            }
        }
    }

    /// What is known of standard error.
    pub(super) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors).into_owned()
    }

    /// Removes a text from what is known of standard error; whether it was there.
    pub(super) fn take_from_errors(&mut self, text: &str) -> bool {
        match self.errors.windows(text.len()).position(|part| part == text.as_bytes()) {
            Some(at) => {
                self.errors.drain(..at + text.len());
                true
            }
            None => false,
        }
    }

    /// What came that is no report.
    pub(super) fn noise(&self) -> String {
        String::from_utf8_lossy(&self.noise).into_owned() + &String::from_utf8_lossy(&self.line)
    }

    /// How the call has ended, after its output did, with the rest of standard error.
    pub(super) async fn ended(&mut self) -> Option<Status> {
        self.stdin = None;
        let status = self.talker.end_within(END_WAIT).await.ok();
        let rest = async {
            while self.stderr.is_some() {
                match read(&mut self.stderr, &mut self.buffer).await {
                    0 => self.stderr = None,
                    count => self.errors.extend_from_slice(&self.buffer[..count]),
                }
                let surplus = self.errors.len().saturating_sub(STDERR_KEPT);
                self.errors.drain(..surplus);
            }
        };
        // What is still open then is held by a process that is none of ours.
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
        status
    }
}

/// The next bytes of a pipe that may have ended; 0 at the end. Cancel safe.
async fn read(pipe: &mut Option<Receiver>, buffer: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

fn no_ssh(command: &Command, error: &ProcessError) -> LinkProblem {
    LinkProblem::NoSsh { program: command.program.to_string_lossy().into_owned(), why: error.to_string() }
}

/// An error of the system here.
pub(super) fn here(action: &'static str) -> impl FnOnce(io::Error) -> LinkProblem {
    move |error| LinkProblem::Here { action, why: error.to_string() }
}
