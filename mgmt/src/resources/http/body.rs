//! The body of a reply: empty, bytes in memory, or a file read piece by piece.

use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

use crate::sys::fs::FileReader;
use crate::sys::listen::Activity;
use crate::sys::task::blocking;

/// How much of a file is read at a time.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

type Reading = Pin<Box<dyn Future<Output = (FileReader, io::Result<Vec<u8>>)> + Send>>;

/// The body of a reply.
pub(super) enum Body {
    /// Everything that is left, possibly nothing.
    Whole(Bytes),
    /// A file. `left`: how many promised bytes are still to come.
    File { reading: Reading, left: u64, activity: Arc<Activity> },
}

impl Body {
    pub(super) fn empty() -> Body {
        Body::Whole(Bytes::new())
    }

    pub(super) fn file(file: FileReader, activity: Arc<Activity>) -> Body {
        let left = file.stat().size;
        Body::File { reading: Box::pin(read(file, left)), left, activity }
    }
}

async fn read(mut file: FileReader, left: u64) -> (FileReader, io::Result<Vec<u8>>) {
    blocking(move || {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let mut chunk = vec![0; most];
        let outcome = match file.read(&mut chunk) {
            // The length has been promised: the connection must break, rather than the reply end early.
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent")),
            Ok(n) => {
                chunk.truncate(n);
                Ok(chunk)
            }
            Err(error) => Err(error),
        };
        (file, outcome)
    })
    .await
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        match this {
            Body::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::File { left: 0, .. } => Poll::Ready(None),
            Body::File { reading, left, activity } => {
                let (file, chunk) = ready!(reading.as_mut().poll(cx));
                let chunk = match chunk {
                    Ok(chunk) => chunk,
                    Err(error) => {
                        *this = Body::empty();
                        return Poll::Ready(Some(Err(error)));
                    }
                };
                activity.note();
                *left = left.saturating_sub(chunk.len() as u64);
                if *left > 0 {
                    *reading = Box::pin(read(file, *left));
                }
                Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_empty(),
            Body::File { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Body::Whole(bytes) => bytes.len() as u64,
            Body::File { left, .. } => *left,
        })
    }
}
