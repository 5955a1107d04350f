//! The contract of a source of hosts.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::remote::host::Host;
use crate::remote::hosts::error::HostsError;

/// A source of hosts: [`Addresses`](crate::remote::Addresses), a value that changes
/// ([`hosts_of`](crate::remote::hosts_of)), a `Vec` of hosts, or your own. The names of the hosts must differ.
pub trait Hosts: Send + 'static {
    /// The hosts as they are now.
    ///
    /// # Errors
    /// If the first call fails, nothing is started. If a later one fails, the list before it stays in force.
    fn hosts(&mut self) -> impl Future<Output = Result<Vec<Host>, HostsError>> + Send;

    /// Returns when the hosts may have changed since the last call of `hosts`, which is then called again. `None`, the
    /// default: they do not change any more. Must be cancel safe.
    fn changed(&mut self) -> impl Future<Output = Option<()>> + Send {
        async { None }
    }
}

impl Hosts for Vec<Host> {
    async fn hosts(&mut self) -> Result<Vec<Host>, HostsError> {
        Ok(self.clone())
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The same with the type erased.
trait ErasedHosts: Send {
    fn hosts(&mut self) -> Boxed<'_, Result<Vec<Host>, HostsError>>;
    fn changed(&mut self) -> Boxed<'_, Option<()>>;
}

impl<H: Hosts> ErasedHosts for H {
    fn hosts(&mut self) -> Boxed<'_, Result<Vec<Host>, HostsError>> {
        Box::pin(Hosts::hosts(self))
    }

    fn changed(&mut self) -> Boxed<'_, Option<()>> {
        Box::pin(Hosts::changed(self))
    }
}

/// A source of hosts of any type.
pub struct HostsBox(Box<dyn ErasedHosts>);

impl HostsBox {
    /// Erases the type of a source.
    pub fn new(hosts: impl Hosts) -> HostsBox {
        HostsBox(Box::new(hosts))
    }
}

impl fmt::Debug for HostsBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostsBox")
    }
}

impl Hosts for HostsBox {
    async fn hosts(&mut self) -> Result<Vec<Host>, HostsError> {
        self.0.hosts().await
    }

    async fn changed(&mut self) -> Option<()> {
        self.0.changed().await
    }
}
