//! What a swap changes in the books.

use std::collections::BTreeMap;

use mgmt::scheduler::{EdgeSpec, Swap};

use super::new_entry;
use crate::journal::Edge;
use crate::ledger::{Cause, Entry, Ledger, Watch};
use crate::scenario::Link;

impl Ledger {
    pub(super) fn swap(&mut self, swap: &Swap) {
        self.swapped = true;
        let old_nodes = std::mem::take(&mut self.nodes);
        let old_edges = std::mem::take(&mut self.edges);
        for spec in &swap.nodes {
            let node = spec.node.0;
            let config = swap.configs[spec.config as usize].clone();
            let Some(mut entry) = old_nodes.get(&node).cloned() else {
                self.nodes.insert(node, new_entry(config));
                if let Some(busy) = self.busy.get_mut(&node) {
                    busy.stale = true;
                }
                continue;
            };
            let old = std::mem::replace(&mut entry.config, config);
            entry.polled |= old.poll.is_some();
            if spec.changed || entry.config.reset || entry.dead && entry.config.rewatch {
                if entry.waits.is_some() {
                    // Its pause may have been over.
                    entry.causes.insert(Cause::Retry);
                }
                if entry.revive() {
                    entry.causes.insert(Cause::Retry);
                }
            }
            if spec.changed {
                entry.causes.insert(Cause::Config);
                entry.sent = 0;
                entry.asks.clear();
                if let Some(busy) = self.busy.get_mut(&node) {
                    busy.stale = true;
                }
            }
            if old.noop != entry.config.noop {
                entry.causes.insert(Cause::Meta);
                entry.asked &= !entry.config.noop;
            }
            if !entry.config.watched && !entry.dead {
                entry.failing_watch = false;
                entry.watch_waits = None;
                entry.watch = Watch::Off;
            }
            // What waits for the journal is given up if it rests on what is different now.
            let edge_is_new = |edge: &EdgeSpec| {
                let known = old_edges.get(&(edge.from.0, edge.to.0)).is_some_and(|link| link.notify);
                edge.from.0 == node && edge.notify && !(known && old_nodes.contains_key(&edge.to.0))
            };
            let noop = entry.config.noop && !old.noop;
            if entry.committing.is_some() && (spec.changed || noop || swap.edges.iter().any(edge_is_new)) {
                entry.committing = None;
                entry.unrepaired = true;
                entry.causes.insert(Cause::Again);
            }
            self.nodes.insert(node, entry);
        }
        self.accounts.keep(|node| old_nodes.contains_key(&node) && self.nodes.contains_key(&node));
        for (parent, node) in old_edges.keys() {
            if !self.nodes.contains_key(node) {
                self.leaves_after.entry(*parent).or_default().insert(*node);
            }
        }
        let back: Vec<u32> = self.nodes.keys().copied().filter(|node| !old_nodes.contains_key(node)).collect();
        back.into_iter().for_each(|node| self.gone(node));
        for (node, entry) in &old_nodes {
            if entry.config.undoes && !entry.config.noop && !self.nodes.contains_key(node) {
                self.undone.insert(*node);
            }
        }
        self.swap_edges(swap, &old_nodes, &old_edges);
        self.review_asks();
    }

    pub(super) fn swap_edges(
        &mut self,
        swap: &Swap,
        old_nodes: &BTreeMap<u32, Entry>,
        old_edges: &BTreeMap<Edge, Link>,
    ) {
        for spec in &swap.edges {
            let edge = (spec.from.0, spec.to.0);
            self.edges.insert(edge, Link { notify: spec.notify, sends: spec.sends.0 });
            let kept = old_edges.get(&edge).is_some_and(|link| link.notify)
                && old_nodes.contains_key(&edge.0)
                && old_nodes.contains_key(&edge.1);
            if spec.notify && spec.owed && !kept {
                self.owed.insert(edge);
                self.mark(edge.1, Cause::Debt);
            }
        }
        self.incoming.clear();
        for (from, to) in self.edges.keys() {
            self.incoming.entry(*to).or_default().push(*from);
        }
        let edges = &self.edges;
        self.owed.retain(|edge| edges.get(edge).is_some_and(|link| link.notify));
        self.maybe.retain(|edge| edges.get(edge).is_some_and(|link| link.notify));
    }

    pub(super) fn review_asks(&mut self) {
        let mut remake = Vec::new();
        for (node, entry) in &mut self.nodes {
            let before = entry.asks.len();
            // One that must look again for another reason asks again if it needs to.
            let dirty = [Cause::Parent, Cause::Value, Cause::Config].iter().any(|cause| entry.causes.contains(cause));
            let sends = |from: &u32| self.edges.get(&(*from, *node)).is_some_and(|link| link.sends != 0);
            entry.asks.retain(|from| !dirty && sends(from));
            remake.extend(entry.asks.iter().copied());
            if before > 0 && entry.asks.is_empty() {
                entry.causes.insert(Cause::Again);
            }
        }
        for node in remake {
            if let Some(entry) = self.nodes.get_mut(&node) {
                entry.asked |= !entry.config.noop && !entry.remaking;
            }
        }
    }
}
