//! Watches: the events that wake a resource.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

#[cfg(feature = "dbus")]
use crate::resource::bus::SignalRule;
use crate::resource::error::{Error, Result};
use crate::resource::streams::{Unfold, WatchSender, channel};
#[cfg(feature = "dbus")]
use crate::sys::dbus::Bus;

/// An event of a watch. It has no further content: `check` finds out what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The watch listens: from now on no change is missed.
    Ready,
    /// Something may have changed: the resource must be checked.
    Changed,
}

/// A kind's own stream. It must yield `Ready` once it listens; its end or an error means that the watch has failed.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchEvent>> + Send>>;

/// The events that wake a resource: from the engine's shared watch hub, which costs no task, or from streams of its
/// own.
#[derive(Default)]
#[must_use]
pub struct Watch {
    parts: Vec<Part>,
}

/// One part of a watch.
pub enum Part {
    /// A path: whether it exists, its type, its content and attributes; for a directory, not the names in it. The path
    /// need not exist yet.
    Itself(PathBuf),
    /// Like `Itself`; for a directory, also the names in it.
    Path(PathBuf),
    /// A directory and this number of levels below it; 1: the entries of the directory.
    Levels(PathBuf, u16),
    /// A directory and everything below it.
    Tree(PathBuf),
    /// An interval.
    Every(Duration),
    /// A stream of the kind itself.
    Stream(WatchStream),
    /// Signals of a D-Bus bus.
    #[cfg(feature = "dbus")]
    Signals(Bus, SignalRule),
}

impl Watch {
    /// An empty watch: nothing but the engine can change the resource.
    pub fn none() -> Watch {
        Watch::default()
    }

    /// Watches a path; for a directory, not the names in it: files that other programs create there wake nothing.
    pub fn itself(path: impl AsRef<Path>) -> Watch {
        Watch { parts: vec![Part::Itself(path.as_ref().to_owned())] }
    }

    /// Watches a path; for a directory, also the names in it.
    pub fn path(path: impl AsRef<Path>) -> Watch {
        Watch { parts: vec![Part::Path(path.as_ref().to_owned())] }
    }

    /// Watches a directory and this number of levels below it; 1: the entries of the directory and their content.
    pub fn levels(path: impl AsRef<Path>, levels: u16) -> Watch {
        Watch { parts: vec![Part::Levels(path.as_ref().to_owned(), levels)] }
    }

    /// Watches a directory and everything below it, down to 256 levels; deeper directories cause one warning.
    pub fn tree(path: impl AsRef<Path>) -> Watch {
        Watch { parts: vec![Part::Tree(path.as_ref().to_owned())] }
    }

    /// Yields `Changed` after each interval. The shortest interval is 1 ms; a shorter one becomes 1 ms.
    pub fn every(interval: Duration) -> Watch {
        Watch { parts: vec![Part::Every(interval)] }
    }

    /// Watches with a stream of your own.
    pub fn stream(stream: impl Stream<Item = Result<WatchEvent>> + Send + 'static) -> Watch {
        Watch { parts: vec![Part::Stream(Box::pin(stream))] }
    }

    /// Watches with a sequence of asynchronous steps: each gets the state that the one before returned. The first step
    /// starts to listen and returns `Ready`; each further step waits until something may have changed. After an error
    /// the watch has failed; the engine starts it again with another call of `watch`, as the retry policy of the
    /// resource allows.
    ///
    /// ```
    /// # use mgmt::resource::{Context, Result, Watch, WatchEvent};
    /// use tokio::net::UnixDatagram;
    ///
    /// /// Every message to this socket wakes the resource.
    /// fn doorbell(path: String) -> Watch {
    ///     Watch::unfold(None, move |bound: Option<UnixDatagram>| {
    ///         let path = path.clone();
    ///         async move {
    ///             let Some(socket) = bound else {
    ///                 let socket = UnixDatagram::bind(&path).context("the doorbell")?;
    ///                 return Ok((WatchEvent::Ready, Some(socket)));
    ///             };
    ///             socket.recv(&mut [0]).await.context("the doorbell")?;
    ///             Ok((WatchEvent::Changed, Some(socket)))
    ///         }
    ///     })
    /// }
    /// # let _ = doorbell("/tmp/bell".to_owned());
    /// ```
    pub fn unfold<S, F, Fut>(state: S, step: F) -> Watch
    where
        S: Send + 'static,
        F: FnMut(S) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(WatchEvent, S)>> + Send + 'static,
    {
        Watch::stream(Unfold::new(state, step))
    }

