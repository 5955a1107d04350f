//! The watch of one resource on a fake host: the parts for the engine, and the events of its own streams.

use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::resource::{Part, Result, Watch, WatchEvent, WatchStream};

/// The longest silence of a stream before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A watch that is taken apart. Its paths and intervals are not listened to, but can be compared. Its streams are
/// polled by [`next`](Watching::next).
pub struct Watching {
    /// The paths whose entry the engine would watch.
    pub paths: Vec<PathBuf>,
    /// The paths that the engine would watch with everything below them.
    pub trees: Vec<PathBuf>,
    /// The intervals at which the engine would check.
    pub every: Vec<Duration>,
    streams: Vec<WatchStream>,
}

impl Watching {
    pub(super) fn new(watch: Watch) -> Watching {
        let mut watching = Watching { paths: vec![], trees: vec![], every: vec![], streams: vec![] };
        for part in watch.into_parts() {
            match part {
                Part::Itself(path) | Part::Path(path) => watching.paths.push(path),
                Part::Levels(path, _) | Part::Tree(path) => watching.trees.push(path),
                Part::Every(every) => watching.every.push(every),
                Part::Stream(stream) => watching.streams.push(stream),
                #[cfg(feature = "dbus")]
                Part::Signals(bus, rule) => watching.streams.push(crate::runtime::stream_of(&bus, rule)),
            }
        }
        watching
    }

    /// The next event of a stream; `None`: all streams have ended.
    ///
    /// # Errors
    /// A stream has failed.
    ///
    /// # Panics
    /// No stream yields an event for 20 seconds.
    pub async fn next(&mut self) -> Option<Result<WatchEvent>> {
        match tokio::time::timeout(PATIENCE, poll_fn(|cx| self.poll(cx))).await {
            Ok(next) => next,
            Err(_) => panic!("no stream of the watch reports anything for {PATIENCE:?}"),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<WatchEvent>>> {
        let mut number = 0;
        while let Some(stream) = self.streams.get_mut(number) {
            match stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                Poll::Ready(None) => drop(self.streams.remove(number)),
                Poll::Pending => number += 1,
            }
        }
        if self.streams.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Watching { paths, trees, every, streams } = self;
        f.debug_struct("Watching")
            .field("paths", paths)
            .field("trees", trees)
            .field("every", every)
            .field("streams", &streams.len())
            .finish()
    }
}
