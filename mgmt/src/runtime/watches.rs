//! The engine's eyes: one hub for files, one queue for time, and the streams that kinds bring themselves.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::Span;

use crate::id::{Node, Time};
use crate::resource::{Part, Watch, WatchEvent, WatchStream};
use crate::sys::fs::hub::{Error as HubError, Event as HubEvent, Hub, Options, Watched};
use crate::sys::task::{caught_async, give_way};

/// No interval is shorter: time must get on between two ticks.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// What a stream said.
#[derive(Debug)]
pub(crate) struct Said {
    node: Node,
    epoch: u64,
    what: Result<WatchEvent, String>,
    /// Until it is heard, saying `Changed` again says nothing new.
    unheard: Arc<AtomicBool>,
}

/// What the watches say together.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    /// All parts of a watch listen.
    Ready(Node),
    /// Look again.
    Changed(Node),
    /// A watch ended.
    Failed(Node, String),
    /// Something that the user should know.
    Warning(String),
}

#[derive(Debug)]
struct Watching {
    epoch: u64,
    paths: Vec<(PathBuf, Watched)>,
    /// Streams that have not said `Ready` yet.
    unready: usize,
    streams: Vec<AbortHandle>,
    intervals: Vec<Duration>,
}

/// All watches of an engine.
#[derive(Debug)]
pub(crate) struct Watches {
    hub: Option<Hub>,
    options: Options,
    watching: HashMap<u32, Watching>,
    epoch: u64,
    timers: BinaryHeap<Reverse<(Time, u32, u64, Duration)>>,
    said: mpsc::UnboundedSender<Said>,
}

impl Watches {
    pub(crate) fn new(options: Options, said: mpsc::UnboundedSender<Said>) -> Watches {
        Watches { hub: None, options, watching: HashMap::new(), epoch: 0, timers: BinaryHeap::new(), said }
    }

    /// Starts a watch, in place of the one before. `Ready` comes at once if nothing of it needs time.
    pub(crate) fn start(&mut self, node: Node, watch: Watch, now: Time, seen: &mut Vec<Seen>) {
        self.stop(node);
        self.epoch += 1;
        let mut watching =
            Watching { epoch: self.epoch, paths: Vec::new(), unready: 0, streams: Vec::new(), intervals: Vec::new() };
        for part in watch.into_parts() {
            let (path, kind) = match part {
                Part::Path(path) => (path, Watched::Path),
                Part::Tree(path) => (path, Watched::Tree),
                Part::Every(interval) => {
                    let interval = interval.max(INTERVAL_MIN);
                    self.sweep_timers();
                    self.timers.push(Reverse((now.after(interval), node.0, self.epoch, interval)));
                    watching.intervals.push(interval);
                    continue;
                }
                Part::Stream(stream) => {
                    watching.unready += 1;
                    watching.streams.push(forward(stream, node, self.epoch, self.said.clone()));
                    continue;
                }
            };
            if let Err(problem) = self.subscribe(node, &path, kind) {
                self.unsubscribe(node);
                watching.streams.iter().for_each(AbortHandle::abort);
                seen.push(Seen::Failed(node, problem));
                return;
            }
            watching.paths.push((path, kind));
        }
        let ready = watching.unready == 0;
        self.watching.insert(node.0, watching);
        if ready {
            seen.push(Seen::Ready(node));
        }
    }

    /// Whether a new watch of the same resource would watch the same: then the one that runs goes on.
    pub(crate) fn is_same(&self, node: Node, watch: &Watch) -> bool {
        let Some(watching) = self.watching.get(&node.0) else { return false };
        let (mut paths, mut intervals) = (Vec::new(), Vec::new());
        for part in watch.parts() {
            match part {
                Part::Path(path) => paths.push((path.clone(), Watched::Path)),
                Part::Tree(path) => paths.push((path.clone(), Watched::Tree)),
                Part::Every(interval) => intervals.push((*interval).max(INTERVAL_MIN)),
                Part::Stream(_) => return false,
            }
        }
        watching.streams.is_empty() && watching.paths == paths && watching.intervals == intervals
    }

    fn subscribe(&mut self, node: Node, path: &std::path::Path, kind: Watched) -> Result<(), String> {
        if self.hub.is_none() {
            self.hub = Some(Hub::new(self.options.clone()).map_err(|error| error.to_string())?);
        }
        let Some(hub) = &mut self.hub else { return Ok(()) };
        hub.subscribe(u64::from(node.0), path, kind).map_err(|error| error.to_string())
    }

    fn unsubscribe(&mut self, node: Node) {
        if let Some(hub) = &mut self.hub {
            hub.unsubscribe(u64::from(node.0));
        }
    }

    /// Ends a watch.
    pub(crate) fn stop(&mut self, node: Node) {
        if let Some(watching) = self.watching.remove(&node.0) {
            watching.streams.iter().for_each(AbortHandle::abort);
            if !watching.paths.is_empty() {
                self.unsubscribe(node);
            }
        }
    }

