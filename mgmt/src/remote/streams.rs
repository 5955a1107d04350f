//! The streams of the near end: messages and contents go out, with signs of life; what comes on standard error is log
//! lines.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::graph::ContentRef;
use crate::remote::lines::{Cutter, Found, foreign};
use crate::remote::message::{ALIVE_EVERY, Part, ToFar, line};
use crate::remote::queue::Queue;
use crate::remote::run::Report;
use crate::remote::tunnel::Frame;

/// How many bytes are read at once.
pub(super) const READ_BYTES: usize = 1 << 16;

/// What goes out.
pub(super) enum Outgoing {
    Message(ToFar),
    Content(ContentRef, Arc<[u8]>),
}

/// Writes until there is no more to write or no way to write it. Whatever is written is a sign of life.
pub(super) async fn write(
    mut stdin: Box<dyn AsyncWrite + Send + Unpin>,
    mut wanted: mpsc::UnboundedReceiver<Outgoing>,
    mut frames: mpsc::Receiver<Frame>,
) {
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            next = wanted.recv() => match next {
                Some(next) => next,
                None => return,
            },
            Some(frame) = frames.recv() => Outgoing::Message(ToFar::Stream(frame)),
            _ = alive.tick() => Outgoing::Message(ToFar::Alive),
        };
        let written = match next {
            Outgoing::Message(message) => put(&mut stdin, &message).await,
            Outgoing::Content(of, bytes) => {
                let mut written = Ok(());
                for part in Part::all(of, &bytes) {
                    written = put(&mut stdin, &ToFar::Part(part)).await;
                    // A large content does not keep streams waiting.
                    while let (Ok(()), Ok(frame)) = (&written, frames.try_recv()) {
                        written = put(&mut stdin, &ToFar::Stream(frame)).await;
                    }
                    if written.is_err() {
                        break;
                    }
                }
                written
            }
        };
        // The reading side finds out what has happened.
        if written.is_err() {
            return;
        }
    }
}

async fn put(stdin: &mut (impl AsyncWrite + Unpin), message: &ToFar) -> std::io::Result<()> {
    stdin.write_all(&line(message)?).await?;
    stdin.flush().await
}

/// Reports the lines of standard error.
pub(super) async fn log(mut stderr: Box<dyn AsyncRead + Send + Unpin>, queue: Arc<Queue>) {
    let (mut cutter, mut part) = (Cutter::default(), vec![0; READ_BYTES]);
    loop {
        let count = stderr.read(&mut part).await.unwrap_or(0);
        cutter.push(if count == 0 { b"\n" } else { &part[..count] });
        while let Some(found) = cutter.next() {
            match found {
                Found::Line(line) if line.is_empty() => {}
                Found::Line(line) => queue.push(Report::Log(foreign(&line)), line.len()),
                Found::TooLong(bytes) => {
                    queue.push(Report::Log(format!("(a line of {bytes} bytes is left out)")), 0);
                }
            }
        }
        if count == 0 {
            return;
        }
    }
}
