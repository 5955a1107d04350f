//! Reads and writes the lines of one connection, of bounded length and in bounded time.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};

use super::protocol::{Reply, VERSION};

/// The longest line of a client, in bytes.
pub(super) const REQUEST_BYTES_MAX: usize = 64 << 10;
/// The longest line of the engine, in bytes.
pub(super) const REPLY_BYTES_MAX: usize = 1 << 20;
/// A client that does not read for this long is closed, unless it follows events.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The lines that come in.
#[derive(Debug)]
pub(super) struct In<R> {
    from: BufReader<R>,
    bytes_max: usize,
}

/// A line that came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Line(String),
    /// The line is longer than allowed. The rest of it is not read.
    TooLong,
    NoText,
    End,
}

impl<R: AsyncRead + Unpin> In<R> {
    pub(super) fn new(from: R, bytes_max: usize) -> In<R> {
        In { from: BufReader::new(from), bytes_max }
    }

    /// The next line that is not empty.
    pub(super) async fn line(&mut self) -> io::Result<Taken> {
        let mut line = Vec::new();
        loop {
            let found = self.from.fill_buf().await?;
            if found.is_empty() {
                // What comes before the end without a line end was cut off.
                return Ok(Taken::End);
            }
            let (part, ends) = match found.iter().position(|byte| *byte == b'\n') {
                Some(at) => (&found[..at], true),
                None => (found, false),
            };
            if line.len() + part.len() > self.bytes_max {
                return Ok(Taken::TooLong);
            }
            line.extend_from_slice(part);
            let used = part.len() + usize::from(ends);
            self.from.consume(used);
            if !ends {
                continue;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                line.clear();
                continue;
            }
            return Ok(String::from_utf8(line).map_or(Taken::NoText, Taken::Line));
        }
    }

    /// Completes when the other end closes, or sends something.
    pub(super) async fn stirred(&mut self) {
        // An error means that the connection has broken.
        let _ = self.from.fill_buf().await;
    }
}

/// The lines that go out.
#[derive(Debug)]
pub(super) struct Out<W: AsyncWrite> {
    to: BufWriter<W>,
}

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    #[serde(flatten)]
    reply: &'a Reply,
}

impl<W: AsyncWrite + Unpin> Out<W> {
    pub(super) fn new(to: W) -> Out<W> {
        Out { to: BufWriter::with_capacity(16 << 10, to) }
    }

    /// Writes a line, for as long as it takes.
    pub(super) async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.to.write_all(&encoded(reply)?).await
    }

    /// Writes a line. Fails if the client does not take it in time.
    pub(super) async fn line(&mut self, reply: &Reply) -> io::Result<()> {
        in_time(self.send(reply)).await
    }

    /// Writes what is left in the buffer. Fails if the client does not take it in time.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        in_time(self.to.flush()).await
    }

    /// Writes what is left in the buffer, for as long as it takes.
    pub(super) async fn flush_slowly(&mut self) -> io::Result<()> {
        self.to.flush().await
    }
}

async fn in_time(written: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(PATIENCE, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A reply as a line. One that is too long even with its texts shortened is replaced by an error.
fn encoded(reply: &Reply) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Versioned { v: VERSION, reply })?;
    if line.len() >= REPLY_BYTES_MAX {
        let error = format!("the reply has {} bytes, more than the {REPLY_BYTES_MAX} of a line", line.len());
        line = serde_json::to_vec(&Versioned { v: VERSION, reply: &Reply::Refused { error } })?;
    }
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_taken_whole_and_long_ones_are_not_collected() {
        let text = b" \n\none\r\ntw\xff\nthree without an end";
        let mut lines = In::new(&text[..], 8);
        assert_eq!(lines.line().await.unwrap(), Taken::Line("one\r".to_owned()));
        assert_eq!(lines.line().await.unwrap(), Taken::NoText);
        assert_eq!(lines.line().await.unwrap(), Taken::TooLong);
        let mut lines = In::new(&b"cut off"[..], 8);
        assert_eq!(lines.line().await.unwrap(), Taken::End);
    }

    #[test]
    fn a_line_has_the_version_and_a_bounded_length() {
        let line = encoded(&Reply::Done { count: 3, paused: false }).unwrap();
        let expected = "{\"v\":1,\"reply\":\"done\",\"count\":3,\"paused\":false}\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
        let line = encoded(&Reply::Refused { error: "x".repeat(REPLY_BYTES_MAX) }).unwrap();
        assert!(line.len() < 200, "{}", line.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (served, _client) = tokio::io::duplex(100);
        let mut out = Out::new(served);
        let long = Reply::Refused { error: "x".repeat(100_000) };
        assert_eq!(out.line(&long).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
