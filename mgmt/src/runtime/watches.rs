//! All watches of an engine: a source of notices about files, one queue of timers, and the streams that kinds bring.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::Span;

use crate::id::{Node, Time};
use crate::resource::{Obstacle, Part, Watch, WatchEvent, WatchStream};
#[cfg(feature = "dbus")]
use crate::resource::{ObstacleKind, SignalRule};
use crate::runtime::doors::Doors;
use crate::runtime::files::{Files, Quietness};
use crate::runtime::looks::Looks;
#[cfg(feature = "dbus")]
use crate::runtime::signals::{SignalHub, Subscription};
use crate::runtime::slot::SlotTable;
#[cfg(feature = "dbus")]
use crate::sys::dbus::Bus;
use crate::sys::fs::hub::{Extent, Hub, Listening, Watched};
use crate::sys::task::{caught_async, give_way};

/// The shortest interval: time must advance between two ticks.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// At most this many paths that a resource waits for are listened to, besides those of its watch.
const ATTENDED_MAX: usize = 8;

/// What the stream of a watch reports.
#[derive(Debug)]
pub(crate) struct Report {
    node: Node,
    epoch: u64,
    event: Result<WatchEvent, Problem>,
    /// Until the report is received, another `Changed` adds nothing to it.
    pending: Arc<AtomicBool>,
}

/// Why a watch ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) text: String,
    /// The cause that the watch waits for.
    pub(crate) obstacle: Option<Obstacle>,
}

impl Problem {
    /// An error, and the cause that the watch waits for.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Problem {
        Problem { text: error.to_string(), obstacle: Obstacle::of(error) }
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Problem {
        Problem { text, obstacle: None }
    }
}

/// What the watches have noticed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    /// All parts of a watch listen.
    Ready(Node),
    /// All paths of a watch are listened to.
    Listens(Node),
    /// Check again, as far as the extent.
    Changed(Node, Extent),
    /// A watch ended.
    Failed(Node, Problem),
    /// The kernel had no room for some changes.
    Overflow,
    /// A warning for the user.
    Warning(String),
}

/// Whether the watch of a resource listens to a path that the resource waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// The watch cannot listen to the path.
    Impossible,
    /// The watch already listens to the path.
    Paid,
    /// The watch listens from now on: changes from just before were not noticed.
    New,
}

/// A stream that is read until this is dropped.
#[derive(Debug)]
struct Reading(AbortHandle);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The watch of one node.
#[derive(Debug)]
pub(crate) struct Watching {
    epoch: u64,
    /// Streams that are not `Ready` yet, and 1 if not all paths are listened to yet.
    unready: u32,
    /// The watch has paths; `files` knows which.
    has_paths: bool,
    /// For a watch with a tree.
    pub(super) looks: Option<Box<Looks>>,
    /// Data that few watches have.
    more: Option<Box<More>>,
}

impl Watching {
    fn new(epoch: u64) -> Watching {
        Watching { epoch, unready: 0, has_paths: false, looks: None, more: None }
    }

    /// Not all of the watch listens, or what it consists of is not known yet.
    fn is_starting(&self) -> bool {
        self.unready > 0 || self.more.as_ref().is_some_and(|more| more.asked.is_some())
    }
}

/// The parts of a watch besides paths.
#[derive(Debug, Default)]
struct More {
    streams: Vec<Reading>,
    /// Further paths to which the watch listens, since the resource waits for them.
    attended: Vec<PathBuf>,
    intervals: Vec<Duration>,
    /// The number of the question what the resource watches, until it is answered.
    asked: Option<u64>,
    #[cfg(feature = "dbus")]
    signals: Vec<(Bus, SignalRule, Subscription)>,
}

