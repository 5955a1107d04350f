//! The hub itself: subscriptions in, events out, driven by the task that awaits `next`.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::api::{BackendKind, Error, Event, Listening, Options, Reason, Stats, Watched};
use super::backend::{Backend, Nothing};
use super::core::Core;
use super::inotify::Inotify;
use super::mounts::Mounts;
use super::notify::Notify;
use super::quiet::Quiet;

/// The number of polling rounds between two attempts to get an inotify instance.
const RETRY_ROUNDS: u64 = 32;

/// One watcher of the file system for many resources.
///
/// It has no task and no thread: the kernel records changes, and [`Hub::next`] takes them. Nothing runs while nothing
/// changes, unless something must be polled.
///
/// Changes that the system does not report are not noticed: writes through a hard link that was made elsewhere after
/// the subscription, writes to a mapped file before it is closed, changes by other hosts on a network file system.
pub struct Hub {
    pub(super) core: Core,
    pub(super) backend: Box<dyn Backend>,
    mounts: Option<Mounts>,
    options: Options,
    round: Option<Pin<Box<Sleep>>>,
    rounds: u64,
    /// Paths waited for a watch when the last round of polling began.
    was_limited: bool,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("options", &self.options).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub without subscriptions. Does not need a running runtime. If the chosen facility does not work, paths are
    /// polled, and `Degraded` reports it.
    pub fn new(options: Options) -> Self {
        let mut core = Core::new(options.tree_directories_max);
        let backend = open(options.backend).unwrap_or_else(|source| {
            core.degraded(Reason::Instances { source });
            Box::new(Nothing)
        });
        // Without /proc, a mount over a watched directory is not noticed.
        let mounts = Mounts::new().inspect_err(|error| tracing::debug!(%error, "mounts are not watched")).ok();
        Self { core, backend, mounts, options, round: None, rounds: 0, was_limited: false }
    }

    /// Watches a path for a key; a key may have several. The path need not exist. A relative path starts at the current
    /// directory. When this returns, the hub listens: every later change is reported.
    ///
    /// # Errors
    /// The path is not a possible one. A path that can't be looked at is reported as `Failed` by `next` instead.
    pub fn subscribe(&mut self, key: u64, path: &Path, kind: Watched) -> Result<(), Error> {
        self.core.subscribe(&mut *self.backend, key, path, kind)
    }

    /// Like [`Hub::subscribe`], but returns after a millisecond or two, even if a large tree must be read: then `next`
    /// does the rest, and reports `Ready`.
    ///
    /// # Errors
    /// As [`Hub::subscribe`].
    pub fn begin(&mut self, key: u64, path: &Path, kind: Watched) -> Result<Listening, Error> {
        self.core.subscribe_in_slices(&mut *self.backend, key, path, kind)
    }

    /// Drops all paths of a key. The key is not reported any more, not even for earlier changes.
    pub fn unsubscribe(&mut self, key: u64) {
        self.core.unsubscribe(&mut *self.backend, key);
    }

    /// Whether the key has subscribed to these paths and no others.
    pub fn has_just(&self, key: u64, paths: &[(&Path, Watched)]) -> bool {
        self.core.has_just(key, paths)
    }

    /// Whether every change at this path is reported to the key: of its existence, its attributes, its content.
    pub fn listens_to(&self, key: u64, path: &Path) -> bool {
        self.core.listens_to(key, path)
    }

