//! The view of a source of graphs on the world.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::gapi::hosts::follow::follow;
use crate::gapi::hosts::schedule::WorldSchedule;
use crate::gapi::hosts::signal::{WorldSignal, decoded, decoded_by_host};
use crate::gapi::hosts::topics::{Decode, Topics};
use crate::resource::{
    AliveHost, FollowedDeploy, Keys, Member, READ_MAX, Scheduling, all_hosts, living, value_key, values_of,
};

/// What a source of graphs can read of the world that this host shares with others; a closure has it by
/// [`Cx::world`](crate::gapi::Cx::world). Clones are the same view.
///
/// All that is read shares one watch of the world, which ends when nothing is read any more. While the world can't be
/// reached, what was known stays. An engine without a world reads that there is nothing.
#[derive(Clone, Default)]
pub struct WorldView {
    shared: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct Shared {
    member: Option<Arc<dyn Member>>,
    scheduling: Option<Arc<dyn Scheduling>>,
    /// This host, as others see it.
    host: AliveHost,
    /// Whether it is known if this host is chosen, for each schedule that the present graph reads.
    schedules: Mutex<Vec<Arc<AtomicBool>>>,
    topics: Mutex<Topics>,
    /// The keys that the task reads, as soon as there is one.
    wanted: Mutex<Option<watch::Sender<Vec<Keys>>>>,
    /// Changes whenever something was read.
    progress: watch::Sender<()>,
    /// The last wait for the world was in vain.
    is_away: AtomicBool,
    /// Each key is read once, and not watched.
    is_once: AtomicBool,
    /// The deploy that is in force here, if the source of graphs follows deploys.
    followed: watch::Sender<Option<FollowedDeploy>>,
}

impl fmt::Debug for WorldView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldView").field("member", &self.shared.member).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedules(&self) -> MutexGuard<'_, Vec<Arc<AtomicBool>>> {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something that is read is not known yet.
    fn is_waiting(&self) -> bool {
        self.topics().is_waiting() || self.schedules().iter().any(|is_known| !is_known.load(Ordering::Relaxed))
    }

    pub(super) fn is_once(&self) -> bool {
        self.is_once.load(Ordering::Relaxed)
    }

    /// The keys have been read.
    pub(super) fn learn(&self, keys: &[Keys], state: &BTreeMap<String, crate::resource::Entry>) {
        self.topics().learn(keys, state);
        self.is_away.store(false, Ordering::Relaxed);
        self.progress.send_replace(());
    }
}

impl WorldView {
    pub(crate) fn new(
        member: Option<Arc<dyn Member>>,
        scheduling: Option<Arc<dyn Scheduling>>,
        host: AliveHost,
    ) -> WorldView {
        WorldView { shared: Arc::new(Shared { member, scheduling, host, ..Shared::default() }) }
    }

    pub(super) fn scheduling(&self) -> Option<Arc<dyn Scheduling>> {
        self.shared.scheduling.clone()
    }

    pub(super) fn this_host(&self) -> &AliveHost {
        &self.shared.host
    }

    /// The next graph waits until this is true, as for all that is read.
    pub(super) fn wait_for(&self, is_known: Arc<AtomicBool>) {
        self.shared.schedules().push(is_known);
    }

    /// Which deploy is in force here: of a source that follows deploys.
    pub(crate) fn followed(&self) -> watch::Receiver<Option<FollowedDeploy>> {
        self.shared.followed.subscribe()
    }

    /// Notes what is in force here.
    pub(crate) fn note_followed(&self, change: impl FnOnce(&mut FollowedDeploy)) {
        self.shared.followed.send_if_modified(|followed| {
            let before = followed.clone();
            change(followed.get_or_insert_default());
            *followed != before
        });
    }

    pub(super) fn made_progress(&self) {
        self.shared.progress.send_replace(());
    }

    /// A schedule, in which this host takes part as long as its graph reads it: whether it is chosen, and which hosts
    /// are. The same name is the same schedule on all hosts. In noop and for a plan it only looks.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// let gapi = mgmt::native(|g, cx| {
    ///     // Two of all hosts make the backup.
    ///     if cx.read(&cx.world().schedule("backup").pick(2)).is_chosen {
    ///         g.add(File::new("/etc/cron.d/backup").content("0 3 * * * root backup\n"));
    ///     } else {
    ///         g.add(File::new("/etc/cron.d/backup").absent());
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn schedule(&self, name: &str) -> WorldSchedule {
        WorldSchedule::new(self.clone(), name.to_owned())
    }

    /// The access of this host to the world; `None`: the engine has none. In noop nothing may be written to it.
    pub fn member(&self) -> Option<&Arc<dyn Member>> {
        self.shared.member.as_ref()
    }