/// All watches of an engine. The data of each node's watch is in its `Slot`.
#[derive(Debug)]
pub(crate) struct Watches {
    files: Box<dyn Files>,
    #[cfg(feature = "dbus")]
    signals: SignalHub,
    /// How many watches there are.
    count: usize,
    epoch: u64,
    timers: BinaryHeap<Reverse<(Time, Node, u64, Duration)>>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Watches {
    /// The watches of an engine, with its own doors or the given ones.
    #[cfg_attr(not(feature = "dbus"), expect(unused_variables, reason = "only buses need doors here"))]
    pub(crate) fn new(files: Box<dyn Files>, doors: &Doors, reports: mpsc::UnboundedSender<Report>) -> Watches {
        Watches {
            #[cfg(feature = "dbus")]
            signals: doors.signals.clone(),
            files,
            count: 0,
            epoch: 0,
            timers: BinaryHeap::new(),
            reports,
        }
    }

    /// Takes the engine's own hub, at the end of the engine.
    pub(crate) fn take_hub(&mut self) -> Option<Hub> {
        self.files.take_hub()
    }

    /// A resource is asked what it watches. Until the answer, the former watch continues, if there is one, and does not
    /// count as listening. Returns the number that the answer must have.
    pub(crate) fn ask(&mut self, slots: &mut SlotTable, node: Node) -> u64 {
        self.epoch += 1;
        self.expect(slots, node, self.epoch);
        self.epoch
    }

    /// Notes that the answer to a question is on its way.
    fn expect(&mut self, slots: &mut SlotTable, node: Node, asked: u64) {
        let watching = slots.make(node).watching.get_or_insert_with(|| {
            self.count += 1;
            Watching::new(asked)
        });
        watching.more.get_or_insert_default().asked = Some(asked);
    }

    /// Whether this is the expected answer.
    pub(crate) fn is_answer(&self, slots: &mut SlotTable, node: Node, number: u64) -> bool {
        let watching = slots.get_mut(node).and_then(|slot| slot.watching.as_mut());
        let more = watching.and_then(|watching| watching.more.as_mut());
        more.is_some_and(|more| more.asked.take_if(|asked| *asked == number).is_some())
    }

    /// Starts a watch, in place of the former one. `Ready` comes at once if no part of it needs time.
    pub(crate) fn start(
        &mut self,
        slots: &mut SlotTable,
        node: Node,
        watch: Watch,
        now: Time,
        notices: &mut Vec<Notice>,
    ) {
        self.stop(slots, node);
        self.epoch += 1;
        let (mut watching, mut later) = (Watching::new(self.epoch), false);
        for part in watch.into_parts() {
            let (path, kind) = match part {
                Part::Itself(path) => (path, Watched::Itself),
                Part::Path(path) => (path, Watched::Path),
                Part::Levels(path, levels) => (path, Watched::Levels(levels)),
                Part::Tree(path) => (path, Watched::Tree),
                Part::Every(interval) => {
                    let interval = interval.max(INTERVAL_MIN);
                    self.sweep_timers(slots);
                    self.timers.push(Reverse((now.after(interval), node, self.epoch, interval)));
                    watching.more.get_or_insert_default().intervals.push(interval);
                    continue;
                }
                Part::Stream(stream) => {
                    watching.unready += 1;
                    let reading = forward(stream, node, self.epoch, self.reports.clone());
                    watching.more.get_or_insert_default().streams.push(reading);
                    continue;
                }
                #[cfg(feature = "dbus")]
                Part::Signals(bus, rule) => {
                    watching.unready += 1;
                    let listener = listener(node, self.epoch, self.reports.clone());
                    let subscription = self.signals.subscribe(&bus, rule.clone(), listener);
                    watching.more.get_or_insert_default().signals.push((bus, rule, subscription));
                    continue;
                }
            };
            match self.files.subscribe(node, &path, kind) {
                Ok(Listening::Now) => {}
                // One notice for all paths.
                Ok(Listening::Later) if std::mem::replace(&mut later, true) => {}
                Ok(Listening::Later) => watching.unready += 1,
                Err(problem) => {
                    self.files.unsubscribe(node);
                    notices.push(Notice::Failed(node, problem));
                    return;
                }
            }
            watching.has_paths = true;
            if kind.is_tree() {
                watching.looks.get_or_insert_default();
            }
        }
        let ready = watching.unready == 0;
        slots.make(node).watching = Some(watching);
        self.count += 1;
        if ready {
            notices.push(Notice::Ready(node));
        }
    }

    /// Whether a new watch of the same resource would watch the same: then the former watch continues.
    pub(crate) fn is_same(&self, slots: &SlotTable, node: Node, watch: &Watch) -> bool {
        let Some(watching) = slots.get(node).and_then(|slot| slot.watching.as_ref()) else { return false };
        let (mut paths, mut intervals) = (Vec::new(), Vec::new());
        #[cfg(feature = "dbus")]
        let mut signals = Vec::new();
        for part in watch.parts() {
            match part {
                Part::Itself(path) => paths.push((path.as_path(), Watched::Itself)),
                Part::Path(path) => paths.push((path.as_path(), Watched::Path)),
                Part::Levels(path, levels) => paths.push((path.as_path(), Watched::Levels(*levels))),
                Part::Tree(path) => paths.push((path.as_path(), Watched::Tree)),
                Part::Every(interval) => intervals.push((*interval).max(INTERVAL_MIN)),
                Part::Stream(_) => return false,
                #[cfg(feature = "dbus")]
                Part::Signals(bus, rule) => signals.push((bus, rule)),
            }
        }
        let same_rest = match watching.more.as_deref() {
            None => intervals.is_empty(),
            Some(more) => more.streams.is_empty() && more.intervals == intervals,
        };
        #[cfg(feature = "dbus")]
        let same_rest = same_rest && {
            let known = watching.more.iter().flat_map(|more| &more.signals);
            known.map(|(bus, rule, _)| (bus, rule)).eq(signals)
        };
        same_rest && self.files.has_just(node, &paths)
    }

    /// The resource waits for a change at this path: its watch listens there too. Returns whether it does, and whether
    /// it did so before.
    pub(crate) fn attend(&mut self, slots: &mut SlotTable, node: Node, path: &Path) -> Attention {
        let Some(watching) = slots.get_mut(node).and_then(|slot| slot.watching.as_mut()) else {
            return Attention::Impossible;
        };
        if watching.attended().iter().any(|attended| attended == path) || self.files.listens_to(node, path) {
            return Attention::Paid;
        }
        if watching.attended().len() >= ATTENDED_MAX || self.files.attend(node, path).is_err() {
            return Attention::Impossible;
        }
        watching.more.get_or_insert_default().attended.push(path.to_owned());
        Attention::New
    }

    /// The resource waits for no path any more.
    pub(crate) fn neglect(&mut self, slots: &mut SlotTable, node: Node) {
        let more = slots.get_mut(node).and_then(|slot| slot.watching.as_mut()?.more.as_mut());
        if more.is_some_and(|more| !std::mem::take(&mut more.attended).is_empty()) {
            self.files.neglect(node);
        }
    }

    /// Ends a watch.
    pub(crate) fn stop(&mut self, slots: &mut SlotTable, node: Node) {
        let Some(watching) = slots.get_mut(node).and_then(|slot| slot.watching.take()) else { return };
        self.count -= 1;
        if watching.has_paths || !watching.attended().is_empty() {
            self.files.unsubscribe(node);
        }
        slots.tidy(node);
    }

    /// How many resources are watched.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// When the next interval is over.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.timers.peek().map(|Reverse((due, ..))| *due)
    }

