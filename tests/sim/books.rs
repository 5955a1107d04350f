//! How the books are kept: what each input and each command changes in them, by the plain reading of the rules.

mod ended;
mod swap;

use std::collections::BTreeSet;
use std::time::Duration;

use mgmt::id::{Ticket, Time};
use mgmt::scheduler::{Backoff, Causes, Command, Input, JournalOp, Lack, NodeConfig, Op};

use crate::ledger::{Busy, Cause, Entry, Ledger, Watch, are_looks};
use crate::world::Act;

/// A watch that listened for so long has succeeded.
const WATCH_WELL: Duration = Duration::from_secs(10);

impl Ledger {
    fn mark(&mut self, node: u32, cause: Cause) {
        let now = self.now;
        if let Some(entry) = self.nodes.get_mut(&node) {
            entry.causes.insert(cause);
            if matches!(cause, Cause::Watch | Cause::Tick) {
                entry.asked_at.get_or_insert(now);
            }
        }
    }

    pub fn input(&mut self, now: Time, input: &Input) {
        self.now = now;
        match input {
            Input::Swap(swap) => self.swap(swap),
            Input::WatchReady(node) => {
                if let Some(entry) = self.nodes.get_mut(&node.0) {
                    // Once more while it listens already: that is no beginning.
                    if entry.watch != Watch::Ready {
                        entry.listens_since = now;
                    }
                    entry.watch = Watch::Ready;
                    entry.watch_waits = None;
                    entry.failing_watch = entry.dead;
                    entry.causes.insert(Cause::Ready);
                }
            }
            Input::WatchFailed(node) => self.watch_failed(now, node.0, None),
            Input::WatchWaits(node, lack) => self.watch_failed(now, node.0, Some(*lack)),
            Input::Changed(node) => self.mark(node.0, Cause::Watch),
            Input::ChangedTogether(nodes) => nodes.iter().for_each(|node| self.mark(node.0, Cause::Watch)),
            Input::Checked { op, outcome, sent, again } => self.checked(now, *op, outcome, (*sent, *again)),
            Input::Applied { op, outcome, sent, again } => self.applied(now, *op, *outcome, (*sent, *again)),
            Input::Left { op, .. } | Input::LeaveRefused(op) => drop(self.end(*op)),
            // The simulator has no records.
            Input::Remains { .. } => {}
            Input::Looked(_) => {}
            Input::Committed(ticket) => {
                for (_, node) in self.take_commits(|t| t <= *ticket) {
                    self.mark(node, Cause::Again);
                }
            }
            Input::CommitFailed(ticket) => {
                for (_, node) in self.take_commits(|t| t == *ticket) {
                    self.wait(now, node, Lack { kind: u8::MAX, announced: false });
                }
            }
            Input::Recovered(node) => {
                if let Some(entry) = self.nodes.get_mut(&node.0) {
                    entry.revive();
                    entry.causes.insert(Cause::Retry);
                }
            }
            Input::Pause => self.paused = true,
            Input::Resume => self.paused = false,
            Input::Stop(stage) => {
                self.stop = self.stop.max(Some(*stage));
                for entry in self.nodes.values_mut().filter(|entry| entry.committing.is_some()) {
                    entry.committing = None;
                    entry.causes.insert(Cause::Again);
                }
            }
            Input::Yielded(_) | Input::Tick => {}
        }
    }

    fn watch_failed(&mut self, now: Time, node: u32, lack: Option<Lack>) {
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        let pause = longest_delay(&entry.config, entry.watch_failures);
        if entry.watch == Watch::Ready && now.since(entry.listens_since) >= pause.max(WATCH_WELL) {
            (entry.watch_failures, entry.watch_waited) = (0, 0);
        }
        entry.watch = Watch::Failed;
        entry.failing_watch = true;
        match lack {
            Some(lack) if !entry.dead => {
                entry.watch_waits = Some(lack.kind);
                entry.watch_waited += 1;
            }
            _ => {
                entry.watch_waits = None;
                entry.watch_failures += 1;
                entry.dead |= entry.config.retry.is_some_and(|tries| entry.watch_failures > tries);
                entry.causes.insert(Cause::Retry);
            }
        }
    }

    /// It failed for a cause that it waits for: no try is used up.
    fn wait(&mut self, now: Time, node: u32, lack: Lack) {
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        if entry.dead {
            return self.fail(now, node);
        }
        entry.failing_op = true;
        entry.retry_at = None;
        entry.waits = Some(lack.kind);
        entry.waited += 1;
        self.accounts.charge_wait(node, now);
    }

    fn take_commits(&mut self, which: impl Fn(Ticket) -> bool) -> Vec<(Ticket, u32)> {
        let taken: Vec<_> = self.commits.iter().filter(|(t, _)| which(**t)).map(|(t, n)| (*t, *n)).collect();
        self.commits.retain(|t, _| !which(*t));
        let waited = |(ticket, node): &(Ticket, u32)| {
            self.nodes.get(node).is_some_and(|entry| entry.committing == Some(*ticket))
        };
        let taken: Vec<_> = taken.into_iter().filter(waited).collect();
        for (_, node) in &taken {
            if let Some(entry) = self.nodes.get_mut(node) {
                entry.committing = None;
            }
        }
        taken
    }

