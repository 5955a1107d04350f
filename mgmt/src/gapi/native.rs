//! A closure as a source of graphs: it runs again whenever a value that it read has changed.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::gapi::contract::{Begun, Gapi, GapiData, GapiError};
use crate::gapi::failure::Failure;
use crate::gapi::hosts::WorldView;
use crate::gapi::signal::Readable;
use crate::graph::{Graph, GraphConfig};
use crate::resource::Error;
use crate::sys::task::caught;

/// How long to wait after a change: signals that change together (those of a reloaded configuration, for example) make
/// one new graph.
const SETTLE: Duration = Duration::from_millis(2);

/// How often a closure runs for one graph, as long as it reads more of the world each time.
const ROUNDS_MAX: usize = 32;

/// A value that was read.
struct Read {
    /// True: the value has changed. False: it can't change any more.
    changed: Pin<Box<dyn Future<Output = bool> + Send>>,
    /// Shows the source of the value that it is read, until the closure has run again.
    _receiver: Box<dyn Any + Send>,
}

/// The context of the closure: the host and the engine on which its graph runs, and access to values that can change.
pub struct Cx {
    data: GapiData,
    read: Mutex<Vec<Read>>,
}

impl Cx {
    /// Returns the current value. When it changes, the closure runs again, and the difference to the graph before is
    /// applied.
    pub fn read<T: Clone + Send + Sync + 'static>(&self, signal: &impl Readable<T>) -> T {
        let mut receiver = signal.receiver();
        let value = receiver.borrow_and_update().clone();
        let kept = Box::new(receiver.clone());
        let changed = Box::pin(async move { receiver.changed().await.is_ok() });
        let read = Read { changed, _receiver: kept };
        self.read.lock().unwrap_or_else(PoisonError::into_inner).push(read);
        value
    }

    /// What this host can read of the world that it shares with others:
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// let gapi = mgmt::native(|g, cx| {
    ///     // The value that all hosts share, and those that hosts have for themselves.
    ///     let port: u16 = cx.read(&cx.world().value("port")).unwrap_or(80);
    ///     let addresses = cx.read(&cx.world().values::<std::net::IpAddr>("address"));
    ///     for (host, address) in addresses {
    ///         g.add(File::new(format!("/etc/balancer.d/{host}")).content(format!("{address}:{port}\n")));
    ///     }
    ///     // The hosts that are alive, with their labels.
    ///     let monitors = cx.read(&cx.world().hosts()).into_iter().filter(|host| host.labels.contains_key("monitor"));
    ///     let names: Vec<String> = monitors.map(|host| host.name).collect();
    ///     g.add(File::new("/etc/monitors").content(names.join("\n")));
    ///     Ok(())
    /// });
    /// ```
    ///
    /// The closure runs again when what it has read has changed, and not for any other change. What it reads for the
    /// first time is fetched when it has returned, and if there is something, it runs again before its graph comes
    /// into force. A graph waits at most five seconds for the world; then it is made of what is known, which is
    /// nothing after a restart.
    pub fn world(&self) -> &WorldView {
        self.data.world()
    }

    /// The name of this host.
    pub fn hostname(&self) -> &str {
        &self.data.hostname
    }

    /// The engine's working directory.
    pub fn prefix(&self) -> &Path {
        &self.data.prefix
    }

    /// Whether all resources run in noop.
    pub fn is_noop(&self) -> bool {
        self.data.noop
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx").field("data", &self.data).finish_non_exhaustive()
    }
}

/// A closure as a source of graphs.
pub struct Native<F> {
    name: Option<String>,
    declare: F,
    at: &'static Location<'static>,
    begun: Begun,
    data: GapiData,
    waiting: Vec<Read>,
}

/// A source of graphs that this closure declares. The closure runs again whenever a value that it read by [`Cx::read`]
/// has changed.
///
/// An error that the closure returns names the line of its `?`. Errors of the standard library do not name the file:
/// add it with [`context`](crate::resource::Context::context).
///
/// ```no_run
/// # use mgmt::prelude::*;
/// # use mgmt::resource::Context as _;
/// let gapi = mgmt::native(|g, _cx| {
///     let motd = std::fs::read_to_string("motd.txt").context("motd.txt")?;
///     g.add(File::new("/etc/motd").content(motd));
///     Ok(())
/// });
/// ```
///
/// ```
/// # use mgmt::prelude::*;
/// let gapi = mgmt::native(|g, _cx| {
///     g.add(Noop::new("anchor"));
///     Ok(())
/// });
/// ```
#[track_caller]
pub fn native<F>(declare: F) -> Native<F>
where
    F: FnMut(&mut Graph, &Cx) -> Result<(), Error> + Send + 'static,
{
    let at = Location::caller();
    Native { name: None, declare, at, begun: Begun::default(), data: GapiData::default(), waiting: Vec::new() }
}

impl<F> Native<F> {
    /// Sets the name of the graphs, which is shown to users. Default: the program's name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<F> fmt::Debug for Native<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F> Gapi for Native<F>
where
    F: FnMut(&mut Graph, &Cx) -> Result<(), Error> + Send + 'static,
{
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        self.begun.begin()?;
        if data.no_watch {
            data.world().read_once();
        }
        self.data = data;
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        self.begun.has()?;
        let mut declared = self.declare();
        // What was read of the world for the first time is known only now.
        for _ in 0..ROUNDS_MAX {
            if !self.data.world().read_all().await || !self.has_changed().await {
                break;
            }
            declared = self.declare();
        }
        self.data.world().drop_unused();
        declared
    }

    /// Always true: the closure may read files, whose changes are not noticed.
    async fn reload(&mut self) -> bool {
        true
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        let changed = poll_fn(|cx| self.poll_changed(cx)).await;
        if !changed {
            return None;
        }
        tokio::time::sleep(SETTLE).await;
        Some(Ok(()))
    }

    async fn close(&mut self) {
        self.waiting.clear();
        self.data.world().close();
    }
}

impl<F> Native<F>
where
    F: FnMut(&mut Graph, &Cx) -> Result<(), Error> + Send + 'static,
{
    /// Runs the closure.
    fn declare(&mut self) -> Result<GraphConfig, GapiError> {
        let data = self.data.clone();
        let named = [self.name.as_deref().unwrap_or_default(), &data.name, "graph"];
        let mut graph = Graph::new(named.into_iter().find(|name| !name.is_empty()).unwrap_or_default());
        graph.set_place(data.prefix.clone(), data.hostname.clone());
        let cx = Cx { data, read: Mutex::default() };
        let declared = caught(|| (self.declare)(&mut graph, &cx));
        // Also after an error: the closure may succeed once a value that it read has changed.
        self.waiting = cx.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        let declared = declared.map_err(Failure::from).and_then(|declared| declared.map_err(Failure::from));
        declared.map_err(|failure| failure.in_closure(self.at))?;
        Ok(graph.finish()?)
    }

    /// Ready with true when a value that was read has changed, and with false when none can change any more.
    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let (waiting, mut n) = (&mut self.waiting, 0);
        while n < waiting.len() {
            match waiting[n].changed.as_mut().poll(cx) {
                Poll::Ready(true) => return Poll::Ready(true),
                Poll::Ready(false) => drop(waiting.swap_remove(n)),
                Poll::Pending => n += 1,
            }
        }
        if waiting.is_empty() { Poll::Ready(false) } else { Poll::Pending }
    }

    /// Whether a value that was read has changed by now.
    async fn has_changed(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(matches!(self.poll_changed(cx), Poll::Ready(true)))).await
    }
}
