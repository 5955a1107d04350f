//! Timers: at most one of each kind for a node. A heap of points in time; an entry that was superseded is skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::node::*;
use super::scheduler::Scheduler;
use super::{Command, Op};
use crate::id::{Node, Time};

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Timer {
    /// The operation under way takes too long.
    Timeout,
    /// The next try of the node.
    Retry,
    /// The next try of its watch.
    WatchRetry,
    /// The rate limit or the share of the node lets it continue.
    Limit,
    /// The node must be checked.
    Poll,
}

/// How many kinds there are.
pub(super) const TIMER_KINDS: usize = 5;

/// All timers of all nodes.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Time, Node, Timer)>>,
    armed: usize,
}

impl Timers {
    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.heap.capacity() * size_of::<(Time, Node, Timer)>()
    }

    /// When the first timer is due. Only valid right after `prune_timers`.
    pub(super) fn first(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// How many timers are set.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn armed(&self) -> usize {
        self.armed
    }
}

impl Scheduler {
    /// Sets a timer, or moves it.
    pub(super) fn arm(&mut self, i: Node, timer: Timer, at: Time) {
        let due = &mut self.rare_mut(i).due[timer as usize];
        match due.replace(at) {
            Some(before) if before == at => return,
            Some(_) => {}
            None => self.timers.armed += 1,
        }
        self.timers.heap.push(Reverse((at, i, timer)));
        // Superseded entries stay in the heap; when they are most of it, it is swept.
        if self.timers.heap.len() > 64 + 2 * self.timers.armed {
            let mut heap = std::mem::take(&mut self.timers.heap);
            heap.retain(|Reverse(entry)| self.is_due_entry(*entry));
            self.timers.heap = heap;
        }
    }

    /// Stops a timer.
    pub(super) fn disarm(&mut self, i: Node, timer: Timer) {
        if let Some(rare) = self.rare_if_any(i)
            && rare.due[timer as usize].take().is_some()
        {
            self.timers.armed -= 1;
        }
    }

    /// Stops all timers of a node except this one.
    pub(super) fn disarm_all_but(&mut self, i: Node, kept: Option<Timer>) {
        for timer in [Timer::Timeout, Timer::Retry, Timer::WatchRetry, Timer::Limit, Timer::Poll] {
            if Some(timer) != kept {
                self.disarm(i, timer);
            }
        }
    }

    fn is_due_entry(&self, (at, i, timer): (Time, Node, Timer)) -> bool {
        self.rare(i).is_some_and(|rare| rare.due[timer as usize] == Some(at))
    }

    /// Drops superseded entries from the top, so that the first entry is valid.
    pub(super) fn prune_timers(&mut self) {
        while let Some(Reverse(entry)) = self.timers.heap.peek() {
            if self.is_due_entry(*entry) {
                break;
            }
            self.timers.heap.pop();
        }
    }

    /// Handles the timers that are due.
    pub(super) fn fire_timers(&mut self) {
        while let Some(Reverse(entry)) = self.timers.heap.peek().copied() {
            let (at, i, timer) = entry;
            if at > self.now {
                break;
            }
            self.timers.heap.pop();
            if !self.is_due_entry(entry) {
                continue;
            }
            self.disarm(i, timer);
            self.fire(i, timer);
        }
    }

    fn fire(&mut self, i: Node, timer: Timer) {
        let node = &mut self.nodes[i];
        if self.stop.is_some() && timer != Timer::Timeout {
            return;
        }
        match timer {
            Timer::Timeout => {
                let op = Op { node: i, number: node.op };
                if node.phase().has_op() {
                    node.set(TIMED_OUT);
                    if !node.any(CANCELLED) {
                        node.set(CANCELLED);
                        self.commands.push_back(Command::Cancel(op));
                    }
                }
            }
            Timer::Retry if node.phase() == Phase::ToLeave => self.end_pause_of_leave(i),
            Timer::Retry if node.any(WAITS) => self.dirty(i, DIRTY_RETRY),
            Timer::Retry => {
                node.clear(DELAYED);
                self.update(i);
            }
            Timer::WatchRetry if self.paused => self.held_watches.push(i),
            Timer::WatchRetry => self.watch(i),
            Timer::Limit if node.any(SPACED) => self.review_share(i),
            Timer::Limit => {
                node.clear(LIMITED);
                self.update(i);
            }
            Timer::Poll => self.dirty(i, DIRTY_POLL),
        }
    }
}
