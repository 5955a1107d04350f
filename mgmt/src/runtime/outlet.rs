//! The way out for events: a channel that is made when somebody first asks for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::runtime::event::{Event, Events};

/// How many events are kept for a reader that lags behind; what is older it misses.
const EVENTS_KEPT: usize = 16_384;

/// Where an engine's events go. Dropped, it ends all readers.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
}

/// Makes readers, and does not keep them from ending.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Somebody has asked: until then nothing is locked for an event.
    is_open: AtomicBool,
    channel: Mutex<Channel>,
}

/// A channel has room for all that it keeps from its first moment on, a few megabytes: most of a thousand engines have no reader.
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

    /// What is published from now on.
    pub(crate) fn subscribe(&self) -> Events {
        self.shared.subscribe()
    }

    /// Somebody reads.
    pub(crate) fn is_read(&self) -> bool {
        self.shared.is_open.load(Ordering::Acquire)
            && matches!(&*self.shared.lock(), Channel::Open(sender) if sender.receiver_count() > 0)
    }

    /// Gives an event to all readers.
    pub(crate) fn publish(&self, event: Event) {
        if let Channel::Open(sender) = &*self.shared.lock() {
            // Only fails if the last reader left just now.
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
    /// What is published from now on; over at once if the engine has ended.
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
