//! Which resource takes the place of which: one that owns what another owned waits until nothing of the other is under
//! way.

use std::collections::HashMap;

use crate::id::Node;
use crate::resource::{Known, Uid};
use crate::runtime::core::Core;
use crate::runtime::running::Difference;
use crate::runtime::slot::Activity;
use crate::scheduler::Handover;

impl Core {
    /// The nodes that have left or have something under way, by what they own. The cost grows with their number.
    pub(super) fn former_owners(&self) -> HashMap<Uid, Vec<Node>> {
        let mut owners: HashMap<Uid, Vec<Node>> = HashMap::new();
        let under_way = self.slots.busy().filter_map(|(node, activity)| match activity {
            Activity::Running(running) => Some((node, running.operation.resource())),
            _ => None,
        });
        for (node, resource) in self.running.ghosts().chain(under_way) {
            for uid in resource.uids(&Known::all(resource.spec())) {
                owners.entry(uid).or_default().push(node);
            }
        }
        owners
    }

    /// The handovers of a new graph: from these owners to the new or changed resources that own the same. What a
    /// resource will own by values that it has yet to receive is found by its check: see `claim`.
    pub(super) fn handovers(&self, owners: &HashMap<Uid, Vec<Node>>, difference: &Difference) -> Vec<Handover> {
        if owners.is_empty() {
            return Vec::new();
        }
        let mut handovers = Vec::new();
        for &to in &difference.heirs {
            let Some(vertex) = self.running.vertex(to) else { continue };
            let coming: Vec<u8> =
                difference.wirings.get(&to).into_iter().flatten().map(|wiring| wiring.field).collect();
            for uid in vertex.resource.uids(&Known::all_but_numbers(vertex.resource.spec(), &coming)) {
                let from = owners.get(&uid).into_iter().flatten().copied().filter(|from| *from != to);
                handovers.extend(from.map(|from| Handover { from, to }));
            }
        }
        handovers
    }
}
