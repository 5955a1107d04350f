//! A new graph takes over, by difference: first the nodes that leave, then those that stay and those that are new, then
//! the edges, then the counts.

use super::mutants::Mutant;
use super::node::*;
use super::rare::Rare;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::{Command, Event, JournalOp, NodeConfig, NodeSpec, Swap, Tries};
use crate::id::Node;
use crate::scheduler::edges::*;

/// Compares settings. Cached, since the same pair comes many times.
struct Differences {
    old: Vec<NodeConfig>,
    last: Option<(u32, u32, bool)>,
}

impl Differences {
    fn differ(&mut self, old: u32, new: u32, configs: &[NodeConfig]) -> bool {
        match self.last {
            Some((a, b, differ)) if (a, b) == (old, new) => differ,
            _ => {
                let differ = self.old[old as usize] != configs[new as usize];
                self.last = Some((old, new, differ));
                differ
            }
        }
    }
}

impl Scheduler {
    pub(super) fn swap(&mut self, swap: Swap) {
        if self.stop.is_some() {
            return;
        }
        let Swap { generation, configs, nodes: specs, edges, handovers, groups } = swap;
        self.disband();
        let (before, first) = (self.convergence.present, self.commands.len());
        let named = specs.iter().map(|spec| spec.node.index() + 1).max().unwrap_or(0);
        let slots = named.max(self.nodes.len());
        // Before room is made for the nodes: the edge specs are dropped by then.
        let edges = Edges::build(slots, edges);
        self.nodes.grow(slots);
        self.unpark_all();
        // Each pass over a very large graph takes long: a first one needs fewer.
        let mut stay = 0;
        for spec in specs.iter().filter(|_| before > 0) {
            let node = &mut self.nodes[spec.node];
            node.set(SEEN);
            stay += usize::from(node.any(PRESENT));
        }
        if stay < before {
            self.order_leaving();
            for i in self.nodes.numbers() {
                if self.nodes[i].any(PRESENT) && !self.nodes[i].any(SEEN) {
                    self.remove(i);
                }
            }
        }
        let mut differences = Differences { old: std::mem::replace(&mut self.configs, configs), last: None };
        let (mut added, mut changed) = (0, 0);
        for spec in &specs {
            if !self.nodes[spec.node].any(PRESENT) {
                self.add(spec);
                added += 1;
            } else if self.keep(spec, &mut differences) {
                changed += 1;
            }
        }
        self.hold_successors(&handovers);
        self.carry_edges(edges);
        if before > 0 || self.edges.has_marks() {
            self.mark_edges();
        }
        self.resize_semaphores();
        self.retain_queued();
        if self.recount() {
            self.reblock();
        }
        self.regroup(groups);
        for spec in &specs {
            let node = &mut self.nodes[spec.node];
            node.clear(SEEN);
            if !node.all(SETTLED | CALM) {
                self.lift_limit(spec.node);
                self.update(spec.node);
            }
        }
        if self.generation.replace(generation).is_some() || self.is_patient() {
            self.end_late();
        }
        if !self.mutant(Mutant::StruckAfterRemoved) {
            self.flush_journal_at(first);
        }
        self.commands.push_back(Command::Event(Event::Swapped {
            generation,
            added,
            changed,
            removed: (before - stay) as u32,
            kept: specs.len() as u32 - added - changed,
        }));
    }

