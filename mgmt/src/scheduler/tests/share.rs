//! Shares: what a node's own watch may cost while others want to work, and while none does.

use super::bed::*;
use crate::id::{Node, Time};
use crate::scheduler::*;

const DELETED: &str = "check 0";

impl Bed {
    /// The node's watch speaks, and its check and its apply take so long together, half each. The check must begin at
    /// once.
    fn repair(&mut self, node: u32, took: u64) -> Vec<String> {
        let began = self.changed(node);
        assert_eq!(began.first(), Some(&format!("check {node}")), "at {:?}", self.now);
        self.go_through(node, took)
    }

    /// The check that is under way finds drift, which is repaired.
    fn go_through(&mut self, node: u32, took: u64) -> Vec<String> {
        self.now = self.now.after(ms(took) / 2);
        self.drifted(node);
        self.now = self.now.after(ms(took) / 2);
        let mut shown = self.applied(node, ApplyOutcome::Changed);
        shown.retain(|line| line.contains("flapping"));
        shown
    }

    /// Lets time pass until the node is checked; how long that took, in whole milliseconds.
    fn until_checked(&mut self, node: u32) -> u64 {
        let began = self.now;
        for waited in 0..1_000_000 {
            if self.pass(ms(1)).contains(&format!("check {node}")) {
                return waited + 1;
            }
        }
        panic!("{node} is never checked, since {began:?}");
    }
}

/// Two nodes that are in sync, and a third that is being checked, for ever: it wants to work.
fn beside_a_busy_node() -> Bed {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1, 2], &[], &[]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed
}

/// Changes a node at once after each repair, with repairs of `took` milliseconds, until it must wait. Returns the
/// number of repairs, and the reports.
fn exhaust(bed: &mut Bed, node: u32, took: u64) -> (u32, Vec<String>) {
    let mut told = Vec::new();
    for repairs in 0..10_000 {
        if bed.changed(node).is_empty() {
            return (repairs, told);
        }
        told.extend(bed.go_through(node, took));
    }
    panic!("it never has to wait");
}

#[test]
fn a_file_deleted_every_50_ms_is_back_at_once_each_time() {
    let mut bed = beside_a_busy_node();
    for _ in 0..2000 {
        assert_eq!(bed.repair(0, 2), [""; 0]);
        // The event of its own write.
        assert_eq!(bed.changed(0), [DELETED]);
        assert_eq!(bed.in_sync(0), ["event: in sync 0"]);
        bed.pass(ms(48));
    }
}

#[test]
fn a_burst_is_free_and_then_it_is_spaced_by_what_it_costs() {
    let mut bed = beside_a_busy_node();
    let (repairs, told) = exhaust(&mut bed, 0, 1);
    assert!((100..=110).contains(&repairs), "100 ms of work: {repairs}");
    assert_eq!(told.len(), 1, "reported once: {told:?}");
    assert!(told[0].ends_with("1ms each, every 20ms"), "{told:?}");
    assert_eq!(bed.state(0), State::Spaced);
    bed.until_checked(0);
    for _ in 0..50 {
        assert_eq!(bed.go_through(0, 1), [""; 0]);
        assert_eq!(bed.changed(0), [""; 0]);
        let waited = bed.until_checked(0);
        assert!((19..=20).contains(&waited), "{waited}");
    }
}

#[test]
fn what_takes_half_a_minute_is_repaired_every_ten_minutes() {
    let mut bed = beside_a_busy_node();
    assert_eq!(bed.repair(0, 30_000), [""; 0], "one repair is no fight");
    assert_eq!(bed.changed(0), [DELETED], "the event of its own write");
    bed.in_sync(0);
    assert_eq!(bed.changed(0), [""; 0]);
    let waited = bed.until_checked(0);
    assert!((565_000..=570_000).contains(&waited), "from its begin to the next: {waited}");
    let told = bed.go_through(0, 30_000);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(": 2 in ") && told[0].ends_with("30s each, every 600s"), "{told:?}");
    bed.changed(0);
    let waited = bed.until_checked(0);
    assert!((565_000..=570_000).contains(&waited), "{waited}");
}

