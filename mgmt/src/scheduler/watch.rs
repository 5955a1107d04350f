//! Watches: nothing of a node runs before its watch is ready, nor while it is being restarted.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::{Command, Lack};
use crate::id::Node;

impl Scheduler {
    /// Starts the watch, by a command.
    pub(super) fn watch(&mut self, i: Node) {
        self.nodes[i].set(WATCH_ON);
        if let Some(rare) = self.rare_if_any(i) {
            rare.listens_since = None;
        }
        self.commands.push_back(Command::Watch(i));
    }

    /// Ends the watch, by a command.
    pub(super) fn unwatch(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        if node.any(WATCH_ON) {
            node.clear(WATCH_ON | WATCH_READY);
            self.commands.push_back(Command::Unwatch(i));
        }
    }

    /// The watch listens: changes before this were not seen, so the node is dirty.
    pub(super) fn watch_ready(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        if !node.any(WATCH_ON) {
            return;
        }
        let begins = !node.any(WATCH_READY);
        node.set(WATCH_READY);
        let now = self.now;
        if begins
            && let Some(rare) = self.rare_if_any(i)
            && (rare.watch_failures > 0 || rare.watch_waits > 0)
        {
            rare.listens_since = Some(now);
        }
        self.nodes[i].clear(WATCH_WAITS);
        self.clear_failing(i, WATCH_FAILING);
        self.dirty(i, DIRTY_LISTENING);
        self.update(i);
    }

    /// A check under way rests on something that no watch sees: it is cancelled. An apply is left to end.
    pub(super) fn watch_failed(&mut self, i: Node, lack: Option<Lack>) {
        let node = &mut self.nodes[i];
        if !node.any(WATCH_ON) {
            return;
        }
        node.clear(WATCH_ON | WATCH_READY);
        if node.phase() == Phase::Checking && !self.mutant(Mutant::KeepCheckWithoutWatch) {
            self.cancel(i);
        }
        self.refill_watch(i);
        match lack {
            Some(lack) => self.wait(i, WATCH_FAILING, lack),
            None => self.fail(i, WATCH_FAILING),
        }
        self.update(i);
    }

    /// No run begins. Changes meanwhile must be noticed all the same.
    pub(super) fn pause(&mut self) {
        self.end_late();
        self.paused = true;
    }

    /// Ends the pause: starts the watches whose next try came due in it.
    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.restart_own_timeouts();
        }
        for i in std::mem::take(&mut self.held_watches) {
            let node = &self.nodes[i];
            let waits = node.all(PRESENT | WATCH_FAILING) && !node.any(FAILED | WATCH_ON);
            let rearmed = self.rare(i).is_some_and(|rare| rare.due[Timer::WatchRetry as usize].is_some());
            if waits && !rearmed {
                self.watch(i);
            }
        }
    }
}
