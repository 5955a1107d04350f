//! What the engine tells: typed events, for the terminal, for metrics, for tests.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::id::{Generation, ResourceId};
use crate::resource::{Change, Obstacle, seconds};
use crate::scheduler::Causes;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When, since the engine started.
    #[serde(with = "seconds")]
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What of a resource can fail. What fails when it leaves the graph is in [`EventKind::Left`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// A check; also that a value which it receives could not be made.
    Check,
    /// An apply.
    Apply,
    /// A refresh.
    Refresh,
    /// The watch.
    Watch,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Check => "check",
            Operation::Apply => "apply",
            Operation::Refresh => "refresh",
            Operation::Watch => "watch",
        })
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A check ended in sync.
    #[non_exhaustive]
    InSync {
        /// The resource that was checked.
        id: ResourceId,
        /// Why it was checked.
        causes: Causes,
        /// It is in noop and owed a refresh, which it does not get: so it is not as it should be.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        owed: bool,
    },
    /// A check found drift.
    #[non_exhaustive]
    Drifted {
        /// The resource that was checked.
        id: ResourceId,
        /// Why it was checked.
        causes: Causes,
        /// What is wrong.
        changes: Vec<Change>,
        /// It is in noop: it will not be repaired.
        noop: bool,
    },
    /// An apply ended well.
    #[non_exhaustive]
    Applied {
        /// The resource that was applied.
        id: ResourceId,
        /// Why its run, of check and apply, began.
        causes: Causes,
        /// What it repaired.
        changes: Vec<Change>,
        /// It changed something after all.
        changed: bool,
        /// A refresh was owed and is paid by it.
        refreshed: bool,
        /// From the start of the check that found the drift to the end of the apply.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// A refresh ended well.
    #[non_exhaustive]
    Refreshed {
        /// The resource that was refreshed.
        id: ResourceId,
        /// Why its run, of check and refresh, began.
        causes: Causes,
        /// It did something, as its kind reports ([`Refresh`](crate::resource::Refresh)): not if a guard of a command
        /// declined, for example.
        changed: bool,
        /// How long the refresh took.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// A resource of a kind that does something when it has left the graph ([`Leave`](crate::resource::Leave)) has done
    /// so, or could not.
    #[non_exhaustive]
    Left {
        /// The resource that has left.
        id: ResourceId,
        /// What it failed with. It is not tried again.
        error: Option<String>,
    },
    /// A refresh has become owed.
    #[non_exhaustive]
    Owed {
        /// The notifier.
        from: ResourceId,
        /// The notified.
        to: ResourceId,
    },
    /// New values went to a receiver.
    #[non_exhaustive]
    Sent {
        /// The sender.
        from: ResourceId,
        /// The receiver.
        to: ResourceId,
    },
    /// A check, an apply, a refresh or the watch failed.
    #[non_exhaustive]
    Failed {
        /// The resource that failed.
        id: ResourceId,
        /// Why the run that failed began. None, if it was the watch.
        causes: Causes,
        /// What of it failed.
        operation: Operation,
        /// What it failed with.
        error: String,
        /// When it is tried again; `None`: not until a graph changes the resource (or any graph comes, with `rewatch`).
        #[serde(with = "seconds::option")]
        retry_in: Option<Duration>,
    },
    /// A check, an apply, a refresh or the watch failed for a cause that the outside can take away: the resource waits
    /// for that, without a limit, and uses up no try. Reported once, until it ends well or fails for another cause.
    #[non_exhaustive]
    Waiting {
        /// The resource that waits.
        id: ResourceId,
        /// Why the run that failed began. None, if it was the watch.
        causes: Causes,
        /// What of it failed.
        operation: Operation,
        /// What it failed with.
        error: String,
        /// What it waits for.
        waits_for: Obstacle,
        /// The watch sees when that is over, and the resource is checked at once. If not, it is checked again after
        /// pauses of 0.1 s up to 10 s.
        announced: bool,
    },
    /// An ancestor has failed: this resource waits.
    #[non_exhaustive]
    Blocked {
        /// Who.
        id: ResourceId,
        /// Its parent through which it is blocked.
        by: ResourceId,
    },
    /// No longer blocked.
    #[non_exhaustive]
    Unblocked {
        /// Who.
        id: ResourceId,
    },
    /// Its repairs take more than its share of the time, about 5 % of one worker: something else changes it too. While
    /// other resources want to work, it is repaired less often. Reported once, until it has been quiet for as long as
    /// its share needs to make up for all of these repairs.
    #[non_exhaustive]
    Flapping {
        /// The resource that changes again and again.
        id: ResourceId,
        /// How often it was repaired…
        repairs: u32,
        /// …in this time. In data, as a number of seconds; the same below.
        #[serde(with = "seconds")]
        within: Duration,
        /// How long the last repair took, with its check.
        #[serde(with = "seconds")]
        took: Duration,
        /// The shortest time between two such repairs while other resources want to work.
        #[serde(with = "seconds")]
        every: Duration,
    },
    /// A new graph is in force.
    #[non_exhaustive]
    Swapped {
        /// Which.
        generation: Generation,
        /// Resources that are new.
        added: u32,
        /// Resources changed in place.
        changed: u32,
        /// Resources that left.
        removed: u32,
        /// Resources left alone.
        kept: u32,
    },
    /// A new graph was refused: the old one goes on.
    #[non_exhaustive]
    Rejected {
        /// Why.
        problems: String,
    },
    /// All resources have been settled for the converged timeout.
    Converged,
    /// A resource is not settled any more.
    Unconverged,
    /// It will not converge by itself: for the converged timeout no resource that is not settled has done anything or will,
    /// since some have failed for good, wait for a cause ([`Waiting`](EventKind::Waiting)), or wait for a value that no
    /// sender is going to send, and the others wait for these. Once, until [`Hopeful`](EventKind::Hopeful).
    Hopeless,
    /// It is not hopeless any more: a graph or a change outside has set something going again.
    Hopeful,
    /// Something that the user should know, said once.
    #[non_exhaustive]
    Warning {
        /// What.
        message: String,
    },
    /// The engine has ended.
    Stopped,
}

impl EventKind {
    /// Its name, as in its form as data.
    pub fn word(&self) -> &'static str {
        match self {
            EventKind::InSync { .. } => "in_sync",
            EventKind::Drifted { .. } => "drifted",
            EventKind::Applied { .. } => "applied",
            EventKind::Refreshed { .. } => "refreshed",
            EventKind::Left { .. } => "left",
            EventKind::Owed { .. } => "owed",
            EventKind::Sent { .. } => "sent",
            EventKind::Failed { .. } => "failed",
            EventKind::Waiting { .. } => "waiting",
            EventKind::Blocked { .. } => "blocked",
            EventKind::Unblocked { .. } => "unblocked",
            EventKind::Flapping { .. } => "flapping",
            EventKind::Swapped { .. } => "swapped",
            EventKind::Rejected { .. } => "rejected",
            EventKind::Converged => "converged",
            EventKind::Unconverged => "unconverged",
            EventKind::Hopeless => "hopeless",
            EventKind::Hopeful => "hopeful",
            EventKind::Warning { .. } => "warning",
            EventKind::Stopped => "stopped",
        }
    }

    /// The resource that it is about, if it is about one.
    pub fn id(&self) -> Option<&ResourceId> {
        match self {
            EventKind::InSync { id, .. }
            | EventKind::Drifted { id, .. }
            | EventKind::Applied { id, .. }
            | EventKind::Refreshed { id, .. }
            | EventKind::Failed { id, .. }
            | EventKind::Waiting { id, .. }
            | EventKind::Left { id, .. }
            | EventKind::Blocked { id, .. }
            | EventKind::Unblocked { id }
            | EventKind::Flapping { id, .. } => Some(id),
            EventKind::Owed { to, .. } | EventKind::Sent { to, .. } => Some(to),
            _ => None,
        }
    }
}

