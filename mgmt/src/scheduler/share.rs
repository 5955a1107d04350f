//! Shares: what a node's own watch may cost. Each node that has run only because of its watch has an account: the
//! duration of its runs is added to it, and passing time pays it off. A node whose account is overdrawn waits while
//! other nodes want to work.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::{Cause, Causes, Event};
use crate::id::{Node, Time};

/// The share of a node, as the divisor of the time of one worker: 5 %.
pub const SHARE: u32 = 20;
/// Work beyond its share that is free: short runs that follow one another closely are not spaced at once.
pub const SHARE_BURST: Duration = Duration::from_millis(100);
/// The number of runs that are free whatever they cost: a repair, and the check that the event of its own write causes.
pub const SHARE_RUNS: u32 = 2;
/// While no other node wants to work, a node that has overdrawn rests after a run as long as that has taken, but no
/// longer than this.
pub const REST_MAX: Duration = Duration::from_secs(1);
/// A node that waits for a cause and has overdrawn rests twenty times as long as its run took, but no longer than this.
pub const WAITING_REST_MAX: Duration = Duration::from_secs(10);
/// If this many repairs of one node each follow the previous one within this time, something undoes them again and
/// again, however little they cost.
const UNDONE_WITHIN: Duration = Duration::from_secs(2);
const UNDONE_MAX: u32 = 10;
/// Below this number, accounts are not swept.
const ACCOUNTS_MIN: usize = 64;

/// What the watch of one node has cost lately.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Time of a worker that was not paid off…
    spent: Duration,
    /// …at this time.
    at: Time,
    /// Since when the account has not been paid off, and the number of runs since then.
    since: Time,
    runs: u32,
    /// How many of these runs changed something.
    repairs: u32,
    /// The number of repairs in a row that each followed the previous one closely, and the time of the last.
    undone: u32,
    last_repair: Time,
    /// `Event::Flapping` was emitted.
    told: bool,
    /// When the operation under way began.
    began: Option<Time>,
    /// When the run under way began, and how long its operations have taken.
    run_began: Option<Time>,
    run: Duration,
    /// When the node has rested.
    rested: Time,
    /// The place of the node among those that wait; 0: it does not wait.
    place: u64,
}

impl Account {
    fn spent(&self, now: Time) -> Duration {
        self.spent.saturating_sub(now.since(self.at) / SHARE)
    }

    fn is_overdrawn(&self, now: Time) -> bool {
        self.spent(now) > SHARE_BURST && self.runs >= SHARE_RUNS
    }

    /// When enough is paid off for the node to run again.
    fn due(&self, now: Time) -> Time {
        now.after(self.spent(now).saturating_sub(SHARE_BURST).saturating_mul(SHARE))
    }

    /// Adds the run under way. If the account was paid off before the run, it begins again.
    fn charge(&mut self, now: Time, repaired: bool) {
        let (began, cost) = (self.run_began.unwrap_or(now), self.run);
        let spent = self.spent(began);
        if spent.is_zero() {
            (self.since, self.runs, self.repairs, self.told) = (began, 0, 0, false);
        }
        self.spent = spent.saturating_add(cost);
        self.at = began;
        self.runs = self.runs.saturating_add(1);
        self.repairs = self.repairs.saturating_add(u32::from(repaired));
        if repaired {
            self.undone = if self.is_undone_at(now) { self.undone.saturating_add(1) } else { 1 };
            self.last_repair = now;
        }
        self.rested = now.after(cost.min(REST_MAX));
    }

    /// A repair that ends now follows the previous one closely.
    fn is_undone_at(&self, now: Time) -> bool {
        self.undone > 0 && now.since(self.last_repair) <= UNDONE_WITHIN
    }

    fn is_blank(&self, now: Time) -> bool {
        !(self.undone > 1 && self.is_undone_at(now))
            && self.run_began.is_none()
            && self.place == 0
            && self.spent(now).is_zero()
    }
}

