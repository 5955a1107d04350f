//! Values that change, for graphs that follow them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::sys::facts::{self, FactError};
use crate::sys::fs::hub::{Hub, Options, Watched};

/// A value that changes over time and that a graph's closure can read: a tokio watch channel, or a [`Signal`].
pub trait Readable<T> {
    /// A receiver of the value's changes.
    fn receiver(&self) -> watch::Receiver<T>;
}

impl<T: Clone> Readable<T> for watch::Receiver<T> {
    fn receiver(&self) -> watch::Receiver<T> {
        self.clone()
    }
}

impl<T> Readable<T> for watch::Sender<T> {
    fn receiver(&self) -> watch::Receiver<T> {
        self.subscribe()
    }
}

impl<T> Readable<T> for Signal<T> {
    fn receiver(&self) -> watch::Receiver<T> {
        self.shared.receiver.get_or_init(|| (self.shared.start)()).clone()
    }
}

/// A value that changes over time and that this library follows: an interval, a file's content, facts about this host.
/// It starts to follow its source when it is first read, which must happen in a tokio runtime, and stops when nothing
/// reads it any more.
#[derive(Clone)]
pub struct Signal<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    receiver: OnceLock<watch::Receiver<T>>,
    start: Box<dyn Fn() -> watch::Receiver<T> + Send + Sync>,
}

impl<T> std::fmt::Debug for Signal<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signal")
    }
}

impl<T: Send + Sync + 'static> Signal<T> {
    fn new(start: impl Fn() -> watch::Receiver<T> + Send + Sync + 'static) -> Signal<T> {
        Signal { shared: Arc::new(Shared { receiver: OnceLock::new(), start: Box::new(start) }) }
    }
}

impl Signal<u64> {
    /// Counts up by one after each interval, from 0. The shortest interval is 1 ms; a shorter one becomes 1 ms.
    pub fn interval(interval: Duration) -> Signal<u64> {
        Signal::new(move || {
            let (sender, receiver) = watch::channel(0);
            tokio::spawn(async move {
                let mut timer = tokio::time::interval(interval.max(Duration::from_millis(1)));
                timer.tick().await;
                loop {
                    tokio::select! {
                        _ = timer.tick() => sender.send_modify(|count| *count += 1),
                        () = sender.closed() => return,
                    }
                }
            });
            receiver
        })
    }
}

impl Signal<Option<String>> {
    /// The content of a file; `None` while it can't be read or is not UTF-8.
    pub fn file(path: impl Into<PathBuf>) -> Signal<Option<String>> {
        let path = path.into();
        Signal::new(move || {
            let path = path.clone();
            let (sender, receiver) = watch::channel(read(&path));
            tokio::spawn(follow(path, sender));
            receiver
        })
    }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

async fn follow(path: PathBuf, sender: watch::Sender<Option<String>>) {
    let mut hub = Hub::new(Options::default());
    if let Err(error) = hub.subscribe(0, &path, Watched::Path) {
        return tracing::error!(target: "mgmt", "{} can't be followed: {error}", path.display());
    }
    loop {
        let content = read(&path);
        sender.send_if_modified(|old| {
            let differs = *old != content;
            *old = content;
            differs
        });
        tokio::select! {
            _ = hub.next() => {}
            () = sender.closed() => return,
        }
    }
}

/// Facts about this host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// The host's name.
    pub hostname: String,
    /// The operating system, as `/etc/os-release` names it.
    pub os: String,
    /// The release of the kernel.
    pub kernel: String,
    /// The number of processors.
    pub cpus: usize,
    /// The memory in bytes.
    pub memory: u64,
    /// The part of the memory that is available, in bytes.
    pub memory_available: u64,
    /// The load average of the last minute.
    pub load: f64,
    /// The seconds since the host started.
    pub uptime: u64,
}

impl Facts {
    /// The facts as they are now.
    ///
    /// # Errors
    /// A fact can't be read. (A system that does not give its name is no error: `os` is then the kernel's name.)
    pub fn now() -> Result<Facts, FactError> {
        let root = Path::new("/");
        Ok(Facts {
            hostname: facts::hostname(),
            os: facts::os(root)?,
            kernel: facts::kernel(),
            cpus: facts::cpus(),
            memory: facts::memory(root, "MemTotal:")?,
            memory_available: facts::memory(root, "MemAvailable:")?,
            load: facts::load(root)?,
            uptime: facts::uptime(root)?,
        })
    }
}

impl Signal<Result<Facts, FactError>> {
    /// Facts about this host, read again after each interval. The shortest interval is 100 ms; a shorter one becomes
    /// 100 ms. A closure reads them with `cx.read(&facts)?`: while a fact can't be read there is no new graph, and the
    /// last one stays in force.
    pub fn facts(interval: Duration) -> Signal<Result<Facts, FactError>> {
        Signal::new(move || {
            let (sender, receiver) = watch::channel(Facts::now());
            tokio::spawn(async move {
                let mut timer = tokio::time::interval(interval.max(Duration::from_millis(100)));
                timer.tick().await;
                loop {
                    tokio::select! {
                        _ = timer.tick() => {
                            let facts = Facts::now();
                            sender.send_if_modified(|old| {
                                let differs = *old != facts;
                                *old = facts;
                                differs
                            });
                        }
                        () = sender.closed() => return,
                    }
                }
            });
            receiver
        })
    }
}
