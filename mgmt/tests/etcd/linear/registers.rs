//! A history of a world as histories of its keys, each of which is a register.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mgmt::resource::{Condition, Entry, Revision, Transaction, WorldError, Write};

use crate::linear::checker::{Op, Seen, What};
use crate::linear::recorder::{Answer, History, Question};

pub(super) fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn seen(entry: &Entry) -> Seen {
    Seen { revision: entry.written.0, digest: digest(&entry.value) }
}

/// The operations on each key that fits.
pub(super) fn registers(history: &History, fits: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<Op>> {
    let (keys, digests) = known(history);
    let mut registers: BTreeMap<String, Vec<Op>> = BTreeMap::new();
    for asked in &history.asked {
        let mut add = |key: &str, end: u64, what: What| {
            if fits(key) {
                registers.entry(key.to_owned()).or_default().push(Op { call: asked.call, end, what });
            }
        };
        match (&asked.question, &asked.answered) {
            (Question::Get(wanted), Some((end, Answer::Got(snapshot)))) => {
                for key in keys.iter().filter(|key| wanted.iter().any(|keys| keys.contain(key))) {
                    add(key, *end, What::Read(snapshot.entries.get(key).map(seen)));
                }
            }
            (Question::Commit(transaction), Some((end, Answer::Committed(Some(at))))) => {
                for (key, what) in committed(transaction, *at, &digests) {
                    add(&key, *end, what);
                }
            }
            (Question::Commit(transaction), Some((end, Answer::Committed(None)))) => {
                // Of several conditions it is not known which one did not hold.
                if let [condition] = &transaction.conditions[..]
                    && let Some(required) = required(condition, &digests)
                {
                    add(&condition.key, *end, What::Refused(required));
                }
            }
            (Question::Commit(transaction), None | Some((_, Answer::Failed(WorldError::Unreachable(_))))) => {
                for (key, write) in &transaction.writes {
                    let condition = transaction.conditions.iter().find(|condition| condition.key == *key);
                    let required = condition.and_then(|condition| required(condition, &digests));
                    let digest = match write {
                        Write::Put(value, _) => Some(digest(value)),
                        Write::Remove => None,
                    };
                    add(key, u64::MAX, What::MayWrite { required, digest });
                }
            }
            _ => {}
        }
    }
    registers
}

/// All keys that were written or seen, and the digests of their values by revision.
fn known(history: &History) -> (BTreeSet<String>, HashMap<(String, u64), u64>) {
    let (mut keys, mut digests) = (BTreeSet::new(), HashMap::new());
    for asked in &history.asked {
        if let Question::Commit(transaction) = &asked.question {
            keys.extend(transaction.writes.keys().cloned());
            if let Some((_, Answer::Committed(Some(at)))) = &asked.answered {
                for (key, write) in &transaction.writes {
                    if let Write::Put(value, _) = write {
                        digests.insert((key.clone(), at.0), digest(value));
                    }
                }
            }
        }
        if let Some((_, Answer::Got(snapshot))) = &asked.answered {
            for (key, entry) in &snapshot.entries {
                keys.insert(key.clone());
                digests.insert((key.clone(), entry.written.0), digest(&entry.value));
            }
        }
    }
    (keys, digests)
}

/// What a condition requires; the outer `None`: no one has seen the value of that revision.
fn required(condition: &Condition, digests: &HashMap<(String, u64), u64>) -> Option<Option<Seen>> {
    match condition.written {
        None => Some(None),
        Some(Revision(revision)) => {
            let digest = *digests.get(&(condition.key.clone(), revision))?;
            Some(Some(Seen { revision, digest }))
        }
    }
}

/// What a transaction did with each key.
fn committed(transaction: &Transaction, at: Revision, digests: &HashMap<(String, u64), u64>) -> Vec<(String, What)> {
    let mut all = Vec::new();
    for condition in &transaction.conditions {
        if !transaction.writes.contains_key(&condition.key)
            && let Some(required) = required(condition, digests)
        {
            all.push((condition.key.clone(), What::Read(required)));
        }
    }
    for (key, write) in &transaction.writes {
        let condition = transaction.conditions.iter().find(|condition| condition.key == *key);
        let required = condition.and_then(|condition| required(condition, digests));
        let wrote = match write {
            Write::Put(value, _) => Some(Seen { revision: at.0, digest: digest(value) }),
            Write::Remove => None,
        };
        all.push((key.clone(), What::Wrote { required, wrote }));
    }
    all
}
