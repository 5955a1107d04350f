//! Nodes that have left the graph, and those that take their place.

use crate::id::Node;
use crate::scheduler::tests::bed::*;
use crate::scheduler::*;

fn leaver() -> NodeConfig {
    NodeConfig { leaves: true, timeout: Some(ms(100)), ..plain() }
}

fn left(bed: &mut Bed, node: u32, well: bool) -> Vec<String> {
    let op = bed.op(node);
    bed.feed(Input::Left { op, well })
}

#[test]
fn a_node_leaves_after_its_last_operation_and_before_its_slot_is_free() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    assert_eq!(bed.swap(&[], &[], &[]), ["event: converged"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["leave 0"]);
    assert_eq!(bed.pass(ms(99)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["cancel 0"], "it takes longer than its timeout");
    assert_eq!(left(&mut bed, 0, false), ["removed 0"]);
}

#[test]
fn a_node_that_comes_back_while_it_leaves_starts_when_it_has_left() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    assert_eq!(bed.swap(&[], &[], &[])[0], "leave 0");
    assert_eq!(bed.swap(&[0], &[], &[]), ["event: unconverged"]);
    assert!(!bed.swap(&[], &[], &[]).contains(&"leave 0".to_owned()), "once is enough");
    bed.swap(&[0], &[], &[]);
    assert_eq!(left(&mut bed, 0, true), ["check 0"]);
}

#[test]
fn neither_noop_nor_a_stop_nor_a_pause_begins_to_leave() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { noop: true, ..leaver() });
    bed.configure(1, leaver());
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.feed(Input::Pause);
    assert_eq!(bed.swap(&[], &[], &[]), ["removed 0"]);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), ["removed 1", "stopped"]);
}

#[test]
fn what_takes_its_place_waits_for_all_of_it() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    bed.handovers = vec![Handover { from: Node(0), to: Node(1) }, Handover { from: Node(7), to: Node(2) }];
    assert_eq!(bed.swap(&[1, 2], &[], &[]), ["check 2"], "nobody is in the way of 2");
    assert_eq!(bed.state(1), State::WaitingForPredecessor(vec![Node(0)]));
    bed.handovers.clear();
    assert_eq!(bed.swap(&[1, 2], &[], &[]), [""; 0], "another graph changes nothing about it");
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["leave 0"]);
    assert_eq!(left(&mut bed, 0, false), ["removed 0", "check 1"], "also if it could not leave well");
}

#[test]
fn what_a_changed_node_gave_up_waits_for_its_old_operation_only() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    bed.handovers = vec![Handover { from: Node(0), to: Node(1) }];
    assert_eq!(bed.swap(&[0, 1], &[0], &[]), [""; 0]);
    assert_eq!(bed.state(1), State::WaitingForPredecessor(vec![Node(0)]));
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 1", "check 0"]);
}

#[test]
fn what_can_not_leave_yet_is_asked_again_and_keeps_its_slot_until_then() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    bed.handovers = vec![Handover { from: Node(0), to: Node(1) }];
    assert_eq!(bed.swap(&[1], &[], &[])[0], "leave 0");
    let op = bed.op(0);
    assert_eq!(bed.feed(Input::LeaveRefused(op)), [""; 0]);
    assert_eq!(bed.state(1), State::WaitingForPredecessor(vec![Node(0)]));
    assert_eq!(bed.pass(ms(1000)), ["event: hopeless"], "its timeout does not run");
    assert_eq!(bed.feed(Input::LeaveRefused(op)), [""; 0], "an answer that comes twice");
    assert_eq!(bed.feed(Input::Recovered(Node(0))), ["leave 0", "event: hopeful"]);
    assert_eq!(bed.pass(ms(100)), ["cancel 0"], "now it does");
    assert_eq!(left(&mut bed, 0, true), ["removed 0", "check 1"]);
}

#[test]
fn a_stop_and_a_return_end_the_wait_of_what_can_not_leave_yet() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.configure(1, leaver());
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.handovers.clear();
    bed.swap(&[], &[], &[]);
    for node in [0, 1] {
        let op = bed.op(node);
        assert_eq!(bed.feed(Input::LeaveRefused(op)), [""; 0]);
    }
    assert!(bed.swap(&[0], &[], &[]).contains(&"check 0".to_owned()));
    assert_eq!(bed.feed(Input::Recovered(Node(0))), [""; 0], "it is checked already");
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), ["removed 1", "cancel 0"]);
}

