//! Watches of etcd, so that each transaction is one event. A watch of one range is in `line.rs`.
//!
//! A stream of etcd has one watch for each range of keys, and they do not wait for one another: the changes of one
//! transaction in two ranges come apart. So with several ranges, changes are kept until etcd has reported that all of
//! them have got that far (a progress report, which etcd sends when it is asked and all watches have caught up). Such a
//! watch has a stream of its own: where watches share one, each of them waits for all others. Older servers report too
//! soon; what is done there is in `parts.rs`. With very many ranges, one is watched there that covers all, and what is
//! between them is dropped here.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use etcd_client::{Client, Event, EventType, WatchOptions, WatchResponse, WatchStream};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::resource::{Changes, Entry, Keys, Revision, WorldEvent, WorldWatch};
use crate::world::etcd::Etcd;
use crate::world::etcd::member::{ANSWER_BYTES_MAX, entry, revision, words};
use crate::world::etcd::parts::{RANGES_MAX, follow_parts};

/// How many transactions may wait for the reader. The watch of a slower reader is lost.
pub(super) const QUEUE_MAX: usize = 1024;
/// How long to wait until the progress is asked for again: etcd does not answer while a watch is behind.
const AGAIN: Duration = Duration::from_millis(20);
/// How long the beginning of a watch may take.
pub(super) const BEGIN_MAX: Duration = Duration::from_secs(5);

/// The first key, and the first one after the last.
pub(super) type Range = (String, Vec<u8>);

/// A watch of these keys. If they are not one range, a task of its own reads it, until it is dropped.
pub(super) fn watch(world: Etcd, keys: Vec<Keys>, after: Revision) -> WorldWatch {
    if let [one] = &keys[..] {
        return world.line().watch(&world, range(one), keys, after);
    }
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(async move {
        let why = tokio::select! {
            why = follow(&world, keys, after, &sender) => why,
            () = sender.closed() => return,
        };
        // An error means that the reader is gone; it waits for room, so that the loss comes after all before it.
        let _ = sender.send(WorldEvent::Lost(why)).await;
    });
    Box::pin(Events(receiver))
}

struct Events(mpsc::Receiver<WorldEvent>);

impl Stream for Events {
    type Item = WorldEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WorldEvent>> {
        Poll::Ready(ready!(self.0.poll_recv(cx)))
    }
}

/// Sends changes until some may have been missed. Returns why.
async fn follow(world: &Etcd, keys: Vec<Keys>, after: Revision, sender: &mpsc::Sender<WorldEvent>) -> String {
    if keys.is_empty() {
        return std::future::pending().await;
    }
    let reports_progress = match world.reports_progress().await {
        Ok(reports) => reports,
        Err(why) => return why,
    };
    if !reports_progress {
        // A host may not be permitted to read what is between its ranges.
        return match keys.len() <= RANGES_MAX || world.is_limited() {
            true => follow_parts(world, &keys, after, sender).await,
            false => follow_covering(world, keys, after, sender).await,
        };
    }
    let (client, number) = match world.client().await {
        Ok(connected) => connected,
        Err(why) => return why,
    };
    match follow_on(client, keys, after, sender).await {
        Ok(why) => why,
        Err(why) => {
            world.lose(number).await;
            why
        }
    }
}

/// The same with one range that covers all keys.
async fn follow_covering(world: &Etcd, keys: Vec<Keys>, after: Revision, sender: &mpsc::Sender<WorldEvent>) -> String {
    let ranges = || keys.iter().map(range);
    let start = ranges().map(|(start, _)| start).min().unwrap_or_default();
    let end = ranges().map(|(_, end)| end).max().unwrap_or_default();
    let mut watch = world.line().watch(world, (start, end), keys.clone(), after);
    loop {
        match poll_fn(|cx| watch.as_mut().poll_next(cx)).await {
            Some(WorldEvent::Lost(why)) => return why,
            Some(changed) => {
                if sender.try_send(changed).is_err() {
                    return "its reader was too slow".to_owned();
                }
            }
            None => return "the watch has ended".to_owned(),
        }
    }
}

