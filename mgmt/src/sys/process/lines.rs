//! A long-running command whose output lines are events.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::capture::Captured;
use super::command::Command;
use super::error::ProcessError;
use super::escape::escape_lossless;
use super::run::Running;
use super::status::Status;
use crate::sys::if_simulated;

/// The most bytes that are kept of a line.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// A line of standard output, without its line end (`\n` or `\r\n`). Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The bytes of the line, at most `LINE_BYTES_MAX`.
    pub bytes: Vec<u8>,
    /// The number of bytes beyond those.
    pub skipped: u64,
}

impl Line {
    /// The line as text that can be shown: see `escape_lossless`.
    pub fn text(&self) -> String {
        escape_lossless(&self.bytes)
    }
}

/// An event of a `LineStream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// A line.
    Line(Line),
    /// No more lines follow: the command has ended, or it has closed its output and was therefore ended. The whole
    /// group is gone.
    Ended {
        /// How the command itself ended.
        status: Status,
        /// What the command printed on standard error.
        stderr: Captured,
    },
}

/// The lines of a running command. If this is dropped, the whole process group is killed. Lines that are not taken wait
/// in the pipe; when the pipe is full, the command waits.
#[derive(Debug)]
pub struct LineStream {
    running: Option<Running>,
    program: String,
    linger: Duration,
    splitter: Splitter,
    /// After the command itself has ended: until when lines of descendants are awaited.
    until: Option<Instant>,
    buffer: Vec<u8>,
    errors: Vec<u8>,
    /// The lines of a command of a simulated host.
    #[cfg(any(test, feature = "testing"))]
    simulated: Option<super::simulated::Lines>,
}

/// Starts a command whose lines are wanted. Its `timeout` does not apply.
///
/// # Errors
/// The command can't be started.
pub async fn spawn_lines(command: &Command) -> Result<LineStream, ProcessError> {
    if_simulated!(host => Ok(LineStream {
        simulated: Some(super::simulated::start_lines(&host, command)?),
        ..LineStream::new(command, None)
    }));
    Ok(LineStream::new(command, Some(Running::start(command).await?)))
}

impl LineStream {
    fn new(command: &Command, running: Option<Running>) -> LineStream {
        LineStream {
            running,
            program: command.shown(),
            linger: command.linger,
            splitter: Splitter::default(),
            until: None,
            buffer: vec![0; 16 << 10],
            errors: vec![0; 4 << 10],
            #[cfg(any(test, feature = "testing"))]
            simulated: None,
        }
    }

    /// The number of its process, while it runs.
    #[cfg(feature = "etcd")]
    pub fn pid(&self) -> Option<i32> {
        self.running.as_ref().map(|running| running.child.pid().as_raw_nonzero().get())
    }

