//! Failures: how often and when to try again.

use std::time::Duration;

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::{Backoff, Causes, Command, Event, Failing, NodeConfig};
use crate::id::Node;

/// A watch that has listened for this long, and for no less than the pause before it, has succeeded: it has all its
/// tries again. It is not enough that the watch was ready: a command that ends at once would be started forever.
pub const WATCH_WELL: Duration = Duration::from_secs(10);

fn full_pause(delay: Duration, backoff: Backoff, failures: u32) -> Duration {
    match backoff {
        Backoff::Constant => delay,
        Backoff::Exponential { max, .. } => {
            let doublings = failures.saturating_sub(1).min(31);
            delay.saturating_mul(1 << doublings).min(max)
        }
    }
}

impl Scheduler {
    /// An operation (`OP_FAILING`) or the watch (`WATCH_FAILING`) failed. (`update` is the caller's.)
    pub(super) fn fail(&mut self, i: Node, what: Flags) {
        self.end_late();
        let is_watch = what == WATCH_FAILING;
        self.wait_no_longer(i, what);
        self.nodes[i].set(DIRTY_RETRY);
        self.lift_limit(i);
        if self.nodes[i].any(FAILED) {
            return;
        }
        let retry = self.settings(i).retry;
        let rare = self.rare_mut(i);
        let failures = if is_watch { &mut rare.watch_failures } else { &mut rare.failures };
        let try_again = retry.is_none_or(|tries| *failures < tries);
        *failures = failures.saturating_add(1);
        let failures = *failures;
        let retry_in = try_again.then(|| self.delay(i, failures));
        let causes = if is_watch { Causes::NONE } else { self.nodes[i].causes() };
        let what_fails = self.what_fails(i, what);
        self.tell(Event::Failed { node: i, causes, what: what_fails, retry_in });
        let Some(delay) = retry_in else { return self.fail_for_good(i, what) };
        self.set_failing(i, what);
        if is_watch {
            self.arm(i, Timer::WatchRetry, self.now.after(delay));
        } else if delay > Duration::ZERO {
            self.nodes[i].set(DELAYED);
            self.arm(i, Timer::Retry, self.now.after(delay));
        }
    }

    /// The operation under way, or the watch.
    pub(super) fn what_fails(&self, i: Node, what: Flags) -> Failing {
        match self.nodes[i].phase() {
            _ if what == WATCH_FAILING => Failing::Watch,
            Phase::Applying => Failing::Apply,
            Phase::Refreshing => Failing::Refresh,
            _ => Failing::Check,
        }
    }

    /// No tries are left: only a swap revives the node. Causes that make it dirty are kept until then.
    fn fail_for_good(&mut self, i: Node, what: Flags) {
        self.set_failing(i, what | FAILED);
        self.nodes[i].clear(DELAYED);
        self.end_limit(i);
        // Not the timeout: an apply may still be under way.
        for timer in [Timer::Retry, Timer::WatchRetry, Timer::Poll] {
            self.disarm(i, timer);
        }
        self.unwatch(i);
    }

    /// The watch has failed: if it listened long enough before, its failures are counted from zero.
    pub(super) fn refill_watch(&mut self, i: Node) {
        let now = self.now;
        let Some(rare) = self.rare_if_any(i) else { return };
        let (failures, since) = (rare.watch_failures, rare.listens_since.take());
        let Some(since) = since else { return };
        let mut enough = self.full_delay(i, failures).max(WATCH_WELL);
        if self.mutant(Mutant::RefillWatchAtOnce) {
            enough = Duration::ZERO;
        }
        if now.since(since) >= enough && !self.mutant(Mutant::NoWatchRefill) {
            let rare = self.rare_mut(i);
            (rare.watch_failures, rare.watch_waits, rare.watch_lack) = (0, 0, None);
        }
    }

    /// The pause before the next try, after this many failures in a row.
    fn delay(&mut self, i: Node, failures: u32) -> Duration {
        let NodeConfig { delay, backoff, .. } = *self.settings(i);
        self.pause_of(delay, backoff, failures)
    }

    /// The pause before the next try, after this many failures in a row, with these settings.
    pub(super) fn pause_of(&mut self, delay: Duration, backoff: Backoff, failures: u32) -> Duration {
        let full = full_pause(delay, backoff, failures);
        match backoff {
            Backoff::Exponential { jitter: true, .. } => {
                let half = full / 2;
                half + (full - half).mul_f64(self.random())
            }
            _ => full,
        }
    }

    /// The pause without jitter.
    fn full_delay(&self, i: Node, failures: u32) -> Duration {
        let NodeConfig { delay, backoff, .. } = *self.settings(i);
        full_pause(delay, backoff, failures)
    }

    /// An evenly distributed number of `0.0..1.0` (SplitMix64): the same for the same seed.
    fn random(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Cancels the operation under way, by a command.
    pub(super) fn cancel(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        if node.phase() == Phase::Checking && node.any(STAYS) {
            return self.cancel_check(i);
        }
        if node.phase().has_op() && !node.any(CANCELLED) {
            node.set(CANCELLED);
            let number = node.op;
            self.commands.push_back(Command::Cancel(super::Op { node: i, number }));
        }
    }

    /// A swap gives a node all its tries back, whatever state it was in. (`update` is the caller's.)
    pub(super) fn revive(&mut self, i: Node) {
        if let Some(rare) = self.rare_if_any(i) {
            rare.failures = 0;
        }
        self.disarm(i, Timer::Retry);
        self.wait_no_longer(i, OP_FAILING);
        let node = &mut self.nodes[i];
        let failed = node.any(FAILED);
        node.clear(DELAYED | OP_FAILING);
        if failed {
            node.clear(FAILED | WATCH_FAILING | WATCH_WAITS);
            node.set(DIRTY_RETRY);
            if let Some(rare) = self.rare_if_any(i) {
                rare.watch_failures = 0;
            }
        }
    }

    /// The cause for which the operations of the node failed has gone.
    pub(super) fn recovered(&mut self, i: Node) {
        let failed = self.nodes[i].any(FAILED) && !self.mutant(Mutant::StaysFailed);
        if let Some(rare) = self.rare_if_any(i) {
            rare.failures = 0;
            if failed {
                rare.watch_failures = 0;
            }
        }
        self.disarm(i, Timer::Retry);
        self.wait_no_longer(i, OP_FAILING);
        self.nodes[i].clear(DELAYED);
        self.clear_failing(i, OP_FAILING);
        if failed {
            self.nodes[i].clear(WATCH_WAITS);
            self.clear_failing(i, FAILED | WATCH_FAILING);
            self.watch_as_wanted(i);
        }
        self.nodes[i].set(DIRTY_RETRY);
        self.lift_limit(i);
        self.update(i);
    }

    /// A change reported by the watch.
    pub(super) fn changed(&mut self, i: Node) {
        let busy = self.nodes[i].phase().holds_slot();
        if busy && self.mutant(Mutant::LoseChangeDuringRun) {
            return;
        }
        if self.nodes[i].any(WAITS) && self.mutant(Mutant::WaitsDeaf) {
            return;
        }
        if self.nodes[i].any(DELAYED) && self.mutant(Mutant::EventEndsDelay) {
            self.nodes[i].clear(DELAYED);
            self.disarm(i, Timer::Retry);
        }
        self.dirty(i, DIRTY_WATCH);
    }
}