    /// A node leaves. A check under way is cancelled and waited for; an operation that changes something is left to
    /// end.
    fn remove(&mut self, i: Node) {
        self.unwatch(i);
        // The node may have come back during its leave, and leave again: the first leave is left to end.
        let phase = self.nodes[i].phase();
        if phase == Phase::Leaving || phase.writes() {
            self.disarm_all_but(i, Some(Timer::Timeout));
        } else {
            self.cancel(i);
            self.disarm_all_but(i, None);
        }
        self.stop_waiting_for_predecessors(i);
        self.shares.forget(i);
        self.looks_open.close(i);
        let NodeConfig { leaves, undoes, noop, timeout, .. } = *self.settings(i);
        let undoes = undoes && (self.nodes[i].any(RAN) || !self.mutant(Mutant::UndoForgotten));
        let leaves = (leaves && self.nodes[i].any(RAN) || undoes) && !noop;
        self.nodes[i].clear(PRESENT);
        let phase = self.nodes[i].phase();
        if phase.is_before_repair() {
            self.close_run(i);
        }
        if !phase.has_op() {
            self.release(i);
        }
        if let Some(rare) = self.rare_if_any(i) {
            let Rare { held, successors, due, call, .. } = std::mem::take(rare);
            *rare = Rare { held, successors, due, call, ..Rare::default() };
        }
        self.tidy_rare(i);
        if leaves && timeout.is_some() {
            self.rare_mut(i).leave_timeout = timeout;
        }
        self.nodes[i].keep(OF_OP | RAN);
        self.nodes[i].put(LEAVES, leaves);
        if leaves && undoes {
            let tries = Tries::of(self.settings(i));
            self.leave_order.will_undo(i, tries);
        }
        if !phase.has_op() {
            self.depart(i);
        }
    }

    /// The node has ended for good: its slot is free.
    pub(super) fn forget(&mut self, i: Node) {
        self.hand_over(i);
        self.no_longer_leaves(i);
        self.drop_rare(i);
        self.nodes[i].go(Phase::Absent);
        self.count_moving(i);
        self.nodes[i] = NodeData::absent();
        self.commands.push_back(Command::Removed(i));
    }

    fn add(&mut self, spec: &NodeSpec) {
        let i = spec.node;
        let two_at_once = self.mutant(Mutant::TwoAtOnce);
        if self.nodes[i].phase() == Phase::ToLeave {
            // The node is back before it was asked to leave.
            self.hand_over(i);
            self.leaving_held.retain(|held| *held != i);
            self.end_pause_of_leave(i);
        }
        self.no_longer_leaves(i);
        if let Some(rare) = self.rare_if_any(i) {
            rare.leave_timeout = None;
            self.tidy_rare(i);
        }
        if two_at_once && self.nodes[i].phase().has_op() {
            self.nodes[i].go(Phase::Absent);
            self.give_place_back(i);
        }
        let node = &mut self.nodes[i];
        // The slot may still have an operation of the node that left: nothing starts before that has ended.
        if node.phase().has_op() {
            node.keep(OF_OP | RAN);
            node.set(STALE);
        } else {
            let (rare, ran) = (node.rare, node.any(RAN));
            *node = NodeData::absent();
            node.rare = rare;
            node.put(RAN, ran);
            node.go(Phase::Idle);
        }
        node.sent.0 = 0;
        node.unsent = 0;
        node.bad_parents = 0;
        node.config = spec.config;
        node.set(PRESENT | DIRTY_START);
        let noop = self.settings(i).noop;
        self.nodes[i].put(NOOP, noop);
        self.watch_as_wanted(i);
    }

    /// A node stays. Returns whether anything about it differs.
    fn keep(&mut self, spec: &NodeSpec, differences: &mut Differences) -> bool {
        let i = spec.node;
        let node = &mut self.nodes[i];
        let old = std::mem::replace(&mut node.config, spec.config);
        let failed = node.any(FAILED);
        let differ = differences.differ(old, spec.config, &self.configs);
        let NodeConfig { rewatch, reset, .. } = *self.settings(i);
        let is_reset = reset && !self.mutant(Mutant::ResetForgotten);
        if spec.changed || is_reset || failed && rewatch {
            // The cause for which it waits may still be there: only its next check can tell.
            let waits = self.nodes[i].any(WAITS);
            self.revive(i);
            if waits && !spec.changed {
                self.nodes[i].set(DIRTY_RETRY);
            }
        }
        if spec.changed {
            let keeps_values = self.mutant(Mutant::OldValuesCount);
            let node = &mut self.nodes[i];
            node.set(DIRTY_CONFIG);
            node.put(STALE, node.phase().has_op());
            if !keeps_values {
                // Its receivers wait for the outputs of the sender as it is now: the new edges count them.
                node.sent.0 = 0;
            }
            self.abort_commit(i);
        }
        if differ {
            self.adopt(i, &differences.old[old as usize]);
        }
        if differ || spec.changed || failed {
            self.watch_as_wanted(i);
        }
        spec.changed || differ
    }

