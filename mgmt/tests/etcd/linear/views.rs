//! Whether snapshots and watches show whole transactions, in their order and without a gap.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::resource::{Keys, Snapshot, Write};

use crate::linear::recorder::{Answer, History, Question, Watched};
use crate::linear::registers::digest;

/// What transactions wrote for certain: by revision, the digest of each key; `None`: it was removed.
type Written = BTreeMap<u64, BTreeMap<String, Option<u64>>>;

fn written(history: &History) -> Written {
    let mut written = Written::new();
    for asked in &history.asked {
        if let (Question::Commit(transaction), Some((_, Answer::Committed(Some(at))))) =
            (&asked.question, &asked.answered)
            && transaction.writes.values().any(|write| matches!(write, Write::Put(..)))
        {
            let writes = transaction.writes.iter().map(|(key, write)| match write {
                Write::Put(value, _) => (key.clone(), Some(digest(value))),
                Write::Remove => (key.clone(), None),
            });
            written.entry(at.0).or_default().extend(writes);
        }
    }
    written
}

fn of<'a>(keys: &'a [Keys], key: &str) -> Option<&'a Keys> {
    keys.iter().find(|keys| keys.contain(key))
}

/// The problems of a history, in words.
pub(super) fn problems(history: &History) -> Vec<String> {
    let written = written(history);
    let mut problems = Vec::new();
    for asked in &history.asked {
        if let (Question::Get(keys), Some((_, Answer::Got(snapshot)))) = (&asked.question, &asked.answered) {
            problems.extend(problem_of_snapshot(keys, snapshot, &written));
        }
    }
    problems.extend(history.watched.iter().flat_map(|watched| problems_of_watch(watched, &written)));
    problems
}

/// A snapshot has the last value of each key that was written up to its revision.
fn problem_of_snapshot(keys: &[Keys], snapshot: &Snapshot, written: &Written) -> Option<String> {
    let mut last: BTreeMap<&str, (u64, Option<u64>)> = BTreeMap::new();
    for (revision, writes) in written.range(..=snapshot.revision.0) {
        let of_keys = writes.iter().filter(|(key, _)| of(keys, key).is_some());
        last.extend(of_keys.map(|(key, digest)| (key.as_str(), (*revision, *digest))));
    }
    last.into_iter().find_map(|(key, (revision, value))| {
        let entry = snapshot.entries.get(key);
        let found = entry.map(|entry| (entry.written.0, Some(digest(&entry.value))));
        // What was written since, and nobody knows by whom, is newer.
        let is_newer = found.is_some_and(|(at, _)| at > revision && at <= snapshot.revision.0);
        let is_same = match value {
            Some(_) => found == Some((revision, value)),
            None => found.is_none(),
        };
        // A removal of unknown outcome may have come since.
        let may_be_removed = value.is_some() && found.is_none();
        (!is_same && !is_newer && !may_be_removed).then(|| {
            format!("the snapshot at revision {} has {found:?} of {key}, written at {revision}", snapshot.revision.0)
        })
    })
}

/// A watch shows each transaction once, whole, and in order.
fn problems_of_watch(watched: &Watched, written: &Written) -> Vec<String> {
    let (mut problems, mut before) = (Vec::new(), watched.after.0);
    let shown: BTreeSet<u64> = watched.changes.iter().map(|changes| changes.revision.0).collect();
    for changes in &watched.changes {
        let revision = changes.revision.0;
        if revision <= before {
            problems.push(format!("a watch shows revision {revision} after {before}"));
        }
        before = revision;
        let Some(writes) = written.get(&revision) else { continue };
        let entries = changes.entries.iter();
        let found: BTreeMap<&str, Option<u64>> =
            entries.map(|(key, entry)| (key.as_str(), entry.as_ref().map(|entry| digest(&entry.value)))).collect();
        for (key, value) in writes.iter().filter(|(key, _)| of(&watched.keys, key).is_some()) {
            // What was removed may not have been there.
            if value.is_some() && found.get(key.as_str()) != Some(value) {
                problems.push(format!("a watch shows {:?} of {key} at revision {revision}", found.get(key.as_str())));
            }
        }
    }
    for (revision, writes) in written.range(watched.after.0 + 1..).take_while(|(revision, _)| **revision <= before) {
        let is_of_watch = writes.iter().any(|(key, value)| value.is_some() && of(&watched.keys, key).is_some());
        if is_of_watch && !shown.contains(revision) {
            problems.push(format!("a watch from {} to {before} does not show revision {revision}", watched.after.0));
        }
    }
    problems
}
