//! The connection to a hypervisor, which the resources of an engine with the same URI and login share, and its events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::resource::{CheckCx, Connections, Door, Error, Result, Watch, WatchCx, WatchEvent};
use crate::sys::libvirt::{Libvirt, Login, Place, Subscription};
use crate::sys::threads::on_thread;

/// What distinguishes connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct VirtKey {
    pub(super) uri: String,
    pub(super) login: Option<Login>,
}

/// The connection.
#[derive(Debug)]
struct VirtDoor(Arc<Libvirt>);

impl Door for VirtDoor {
    type Key = VirtKey;

    async fn open(key: &VirtKey) -> Result<VirtDoor> {
        let key = key.clone();
        match on_thread(move || Libvirt::open(&key.uri, key.login.as_ref())).await {
            Some(Ok(opened)) => Ok(VirtDoor(Arc::new(opened?))),
            Some(Err(_)) => Err(Error::new("opening a connection to libvirt panicked")),
            None => Err(Error::new("the runtime is ending")),
        }
    }

    fn is_lost(&self) -> bool {
        self.0.is_lost()
    }
}

/// How often resources have found each connection, for watches that have none.
#[derive(Debug, Default)]
struct Found(Mutex<HashMap<VirtKey, watch::Sender<u64>>>);

impl Found {
    fn subscribe(&self, key: &VirtKey) -> watch::Receiver<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default().subscribe()
    }

    fn found(&self, key: &VirtKey) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = all.get(key).filter(|sender| sender.receiver_count() > 0) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        } else {
            all.remove(key);
        }
    }
}

/// The connection of the engine, or the hypervisor of the simulated host.
pub(super) async fn libvirt(cx: &CheckCx, key: &VirtKey) -> Result<Arc<Libvirt>> {
    if let Some(simulated) = Libvirt::simulated() {
        return Ok(Arc::new(simulated));
    }
    let door = cx.door::<VirtDoor>(key).await?;
    cx.shared::<Found>().found(key);
    Ok(Arc::clone(&door.0))
}

/// What wakes a resource: the events of its domain, the files that libvirt writes for it, and the sockets at which
/// libvirt may appear. The files of its devices are not among it: a domain that runs writes to them.
pub(super) fn events(cx: &WatchCx, key: VirtKey, name: &str, place: &Place) -> Watch {
    let mut files: Vec<_> = place.files(name);
    files.extend(place.sockets());
    if Libvirt::simulated().is_some() {
        return files.into_iter().fold(Watch::none(), |all, path| all.and(cx.fs().path(path)));
    }
    let from = Source { key, name: name.to_owned(), connections: cx.connections(), found: cx.shared() };
    let from = Arc::new(from);
    let stream = Watch::unfold(Listening::Begin, move |state| step(Arc::clone(&from), state));
    files.into_iter().fold(stream, |all, path| all.and(cx.fs().itself(path)))
}

struct Source {
    key: VirtKey,
    name: String,
    connections: Connections,
    found: Arc<Found>,
}

enum Listening {
    Begin,
    To(Subscription),
    /// There is no connection. The resource is woken by a socket, or tries again by itself: when it has found one, the
    /// events are heard again.
    Away(watch::Receiver<u64>),
}

impl Source {
    async fn listen(&self) -> Listening {
        let away = self.found.subscribe(&self.key);
        match self.connections.door::<VirtDoor>(&self.key).await {
            Ok(door) => door.0.subscribe(&self.name).map_or(Listening::Away(away), Listening::To),
            Err(_) => Listening::Away(away),
        }
    }
}

async fn step(from: Arc<Source>, state: Listening) -> Result<(WatchEvent, Listening)> {
    match state {
        Listening::Begin => Ok((WatchEvent::Ready, from.listen().await)),
        Listening::To(mut events) => {
            let is_heard = events.changed().await;
            let next = if is_heard { Listening::To(events) } else { Listening::Away(from.found.subscribe(&from.key)) };
            Ok((WatchEvent::Changed, next))
        }
        Listening::Away(mut found) => loop {
            if found.changed().await.is_err() {
                return Err(Error::new("the engine is ending"));
            }
            let now = from.listen().await;
            if let Listening::To(_) = now {
                // What happened before the events were heard is looked at.
                return Ok((WatchEvent::Changed, now));
            }
        },
    }
}
