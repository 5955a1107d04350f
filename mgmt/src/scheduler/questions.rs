//! What may be asked of the scheduler.

use super::State;
use super::node::*;
use super::scheduler::Scheduler;
use super::timers::Timer;
use crate::id::{Generation, Node, Time};
use crate::scheduler::edges::{EDGE_OWED, EDGE_TAKEN};

/// At most this many nodes are named in an answer.
const NAMED_MAX: usize = 3;
/// How many levels up an answer looks for the ancestor that has failed; beyond, it names the last node that it reached.
const CLIMB_MAX: usize = 1024;

impl Scheduler {
    /// A stop has begun: nothing starts any more, and no other graph comes into force.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Between `Input::Pause` and `Input::Resume`.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The watch of the node listens, by the last `Input` about it.
    pub fn listens(&self, node: Node) -> bool {
        self.nodes.get(node).is_some_and(|node| node.any(WATCH_READY))
    }

    /// The state of a node, with its reason. A slot that is not in the graph is `Settled`.
    pub fn state(&self, node: Node) -> State {
        let i = node;
        let Some(n) = self.nodes.get(node) else { return State::Settled { drifted: false } };
        if n.phase().holds_slot() {
            State::Running
        } else if !n.any(PRESENT) {
            State::Settled { drifted: false }
        } else if n.any(FAILED) {
            State::Failed
        } else if n.any(FAILING) {
            if self.only_waits(i) { State::Waiting } else { State::Retrying }
        } else if n.any(HELD) && n.wants_run() {
            let predecessors = self.rare(i).map_or(&[][..], |rare| &rare.predecessors[..]);
            State::WaitingForPredecessor(predecessors.iter().take(NAMED_MAX).copied().collect())
        } else if n.bad_parents > 0 {
            State::Blocked(self.failed_above(i))
        } else if !n.any(WATCH_READY) {
            State::WaitingForWatch
        } else if n.any(ASKING) {
            let asked = self.rare(i).map_or(&[][..], |rare| &rare.asked[..]);
            State::WaitingForValue(asked.iter().take(NAMED_MAX).copied().collect())
        } else if n.unsettled_parents > 0 && (n.unsent > 0 || n.wants_run()) {
            State::WaitingForParents(self.parents_where(i, |parent, _| !parent.any(SETTLED)))
        } else if n.unsent > 0 {
            State::WaitingForValue(self.parents_where(i, |parent, sends| sends & !parent.sent.0 != 0))
        } else if n.any(SPACED) {
            State::Spaced
        } else if n.wants_run() {
            let mates = self.waits_for_mates(i, NAMED_MAX);
            if mates.is_empty() || n.any(LIMITED) { State::Ready } else { State::WaitingForGroup(mates) }
        } else {
            State::Settled { drifted: n.any(DRIFTED) || n.all(NOOP | OWED) }
        }
    }

    fn parents_where(&self, i: Node, which: fn(&NodeData, u32) -> bool) -> Vec<Node> {
        let parents = self.edges.parents(i);
        let named = parents.filter(|e| which(&self.nodes[self.edges.from(*e)], self.edges.sends(*e).0));
        named.take(NAMED_MAX).map(|e| self.edges.from(e)).collect()
    }

    /// One failed ancestor for each of the first few parents through which the node is blocked.
    fn failed_above(&self, i: Node) -> Vec<Node> {
        let mut found = Vec::new();
        for mut at in self.parents_where(i, |parent, _| parent.is_bad()) {
            for _ in 0..CLIMB_MAX {
                if self.nodes[at].any(FAILING) {
                    break;
                }
                let Some(above) = self.parents_where(at, |parent, _| parent.is_bad()).first().copied() else { break };
                at = above;
            }
            if !found.contains(&at) {
                found.push(at);
            }
        }
        found
    }

    /// All nodes have been settled for the converged timeout, and `Event::Converged` was emitted.
    pub fn is_converged(&self) -> bool {
        self.convergence.converged
    }

    /// The graph will not converge by itself, and `Event::Hopeless` was emitted.
    pub fn is_hopeless(&self) -> bool {
        self.convergence.hopeless
    }

