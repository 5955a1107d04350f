//! A node that has left the graph is asked to leave once, after its last operation and before its slot is free; but not
//! in noop or after a stop, nor if it never ran, unless it must be undone: then it is asked to undo. Nodes leave in the
//! reverse order of the edges, and the graph has not converged while one must be undone. A failed undo is tried again as
//! often, and after such pauses, as the operations of the node were; not if another waits to take its place. An
//! operation that changes something is left to end, also of a node that leaves: it is cancelled only when its time is
//! over, or by a second stop.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::id::Time;
use mgmt::scheduler::{Backoff, Command, Event, Input, NodeConfig, Op, StopStage};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;
use crate::world::Act;

#[derive(Default)]
pub struct Leaving {
    /// Nodes that have left the graph, and must be asked to leave.
    due: BTreeSet<u32>,
    /// Have run since they came or last left.
    ran: BTreeSet<u32>,
    /// Nodes that were asked to leave, and have not answered.
    told: BTreeMap<u32, Op>,
    /// …and were only asked to undo.
    only_undone: BTreeSet<u32>,
    /// The settings of nodes that must be undone, and how often that has failed.
    tries: BTreeMap<u32, (NodeConfig, u32)>,
    /// Not before this time their undo is tried again.
    not_before: BTreeMap<u32, Time>,
}

impl Leaving {
    /// An undo has failed: whether, and when, it is tried again.
    fn failed(&mut self, cx: &Cx, node: u32) {
        let Some((config, failures)) = self.tries.get_mut(&node) else { return };
        let is_left = config.retry.is_none_or(|retry| *failures < retry);
        *failures += 1;
        if !is_left {
            return;
        }
        let pause = match config.backoff {
            Backoff::Constant => config.delay,
            Backoff::Exponential { max, jitter } => {
                let full = config.delay.saturating_mul(1 << (*failures - 1).min(31)).min(max);
                if jitter { full / 2 } else { full }
            }
        };
        self.due.insert(node);
        self.not_before.insert(node, cx.now.after(pause));
    }

    /// A node of the graph owns what this one owned.
    fn is_succeeded(cx: &Cx, node: u32) -> bool {
        cx.world.ghosts.get(&node).is_some_and(|owns| cx.world.graph.owner(*owns).is_some())
    }
}

impl Invariant for Leaving {
    fn name(&self) -> &'static str {
        "leaving"
    }

    fn input(&mut self, cx: &Cx, input: &Input) -> Verdict {
        match input {
            Input::Swap(swap) if cx.ledger.stop.is_none() => {
                for (node, entry) in &cx.ledger.nodes {
                    let stays = swap.nodes.iter().any(|spec| spec.node.0 == *node);
                    let leaves = entry.config.leaves && self.ran.contains(node) || entry.config.undoes;
                    if !stays && leaves && !entry.config.noop {
                        self.due.insert(*node);
                        if entry.config.undoes {
                            self.tries.insert(*node, (entry.config.clone(), 0));
                        }
                    }
                }
                for spec in &swap.nodes {
                    if !cx.ledger.nodes.contains_key(&spec.node.0) {
                        self.due.remove(&spec.node.0);
                        self.tries.remove(&spec.node.0);
                        self.not_before.remove(&spec.node.0);
                    }
                }
            }
            // An answer may come twice.
            Input::Left { op, well } if self.told.get(&op.node.0) == Some(op) => {
                self.told.remove(&op.node.0);
                self.only_undone.remove(&op.node.0);
                if !well && !cx.ledger.nodes.contains_key(&op.node.0) && cx.ledger.stop.is_none() {
                    self.failed(cx, op.node.0);
                }
            }
            Input::LeaveRefused(op) if self.told.get(&op.node.0) == Some(op) => {
                self.told.remove(&op.node.0);
                // It can't yet, and is asked once more; or it is back, and counts as before.
                if !self.only_undone.remove(&op.node.0) {
                    self.ran.insert(op.node.0);
                }
                if !cx.ledger.nodes.contains_key(&op.node.0) && cx.ledger.stop.is_none() {
                    self.due.insert(op.node.0);
                }
            }
            Input::Stop(_) => self.due.clear(),
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Leave(op) | Command::Undo(op) => {
                let (ran, undoes) = (self.ran.contains(&op.node.0), matches!(command, Command::Undo(_)));
                must!(ran != undoes, "{command:?}, and it has run: {ran}");
                self.only_undone.extend(undoes.then_some(op.node.0));
                let after = cx.ledger.leaves_after.get(&op.node.0);
                must!(after.is_none(), "{command:?} before {after:?} are gone, which depended on it");
                let at = self.not_before.remove(&op.node.0);
                let early = at.is_some_and(|at| cx.now < at) && !Leaving::is_succeeded(cx, op.node.0);
                must!(!early, "{command:?} before {at:?}, when it is tried again");
                must!(self.due.remove(&op.node.0), "{command:?}, but it has not left, or was told before");
                must!(!cx.ledger.nodes.contains_key(&op.node.0), "{command:?} while it is in the graph");
                must!(cx.ledger.stop.is_none(), "{command:?} after a stop");
                must!(!cx.ledger.paused, "{command:?} in a pause");
                self.told.insert(op.node.0, *op);
                self.ran.remove(&op.node.0);
            }
            Command::Cancel(op) => {
                let busy = cx
                    .ledger
                    .busy
                    .get(&op.node.0)
                    .filter(|busy| busy.op == *op && !matches!(busy.act, Act::Check | Act::Leave));
                let over = busy.is_none_or(|busy| busy.deadline.is_some_and(|deadline| deadline <= cx.now));
                must!(over || cx.ledger.stop == Some(StopStage::Cancel), "{command:?} in the middle of {busy:?}");
            }
            Command::Check { op, .. } => {
                self.ran.insert(op.node.0);
            }
            Command::Removed(node) => {
                self.ran.remove(&node.0);
                // It is tried again unless another waits to take its place.
                let again = self.not_before.remove(&node.0).is_some();
                let is_due = self.due.remove(&node.0) && !(again && Leaving::is_succeeded(cx, node.0));
                must!(!is_due, "{command:?} before it was told to leave, or before no try was left");
                self.tries.remove(&node.0);
                must!(!self.told.contains_key(&node.0), "{command:?} before it has left");
            }
            Command::Event(Event::Converged) => {
                let undone = &cx.ledger.undone;
                must!(undone.is_empty(), "converged while {undone:?} must be undone");
            }
            _ => {}
        }
        Ok(())
    }

    fn restart(&mut self) {
        *self = Leaving::default();
    }

    fn end(&mut self, _: &Cx) -> Verdict {
        must!(self.due.is_empty(), "never told to leave: {:?}", self.due);
        Ok(())
    }
}
