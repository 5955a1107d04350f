//! Places: how many runs may be under way at once. Long runs do not hold back runs that an event asks for: beyond the
//! bound there is a reserve, in which the latter begin while long runs hold places.

use std::collections::VecDeque;
use std::time::Duration;

use super::Op;
use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use crate::id::{Node, Time};

/// A run that has held its place for this long is a long one: a run that an event asks for no longer waits for its
/// place.
pub const LONG: Duration = Duration::from_millis(100);

/// What holds a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A run, or the leave of a node that has left the graph.
    Run(Node),
    /// The runs of one call, by its number.
    Call(u32),
}

/// Where a node waits for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Granted,
    Urgent,
    Ready,
}

impl Scheduler {
    /// A run or a call begins.
    pub(super) fn occupy(&mut self, holder: Holder) {
        self.places.push((holder, self.now));
    }

    /// A run or a call has ended.
    pub(super) fn vacate(&mut self, holder: Holder) {
        if !self.yielded.is_empty()
            && let Holder::Run(i) = holder
            && let Some(at) = self.yielded.iter().position(|yielded| *yielded == i)
        {
            self.yielded.swap_remove(at);
            return;
        }
        // Most runs are short: the last that began is often the first that ends.
        if let Some(at) = self.places.iter().rposition(|(held_by, _)| *held_by == holder) {
            self.places.remove(at);
        }
    }

    /// A run only waits for the disk: another may begin in its place, unless `yielded_max` runs have given theirs up.
    /// (A run that shares the place of a call keeps it.)
    pub(super) fn give_place_up(&mut self, op: Op) {
        let has_room = self.yielded.len() < self.config.yielded_max || self.mutant(Mutant::YieldedUnbounded);
        let is_under_way = self.is_under_way(op, Phase::holds_slot);
        if !has_room || !is_under_way || self.mutant(Mutant::YieldedKeepsPlace) {
            return;
        }
        if let Some(at) = self.places.iter().rposition(|(held_by, _)| *held_by == Holder::Run(op.node)) {
            self.places.remove(at);
            self.yielded.push(op.node);
        }
    }

    /// How many runs are under way; the runs of one call count as one.
    pub(super) fn runs(&self) -> usize {
        self.places.len() + self.yielded.len()
    }

    /// Other nodes may wait for this one, and it has not just failed: an event made it dirty, not the start, a new
    /// graph or a further try.
    pub(super) fn is_urgent_itself(&self, i: Node) -> bool {
        !self.nodes[i].any(DIRTY_START | DIRTY_CONFIG | DIRTY_META | DIRTY_RETRY) || self.mutant(Mutant::AllIsUrgent)
    }

    /// An event asks for its run, or for that of one for which it is in a queue.
    pub(super) fn is_urgent(&self, i: Node) -> bool {
        self.is_urgent_itself(i) || self.leads_urgently(i)
    }

    /// Puts the node into the queue of nodes that may run.
    pub(super) fn enqueue(&mut self, i: Node) {
        self.lead(i);
        self.nodes[i].go(Phase::Queued);
        if self.is_urgent(i) { self.urgent.push_back(i) } else { self.ready.push_back(i) }
    }

    /// No node waits to begin.
    pub(super) fn are_queues_empty(&self) -> bool {
        [&self.granted, &self.urgent, &self.ready].iter().all(|queue| queue.is_empty())
    }

    /// The number of places without the reserve.
    pub(super) fn room(&self) -> usize {
        self.config.running_max.max(1) + usize::from(self.mutant(Mutant::OneTooMany))
    }

    /// The next node that may begin, if there is a place for it.
    pub(super) fn take_next(&mut self) -> Option<Node> {
        let room = self.room();
        if self.places.len() < room && self.are_queues_empty() && !self.release_spaced() && !self.start_without() {
            return None;
        }
        if let Some((queue, i)) = self.head()
            && (self.places.len() < room || self.joins_call(i))
        {
            self.took_urgent = queue == Queue::Urgent;
            return self.queue_mut(queue).pop_front();
        }
        let has_reserve = self.places.len() < room + self.config.reserve && self.waits_urgently();
        if !has_reserve || self.places.len() - self.long_ones() >= room {
            return None;
        }
        if let Some(at) = self.granted.iter().position(|i| self.is_urgent(*i)) {
            return self.granted.remove(at);
        }
        while let Some(i) = self.urgent.pop_front() {
            if self.nodes[i].phase() != Phase::Queued || self.is_urgent(i) {
                return Some(i);
            }
            // A swap has added a cause that is not urgent; or the one of its group that an event asks for may not start
            // any more.
            self.lead_in_time(i);
            self.ready.push_back(i);
        }
        None
    }

    /// A node that has its semaphores goes first, then urgent nodes; but of two places that become free, one goes to
    /// the other nodes.
    fn head(&self) -> Option<(Queue, Node)> {
        let order = match self.took_urgent {
            true => [Queue::Granted, Queue::Ready, Queue::Urgent],
            false => [Queue::Granted, Queue::Urgent, Queue::Ready],
        };
        order.into_iter().find_map(|queue| {
            let nodes = match queue {
                Queue::Granted => &self.granted,
                Queue::Urgent => &self.urgent,
                Queue::Ready => &self.ready,
            };
            Some((queue, nodes.front().copied()?))
        })
    }

    fn queue_mut(&mut self, queue: Queue) -> &mut VecDeque<Node> {
        match queue {
            Queue::Granted => &mut self.granted,
            Queue::Urgent => &mut self.urgent,
            Queue::Ready => &mut self.ready,
        }
    }

    fn waits_urgently(&self) -> bool {
        !self.urgent.is_empty() || self.granted.iter().any(|i| self.is_urgent(*i))
    }

    /// How many places are held by long runs.
    fn long_ones(&self) -> usize {
        let long = self.places.iter().filter(|(_, since)| since.after(LONG) <= self.now).count();
        if self.mutant(Mutant::LongOnesCount) { 0 } else { long }
    }

    /// When urgent nodes that wait may begin in the reserve, if nothing happens before.
    pub(super) fn reserve_due(&self) -> Option<Time> {
        let room = self.room();
        let held = self.paused || self.stop.is_some();
        if held || self.places.len() < room || self.places.len() >= room + self.config.reserve || !self.waits_urgently()
        {
            return None;
        }
        self.places.iter().map(|(_, since)| since.after(LONG)).filter(|due| *due > self.now).min()
    }
}
