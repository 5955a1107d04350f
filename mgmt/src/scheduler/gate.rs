//! What holds back a node that could run: semaphores and the rate limit.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::mutants::Mutant;
use super::node::*;
use super::rare::Bucket;
use super::scheduler::Scheduler;
use super::timers::Timer;
use crate::id::{Node, Time};

/// Tokens are counted in floating point: a count that is short of one by at most this much is one.
const TOKEN_SLACK: f64 = 1e-6;
/// The longest wait for a token.
const TOKEN_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// One semaphore.
#[derive(Debug, Default)]
struct Semaphore {
    size: u32,
    held: u32,
    /// The nodes that wait: (node, place). A node that waits for several semaphores is in several queues. The places
    /// have the same order in all of them, so that the first node of all is at the head of each of its queues: no
    /// deadlock, no starvation.
    queue: VecDeque<(Node, u64)>,
}

/// All semaphores, by number.
#[derive(Debug, Default)]
pub(super) struct Semaphores {
    all: BTreeMap<u32, Semaphore>,
    last_place: u64,
}

#[cfg(any(test, feature = "testing"))]
impl Semaphores {
    /// Number, holders and size of each semaphore.
    pub(super) fn usage(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.all.iter().map(|(number, s)| (*number, s.held, s.size))
    }
}

impl Scheduler {
    /// Takes all semaphores of the node, or none of them and a place in their queues.
    pub(super) fn acquire(&mut self, i: Node) -> bool {
        let wants_none = self.settings(i).sema.is_empty() && self.group_of(i).is_none();
        if wants_none || self.rare(i).is_some_and(|rare| !rare.held.is_empty()) {
            return true;
        }
        let numbers = self.semas_of(i);
        if numbers.is_empty() {
            return true;
        }
        self.semaphores.last_place += 1;
        let place = self.semaphores.last_place;
        self.rare_mut(i).place = place;
        for number in &numbers {
            self.semaphores.all.entry(*number).or_default().queue.push_back((i, place));
        }
        for number in &numbers {
            self.drop_stale_heads(*number);
        }
        self.is_grantable(i, &numbers) && {
            self.grant(i, &numbers);
            true
        }
    }

    /// Gives the semaphores of the node back, and grants them to nodes that waited for them.
    pub(super) fn release(&mut self, i: Node) {
        let Some(rare) = self.rare_if_any(i) else { return };
        if rare.held.is_empty() {
            return;
        }
        let freed = std::mem::take(&mut rare.held);
        self.tidy_rare(i);
        self.free(freed);
    }

    /// Grants the semaphores that a run no longer holds to nodes that waited for them.
    pub(super) fn free(&mut self, mut freed: Vec<u32>) {
        for number in &freed {
            if let Some(semaphore) = self.semaphores.all.get_mut(number) {
                semaphore.held -= 1;
            }
        }
        while let Some(number) = freed.pop() {
            self.drop_stale_heads(number);
            let Some(&(head, _)) = self.semaphores.all.get(&number).and_then(|s| s.queue.front()) else { continue };
            let numbers = self.semas_of(head);
            if !self.may_start(head) {
                // The node acquires again when it may run again.
                self.rare_mut(head).place = 0;
                self.unqueue(head);
                freed.extend(numbers);
            } else if self.is_grantable(head, &numbers) {
                self.grant(head, &numbers);
                self.nodes[head].go(Phase::Queued);
                self.granted.push_back(head);
                freed.extend(numbers);
            }
        }
    }

    fn drop_stale_heads(&mut self, number: u32) {
        while let Some(&(i, place)) = self.semaphores.all.get(&number).and_then(|s| s.queue.front()) {
            if self.rare(i).is_some_and(|rare| rare.place == place) {
                break;
            }
            if let Some(semaphore) = self.semaphores.all.get_mut(&number) {
                semaphore.queue.pop_front();
            }
        }
    }

    fn is_grantable(&self, i: Node, numbers: &[u32]) -> bool {
        let more = u32::from(self.mutant(Mutant::WideSemaphore));
        numbers.iter().all(|number| {
            let semaphore = self.semaphores.all.get(number);
            semaphore
                .is_some_and(|s| s.held < s.size.max(1) + more && s.queue.front().is_some_and(|(head, _)| *head == i))
        })
    }

    fn grant(&mut self, i: Node, numbers: &[u32]) {
        for number in numbers {
            if let Some(semaphore) = self.semaphores.all.get_mut(number) {
                semaphore.held += 1;
                semaphore.queue.pop_front();
            }
        }
        let rare = self.rare_mut(i);
        rare.place = 0;
        rare.held = numbers.to_vec();
    }

    /// Clears all queues, for now. Nodes that hold semaphores keep them.
    pub(super) fn unpark_all(&mut self) {
        if self.semaphores.all.values().all(|semaphore| semaphore.queue.is_empty()) {
            return;
        }
        for semaphore in self.semaphores.all.values_mut() {
            semaphore.queue.clear();
        }
        for i in self.nodes.numbers() {
            if self.nodes[i].phase() == Phase::Parked {
                self.rare_mut(i).place = 0;
                self.nodes[i].go(Phase::Idle);
            }
        }
    }

    /// After a change of settings: the sizes may differ.
    pub(super) fn resize_semaphores(&mut self) {
        let all = &mut self.semaphores.all;
        for semaphore in all.values_mut() {
            semaphore.size = 0;
        }
        for (number, size) in self.configs.iter().flat_map(|config| &config.sema) {
            let semaphore = all.entry(*number).or_default();
            semaphore.size = semaphore.size.max(*size);
        }
        all.retain(|_, semaphore| semaphore.size > 0 || semaphore.held > 0);
    }

    /// The node runs only for its watch, and too often for its rate limit: it waits, by a timer.
    pub(super) fn is_limited(&mut self, i: Node) -> bool {
        let node = &self.nodes[i];
        if node.dirt() != DIRTY_WATCH || node.is_called() {
            return false;
        }
        let until = self.take_token(i);
        if let Some(at) = until {
            self.nodes[i].set(LIMITED);
            self.arm(i, Timer::Limit, at);
        }
        until.is_some()
    }

    /// Takes a token of the rate limit. If there is none, returns when there will be one.
    fn take_token(&mut self, i: Node) -> Option<Time> {
        let settings = self.settings(i);
        let rate = settings.limit.filter(|rate| *rate > 0.0)?;
        let burst = f64::from(settings.burst.max(1));
        let now = self.now;
        let bucket = self.rare_mut(i).bucket.get_or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = (bucket.tokens + now.since(bucket.at).as_secs_f64() * rate).min(burst);
        bucket.at = now;
        if bucket.tokens + TOKEN_SLACK >= 1.0 {
            bucket.tokens -= 1.0;
            return None;
        }
        let wait = Duration::try_from_secs_f64((1.0 - bucket.tokens) / rate).unwrap_or(TOKEN_WAIT_MAX);
        Some(now.after(wait.clamp(Duration::from_nanos(1), TOKEN_WAIT_MAX)))
    }
}