    /// Nothing is under way, nothing could start now, and no command waits to be polled: only an input or time will
    /// change that.
    pub fn is_idle(&self) -> bool {
        let held = self.paused || self.stop.is_some();
        let waits = !self.are_queues_empty() || !self.leaving.is_empty();
        self.runs() == 0 && self.commands.is_empty() && (held || !waits)
    }

    /// How many nodes are not settled, or are settled only because they wait for their share.
    pub fn unsettled(&self) -> usize {
        self.convergence.unsettled + self.shares.spaced()
    }

    /// The parents of a node in the graph.
    pub fn parents(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        let known = self.nodes.get(node).is_some_and(|n| n.any(PRESENT));
        known.then(|| self.edges.parents(node).map(|edge| self.edges.from(edge))).into_iter().flatten()
    }

    /// Another node receives what this one sends.
    pub fn is_sender(&self, node: Node) -> bool {
        self.nodes.get(node).is_some_and(|n| n.any(SENDER))
    }

    /// How many nodes have failed for good.
    pub fn failed(&self) -> usize {
        self.convergence.failed
    }

    /// How many nodes wait for one that fails.
    pub fn blocked(&self) -> usize {
        self.convergence.blocked
    }

    /// How many operations are under way, including those that wait for the journal.
    pub fn running(&self) -> usize {
        self.runs() + self.calls.guests()
    }

    /// How many nodes the graph has.
    pub fn node_count(&self) -> usize {
        self.convergence.present
    }

    /// The number of the graph in force; `None` before the first.
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// The refreshes that are owed and not yet delivered: (notifier, notified). Visits all edges.
    pub fn owed(&self) -> impl Iterator<Item = (Node, Node)> + '_ {
        let owed = self.edges.all().filter(|e| self.edges.any(*e, EDGE_OWED | EDGE_TAKEN));
        owed.map(|e| (self.edges.from(e), self.edges.to(e)))
    }

    /// The parents that owe the node a refresh which is not delivered, at most `count_max`.
    pub fn owed_by(&self, node: Node, count_max: usize) -> Vec<Node> {
        if !self.knows(node) {
            return Vec::new();
        }
        let owed = self.edges.parents(node).filter(|e| self.edges.any(*e, EDGE_OWED | EDGE_TAKEN));
        owed.take(count_max).map(|e| self.edges.from(e)).collect()
    }

    /// The children that the node owes a refresh which is not delivered, at most `count_max`.
    pub fn owed_to(&self, node: Node, count_max: usize) -> Vec<Node> {
        if !self.knows(node) {
            return Vec::new();
        }
        let owed = self.edges.out(node).filter(|e| self.edges.any(*e, EDGE_OWED | EDGE_TAKEN));
        owed.take(count_max).map(|e| self.edges.to(e)).collect()
    }

    /// When the node or its watch is tried again, if that is a matter of time.
    pub fn next_try(&self, node: Node) -> Option<Time> {
        let due = self.nodes.get(node).and_then(|_| self.rare(node)).map(|rare| rare.due)?;
        [due[Timer::Retry as usize], due[Timer::WatchRetry as usize]].into_iter().flatten().min()
    }

    /// When the node is polled.
    pub fn next_poll(&self, node: Node) -> Option<Time> {
        self.nodes.get(node).and_then(|_| self.rare(node))?.due[Timer::Poll as usize]
    }

    /// Bytes held, including commands that wait to be polled. Side records of nodes are estimated.
    pub fn memory(&self) -> usize {
        size_of::<Scheduler>()
            + self.nodes.memory()
            + self.edges.memory()
            + self.rare.memory()
            + self.timers.memory()
            + self.shares.memory()
            + self.looks_open.memory()
            + self.calls.memory()
            + self.groups.memory()
            + (self.ready.capacity() + self.urgent.capacity() + self.granted.capacity()) * size_of::<Node>()
            + self.leave_order.memory()
            + (self.leaving.capacity() + self.leaving_held.capacity()) * size_of::<Node>()
            + self.commands.capacity() * size_of::<super::Command>()
            + self.configs.capacity() * size_of::<super::NodeConfig>()
    }
}