/// One line, without colours: what logs and tests show.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::InSync { id, owed: true, .. } => write!(f, "{id}: owed a refresh (noop)"),
            EventKind::InSync { id, .. } => write!(f, "{id}: in sync"),
            EventKind::Drifted { id, changes, noop, .. } => {
                write!(f, "{id}: drifted: {}{}", Short(changes), if *noop { " (noop)" } else { "" })
            }
            EventKind::Applied { id, changes, changed, refreshed, took, .. } => {
                let what = if *changed { "repaired" } else { "applied, nothing to change" };
                let refreshed = if *changed && *refreshed { ", refreshed" } else { "" };
                write!(f, "{id}: {what}{refreshed} in {took:.1?}: {}", Short(changes))
            }
            EventKind::Refreshed { id, changed: true, took, .. } => write!(f, "{id}: refreshed in {took:.1?}"),
            EventKind::Refreshed { id, .. } => write!(f, "{id}: asked to refresh, with nothing to do"),
            EventKind::Left { id, error: None } => write!(f, "{id}: left"),
            EventKind::Left { id, error: Some(error) } => write!(f, "{id}: could not leave well: {error}"),
            EventKind::Owed { from, to } => write!(f, "{to}: refresh owed, since {from} changed"),
            EventKind::Sent { from, to } => write!(f, "{to}: received from {from}"),
            EventKind::Failed { id, operation, error, retry_in, .. } => {
                write!(f, "{id}: {operation} failed: {error}")?;
                match retry_in {
                    Some(delay) => write!(f, " (again in {delay:.1?})"),
                    None => f.write_str(" (no tries left: it is left alone until a graph changes it)"),
                }
            }
            EventKind::Waiting { id, operation, error, announced, .. } => {
                let when = if *announced { "as soon as that changes" } else { "after pauses, until that changes" };
                write!(f, "{id}: {operation} waits: {error} (again {when})")
            }
            EventKind::Blocked { id, by } => write!(f, "{id}: waits, blocked by {by}"),
            EventKind::Unblocked { id } => write!(f, "{id}: no longer blocked"),
            EventKind::Flapping { id, repairs, within, took, every } => write!(
                f,
                "{id}: flapping: repaired {repairs} times in {within:.1?}, something else changes it too (a repair takes \
                 {took:.1?}: every {every:.1?} at most while other resources have work)"
            ),
            EventKind::Swapped { generation, added, changed, removed, kept } => {
                write!(f, "graph {generation}: {added} added, {changed} changed, {removed} removed, {kept} kept")
            }
            EventKind::Rejected { problems } => write!(f, "the new graph is refused, the old one goes on:\n{problems}"),
            EventKind::Converged => f.write_str("converged"),
            EventKind::Unconverged => f.write_str("not converged any more"),
            EventKind::Hopeless => {
                f.write_str("it can't converge: what is not settled has failed, or waits for what does not come")
            }
            EventKind::Hopeful => f.write_str("it may converge again"),
            EventKind::Warning { message } => write!(f, "warning: {message}"),
            EventKind::Stopped => f.write_str("stopped"),
        }
    }
}