    /// The value under this key that all hosts share; `None`: there is none, or it can't be read as a `T`, which a
    /// warning reports. The kind `kv` sets values.
    ///
    /// A value is a text. A type that serde makes of a text (`String`, `PathBuf`, `IpAddr`, an enum without content)
    /// gets it as it is; for any other type it is JSON.
    pub fn value<T: DeserializeOwned + Send + Sync + 'static>(&self, key: &str) -> WorldSignal<Option<T>> {
        let at = value_key(key, None);
        let words = key.to_owned();
        let decode: Decode<Option<T>> = Arc::new(move |entries| {
            let (_, bytes) = entries.iter().next()?;
            decoded(bytes, &words, None)
        });
        WorldSignal::new(self.clone(), "value", Keys::One(at), decode)
    }

    /// The values that hosts have for themselves under this key (those of `kv` with `mapped`), by the names of the
    /// hosts. One that can't be read as a `T` is left out, with a warning; see [`value`](WorldView::value).
    pub fn values<T: DeserializeOwned + Send + Sync + 'static>(&self, key: &str) -> WorldSignal<BTreeMap<String, T>> {
        let words = key.to_owned();
        let decode: Decode<BTreeMap<String, T>> = Arc::new(move |entries| decoded_by_host(entries, &words));
        WorldSignal::new(self.clone(), "values", values_of(key), decode)
    }

    /// The hosts whose engines run and reach the world, in the order of their names, with their labels. One that was
    /// killed or cut off is among them until its [`alive_ttl`](crate::runtime::Builder::alive_ttl) has passed. An
    /// engine in noop is not among them. Without a world, this host is the only one.
    pub fn hosts(&self) -> WorldSignal<Vec<AliveHost>> {
        let alone = self.shared.member.is_none().then(|| self.shared.host.clone());
        let decode: Decode<Vec<AliveHost>> = Arc::new(move |entries| match &alone {
            Some(host) => vec![host.clone()],
            None => living(entries.iter().map(|(key, bytes)| (key.as_str(), &**bytes))),
        });
        WorldSignal::new(self.clone(), "hosts", all_hosts(), decode)
    }

    /// A receiver of what is read. Reading begins at once.
    pub(super) fn receiver<T: Send + Sync + 'static>(
        &self,
        words: &str,
        keys: &Keys,
        decode: &Decode<T>,
    ) -> watch::Receiver<T> {
        let receiver = self.shared.topics().receiver(words, keys, decode);
        self.follow();
        receiver
    }

    /// The task reads what is wanted now. It must run in a tokio runtime.
    fn follow(&self) {
        let Some(member) = &self.shared.member else { return };
        let keys = self.shared.topics().keys();
        let mut wanted = self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        match &*wanted {
            Some(sender) => _ = sender.send_if_modified(|now| std::mem::replace(now, keys.clone()) != keys),
            None if keys.is_empty() => {}
            None => {
                let (sender, receiver) = watch::channel(keys);
                *wanted = Some(sender);
                tokio::spawn(follow(Arc::downgrade(&self.shared), Arc::clone(member), receiver));
            }
        }
    }

    /// Nothing is watched: each key is read once.
    pub(crate) fn read_once(&self) {
        self.shared.is_once.store(true, Ordering::Relaxed);
    }

    /// Waits until all that is read has been read once. False: there was nothing to wait for. The wait for a world that
    /// can't be reached ends after [`READ_MAX`], and then there is none until it can.
    pub(crate) async fn read_all(&self) -> bool {
        let is_waiting = || self.shared.is_waiting();
        if self.shared.member.is_none() || !is_waiting() || self.is_away() {
            return false;
        }
        let mut progress = self.shared.progress.subscribe();
        let all = async {
            while is_waiting() {
                // The sender is in this view.
                let _ = progress.changed().await;
            }
        };
        if tokio::time::timeout(READ_MAX, all).await.is_err() {
            self.shared.is_away.store(true, Ordering::Relaxed);
            tracing::info!(
                target: "mgmt",
                "the world has not answered within {READ_MAX:?}: the graph is made of what is known of it, and follows",
            );
        }
        true
    }

    /// Whether the last wait for the world was in vain, and it has not answered since.
    pub(crate) fn is_away(&self) -> bool {
        self.shared.is_away.load(Ordering::Relaxed)
    }

    /// What no graph reads any more is no longer followed.
    pub(crate) fn drop_unused(&self) {
        self.shared.topics().drop_unused();
        self.shared.schedules().clear();
        self.follow();
    }

    /// Nothing is read any more.
    pub(crate) fn close(&self) {
        self.shared.topics().clear();
        self.follow();
    }
}