    /// New settings for a node that stays.
    fn adopt(&mut self, i: Node, old: &NodeConfig) {
        let new = self.settings(i).clone();
        if new.noop != old.noop {
            self.nodes[i].put(NOOP, new.noop);
            self.nodes[i].set(DIRTY_META);
            if new.noop {
                self.nodes[i].clear(REMAKE);
                self.abort_commit(i);
            }
        }
        if new.sema != old.sema && self.nodes[i].phase() == Phase::Queued {
            // The node may hold the former semaphores while it waits for a place.
            self.unqueue(i);
        }
        if new.poll != old.poll {
            self.disarm(i, Timer::Poll);
            self.arm_poll(i);
        }
        if (new.limit, new.burst) != (old.limit, old.burst) {
            self.end_limit(i);
            if let Some(rare) = self.rare_if_any(i) {
                rare.bucket = None;
            }
        }
        self.tidy_rare(i);
    }

    /// Starts or ends the watch of the node, as its settings require.
    pub(super) fn watch_as_wanted(&mut self, i: Node) {
        let node = &self.nodes[i];
        if node.any(FAILED) {
            return;
        }
        if !self.settings(i).watched {
            self.unwatch(i);
            self.disarm(i, Timer::WatchRetry);
            let node = &mut self.nodes[i];
            node.clear(WATCH_FAILING | WATCH_WAITS);
            node.set(WATCH_READY);
        } else if self.is_late() {
            self.nodes[i].set(WATCH_READY);
        } else if !self.nodes[i].any(WATCH_ON | WATCH_FAILING) {
            self.nodes[i].clear(WATCH_READY);
            if self.nodes[i].phase() == Phase::Checking {
                self.cancel(i);
            }
            self.watch(i);
        }
    }

    /// What the check found does not count any more, and no repair has begun.
    fn abort_commit(&mut self, i: Node) {
        if self.nodes[i].phase().is_before_repair() {
            self.drop_intents(i);
            self.nodes[i].set(DIRTY_AGAIN);
            self.close_run(i);
        }
    }

    /// Takes the new edges. What the journal holds about an edge goes to its successor; without one it is struck out.
    fn carry_edges(&mut self, new: Edges) {
        let old = std::mem::replace(&mut self.edges, new);
        if !old.has_marks() && !self.edges.has_marks() {
            return;
        }
        let mut old_edge: Vec<Option<Edge>> = Vec::new();
        for i in self.nodes.numbers() {
            let (was, is) = (old.out(i), self.edges.out(i));
            let phase = self.nodes[i].phase();
            let matters = old.any_out(i, IN_JOURNAL)
                || self.edges.any_out(i, EDGE_CLAIMED)
                || (phase.writes() || phase.is_before_repair());
            if !matters {
                continue;
            }
            old_edge.resize(self.nodes.len(), None);
            for e in was.clone() {
                let stays = self.nodes[i].any(SEEN) && self.nodes[old.to(e)].any(SEEN);
                if stays && old.any(e, NOTIFY) {
                    old_edge[old.to(e).index()] = Some(e);
                }
            }
            let mut news = false;
            for e in is {
                if self.edges.any(e, NOTIFY) {
                    let before = old_edge[self.edges.to(e).index()].take();
                    match before {
                        None => news |= self.begin_edge(e),
                        Some(before) => self.carry_edge(e, &old, before),
                    }
                }
            }
            for e in was {
                let to = old.to(e);
                let stays = self.nodes[i].any(SEEN) && self.nodes[to].any(SEEN);
                let carried = stays && old.any(e, NOTIFY) && old_edge[to.index()].is_none();
                old_edge[to.index()] = None;
                if !carried && old.any(e, IN_JOURNAL) {
                    self.entries.push(JournalOp::Paid { from: i, to });
                }
            }
            if news {
                self.abort_commit(i);
            }
        }
    }

