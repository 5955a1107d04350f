//! Waiting for what the kernel reports about one interface.

use std::io;

use tokio::sync::watch;

/// What a subscription waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The interface, its addresses and settings, and routes over it.
    Interface,
    /// Also default routes over other interfaces.
    WithDefaults,
}

/// Reports about the interface of one name, from the moment at which it was made. Any number of reports is one.
#[derive(Debug)]
pub struct Subscription(watch::Receiver<u64>);

impl Subscription {
    pub(super) fn new(receiver: watch::Receiver<u64>) -> Subscription {
        Subscription(receiver)
    }

    /// Waits until something may have changed.
    ///
    /// # Errors
    /// No report will come any more: the connection is lost.
    pub async fn changed(&mut self) -> io::Result<()> {
        let lost =
            || io::Error::new(io::ErrorKind::ConnectionReset, "the connection to the kernel (netlink) has ended");
        self.0.changed().await.map_err(|_| lost())
    }
}
