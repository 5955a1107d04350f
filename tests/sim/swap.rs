//! Only the difference is touched: equal nodes keep state and watch; a node that has left is not watched any more, and
//! its slot is free once nothing of it is under way (section 5.7).

use std::collections::{BTreeMap, BTreeSet};

use mgmt::id::Node;
use mgmt::scheduler::{Command, Event, Input, JournalOp, State, Swap};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::ledger::Watch;
use crate::must;

#[derive(Default)]
pub struct Swaps {
    /// The swap under way: nodes that it leaves alone, with their state before.
    alone: BTreeMap<u32, State>,
    counts: Option<[u32; 4]>,
    leaving: BTreeSet<u32>,
    /// Those whose slots were given back since the last input: their numbers mean no node.
    free: BTreeSet<u32>,
    watched: BTreeSet<u32>,
}

impl Swaps {
    fn begin(&mut self, cx: &Cx, swap: &Swap) {
        let before = &cx.ledger.nodes;
        let mut counts = [0; 4];
        for spec in &swap.nodes {
            let node = spec.node.0;
            let config = &swap.configs[spec.config as usize];
            match before.get(&node) {
                None => counts[0] += 1,
                Some(entry) if spec.changed || entry.config != *config => counts[1] += 1,
                Some(entry) => {
                    counts[3] += 1;
                    let edges = |from: u32, to: u32| from == node || to == node;
                    let mut old: Vec<_> = cx
                        .ledger
                        .edges
                        .iter()
                        .filter(|((f, t), _)| edges(*f, *t))
                        .map(|(e, l)| (*e, l.notify, l.sends))
                        .collect();
                    let mut new: Vec<_> = swap
                        .edges
                        .iter()
                        .filter(|e| edges(e.from.0, e.to.0))
                        .map(|e| ((e.from.0, e.to.0), e.notify, e.sends.0))
                        .collect();
                    old.sort();
                    new.sort();
                    let revived = config.reset || entry.dead && config.rewatch;
                    let begins_to_watch = cx.ledger.late && config.watched;
                    if old == new && !revived && !begins_to_watch {
                        self.alone.insert(node, cx.scheduler.state(Node(node)));
                    }
                }
            }
        }
        for node in before.keys() {
            if !swap.nodes.iter().any(|spec| spec.node.0 == *node) {
                counts[2] += 1;
                self.leaving.insert(*node);
            }
        }
        self.counts = Some(counts);
    }
}

/// The ends of the edge that an entry of the journal is about.
fn ends(op: &JournalOp) -> (u32, u32) {
    match op {
        JournalOp::Intent { from, to }
        | JournalOp::Drop { from, to }
        | JournalOp::Debt { from, to }
        | JournalOp::Paid { from, to } => (from.0, to.0),
    }
}

impl Invariant for Swaps {
    fn name(&self) -> &'static str {
        "swap"
    }

    fn input(&mut self, cx: &Cx, input: &Input) -> Verdict {
        self.alone.clear();
        self.free.clear();
        self.counts = None;
        if let Input::Swap(swap) = input
            && cx.ledger.stop.is_none()
        {
            self.begin(cx, swap);
        }
        Ok(())
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Some(node) = begun(command) {
            must!(cx.ledger.nodes.contains_key(&node), "{command:?} of a node that is not in the graph");
        }
        match command {
            Command::Event(Event::Swapped { added, changed, removed, kept, .. }) => {
                let told = [*added, *changed, *removed, *kept];
                must!(self.counts == Some(told), "{command:?}, but it is {:?}", self.counts);
            }
            Command::Journal { ops, .. } => {
                for op in ops {
                    let (from, to) = ends(op);
                    must!(!self.free.contains(&from) && !self.free.contains(&to), "{op:?} of a slot that is free");
                }
            }
            Command::Removed(node) => {
                self.free.insert(node.0);
                must!(self.leaving.remove(&node.0), "{command:?}: it did not leave");
                must!(!self.watched.contains(&node.0), "{command:?} while it is watched");
                let busy = cx.world.running.iter().any(|running| running.op.node == *node);
                must!(!busy, "{command:?} while an operation of it is under way");
            }
            Command::Watch(node) => {
                must!(self.watched.insert(node.0), "{command:?} twice");
                must!(!self.alone.contains_key(&node.0), "{command:?} although the swap leaves it alone");
            }
            Command::Unwatch(node) => {
                must!(self.watched.remove(&node.0), "{command:?}, but it was not watched");
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        for (node, before) in &self.alone {
            let after = cx.scheduler.state(Node(*node));
            if let State::Settled { .. } | State::Running = before {
                // What its senders sent as they were does not count any more.
                let lacks = cx.ledger.parents(*node).any(|from| cx.ledger.lacks(from, *node));
                let same = after == *before || matches!(after, State::Blocked(_));
                must!(same || lacks, "the swap leaves {node} alone, but it was {before:?} and is {after:?}");
            }
        }
        // A watch that failed has ended by itself.
        self.watched.retain(|node| cx.ledger.nodes.get(node).is_none_or(|entry| entry.watch != Watch::Failed));
        // Who came back before it had left for good has not left.
        self.leaving.retain(|node| !cx.ledger.nodes.contains_key(node));
        Ok(())
    }

    fn restart(&mut self) {
        *self = Swaps::default();
    }

    fn end(&mut self, _: &Cx) -> Verdict {
        must!(self.leaving.is_empty(), "these have left, and their slots were not given back: {:?}", self.leaving);
        Ok(())
    }
}
