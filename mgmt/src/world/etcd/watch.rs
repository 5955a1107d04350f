//! Watches of etcd, so that each transaction is one event.
//!
//! A stream of etcd has one watch for each range of keys, and they do not wait for one another: the changes of one
//! transaction in two ranges come apart. So with several ranges, changes are kept until etcd has reported that all of
//! them have got that far (a progress report, which etcd sends when it is asked and all watches have caught up). Older
//! servers send it too soon; there one range is watched that covers all, and what is between them is dropped here. A
//! host that may not read that much reads all ranges at each change (`reading`).

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use etcd_client::{Client, Event, EventType, WatchOptions, WatchResponse, WatchStream};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::resource::{Changes, Entry, Keys, Revision, WorldEvent, WorldWatch};
use crate::world::etcd::member::{ANSWER_BYTES_MAX, entry, revision, words};
use crate::world::etcd::{Etcd, reading};

/// How many transactions may wait for the reader. The watch of a slower reader is lost.
const QUEUE_MAX: usize = 1024;
/// How long to wait until the progress is asked for again: etcd does not answer while a watch is behind.
const AGAIN: Duration = Duration::from_millis(20);
/// How long the beginning of a watch may take.
const BEGIN_MAX: Duration = Duration::from_secs(5);

/// A watch of these keys. A task of its own reads it, until it is dropped.
pub(super) fn watch(world: Etcd, keys: Vec<Keys>, after: Revision) -> WorldWatch {
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
    let (client, number) = match world.client().await {
        Ok(connected) => connected,
        Err(why) => return why,
    };
    match follow_on(world, client, keys, after, sender).await {
        Ok(why) => why,
        Err(why) => {
            world.lose(number).await;
            why
        }
    }
}

/// Sends changes of one connection. Returns why some may have been missed; an error is one of the connection.
async fn follow_on(
    world: &Etcd,
    client: Client,
    keys: Vec<Keys>,
    after: Revision,
    sender: &mpsc::Sender<WorldEvent>,
) -> Result<String, String> {
    let text = |error: etcd_client::Error| words(&error);
    let begun = tokio::time::timeout(BEGIN_MAX, begin(world, client.clone(), &keys, after)).await;
    let (mut stream, how) = begun.unwrap_or_else(|_| Err(format!("no answer within {BEGIN_MAX:?}")))?;
    if how == How::Reading {
        return reading::follow(&client, stream, keys, after, sender).await;
    }
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
            return Ok(match response.compact_revision() {
                0 => format!("etcd has ended the watch: {}", response.cancel_reason()),
                compacted => format!("the changes before revision {compacted} are forgotten"),
            });
        }
        let is_progress = response.events().is_empty() && !response.created();
        let before = kept.changes.len();
        kept.add(&response);
        let complete = match response.header() {
            // All events of a revision are in one response.
            _ if how == How::Single => Some(Revision(u64::MAX)),
            Some(header) if is_progress => Some(revision(header.revision())),
            _ => None,
        };
        if let Some(complete) = complete {
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

/// How a watch of etcd is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// It is one range.
    Single,
    /// Several ranges, with reports of progress.
    Several,
    /// See `reading`.
    Reading,
}

/// Begins to watch all keys.
async fn begin(world: &Etcd, client: Client, keys: &[Keys], after: Revision) -> Result<(WatchStream, How), String> {
    let text = |error: etcd_client::Error| words(&error);
    let mut client = client.watch_client().max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut ranges: Vec<(String, Vec<u8>)> = keys.iter().map(range).collect();
    let mut how = if ranges.len() == 1 { How::Single } else { How::Several };
    if how == How::Several && !world.reports_progress().await? {
        if world.is_limited() {
            how = How::Reading;
        } else {
            let start = ranges.iter().map(|(start, _)| start.clone()).min();
            let end = ranges.iter().map(|(_, end)| end.clone()).max();
            (ranges, how) = (start.into_iter().zip(end).collect(), How::Single);
        }
    }
    let from = after.0.cast_signed().saturating_add(1);
    let options = |end: Vec<u8>| Some(WatchOptions::new().with_start_revision(from).with_range(end));
    let mut ranges = ranges.into_iter();
    let Some((start, end)) = ranges.next() else { return Err("there is nothing to watch".to_owned()) };
    let mut stream = client.watch(start, options(end)).await.map_err(text)?;
    for (start, end) in ranges {
        stream.watch(start, options(end)).await.map_err(text)?;
    }
    Ok((stream, how))
}

/// The first key, and the first one after the last.
fn range(keys: &Keys) -> (String, Vec<u8>) {
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
    changes: BTreeMap<Revision, BTreeMap<String, Option<Entry>>>,
}

impl Kept {
    fn add(&mut self, response: &WatchResponse) {
        for event in response.events() {
            let Some((key, entry)) = event.kv().and_then(entry) else { continue };
            // Ranges may overlap.
            if entry.written > self.done && self.keys.iter().any(|keys| keys.contain(&key)) {
                let written = entry.written;
                self.changes.entry(written).or_default().insert(key, exists(event).then_some(entry));
            }
        }
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
