//! What holds back a node that could run: the parallel bound, semaphores, a pause, the rate limit (sections 5.1 and 6.1
//! of the catalogue).

use std::collections::{BTreeMap, BTreeSet};

use mgmt::id::{Node, Time};
use mgmt::scheduler::{Command, Config, Input, LONG, State};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::ledger::{Cause, Entry};
use crate::must;
use crate::scenario::SEMAPHORES;

/// Whose call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Together(u32),
    /// That of the group with this first node.
    Group(u32),
}

#[derive(Default)]
pub struct Gates {
    /// Checks of a node that only its watch caused.
    by_watch: BTreeMap<u32, Vec<Time>>,
    /// Semaphores that the last run of each node took.
    taken: BTreeMap<u32, BTreeSet<u32>>,
    /// …and those of the operations that are under way.
    holds: BTreeMap<u32, BTreeSet<u32>>,
    /// Nodes whose run has given its place up: with the check, or with what followed.
    yielded: BTreeSet<u32>,
    /// How many inputs there were.
    turn: u64,
    /// When the last run of each node began.
    since: BTreeMap<u32, Time>,
    /// The call that the last check of each node was in: by what they are together, and when it began.
    calls: BTreeMap<u32, (Whose, u64)>,
}

impl Gates {
    /// An operation may be beyond the bound: what continues a run, what joins a call, and what an event asks for.
    fn in_reserve(&self, cx: &Cx, node: u32, command: &Command) -> bool {
        let joins = |call: &(Whose, u64)| self.calls.iter().any(|(other, of)| of == call && *other != node);
        // One node of a group is in a queue for all of them; what another may not do yet it learns only then.
        let begins = |mate: u32| {
            let entry = &cx.ledger.nodes[&mate];
            is_urgent(entry) && (entry.config.limit.is_some() || cx.scheduler.state(Node(mate)) == State::Running)
        };
        !matches!(command, Command::Check { .. })
            || self.calls.get(&node).is_some_and(joins)
            || is_urgent(&cx.ledger.nodes[&node])
            || cx.world.graph.mates(node).any(begins)
    }

    /// What an event asks for begins at once if less than the bound is held by runs that are not long, and the reserve
    /// has a place.
    fn no_urgent_one_waits(&self, cx: &Cx) -> Verdict {
        // What waits for the journal or a look holds a place too, and those of one call share one: from here, at most.
        let places = cx.scheduler.running() - self.yielded.len();
        let is_long = |node: u32| self.since.get(&node).is_some_and(|since| since.after(LONG) <= cx.now);
        let running = cx.world.running.iter().map(|running| running.op.node.0);
        let running = running.filter(|node| !self.yielded.contains(node));
        let long = running.filter(|node| is_long(*node) && !self.calls.contains_key(node)).count();
        let Config { running_max, reserve, .. } = *cx.config;
        if places >= running_max + reserve || places - long.min(places) >= running_max || cx.ledger.paused {
            return Ok(());
        }
        for (node, entry) in &cx.ledger.nodes {
            let takes = |node: u32| !cx.ledger.nodes[&node].config.sema.is_empty();
            let gated = entry.config.limit.is_some() || takes(*node) || cx.world.graph.mates(*node).any(takes);
            let waits = !gated && is_urgent(entry) && cx.scheduler.state(Node(*node)) == State::Ready;
            must!(!waits, "{node} waits for a place, of {places} that are held {long} are held by long runs");
        }
        Ok(())
    }

    /// How many places of the parallel bound are taken, this node's operation included.
    fn places(&self, cx: &Cx, node: u32) -> usize {
        let mut shared = BTreeSet::new();
        let running = cx.world.running.iter().map(|running| running.op.node.0).chain([node]);
        let nodes: BTreeSet<u32> = running.filter(|node| !self.yielded.contains(node)).collect();
        nodes.iter().filter(|node| self.calls.get(node).is_none_or(|call| shared.insert(*call))).count()
    }
}

/// Neither the start, nor a new graph, nor a further try has it run.
fn is_urgent(entry: &Entry) -> bool {
    ![Cause::New, Cause::Config, Cause::Meta, Cause::Retry].iter().any(|cause| entry.causes.contains(cause))
}

