//! Streams of bytes within the conversation of both ends: many at once, each with a limit for what is on its way, so
//! that one that is not read costs nothing but itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex, split};
use tokio::sync::{mpsc, watch};

use crate::remote::tunnel::frame::{Bytes, Frame};

/// The most bytes of a stream that are on their way in one direction.
const WINDOW: usize = 256 << 10;
/// The most bytes of a frame. On a slow line, one must arrive within the time of `SILENCE_MAX`.
const FRAME_BYTES: usize = 16 << 10;
/// The most streams that a far end has at once. Its near end takes more, since one that has ended there may not have
/// ended here yet.
const STREAMS_MAX: usize = 16;
const STREAMS_TAKEN_MAX: usize = 2 * STREAMS_MAX;
/// How many frames wait for the conversation.
const FRAMES_MAX: usize = 16;
/// What a buffer between a stream and its user holds.
const BUFFER_BYTES: usize = 64 << 10;

/// All streams of a conversation, at one of its ends. Clones are the same.
#[derive(Clone)]
pub(in crate::remote) struct Streams(Arc<Shared>);

struct Shared {
    out: mpsc::Sender<Frame>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    streams: BTreeMap<u32, Stream>,
    /// The number of the last stream that was begun here.
    last: u32,
    /// Why there are no more streams.
    closed: Option<String>,
}

