//! Dirty by cause; never two operations of one node; what arrives in the middle is looked at afterwards, once.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

#[test]
fn a_parent_that_was_only_looked_at_leaves_its_child_alone() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.in_sync(0), [""; 0]);
}

#[test]
fn a_parent_that_changed_makes_its_children_look() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1), edge(1, 2)]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.in_sync(2);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 1"]);
    assert_eq!(bed.in_sync(1), [""; 0], "1 did not change: 2 is left alone");
}

#[test]
fn an_apply_that_found_nothing_to_change_leaves_the_children_alone() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.changed(0);
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Unchanged), [""; 0]);
}

#[test]
fn an_event_deep_in_a_chain_checks_its_node_only() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2, 3], &[], &[edge(0, 1), edge(1, 2), edge(2, 3)]);
    for node in 0..4 {
        bed.in_sync(node);
    }
    assert_eq!(bed.changed(2), ["check 2"]);
    assert_eq!(bed.in_sync(2), [""; 0]);
}

#[test]
fn many_changes_during_a_check_are_one_further_check() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    for _ in 0..3 {
        assert_eq!(bed.changed(0), [""; 0]);
    }
    assert_eq!(bed.in_sync(0), ["check 0"]);
    assert_eq!(bed.in_sync(0), [""; 0]);
}

#[test]
fn a_change_during_an_apply_is_one_further_check() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    bed.changed(0);
    bed.changed(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 0"]);
    assert_eq!(bed.in_sync(0), [""; 0]);
}

#[test]
fn an_apply_alone_is_not_followed_by_a_check() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), [""; 0]);
    assert_eq!(bed.state(0), State::Settled { drifted: false });
}

#[test]
fn drift_found_before_a_parent_changed_is_not_applied() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.changed(1);
    bed.changed(0);
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), [""; 0], "1 is still being checked");
    assert_eq!(bed.drifted(1), ["check 1"], "it looks again before it applies");
}

#[test]
fn a_poll_looks_again_and_again() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { poll: Some(ms(500)), ..plain() });
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    assert_eq!(bed.pass(ms(499)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["check 0"]);
    bed.now = bed.now.after(ms(100));
    bed.in_sync(0);
    assert_eq!(bed.pass(ms(499)), ["event: converged"], "counted from the end of the check");
    assert_eq!(bed.pass(ms(1)), ["check 0"]);
}

#[test]
fn answers_that_nobody_waits_for_are_dropped() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    let old = bed.op(0);
    bed.in_sync(0);
    let again = Input::Checked { op: old, outcome: CheckOutcome::Drifted, sent: PortSet(1), again: PortSet(0) };
    assert_eq!(bed.feed(again), [""; 0]);
    let unknown = Op { node: Node(77), number: 3 };
    assert_eq!(
        bed.feed(Input::Applied { op: unknown, outcome: ApplyOutcome::Changed, sent: PortSet(0), again: PortSet(0) }),
        [""; 0]
    );
    assert_eq!(bed.changed(77), [""; 0]);
    let wrong_number = Op { node: Node(0), number: 99 };
    bed.changed(0);
    assert_eq!(
        bed.feed(Input::Checked {
            op: wrong_number,
            outcome: CheckOutcome::InSync,
            sent: PortSet(0),
            again: PortSet(0)
        }),
        [""; 0]
    );
    assert_eq!(bed.state(0), State::Running);
}

#[test]
fn events_tell_the_whole_story() {
    let mut bed = Bed::with_events();
    assert_eq!(bed.swap(&[0, 1], &[], &[edge(0, 1)]), ["event: swapped to 1: +2 ~0 -0 =0", "check 0"]);
    assert_eq!(bed.drifted(0), ["event: drifted 0", "apply 0"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["event: applied 0 changed", "check 1"]);
    assert_eq!(bed.in_sync(1), ["event: in sync 1"]);
}