/// All accounts, and the nodes that wait.
#[derive(Debug, Default)]
pub(super) struct Shares {
    accounts: BTreeMap<Node, Account>,
    /// By place: the first node that has rested runs when no other wants to.
    spaced: BTreeMap<u64, Node>,
    last_place: u64,
    sweep_at: usize,
}

impl Shares {
    /// How many nodes wait for their shares.
    pub(super) fn spaced(&self) -> usize {
        self.spaced.len()
    }

    /// Bytes held, approximately.
    pub(super) fn memory(&self) -> usize {
        self.accounts.len() * size_of::<(Node, Account)>() + self.spaced.len() * size_of::<(u64, Node)>()
    }

    /// The node has left.
    pub(super) fn forget(&mut self, i: Node) {
        if let Some(account) = self.accounts.remove(&i) {
            self.spaced.remove(&account.place);
        }
    }
}

/// Only the node's watch caused this run.
fn by_watch(causes: Causes) -> bool {
    !causes.is_empty() && causes.iter().all(|cause| matches!(cause, Cause::Watch | Cause::Again))
}

impl Scheduler {
    /// An operation of a run begins. The repetition of a run opens no account: the run that it repeats had another
    /// cause than the watch, or there would be one.
    pub(super) fn clock_in(&mut self, i: Node) {
        let causes = self.nodes[i].causes();
        if !by_watch(causes) {
            return;
        }
        let now = self.now;
        if let Some(account) = self.shares.accounts.get_mut(&i) {
            account.began = Some(now);
            account.run_began.get_or_insert(now);
        } else if !causes.contains(Cause::Again) {
            if self.shares.accounts.len() >= self.shares.sweep_at.max(ACCOUNTS_MIN) {
                self.shares.accounts.retain(|_, account| !account.is_blank(now));
                self.shares.sweep_at = 2 * self.shares.accounts.len();
            }
            self.shares.accounts.insert(i, Account { began: Some(now), run_began: Some(now), ..Account::default() });
        }
    }

    /// The operation has ended.
    pub(super) fn clock_out(&mut self, i: Node) {
        if let Some(account) = self.shares.accounts.get_mut(&i)
            && let Some(began) = account.began.take()
        {
            account.run = account.run.saturating_add(self.now.since(began));
        }
    }

    /// A run has ended well: it is charged if only the watch caused it. (A run that ends badly has pauses of its own.)
    /// A repair that overdraws the account, and was not the first, is reported: something else changes the resource
    /// too.
    pub(super) fn charge(&mut self, i: Node, repaired: bool) {
        let now = self.now;
        if !by_watch(self.nodes[i].causes()) {
            return;
        }
        let Some(account) = self.shares.accounts.get_mut(&i) else { return };
        let took = account.run;
        account.charge(now, repaired);
        let flaps = repaired && account.repairs > 1 && account.is_overdrawn(now);
        if flaps && !std::mem::replace(&mut account.told, true) {
            let (repairs, within) = (account.repairs, now.since(account.since));
            self.tell(Event::Flapping { node: i, repairs, within, took, every: took.saturating_mul(SHARE) });
        }
    }

    /// Charges a run that failed for a cause that the node waits for. Events that do not end that cause must not keep a
    /// worker busy: once the account is overdrawn, the rest is long even while no other node wants to work.
    pub(super) fn charge_wait(&mut self, i: Node) {
        let now = self.now;
        if !by_watch(self.nodes[i].causes()) {
            return;
        }
        if let Some(account) = self.shares.accounts.get_mut(&i) {
            let cost = account.run;
            account.charge(now, false);
            account.rested = now.after(cost.saturating_mul(SHARE).min(WAITING_REST_MAX));
        }
    }

    /// The run has ended: what was not charged by now never is.
    pub(super) fn close_account(&mut self, i: Node) {
        if let Some(account) = self.shares.accounts.get_mut(&i) {
            (account.began, account.run_began, account.run) = (None, None, Duration::ZERO);
        }
    }

