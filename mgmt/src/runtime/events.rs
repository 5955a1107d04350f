//! A reader of the events that an engine reports.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::runtime::event::Event;
use crate::runtime::outlet::Place;

/// The events since this reader was made: a [`Stream`], or one by one with [`next`](Events::next). The stream ends when
/// the engine has ended.
///
/// The last 16 384 events are kept for a reader. A slower reader misses the oldest of them and continues with those
/// that are kept; [`missed`](Events::missed) counts what it has missed.
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
    place: Place,
    missed: u64,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("missed", &self.missed).finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(place: Place) -> Events {
        Events { place, missed: 0 }
    }

    /// The next event; `None` after the engine has ended. Safe to cancel: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// The number of events that this reader has missed, because it was too slow.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.place.read(cx.waker()).map(|read| {
            let (event, missed) = read?;
            self.missed += missed;
            Some(event)
        })
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(cx)
    }
}