impl Invariant for Gates {
    fn name(&self) -> &'static str {
        "gates"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Command::Leave(op) | Command::Undo(op) = command {
            // Its last run is over, and holds nothing any more.
            self.holds.remove(&op.node.0);
            self.yielded.remove(&op.node.0);
            self.calls.remove(&op.node.0);
            self.since.insert(op.node.0, cx.now);
            let running = self.places(cx, op.node.0);
            must!(running <= cx.config.running_max, "{command:?}: {running} at once");
        }
        let Some(node) = begun(command) else { return Ok(()) };
        must!(!cx.ledger.paused, "{command:?} in a pause");
        let entry = &cx.ledger.nodes[&node];
        if let Command::Check { .. } = command {
            let first = cx.world.graph.mates(node).next().map(|mate| Whose::Group(mate.min(node)));
            match first.or(entry.config.together.map(Whose::Together)) {
                Some(whose) => drop(self.calls.insert(node, (whose, self.turn))),
                None => drop(self.calls.remove(&node)),
            }
        }
        if let Command::Check { .. } = command {
            self.since.insert(node, cx.now);
            self.yielded.remove(&node);
        }
        let running = self.places(cx, node);
        let most = if self.in_reserve(cx, node, command) { cx.config.reserve } else { 0 } + cx.config.running_max;
        must!(running <= most, "{command:?}: {running} at once");
        // Taken when the run begins, whatever a later swap sets.
        if let Command::Check { .. } = command {
            let takes = |node: u32| cx.ledger.nodes[&node].config.sema.iter().map(|(number, _)| *number);
            let all = cx.world.graph.mates(node).chain([node]);
            self.taken.insert(node, all.flat_map(takes).collect());
        }
        let taken = self.taken.get(&node).cloned().unwrap_or_default();
        self.holds.insert(node, taken);
        let Command::Check { .. } = command else { return Ok(()) };
        let only_watch = entry.causes.iter().eq([&Cause::Watch]);
        let other =
            entry.unrepaired || entry.asked || cx.ledger.is_owed(node) || entry.polled || entry.config.poll.is_some();
        let Some(rate) = entry.config.limit.filter(|_| only_watch && !other) else { return Ok(()) };
        let checks = self.by_watch.entry(node).or_default();
        checks.push(cx.now);
        for (at, first) in checks.iter().enumerate() {
            let many = (checks.len() - at) as f64;
            let allowed = f64::from(entry.config.burst) + cx.now.since(*first).as_secs_f64() * rate + 1e-3;
            must!(many <= allowed, "{command:?}: {many} checks by the watch since {first:?}, {allowed} are allowed");
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        // Held from the check to the end of the run; what waits for the journal holds too, but is not seen from here.
        let running: BTreeSet<u32> = cx.world.running.iter().map(|running| running.op.node.0).collect();
        self.holds.retain(|node, _| running.contains(node));
        for (number, size) in SEMAPHORES {
            let holders = self.holds.iter().filter(|(_, held)| held.contains(number));
            // The nodes of a group hold it once.
            let holders: BTreeSet<_> = holders
                .map(|(node, _)| match self.calls.get(node) {
                    Some(call @ (Whose::Group(_), _)) => (None, Some(*call)),
                    _ => (Some(*node), None),
                })
                .collect();
            let holders = holders.len();
            must!(holders <= *size as usize, "semaphore {number} of {size} is held {holders} times");
        }
        // A run continues between two of its operations, while it waits for the journal or for a look.
        self.yielded.retain(|node| cx.scheduler.state(Node(*node)) == State::Running);
        if cx.ledger.stop.is_none() {
            self.no_urgent_one_waits(cx)?;
        }
        // A swap may change limit and burst: the count starts again.
        self.by_watch.retain(|node, _| cx.ledger.nodes.contains_key(node));
        Ok(())
    }

    fn input(&mut self, cx: &Cx, input: &Input) -> Verdict {
        self.turn += 1;
        if let Input::Yielded(op) = input
            && cx.world.running(*op).is_some()
            && !self.calls.contains_key(&op.node.0)
            && self.yielded.len() < cx.config.yielded_max
        {
            self.yielded.insert(op.node.0);
        }
        if matches!(input, Input::Swap(_)) {
            self.by_watch.clear();
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.by_watch.clear();
        self.holds.clear();
        self.calls.clear();
        self.since.clear();
        self.yielded.clear();
    }
}
