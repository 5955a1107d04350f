//! What waits for the events of a connection.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The events of one connection.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    by_name: HashMap<String, Vec<watch::Sender<u64>>>,
    /// No further event will come.
    is_over: bool,
}

/// Events of the domain of one name, from the moment at which it was made. Any number of events is one.
#[derive(Debug)]
pub struct Subscription(watch::Receiver<u64>);

impl Subscription {
    /// Waits until something may have changed. `false`: the connection is lost, and no event will come.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the events of the domain of this name, which need not exist.
    pub(super) fn subscribe(&self, name: &str) -> Subscription {
        let (sender, receiver) = watch::channel(0);
        let mut waiting = self.lock();
        if !waiting.is_over {
            let all = waiting.by_name.entry(name.to_owned()).or_default();
            all.retain(|sender| !sender.is_closed());
            all.push(sender);
        }
        Subscription(receiver)
    }

    /// Something has happened to the domain of this name.
    pub(super) fn event(&self, name: &str) {
        let mut waiting = self.lock();
        let Some(all) = waiting.by_name.get_mut(name) else { return };
        all.retain(|sender| !sender.is_closed());
        all.iter().for_each(|sender| sender.send_modify(|count| *count = count.wrapping_add(1)));
        if all.is_empty() {
            waiting.by_name.remove(name);
        }
    }

    /// No event will come any more.
    pub(super) fn end(&self) {
        let mut waiting = self.lock();
        waiting.is_over = true;
        waiting.by_name.clear();
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }
}
