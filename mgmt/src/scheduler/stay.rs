//! One stay: a check is permitted in advance to repair what it finds, so that the repair waits for no answer. The
//! conditions for the start of any other repair must hold when the permission is given and as long as it stands: it is
//! withdrawn as soon as they do not. A repair that has begun by then counts as one that began before.
//!
//! No stay is permitted where more must come between check and repair (the journal, a refresh), where the two have a
//! time limit each, or where they belong to a call with others. A node with parents repairs only if nothing has been
//! noticed meanwhile: otherwise it reports what it has found, and what the kernel has queued is read first, as before
//! any other repair.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::{Cause, CheckOutcome, Command, GoOn, Input, Op, PortSet};
use crate::id::Node;

impl Scheduler {
    /// This input, and the time, cannot have changed what permissions rest on: it is a check in sync with nothing to
    /// report, of which there are very many.
    pub(super) fn keeps_permissions(&self, input: &Input) -> bool {
        let Input::Checked { op, outcome: CheckOutcome::InSync, sent: PortSet(0), again: PortSet(0) } = input else {
            return false;
        };
        let tells = self.nodes.get(op.node).is_none_or(|node| node.any(MAYBE | FAILING | REMAKE_TAKEN));
        !tells && self.timers.first().is_none_or(|at| at > self.now)
    }

    /// Whether the check that begins may continue with a repair.
    pub(super) fn permit(&mut self, i: Node) -> GoOn {
        let settings = self.settings(i);
        let is_alone = settings.timeout.is_none() && settings.together.is_none() && self.group_of(i).is_none();
        let causes = self.nodes[i].causes();
        let is_called = causes.contains(Cause::Refresh) || causes.contains(Cause::Remake);
        // A check for the poll alone does not keep a graph from being converged.
        let is_only_polled = causes == Cause::Poll.into();
        let permitted = is_alone && !is_called && !is_only_polled && !self.is_late() && self.is_permissible(i);
        if !permitted {
            return GoOn::No;
        }
        self.nodes[i].set(STAYS);
        if self.stays.len() == self.stays.capacity() {
            // Drops the checks that have ended, before more memory is reserved.
            let nodes = &self.nodes;
            self.stays.retain(|op| nodes[op.node].op == op.number && nodes[op.node].phase() == Phase::Checking);
            // At least as many are added before the list is searched again.
            self.stays.reserve(self.stays.len() + 1);
        }
        self.stays.push(Op { node: i, number: self.nodes[i].op });
        let has_parents = !self.edges.positions_in(i).is_empty() && !self.mutant(Mutant::StayBlindly);
        if has_parents { GoOn::IfQuiet } else { GoOn::Yes }
    }

    fn is_permissible(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        let announces = node.any(NOTIFIES) && !self.mutant(Mutant::StayUnannounced);
        !node.any(NOOP | OWED | REMAKE) && !announces && self.may_go_on(i)
    }

    /// Withdraws the permissions that would not be given now.
    pub(super) fn review_stays(&mut self) {
        let mut at = 0;
        while let Some(op) = self.stays.get(at).copied() {
            let node = &self.nodes[op.node];
            let stands = node.op == op.number && node.phase() == Phase::Checking && !node.any(WITHDRAWN);
            if stands && (self.is_permissible(op.node) || self.mutant(Mutant::StayForGood)) {
                at += 1;
                continue;
            }
            self.stays.swap_remove(at);
            if stands {
                self.nodes[op.node].set(WITHDRAWN);
                self.commands.push_back(Command::Withdraw { op, cancel: false });
            }
        }
    }

    /// Cancels the check; a repair that has begun is left to end.
    pub(super) fn cancel_check(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        if !node.any(CANCELLED) {
            node.set(CANCELLED | WITHDRAWN);
            let op = Op { node: i, number: node.op };
            self.commands.push_back(Command::Withdraw { op, cancel: true });
        }
    }

    /// Cancels the operation, whether it checks or repairs.
    pub(super) fn cancel_stay(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        if !node.any(CANCELLED_WHOLE) {
            node.set(CANCELLED | WITHDRAWN | CANCELLED_WHOLE);
            let op = Op { node: i, number: node.op };
            self.commands.push_back(Command::Cancel(op));
        }
    }

    /// The check has found drift, and has begun to repair it.
    pub(super) fn goes_on(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        // A withdrawal that came too late has no effect.
        node.put(CANCELLED, node.any(CANCELLED_WHOLE));
        node.clear(STAYS | WITHDRAWN | CANCELLED_WHOLE);
        node.go(Phase::Applying);
        // A graph that came meanwhile may have new notify edges, as during any other repair.
        self.intend(i);
        self.settle(i);
    }
}