#[test]
fn two_that_repair_each_other_are_reported_once_each_and_held_to_their_shares() {
    let mut bed = beside_a_busy_node();
    let (mut repairs, mut told, mut node) = (0, Vec::new(), 0);
    let began = bed.now;
    while bed.now.since(began) < ms(100_000) {
        if bed.changed(node).is_empty() {
            bed.until_checked(node);
        }
        told.extend(bed.go_through(node, 500));
        repairs += 1;
        node = 1 - node;
    }
    assert!((18..=24).contains(&repairs), "one every 10 s each: {repairs}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|line| line.ends_with("500ms each, every 10s")), "{told:?}");
}

#[test]
fn while_no_other_wants_to_work_it_only_rests() {
    let mut bed = beside_a_busy_node();
    exhaust(&mut bed, 0, 10);
    assert_eq!(bed.in_sync(2), ["event: in sync 2", "event: unconverged"][..1], "it has not rested");
    assert!(bed.until_checked(0) <= 10, "as long as its last run took");
    for _ in 0..20 {
        bed.go_through(0, 10);
        assert_eq!(bed.changed(0), [""; 0]);
        assert_eq!(bed.until_checked(0), 10);
    }
    bed.go_through(0, 30_000);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.until_checked(0), 1000, "no longer than a second");
}

#[test]
fn it_runs_as_soon_as_the_last_other_has_ended() {
    let mut bed = beside_a_busy_node();
    exhaust(&mut bed, 0, 10);
    bed.pass(ms(15));
    assert_eq!(bed.state(0), State::Spaced);
    assert_eq!(bed.in_sync(2), ["event: in sync 2", DELETED]);
}

#[test]
fn of_several_that_wait_each_gets_its_turn() {
    let mut bed = beside_a_busy_node();
    exhaust(&mut bed, 0, 1000);
    exhaust(&mut bed, 1, 1000);
    bed.pass(ms(1000));
    assert_eq!(bed.in_sync(2), ["event: in sync 2", DELETED]);
    bed.go_through(0, 10);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.state(1), State::Running);
}

#[test]
fn a_parent_is_settled_in_the_pause_that_its_share_imposes() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    let mut repairs = 0;
    while bed.state(0) != State::Spaced {
        bed.changed(0);
        bed.go_through(0, 10);
        bed.changed(0);
        repairs += 1;
        assert!(repairs < 100);
    }
    assert_eq!(bed.state(1), State::Running, "the parent has changed");
    assert_eq!(bed.drifted(1), ["check 1"], "the parent has changed since, and did not flap yet");
    assert_eq!(bed.drifted(1), ["apply 1"], "although the parent is dirty");
    // Its next repairs are no news: a child that takes long gets to its end.
    bed.applied(1, ApplyOutcome::Changed);
    bed.changed(1);
    bed.until_checked(0);
    assert_eq!(bed.state(1), State::Running);
    bed.go_through(0, 10);
    bed.changed(0);
    assert_eq!(bed.state(0), State::Spaced);
    assert_eq!(bed.drifted(1), ["apply 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Changed), ["check 1"], "what has changed meanwhile is looked at");
}

#[test]
fn a_child_that_takes_long_gets_to_its_end_however_little_the_repairs_of_its_parent_cost() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    let mut again = 0;
    bed.changed(1);
    loop {
        // Each check of the child sees the parent repaired once, within 1 of 50 ms.
        bed.pass(ms(49));
        bed.changed(0);
        bed.go_through(0, 1);
        assert_eq!(bed.state(0), State::Settled { drifted: false }, "it does not exceed its share");
        match &bed.drifted(1)[..] {
            [check] if check == "check 1" => again += 1,
            other => break assert_eq!(other, ["apply 1"]),
        }
    }
    assert!((5..15).contains(&again), "{again}: at first a repair of the parent is news");
    // A pause in that, and it is news again.
    bed.applied(1, ApplyOutcome::Changed);
    bed.in_sync(1);
    bed.pass(ms(3000));
    bed.changed(1);
    bed.changed(0);
    bed.go_through(0, 1);
    assert_eq!(bed.drifted(1), ["check 1"]);
}