    fn carry_edge(&mut self, e: Edge, old: &Edges, before: Edge) {
        for flag in [EDGE_OWED, EDGE_TAKEN, EDGE_INTENT, EDGE_MAYBE] {
            if old.any(before, flag) && !(flag == EDGE_OWED && self.mutant(Mutant::SwapForgetsOwed)) {
                self.edges.set(e, flag);
            }
        }
        self.edges.clear(e, EDGE_CLAIMED);
    }

    /// A notify edge that is new. Returns whether the parent's journal write under way lacks it.
    fn begin_edge(&mut self, e: Edge) -> bool {
        let (from, to) = (self.edges.from(e), self.edges.to(e));
        if self.edges.any(e, EDGE_CLAIMED) {
            self.edges.clear(e, EDGE_CLAIMED);
            self.edges.set(e, EDGE_OWED);
            self.nodes[to].set(DIRTY_REFRESH);
            // On disk, the debt may only be an intent, which the next apply that changes nothing would strike out.
            self.entries.push(JournalOp::Debt { from, to });
        }
        let phase = self.nodes[from].phase();
        if phase.writes() {
            // The change may be made after this point: it must be owed along this edge too.
            self.edges.set(e, EDGE_INTENT);
            self.entries.push(JournalOp::Intent { from, to });
        }
        phase.is_before_repair()
    }

    /// Recomputes what the nodes keep about their edges.
    fn mark_edges(&mut self) {
        for node in self.nodes.iter_mut() {
            node.clear(NOTIFIES | SENDER | OWED | TAKEN | MAYBE);
            node.unsent = 0;
        }
        for e in self.edges.all() {
            if !self.edges.is_marked(e) {
                continue;
            }
            let (from, to) = (self.edges.from(e), self.edges.to(e));
            if self.edges.any(e, NOTIFY) {
                self.nodes[from].set(NOTIFIES);
            }
            if self.edges.any(e, SENDS) {
                self.nodes[from].set(SENDER);
                let lacking = self.edges.sends(e).0 & !self.nodes[from].sent.0 != 0;
                self.nodes[to].unsent += u32::from(lacking);
            }
            if self.edges.any(e, EDGE_MAYBE) {
                self.nodes[from].set(MAYBE);
            }
            if self.edges.any(e, EDGE_OWED) {
                self.nodes[to].set(OWED);
            }
            if self.edges.any(e, EDGE_TAKEN) {
                self.nodes[to].set(TAKEN);
            }
        }
        if self.convergence.missing > 0 {
            for i in self.nodes.numbers() {
                if self.nodes[i].any(ASKING) {
                    self.review_asking(i);
                }
            }
        }
    }

    /// For a node that has asked for values: its senders may be gone, or may be able to make them now.
    fn review_asking(&mut self, i: Node) {
        let mut asked = self.rare_mut(i).asked.clone();
        asked.retain(|sender| self.edges.find(*sender, i).is_some_and(|e| self.edges.any(e, SENDS)));
        let changed = self.nodes[i].any(DIRTY_INPUT);
        if asked.is_empty() || changed {
            self.stop_asking(i);
            self.tidy_rare(i);
        } else {
            for &sender in &asked {
                let sender = &mut self.nodes[sender];
                if !sender.any(NOOP | REMAKE | REMAKE_TAKEN) {
                    sender.set(REMAKE);
                }
            }
            self.rare_mut(i).asked = asked;
        }
    }

    /// Keeps the nodes that are queued; drops those that have left the graph.
    pub(super) fn retain_queued(&mut self) {
        let nodes = &self.nodes;
        self.ready.retain(|i| nodes[*i].phase() == Phase::Queued);
        self.urgent.retain(|i| nodes[*i].phase() == Phase::Queued);
        self.granted.retain(|i| nodes[*i].phase() == Phase::Queued);
    }
}
