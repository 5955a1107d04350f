//! Watches of several ranges on servers that report the progress of watches too soon (see `watch.rs`).
//!
//! Each range has a watch. How far these have got is found out by a question: as of the last revision that has come,
//! what was written last in each range, and how many entries are there? If no range has anything later than what has
//! come of it, and as many entries as it had then, nothing is missing up to that revision. (An entry that has come and
//! gone in between leaves no trace in the answer. If it comes later, the watch is lost: the reader takes a snapshot.)
//!
//! So a change costs one question. One watch that covers all ranges would cost none, but gets all that lies between
//! them: all that is for hosts whose names come before the one of this host.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::{GetOptions, GetResponse, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse};
use tokio::sync::mpsc;

use crate::resource::{Changes, Entry, Keys, Revision, WorldEvent, WorldWatch};
use crate::world::etcd::Etcd;
use crate::world::etcd::member::{ANSWER_MAX, LIMITS, OUTDATED, is_outdated, revision, words};
use crate::world::etcd::watch::{Range, range};

/// How long to wait until the question is asked again, if something is missing.
const AGAIN: Duration = Duration::from_millis(10);
/// Each range is two operations of a question, so up to here one transaction is enough for it.
pub(super) const RANGES_MAX: usize = LIMITS.operations / 2;

/// A range.
struct Part {
    range: Range,
    watch: WorldWatch,
    /// The last change that has come of it and was not passed on.
    last: Option<Revision>,
    /// How many entries it had when all up to `Parts::done` had come.
    count: Option<i64>,
}

impl Part {
    /// How many entries it had at the last change that has come of it, if that is known.
    fn known(&self) -> Option<i64> {
        self.count.filter(|_| self.last.is_none())
    }
}

/// What is known of a range as of the last revision that has come.
struct Answer {
    /// The last change that had come of it when this was asked.
    seen: Revision,
    /// When something was last written in it that is still there.
    last: Revision,
    /// How many entries it has.
    count: i64,
    /// How many it had at the last change that had come of it.
    before: i64,
}

/// What these reads have found, in their order. Each is as of a revision, so they need not be one transaction.
async fn found(world: &Etcd, reads: &[TxnOp]) -> Result<Vec<GetResponse>, String> {
    let (mut client, number) = world.client().await?;
    let mut all = Vec::new();
    for reads in reads.chunks(LIMITS.operations) {
        let asked = async {
            loop {
                match client.txn(Txn::new().and_then(reads)).await {
                    Err(error) if is_outdated(&error) => tokio::time::sleep(OUTDATED).await,
                    answered => break answered,
                }
            }
        };
        match tokio::time::timeout(ANSWER_MAX, asked).await {
            Ok(Ok(answered)) => all.extend(answered.op_responses().into_iter().filter_map(|response| match response {
                TxnOpResponse::Get(found) => Some(found),
                _ => None,
            })),
            // What is asked for may be forgotten, which has nothing to do with the connection.
            Ok(Err(error)) => return Err(words(&error)),
            Err(_) => {
                world.lose(number).await;
                return Err(format!("no answer within {ANSWER_MAX:?}"));
            }
        }
    }
    Ok(all)
}

struct Parts {
    parts: Vec<Part>,
    /// Up to here, all was passed on.
    done: Revision,
    /// What has come later.
    changes: BTreeMap<Revision, BTreeMap<String, Option<Entry>>>,
}

/// Sends changes until some may have been missed. Returns why.
pub(super) async fn follow_parts(
    world: &Etcd,
    keys: &[Keys],
    after: Revision,
    sender: &mpsc::Sender<WorldEvent>,
) -> String {
    let part = |keys: &Keys| {
        let watch = world.line().watch(world, range(keys), vec![keys.clone()], after);
        Part { range: range(keys), watch, last: None, count: None }
    };
    let mut parts = Parts { parts: keys.iter().map(part).collect(), done: after, changes: BTreeMap::new() };
    loop {
        let come = match parts.changes.is_empty() {
            true => parts.take().await,
            false => tokio::time::timeout(AGAIN, parts.take()).await.unwrap_or(Ok(())),
        };
        if let Err(why) = come {
            return why;
        }
        match parts.complete(world).await {
            Ok(changes) => {
                for changes in changes {
                    if sender.try_send(WorldEvent::Changed(changes)).is_err() {
                        return "its reader was too slow".to_owned();
                    }
                }
            }
            Err(why) => return why,
        }
    }
}

