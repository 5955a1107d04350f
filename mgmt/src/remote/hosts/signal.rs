//! Hosts from a value that changes.

use std::fmt;

use tokio::sync::watch;

use crate::gapi::Readable;
use crate::remote::host::Host;
use crate::remote::hosts::contract::Hosts;
use crate::remote::hosts::error::HostsError;

/// Hosts from a value that changes, made by [`hosts_of`].
pub struct HostsSignal<T, F> {
    receiver: watch::Receiver<T>,
    make: F,
}

/// The hosts that `make` makes of a value, and again each time that the value changes. Must be called in a tokio
/// runtime.
pub fn hosts_of<T, F>(signal: &impl Readable<T>, make: F) -> HostsSignal<T, F>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> Result<Vec<Host>, HostsError> + Send + 'static,
{
    HostsSignal { receiver: signal.receiver(), make }
}

impl<T: fmt::Debug, F> fmt::Debug for HostsSignal<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostsSignal").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<T, F> Hosts for HostsSignal<T, F>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> Result<Vec<Host>, HostsError> + Send + 'static,
{
    async fn hosts(&mut self) -> Result<Vec<Host>, HostsError> {
        (self.make)(&self.receiver.borrow_and_update())
    }

    async fn changed(&mut self) -> Option<()> {
        self.receiver.changed().await.ok()
    }
}