#[test]
fn what_receives_what_another_has_not_ended_with_waits_for_all_of_that() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    assert_eq!(bed.swap(&[1, 2], &[], &[]), ["check 1", "check 2"]);
    assert_eq!(bed.checked(1, CheckOutcome::Occupied(vec![Node(0)])), [""; 0]);
    assert_eq!(bed.state(1), State::WaitingForPredecessor(vec![Node(0)]));
    assert_eq!(bed.changed(1), [""; 0], "whatever its watch says");
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), ["leave 0"]);
    assert_eq!(left(&mut bed, 0, true), ["removed 0", "check 1"]);
    assert_eq!(bed.checked(1, CheckOutcome::Occupied(vec![Node(2)])), [""; 0], "also for one that stays");
    assert_eq!(bed.in_sync(2), ["check 1"]);
    assert_eq!(bed.checked(1, CheckOutcome::Occupied(vec![Node(2), Node(1), Node(9)])), ["check 1"], "all is over");
    assert_eq!(bed.in_sync(1), [""; 0]);
}

#[test]
fn a_node_that_never_ran_has_nothing_to_leave() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.configure(1, leaver());
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    bed.handovers = vec![Handover { from: Node(0), to: Node(1) }];
    bed.swap(&[1], &[], &[]);
    assert_eq!(bed.swap(&[], &[], &[])[0], "removed 1");
}

#[test]
fn a_node_that_leaves_waits_for_room() {
    let config = Config { running_max: 1, converged_timeout: ms(0), ..config() };
    let mut bed = Bed::with(config);
    bed.configure(0, leaver());
    bed.swap(&[0, 1], &[], &[]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
    assert_eq!(bed.swap(&[1], &[], &[]), [""; 0]);
    assert_eq!(bed.in_sync(1), ["leave 0", "event: converged"]);
}

#[test]
fn a_node_that_left_twice_while_there_was_no_room_is_asked_once_and_may_be_refused() {
    let config = Config { running_max: 1, converged_timeout: ms(0), ..config() };
    let mut bed = Bed::with(config);
    bed.configure(0, leaver());
    bed.swap(&[0, 1], &[], &[]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
    for nodes in [&[1][..], &[0, 1], &[1]] {
        bed.swap(nodes, &[], &[]);
    }
    assert_eq!(bed.in_sync(1), ["leave 0", "event: converged"]);
    let op = bed.op(0);
    assert_eq!(bed.feed(Input::LeaveRefused(op)), [""; 0], "its earlier place in the queue means nothing");
    assert_eq!(bed.feed(Input::Recovered(Node(0))), ["leave 0"]);
    assert_eq!(left(&mut bed, 0, true), ["removed 0"]);
}

fn undone() -> NodeConfig {
    NodeConfig { undoes: true, ..plain() }
}

fn remains(nodes: &[u32]) -> Vec<Remains> {
    let tries = Tries { retry: Some(0), delay: ms(0), backoff: Backoff::Constant };
    nodes.iter().map(|node| Remains { node: Node(*node), tries, timeout: None }).collect()
}

/// Undone with two more tries, a second apart.
fn again() -> NodeConfig {
    NodeConfig { retry: Some(2), delay: ms(1000), ..undone() }
}

#[test]
fn a_failed_undo_is_tried_again_as_often_and_with_the_pause_that_the_node_had() {
    let mut bed = Bed::new();
    bed.configure(0, undone());
    bed.configure(1, again());
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    (0..2).for_each(|node| drop(bed.in_sync(node)));
    assert!(bed.swap(&[], &[], &[]).contains(&"leave 1".to_owned()));
    for _ in 0..2 {
        assert_eq!(left(&mut bed, 1, false), [""; 0], "what it depended on waits too");
        assert_eq!(bed.pass(ms(999)), [""; 0]);
        assert_eq!(bed.pass(ms(1)), ["undo 1"]);
    }
    assert_eq!(left(&mut bed, 1, false), ["removed 1", "leave 0"], "no try is left");
}

#[test]
fn a_pause_before_an_undo_ends_when_the_node_is_back_or_at_a_stop_or_for_a_successor() {
    let failed = || {
        let mut bed = Bed::new();
        bed.configure(0, again());
        bed.swap(&[0], &[], &[]);
        bed.in_sync(0);
        bed.swap(&[], &[], &[]);
        assert_eq!(left(&mut bed, 0, false), [""; 0]);
        bed
    };
    let mut bed = failed();
    let back = bed.swap(&[0], &[], &[]);
    assert!(back.contains(&"check 0".to_owned()), "{back:?}");
    assert_eq!(bed.pass(ms(1000)), [""; 0]);
    let mut bed = failed();
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), ["removed 0", "stopped"]);
    let mut bed = failed();
    bed.handovers = vec![Handover { from: Node(0), to: Node(1) }];
    let swap = bed.swap(&[1], &[], &[]);
    assert!(swap.contains(&"undo 0".to_owned()), "{swap:?}");
    let freed = left(&mut bed, 0, false);
    assert!(freed.contains(&"check 1".to_owned()), "it is not tried again, since another waits for it: {freed:?}");
}