    /// Waits for the next events; never an empty batch. Nothing is lost if the future is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn next(&mut self) -> Vec<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Hub::next`] for callers that poll by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Event>> {
        loop {
            self.core.begin();
            let mut is_idle = true;
            is_idle &= self.poll_backend(cx).is_pending();
            is_idle &= self.poll_mounts(cx).is_pending();
            is_idle &= self.poll_round(cx).is_pending();
            self.core.settle_slice(&mut *self.backend);
            self.notice_recovery();
            if let Some(events) = self.core.take() {
                return Poll::Ready(events);
            }
            if !self.core.is_settled() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if is_idle {
                return Poll::Pending;
            }
        }
    }

    /// The events of all changes so far, without waiting. (Polled paths are left to `next`, and so are looks that take
    /// long: see [`Hub::is_settled`].)
    pub fn take(&mut self) -> Vec<Event> {
        self.core.begin();
        let core = &mut self.core;
        if let Err(source) = self.backend.drain(&mut |raw| core.collect(raw)) {
            self.lose_backend(source);
        }
        if let Some(changed) = self.mounts.as_mut().and_then(Mounts::changed) {
            self.remounted(changed);
        }
        self.core.settle_slice(&mut *self.backend);
        self.core.take().unwrap_or_default()
    }

    /// Whether nothing is left to look at. If `false`, `next` has something to do.
    pub fn is_settled(&self) -> bool {
        self.core.is_settled()
    }

    /// A check whether the kernel has queued any event since this call, or changed the table of mounts. `None` if that
    /// can't be known, or as long as something is left to report.
    pub fn quiet(&self) -> Option<Quiet> {
        let quiet = if self.core.is_all_told() { self.backend.quiet()? } else { return None };
        Some(match &self.mounts {
            Some(mounts) => quiet.and(mounts.changes()),
            None => quiet,
        })
    }

    /// What the hub holds at the moment.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    fn poll_backend(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let core = &mut self.core;
        let drained = std::task::ready!(self.backend.poll_drain(cx, &mut |raw| core.collect(raw)));
        if let Err(source) = drained {
            self.lose_backend(source);
        }
        Poll::Ready(())
    }

    fn poll_mounts(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mounts) = &mut self.mounts else { return Poll::Pending };
        let changed = std::task::ready!(mounts.poll_changed(cx));
        self.remounted(changed);
        Poll::Ready(())
    }

    fn remounted(&mut self, changed: std::io::Result<Vec<Vec<u8>>>) {
        match changed {
            Ok(places) => {
                self.backend.remounted();
                self.core.remounted(&places);
            }
            Err(error) => {
                tracing::warn!(%error, "mounts are not watched any more");
                self.mounts = None;
            }
        }
    }

    fn poll_round(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.core.polled.is_empty() {
            self.round = None;
            return Poll::Pending;
        }
        let interval = self.options.poll_interval;
        let round = self.round.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + interval)));
        std::task::ready!(round.as_mut().poll(cx));
        self.round = None;
        self.rounds += 1;
        self.was_limited = self.core.limited() > 0;
        if self.rounds.is_multiple_of(RETRY_ROUNDS) {
            self.find_backend();
        }
        self.core.tick();
        Poll::Ready(())
    }

    /// After a round of polling: reports that no path waits for a watch any more.
    fn notice_recovery(&mut self) {
        if self.was_limited && self.core.is_settled() {
            self.was_limited = false;
            if self.core.limited() == 0 && self.core.stats().watches > 0 {
                self.core.say(Event::Recovered);
            }
        }
    }

    /// Opens the facility again if there is none: an inotify instance may have become free.
    fn find_backend(&mut self) {
        if self.backend.is_able() || self.options.backend == BackendKind::Poll {
            return;
        }
        if let Ok(backend) = open(self.options.backend) {
            self.backend = backend;
            self.core.retry_all();
        }
    }

    fn lose_backend(&mut self, source: std::io::Error) {
        tracing::error!(error = %source, "inotify has failed");
        self.backend = Box::new(Nothing);
        self.core.degraded(Reason::Instances { source });
        self.core.lose_watches();
    }
}

fn open(kind: BackendKind) -> std::io::Result<Box<dyn Backend>> {
    Ok(match kind {
        BackendKind::Auto | BackendKind::Inotify => Box::new(Inotify::new()?),
        BackendKind::Notify => Box::new(Notify::new()?),
        BackendKind::Poll => Box::new(Nothing),
    })
}
