//! Waiting for a cause: a failure whose cause the outside can remove at any time (a missing file, no space, no
//! permission) uses up no try. An event that may have removed the cause makes the node be checked at once; in any case,
//! the node is checked again after growing pauses.

use std::time::Duration;

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::{Causes, Event, Lack};
use crate::id::Node;

/// The first and the longest pause before a further check, where the watch reports when the cause is gone.
pub const ANNOUNCED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The first and the longest pause where no event reports it.
pub const UNANNOUNCED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A node that has ended this often in a row for a cause does not move: the cause is not passing.
pub const CONFIRMED: u32 = 2;
/// The journal can't be written.
pub(super) const NO_JOURNAL: Lack = Lack { kind: u8::MAX, announced: false };

/// The pause after this many ends in a row.
fn pause(lack: Lack, waits: u32) -> Duration {
    let (first, longest) = if lack.announced { ANNOUNCED } else { UNANNOUNCED };
    first.saturating_mul(1 << waits.saturating_sub(1).min(16)).min(longest)
}

impl Scheduler {
    /// An operation (`OP_FAILING`) or the watch (`WATCH_FAILING`) failed for a cause that the node waits for. (`update`
    /// is the caller's.)
    pub(super) fn wait(&mut self, i: Node, what: Flags, lack: Lack) {
        if self.nodes[i].any(FAILED) || self.mutant(Mutant::WaitIsTry) {
            return self.fail(i, what);
        }
        let is_watch = what == WATCH_FAILING;
        let rare = self.rare_mut(i);
        let (waits, last) = match is_watch {
            true => (&mut rare.watch_waits, &mut rare.watch_lack),
            false => (&mut rare.waits, &mut rare.lack),
        };
        *waits = waits.saturating_add(1);
        let waits = *waits;
        let before = last.replace(lack).map(|lack| lack.kind);
        let flag = if is_watch { WATCH_WAITS } else { WAITS };
        let is_news = !self.nodes[i].any(flag) || before != Some(lack.kind);
        if is_news || self.mutant(Mutant::WaitsLoudly) {
            let causes = if is_watch { Causes::NONE } else { self.nodes[i].causes() };
            self.tell(Event::Waits { node: i, causes, what: self.what_fails(i, what) });
        }
        if !is_watch {
            self.charge_wait(i);
        }
        self.nodes[i].set(flag);
        self.set_failing(i, what);
        if !self.mutant(Mutant::WaitsForEvents) {
            let timer = if is_watch { Timer::WatchRetry } else { Timer::Retry };
            self.arm(i, timer, self.now.after(pause(lack, waits)));
        }
    }

    /// The earlier cause of the operations or of the watch is over, or the failure is another one. (`update` is the
    /// caller's.)
    pub(super) fn wait_no_longer(&mut self, i: Node, what: Flags) {
        let flag = if what.any(WATCH_FAILING) { WATCH_WAITS } else { WAITS };
        if !self.nodes[i].any(flag) {
            return;
        }
        self.nodes[i].clear(flag);
        if flag == WAITS {
            self.disarm(i, Timer::Retry);
            let rare = self.rare_mut(i);
            (rare.waits, rare.lack) = (0, None);
        }
    }

    /// The node fails only for causes that it waits for.
    pub(super) fn only_waits(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        let op = !node.any(OP_FAILING) || node.any(WAITS);
        let watch = !node.any(WATCH_FAILING) || node.any(WATCH_WAITS);
        op && watch && node.any(WAITS | WATCH_WAITS) && !node.any(FAILED)
    }

    /// The node fails only for causes that it waits for, and they are not passing: further checks are no movement.
    pub(super) fn is_held_up(&self, i: Node) -> bool {
        if !self.nodes[i].any(WAITS | WATCH_WAITS) || !self.only_waits(i) || self.mutant(Mutant::WaitingMoves) {
            return false;
        }
        let node = &self.nodes[i];
        let is_confirmed = |flag, waits: u32| !node.any(flag) || waits >= CONFIRMED;
        let known =
            |rare: &super::rare::Rare| is_confirmed(WAITS, rare.waits) && is_confirmed(WATCH_WAITS, rare.watch_waits);
        self.rare(i).is_some_and(known)
    }
}
