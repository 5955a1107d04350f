//! Watches all that is exported, as another program that uses the same world, and notices what is written twice.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use mgmt::resource::{Entry, Keys, Member, Snapshot, World, WorldEvent};
use mgmt::world::Etcd;

const EXPORTS: &str = "/mgmt/exports/";

/// Sees every change of what is exported.
pub(super) struct Observer {
    member: Arc<dyn Member>,
    runtime: tokio::runtime::Runtime,
    twice: Arc<Mutex<Vec<String>>>,
}

/// An export: all of its key but the number.
fn export(key: &str) -> Option<&str> {
    let parts = key.strip_prefix(EXPORTS)?.split('/').count();
    (parts == 5).then(|| key.rsplit_once('/').map(|(export, _)| export))?
}

/// The values of all exports, each with the number that holds.
fn values(state: &BTreeMap<String, Entry>) -> BTreeMap<String, Vec<u8>> {
    let entries = state.iter().filter_map(|(key, entry)| Some((export(key)?.to_owned(), entry.value.to_vec())));
    entries.collect()
}

impl Observer {
    pub(super) fn new(world: &Etcd) -> Observer {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let member = World::member(world, "observer");
        let twice = Arc::<Mutex<Vec<String>>>::default();
        runtime.spawn(observe(Arc::clone(&member), Arc::clone(&twice)));
        Observer { member, runtime, twice }
    }

    /// What was written although it was there already.
    pub(super) fn twice(&self) -> Vec<String> {
        self.twice.lock().unwrap().clone()
    }

    /// All keys, for a test that fails.
    pub(super) fn keys(&self) -> String {
        let found = self.runtime.block_on(self.member.get(vec![Keys::Below("/mgmt/export".to_owned())]));
        let shown = |(key, entry): (&String, &Entry)| {
            format!("{key} at revision {}: {}\n", entry.written.0, String::from_utf8_lossy(&entry.value))
        };
        found.map(|found| found.entries.iter().map(shown).collect()).unwrap_or_else(|error| error.to_string())
    }

    /// What is exported now: by the host and the name, how many entries there are.
    pub(super) fn exported(&self) -> Result<BTreeMap<(String, String), usize>, String> {
        let found = self.runtime.block_on(self.member.get(vec![Keys::Below(EXPORTS.to_owned())]));
        let mut exported = BTreeMap::new();
        for key in found.map_err(|error| error.to_string())?.entries.keys() {
            let Some(export) = export(key) else { continue };
            let (rest, name) = export.rsplit_once('/').unwrap_or_default();
            let host = rest.rsplit_once('/').map_or(rest, |(_, host)| host);
            *exported.entry((host.to_owned(), name.replace("%2F", "/"))).or_default() += 1;
        }
        Ok(exported)
    }
}

/// Runs for ever.
async fn observe(member: Arc<dyn Member>, twice: Arc<Mutex<Vec<String>>>) {
    let keys = || vec![Keys::Below(EXPORTS.to_owned())];
    loop {
        let Ok(mut state) = member.get(keys()).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut watch = member.watch(keys(), state.revision);
        while let Some(WorldEvent::Changed(changes)) = next(&mut watch).await {
            let again = written_again(&state, &changes);
            twice.lock().unwrap().extend(again);
            state.apply(changes);
        }
    }
}

async fn next(watch: &mut Pin<Box<dyn futures_util::Stream<Item = WorldEvent> + Send>>) -> Option<WorldEvent> {
    watch.next().await
}

/// What a change writes although it is there.
fn written_again(state: &Snapshot, changes: &mgmt::resource::Changes) -> Vec<String> {
    let before = values(&state.entries);
    let written = changes.entries.iter().filter_map(|(key, entry)| Some((key, entry.as_ref()?)));
    let again = written.filter(|(key, entry)| {
        export(key).is_some_and(|export| before.get(export).is_some_and(|value| **value == *entry.value))
    });
    again.map(|(key, _)| format!("{key} at revision {}", changes.revision.0)).collect()
}
