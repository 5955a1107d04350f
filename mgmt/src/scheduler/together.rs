//! Runs that begin together: one call of the runtime, which takes one place of `running_max` until the last of them has
//! ended.

use super::CALL_MAX;
use super::mutants::Mutant;
use super::node::*;
use super::places::Holder;
use super::scheduler::Scheduler;
use crate::id::Node;

/// Which nodes can join a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joins {
    /// Those with this number in `NodeConfig::together`, at most `CALL_MAX`.
    Together(u32),
    /// Those of this group.
    Group(usize),
    /// Those of a group that has been disbanded.
    Disbanded,
}

/// One call.
#[derive(Debug)]
struct Call {
    joins: Joins,
    /// Runs of the call that have not ended.
    running: u32,
    /// All runs that have joined.
    joined: u32,
    /// Of the runs of a group that have not ended, those whose checks have led to an apply, which waits for the others,
    /// or to a refresh, which does not.
    arrived: u32,
    /// Those that wait.
    gathered: Vec<Node>,
    /// A run of a group has ended without a result, and begins again: so do those that wait.
    repeats: bool,
    /// The semaphores of a group, held until the last run has ended.
    held: Vec<u32>,
}

/// A run that belongs to a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    call: u32,
    /// It counts in `Call::arrived`.
    has_arrived: bool,
}

/// The calls of which runs are under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<Call>,
    free: Vec<u32>,
    /// Calls that began in this turn, and can be joined.
    open: Vec<u32>,
    /// Calls of groups of which all runs may have arrived.
    complete: Vec<u32>,
    /// Runs under way that share the place of another of their call.
    guests: usize,
}

impl Calls {
    /// No run joins the open calls any more.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    /// How many runs under way take no place of their own.
    pub(super) fn guests(&self) -> usize {
        self.guests
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        let gathered = self.all.iter().map(|call| call.gathered.capacity() * size_of::<Node>()).sum::<usize>();
        let numbers = self.free.capacity() + self.open.capacity() + self.complete.capacity();
        self.all.capacity() * size_of::<Call>() + gathered + numbers * size_of::<u32>()
    }
}

impl Scheduler {
    /// The calls that the node can join.
    fn joins(&self, i: Node) -> Option<Joins> {
        match self.group_of(i) {
            Some(group) => Some(Joins::Group(group)),
            None => self.settings(i).together.map(Joins::Together),
        }
    }

    /// The call that a node would join.
    fn open_call(&self, joins: Joins) -> Option<u32> {
        let all = &self.calls.all;
        let has_room = |call: &Call| call.joined < CALL_MAX || matches!(joins, Joins::Group(_));
        self.calls.open.iter().copied().find(|at| all[*at as usize].joins == joins && has_room(&all[*at as usize]))
    }

    /// The run of the node can join a call: it needs no place of its own.
    pub(super) fn joins_call(&self, i: Node) -> bool {
        !self.calls.open.is_empty() && self.joins(i).and_then(|joins| self.open_call(joins)).is_some()
    }

    /// A run begins: it takes a place, or shares the place of a call.
    pub(super) fn take_place(&mut self, i: Node) {
        let Some(joins) = self.joins(i) else {
            self.occupy(Holder::Run(i));
            return;
        };
        let at = self.open_call(joins).unwrap_or_else(|| self.begin_call(joins));
        let is_group = matches!(joins, Joins::Group(_));
        // Those of a group are held by the call.
        let held = self.rare_if_any(i).filter(|_| is_group).map(|rare| std::mem::take(&mut rare.held));
        let call = &mut self.calls.all[at as usize];
        call.running += 1;
        call.joined += 1;
        call.held.extend(held.into_iter().flatten());
        self.calls.guests += usize::from(call.running > 1);
        self.rare_mut(i).call = Some(Guest { call: at, has_arrived: false });
    }

    fn begin_call(&mut self, joins: Joins) -> u32 {
        let (gathered, held) = Default::default();
        let call = Call { joins, running: 0, joined: 0, arrived: 0, gathered, repeats: false, held };
        let at = match self.calls.free.pop() {
            Some(at) => {
                self.calls.all[at as usize] = call;
                at
            }
            None => {
                self.calls.all.push(call);
                (self.calls.all.len() - 1) as u32
            }
        };
        self.calls.open.push(at);
        if !self.mutant(Mutant::CallsTakeNoPlace) {
            self.occupy(Holder::Call(at));
        }
        at
    }

    /// The run of the node has ended.
    pub(super) fn give_place_back(&mut self, i: Node) {
        let Some(Guest { call: at, has_arrived }) = self.rare_if_any(i).and_then(|rare| rare.call.take()) else {
            self.vacate(Holder::Run(i));
            return;
        };
        let call = &mut self.calls.all[at as usize];
        call.running -= 1;
        call.arrived -= u32::from(has_arrived);
        if call.running > 0 {
            self.calls.guests -= 1;
            self.note_if_complete(at);
        } else {
            let held = std::mem::take(&mut call.held);
            self.calls.open.retain(|open| *open != at);
            self.calls.free.push(at);
            if !self.mutant(Mutant::CallsTakeNoPlace) {
                self.vacate(Holder::Call(at));
            }
            self.free(held);
        }
        self.tidy_rare(i);
    }

    /// A node must be applied: with the others of its group, when all checks of the call are answered. A refresh waits
    /// for no others.
    pub(super) fn gather(&mut self, i: Node, refresh: bool) {
        let call = self.rare(i).and_then(|rare| rare.call).map(|guest| guest.call);
        let is_group = |at: &u32| matches!(self.calls.all[*at as usize].joins, Joins::Group(_));
        let Some(at) = call.filter(is_group).filter(|_| !refresh && !self.mutant(Mutant::GroupAppliesApart)) else {
            return self.look_first(i, refresh);
        };
        self.nodes[i].go(Phase::Gathered);
        self.calls.all[at as usize].gathered.push(i);
        self.settle(i);
        self.arrive(i);
    }

