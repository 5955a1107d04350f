//! What the end of an operation changes in the books.

use mgmt::id::Time;
use mgmt::scheduler::{ApplyOutcome, CheckOutcome, Op, PortSet};

use super::shortest_delay;
use crate::ledger::{Busy, Cause, Ledger};

impl Ledger {
    pub(super) fn end(&mut self, op: Op) -> Option<Busy> {
        self.busy.get(&op.node.0).filter(|busy| busy.op == op)?;
        self.busy.remove(&op.node.0)
    }

    /// What was begun with other fields, or with other values received, sends what does not count.
    pub(super) fn count_as_sent(&mut self, node: u32, ports: PortSet, stale: bool) {
        if let Some(entry) = self.nodes.get_mut(&node)
            && !stale
            && !entry.causes.contains(&Cause::Value)
        {
            entry.sent |= ports.0;
        }
    }

    pub(super) fn sent(&mut self, node: u32, (ports, again): (PortSet, PortSet), stale: bool) {
        if !self.nodes.contains_key(&node) {
            return;
        }
        self.count_as_sent(node, PortSet(ports.0 | again.0), stale);
        for (to, link) in self.children(node) {
            if link.sends & ports.0 != 0 {
                self.mark(to, Cause::Value);
                if let Some(child) = self.nodes.get_mut(&to) {
                    child.asks.remove(&node);
                    child.sent = 0;
                }
            }
        }
    }

    pub(super) fn checked(&mut self, now: Time, op: Op, outcome: &CheckOutcome, sent: (PortSet, PortSet)) {
        if *outcome == CheckOutcome::GoesOn {
            if let Some(busy) = self.busy.get_mut(&op.node.0).filter(|busy| busy.op == op) {
                busy.untold = false;
            }
            return;
        }
        let Some(busy) = self.end(op) else { return };
        let node = op.node.0;
        self.accounts.ended(node, now);
        self.sent(node, sent, busy.stale);
        let timed_out = busy.deadline.is_some_and(|deadline| deadline <= now);
        let owed = self.is_owed(node);
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        if busy.stale {
            entry.causes.insert(Cause::Again);
            return;
        }
        match outcome {
            CheckOutcome::InSync => {
                entry.unrepaired = false;
                if entry.config.noop || !(owed || entry.asked) {
                    self.accounts.charge(node, now);
                    self.succeed(node);
                } else {
                    entry.causes.insert(Cause::Again);
                }
            }
            CheckOutcome::Drifted if entry.config.noop => {
                self.accounts.charge(node, now);
                self.succeed(node);
            }
            CheckOutcome::Drifted | CheckOutcome::GoesOn => {
                entry.unrepaired = true;
                entry.ticked = entry.config.ticks && !busy.caused;
                entry.causes.insert(Cause::Again);
            }
            CheckOutcome::Missing(senders) => {
                entry.causes.insert(Cause::Again);
                entry.end_wait();
                entry.failing_op = false;
                entry.asks = senders.iter().map(|n| n.0).collect();
                for sender in senders {
                    if let Some(sender) = self.nodes.get_mut(&sender.0) {
                        sender.asked |= !sender.config.noop;
                    }
                }
            }
            CheckOutcome::Occupied(_) => {
                entry.causes.insert(Cause::Again);
                entry.occupied = true;
            }
            CheckOutcome::Waits(lack) if !timed_out => {
                entry.causes.insert(Cause::Again);
                if !busy.cancelled {
                    self.wait(now, node, *lack);
                }
            }
            CheckOutcome::Cancelled | CheckOutcome::Failed | CheckOutcome::Waits(_) => {
                let failed = *outcome == CheckOutcome::Failed && !busy.cancelled || timed_out;
                entry.causes.insert(Cause::Again);
                if failed {
                    self.fail(now, node);
                }
            }
        }
    }

    pub(super) fn applied(&mut self, now: Time, op: Op, outcome: ApplyOutcome, sent: (PortSet, PortSet)) {
        let Some(busy) = self.end(op) else { return };
        let node = op.node.0;
        self.accounts.ended(node, now);
        self.sent(node, sent, busy.stale);
        let timed_out = busy.deadline.is_some_and(|deadline| deadline <= now);
        if !self.nodes.contains_key(&node) {
            return;
        }
        if matches!(outcome, ApplyOutcome::Changed | ApplyOutcome::ChangedByEvent) {
            let ticks = self.nodes[&node].config.ticks && !busy.caused;
            for (to, link) in self.children(node) {
                self.mark(to, if ticks { Cause::Tick } else { Cause::Parent });
                if link.notify {
                    self.maybe.remove(&(node, to));
                    self.owed.insert((node, to));
                    self.mark(to, Cause::Debt);
                }
            }
        }
        let done = !matches!(outcome, ApplyOutcome::Failed | ApplyOutcome::Waits(_) | ApplyOutcome::Cancelled);
        if done && outcome != ApplyOutcome::ChangedByEvent {
            self.accounts.charge(node, now);
        }
        if !done {
            for (to, link) in self.children(node) {
                if link.notify {
                    self.maybe.insert((node, to));
                }
            }
        }
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        let remaking = std::mem::take(&mut entry.remaking);
        if !done || busy.stale {
            entry.asked |= remaking && !entry.config.noop;
            entry.causes.insert(Cause::Again);
            let failed = outcome == ApplyOutcome::Failed && !busy.cancelled || timed_out;
            match outcome {
                _ if done || busy.stale => {}
                _ if failed => self.fail(now, node),
                ApplyOutcome::Waits(lack) if !busy.cancelled => self.wait(now, node, lack),
                _ => {}
            }
            return;
        }
        entry.unrepaired = false;
        self.succeed(node);
        if remaking && !self.nodes[&node].asked {
            for (to, _) in self.children(node) {
                if self.nodes[&to].asks.contains(&node) {
                    self.fail(now, to);
                    if let Some(child) = self.nodes.get_mut(&to) {
                        child.asks.clear();
                    }
                }
            }
        }
    }

    pub(super) fn succeed(&mut self, node: u32) {
        if let Some(entry) = self.nodes.get_mut(&node) {
            entry.answer();
            entry.end_failing();
            if entry.config.noop {
                entry.asked = false;
            }
        }
        for (to, _) in self.children(node) {
            if self.maybe.remove(&(node, to)) {
                self.owed.insert((node, to));
                self.mark(to, Cause::Parent);
                self.mark(to, Cause::Debt);
            }
        }
    }

    /// A try is used up.
    pub fn fail(&mut self, now: Time, node: u32) {
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        entry.end_wait();
        entry.causes.insert(Cause::Retry);
        if entry.dead {
            return;
        }
        entry.failing_op = true;
        entry.failures += 1;
        entry.dead = entry.config.retry.is_some_and(|tries| entry.failures > tries);
        entry.retry_at = Some(now.after(shortest_delay(&entry.config, entry.failures)));
    }
}
