//! Runs that begin together: one call of the runtime, which takes one place of `running_max` until the last of them has
//! ended.

use super::CALL_MAX;
use super::mutants::Mutant;
use super::places::Holder;
use super::scheduler::Scheduler;
use crate::id::Node;

/// One call: the number by which nodes can join it, and how many have joined.
#[derive(Debug, Default)]
struct Call {
    together: u32,
    /// Runs of the call that have not ended.
    running: u32,
    /// All runs that have joined.
    joined: u32,
}

/// The calls of which runs are under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<Call>,
    free: Vec<u32>,
    /// Calls that began in this turn, and can be joined.
    open: Vec<u32>,
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
        self.all.capacity() * size_of::<Call>() + (self.free.capacity() + self.open.capacity()) * size_of::<u32>()
    }
}

impl Scheduler {
    /// The call that a node would join.
    fn open_call(&self, i: Node) -> Option<u32> {
        let together = self.settings(i).together?;
        let all = &self.calls.all;
        let is_open = |at: &u32| all[*at as usize].together == together && all[*at as usize].joined < CALL_MAX;
        self.calls.open.iter().copied().find(is_open)
    }

    /// The run of the node can join a call: it needs no place of its own.
    pub(super) fn joins_call(&self, i: Node) -> bool {
        !self.calls.open.is_empty() && self.open_call(i).is_some()
    }

    /// A run begins: it takes a place, or shares the place of a call.
    pub(super) fn take_place(&mut self, i: Node) {
        let Some(together) = self.settings(i).together else {
            self.occupy(Holder::Run(i));
            return;
        };
        let at = match self.open_call(i) {
            Some(at) => at,
            None => {
                let at = self.calls.free.pop().unwrap_or_else(|| {
                    self.calls.all.push(Call::default());
                    (self.calls.all.len() - 1) as u32
                });
                self.calls.all[at as usize] = Call { together, running: 0, joined: 0 };
                self.calls.open.push(at);
                if !self.mutant(Mutant::CallsTakeNoPlace) {
                    self.occupy(Holder::Call(at));
                }
                at
            }
        };
        let call = &mut self.calls.all[at as usize];
        call.running += 1;
        call.joined += 1;
        self.calls.guests += usize::from(call.running > 1);
        self.rare_mut(i).call = Some(at);
    }

    /// The run of the node has ended.
    pub(super) fn give_place_back(&mut self, i: Node) {
        let Some(at) = self.rare_if_any(i).and_then(|rare| rare.call.take()) else {
            self.vacate(Holder::Run(i));
            return;
        };
        let call = &mut self.calls.all[at as usize];
        call.running -= 1;
        if call.running > 0 {
            self.calls.guests -= 1;
        } else {
            self.calls.open.retain(|open| *open != at);
            self.calls.free.push(at);
            if !self.mutant(Mutant::CallsTakeNoPlace) {
                self.vacate(Holder::Call(at));
            }
        }
        self.tidy_rare(i);
    }

    /// How many places are taken, and how many runs share one: from scratch.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn places_taken(&self) -> usize {
        let mut shared = std::collections::BTreeSet::new();
        let runs = self.nodes.numbers().filter(|i| self.nodes[*i].phase().holds_slot());
        let alone = runs.filter(|i| match self.rare(*i).and_then(|rare| rare.call) {
            Some(call) => shared.insert(call),
            None => true,
        });
        alone.count()
    }
}