    /// The next line, or the end; `None` after the end. Cancel safe: a call that is dropped loses no line.
    ///
    /// # Errors
    /// The output or the end of the command can't be read, or the command does not end even when killed.
    pub async fn next(&mut self) -> Option<Result<LineEvent, ProcessError>> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(lines) = &mut self.simulated {
            return lines.recv().await.map(|bytes| Ok(LineEvent::Line(Line { bytes, skipped: 0 })));
        }
        while self.running.is_some() {
            if let Some(line) = self.splitter.next() {
                return Some(Ok(LineEvent::Line(line)));
            }
            if self.splitter.ended {
                return Some(self.finish().await);
            }
            if let Err(source) = self.read().await {
                self.running = None;
                return Some(Err(ProcessError::Io { program: self.program.clone(), source }));
            }
        }
        None
    }

    /// Waits for one event. Cancel safe.
    async fn read(&mut self) -> io::Result<()> {
        if let Some(running) = &mut self.running {
            let (exited, until) = (self.until.is_some(), self.until.unwrap_or_else(Instant::now));
            tokio::select! {
                bytes = running.out.read(&mut self.buffer), if running.out.is_open() => match bytes {
                    [] => self.splitter.end(),
                    bytes => self.splitter.push(bytes),
                },
                bytes = running.err.read(&mut self.errors), if running.err.is_open() => running.err.kept.push(bytes),
                ended = running.child.exited(), if !exited => {
                    ended?;
                    self.until = Some(Instant::now() + self.linger);
                }
                () = sleep_until(until), if exited => self.splitter.end(),
            }
        }
        Ok(())
    }

    /// Ends the command: asks it to end, waits, kills it. Lines not yet taken are lost.
    ///
    /// # Errors
    /// The command does not end even when killed.
    pub async fn stop(mut self) -> Result<(), ProcessError> {
        match &mut self.running {
            Some(running) => running.end().await.map(drop),
            None => Ok(()),
        }
    }

    /// Waits for the end of the command, or ends it, after the last line.
    async fn finish(&mut self) -> Result<LineEvent, ProcessError> {
        let Some(running) = &mut self.running else {
            return Err(ProcessError::Io { program: self.program.clone(), source: io::ErrorKind::NotFound.into() });
        };
        // The command may have closed its output just before its end.
        let status = match tokio::time::timeout(self.linger, running.exited()).await {
            Ok(Ok(())) => running.close().await,
            _ => running.end().await,
        };
        let stderr = running.err.kept.take();
        self.running = None;
        Ok(LineEvent::Ended { status: status?, stderr })
    }
}

/// Splits bytes into lines.
#[derive(Debug, Default)]
struct Splitter {
    /// The bytes; those from `at` on have not been looked at.
    bytes: Vec<u8>,
    at: usize,
    /// The kept part of the current line.
    line: Vec<u8>,
    skipped: u64,
    ended: bool,
}

impl Splitter {
    /// Adds bytes; only after `next` has returned `None`.
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Notes that no more bytes follow.
    fn end(&mut self) {
        self.ended = true;
    }

    fn next(&mut self) -> Option<Line> {
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            let end = rest.iter().position(|b| *b == b'\n');
            let part = &rest[..end.unwrap_or(rest.len())];
            let kept = part.len().min(LINE_BYTES_MAX - self.line.len());
            self.line.extend_from_slice(&part[..kept]);
            self.skipped += (part.len() - kept) as u64;
            self.at += part.len() + usize::from(end.is_some());
            if end.is_some()
                && let Some(line) = self.take()
            {
                return Some(line);
            }
        }
        if self.ended { self.take() } else { None }
    }

    /// The current line, if it is not empty.
    fn take(&mut self) -> Option<Line> {
        let mut line = Line { bytes: std::mem::take(&mut self.line), skipped: std::mem::take(&mut self.skipped) };
        if line.skipped == 0 && line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
        }
        (!line.bytes.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Line> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            lines.extend(std::iter::from_fn(|| splitter.next()));
        }
        splitter.end();
        lines.extend(std::iter::from_fn(|| splitter.next()));
        lines
    }

    #[test]
    fn empty_lines_are_no_lines_and_the_last_needs_no_newline() {
        let got: Vec<_> = split(&[b"\n\na\r\n\r\nb", b"c\nlast"]).into_iter().map(|line| line.bytes).collect();
        assert_eq!(got, [&b"a"[..], b"bc", b"last"]);
    }

    #[test]
    fn a_long_line_is_cut_and_its_rest_counted() {
        let long = vec![b'x'; LINE_BYTES_MAX - 1];
        let got = split(&[&long, b"yzzz", b"\nnext\n"]);
        assert_eq!(got[0].bytes.len(), LINE_BYTES_MAX);
        assert_eq!(got[0].skipped, 3);
        assert_eq!(got[1], Line { bytes: b"next".to_vec(), skipped: 0 });
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_into_reads_does_not_matter(text in "[ab\r\n]{0,60}", cuts in proptest::collection::vec(0usize..61, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&chunks), split(&[bytes]));
        }
    }
}
