//! Values: receivers wait for the first, look again at each new one, and may ask for them.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

fn noop() -> NodeConfig {
    NodeConfig { noop: true, ..plain() }
}

#[test]
fn a_receiver_waits_until_all_its_values_were_sent_once() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[sends(0, 1, 0b11)]);
    assert_eq!(bed.checked_sending(0, CheckOutcome::InSync, 0b01), [""; 0]);
    assert_eq!(bed.state(1), State::WaitingForValue(vec![Node(0)]));
    assert_eq!(bed.pass(ms(1000)), ["event: hopeless"], "nothing is going to send it");
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.checked_sending(0, CheckOutcome::InSync, 0b10), ["check 1", "event: hopeful"]);
}

#[test]
fn a_new_value_makes_its_receivers_look_and_no_others() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1, 2], &[], &[sends(0, 1, 0b01), sends(0, 2, 0b10)]);
    bed.checked_sending(0, CheckOutcome::InSync, 0b11);
    bed.in_sync(1);
    bed.in_sync(2);
    bed.changed(0);
    assert_eq!(bed.checked_sending(0, CheckOutcome::InSync, 0b10), ["event: sent 0>2", "event: in sync 0", "check 2"]);
}

#[test]
fn a_receiver_of_a_noop_sender_waits_and_the_graph_converges() {
    let mut bed = Bed::new();
    bed.configure(0, noop()).configure(1, noop()).configure(2, noop());
    bed.swap(&[0, 1, 2], &[], &[sends(0, 1, 1), edge(1, 2)]);
    assert_eq!(bed.drifted(0), [""; 0]);
    assert_eq!(bed.state(1), State::WaitingForValue(vec![Node(0)]));
    assert_eq!(bed.state(2), State::WaitingForParents(vec![Node(1)]));
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
    assert_eq!(bed.scheduler.unsettled(), 2);
}

#[test]
fn what_comes_from_a_noop_sender_after_all_is_received() {
    let mut bed = Bed::new();
    bed.configure(0, noop());
    bed.swap(&[0, 1, 2], &[], &[sends(0, 1, 1), edge(1, 2)]);
    bed.drifted(0);
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
    bed.changed(0);
    assert_eq!(bed.checked_sending(0, CheckOutcome::InSync, 1), ["check 1", "event: unconverged"]);
}

#[test]
fn who_lacks_a_value_has_its_sender_make_it_again() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    assert_eq!(bed.checked(1, CheckOutcome::Missing(vec![Node(0)])), ["check 0"]);
    assert_eq!(bed.state(1), State::WaitingForValue(vec![Node(0)]));
    assert_eq!(bed.in_sync(0), ["refresh 0"]);
    assert_eq!(bed.applied_sending(0, ApplyOutcome::Changed, 1), ["check 1"]);
    assert_eq!(bed.drifted(1), ["apply 1"]);
}

#[test]
fn an_apply_serves_who_lacks_a_value_just_as_well() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    bed.checked(1, CheckOutcome::Missing(vec![Node(0)]));
    assert_eq!(bed.drifted(0), ["apply and refresh 0"], "told to make its values, too");
    assert_eq!(bed.applied_sending(0, ApplyOutcome::Changed, 1), ["check 1"]);
}

#[test]
fn a_sender_that_keeps_silent_fails_who_asked() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    bed.checked(1, CheckOutcome::Missing(vec![Node(0)]));
    bed.in_sync(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Unchanged), ["event: refreshed 0", "event: failed 1 for good"]);
}

#[test]
fn who_asks_twice_in_one_run_has_failed() {
    let mut bed = Bed::with_events();
    bed.configure(1, NodeConfig { retry: Some(1), delay: ms(5), ..plain() });
    bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    bed.checked(1, CheckOutcome::Missing(vec![Node(0)]));
    bed.in_sync(0);
    bed.applied_sending(0, ApplyOutcome::Changed, 1);
    let again = bed.checked(1, CheckOutcome::Missing(vec![Node(0)]));
    assert_eq!(again, ["event: failed 1, again in 5ms"], "or the two would go on for ever");
    assert_eq!(bed.pass(ms(5)), ["check 1"]);
    assert_eq!(bed.checked(1, CheckOutcome::Missing(vec![Node(0)])), ["check 0"], "the next try may ask");
}

#[test]
fn who_asks_a_noop_sender_waits_and_the_graph_converges() {
    let mut bed = Bed::new();
    bed.configure(0, noop());
    bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    assert_eq!(bed.checked(1, CheckOutcome::Missing(vec![Node(0)])), [""; 0]);
    assert_eq!(bed.state(1), State::WaitingForValue(vec![Node(0)]));
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
    bed.configure(0, plain());
    assert_eq!(bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]), ["check 0", "event: unconverged"]);
    assert_eq!(bed.in_sync(0), ["refresh 0"]);
}

