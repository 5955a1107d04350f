//! The outlet for events: a channel that is made for the first reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::runtime::event::{Event, Events};

/// How many events are kept for a reader that lags behind; it misses older ones.
const EVENTS_KEPT: usize = 16_384;

/// Where an engine's events go. Its drop ends all readers.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
}

/// Makes readers. Does not keep the readers from ending.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether there has been a reader: until then, an event takes no lock.
    is_open: AtomicBool,
    channel: Mutex<Channel>,
}

/// Not made before the first reader: a channel allocates all its room at once, a few megabytes, and most of a thousand
/// engines have no reader.
#[derive(Debug, Default)]
enum Channel {
    #[default]
    Unasked,
    Open(broadcast::Sender<Event>),
    Closed,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(&self) -> Events {
        let mut channel = self.lock();
        let receiver = match &*channel {
            Channel::Unasked => {
                let (sender, receiver) = broadcast::channel(EVENTS_KEPT);
                *channel = Channel::Open(sender);
                self.is_open.store(true, Ordering::Release);
                receiver
            }
            Channel::Open(sender) => sender.subscribe(),
            Channel::Closed => broadcast::channel(1).1,
        };
        Events::new(receiver)
    }
}

impl Outlet {
    pub(crate) fn readers(&self) -> Readers {
        Readers { shared: Arc::clone(&self.shared) }
    }

    /// A reader of the events published from now on.
    pub(crate) fn subscribe(&self) -> Events {
        self.shared.subscribe()
    }

    /// There has been a reader.
    pub(crate) fn is_read(&self) -> bool {
        self.shared.is_open.load(Ordering::Acquire)
            && matches!(&*self.shared.lock(), Channel::Open(sender) if sender.receiver_count() > 0)
    }

    /// Gives an event to all readers.
    pub(crate) fn publish(&self, event: Event) {
        if let Channel::Open(sender) = &*self.shared.lock() {
            // Only fails if the last reader was just dropped.
            let _ = sender.send(event);
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        *self.shared.lock() = Channel::Closed;
    }
}

impl Readers {
    /// A reader of the events published from now on; it ends at once if the engine has ended.
    pub(crate) fn subscribe(&self) -> Events {
        self.shared.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::EventKind;

    fn event() -> Event {
        Event { at: Duration::ZERO, kind: EventKind::Converged }
    }

    #[tokio::test]
    async fn readers_get_what_comes_after_they_asked_and_end_with_the_outlet() {
        let outlet = Outlet::default();
        let readers = outlet.readers();
        outlet.publish(event());
        assert!(!outlet.is_read());
        let (mut one, mut two) = (outlet.subscribe(), readers.subscribe());
        assert!(outlet.is_read());
        outlet.publish(event());
        drop(outlet);
        for events in [&mut one, &mut two] {
            assert_eq!((events.next().await, events.next().await), (Some(event()), None));
        }
        assert_eq!(readers.subscribe().next().await, None);
    }
}