    /// The run that is about to end overdraws the account, or is one of many repairs that were undone: its repair is no
    /// news, and the children do not start again for it.
    pub(super) fn flaps(&self, i: Node) -> bool {
        let is_undone = |account: &Account| account.undone >= UNDONE_MAX && account.is_undone_at(self.now);
        let overdraws = |account: &Account| {
            let spent = account.spent(account.run_began.unwrap_or(self.now));
            let is_first = spent.is_zero() || account.runs.saturating_add(1) < SHARE_RUNS;
            is_undone(account) || !is_first && spent.saturating_add(account.run) > SHARE_BURST
        };
        self.shares.accounts.get(&i).is_some_and(overdraws)
    }

    /// The node runs only for its watch, and its account is overdrawn: it waits, and counts as settled meanwhile.
    pub(super) fn is_beyond_its_share(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        let overdrawn = |account: &Account| account.is_overdrawn(self.now);
        node.dirt() == DIRTY_WATCH
            && !node.is_called()
            && self.shares.accounts.get(&i).is_some_and(overdrawn)
            && !self.mutant(Mutant::EndlessShare)
    }

    /// The node waits for its share, and has no other cause to run.
    pub(super) fn is_in_pause(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        node.any(SPACED) && node.dirt() == DIRTY_WATCH && !node.is_called()
    }

    /// Makes the node wait: until its share allows a run, or until no other node wants to work and it has rested.
    pub(super) fn space(&mut self, i: Node) {
        let now = self.now;
        let Some(account) = self.shares.accounts.get_mut(&i) else { return };
        self.shares.last_place += 1;
        account.place = self.shares.last_place;
        self.shares.spaced.insert(account.place, i);
        let due = account.due(now);
        let at = if account.rested > now { account.rested.min(due) } else { due };
        self.nodes[i].set(SPACED);
        self.arm(i, Timer::Limit, at);
        self.settle(i);
    }

    /// The node waits no longer. (`update` is the caller's.)
    pub(super) fn unspace(&mut self, i: Node) {
        if !self.nodes[i].any(SPACED) {
            return;
        }
        self.nodes[i].clear(SPACED);
        self.disarm(i, Timer::Limit);
        if let Some(account) = self.shares.accounts.get_mut(&i) {
            self.shares.spaced.remove(&account.place);
            account.place = 0;
        }
    }

    /// The node has rested, or its share allows it to run.
    pub(super) fn review_share(&mut self, i: Node) {
        let now = self.now;
        match self.shares.accounts.get(&i).filter(|account| account.is_overdrawn(now)) {
            // If no other node wants to work, `pump` takes it.
            Some(account) => {
                let due = account.due(now);
                self.arm(i, Timer::Limit, due.max(now.after(Duration::from_nanos(1))));
            }
            None => {
                self.unspace(i);
                self.update(i);
            }
        }
    }

    /// No run is under way, and none could start: starts the first node that waits for its share and has rested.
    /// Returns whether there is one.
    pub(super) fn release_spaced(&mut self) -> bool {
        let idle = self.runs() == 0 && self.are_queues_empty() && self.leaving.is_empty();
        if self.shares.spaced.is_empty() || !idle || self.mutant(Mutant::SpacedAlone) {
            return false;
        }
        let now = self.now;
        let has_rested = |i: &Node| {
            self.shares.accounts.get(i).is_some_and(|account| account.rested <= now) && self.group_permits(*i)
        };
        let Some(i) = self.shares.spaced.values().copied().find(has_rested) else { return false };
        self.unspace(i);
        self.enqueue(i);
        self.settle(i);
        true
    }

    /// The node waits for its share; for the invariants.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn waits_for_its_share(&self, i: Node) -> bool {
        self.shares.accounts.get(&i).is_some_and(|account| self.shares.spaced.get(&account.place) == Some(&i))
    }

    /// How many accounts there are.
    #[cfg(test)]
    pub(super) fn accounts(&self) -> usize {
        self.shares.accounts.len()
    }
}
