//! What a resource wants to be woken by.

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

/// What a watch says. It carries nothing else: what changed is found by `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// It listens: from now on nothing is missed.
    Ready,
    /// Something may have changed: look again.
    Changed,
}

/// A stream of a kind's own. It must say `Ready` once it listens; its end or an error is a failed watch.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchEvent>> + Send>>;

/// What a resource wants to be woken by: parts of the engine's shared watch hub, which cost no task, or streams of its
/// own.
#[derive(Default)]
#[must_use]
pub struct Watch {
    parts: Vec<Part>,
}

/// One thing to watch.
pub enum Part {
    /// A path: whether it exists, what it is, its content and attributes; of a directory not which names are in it. It
    /// need not exist yet.
    Itself(PathBuf),
    /// The same, and of a directory which names are in it.
    Path(PathBuf),
    /// A directory and this number of levels below it: with 1, what is directly in it.
    Levels(PathBuf, u16),
    /// A directory and all below it.
    Tree(PathBuf),
    /// Time.
    Every(Duration),
    /// Whatever the kind itself listens to.
    Stream(WatchStream),
    /// Signals of a D-Bus bus.
    #[cfg(feature = "dbus")]
    Signals(Bus, SignalRule),
}

impl Watch {
    /// Nothing outside can change it.
    pub fn none() -> Watch {
        Watch::default()
    }

    /// Watch a path, but of a directory not which names are in it: what other programs put there wakes nothing.
    pub fn itself(path: impl AsRef<Path>) -> Watch {
        Watch { parts: vec![Part::Itself(path.as_ref().to_owned())] }
    }

    /// Watch a path; of a directory, also which names are in it.
    pub fn path(path: impl AsRef<Path>) -> Watch {
        Watch { parts: vec![Part::Path(path.as_ref().to_owned())] }
    }

    /// Watch a directory and this number of levels below it: with 1, what is directly in it, and its content.
    pub fn levels(path: impl AsRef<Path>, levels: u16) -> Watch {
        Watch { parts: vec![Part::Levels(path.as_ref().to_owned(), levels)] }
    }

    /// Watch a directory and all below it, down to 256 levels: what is nested deeper is named once in a warning.
    pub fn tree(path: impl AsRef<Path>) -> Watch {
        Watch { parts: vec![Part::Tree(path.as_ref().to_owned())] }
    }

    /// Report `Changed` after each interval; the shortest is 1 ms, and a shorter one is taken as that.
    pub fn every(interval: Duration) -> Watch {
        Watch { parts: vec![Part::Every(interval)] }
    }

    /// Watch by a stream of one's own.
    pub fn stream(stream: impl Stream<Item = Result<WatchEvent>> + Send + 'static) -> Watch {
        Watch { parts: vec![Part::Stream(Box::pin(stream))] }
    }

    /// Watch by one asynchronous step after the other: each is given the state that the one before returned. The first
    /// one begins to listen and returns `Ready`; each of the others waits until something may have changed. An error is
    /// a failed watch, which the engine begins again, by another call of `watch`, as the retry policy of the resource
    /// says.
    ///
    /// ```
    /// # use mgmt::resource::{Context, Result, Watch, WatchEvent};
    /// use tokio::net::UnixDatagram;
    ///
    /// /// Whoever writes to this socket wakes the resource.
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

    /// Watch by what code elsewhere says: a callback of a library, a thread, a task.
    ///
    /// ```
    /// # use std::sync::Mutex;
    /// # use mgmt::resource::{Watch, WatchSender};
    /// /// Who is to be woken by a button.
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

    /// Watch signals of a D-Bus bus. All resources share one connection to the bus and one task, and a rule that
    /// several resources have is registered once. `Ready` means that the bus has acknowledged the rule. When the bus is
    /// lost and comes back, the resource is checked; if it stays away for ten seconds, or is not there at the start,
    /// the watch has failed.
    ///
    /// ```
    /// use mgmt::resource::{Bus, SignalRule, Watch};
    ///
    /// /// The properties of a unit of systemd, for `Converge::watch`.
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

    /// A watch that fails at once: for whoever can't say what to watch.
    pub fn failed(why: impl Into<String>) -> Watch {
        Watch::stream(Failed(Some(Error::new(why))))
    }

    /// Watch this and that.
    pub fn and(mut self, other: Watch) -> Watch {
        self.parts.extend(other.parts);
        self
    }

    /// Nothing to watch.
    pub fn is_none(&self) -> bool {
        self.parts.is_empty()
    }

    /// What to watch.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What to watch.
    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }
}

/// Says why, and ends.
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
