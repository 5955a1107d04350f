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
    assert_eq!(bed.changed(0), ["check 0"], "1 is being checked meanwhile");
    assert_eq!(bed.drifted(1), [""; 0], "no apply: the parent is not settled");
    assert_eq!(bed.in_sync(0), ["check 1"]);
    assert_eq!(bed.drifted(1), ["apply 1"]);
}