    /// Watches with events from other code: a callback of a library, a thread, a task.
    ///
    /// ```
    /// # use std::sync::Mutex;
    /// # use mgmt::resource::{Watch, WatchSender};
    /// /// The watches that the button wakes.
    /// static LISTENERS: Mutex<Vec<WatchSender>> = Mutex::new(Vec::new());
    ///
    /// /// For `Converge::watch` of a kind.
    /// fn button() -> Watch {
    ///     let (sender, watch) = Watch::channel();
    ///     let mut listeners = LISTENERS.lock().unwrap();
    ///     listeners.retain(|listener| !listener.is_closed());
    ///     listeners.push(sender.clone());
    ///     sender.ready();
    ///     watch
    /// }
    ///
    /// /// Called by the driver, on its own thread.
    /// fn pressed() {
    ///     LISTENERS.lock().unwrap().iter().for_each(WatchSender::changed);
    /// }
    /// # let _watch = button();
    /// # pressed();
    /// ```
    pub fn channel() -> (WatchSender, Watch) {
        let (sender, receiver) = channel();
        (sender, Watch::stream(receiver))
    }

    /// Watches signals of a D-Bus bus. All resources share one connection to the bus and one task, and a rule that
    /// several resources have is registered once. `Ready` means that the bus has acknowledged the rule. After the
    /// connection was lost and restored, the resource is checked; if the bus is missing for ten seconds, or at the
    /// start, the watch has failed.
    ///
    /// ```
    /// use mgmt::resource::{Bus, SignalRule, Watch};
    ///
    /// /// The properties of a systemd unit, for `Converge::watch`.
    /// fn unit(path: &str) -> Watch {
    ///     let rule = SignalRule::new()
    ///         .sender("org.freedesktop.systemd1")
    ///         .path(path)
    ///         .interface("org.freedesktop.DBus.Properties")
    ///         .member("PropertiesChanged");
    ///     Watch::signals(Bus::System, rule)
    /// }
    /// # assert!(!unit("/org/freedesktop/systemd1/unit/ssh_2eservice").is_none());
    /// ```
    #[cfg(feature = "dbus")]
    pub fn signals(bus: Bus, rule: SignalRule) -> Watch {
        Watch { parts: vec![Part::Signals(bus, rule)] }
    }

    /// A watch that fails at once, for a resource that can't determine what to watch.
    pub fn failed(why: impl Into<String>) -> Watch {
        Watch::stream(Failed(Some(Error::new(why))))
    }

    /// Watches what either of the two watches.
    pub fn and(mut self, other: Watch) -> Watch {
        self.parts.extend(other.parts);
        self
    }

    /// Whether there is nothing to watch.
    pub fn is_none(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parts of the watch.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts of the watch.
    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }
}

/// A stream of one error.
struct Failed(Option<Error>);

impl Stream for Failed {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.parts).finish()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Itself(path) => f.debug_tuple("Itself").field(path).finish(),
            Part::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Part::Levels(path, levels) => f.debug_tuple("Levels").field(path).field(levels).finish(),
            Part::Tree(path) => f.debug_tuple("Tree").field(path).finish(),
            Part::Every(interval) => f.debug_tuple("Every").field(interval).finish(),
            Part::Stream(_) => f.write_str("Stream"),
            #[cfg(feature = "dbus")]
            Part::Signals(bus, rule) => f.debug_tuple("Signals").field(bus).field(rule).finish(),
        }
    }
}