/// A list of changes in one line.
struct Short<'a>(&'a [Change]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 4;
        for (n, change) in self.0.iter().take(SHOWN_MAX).enumerate() {
            write!(f, "{}{change}", if n == 0 { "" } else { ", " })?;
        }
        if self.0.len() > SHOWN_MAX {
            write!(f, " and {} more", self.0.len() - SHOWN_MAX)?;
        }
        Ok(())
    }
}

/// Events, from the moment that they were asked for: a [`Stream`], or one by one with [`next`](Events::next). It is over
/// when the engine has ended.
///
/// The last 16 384 events are kept for a reader. One that is slower misses the oldest of them and continues with those
/// that are kept: [`missed`](Events::missed) is how many it has missed.
///
/// ```
/// # use mgmt::prelude::*;
/// use futures_util::StreamExt as _;
/// use mgmt::runtime::EventKind;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let mut g = Graph::new("hello");
/// g.add(Noop::new("n"));
/// let builder = mgmt::Engine::builder().graph(g.finish()?);
/// let events = builder.events();
/// let engine = builder.start().await?;
/// let settled = events.take_while(|event| std::future::ready(event.kind != EventKind::Converged));
/// assert_eq!(settled.count().await, 2, "a graph in force, a resource in sync");
/// engine.stop().await?;
/// # Ok::<(), mgmt::Error>(())
/// # }).unwrap();
/// ```
pub struct Events {
    reading: Reading,
    missed: u64,
}

