//! What a world has of deploys.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::graph::deploy::content::{ContentId, ContentRef};
use crate::graph::deploy::keys::{INDEX, LIST, PENDING, head_key, rollout_key, turn_key};
use crate::graph::deploy::record::{DEPLOY_BYTES_MAX, Deploy, DeployId, Head, RecordError};
use crate::graph::deploy::rollout::Rollout;
use crate::resource::{Condition, Keys, Revision, Snapshot};

/// A record in the list of a world.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) id: DeployId,
    pub(crate) record: Result<Deploy, RecordError>,
}

/// A deploy that is being published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The contents that it refers to, or will.
    pub(crate) contents: BTreeSet<ContentId>,
}

/// What a world has of deploys, without their contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeployState {
    /// The entry that names the deploy in force; its inner `None`: it can't be read.
    pub(crate) head: Option<(Revision, Option<Head>)>,
    pub(crate) rollout: Option<(Revision, Result<Rollout, RecordError>)>,
    pub(crate) turn: Option<Revision>,
    pub(crate) list: BTreeMap<DeployId, Listed>,
    /// `None`: one of those that are being published can't be read, so that any content may be needed.
    pub(crate) pending: Option<BTreeSet<ContentId>>,
}

/// The size of a content, and whether all of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Indexed {
    pub(crate) bytes: u64,
    pub(crate) complete: bool,
}

impl Indexed {
    pub(crate) fn bytes(self) -> Vec<u8> {
        serde_json::to_vec(&self).unwrap_or_default()
    }
}

impl DeployState {
    /// The keys that must be read.
    pub(crate) fn keys() -> Vec<Keys> {
        let below = |prefix: &str| Keys::Below(prefix.to_owned());
        vec![Keys::One(head_key()), Keys::One(rollout_key()), Keys::One(turn_key()), below(LIST), below(PENDING)]
    }

    /// Those of a deploy in waves alone.
    pub(crate) fn rollout_keys() -> Vec<Keys> {
        vec![Keys::One(head_key()), Keys::One(rollout_key())]
    }

    pub(crate) fn of(snapshot: &Snapshot) -> DeployState {
        let mut state = DeployState { pending: Some(BTreeSet::new()), ..DeployState::default() };
        for (key, entry) in &snapshot.entries {
            if *key == head_key() {
                state.head = Some((entry.written, Head::read(&entry.value)));
            } else if *key == rollout_key() {
                state.rollout = Some((entry.written, Rollout::read(&entry.value)));
            } else if *key == turn_key() {
                state.turn = Some(entry.written);
            } else if let Some(id) = key.strip_prefix(LIST).and_then(|id| id.parse::<DeployId>().ok()) {
                let record = match Head::of(&entry.value).id == id {
                    true => Deploy::read(&entry.value),
                    false => Err(RecordError::Damaged("its content does not have the hash that its ID is".to_owned())),
                };
                state.list.insert(id.clone(), Listed { id, record });
            } else if key.starts_with(PENDING) {
                match serde_json::from_slice::<Pending>(&entry.value) {
                    Ok(pending) => state.pending.iter_mut().for_each(|all| all.extend(&pending.contents)),
                    Err(_) => state.pending = None,
                }
            }
        }
        state
    }

    /// The deploy in force.
    pub(crate) fn in_force(&self) -> Option<&Head> {
        self.head.as_ref().and_then(|(_, head)| head.as_ref())
    }

    /// The condition that the deploy in force is still the same.
    pub(crate) fn same_head(&self) -> Condition {
        Condition { key: head_key(), written: self.head.as_ref().map(|(written, _)| *written) }
    }

    /// The rollout, if it can be read and still counts: the deploy that it began with is in force, or its own is.
    pub(crate) fn rollout(&self) -> Option<&Rollout> {
        let rollout = self.rollout.as_ref()?.1.as_ref().ok()?;
        let head = self.in_force();
        (head == Some(&rollout.from) || head == Some(&rollout.to)).then_some(rollout)
    }

    /// A rollout because of which hosts have different deploys, or will.
    pub(crate) fn split(&self) -> Option<&Rollout> {
        self.rollout().filter(|rollout| rollout.is_split() && self.in_force() == Some(&rollout.from))
    }

    /// The condition that the rollout is still the same.
    pub(crate) fn same_rollout(&self) -> Condition {
        Condition { key: rollout_key(), written: self.rollout.as_ref().map(|(written, _)| *written) }
    }

    /// The condition that no content has become needed since.
    pub(crate) fn same_turn(&self) -> Condition {
        Condition { key: turn_key(), written: self.turn }
    }

    /// All that can be read, the newest first.
    pub(crate) fn newest_first(&self) -> Vec<(&DeployId, &Deploy)> {
        let mut all: Vec<_> =
            self.list.values().filter_map(|listed| Some((&listed.id, listed.record.as_ref().ok()?))).collect();
        all.sort_by_key(|(id, deploy)| (std::cmp::Reverse(deploy.number), std::cmp::Reverse(deploy.at), (*id).clone()));
        all
    }
}

/// The index of contents in a snapshot. An entry that can't be, or that no program has written, counts as incomplete.
pub(crate) fn indexed(snapshot: &Snapshot) -> BTreeMap<ContentId, Indexed> {
    let entries = snapshot.entries.iter().filter_map(|(key, entry)| {
        let content = key.strip_prefix(INDEX)?.parse().ok()?;
        let unread = Indexed { bytes: 0, complete: false };
        let indexed: Indexed = serde_json::from_slice(&entry.value).unwrap_or(unread);
        Some((content, if indexed.bytes > DEPLOY_BYTES_MAX { unread } else { indexed }))
    });
    entries.collect()
}

/// Whether all of this content is in the world.
pub(crate) fn is_there(index: &BTreeMap<ContentId, Indexed>, content: &ContentRef) -> bool {
    index.get(&content.sha256) == Some(&Indexed { bytes: content.bytes, complete: true })
}