#[test]
fn nodes_leave_in_the_reverse_order_of_the_edges_also_over_one_that_does_nothing() {
    let mut bed = Bed::new();
    bed.configure(0, leaver());
    bed.configure(2, undone());
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1), edge(1, 2)]);
    (0..3).for_each(|node| drop(bed.in_sync(node)));
    assert_eq!(bed.swap(&[], &[], &[]), ["removed 1", "leave 2"]);
    assert_eq!(left(&mut bed, 2, false), ["removed 2", "leave 0", "event: converged"], "whether it went well or not");
    assert_eq!(left(&mut bed, 0, true), ["removed 0"]);
}

#[test]
fn a_node_waits_also_for_one_that_an_earlier_graph_dropped_but_not_once_that_is_back() {
    let mut bed = Bed::new();
    bed.configure(0, undone());
    bed.configure(1, undone());
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    (0..2).for_each(|node| drop(bed.in_sync(node)));
    assert!(bed.swap(&[0], &[], &[]).contains(&"leave 1".to_owned()));
    assert!(!bed.swap(&[], &[], &[]).contains(&"leave 0".to_owned()), "what depended on it has not left");
    assert!(bed.swap(&[1], &[], &[]).contains(&"leave 0".to_owned()), "it is back: it does not leave");
}

#[test]
fn a_node_that_has_not_run_is_only_undone_and_the_graph_converges_after_that() {
    let mut bed = Bed::new();
    bed.configure(0, undone());
    bed.swap(&[0], &[], &[]);
    bed.swap(&[], &[], &[]);
    // Its check is cancelled, and has not ended: it has begun, and so it has run.
    assert_eq!(bed.checked(0, CheckOutcome::Cancelled), ["leave 0"]);
    assert_eq!(left(&mut bed, 0, true), ["removed 0", "event: converged"]);
    let pairs = vec![(Node(1), Node(0))];
    assert_eq!(bed.feed(Input::Remains { nodes: remains(&[0, 1]), order: pairs }), ["undo 1", "event: unconverged"]);
    assert_eq!(left(&mut bed, 1, true), ["removed 1", "undo 0"]);
    let op = bed.op(0);
    assert_eq!(bed.feed(Input::LeaveRefused(op)), [""; 0]);
    assert_eq!(bed.feed(Input::Recovered(Node(0))), ["undo 0"]);
    assert_eq!(left(&mut bed, 0, true), ["removed 0", "event: converged"]);
}

#[test]
fn a_stop_leaves_what_was_to_be_undone_as_it_is() {
    let mut bed = Bed::new();
    bed.swap(&[], &[], &[]);
    bed.feed(Input::Remains { nodes: remains(&[0, 1]), order: vec![(Node(1), Node(0))] });
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), [""; 0], "what is being undone ends");
    assert_eq!(left(&mut bed, 1, true), ["removed 1", "removed 0", "stopped"]);
}
