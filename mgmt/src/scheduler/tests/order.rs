//! Order: a node runs only when every parent is settled; independent ones run in parallel.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

#[test]
fn a_chain_runs_one_after_the_other_and_each_once() {
    let mut bed = Bed::new();
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[edge(0, 1), edge(1, 2)]), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 1"]);
    assert_eq!(bed.drifted(1), ["apply 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Changed), ["check 2"]);
    assert_eq!(bed.in_sync(2), [""; 0]);
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
}

#[test]
fn independent_nodes_run_in_parallel_in_the_order_of_the_graph() {
    let mut bed = Bed::new();
    assert_eq!(bed.swap(&[2, 0, 1], &[], &[]), ["check 2", "check 0", "check 1"]);
}

#[test]
fn a_child_of_two_waits_for_both() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 2), edge(1, 2)]);
    assert_eq!(bed.in_sync(0), [""; 0]);
    assert_eq!(bed.state(2), State::WaitingForParents(vec![Node(1)]));
    assert_eq!(bed.in_sync(1), ["check 2"]);
}

#[test]
fn a_child_waits_while_its_parent_is_repaired() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.changed(1), [""; 0]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
}

#[test]
fn what_a_check_found_is_not_applied_once_a_parent_is_unsettled() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    assert_eq!(bed.changed(0), ["withdraw 1", "check 0"], "1 is being checked meanwhile");
    assert_eq!(bed.drifted(1), [""; 0], "no apply: the parent is not settled");
    assert_eq!(bed.in_sync(0), ["check 1"]);
    assert_eq!(bed.drifted(1), ["apply 1"]);
}

#[test]
fn a_repair_waits_for_a_parent_whose_drift_was_there_before() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    for node in [0, 1, 2] {
        bed.in_sync(node);
    }
    bed.changed(1);
    bed.queued = vec![Node(0)];
    assert_eq!(bed.drifted(1), ["check 0"], "the child is not repaired");
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 1"]);
    assert_eq!(bed.drifted(1), ["apply 1"]);
    // What has no parents needs no look.
    bed.changed(2);
    bed.queued = vec![Node(0)];
    assert_eq!(bed.drifted(2), ["apply 2"]);
    assert_eq!(bed.queued, [Node(0)]);
}

#[test]
fn one_look_is_enough_for_all_repairs_that_begin_together() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1), edge(0, 2)]);
    bed.in_sync(0);
    let drifted = [1, 2].map(|node| bed.op(node));
    for op in drifted {
        bed.scheduler.handle(
            bed.now,
            Input::Checked { op, outcome: CheckOutcome::Drifted, sent: PortSet(0), again: PortSet(0) },
        );
    }
    assert_eq!(bed.scheduler.poll(), Some(Command::Look(1)));
    assert_eq!(bed.scheduler.poll(), None);
    bed.scheduler.check_invariants();
    assert_eq!(bed.feed(Input::Looked(1)), ["apply 1", "apply 2"]);
}

#[test]
fn an_intent_is_dropped_if_the_look_finds_a_parent_changed() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1), notify(1, 2)]);
    bed.in_sync(0);
    assert_eq!(bed.drifted(1), ["journal 1: intent 1>2"]);
    bed.queued = vec![Node(0)];
    assert_eq!(bed.committed(1), ["check 0", "journal: drop 1>2"]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
}

#[test]
fn a_stop_drops_what_waits_for_a_look() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    let op = bed.op(1);
    bed.scheduler
        .handle(bed.now, Input::Checked { op, outcome: CheckOutcome::Drifted, sent: PortSet(0), again: PortSet(0) });
    bed.scheduler.handle(bed.now, Input::Stop(StopStage::Drain));
    assert_eq!(bed.scheduler.poll(), Some(Command::Look(1)));
    assert_eq!(bed.scheduler.poll(), Some(Command::Stopped));
    assert_eq!(bed.feed(Input::Looked(1)), [""; 0]);
}
