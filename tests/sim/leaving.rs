//! A node that has left the graph is asked to leave once, after its last operation and before its slot is free; but not
//! in noop or after a stop, nor if it never ran, unless it must be undone: then it is asked to undo. Nodes leave in the
//! reverse order of the edges, and the graph has not converged while one must be undone. An operation that changes something is left to end, also of a node that
//! leaves: it is cancelled only when its time is over, or by a second stop.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::scheduler::{Command, Event, Input, Op, StopStage};

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
                    }
                }
                for spec in &swap.nodes {
                    if !cx.ledger.nodes.contains_key(&spec.node.0) {
                        self.due.remove(&spec.node.0);
                    }
                }
            }
            // An answer may come twice.
            Input::Left { op, .. } if self.told.get(&op.node.0) == Some(op) => {
                self.told.remove(&op.node.0);
                self.only_undone.remove(&op.node.0);
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
                must!(!self.due.contains(&node.0), "{command:?} before it was told to leave");
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
