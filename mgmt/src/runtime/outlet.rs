//! The outlet for events: a queue that grows with what its readers have not read yet.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::runtime::event::Event;
use crate::runtime::events::Events;

/// How many events are kept for a reader that lags behind; it misses older ones.
const EVENTS_KEPT: usize = 16_384;
/// An empty queue with room for more events than this gives its memory back.
const ROOM_KEPT: usize = 1024;

/// Where an engine's events go. Its drop ends all readers.
#[derive(Debug)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
}

/// Makes readers. Does not keep the readers from ending.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The number of readers: while there is none, an event takes no lock.
    readers: AtomicUsize,
    queue: Mutex<Queue>,
    kept_max: usize,
}

/// The events that a reader has not read yet, and the readers that wait for the next one.
#[derive(Default)]
struct Queue {
    events: VecDeque<Kept>,
    /// The number of the first event in the queue; events are numbered from 0.
    first: u64,
    /// The number of the reader that was made last.
    last_reader: u64,
    waiting: BTreeMap<u64, Waker>,
    /// Whether an event has come that has not been announced to the waiting readers.
    is_news: bool,
    is_over: bool,
}

struct Kept {
    event: Event,
    /// How many readers have yet to read it.
    unread: usize,
}

/// The place of a reader in the queue.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    /// The number of the reader.
    reader: u64,
    /// The number of the event that it reads next.
    next: u64,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("events", &self.events.len()).field("first", &self.first).finish_non_exhaustive()
    }
}

