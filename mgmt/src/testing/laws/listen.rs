//! Listens to a watch as the engine does: files through a hub, intervals, streams.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use crate::resource::{Part, Watch, WatchEvent, WatchStream};
use crate::sys::fs::hub::{Event, Hub, Options, Watched};
use crate::testing::laws::stage::Seen;

/// A watch that is listened to.
pub(super) struct Listener {
    hub: Option<Hub>,
    intervals: Vec<Interval>,
    streams: Vec<WatchStream>,
    patience: Duration,
}

impl Listener {
    /// Waits until all parts of the watch listen.
    pub(super) async fn new(watch: Watch, patience: Duration) -> Seen<Listener> {
        let mut listener = Listener { hub: None, intervals: Vec::new(), streams: Vec::new(), patience };
        for part in watch.into_parts() {
            match part {
                Part::Itself(path) => listener.subscribe(&path, Watched::Itself)?,
                Part::Path(path) => listener.subscribe(&path, Watched::Path)?,
                Part::Levels(path, levels) => listener.subscribe(&path, Watched::Levels(levels))?,
                Part::Tree(path) => listener.subscribe(&path, Watched::Tree)?,
                Part::Every(every) => {
                    let mut interval = interval_at(Instant::now() + every, every);
                    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    listener.intervals.push(interval);
                }
                Part::Stream(stream) => listener.listen(stream).await?,
                #[cfg(feature = "dbus")]
                Part::Signals(bus, rule) => listener.listen(crate::runtime::stream_of(&bus, rule)).await?,
            }
        }
        Ok(listener)
    }

    async fn listen(&mut self, mut stream: WatchStream) -> Seen<()> {
        let (ready, patience) = (poll_fn(|cx| until_ready(&mut stream, cx)), self.patience);
        match timeout(patience, ready).await {
            Ok(ready) => ready?,
            Err(_) => return Err(format!("a stream of the watch did not say `Ready` for {patience:?}")),
        }
        self.streams.push(stream);
        Ok(())
    }

    fn subscribe(&mut self, path: &std::path::Path, kind: Watched) -> Seen<()> {
        let hub = match &mut self.hub {
            Some(hub) => hub,
            none => none.insert(Hub::new(Options::default())),
        };
        hub.subscribe(0, path, kind).map_err(|error| format!("can't watch {}: {error}", path.display()))
    }

    /// Waits until the events of earlier changes have been reported. Intervals do not count.
    pub(super) async fn quiet(&mut self) -> Seen<()> {
        const QUIET: Duration = Duration::from_millis(50);
        // A watch that never becomes quiet must not make the test wait for ever.
        for _ in 0..20 {
            match timeout(QUIET, poll_fn(|cx| self.poll_news(cx))).await {
                Ok(said) => said?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether the watch reports `Changed` in time.
    pub(super) async fn changed(&mut self) -> Seen<bool> {
        let patience = self.patience;
        let said = poll_fn(|cx| {
            if self.intervals.iter_mut().any(|interval| interval.poll_tick(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            self.poll_news(cx)
        });
        match timeout(patience, said).await {
            Ok(said) => said.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<Seen<()>> {
        while let Some(hub) = &mut self.hub {
            let Poll::Ready(events) = hub.poll_next(cx) else { break };
            // The events that the engine would answer with a check.
            if events.iter().any(|event| matches!(event, Event::Changed(..) | Event::Failed(..))) {
                return Poll::Ready(Ok(()));
            }
        }
        for stream in &mut self.streams {
            if let Poll::Ready(said) = stream.as_mut().poll_next(cx) {
                return Poll::Ready(match said {
                    Some(Ok(_)) => Ok(()),
                    Some(Err(error)) => Err(format!("a stream of the watch failed: {error}")),
                    None => Err("a stream of the watch ended".to_owned()),
                });
            }
        }
        Poll::Pending
    }
}

fn until_ready(stream: &mut WatchStream, cx: &mut Context<'_>) -> Poll<Seen<()>> {
    loop {
        let said = match stream.as_mut().poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(said) => said,
        };
        match said {
            Some(Ok(WatchEvent::Ready)) => return Poll::Ready(Ok(())),
            Some(Ok(WatchEvent::Changed)) => {}
            Some(Err(error)) => return Poll::Ready(Err(format!("a stream of the watch failed: {error}"))),
            None => return Poll::Ready(Err("a stream of the watch ended before it reported `Ready`".to_owned())),
        }
    }
}
