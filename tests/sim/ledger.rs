//! The books as a plain reading of the rules keeps them: from inputs and commands alone, slow and simple. The
//! invariants compare with them.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::id::{Ticket, Time};
use mgmt::scheduler::{CONFIRMED, Causes, NodeConfig, Op, StopStage};

use crate::journal::Edge;
use crate::scenario::Link;
use crate::share::Accounts;
use crate::world::Act;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Off,
    Starting,
    Ready,
    Failed,
}

/// An operation that was begun and not answered.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    pub op: Op,
    pub act: Act,
    pub deadline: Option<Time>,
    pub cancelled: bool,
    /// Its node was swapped since.
    pub stale: bool,
    /// There was a cause for it other than a poll, an event or a tick.
    pub caused: bool,
    /// A check that has gone on to a repair, which the scheduler has not been told yet.
    pub untold: bool,
}

/// Nothing but what is only looked at is among these.
pub fn are_looks(causes: Causes) -> bool {
    use mgmt::scheduler::Cause;
    causes.iter().all(|cause| matches!(cause, Cause::Poll | Cause::Watch | Cause::Tick))
}

/// Why a node may be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    New,
    Watch,
    Ready,
    Parent,
    /// A parent has ticked.
    Tick,
    Value,
    Debt,
    Config,
    /// Its noop was swapped: what it asks for is as before.
    Meta,
    /// A try failed.
    Retry,
    /// What was begun came to nothing.
    Again,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub config: NodeConfig,
    pub causes: BTreeSet<Cause>,
    /// Its poll may have been due before a swap took it away.
    pub polled: bool,
    /// Drift was found and is not repaired.
    pub unrepaired: bool,
    /// …by a look at what ticks: whether it is going to be applied, or looked at again, no input tells.
    pub ticked: bool,
    /// When an event or a tick asked for a look that has not ended well since: the first.
    pub asked_at: Option<Time>,
    /// When its last check began.
    pub began: Time,
    pub committing: Option<Ticket>,
    /// Its last check found that others have not ended with what it owns.
    pub occupied: bool,
    pub watch: Watch,
    pub failing_op: bool,
    pub failing_watch: bool,
    /// Failed for good.
    pub dead: bool,
    /// Tries used up in a row.
    pub failures: u32,
    pub watch_failures: u32,
    /// What its operations, or its watch, failed with last is a cause that it waits for: which, and how often in a row.
    pub waits: Option<u8>,
    pub waited: u32,
    pub watch_waits: Option<u8>,
    pub watch_waited: u32,
    /// Since when its watch listens, if it does.
    pub listens_since: Time,
    /// Not before.
    pub retry_at: Option<Time>,
    pub sent: u32,
    /// Waits for these senders.
    pub asks: BTreeSet<u32>,
    /// Is asked for its values.
    pub asked: bool,
    /// …and the operation under way makes them.
    pub remaking: bool,
}

#[derive(Clone, Default)]
pub struct Ledger {
    /// Of the last input.
    pub now: Time,
    pub nodes: BTreeMap<u32, Entry>,
    /// Operations by node, also of nodes that have left.
    pub busy: BTreeMap<u32, Busy>,
    pub edges: BTreeMap<Edge, Link>,
    pub incoming: BTreeMap<u32, Vec<u32>>,
    pub owed: BTreeSet<Edge>,
    /// May have changed something when it failed: notified at its next good end.
    pub maybe: BTreeSet<Edge>,
    pub paused: bool,
    pub stop: Option<StopStage>,
    pub commits: BTreeMap<Ticket, u32>,
    pub accounts: Accounts,
    pub swapped: bool,
    /// Nodes that have left the graph, and must be undone before their slots are free.
    pub undone: BTreeSet<u32>,
    /// For each node, those that must be gone before it leaves the graph.
    pub leaves_after: BTreeMap<u32, BTreeSet<u32>>,
    /// No watch has begun yet, and none need have.
    pub late: bool,
}