/// Sends changes of one connection. Returns why some may have been missed; an error is one of the connection.
async fn follow_on(
    client: Client,
    keys: Vec<Keys>,
    after: Revision,
    sender: &mpsc::Sender<WorldEvent>,
) -> Result<String, String> {
    let text = |error: etcd_client::Error| words(&error);
    let begun = tokio::time::timeout(BEGIN_MAX, begin(client, &keys, after)).await;
    let mut stream = begun.unwrap_or_else(|_| Err(format!("no answer within {BEGIN_MAX:?}")))?;
    let mut kept = Kept { keys, done: after, changes: BTreeMap::new() };
    loop {
        let again = async {
            match kept.changes.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(AGAIN).await,
            }
        };
        let message = tokio::select! {
            message = stream.message() => message.map_err(text)?,
            () = again => {
                stream.request_progress().await.map_err(text)?;
                continue;
            }
        };
        let response = message.ok_or("etcd has ended the watch")?;
        if response.canceled() {
            return Ok(why_ended(&response));
        }
        let is_progress = response.events().is_empty() && !response.created();
        let before = kept.changes.len();
        kept.add(&response);
        let progress = response.header().filter(|_| is_progress);
        if let Some(complete) = progress.map(|header| revision(header.revision())) {
            for changes in kept.take(complete) {
                if sender.try_send(WorldEvent::Changed(changes)).is_err() {
                    return Ok("its reader was too slow".to_owned());
                }
            }
        } else if before == 0 && !kept.changes.is_empty() {
            stream.request_progress().await.map_err(text)?;
        }
    }
}

/// Why etcd has ended a watch.
pub(super) fn why_ended(response: &WatchResponse) -> String {
    match response.compact_revision() {
        0 => format!("etcd has ended the watch: {}", response.cancel_reason()),
        compacted => format!("the changes before revision {compacted} are forgotten"),
    }
}

/// Begins to watch all keys.
async fn begin(client: Client, keys: &[Keys], after: Revision) -> Result<WatchStream, String> {
    let text = |error: etcd_client::Error| words(&error);
    let mut client = client.watch_client().max_decoding_message_size(ANSWER_BYTES_MAX);
    let from = after.0.cast_signed().saturating_add(1);
    let options = |end: Vec<u8>| Some(WatchOptions::new().with_start_revision(from).with_range(end));
    let mut ranges = keys.iter().map(range);
    let Some((start, end)) = ranges.next() else { return Err("there is nothing to watch".to_owned()) };
    let mut stream = client.watch(start, options(end)).await.map_err(text)?;
    for (start, end) in ranges {
        stream.watch(start, options(end)).await.map_err(text)?;
    }
    Ok(stream)
}

pub(super) fn range(keys: &Keys) -> Range {
    match keys {
        Keys::One(key) => (key.clone(), [key.as_bytes(), &[0]].concat()),
        Keys::Below(prefix) => {
            let mut end = prefix.clone().into_bytes();
            // No byte of a text is the highest one; without a prefix, `\0` is the end of all keys.
            match end.last_mut() {
                Some(last) => *last += 1,
                None => end.push(0),
            }
            (prefix.clone(), end)
        }
    }
}

/// Changes that have come, and may not be complete.
struct Kept {
    /// What is watched.
    keys: Vec<Keys>,
    /// Up to here they were sent.
    done: Revision,
    changes: Sorted,
}

/// Changes by revision and key.
type Sorted = BTreeMap<Revision, BTreeMap<String, Option<Entry>>>;

/// Adds the changes of a response that are in these keys and later than `done`. Ranges may overlap.
fn sort(response: &WatchResponse, keys: &[Keys], done: Revision, sorted: &mut Sorted) {
    for event in response.events() {
        let Some((key, entry)) = event.kv().and_then(entry) else { continue };
        if entry.written > done && keys.iter().any(|keys| keys.contain(&key)) {
            let written = entry.written;
            sorted.entry(written).or_default().insert(key, exists(event).then_some(entry));
        }
    }
}

/// The changes of a response of one range, in order. They are complete.
pub(super) fn changes(response: &WatchResponse, keys: &[Keys], done: &mut Revision) -> Vec<Changes> {
    let mut sorted = Sorted::new();
    sort(response, keys, *done, &mut sorted);
    let of =
        |(revision, entries): (Revision, BTreeMap<_, _>)| Changes { revision, entries: entries.into_iter().collect() };
    let changes: Vec<Changes> = sorted.into_iter().map(of).collect();
    *done = changes.last().map_or(*done, |last| last.revision);
    changes
}

impl Kept {
    fn add(&mut self, response: &WatchResponse) {
        sort(response, &self.keys, self.done, &mut self.changes);
    }

    /// The changes up to that revision, in order.
    fn take(&mut self, complete: Revision) -> Vec<Changes> {
        let mut taken = Vec::new();
        while let Some(first) = self.changes.first_entry()
            && *first.key() <= complete
        {
            let (revision, entries) = first.remove_entry();
            self.done = revision;
            taken.push(Changes { revision, entries: entries.into_iter().collect() });
        }
        taken
    }
}

fn exists(event: &Event) -> bool {
    event.event_type() == EventType::Put
}