    /// The check of the node has been answered, and has led to something: the others of its group need not wait for it.
    pub(super) fn arrive(&mut self, i: Node) {
        let Some(guest) = self.rare_if_any(i).and_then(|rare| rare.call.as_mut()) else { return };
        if !std::mem::replace(&mut guest.has_arrived, true) {
            let at = guest.call;
            self.calls.all[at as usize].arrived += 1;
            self.note_if_complete(at);
        }
    }

    fn note_if_complete(&mut self, at: u32) {
        let call = &self.calls.all[at as usize];
        if call.arrived == call.running && !call.gathered.is_empty() {
            self.calls.complete.push(at);
        }
    }

    /// The applies of a group begin, if all checks of its call have been answered.
    pub(super) fn apply_gathered(&mut self) {
        while let Some(at) = self.calls.complete.pop() {
            let call = &mut self.calls.all[at as usize];
            if call.arrived != call.running {
                continue;
            }
            let gathered = std::mem::take(&mut call.gathered);
            let waits = |i: &Node| self.nodes[*i].phase() == Phase::Gathered;
            let gathered: Vec<Node> = gathered.into_iter().filter(waits).collect();
            if self.calls.all[at as usize].repeats || gathered.iter().any(|i| self.will_be_repeated(*i)) {
                gathered.into_iter().for_each(|i| self.drop_repair(i));
                continue;
            }
            // So that all begin in the same turn.
            let has_parents = gathered.iter().any(|i| !self.edges.positions_in(*i).is_empty());
            let next = match has_parents && !self.mutant(Mutant::RepairBlindly) {
                true => Scheduler::look,
                false => Scheduler::start_repair,
            };
            gathered.into_iter().for_each(|i| self.repair_or_drop(i, false, next));
        }
    }

    /// The drift that was found can't be repaired, since something that the node depends on must be looked at first;
    /// then the node is checked again. The others of its group wait for that, so that they stay together.
    fn will_be_repeated(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        !self.may_go_on(i) && !node.is_bad() && !node.any(HELD) && !self.mutant(Mutant::GroupPartsOnDrop)
    }

    /// The run of the node begins again: the others of its call that wait for it begin again with it, unless it is held
    /// up by something that does not concern them.
    pub(super) fn note_repeat(&mut self, i: Node) {
        let Some(guest) = self.rare(i).and_then(|rare| rare.call) else { return };
        let node = &self.nodes[i];
        if node.any(PRESENT) && !node.is_bad() && !node.any(HELD) && !self.mutant(Mutant::GroupPartsOnDrop) {
            self.calls.all[guest.call as usize].repeats = true;
        }
    }

    /// The calls of groups in which one of these nodes will be repeated.
    pub(super) fn calls_to_repeat(&self, nodes: &[Node]) -> Vec<u32> {
        let call = |i: Node| self.rare(i).and_then(|rare| rare.call).map(|guest| guest.call);
        let is_group = |at: &u32| matches!(self.calls.all[*at as usize].joins, Joins::Group(_));
        let repeated = nodes.iter().copied().filter(|i| self.nodes[*i].phase() == Phase::LookApply);
        let repeated = repeated.filter_map(|i| call(i).filter(is_group).filter(|_| self.will_be_repeated(i)));
        repeated.collect()
    }

    /// The run of the node belongs to one of these calls.
    pub(super) fn is_in_call(&self, i: Node, calls: &[u32]) -> bool {
        !calls.is_empty() && self.rare(i).and_then(|rare| rare.call).is_some_and(|guest| calls.contains(&guest.call))
    }

    /// The groups are disbanded: what waited for others of its group waits no longer.
    pub(super) fn end_group_calls(&mut self) {
        for at in 0..self.calls.all.len() {
            if let Joins::Group(_) = self.calls.all[at].joins {
                self.calls.all[at].joins = Joins::Disbanded;
                for i in std::mem::take(&mut self.calls.all[at].gathered) {
                    if self.nodes[i].phase() == Phase::Gathered {
                        // Nothing begins before it is known whether the node is in the new graph.
                        self.look(i, false);
                    }
                }
            }
        }
        self.calls.complete.clear();
    }

    /// How many places are taken, and how many runs share one: from scratch.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn places_taken(&self) -> usize {
        let mut shared = std::collections::BTreeSet::new();
        let runs = self.nodes.numbers().filter(|i| self.nodes[*i].phase().holds_slot());
        let alone = runs.filter(|i| match self.rare(*i).and_then(|rare| rare.call) {
            Some(guest) => shared.insert(guest.call),
            None => true,
        });
        alone.count()
    }

    /// How many calls hold this semaphore.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn calls_that_hold(&self, number: u32) -> usize {
        self.calls.all.iter().filter(|call| call.running > 0 && call.held.contains(&number)).count()
    }

    /// Panics if a node waits for the others of its group although all of them have arrived.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn check_calls(&self) {
        for i in self.nodes.numbers().filter(|i| self.nodes[*i].phase() == Phase::Gathered) {
            let guest = self.rare(i).and_then(|rare| rare.call);
            let call = guest.map(|guest| &self.calls.all[guest.call as usize]);
            assert!(guest.is_some_and(|guest| guest.has_arrived), "{i:?} has gathered, and not arrived");
            assert!(call.is_some_and(|call| call.gathered.contains(&i)), "{i:?} has gathered nowhere");
            assert!(call.is_some_and(|call| call.arrived < call.running), "{i:?} waits for no other of its group");
        }
    }
}