/// A stream, as the conversation sees it.
struct Stream {
    incoming: mpsc::UnboundedSender<Vec<u8>>,
    /// What has come and was not taken out yet.
    waiting: Arc<Mutex<usize>>,
    /// What the other end has not taken out yet.
    sent: watch::Sender<usize>,
    why: Arc<OnceLock<String>>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("count", &lock(&self.0.table).streams.len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a stream needs to be carried.
pub(in crate::remote) struct Carried {
    streams: Streams,
    number: u32,
    incoming: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Arc<Mutex<usize>>,
    sent: watch::Sender<usize>,
}

impl Streams {
    /// No streams yet, and the frames that must be sent.
    pub(in crate::remote) fn new() -> (Streams, mpsc::Receiver<Frame>) {
        let (out, frames) = mpsc::channel(FRAMES_MAX);
        (Streams(Arc::new(Shared { out, table: Mutex::default() })), frames)
    }

    /// Begins a stream to this address. What is written to it is on its way at once.
    pub(in crate::remote) async fn open(&self, address: &str) -> io::Result<Tunnelled> {
        let (carried, why) = {
            let mut table = lock(&self.0.table);
            if let Some(why) = &table.closed {
                return Err(io::Error::new(io::ErrorKind::NotConnected, why.clone()));
            }
            if table.streams.len() >= STREAMS_MAX {
                return Err(io::Error::other(format!("there are {STREAMS_MAX} connections already")));
            }
            table.last = table.last.wrapping_add(1);
            let number = table.last;
            self.add(&mut table, number)
        };
        let open = Frame::Open(carried.number, address.to_owned());
        self.0.out.send(open).await.map_err(|_| io::Error::from(io::ErrorKind::NotConnected))?;
        let (ours, theirs) = duplex(BUFFER_BYTES);
        tokio::spawn(carried.carry(theirs));
        Ok(Tunnelled { stream: ours, why })
    }

    /// Adds a stream that the other end has begun, unless that breaks the rules.
    pub(in crate::remote) fn accept(&self, number: u32) -> Result<Carried, String> {
        let mut table = lock(&self.0.table);
        if table.streams.len() >= STREAMS_TAKEN_MAX || table.streams.contains_key(&number) {
            return Err(format!("the other end has begun a stream {number} too much"));
        }
        Ok(self.add(&mut table, number).0)
    }

    fn add(&self, table: &mut Table, number: u32) -> (Carried, Arc<OnceLock<String>>) {
        let (sender, incoming) = mpsc::unbounded_channel();
        let (waiting, why, sent) = (Arc::default(), Arc::default(), watch::Sender::new(0));
        let stream =
            Stream { incoming: sender, waiting: Arc::clone(&waiting), sent: sent.clone(), why: Arc::clone(&why) };
        table.streams.insert(number, stream);
        (Carried { streams: self.clone(), number, incoming, waiting, sent }, why)
    }

    /// Takes what the other end tells. Of one that begins, the caller gets number and address.
    ///
    /// # Errors
    /// The other end breaks the rules.
    pub(in crate::remote) fn take(&self, frame: Frame) -> Result<Option<(u32, String)>, String> {
        let mut table = lock(&self.0.table);
        match frame {
            Frame::Open(number, address) => return Ok(Some((number, address))),
            // One that has ended here is not known any more.
            Frame::Data(_, Bytes(bytes)) if bytes.is_empty() => return Err("a part of a stream is empty".to_owned()),
            Frame::Data(number, Bytes(bytes)) => {
                if let Some(stream) = table.streams.get(&number) {
                    let mut waiting = lock(&stream.waiting);
                    *waiting += bytes.len();
                    if *waiting > WINDOW {
                        return Err(format!("more than {WINDOW} bytes of a stream came at once"));
                    }
                    // An error means that it has just ended.
                    let _ = stream.incoming.send(bytes);
                }
            }
            Frame::Taken(number, bytes) => {
                if let Some(stream) = table.streams.get(&number) {
                    stream.sent.send_modify(|sent| *sent = sent.saturating_sub(bytes as usize));
                }
            }
            Frame::End(number, why) => {
                if let (Some(stream), Some(why)) = (table.streams.remove(&number), why) {
                    // It is set once, since the stream has left the table.
                    let _ = stream.why.set(why);
                }
            }
        }
        Ok(None)
    }

    /// Ends all streams, for this reason. No more begin.
    pub(in crate::remote) fn close(&self, why: &str) {
        let mut table = lock(&self.0.table);
        table.closed.get_or_insert_with(|| why.to_owned());
        for stream in std::mem::take(&mut table.streams).into_values() {
            // As above.
            let _ = stream.why.set(why.to_owned());
        }
    }

    /// Ends a stream from this side.
    async fn end(&self, number: u32, why: Option<String>) {
        let is_open = lock(&self.0.table).streams.remove(&number).is_some();
        // The other end knows of those that it has ended itself.
        if is_open {
            let _ = self.0.out.send(Frame::End(number, why)).await;
        }
    }
}

impl Carried {
    /// Carries the stream to what this leads to, until one of both ends.
    pub(in crate::remote) async fn carry(self, io: impl AsyncRead + AsyncWrite + Send) {
        let Carried { streams, number, mut incoming, waiting, sent } = self;
        let (mut read, mut write) = split(io);
        let out = &streams.0.out;
        let away = async {
            let (mut buffer, mut changes) = (vec![0; FRAME_BYTES], sent.subscribe());
            loop {
                let Ok(on_way) = changes.wait_for(|sent| *sent < WINDOW).await.map(|sent| *sent) else { return None };
                let room = (WINDOW - on_way).min(FRAME_BYTES);
                let count = match read.read(&mut buffer[..room]).await {
                    Ok(0) => return None,
                    Ok(count) => count,
                    Err(error) => return Some(error.to_string()),
                };
                sent.send_modify(|sent| *sent += count);
                if out.send(Frame::Data(number, Bytes(buffer[..count].to_vec()))).await.is_err() {
                    return None;
                }
            }
        };
        let here = async {
            while let Some(bytes) = incoming.recv().await {
                if let Err(error) = write.write_all(&bytes).await {
                    return Some(error.to_string());
                }
                if let Err(error) = write.flush().await {
                    return Some(error.to_string());
                }
                *lock(&waiting) -= bytes.len();
                // A frame has far less bytes than that.
                let taken = Frame::Taken(number, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                if out.send(taken).await.is_err() {
                    return None;
                }
            }
            None
        };
        let why = tokio::select! {
            why = away => why,
            why = here => why,
        };
        streams.end(number, why).await;
    }

    /// Ends the stream before it was carried.
    pub(in crate::remote) async fn end(self, why: String) {
        self.streams.end(self.number, Some(why)).await;
    }
}

/// The user's side of a stream.
#[derive(Debug)]
pub(in crate::remote) struct Tunnelled {
    stream: DuplexStream,
    why: Arc<OnceLock<String>>,
}

impl AsyncRead for Tunnelled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match self.why.get() {
            Some(why) if buf.filled().len() == before && buf.remaining() > 0 => {
                Poll::Ready(Err(io::Error::other(why.clone())))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Tunnelled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends, whose frames are led to each other; at the second one, streams lead to what this makes.
    fn ends(served: impl Fn(Carried, String) + Send + 'static) -> Streams {
        let ((far, mut to_near), (near, mut to_far)) = (Streams::new(), Streams::new());
        let taker = far.clone();
        tokio::spawn(async move {
            while let Some(frame) = to_near.recv().await {
                if let Some((number, address)) = near.take(frame).unwrap() {
                    served(near.accept(number).unwrap(), address);
                }
            }
        });
        tokio::spawn(async move {
            while let Some(frame) = to_far.recv().await {
                assert_eq!(taker.take(frame), Ok(None));
            }
        });
        far
    }

    /// What comes is sent back.
    fn echo(carried: Carried, _: String) {
        tokio::spawn(async move {
            let (ours, theirs) = duplex(1000);
            let (mut read, mut write) = split(ours);
            tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            carried.carry(theirs).await;
        });
    }

    #[tokio::test]
    async fn large_contents_of_several_streams_arrive_whole_in_both_directions() {
        let far = ends(echo);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..5_u8 {
            let stream = far.open("x").await.unwrap();
            tasks.spawn(async move {
                let sent: Vec<u8> = (0..5 * WINDOW + 7).map(|at| (at % 251) as u8 ^ n).collect();
                let (mut read, mut write) = split(stream);
                let mut back = vec![0; sent.len()];
                let written = async { write.write_all(&sent).await };
                let (written, got) = tokio::join!(written, read.read_exact(&mut back));
                assert!(written.is_ok() && got.is_ok() && back == sent);
            });
        }
        tasks.join_all().await;
    }

    #[tokio::test]
    async fn a_stream_that_is_not_read_keeps_no_other_one_waiting() {
        let far = ends(|carried, address| match address.as_str() {
            "stuck" => drop(tokio::spawn(async move {
                let (ours, theirs) = duplex(1);
                tokio::join!(carried.carry(theirs), async {
                    std::future::pending::<()>().await;
                    drop(ours);
                })
            })),
            _ => echo(carried, address),
        });
        let mut stuck = far.open("stuck").await.unwrap();
        let full = async {
            loop {
                stuck.write_all(&[0; 1000]).await.unwrap();
            }
        };
        assert!(tokio::time::timeout(std::time::Duration::from_millis(300), full).await.is_err());
        let mut other = far.open("echo").await.unwrap();
        let mut back = [0; 5];
        other.write_all(b"hello").await.unwrap();
        other.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
    }

    #[tokio::test]
    async fn a_stream_that_fails_has_its_reason_and_frees_its_place() {
        let far = ends(|carried, _| drop(tokio::spawn(carried.end("nothing listens there".to_owned()))));
        for _ in 0..3 * STREAMS_MAX {
            let mut stream = far.open("x").await.unwrap();
            let error = stream.read(&mut [0; 1]).await.unwrap_err();
            assert_eq!(error.to_string(), "nothing listens there");
        }
        // When the conversation is over, so is all of it, and what follows.
        let far = ends(echo);
        let mut stream = far.open("x").await.unwrap();
        far.close("the line is cut");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().to_string(), "the line is cut");
        assert_eq!(far.open("x").await.unwrap_err().to_string(), "the line is cut");
    }

    #[tokio::test]
    async fn an_end_that_breaks_the_rules_is_found_out() {
        let (streams, _frames) = Streams::new();
        let data = |count: usize| Frame::Data(1, Bytes(vec![0; count]));
        assert_eq!(streams.take(Frame::Open(1, "x".to_owned())), Ok(Some((1, "x".to_owned()))));
        let carried = streams.accept(1).unwrap();
        assert!(streams.accept(1).err().unwrap().contains("too much"));
        assert!(streams.take(data(WINDOW)).is_ok());
        assert!(streams.take(data(1)).unwrap_err().contains("at once"));
        assert!(streams.take(data(0)).unwrap_err().contains("empty"));
        // What is for a stream that has ended is dropped, and more room than was used gives no more of it.
        assert!(streams.take(Frame::Taken(1, u32::MAX)).is_ok());
        drop(carried);
        assert!(streams.take(Frame::End(1, None)).is_ok() && streams.take(data(WINDOW)).is_ok());
        let all: Vec<_> = (0..).map_while(|number| streams.accept(number).ok()).collect();
        assert_eq!(all.len(), STREAMS_TAKEN_MAX);
    }
}