/// Seed 74606 of the simulator.
#[test]
fn a_receiver_that_failed_before_it_lacks_a_value_of_a_noop_sender_fails_no_longer_and_the_graph_converges() {
    for failure in [CheckOutcome::Failed, CheckOutcome::Waits(Lack { kind: 1, announced: false })] {
        let mut bed = Bed::new();
        bed.configure(0, noop()).configure(1, NodeConfig { retry: Some(3), delay: ms(100), ..plain() });
        bed.swap(&[0, 1, 2], &[], &[sends(0, 1, 1), edge(1, 2)]);
        bed.checked_sending(0, CheckOutcome::InSync, 1);
        bed.checked(1, failure);
        assert_eq!(bed.pass(ms(100)), ["check 1"]);
        assert_eq!(bed.checked(1, CheckOutcome::Missing(vec![Node(0)])), [""; 0]);
        assert_eq!(bed.state(1), State::WaitingForValue(vec![Node(0)]));
        assert_eq!(bed.state(2), State::WaitingForParents(vec![Node(1)]));
        assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
    }
}

#[test]
fn who_asks_a_noop_sender_may_ask_again_and_again() {
    let mut bed = Bed::new();
    bed.configure(0, noop());
    bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    for _ in 0..3 {
        assert_eq!(bed.checked(1, CheckOutcome::Missing(vec![Node(0)])), [""; 0]);
        bed.changed(0);
        assert_eq!(bed.checked_sending(0, CheckOutcome::InSync, 1), ["check 1"], "it has changed by itself");
    }
}

#[test]
fn who_asks_a_node_that_sends_it_nothing_has_failed() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.checked(1, CheckOutcome::Missing(vec![Node(0), Node(99)]));
    assert_eq!(bed.state(1), State::Failed);
}

/// The check of a sender ends in sync and sends what it sent before.
fn again(bed: &mut Bed, node: u32) -> Vec<String> {
    let op = bed.op(node);
    bed.feed(Input::Checked { op, outcome: CheckOutcome::InSync, sent: PortSet(0), again: PortSet(1) })
}

#[test]
fn what_was_sent_with_other_fields_does_not_count_until_it_is_sent_again() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[sends(0, 1, 1), edge(1, 2)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    bed.in_sync(1);
    bed.in_sync(2);
    bed.swap(&[0, 1, 2], &[0], &[sends(0, 1, 1), edge(1, 2)]);
    assert_eq!(bed.in_sync(0), [""; 0]);
    assert_eq!(bed.changed(1), [""; 0], "it has nothing to work with");
    assert_eq!(bed.state(1), State::WaitingForValue(vec![Node(0)]));
    assert_eq!(bed.pass(ms(1000)), ["event: hopeless"]);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(again(&mut bed, 0), ["check 1", "event: hopeful"]);
    bed.in_sync(1);
    bed.swap(&[0, 1, 2], &[0], &[sends(0, 1, 1), edge(1, 2)]);
    assert_eq!(again(&mut bed, 0), [""; 0], "the same value wakes no receiver");
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
}

#[test]
fn what_was_sent_of_another_value_does_not_count_either() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[sends(0, 1, 1), sends(1, 2, 1)]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    bed.checked_sending(1, CheckOutcome::InSync, 1);
    bed.in_sync(2);
    bed.changed(0);
    assert_eq!(bed.checked_sending(0, CheckOutcome::InSync, 1), ["check 1"]);
    assert_eq!(bed.changed(2), [""; 0]);
    assert_eq!(bed.in_sync(1), [""; 0], "it sends nothing");
    assert_eq!(bed.state(2), State::WaitingForValue(vec![Node(1)]));
}

#[test]
fn what_began_with_the_old_fields_or_values_sends_what_does_not_count() {
    let mut bed = Bed::new();
    let edges = [sends(0, 1, 1), sends(1, 2, 1)];
    bed.swap(&[0, 1, 2], &[], &edges);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    bed.changed(0);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    assert_eq!(bed.checked_sending(1, CheckOutcome::InSync, 1), ["check 1"], "of the value before");
    bed.swap(&[0, 1, 2], &[1], &edges);
    assert_eq!(bed.checked_sending(1, CheckOutcome::InSync, 1), ["check 1"], "of the fields before");
    assert_eq!(again(&mut bed, 1), ["check 2"]);
}