impl Parts {
    /// Waits for a change, and takes all that are there by then. An error is why some may have been missed.
    async fn take(&mut self) -> Result<(), String> {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        let mut has_come = false;
        for part in &mut self.parts {
            while let Poll::Ready(event) = part.watch.as_mut().poll_next(cx) {
                let changes = match event {
                    Some(WorldEvent::Changed(changes)) => changes,
                    Some(WorldEvent::Lost(why)) => return Poll::Ready(Err(why)),
                    None => return Poll::Ready(Err("the watch has ended".to_owned())),
                };
                if changes.revision <= self.done {
                    return Poll::Ready(Err("a change has come late".to_owned()));
                }
                part.last = Some(changes.revision);
                self.changes.entry(changes.revision).or_default().extend(changes.entries);
                has_come = true;
            }
        }
        if has_come { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// What can be passed on: all that had come when this was called, or nothing. An error is why some may have been
    /// missed.
    async fn complete(&mut self, world: &Etcd) -> Result<Vec<Changes>, String> {
        let Some((at, _)) = self.changes.last_key_value() else { return Ok(Vec::new()) };
        let at = *at;
        let answers = self.ask(world, at).await?;
        // What was on its way meanwhile.
        if let Poll::Ready(Err(why)) = poll_fn(|cx| Poll::Ready(self.poll_take(cx))).await {
            return Err(why);
        }
        let is_complete = |(part, answer): (&Part, &Answer)| {
            // What comes of a range comes in order.
            part.last >= Some(at) || (answer.last <= answer.seen && answer.count == answer.before)
        };
        if !self.parts.iter().zip(&answers).all(is_complete) {
            return Ok(Vec::new());
        }
        for (part, answer) in self.parts.iter_mut().zip(&answers) {
            (part.last, part.count) = (part.last.filter(|last| *last > at), Some(answer.count));
        }
        self.done = at;
        let later = self.changes.split_off(&Revision(at.0 + 1));
        let of = |(revision, entries): (Revision, BTreeMap<_, _>)| Changes {
            revision,
            entries: entries.into_iter().collect(),
        };
        Ok(std::mem::replace(&mut self.changes, later).into_iter().map(of).collect())
    }

    /// Up to here, all of this range has come.
    fn seen(&self, part: &Part) -> Revision {
        part.last.unwrap_or(self.done)
    }

    async fn ask(&mut self, world: &Etcd, at: Revision) -> Result<Vec<Answer>, String> {
        let mut reads = Vec::new();
        for part in &self.parts {
            let (start, end) = part.range.clone();
            let options = |at: Revision| GetOptions::new().with_range(end.clone()).with_revision(at.0.cast_signed());
            let last = options(at).with_sort(SortTarget::Mod, SortOrder::Descend).with_limit(1).with_keys_only();
            reads.push(TxnOp::get(start.clone(), Some(last)));
            if part.known().is_none() {
                let before = options(self.seen(part)).with_count_only();
                reads.push(TxnOp::get(start, Some(before)));
            }
        }
        let mut found = found(world, &reads).await?.into_iter();
        let mut answers = Vec::new();
        for part in &self.parts {
            let now = found.next().ok_or("etcd has not answered all questions")?;
            let last = now.kvs().first().map_or(Revision::default(), |kv| revision(kv.mod_revision()));
            let before = match part.known() {
                Some(count) => count,
                None => found.next().ok_or("etcd has not answered all questions")?.count(),
            };
            answers.push(Answer { seen: self.seen(part), last, count: now.count(), before });
        }
        Ok(answers)
    }
}
