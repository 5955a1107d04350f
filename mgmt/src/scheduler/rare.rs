//! What only few nodes need: counters of failures, timers, the rate limit, semaphores held, values asked for.

use std::time::Duration;

use super::Lack;
use super::node::NO_RARE;
use super::scheduler::Scheduler;
use super::timers::TIMER_KINDS;
use crate::id::{Node, Time};

/// The side record of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    /// Failures in a row of check, apply and refresh.
    pub(super) failures: u32,
    /// Failures in a row of the watch.
    pub(super) watch_failures: u32,
    /// How often in a row its operations ended for a cause that it waits for, and which the last one was.
    pub(super) waits: u32,
    pub(super) lack: Option<Lack>,
    /// The same of the watch.
    pub(super) watch_waits: u32,
    pub(super) watch_lack: Option<Lack>,
    /// Since when the watch listens. Only counted after a failure.
    pub(super) listens_since: Option<Time>,
    /// When each timer is due.
    pub(super) due: [Option<Time>; TIMER_KINDS],
    /// The rate limit.
    pub(super) bucket: Option<Bucket>,
    /// Senders that were asked to make their values again and have not yet.
    pub(super) asked: Vec<Node>,
    /// Senders that did, since the last success.
    pub(super) answered: Vec<Node>,
    /// What it takes the place of and has not ended.
    pub(super) predecessors: Vec<Node>,
    /// The nodes that take its place.
    pub(super) successors: Vec<Node>,
    /// How long it may take to leave.
    pub(super) leave_timeout: Option<Duration>,
    /// Semaphores held.
    pub(super) held: Vec<u32>,
    /// Place in the queues of the semaphores; 0: in none.
    pub(super) place: u64,
    /// The call that its run is in.
    pub(super) call: Option<u32>,
}

/// Tokens of the rate limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// How many there were…
    pub(super) tokens: f64,
    /// …then.
    pub(super) at: Time,
}

impl Rare {
    /// Nothing in it is worth keeping.
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
