//! Groups: one call for all members.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

/// A bed on which these are a group in every graph.
fn grouped(members: &[u32]) -> Bed {
    let mut bed = Bed::new();
    bed.groups = vec![members.iter().copied().map(Node).collect()];
    bed
}

#[test]
fn a_group_waits_for_the_parents_of_all_its_members() {
    let mut bed = grouped(&[2, 3]);
    assert_eq!(bed.swap(&[0, 1, 2, 3], &[], &[edge(0, 2), edge(1, 3)]), ["check 0", "check 1"]);
    assert_eq!(bed.in_sync(0), [""; 0]);
    assert_eq!(bed.state(2), State::WaitingForGroup(vec![Node(3)]));
    assert_eq!(bed.in_sync(1), ["check 2", "check 3"]);
}

#[test]
fn the_applies_begin_together_and_each_has_its_own_end() {
    let mut bed = grouped(&[0, 1, 2]);
    bed.configure(1, NodeConfig { retry: Some(1), delay: ms(10), ..plain() });
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[]), ["check 0", "check 1", "check 2"]);
    assert_eq!(bed.drifted(0), [""; 0]);
    assert_eq!(bed.in_sync(2), [""; 0]);
    assert_eq!(bed.drifted(1), ["apply 0", "apply 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Failed), [""; 0]);
    assert_eq!(bed.state(1), State::Retrying);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), [""; 0]);
    assert_eq!(bed.state(0), State::Settled { drifted: false });
    assert_eq!(bed.pass(ms(10)), ["check 1"]);
}

#[test]
fn where_a_parent_of_one_must_be_looked_at_first_all_wait_for_that() {
    let mut bed = grouped(&[2, 3]);
    bed.swap(&[0, 1, 2, 3], &[], &[edge(0, 2), edge(1, 3)]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.drifted(2), [""; 0]);
    // Something of the first parent has happened by the time of the repairs.
    bed.queued = vec![Node(0)];
    assert_eq!(bed.drifted(3), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["check 2", "check 3"]);
    bed.drifted(2);
    assert_eq!(bed.drifted(3), ["apply 2", "apply 3"]);
}

#[test]
fn a_group_has_one_call_at_a_time() {
    let mut bed = grouped(&[0, 1]);
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.state(0), State::WaitingForGroup(vec![Node(1)]));
    assert_eq!(bed.in_sync(1), ["check 0"]);
}

#[test]
fn what_has_failed_or_waits_for_what_failed_holds_no_other_up() {
    let mut bed = grouped(&[1, 2]);
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["check 2"]);
    assert_eq!(bed.state(1), State::Blocked(vec![Node(0)]));
}

#[test]
fn a_value_that_does_not_come_holds_no_other_up() {
    let mut bed = grouped(&[2, 3]);
    bed.swap(&[0, 1, 2, 3], &[], &[sends(0, 1, 1), edge(1, 2)]);
    // The sender is in sync and has sent nothing: the receiver waits, and so does its child.
    assert_eq!(bed.in_sync(0), ["check 3"]);
    assert_eq!(bed.state(2), State::WaitingForParents(vec![Node(1)]));
}

#[test]
fn a_call_takes_one_place_and_the_semaphores_of_all_members() {
    let mut bed = Bed::with(Config { running_max: 1, ..config() });
    bed.groups = vec![vec![Node(0), Node(1)]];
    bed.configure(0, NodeConfig { sema: vec![(0, 1)], ..plain() });
    bed.configure(1, NodeConfig { sema: vec![(1, 1)], ..plain() });
    bed.configure(2, NodeConfig { sema: vec![(1, 1)], ..plain() });
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[]), ["check 0", "check 1"]);
    assert_eq!(bed.in_sync(1), [""; 0]);
    assert_eq!(bed.in_sync(0), ["check 2"]);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.changed(1), [""; 0]);
    assert_eq!(bed.in_sync(2), ["check 0", "check 1"]);
}

#[test]
fn a_new_graph_ends_what_one_waits_for() {
    let mut bed = grouped(&[0, 1]);
    bed.swap(&[0, 1], &[], &[]);
    assert_eq!(bed.drifted(0), [""; 0]);
    bed.groups = Vec::new();
    assert_eq!(bed.swap(&[0, 1], &[], &[]), ["apply 0"]);
}

#[test]
fn an_event_that_asks_for_one_moves_the_group_forward() {
    let mut bed = Bed::with(Config { running_max: 1, reserve: 1, ..config() });
    bed.groups = vec![vec![Node(1), Node(2)]];
    bed.configure(1, NodeConfig { retry: Some(1), delay: ms(10), ..plain() });
    bed.swap(&[0, 1, 2], &[], &[]);
    assert_eq!(bed.in_sync(0), ["check 1", "check 2"]);
    bed.in_sync(2);
    bed.checked(1, CheckOutcome::Failed);
    assert_eq!(bed.changed(0), ["check 0"]);
    // A further try waits until there is a place.
    assert_eq!(bed.pass(LONG), [""; 0]);
    assert_eq!(bed.state(1), State::Retrying);
    assert_eq!(bed.changed(2), ["check 1", "check 2"]);
}