    pub fn command(&mut self, now: Time, command: &Command) {
        match command {
            Command::Watch(node) => {
                self.late = false;
                self.watch(node.0, Watch::Starting);
            }
            Command::Unwatch(node) => self.watch(node.0, Watch::Off),
            Command::Check { op, causes, .. } => {
                self.accounts.begins_run(op.node.0);
                self.accounts.begins(op.node.0, now, *causes);
                self.begin(now, *op, Act::Check, *causes);
            }
            Command::Apply { op, refresh, causes, .. } => {
                self.accounts.begins(op.node.0, now, *causes);
                self.begin(now, *op, Act::Apply { refresh: *refresh }, *causes);
            }
            Command::Refresh { op, causes } => {
                self.accounts.begins(op.node.0, now, *causes);
                self.begin(now, *op, Act::Refresh, *causes);
            }
            Command::Leave(op) | Command::Undo(op) => self.begin_leave(now, *op),
            Command::Cancel(op) => {
                if let Some(busy) = self.busy.get_mut(&op.node.0) {
                    busy.cancelled = true;
                }
            }
            Command::Withdraw { op, cancel } => {
                if let Some(busy) = self.busy.get_mut(&op.node.0) {
                    busy.cancelled |= *cancel && busy.act == Act::Check;
                }
            }
            Command::Journal { ticket, ops } => self.journal(*ticket, ops),
            Command::Removed(node) => self.gone(node.0),
            Command::Look(_) | Command::Event(_) | Command::Stopped => {}
        }
    }

    /// A check has gone on to a repair, as it may.
    pub fn goes_on(&mut self, op: Op) {
        if let Some(busy) = self.busy.get_mut(&op.node.0) {
            busy.act = Act::Apply { refresh: false };
            busy.untold = true;
        }
        if let Some(entry) = self.nodes.get_mut(&op.node.0) {
            entry.unrepaired = true;
        }
    }

    fn watch(&mut self, node: u32, watch: Watch) {
        if let Some(entry) = self.nodes.get_mut(&node) {
            entry.watch = watch;
        }
    }

    fn begin(&mut self, now: Time, op: Op, act: Act, causes: Causes) {
        let node = op.node.0;
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        entry.committing = None;
        (entry.ticked, entry.occupied) = (false, false);
        if act == Act::Check {
            entry.began = now;
            entry.causes.clear();
            entry.polled = false;
            entry.unrepaired = false;
        } else {
            entry.causes.remove(&Cause::Again);
            entry.remaking = std::mem::take(&mut entry.asked);
        }
        let deadline = entry.config.timeout.map(|timeout| now.after(timeout));
        let caused = !are_looks(causes);
        self.busy.insert(node, Busy { op, act, deadline, cancelled: false, stale: false, caused, untold: false });
    }

    /// It is in no graph any more, but its operation is one.
    fn begin_leave(&mut self, _: Time, op: Op) {
        let (act, caused, untold) = (Act::Leave, true, false);
        self.busy.insert(op.node.0, Busy { op, act, deadline: None, cancelled: false, stale: false, caused, untold });
    }

    fn journal(&mut self, ticket: Option<Ticket>, ops: &[JournalOp]) {
        for op in ops {
            match op {
                JournalOp::Intent { from, .. } => {
                    if let (Some(ticket), Some(entry)) = (ticket, self.nodes.get_mut(&from.0)) {
                        entry.committing = Some(ticket);
                        self.commits.insert(ticket, from.0);
                    }
                }
                JournalOp::Debt { from, to } => {
                    self.owed.insert((from.0, to.0));
                }
                JournalOp::Paid { from, to } => {
                    self.owed.remove(&(from.0, to.0));
                }
                // Given up while it waited: that it waits no longer shows in nothing else.
                JournalOp::Drop { from, .. } => {
                    if let Some(entry) = self.nodes.get_mut(&from.0) {
                        entry.committing = None;
                    }
                }
            }
        }
    }
}

impl Entry {
    /// Its run has come to a good end: what asked for it before it began is answered. What came since may have come at
    /// once.
    fn answer(&mut self) {
        let asked = self.causes.contains(&Cause::Watch) || self.causes.contains(&Cause::Tick);
        self.asked_at = self.asked_at.filter(|_| asked).map(|_| self.began);
    }

    /// What it waited for is over, or it fails with something else.
    fn end_wait(&mut self) {
        (self.waits, self.waited) = (None, 0);
    }

    /// It no longer fails.
    fn end_failing(&mut self) {
        self.failures = 0;
        self.end_wait();
        self.failing_op = false;
        self.retry_at = None;
    }

    /// It gets its tries back. Returns whether none were left.
    fn revive(&mut self) -> bool {
        self.end_failing();
        let was_dead = std::mem::take(&mut self.dead);
        if was_dead {
            self.failing_watch = false;
            self.watch_waits = None;
            self.watch_failures = 0;
        }
        was_dead
    }
}

fn new_entry(config: NodeConfig) -> Entry {
    Entry {
        config,
        causes: BTreeSet::from([Cause::New]),
        polled: false,
        unrepaired: false,
        ticked: false,
        asked_at: None,
        began: Time(0),
        committing: None,
        occupied: false,
        watch: Watch::Off,
        failing_op: false,
        failing_watch: false,
        dead: false,
        failures: 0,
        watch_failures: 0,
        waits: None,
        waited: 0,
        watch_waits: None,
        watch_waited: 0,
        listens_since: Time(0),
        retry_at: None,
        sent: 0,
        asks: BTreeSet::new(),
        asked: false,
        remaking: false,
    }
}

/// No try comes sooner.
fn shortest_delay(config: &NodeConfig, failures: u32) -> Duration {
    let longest = longest_delay(config, failures);
    match config.backoff {
        Backoff::Exponential { jitter: true, .. } => longest / 2,
        _ => longest,
    }
}

/// The pause after this many failures in a row, without jitter.
fn longest_delay(config: &NodeConfig, failures: u32) -> Duration {
    match config.backoff {
        Backoff::Constant => config.delay,
        Backoff::Exponential { max, .. } => {
            config.delay.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(max)
        }
    }
}
