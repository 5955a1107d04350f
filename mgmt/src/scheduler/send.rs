//! Values: who waits for which, what a new one does, and senders that must make theirs again.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::{Event, PortSet};
use crate::id::Node;
use crate::scheduler::edges::SENDS;

impl Scheduler {
    /// A node has new values for these outputs: its receivers are dirty, and wait no longer if that was all they waited
    /// for.
    pub(super) fn sent(&mut self, i: Node, ports: PortSet) {
        let node = &mut self.nodes[i];
        if ports.0 == 0 || !node.any(PRESENT) {
            return;
        }
        let before = node.sent.0;
        node.sent.0 |= ports.0;
        if !node.any(SENDER) {
            return;
        }
        for e in self.edges.out(i) {
            let wanted = self.edges.sends(e).0;
            if wanted & ports.0 == 0 {
                continue;
            }
            let to = self.edges.to(e);
            if wanted & !before != 0 && wanted & !(before | ports.0) == 0 {
                self.nodes[to].unsent -= 1;
                self.convergence.missing -= 1;
            }
            self.tell(Event::Sent { from: i, to });
            self.hear(to, i);
            if self.mutant(Mutant::SentIsQuiet) {
                self.update(to);
            } else {
                self.dirty(to, DIRTY_VALUE);
            }
        }
    }

    /// A check that needs values which only their senders can make again.
    pub(super) fn ask(&mut self, i: Node, senders: Vec<Node>) {
        let mut asked: Vec<Node> = Vec::new();
        for sender in senders {
            let edge = (sender.index() < self.nodes.len()).then(|| self.edges.find(sender, i)).flatten();
            if edge.is_some_and(|e| self.edges.any(e, SENDS)) && !asked.contains(&sender) {
                asked.push(sender);
            }
        }
        // Who is asked twice in one run does not help: that is a failure like any other, and the next try asks again.
        let again = self.rare(i).is_some_and(|rare| asked.iter().any(|s| rare.answered.contains(s)));
        if asked.is_empty() || again {
            if let Some(rare) = self.rare_if_any(i) {
                rare.answered.clear();
            }
            self.fail(i, OP_FAILING);
            return self.end_run(i);
        }
        self.rare_mut(i).asked.clone_from(&asked);
        self.nodes[i].set(ASKING | DIRTY_AGAIN);
        self.convergence.missing += 1;
        self.end_run(i);
        for sender in asked {
            self.ask_for_remake(sender);
        }
    }

    /// The sender runs, and makes its values again whether or not it has drifted. A noop node makes nothing.
    pub(super) fn ask_for_remake(&mut self, sender: Node) {
        let node = &mut self.nodes[sender];
        if !node.any(NOOP | REMAKE) {
            node.set(REMAKE);
            self.lift_limit(sender);
            self.update(sender);
        }
    }

    /// A node that asked is told by one of its senders.
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

    /// Waits for nobody's answer any more. (`update` is the caller's.)
    pub(super) fn stop_asking(&mut self, i: Node) {
        if self.nodes[i].any(ASKING) {
            self.nodes[i].clear(ASKING);
            self.convergence.missing -= 1;
        }
        if let Some(rare) = self.rare_if_any(i) {
            rare.asked.clear();
        }
    }

    /// A sender has made its values again: who still waits for it waits in vain.
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
