//! What the watch of a node alone may cost: about one part in twenty of the time of one worker while others want to
//! work, and at least that; a node that waits for its share is settled for its children (sections 5.1 and 9b).

use std::collections::BTreeMap;
use std::time::Duration;

use mgmt::id::{Node, Time};
use mgmt::scheduler::{Cause, Causes, Command, REST_MAX, SHARE, SHARE_BURST, SHARE_RUNS, State, WAITING_REST_MAX};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

/// What one node has cost, as a plain reading of the rule keeps it.
#[derive(Clone, Debug, Default)]
struct Account {
    spent: Duration,
    at: Time,
    runs: u32,
    rested: Time,
    /// The run under way, if its watch caused it: since when, and what its operations took.
    run: Option<(Time, Duration)>,
    began: Option<Time>,
}

#[derive(Clone, Debug, Default)]
pub struct Accounts(BTreeMap<u32, Account>);

impl Account {
    fn spent(&self, now: Time) -> Duration {
        self.spent.saturating_sub(now.since(self.at) / SHARE)
    }
}

impl Accounts {
    pub fn is_overdrawn(&self, node: u32, now: Time) -> bool {
        self.0.get(&node).is_some_and(|a| a.runs >= SHARE_RUNS && a.spent(now) > SHARE_BURST)
    }

    fn has_rested(&self, node: u32, now: Time) -> bool {
        self.0.get(&node).is_none_or(|account| account.rested <= now)
    }

    pub fn keep(&mut self, kept: impl Fn(u32) -> bool) {
        self.0.retain(|node, _| kept(*node));
    }

    /// What the run before took is not charged any more.
    pub fn begins_run(&mut self, node: u32) {
        if let Some(account) = self.0.get_mut(&node) {
            account.run = None;
        }
    }

    pub fn begins(&mut self, node: u32, now: Time, causes: Causes) {
        let by_watch = causes.iter().all(|cause| matches!(cause, Cause::Watch | Cause::Again));
        // The repetition of a run that had another cause opens none.
        if by_watch && (!causes.contains(Cause::Again) || self.0.contains_key(&node)) {
            let account = self.0.entry(node).or_default();
            account.began = Some(now);
            account.run.get_or_insert((now, Duration::ZERO));
        } else {
            self.begins_run(node);
        }
    }

    pub fn ended(&mut self, node: u32, now: Time) {
        if let Some(account) = self.0.get_mut(&node)
            && let Some(began) = account.began.take()
            && let Some((_, took)) = &mut account.run
        {
            *took += now.since(began);
        }
    }

    /// The run came to a good end.
    pub fn charge(&mut self, node: u32, now: Time) {
        let Some(account) = self.0.get_mut(&node) else { return };
        let Some((began, took)) = account.run.take() else { return };
        let spent = account.spent(began);
        account.runs = if spent.is_zero() { 1 } else { account.runs + 1 };
        account.spent = spent + took;
        account.at = began;
        account.rested = now.after(took.min(REST_MAX));
    }
}

impl Accounts {
    /// The run failed for a cause that its node waits for.
    pub fn charge_wait(&mut self, node: u32, now: Time) {
        let run = self.0.get(&node).and_then(|account| account.run);
        self.charge(node, now);
        if let (Some((_, took)), Some(account)) = (run, self.0.get_mut(&node)) {
            account.rested = now.after((took * SHARE).min(WAITING_REST_MAX));
        }
    }
}

pub struct Shares;

impl Invariant for Shares {
    fn name(&self) -> &'static str {
        "share"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        let Command::Check { op, causes, .. } = command else { return Ok(()) };
        let node = op.node.0;
        if *causes != Cause::Watch.into() || !cx.ledger.accounts.is_overdrawn(node, cx.now) {
            return Ok(());
        }
        must!(!others_work(cx), "{command:?}: its share is used up, and others want to work");
        must!(cx.ledger.accounts.has_rested(node, cx.now), "{command:?}: its share is used up, and it has not rested");
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        let (accounts, now) = (&cx.ledger.accounts, cx.now);
        let held = cx.ledger.paused || cx.ledger.stop.is_some();
        for &node in cx.ledger.nodes.keys() {
            match cx.scheduler.state(Node(node)) {
                State::Spaced if !held => {
                    must!(accounts.is_overdrawn(node, now), "{node} waits, although its share allows it to run");
                    let waits = |mate| cx.ledger.parents(mate).any(|parent| is_unsettled(cx, parent));
                    let waits = |mate| waits(mate) || cx.scheduler.state(Node(mate)) == State::WaitingForWatch;
                    let held_up = cx.world.graph.mates(node).any(waits);
                    let alone = !others_work(cx) && !held_up && accounts.has_rested(node, now);
                    must!(!alone, "{node} waits for its share, although no other wants to work");
                }
                State::WaitingForParents(_) => {
                    let waits = cx.ledger.parents(node).any(|parent| is_unsettled(cx, parent));
                    must!(waits, "{node} waits for its parents, which are settled or wait for their shares");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Some operation is under way, or waits for the journal or for a look.
fn others_work(cx: &Cx) -> bool {
    cx.world.looks > 0
        || !cx.world.running.is_empty()
        || cx.ledger.nodes.values().any(|entry| entry.committing.is_some())
}

/// Its children wait for it with reason: it is not settled; or it is, but for an event, and could not run either.
fn is_unsettled(cx: &Cx, node: u32) -> bool {
    let entry = &cx.ledger.nodes[&node];
    // Whether a poll is due or the rate limit holds it back, no input tells.
    entry.polled
        || entry.config.poll.is_some()
        || entry.config.limit.is_some()
        || !cx.ledger.is_settled_for_order(node, cx.now)
        || matches!(cx.scheduler.state(Node(node)), State::WaitingForPredecessor(_))
        || !entry.causes.is_empty() && cx.ledger.parents(node).any(|parent| is_unsettled(cx, parent))
}