impl Ledger {
    /// The node is gone, or back: what waited for it waits for what it has waited for.
    pub fn gone(&mut self, node: u32) {
        self.undone.remove(&node);
        let firsts = self.leaves_after.remove(&node).unwrap_or_default();
        for waits in self.leaves_after.values_mut().filter(|waits| waits.contains(&node)) {
            waits.remove(&node);
            waits.extend(&firsts);
        }
        self.leaves_after.retain(|_, waits| !waits.is_empty());
    }

    pub fn parents(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.incoming.get(&node).into_iter().flatten().copied()
    }

    pub fn children(&self, node: u32) -> Vec<(u32, Link)> {
        self.edges.range((node, 0)..=(node, u32::MAX)).map(|((_, to), link)| (*to, *link)).collect()
    }

    pub fn is_owed(&self, node: u32) -> bool {
        self.owed.iter().any(|(_, to)| *to == node)
    }

    /// Some port of this edge was never sent.
    pub fn lacks(&self, from: u32, to: u32) -> bool {
        self.edges[&(from, to)].sends & !self.nodes[&from].sent != 0
    }

    pub fn is_settled(&self, node: u32) -> bool {
        self.nodes[&node].causes.is_empty() && self.is_well(node)
    }

    /// Settled, or in the pause that its share imposes.
    pub fn is_settled_for_order(&self, node: u32, now: Time) -> bool {
        let by_watch = self.nodes[&node].causes.iter().eq([&Cause::Watch]);
        self.is_settled(node) || by_watch && self.is_well(node) && self.accounts.is_overdrawn(node, now)
    }

    /// It would be settled without the causes for its next check.
    fn is_well(&self, node: u32) -> bool {
        let entry = &self.nodes[&node];
        !entry.unrepaired
            && entry.committing.is_none()
            && !self.busy.contains_key(&node)
            && !entry.failing_op
            && !entry.failing_watch
            && !entry.dead
            && !entry.asked
            && entry.asks.is_empty()
            && self.need_not_watch(entry)
            && (entry.config.noop || !self.is_owed(node))
            && !self.parents(node).any(|from| self.lacks(from, node))
    }

    fn need_not_watch(&self, entry: &Entry) -> bool {
        entry.watch == Watch::Ready || !entry.config.watched || self.late
    }

    /// A node that is neither settled nor waits (it or a parent) for what cannot come from a noop sender.
    pub fn restless(&self) -> Option<u32> {
        self.all_restless().into_iter().next()
    }

    /// All of these.
    pub fn all_restless(&self) -> Vec<u32> {
        self.not_in(&self.calm(true))
    }

    /// The same, and those of which no input tells.
    pub fn all_perhaps_restless(&self) -> Vec<u32> {
        self.not_in(&self.calm(false))
    }

    fn not_in(&self, calm: &BTreeMap<u32, bool>) -> Vec<u32> {
        self.nodes.keys().copied().filter(|node| !calm.contains_key(node)).collect()
    }

    /// All others, each with whether it waits in vain.
    fn calm(&self, perhaps: bool) -> BTreeMap<u32, bool> {
        let mut calm = BTreeMap::new();
        // Parents have lower numbers, so they come first.
        for (&node, entry) in &self.nodes {
            let quiet = self.is_settled(node) || self.is_looked_at(node, perhaps);
            // It may still be in the queue, which no input tells, and not wait in vain before it is taken out.
            let is_queued = !perhaps && !self.busy.is_empty();
            if quiet || !is_queued && self.is_excused(node, &calm) {
                // Its poll may be due, which no input tells: then it waits in vain behind what does.
                let waits = entry.config.poll.is_some() || !entry.causes.is_empty();
                let behind = waits && self.parents(node).any(|from| calm.get(&from) == Some(&true));
                calm.insert(node, !quiet || behind);
            }
        }
        calm
    }

