//! Watches of several ranges on a server that reports progress too soon, for a host that may not read what is between
//! the ranges: each change is a reason to read all of them as of one revision, and what differs is the event. It costs
//! a list of the keys for each change, and several transactions may be one event.

use std::collections::BTreeMap;

use etcd_client::{Client, WatchStream};
use tokio::sync::mpsc;

use crate::resource::{Changes, Entry, Keys, Revision, WorldEvent};
use crate::world::etcd::member::{code, is_outdated, revision, snapshot, words};

/// The code of gRPC with which a server refuses to read a state that it has forgotten.
const OUT_OF_RANGE: i32 = 11;

/// Sends changes until some may have been missed. Returns why; an error is one of the connection.
pub(super) async fn follow(
    client: &Client,
    mut stream: WatchStream,
    keys: Vec<Keys>,
    after: Revision,
    sender: &mpsc::Sender<WorldEvent>,
) -> Result<String, String> {
    let (mut done, mut known) = (after, BTreeMap::new());
    if after > Revision::default() {
        match read(client, &keys, after, true).await {
            Ok((_, entries)) => known = written(&entries),
            Err(Unread::Forgotten) => return Ok(format!("the changes after revision {} are forgotten", after.0)),
            Err(Unread::Because(why)) => return Err(why),
        }
    }
    loop {
        let message = stream.message().await.map_err(|error| words(&error))?;
        let response = message.ok_or("etcd has ended the watch")?;
        if response.canceled() {
            return Ok(format!("etcd has ended the watch: {}", response.cancel_reason()));
        }
        let newest =
            response.events().iter().filter_map(|event| event.kv()).map(|kv| revision(kv.mod_revision())).max();
        if newest.is_none_or(|newest| newest <= done) {
            continue;
        }
        let (now, listed) = match read(client, &keys, Revision::default(), true).await {
            Ok(read) => read,
            Err(Unread::Forgotten) => return Ok("the changes are forgotten".to_owned()),
            Err(Unread::Because(why)) => return Err(why),
        };
        let listed = written(&listed);
        let news = listed.iter().filter(|(key, written)| known.get(*key) != Some(*written));
        let news: Vec<Keys> = news.map(|(key, _)| Keys::One(key.clone())).collect();
        let gone = known.keys().filter(|key| !listed.contains_key(*key)).map(|key| (key.clone(), None));
        let mut entries: BTreeMap<String, Option<Entry>> = gone.collect();
        if !news.is_empty() {
            match read(client, &news, now, false).await {
                Ok((_, found)) => entries.extend(found.into_iter().map(|(key, entry)| (key, Some(entry)))),
                Err(Unread::Forgotten) => return Ok(format!("revision {} is forgotten", now.0)),
                Err(Unread::Because(why)) => return Err(why),
            }
        }
        (done, known) = (now, listed);
        if entries.is_empty() {
            continue;
        }
        let changes = Changes { revision: now, entries: entries.into_iter().collect() };
        if sender.try_send(WorldEvent::Changed(changes)).is_err() {
            return Ok("its reader was too slow".to_owned());
        }
    }
}

/// Which revision has written each entry.
fn written(entries: &BTreeMap<String, Entry>) -> BTreeMap<String, Revision> {
    entries.iter().map(|(key, entry)| (key.clone(), entry.written)).collect()
}

enum Unread {
    Forgotten,
    Because(String),
}

/// Reads these keys as of a revision, or of now; without their values if `keys_only`.
async fn read(
    client: &Client,
    keys: &[Keys],
    at: Revision,
    keys_only: bool,
) -> Result<(Revision, BTreeMap<String, Entry>), Unread> {
    loop {
        match snapshot(client.clone(), keys.to_vec(), at, keys_only).await {
            Ok(snapshot) => return Ok((snapshot.revision, snapshot.entries)),
            Err(error) if is_outdated(&error) => {}
            Err(error) if code(&error) == Some(OUT_OF_RANGE) => return Err(Unread::Forgotten),
            Err(error) => return Err(Unread::Because(words(&error))),
        }
    }
}