impl Queue {
    /// Removes the events at the front that all readers have read.
    fn forget_read(&mut self) {
        while self.events.front().is_some_and(|kept| kept.unread == 0) {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Event> {
        let kept = self.events.pop_front()?;
        self.first += 1;
        if self.events.is_empty() && self.events.capacity() > ROOM_KEPT {
            self.events = VecDeque::new();
        }
        Some(kept.event)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(self: &Arc<Shared>) -> Events {
        let mut queue = self.lock();
        queue.last_reader += 1;
        let next = queue.first + queue.events.len() as u64;
        self.readers.fetch_add(1, Ordering::Release);
        Events::new(Place { shared: Arc::clone(self), reader: queue.last_reader, next })
    }
}

impl Default for Outlet {
    fn default() -> Outlet {
        Outlet::keeping(EVENTS_KEPT)
    }
}

impl Outlet {
    /// An outlet that keeps at most this many events for a reader.
    pub(super) fn keeping(kept_max: usize) -> Outlet {
        Outlet { shared: Arc::new(Shared { readers: AtomicUsize::new(0), queue: Mutex::default(), kept_max }) }
    }

    pub(crate) fn readers(&self) -> Readers {
        Readers { shared: Arc::clone(&self.shared) }
    }

    /// A reader of the events published from now on.
    pub(crate) fn subscribe(&self) -> Events {
        self.shared.subscribe()
    }

    /// There is a reader.
    pub(crate) fn is_read(&self) -> bool {
        self.shared.readers.load(Ordering::Acquire) > 0
    }

    /// Gives an event to all readers. Those that wait are woken by `announce`: one wake-up for many events.
    pub(crate) fn publish(&self, event: Event) {
        let mut queue = self.shared.lock();
        let unread = self.shared.readers.load(Ordering::Acquire);
        if unread == 0 {
            return;
        }
        if queue.events.len() >= self.shared.kept_max {
            queue.pop();
            queue.forget_read();
        }
        queue.events.push_back(Kept { event, unread });
        queue.is_news = true;
    }

    /// Wakes the readers that wait, if there are events that they have not been woken for.
    pub(crate) fn announce(&self) {
        if !self.is_read() {
            return;
        }
        let mut queue = self.shared.lock();
        let waiting = if mem::take(&mut queue.is_news) { mem::take(&mut queue.waiting) } else { BTreeMap::new() };
        drop(queue);
        waiting.into_values().for_each(Waker::wake);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_over = true;
        let waiting = mem::take(&mut queue.waiting);
        drop(queue);
        waiting.into_values().for_each(Waker::wake);
    }
}

impl Readers {
    /// A reader of the events published from now on; it ends at once if the engine has ended.
    pub(crate) fn subscribe(&self) -> Events {
        self.shared.subscribe()
    }
}

impl Place {
    /// The next event, and how many this reader has missed before it. `None`: the engine has ended. Without an event,
    /// the waker is woken when there is one.
    pub(super) fn read(&mut self, waker: &Waker) -> Poll<Option<(Event, u64)>> {
        let mut queue = self.shared.lock();
        let missed = queue.first.saturating_sub(self.next);
        let next = self.next + missed;
        let at = usize::try_from(next - queue.first).unwrap_or(usize::MAX);
        let Some(kept) = queue.events.get_mut(at) else {
            if queue.is_over {
                return Poll::Ready(None);
            }
            let waits = queue.waiting.entry(self.reader).or_insert_with(|| waker.clone());
            waits.clone_from(waker);
            return Poll::Pending;
        };
        self.next = next + 1;
        kept.unread = kept.unread.saturating_sub(1);
        let event = match (at, kept.unread) {
            (0, 0) => queue.pop(),
            _ => Some(kept.event.clone()),
        };
        queue.forget_read();
        Poll::Ready(event.map(|event| (event, missed)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.waiting.remove(&self.reader);
        self.shared.readers.fetch_sub(1, Ordering::Release);
        let read = usize::try_from(self.next.saturating_sub(queue.first)).unwrap_or(usize::MAX);
        queue.events.iter_mut().skip(read).for_each(|kept| kept.unread = kept.unread.saturating_sub(1));
        queue.forget_read();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::time::Duration;

    use futures_core::Stream as _;

    use super::*;
    use crate::runtime::EventKind;

    fn numbered(n: u64) -> Event {
        Event { at: Duration::from_secs(n), kind: EventKind::Converged }
    }

    fn kept(outlet: &Outlet) -> usize {
        outlet.shared.lock().events.len()
    }

    #[tokio::test]
    async fn readers_get_what_comes_after_they_asked_and_end_with_the_outlet() {
        let outlet = Outlet::default();
        let readers = outlet.readers();
        outlet.publish(numbered(1));
        assert!(!outlet.is_read());
        let (mut one, mut two) = (outlet.subscribe(), readers.subscribe());
        assert!(outlet.is_read());
        outlet.publish(numbered(2));
        drop(outlet);
        for events in [&mut one, &mut two] {
            assert_eq!((events.next().await, events.next().await), (Some(numbered(2)), None));
        }
        assert_eq!(readers.subscribe().next().await, None);
    }

    #[tokio::test]
    async fn events_are_a_stream_that_wakes_ends_and_counts_what_its_reader_missed() {
        let outlet = Outlet::keeping(2);
        let mut events = outlet.subscribe();
        let reader = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
                seen.push(event.at.as_secs());
            }
            (seen, events.missed(), events.next().await)
        });
        tokio::task::yield_now().await;
        (1..=5).for_each(|n| outlet.publish(numbered(n)));
        outlet.announce();
        tokio::task::yield_now().await;
        outlet.publish(numbered(6));
        drop(outlet);
        assert_eq!(reader.await.unwrap(), (vec![4, 5, 6], 3, None));
    }

    #[tokio::test]
    async fn an_event_is_not_lost_where_waiting_for_it_was_given_up() {
        let outlet = Outlet::default();
        let mut events = outlet.subscribe();
        assert!(tokio::time::timeout(Duration::from_millis(1), events.next()).await.is_err());
        assert_eq!(events.try_next(), None);
        outlet.publish(numbered(1));
        outlet.publish(numbered(2));
        assert_eq!((events.try_next(), events.next().await), (Some(numbered(1)), Some(numbered(2))));
    }

    #[test]
    fn an_event_is_kept_until_the_last_of_its_readers_has_read_it_or_is_gone() {
        let outlet = Outlet::keeping(4);
        let (mut quick, mut slow, idle) = (outlet.subscribe(), outlet.subscribe(), outlet.subscribe());
        (1..=3).for_each(|n| outlet.publish(numbered(n)));
        (1..=3).for_each(|n| assert_eq!(quick.try_next(), Some(numbered(n))));
        assert_eq!(slow.try_next(), Some(numbered(1)));
        assert_eq!(kept(&outlet), 3);
        drop(idle);
        assert_eq!(kept(&outlet), 2);
        let mut late = outlet.subscribe();
        (4..=6).for_each(|n| outlet.publish(numbered(n)));
        assert_eq!((slow.try_next(), slow.missed(), kept(&outlet)), (Some(numbered(3)), 1, 3));
        drop(slow);
        (4..=6).for_each(|n| assert_eq!(late.try_next(), Some(numbered(n))));
        assert_eq!((late.try_next(), late.missed(), kept(&outlet)), (None, 0, 3));
        (4..=6).for_each(|n| assert_eq!(quick.try_next(), Some(numbered(n))));
        assert_eq!((quick.missed(), kept(&outlet)), (0, 0));
    }
}