    /// Timers of watches that have ended stay until they are due; when they are most of all timers, they are swept.
    fn sweep_timers(&mut self, slots: &SlotTable) {
        if self.timers.len() > 64 + 4 * self.count {
            self.timers.retain(|Reverse((_, node, epoch, _))| is_epoch(slots, *node, *epoch));
        }
    }

    /// Handles the intervals that are over.
    pub(crate) fn tick(&mut self, slots: &SlotTable, now: Time, notices: &mut Vec<Notice>) {
        while let Some(Reverse((due, node, epoch, interval))) = self.timers.peek().copied()
            && due <= now
        {
            self.timers.pop();
            if is_epoch(slots, node, epoch) {
                // From when it was due, so that a late loop does not shift all later ticks; but never a burst of missed
                // ones.
                let next = due.after(interval).max(now.after(interval / 2));
                self.timers.push(Reverse((next, node, epoch, interval)));
                notices.push(Notice::Changed(node, Extent::All));
            }
        }
    }

    /// The next notices about paths. Cancel safe.
    pub(crate) async fn next(&mut self) -> Vec<Notice> {
        poll_fn(|cx| self.files.poll_next(cx)).await
    }

    /// The notices about paths so far, without waiting.
    pub(crate) fn take(&mut self) -> Vec<Notice> {
        self.files.take()
    }

    /// A function that returns whether, at the time of its call, nothing has happened to paths that was not handed over
    /// by now.
    pub(crate) fn quiet(&self) -> Quietness {
        self.files.quiet()
    }

    /// All paths of a watch are listened to. Returns `Ready` if that was the last that was missing.
    pub(crate) fn listens(&mut self, slots: &mut SlotTable, node: Node) -> Option<Notice> {
        slots.get_mut(node)?.watching.as_mut()?.one_more_listens(node)
    }