    /// A node that was to be looked at by then, and has not been, although it may be.
    pub fn unseen(&self, by: impl Fn(Time) -> bool) -> Option<u32> {
        let calm = self.calm(true);
        let is_unseen = |node: &u32| {
            let entry = &self.nodes[node];
            let busy = self.busy.contains_key(node);
            // What is under way was asked for before it began.
            let asked = entry.asked_at.into_iter().chain(busy.then_some(entry.began)).min();
            let in_vain = !busy && calm.get(node) != Some(&false);
            !in_vain && !self.is_settled(*node) && asked.is_some_and(&by)
        };
        self.nodes.keys().copied().find(is_unseen)
    }

    fn is_excused(&self, node: u32, calm: &BTreeMap<u32, bool>) -> bool {
        let entry = &self.nodes[&node];
        let lacks = |from: u32| self.lacks(from, node) || entry.asks.contains(&from);
        !self.busy.contains_key(&node)
            && entry.committing.is_none()
            && !self.is_failing(node)
            && self.need_not_watch(entry)
            && self.parents(node).any(|from| lacks(from) || calm.get(&from) == Some(&true))
            && self.parents(node).all(|from| {
                calm.get(&from).is_some_and(|in_vain| !lacks(from) || self.nodes[&from].config.noop || *in_vain)
            })
    }

    /// The same of one that is under way. What has failed is looked at again from then on.
    pub fn unseen_under_way(&self, by: impl Fn(Time) -> bool) -> Option<u32> {
        let asked = |node: u32| {
            let entry = &self.nodes[&node];
            entry.asked_at.filter(|_| !self.is_failing(node)).unwrap_or(entry.began)
        };
        self.busy.keys().copied().find(|node| self.nodes.contains_key(node) && by(asked(*node)))
    }

    /// The node is looked at by its poll, which no input shows, or since an event or a tick came, and for no other reason.
    fn is_looked_at(&self, node: u32, perhaps: bool) -> bool {
        let entry = &self.nodes[&node];
        let busy = self.busy.get(&node);
        let between = perhaps && entry.ticked && busy.is_none();
        let looks = busy.is_none_or(|busy| match busy.act {
            _ if busy.caused => false,
            Act::Check => true,
            Act::Apply { .. } => busy.untold || entry.config.ticks,
            _ => false,
        });
        let repairs = busy.is_some_and(|busy| busy.act != Act::Check);
        let is_look = |cause: &Cause| match cause {
            Cause::Watch | Cause::Tick => true,
            Cause::Again => between,
            // It may be owed no more: that is asked below.
            Cause::Debt => perhaps,
            _ => false,
        };
        looks
            && entry.causes.iter().all(is_look)
            && (!entry.unrepaired || repairs || between)
            && (entry.committing.is_none() || between)
            && !entry.asked
            && entry.asks.is_empty()
            && self.need_not_watch(entry)
            && (entry.config.noop || !self.is_owed(node))
            && !self.parents(node).any(|from| self.lacks(from, node))
            && !self.is_failing(node)
    }

    /// All that fails of it is a cause that it waits for.
    pub fn only_waits(&self, node: u32) -> bool {
        let entry = &self.nodes[&node];
        self.is_failing(node)
            && !entry.dead
            && (!entry.failing_op || entry.waits.is_some())
            && (!entry.failing_watch || entry.watch_waits.is_some())
    }

    /// The same, and no passing trouble.
    pub fn is_held_up(&self, node: u32) -> bool {
        let entry = &self.nodes[&node];
        self.only_waits(node)
            && (entry.waits.is_none() || entry.waited >= CONFIRMED)
            && (entry.watch_waits.is_none() || entry.watch_waited >= CONFIRMED)
    }

    pub fn is_failing(&self, node: u32) -> bool {
        let entry = &self.nodes[&node];
        entry.failing_op || entry.failing_watch || entry.dead
    }
}