type Received = Result<Event, broadcast::error::RecvError>;

/// A receiver is either at hand or waits for the next event.
enum Reading {
    AtHand(broadcast::Receiver<Event>),
    Waiting(Pin<Box<dyn Future<Output = (broadcast::Receiver<Event>, Received)> + Send + Sync>>),
    /// The engine has ended.
    Over,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("missed", &self.missed).finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Events {
        Events { reading: Reading::AtHand(receiver), missed: 0 }
    }

    /// The next event; `None` after the engine has ended. If this is dropped before, no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// How many events were missed so far, since this reader was too slow.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        use broadcast::error::{RecvError, TryRecvError};
        loop {
            let received = match std::mem::replace(&mut self.reading, Reading::Over) {
                Reading::AtHand(mut receiver) => match receiver.try_recv() {
                    Err(TryRecvError::Empty) => {
                        self.reading = Reading::Waiting(Box::pin(async move {
                            let received = receiver.recv().await;
                            (receiver, received)
                        }));
                        continue;
                    }
                    received => {
                        self.reading = Reading::AtHand(receiver);
                        received.map_err(|error| match error {
                            TryRecvError::Lagged(count) => RecvError::Lagged(count),
                            TryRecvError::Empty | TryRecvError::Closed => RecvError::Closed,
                        })
                    }
                },
                Reading::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.reading = Reading::Waiting(waiting);
                        return Poll::Pending;
                    }
                    Poll::Ready((receiver, received)) => {
                        self.reading = Reading::AtHand(receiver);
                        received
                    }
                },
                Reading::Over => return Poll::Ready(None),
            };
            match received {
                Ok(event) => return Poll::Ready(Some(event)),
                Err(RecvError::Lagged(count)) => self.missed += count,
                Err(RecvError::Closed) => self.reading = Reading::Over,
            }
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lengths_of_time_are_numbers_of_seconds_in_data() {
        let (id, took) = (ResourceId::new("noop", "n"), Duration::from_millis(250));
        let kind = EventKind::Refreshed { id, causes: Causes::default(), changed: true, took };
        let event = serde_json::to_value(Event { at: Duration::from_secs(3), kind }).unwrap();
        assert_eq!(
            event,
            json!({ "at": 3, "event": "refreshed", "id": "noop[n]", "causes": [], "changed": true, "took": 0.25 })
        );
    }

    fn numbered(n: u64) -> Event {
        Event { at: Duration::from_secs(n), kind: EventKind::Converged }
    }

    #[tokio::test]
    async fn events_are_a_stream_that_wakes_ends_and_counts_what_its_reader_missed() {
        let (sender, receiver) = broadcast::channel(2);
        let mut events = Events::new(receiver);
        let reader = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
                seen.push(event.at.as_secs());
            }
            (seen, events.missed(), events.next().await)
        });
        tokio::task::yield_now().await;
        for n in 1..=5 {
            sender.send(numbered(n)).unwrap();
        }
        drop(sender);
        assert_eq!(reader.await.unwrap(), (vec![4, 5], 3, None));
    }

    #[tokio::test]
    async fn an_event_is_not_lost_where_waiting_for_it_was_given_up() {
        let (sender, receiver) = broadcast::channel(8);
        let mut events = Events::new(receiver);
        assert!(tokio::time::timeout(Duration::from_millis(1), events.next()).await.is_err());
        assert_eq!(events.try_next(), None);
        sender.send(numbered(1)).unwrap();
        sender.send(numbered(2)).unwrap();
        assert_eq!((events.try_next(), events.next().await), (Some(numbered(1)), Some(numbered(2))));
    }
}
