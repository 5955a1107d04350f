//! A run on another machine, as the program here sees it.

use std::fmt;

use tokio::sync::{mpsc, oneshot, watch};

pub use crate::remote::message::HowEnded;

use crate::remote::detached::Detached;
use crate::remote::error::{Note, RemoteError};
use crate::remote::job::Parcel;
use crate::remote::message::{Hello, ToFar};
use crate::remote::queue::Queue;
use crate::remote::session::Order;
use crate::remote::streams::Outgoing;
use crate::runtime::{Event, Progress, Status};

/// What a run on another machine reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Report {
    /// The executable runs there.
    Hello(Hello),
    /// The engine there has started.
    Started,
    /// The run stays there; this end leaves it.
    Left(Box<Detached>),
    /// The reports of this run follow, which has stayed there: first the last ones that no end has seen.
    Attached(Box<Detached>),
    /// An event of the engine there.
    Event(Event),
    /// This many reports were left out, because they came faster than they could be sent or were taken.
    Missed(u64),
    /// How far the engine there has got; while something runs, about every 0.2 s.
    Progress(Progress),
    /// The state in which the run ends, because its graph can't converge. Large parts of it may be left out.
    Hopeless(Box<Status>),
    /// The run is confirmed: what it has changed stays.
    Confirmed,
    /// The run was not confirmed: what it has changed is put back from now on.
    PuttingBack,
    /// A line that the process there, or what starts it, has printed. It may contain anything.
    Log(String),
    /// A warning about the graph, or about the connection.
    Warning(Note),
}

/// The end of a run on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// The exit code, which is the same as that of a run on that machine.
    pub code: u8,
    /// How it has ended.
    pub how: HowEnded,
}

/// A step of the end of a run: each time the next one, as with ^C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopStep {
    /// No operation begins any more, and those under way may end.
    Drain,
    /// Operations under way are cancelled.
    Cancel,
    /// The process there exits at once.
    Abandon,
}

/// A run on another machine. It lives as long as this process gives signs of life, which it does every 2 s unless its
/// tokio runtime is blocked: without any for 10 s, it stops there, as it does when the connection is lost. When this is
/// dropped, the run there stops: operations under way have a few seconds to end.
pub struct Run {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) queue: std::sync::Arc<Queue>,
    pub(super) ended: watch::Receiver<Option<Result<Ended, RemoteError>>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
}

impl Run {
    /// The next report; `None` after the run has ended. Safe to cancel: no report is lost. At most 16 384 reports wait:
    /// a slower reader misses the oldest.
    pub async fn next(&mut self) -> Option<Report> {
        self.queue.next().await
    }

    /// Stops the run; a later call with a further step hurries it.
    pub fn stop(&self, step: StopStep) {
        let number = match step {
            StopStep::Drain => 1,
            StopStep::Cancel => 2,
            StopStep::Abandon => 3,
        };
        self.send(Order::Send(Outgoing::Message(ToFar::Stop(number))));
    }

    /// Asks for the graph to be made again there, if its source can.
    pub fn reload(&self) {
        self.send(Order::Send(Outgoing::Message(ToFar::Reload)));
    }

    /// Puts another graph in force there. Only the difference is touched. The run must have begun with a sent graph;
    /// for one that the executable makes by itself, the parcel has its files
    /// ([`Host::pack`](crate::remote::Host::pack)).
    ///
    /// # Errors
    /// The graph is refused there, and the one before stays in force; or the run has ended.
    pub async fn swap(&self, parcel: &Parcel) -> Result<(), RemoteError> {
        let (reply, answer) = oneshot::channel();
        self.send(Order::Swap(parcel.clone(), reply));
        answer.await.unwrap_or(Err(RemoteError::Ended))
    }

    /// The state of the engine there.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn status(&self) -> Result<Status, RemoteError> {
        let (reply, answer) = oneshot::channel();
        self.send(Order::Status(reply));
        answer.await.map_err(|_| RemoteError::Ended)
    }

    /// Returns when the run has ended.
    ///
    /// # Errors
    /// It could not begin, has failed, or the connection was lost.
    pub async fn ended(&self) -> Result<Ended, RemoteError> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(RemoteError::Ended)),
            Err(_) => Err(RemoteError::Ended),
        }
    }

    fn send(&self, order: Order) {
        // An error means that the run has ended: its callers find that out by themselves.
        let _ = self.orders.send(order);
    }
}
