//! What engines of one process may share.

use crate::resource::Connections;
use crate::runtime::files::SharedHub;
#[cfg(feature = "dbus")]
use crate::runtime::signals::SignalHub;
use crate::sys::fs::hub;

/// Doors that several engines of a process share: connections (see [`Door`](crate::resource::Door)), and the watch hub
/// for files. Clones are the same doors.
///
/// An engine has its own doors unless it is given shared ones by [`Builder::doors`](crate::runtime::Builder::doors).
/// Sharing is useful where there are many engines: a user may have 128 inotify instances (the default of Linux), and
/// many engines need only one connection to a server. Timers need no sharing: the timers of one tokio runtime are in
/// one queue.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use mgmt::prelude::*;
/// use mgmt::{Doors, Engine};
///
/// let doors = Doors::new();
/// let mut engines = Vec::new();
/// for tenant in ["one", "two"] {
///     let mut g = Graph::new(tenant);
///     g.add(Noop::new("something"));
///     engines.push(Engine::builder().doors(doors.clone()).graph(g.finish()?).start().await?);
/// }
/// for engine in engines {
///     engine.stop().await?;
/// }
/// doors.close().await;
/// # Ok::<(), mgmt::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Doors {
    pub(crate) connections: Connections,
    pub(crate) files: SharedHub,
    #[cfg(feature = "dbus")]
    pub(crate) signals: SignalHub,
}

impl Doors {
    /// New doors. None is open yet: each is opened when a resource first needs it.
    pub fn new() -> Doors {
        Doors::with_watch_options(hub::Options::default())
    }

    /// New doors. Files are watched with these options, not with those of the engines.
    pub fn with_watch_options(options: hub::Options) -> Doors {
        let connections = Connections::default();
        Doors {
            #[cfg(feature = "dbus")]
            signals: SignalHub::new(connections.clone()),
            connections,
            files: SharedHub::new(options),
        }
    }

    /// Closes all connections, within two seconds; engines that still use these doors can open none any more. Call it
    /// when all these engines have ended: connections that are dropped without this call are not closed properly.
    /// (Files are no longer watched once the last engine has ended.)
    pub async fn close(&self) {
        self.connections.close().await;
    }
}

impl Default for Doors {
    fn default() -> Doors {
        Doors::new()
    }
}
