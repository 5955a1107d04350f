//! What can be removed from a world: deploys beyond the number that is kept, and contents that no deploy refers to.
//! Each removal requires that no content has become needed since (`/mgmt/deploys/turn`).

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::deploy::content::ContentId;
use crate::graph::deploy::keys::{data_key, index_key, record_key};
use crate::graph::deploy::record::{Deploy, DeployId, RecordError};
use crate::graph::deploy::state::{DeployState, Indexed};
use crate::graph::deploy::upload::{Batches, part_count};
use crate::resource::{Condition, Limits, Write};

/// Which deploys stay.
#[derive(Debug, Default)]
pub(crate) struct Kept<'a> {
    pub(crate) deploys: Vec<(&'a DeployId, &'a Deploy)>,
    /// Those that leave.
    pub(crate) leaving: Vec<&'a DeployId>,
    /// Whether there is one whose contents are not known: then no content is removed.
    pub(crate) has_unknown: bool,
}

impl<'a> Kept<'a> {
    /// The newest ones up to this number, and in any case the one in force and those of a rollout.
    pub(crate) fn of(state: &'a DeployState, keep: usize) -> Kept<'a> {
        let (mut kept, head) = (Kept::default(), state.in_force().map(|head| &head.id));
        let rollout = state.rollout().into_iter().flat_map(|rollout| [rollout.deploy(), rollout.before()]);
        let in_use: Vec<&DeployId> = rollout.chain(head).collect();
        for (n, (id, deploy)) in state.newest_first().into_iter().enumerate() {
            if n < keep || in_use.contains(&id) {
                kept.deploys.push((id, deploy));
            } else {
                kept.leaving.push(id);
            }
        }
        for listed in state.list.values() {
            match &listed.record {
                Err(RecordError::Newer(_)) => kept.has_unknown = true,
                Err(RecordError::Damaged(_)) if in_use.contains(&&listed.id) => kept.has_unknown = true,
                Err(RecordError::Damaged(_)) => kept.leaving.push(&listed.id),
                Ok(_) => {}
            }
        }
        // A head or a rollout that can't be read may stand for any of them.
        kept.has_unknown |= matches!(state.head, Some((_, None))) || matches!(state.rollout, Some((_, Err(_))));
        kept
    }
}

/// The transactions that remove what is no longer needed, each under the condition of the turn. `needed`: all contents
/// that deploys refer to; `None`: that is not known.
pub(crate) fn removals(
    leaving: &[&DeployId],
    index: &BTreeMap<ContentId, Indexed>,
    needed: Option<&BTreeSet<ContentId>>,
    limits: Limits,
    condition: &Condition,
) -> Vec<BTreeMap<String, Write>> {
    let mut batches = Batches::new(limits, std::slice::from_ref(condition));
    // Records first: what is in the list is complete.
    leaving.iter().for_each(|id| batches.together(vec![(record_key(id), Write::Remove)]));
    let Some(needed) = needed else { return batches.transactions() };
    for (content, indexed) in index.iter().filter(|(content, _)| !needed.contains(content)) {
        let mut gone: Vec<_> =
            (0..part_count(indexed.bytes)).map(|part| (data_key(content, part), Write::Remove)).collect();
        gone.push((index_key(content), Write::Remove));
        if batches.fit(&gone) {
            batches.together(gone);
            continue;
        }
        let incomplete = Indexed { complete: false, ..*indexed };
        batches.together(vec![(index_key(content), Write::Put(incomplete.bytes().into(), None))]);
        gone.into_iter().for_each(|write| batches.together(vec![write]));
    }
    batches.transactions()
}
