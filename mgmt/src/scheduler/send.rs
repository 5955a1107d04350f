//! Values: which node waits for which, what a new value causes, and senders that must make theirs again.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::{Event, PortSet};
use crate::id::Node;
use crate::scheduler::edges::{Edge, SENDS};

impl Scheduler {
    /// A node has new values for these outputs: its receivers are dirty, and no longer wait if they waited for nothing
    /// else.
    pub(super) fn sent(&mut self, i: Node, ports: PortSet) {
        for e in self.count_as_sent(i, ports, true) {
            let to = self.edges.to(e);
            self.tell(Event::Sent { from: i, to });
            self.hear(to, i);
            if self.mutant(Mutant::SentIsQuiet) {
                self.update(to);
            } else {
                self.outdate(to);
                self.dirty(to, DIRTY_VALUE);
            }
        }
    }

    /// A node has sent these outputs with the same values as before: receivers stop waiting for them, and are not made
    /// dirty.
    pub(super) fn sent_again(&mut self, i: Node, ports: PortSet) {
        if self.nodes[i].sent.0 & ports.0 != ports.0 {
            for e in self.count_as_sent(i, ports, false) {
                self.update(self.edges.to(e));
            }
        }
    }

    /// Counts these outputs as sent by the sender as it is now. Returns the edges to the nodes that receive some of
    /// them, or (not `all`) only the edges whose wait they end.
    fn count_as_sent(&mut self, i: Node, ports: PortSet, all: bool) -> Vec<Edge> {
        let mut receivers = Vec::new();
        let node = &mut self.nodes[i];
        if ports.0 == 0 || !node.any(PRESENT) {
            return receivers;
        }
        let before = node.sent.0;
        // An operation that began with other fields, or with other received values, has sent outputs of these.
        if !node.any(STALE | DIRTY_VALUE) {
            node.sent.0 |= ports.0;
        }
        let now = node.sent.0;
        if !node.any(SENDER) {
            return receivers;
        }
        for e in self.edges.out(i) {
            let wanted = self.edges.sends(e).0;
            let ends_wait = wanted & !before != 0 && wanted & !now == 0;
            if ends_wait {
                self.nodes[self.edges.to(e)].unsent -= 1;
                self.convergence.missing -= 1;
            }
            if ends_wait || all && wanted & ports.0 != 0 {
                receivers.push(e);
            }
        }
        receivers
    }

    /// The sender has other fields or has received another value: its earlier outputs do not count any more, and its
    /// receivers wait until it has sent again, even if the values are the same.
    pub(super) fn outdate(&mut self, i: Node) {
        if self.mutant(Mutant::OldValuesCount) {
            return;
        }
        let before = std::mem::take(&mut self.nodes[i].sent.0);
        if before == 0 || !self.nodes[i].any(SENDER) {
            return;
        }
        for e in self.edges.out(i) {
            let wanted = self.edges.sends(e).0;
            if wanted != 0 && wanted & !before == 0 {
                let to = self.edges.to(e);
                self.nodes[to].unsent += 1;
                self.convergence.missing += 1;
                self.settle(to);
            }
        }
    }

    /// The check needs values that only their senders can make again.
    pub(super) fn ask(&mut self, i: Node, senders: Vec<Node>) {
        let mut asked: Vec<Node> = Vec::new();
        for sender in senders {
            let edge = (sender.index() < self.nodes.len()).then(|| self.edges.find(sender, i)).flatten();
            if edge.is_some_and(|e| self.edges.any(e, SENDS)) && !asked.contains(&sender) {
                asked.push(sender);
            }
        }
        // Asking a sender twice in one run does not help: that is an ordinary failure, and the next try asks again.
        let again = self.rare(i).is_some_and(|rare| asked.iter().any(|s| rare.answered.contains(s)));
        if asked.is_empty() || again {
            if let Some(rare) = self.rare_if_any(i) {
                rare.answered.clear();
            }
            self.fail(i, OP_FAILING);
            return self.end_run(i);
        }
        // The check did not fail: the cause of an earlier failure is over.
        self.wait_no_longer(i, OP_FAILING);
        self.clear_failing(i, OP_FAILING);
        self.rare_mut(i).asked.clone_from(&asked);
        self.nodes[i].set(ASKING | DIRTY_AGAIN);
        self.convergence.missing += 1;
        self.end_run(i);
        for sender in asked {
            self.ask_for_remake(sender);
        }
    }

    /// Makes the sender run and make its values again, whether or not it has drifted. A noop node makes nothing.
    pub(super) fn ask_for_remake(&mut self, sender: Node) {
        let node = &mut self.nodes[sender];
        if !node.any(NOOP | REMAKE) {
            node.set(REMAKE);
            self.lift_limit(sender);
            self.update(sender);
        }
    }

    /// A sender answers a node that asked.
    fn hear(&mut self, i: Node, sender: Node) {
        if !self.nodes[i].any(ASKING) {
            return;
        }
        let was_made = self.nodes[sender].any(REMAKE_TAKEN);
        let rare = self.rare_mut(i);
        let Some(at) = rare.asked.iter().position(|s| *s == sender) else { return };
        rare.asked.remove(at);
        if was_made {
            rare.answered.push(sender);
        }
        if rare.asked.is_empty() {
            self.stop_asking(i);
        }
    }

    /// The node waits for no answer any more. (`update` is the caller's.)
    pub(super) fn stop_asking(&mut self, i: Node) {
        if self.nodes[i].any(ASKING) {
            self.nodes[i].clear(ASKING);
            self.convergence.missing -= 1;
        }
        if let Some(rare) = self.rare_if_any(i) {
            rare.asked.clear();
        }
    }

    /// A sender has made its values again: a node that still waits for one of them waits in vain, and fails.
    pub(super) fn fail_askers(&mut self, sender: Node) {
        if !self.nodes[sender].any(SENDER) || self.nodes[sender].any(REMAKE) {
            return;
        }
        for e in self.edges.out(sender) {
            let to = self.edges.to(e);
            let waits = self.nodes[to].any(ASKING) && self.rare(to).is_some_and(|rare| rare.asked.contains(&sender));
            if waits {
                self.stop_asking(to);
                self.fail(to, OP_FAILING);
                self.update(to);
            }
        }
    }
}
