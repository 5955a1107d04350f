//! Looks: what only a poll, an event or a tick has asked for, and what has found nothing yet. A look is no activity: it
//! neither begins the converged timeout again nor keeps it from beginning. But what it is going to find may have been
//! there for long, for as long as it waits for its turn. So when the timeout is over, all looks that had been asked for
//! by then are let end first: had one of them found something to do, that would have been activity.
//!
//! A tick is applied as part of its look: nothing is different for it. What it has children find, or be refreshed for,
//! is activity.

use std::collections::{BTreeMap, BTreeSet};

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::{Cause, Causes};
use crate::id::Node;

/// One look that has not ended. Operations are numbered in the order in which they begin, so their numbers tell what
/// came first.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// What is not answered was asked for after the operation of this number had begun, or at the same time.
    asked: u64,
    /// The check of this number, the last that has begun, answers what came before it.
    began: u64,
}

/// All looks that have not ended.
#[derive(Debug, Default)]
pub(super) struct Looks {
    by_node: BTreeMap<Node, Look>,
    by_age: BTreeSet<(u64, Node)>,
}

impl Looks {
    /// Something has asked for a look, after the operation of this number.
    fn open(&mut self, i: Node, asked: u64) {
        self.by_node.insert(i, Look { asked, began: 0 });
        self.by_age.insert((asked, i));
    }

    /// Nothing asks for it any more, or it is more than a look.
    pub(super) fn close(&mut self, i: Node) {
        if let Some(look) = self.by_node.remove(&i) {
            self.by_age.remove(&(look.asked, i));
        }
    }

    pub(super) fn is_open(&self, i: Node) -> bool {
        self.by_node.contains_key(&i)
    }

    /// Bytes held, about.
    pub(super) fn memory(&self) -> usize {
        self.by_node.len() * (size_of::<(Node, Look)>() + size_of::<(u64, Node)>())
    }
}

/// Nothing else is among these.
fn are_looks(causes: Causes) -> bool {
    causes.iter().all(|cause| matches!(cause, Cause::Poll | Cause::Watch | Cause::Tick))
}

impl Scheduler {
    /// What the run under way does if it changes something is to tick.
    pub(super) fn ticks(&self, i: Node) -> bool {
        self.settings(i).ticks && are_looks(self.nodes[i].causes())
    }

    /// Nothing but its poll, an event or a tick has it run, and it has found nothing yet: no activity.
    pub(super) fn is_looked_at(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        let (dirt, causes) = (node.dirt(), node.causes());
        if self.mutant(Mutant::LookIsActivity) && (dirt.any(DIRTY_WATCH) || causes.contains(Cause::Watch)) {
            return false;
        }
        node.all(PRESENT | WATCH_READY)
            && !node.any(FAILING | ASKING)
            && !node.is_called()
            && node.unsent == 0
            && dirt.without(DIRTY_LOOK).is_empty()
            && match node.phase() {
                Phase::Idle | Phase::Queued | Phase::Parked => !dirt.is_empty(),
                Phase::Checking => are_looks(causes),
                Phase::CommitApply | Phase::Gathered | Phase::LookApply | Phase::Applying => {
                    self.ticks(i) && !self.mutant(Mutant::TickIsActivity)
                }
                _ => false,
            }
    }

    /// What it waits for may be over: it is tried again, or is going to be.
    pub(super) fn is_tried(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        node.any(PRESENT) && node.phase() != Phase::Idle && self.is_held_up(i)
    }

    /// What it may find is waited for.
    pub(super) fn is_look_open(&self, i: Node) -> bool {
        self.is_tried(i) || self.is_looked_at(i)
    }

    /// Notes whether it is.
    pub(super) fn put_look(&mut self, i: Node, is_open: bool) {
        match self.looks_open.is_open(i) {
            false if is_open => self.looks_open.open(i, self.last_op),
            true if !is_open => self.looks_open.close(i),
            _ => {}
        }
    }

    /// Its check begins.
    pub(super) fn begin_look(&mut self, i: Node) {
        let number = self.nodes[i].op;
        if let Some(look) = self.looks_open.by_node.get_mut(&i) {
            look.began = number;
        }
    }

    /// Its run has come to a good end: what had asked for it before that began is answered.
    pub(super) fn end_look(&mut self, i: Node) {
        let Looks { by_node, by_age } = &mut self.looks_open;
        if let Some(look) = by_node.get_mut(&i).filter(|look| look.began > look.asked) {
            by_age.remove(&(look.asked, i));
            look.asked = look.began;
            by_age.insert((look.asked, i));
        }
    }

    /// Something that had asked for a look by the operation of this number is not answered.
    pub(super) fn waits_for_look(&self, number: u64) -> bool {
        let mutant = if self.convergence.restless == 0 { Mutant::ConvergeUnseen } else { Mutant::HopelessUnseen };
        let asked = self.looks_open.by_age.range(..=(number, Node(u32::MAX)));
        asked.map(|(_, i)| *i).any(|i| self.may_be_seen(i)) && !self.mutant(mutant)
    }

    /// A node that is not calm waits for the end of a look, whenever that was asked for: then it runs.
    pub(super) fn holds_up_others(&self) -> bool {
        let is_good = |i: Node| self.nodes[i].bad_parents == 0 && !self.nodes[i].any(FAILED);
        let waits = |i: Node| self.nodes[i].any(PRESENT) && !self.nodes[i].any(CALM) && is_good(i);
        let looks = self.looks_open.by_node.keys().copied().filter(|i| is_good(*i));
        let waits = |i: Node| waits(i) || self.mates(i).iter().any(|mate| waits(*mate));
        let held_up = |i: Node| self.edges.out(i).any(|e| waits(self.edges.to(e)));
        looks.into_iter().any(held_up) && !self.mutant(Mutant::HopelessUnseen)
    }

    /// It comes to be checked without what is not calm: not if it waits for others, unless all of them are.
    fn may_be_seen(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        if node.any(SPACED) && self.mutant(Mutant::SpacedConverges) {
            return false;
        }
        let waits_for_calm = self.convergence.restless == 0 && !node.any(EXCUSED);
        node.phase() != Phase::Idle || node.any(LIMITED | SPACED) || waits_for_calm
    }
}
