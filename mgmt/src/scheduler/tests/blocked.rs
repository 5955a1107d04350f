//! A failed node blocks its descendants, and nothing else.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

#[test]
fn a_failed_node_blocks_its_descendants() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1, 2, 3], &[], &[edge(0, 1), edge(1, 2)]);
    assert_eq!(
        bed.checked(0, CheckOutcome::Failed),
        ["event: failed 0 for good", "event: blocked 1 by 0", "event: blocked 2 by 1"]
    );
    assert_eq!(bed.state(2), State::Blocked(vec![Node(0)]));
    assert_eq!(bed.in_sync(3), ["event: in sync 3"], "the rest goes on");
    assert_eq!(bed.pass(ms(10_000)), ["event: hopeless"], "it does not converge");
}

#[test]
fn a_settled_node_between_does_not_shield() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1), edge(1, 2)]);
    for node in 0..3 {
        bed.in_sync(node);
    }
    bed.changed(0);
    bed.checked(0, CheckOutcome::Failed);
    assert_eq!(bed.changed(2), [""; 0], "1 is settled, but 0 above it has failed");
}

#[test]
fn a_diamond_is_blocked_once_and_free_when_both_sides_are() {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { retry: None, delay: ms(10), ..plain() });
    bed.configure(1, NodeConfig { retry: None, delay: ms(20), ..plain() });
    bed.swap(&[0, 1, 2], &[], &[edge(0, 2), edge(1, 2)]);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["event: failed 0, again in 10ms", "event: blocked 2 by 0"]);
    assert_eq!(bed.checked(1, CheckOutcome::Failed), ["event: failed 1, again in 20ms"]);
    assert_eq!(bed.pass(ms(20)), ["check 0", "check 1"]);
    assert_eq!(bed.in_sync(0), ["event: in sync 0"]);
    assert_eq!(bed.in_sync(1), ["event: in sync 1", "event: unblocked 2", "check 2"]);
}

#[test]
fn a_node_that_tries_again_and_again_blocks_once() {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { retry: None, ..plain() });
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    let again = "event: failed 0, again in 0ns";
    assert_eq!(bed.checked(0, CheckOutcome::Failed), [again, "event: blocked 1 by 0", "check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), [again, "check 0"]);
    assert_eq!(bed.in_sync(0), ["event: in sync 0", "event: unblocked 1", "check 1"]);
}