#[test]
fn a_parent_whose_repair_failed_is_not_settled_in_any_pause() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { retry: None, delay: ms(50), ..plain() });
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    exhaust(&mut bed, 0, 10);
    bed.in_sync(1);
    bed.in_sync(1);
    assert_eq!(bed.state(1), State::Settled { drifted: false });
    bed.changed(1);
    assert_eq!(bed.in_sync(1), [""; 0]);
    bed.until_checked(0);
    bed.drifted(0);
    bed.applied(0, ApplyOutcome::Failed);
    bed.changed(0);
    assert!(matches!(bed.state(1), State::Blocked(_)), "{:?}", bed.state(1));
}

#[test]
fn a_graph_does_not_converge_while_a_node_waits_for_its_share() {
    let mut bed = beside_a_busy_node();
    exhaust(&mut bed, 0, 30_000);
    bed.feed(Input::Pause);
    bed.in_sync(2);
    bed.feed(Input::Resume);
    bed.changed(0);
    assert_eq!(bed.scheduler.unsettled(), 1);
    assert!(!bed.pass(ms(999)).iter().any(|line| line == "event: converged"));
    assert!(!bed.pass(ms(2)).iter().any(|line| line == "event: converged"), "it is to be looked at first");
    assert!(bed.in_sync(0).contains(&"event: converged".to_owned()));
}

#[test]
fn another_cause_ends_the_pause() {
    let mut bed = beside_a_busy_node();
    exhaust(&mut bed, 0, 10);
    assert!(bed.swap(&[0, 1, 2], &[0], &[]).contains(&DELETED.to_owned()));
}

#[test]
fn events_are_no_flapping_however_often_they_come() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1, 2], &[], &[notify(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    for ticket in 1..=50 {
        assert_eq!(bed.changed(0)[0], DELETED);
        bed.now = bed.now.after(ms(10));
        bed.drifted(0);
        bed.committed(ticket);
        bed.now = bed.now.after(ms(10));
        let told = bed.applied(0, ApplyOutcome::ChangedByEvent);
        assert!(told.contains(&"event: applied 0 changed".to_owned()), "{told:?}");
        assert!(told.contains(&"check 1".to_owned()), "{told:?}");
        assert!(!told.iter().any(|event| event.contains("flapping")), "{told:?}");
        bed.in_sync(1);
        bed.applied(1, ApplyOutcome::Changed);
    }
}

#[test]
fn the_repetition_of_a_run_that_the_watch_did_not_cause_is_free() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    // Its first run finds what is out of date by then: its parent has changed too.
    bed.queued = vec![Node(0), Node(1)];
    assert_eq!(bed.drifted(1), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
    bed.go_through(1, 30_000);
    for _ in 0..2 {
        assert_eq!(bed.changed(1), ["check 1"]);
        bed.in_sync(1);
    }
}

#[test]
fn what_is_paid_off_is_forgotten() {
    let mut bed = Bed::new();
    let nodes: Vec<u32> = (0..1000).collect();
    bed.swap(&nodes, &[], &[]);
    for node in &nodes {
        bed.in_sync(*node);
    }
    for node in nodes {
        bed.repair(node, 2);
        bed.pass(ms(1));
    }
    assert!(bed.scheduler.accounts() <= 200, "{}", bed.scheduler.accounts());
    bed.now = Time(u64::MAX);
    assert_eq!(bed.feed(Input::Changed(Node(0))), [DELETED], "no time is too late");
}
