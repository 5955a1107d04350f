//! Signals as a stream, for hosts without an engine.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

use crate::resource::{Connections, Error, SignalRule, WatchEvent, WatchStream};
use crate::runtime::signals::{SignalHub, Subscription};
use crate::sys::dbus::Bus;

/// A stream of its own for these signals.
pub(crate) fn stream_of(bus: &Bus, rule: SignalRule) -> WatchStream {
    let (events, received) = mpsc::unbounded_channel();
    let hub = SignalHub::new(Connections::default());
    let listener = Box::new(move |event: Result<_, String>| drop(events.send(event.map_err(Error::new))));
    Box::pin(SignalStream { received, _subscription: hub.subscribe(bus, rule, listener) })
}

struct SignalStream {
    received: mpsc::UnboundedReceiver<crate::resource::Result<WatchEvent>>,
    _subscription: Subscription,
}

impl Stream for SignalStream {
    type Item = crate::resource::Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.received.poll_recv(cx)
    }
}
