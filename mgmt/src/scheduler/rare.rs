//! Data that few nodes need: counters of failures, timers, the rate limit, semaphores held, values asked for.

use std::time::Duration;

use super::Lack;
use super::node::NO_RARE;
use super::scheduler::Scheduler;
use super::timers::TIMER_KINDS;
use super::together::Guest;
use crate::id::{Node, Time};

/// The side record of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    /// Failures in a row of check, apply and refresh.
    pub(super) failures: u32,
    /// Failures in a row of the watch.
    pub(super) watch_failures: u32,
    /// How often in a row operations of the node ended for a cause that it waits for, and the last such cause.
    pub(super) waits: u32,
    pub(super) lack: Option<Lack>,
    /// How often in a row the watch ended for a cause that the node waits for, and the last such cause.
    pub(super) watch_waits: u32,
    pub(super) watch_lack: Option<Lack>,
    /// Since when the watch listens. Only counted after a failure.
    pub(super) listens_since: Option<Time>,
    /// When each timer is due.
    pub(super) due: [Option<Time>; TIMER_KINDS],
    /// The rate limit.
    pub(super) bucket: Option<Bucket>,
    /// Senders that were asked to make their values again and have not done so.
    pub(super) asked: Vec<Node>,
    /// Senders that have made their values again since the last success.
    pub(super) answered: Vec<Node>,
    /// The nodes whose place this one takes and that have not ended.
    pub(super) predecessors: Vec<Node>,
    /// The nodes that take the place of this one.
    pub(super) successors: Vec<Node>,
    /// The timeout of the leave.
    pub(super) leave_timeout: Option<Duration>,
    /// Since when the node is calm. Only counted with a timeout of its own for convergence.
    pub(super) calm_since: Option<Time>,
    /// Semaphores held.
    pub(super) held: Vec<u32>,
    /// Place in the queues of the semaphores; 0: in no queue.
    pub(super) place: u64,
    /// The call that the run of the node belongs to.
    pub(super) call: Option<Guest>,
}

/// Tokens of the rate limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// The number of tokens…
    pub(super) tokens: f64,
    /// …at this time.
    pub(super) at: Time,
}

impl Rare {
    /// The record holds nothing worth keeping.
    fn is_blank(&self) -> bool {
        self.failures == 0
            && self.watch_failures == 0
            && self.waits == 0
            && self.watch_waits == 0
            && self.due.iter().all(Option::is_none)
            && self.bucket.is_none()
            && self.asked.is_empty()
            && self.answered.is_empty()
            && self.predecessors.is_empty()
            && self.successors.is_empty()
            && self.leave_timeout.is_none()
            && self.calm_since.is_none()
            && self.held.is_empty()
            && self.place == 0
            && self.call.is_none()
    }
}

/// All side records.
#[derive(Debug, Default)]
pub(super) struct RareSlab {
    records: Vec<Rare>,
    free: Vec<u32>,
}

impl RareSlab {
    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.records.capacity() * size_of::<Rare>() + self.free.capacity() * 4
    }
}

impl Scheduler {
    /// The side record of a node, if it has one.
    pub(super) fn rare(&self, i: Node) -> Option<&Rare> {
        let at = self.nodes[i].rare;
        (at != NO_RARE).then(|| &self.rare.records[at as usize])
    }

    /// The side record of a node, if it has one.
    pub(super) fn rare_if_any(&mut self, i: Node) -> Option<&mut Rare> {
        let at = self.nodes[i].rare;
        (at != NO_RARE).then(|| &mut self.rare.records[at as usize])
    }

    /// The side record of a node, made if need be.
    pub(super) fn rare_mut(&mut self, i: Node) -> &mut Rare {
        let node = &mut self.nodes[i];
        if node.rare == NO_RARE {
            node.rare = match self.rare.free.pop() {
                Some(at) => at,
                None => {
                    self.rare.records.push(Rare::default());
                    (self.rare.records.len() - 1) as u32
                }
            };
        }
        &mut self.rare.records[node.rare as usize]
    }

    /// Gives the side record back, whatever is in it. Timers must have been stopped.
    pub(super) fn drop_rare(&mut self, i: Node) {
        if let Some(rare) = self.rare_if_any(i) {
            *rare = Rare::default();
            self.tidy_rare(i);
        }
    }

    /// Gives the side record back if nothing in it is worth keeping.
    pub(super) fn tidy_rare(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        if node.rare != NO_RARE && self.rare.records[node.rare as usize].is_blank() {
            self.rare.records[node.rare as usize] = Rare::default();
            self.rare.free.push(node.rare);
            node.rare = NO_RARE;
        }
    }
}