    /// How many resources are watched.
    pub(crate) fn len(&self) -> usize {
        self.watching.len()
    }

    /// Whether a resource is watched now.
    pub(crate) fn is_watching(&self, node: Node) -> bool {
        self.watching.contains_key(&node.0)
    }

    /// Whether a resource is watched, but not all of its watch listens yet.
    pub(crate) fn is_starting(&self, node: Node) -> bool {
        self.watching.get(&node.0).is_some_and(|watching| watching.unready > 0)
    }

    /// When the next interval is over.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.timers.peek().map(|Reverse((due, ..))| *due)
    }

    /// Timers of watches that have ended stay until they are due; when they are most of all, they are swept.
    fn sweep_timers(&mut self) {
        if self.timers.len() > 64 + 4 * self.watching.len() {
            let watching = &self.watching;
            self.timers.retain(|Reverse((_, node, epoch, _))| watching.get(node).is_some_and(|it| it.epoch == *epoch));
        }
    }

    /// The intervals that are over.
    pub(crate) fn tick(&mut self, now: Time, seen: &mut Vec<Seen>) {
        while let Some(Reverse((due, node, epoch, interval))) = self.timers.peek().copied()
            && due <= now
        {
            self.timers.pop();
            if self.watching.get(&node).is_some_and(|watching| watching.epoch == epoch) {
                // From when it was due, so that a late loop does not shift all that follow; but never a burst to catch up.
                let next = due.after(interval).max(now.after(interval / 2));
                self.timers.push(Reverse((next, node, epoch, interval)));
                seen.push(Seen::Changed(Node(node)));
            }
        }
    }

    /// What the hub has seen, when it has. Cancel safe.
    pub(crate) async fn next(&mut self) -> Vec<Seen> {
        let Some(hub) = &mut self.hub else { return std::future::pending().await };
        let events = poll_fn(|cx| hub.poll_next(cx)).await;
        events.into_iter().map(seen).collect()
    }

    /// What a stream said means, if it is of a watch that still runs.
    pub(crate) fn heard(&mut self, said: Said) -> Option<Seen> {
        said.unheard.store(false, Ordering::Release);
        let watching = self.watching.get_mut(&said.node.0).filter(|watching| watching.epoch == said.epoch)?;
        match said.what {
            Ok(WatchEvent::Ready) => {
                watching.unready = watching.unready.saturating_sub(1);
                (watching.unready == 0).then_some(Seen::Ready(said.node))
            }
            Ok(WatchEvent::Changed) => (watching.unready == 0).then_some(Seen::Changed(said.node)),
            Err(problem) => {
                self.stop(said.node);
                Some(Seen::Failed(said.node, problem))
            }
        }
    }
}

/// What an event of the hub means.
fn seen(event: HubEvent) -> Seen {
    let node = |key: u64| Node(u32::try_from(key).unwrap_or(u32::MAX));
    match event {
        HubEvent::Changed(key) => Seen::Changed(node(key)),
        HubEvent::Rescan => {
            Seen::Warning("more changes than the kernel could tell: everything is checked again".to_owned())
        }
        HubEvent::Degraded(reason) => {
            Seen::Warning(format!("{reason}; until then these paths are looked at every second"))
        }
        HubEvent::Recovered => Seen::Warning("all paths are watched again".to_owned()),
        HubEvent::Failed(key, error @ HubError::TreeTooLarge { .. }) => Seen::Failed(node(key), error.to_string()),
        // It stays subscribed; the check says what is wrong with the path.
        HubEvent::Failed(key, _) => Seen::Changed(node(key)),
    }
}

/// Brings what a stream says to the loop.
fn forward(mut stream: WatchStream, node: Node, epoch: u64, said: mpsc::UnboundedSender<Said>) -> AbortHandle {
    let span = Span::current();
    let task = tokio::spawn(async move {
        // A stream that says `Ready` twice says it once.
        let mut ready = false;
        let unheard = Arc::new(AtomicBool::new(false));
        loop {
            let what = match caught_async(poll_fn(|cx| span.in_scope(|| stream.as_mut().poll_next(cx)))).await {
                Err(panic) => Err(panic),
                Ok(said) => heard(said, &mut ready),
            };
            let last = what.is_err();
            let is_news = !matches!(what, Ok(WatchEvent::Changed)) || !unheard.swap(true, Ordering::AcqRel);
            if is_news && said.send(Said { node, epoch, what, unheard: Arc::clone(&unheard) }).is_err() || last {
                return;
            }
            // However fast a stream speaks, the loop gets its turn.
            give_way().await;
        }
    });
    task.abort_handle()
}

/// What a stream said, in the terms of the loop.
fn heard(said: Option<crate::resource::Result<WatchEvent>>, ready: &mut bool) -> Result<WatchEvent, String> {
    match said {
        Some(Ok(WatchEvent::Ready)) if std::mem::replace(ready, true) => Ok(WatchEvent::Changed),
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("it ended".to_owned()),
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        for watching in self.watching.values() {
            watching.streams.iter().for_each(AbortHandle::abort);
        }
    }
}