    /// The notice of a stream's report, if its watch still runs.
    pub(crate) fn receive(&mut self, slots: &mut SlotTable, report: Report) -> Option<Notice> {
        let Report { node, epoch, event, pending } = report;
        pending.store(false, Ordering::Release);
        let watching = slots.get_mut(node)?.watching.as_mut().filter(|watching| watching.epoch == epoch)?;
        match event {
            Ok(WatchEvent::Ready) => watching.one_more_listens(node),
            Ok(WatchEvent::Changed) => (watching.unready == 0).then_some(Notice::Changed(node, Extent::All)),
            Err(problem) => match watching.more.as_ref().and_then(|more| more.asked) {
                // The watch that takes its place may be the reason for its end.
                Some(asked) => {
                    self.stop(slots, node);
                    self.expect(slots, node, asked);
                    None
                }
                None => {
                    self.stop(slots, node);
                    Some(Notice::Failed(node, problem))
                }
            },
        }
    }
}

impl Watching {
    fn one_more_listens(&mut self, node: Node) -> Option<Notice> {
        self.unready = self.unready.saturating_sub(1);
        (!self.is_starting()).then_some(Notice::Ready(node))
    }

    fn attended(&self) -> &[PathBuf] {
        self.more.as_ref().map_or(&[], |more| &more.attended)
    }
}

fn is_epoch(slots: &SlotTable, node: Node, epoch: u64) -> bool {
    slots.get(node).and_then(|slot| slot.watching.as_ref()).is_some_and(|watching| watching.epoch == epoch)
}

impl SlotTable {
    /// Whether a resource is watched now.
    pub(crate) fn is_watching(&self, node: Node) -> bool {
        self.get(node).is_some_and(|slot| slot.watching.is_some())
    }

    /// Whether a resource is watched, but not all of its watch listens yet.
    pub(crate) fn is_watch_starting(&self, node: Node) -> bool {
        self.get(node).and_then(|slot| slot.watching.as_ref()).is_some_and(Watching::is_starting)
    }
}

/// The listener that brings signals to the loop.
#[cfg(feature = "dbus")]
fn listener(
    node: Node,
    epoch: u64,
    reports: mpsc::UnboundedSender<Report>,
) -> Box<dyn Fn(Result<WatchEvent, String>) + Send> {
    let pending = Arc::new(AtomicBool::new(false));
    Box::new(move |event| {
        // Whatever is wrong with a bus, it is not available as it should be.
        let obstacle = || Some(Obstacle::new(ObstacleKind::NoComponent));
        let event = event.map_err(|text| Problem { text, obstacle: obstacle() });
        if !matches!(event, Ok(WatchEvent::Changed)) || !pending.swap(true, Ordering::AcqRel) {
            // The loop ends only with the whole engine.
            let _ = reports.send(Report { node, epoch, event, pending: Arc::clone(&pending) });
        }
    })
}

/// Brings what a stream reports to the loop.
fn forward(mut stream: WatchStream, node: Node, epoch: u64, reports: mpsc::UnboundedSender<Report>) -> Reading {
    let span = Span::current();
    let task = tokio::spawn(async move {
        // Only the first `Ready` of a stream counts as `Ready`.
        let mut ready = false;
        let pending = Arc::new(AtomicBool::new(false));
        loop {
            let event = match caught_async(poll_fn(|cx| span.in_scope(|| stream.as_mut().poll_next(cx)))).await {
                Err(panic) => Err(panic.into()),
                Ok(item) => of_stream(item, &mut ready),
            };
            let last = event.is_err();
            let is_news = !matches!(event, Ok(WatchEvent::Changed)) || !pending.swap(true, Ordering::AcqRel);
            let report = Report { node, epoch, event, pending: Arc::clone(&pending) };
            if is_news && reports.send(report).is_err() || last {
                return;
            }
            // However fast a stream is, the loop gets its turn.
            give_way().await;
        }
    });
    Reading(task.abort_handle())
}

/// What an item of a stream means; its end is a failure.
fn of_stream(item: Option<crate::resource::Result<WatchEvent>>, ready: &mut bool) -> Result<WatchEvent, Problem> {
    match item {
        Some(Ok(WatchEvent::Ready)) if std::mem::replace(ready, true) => Ok(WatchEvent::Changed),
        // Nothing of its resource would ever run: what comes before it listens counts for nothing.
        Some(Ok(WatchEvent::Changed)) if !*ready => {
            Err("it reported `Changed` before `Ready`: a watch first reports that it listens".to_owned().into())
        }
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => Err(Problem { text: error.to_string(), obstacle: error.obstacle() }),
        None => Err("it ended".to_owned().into()),
    }
}
