//! What must be true between any two inputs. For tests: looks at everything.

use super::node::*;
use super::scheduler::Scheduler;
use crate::id::Node;
use crate::scheduler::edges::*;

impl Scheduler {
    /// Panics, naming the node, if the state is inconsistent. The cost grows with the graph.
    pub fn check_invariants(&self) {
        let mut running = 0;
        let (mut present, mut unsettled, mut restless, mut excused, mut missing, mut failed) = (0, 0, 0, 0, 0, 0);
        let (mut moving, mut blocked) = (0, 0);
        for i in self.nodes.numbers() {
            let n = &self.nodes[i];
            running += usize::from(n.phase().holds_slot());
            self.check_counts(i);
            self.check_phase(i);
            assert_eq!(n.any(MOVING), self.is_moving(i), "moving: {i:?}");
            assert_eq!(self.looks_open.is_open(i), self.is_look_open(i), "looked at: {i:?}");
            moving += usize::from(n.any(MOVING));
            if n.any(PRESENT) {
                present += 1;
                unsettled += usize::from(!n.any(SETTLED));
                restless += usize::from(!n.any(CALM));
                excused += usize::from(n.any(EXCUSED));
                missing += n.unsent as usize + usize::from(n.any(ASKING));
                failed += usize::from(n.any(FAILED));
                blocked += usize::from(n.bad_parents > 0);
            }
        }
        let c = &self.convergence;
        assert_eq!(self.places_taken(), self.runs(), "places");
        assert_eq!(running, self.running(), "running");
        assert_eq!(present, c.present, "present");
        assert_eq!(unsettled, c.unsettled, "unsettled");
        assert_eq!(restless, c.restless, "restless");
        assert_eq!(excused, c.excused, "excused");
        assert_eq!(missing, c.missing, "missing");
        assert_eq!(failed, c.failed, "failed");
        assert_eq!(blocked, c.blocked, "blocked");
        assert_eq!(moving, c.moving, "moving");
        for (number, held, _) in self.semaphores.usage() {
            let holders =
                self.nodes.numbers().filter(|i| self.rare(*i).is_some_and(|rare| rare.held.contains(&number))).count();
            let holders = holders + self.calls_that_hold(number);
            assert_eq!(holders, held as usize, "semaphore {number}");
        }
        let armed = self
            .nodes
            .numbers()
            .filter_map(|i| self.rare(i))
            .map(|rare| rare.due.iter().flatten().count())
            .sum::<usize>();
        assert_eq!(armed, self.timers.armed(), "timers");
        self.check_groups();
        self.check_calls();
    }

    fn check_counts(&self, i: Node) {
        let n = &self.nodes[i];
        let (mut unsettled, mut bad, mut unsent, mut owed, mut taken) = (0, 0, 0, false, false);
        for e in self.edges.parents(i) {
            let parent = &self.nodes[self.edges.from(e)];
            assert!(parent.any(PRESENT), "node {i:?} has an edge from a free slot");
            unsettled += u32::from(!parent.any(SETTLED));
            bad += u32::from(parent.is_bad());
            unsent += u32::from(self.edges.sends(e).0 & !parent.sent.0 != 0);
            owed |= self.edges.any(e, EDGE_OWED);
            taken |= self.edges.any(e, EDGE_TAKEN);
        }
        if !n.any(PRESENT) {
            assert_eq!(self.edges.positions_in(i).len() + self.edges.out(i).len(), 0, "free slot {i:?} has edges");
            return;
        }
        assert_eq!(n.unsettled_parents, unsettled, "unsettled parents of {i:?}");
        assert_eq!(n.bad_parents, bad, "bad parents of {i:?}");
        assert_eq!(n.unsent, unsent, "values not sent to {i:?}");
        assert_eq!(n.any(OWED), owed, "owed to {i:?}");
        assert_eq!(n.any(TAKEN), taken, "taken by {i:?}");
        let maybe = self.edges.out(i).any(|e| self.edges.any(e, EDGE_MAYBE));
        let intent = self.edges.out(i).any(|e| self.edges.any(e, EDGE_INTENT));
        assert_eq!(n.any(MAYBE), maybe, "maybe changed: {i:?}");
        assert!(
            !intent || n.phase().is_before_repair() || n.phase().writes(),
            "an intent of {i:?}, which is not being applied"
        );
        assert!(!n.any(TAKEN) || n.phase().writes(), "a refresh taken by {i:?}, which is not being applied");
        assert_eq!(n.any(SETTLED), self.is_settled(i), "settled: {i:?}");
        let may_be_excused = !n.any(SETTLED) && self.convergence.missing > 0 && self.is_excused(i);
        assert_eq!(n.any(EXCUSED), may_be_excused, "excused: {i:?}");
        let at_rest = n.any(SETTLED) && !n.any(SPACED);
        assert_eq!(n.any(CALM), at_rest || n.any(EXCUSED) || self.is_looked_at(i), "calm: {i:?}");
    }

    fn check_phase(&self, i: Node) {
        let n = &self.nodes[i];
        let queued = self.ready.iter().chain(&self.urgent).chain(&self.granted).filter(|j| **j == i).count();
        match n.phase() {
            Phase::Absent => assert!(!n.any(PRESENT) && n.rare == NO_RARE, "free slot {i:?} is not blank"),
            Phase::ToLeave => {
                assert!(!n.any(PRESENT) && n.any(LEAVES), "{i:?} waits to leave, and does not");
                let waits = self.leaving.contains(&i) || self.leaving_held.contains(&i);
                let pauses = self.leave_order.is_pausing(i);
                assert!(waits || pauses || !self.leave_order.is_free(i), "{i:?} waits to leave in no queue");
            }
            Phase::Idle => {
                assert!(n.any(PRESENT), "idle, but not in the graph: {i:?}");
                assert!(!self.may_start(i), "{i:?} could run and is in no queue");
            }
            Phase::Queued => assert!(queued == 1, "{i:?} is {queued} times in the queue"),
            Phase::Parked => assert!(self.rare(i).is_some_and(|rare| rare.place > 0), "{i:?} is parked nowhere"),
            _ => assert!(n.op > 0, "{i:?} runs without a number"),
        }
        let rare = self.rare(i);
        let spaced = n.any(SPACED);
        assert_eq!(spaced, self.waits_for_its_share(i), "spaced: {i:?}");
        assert!(
            !spaced || n.phase() == Phase::Idle && n.dirt() == DIRTY_WATCH,
            "{i:?} waits for its share, and is busy"
        );
        assert_eq!(n.any(HELD), rare.is_some_and(|rare| !rare.predecessors.is_empty()), "held: {i:?}");
        for from in rare.into_iter().flat_map(|rare| &rare.predecessors) {
            assert!(
                self.rare(*from).is_some_and(|rare| rare.successors.contains(&i)),
                "{i:?} waits for {from:?} in vain"
            );
        }
        if n.any(ASKING) {
            assert!(self.rare(i).is_some_and(|rare| !rare.asked.is_empty()), "{i:?} asks none");
        }
    }
}
