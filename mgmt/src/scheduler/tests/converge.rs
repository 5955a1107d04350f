//! Converged: all settled, for the timeout.

use super::bed::*;
use crate::scheduler::*;

#[test]
fn an_empty_graph_converges_at_once_but_no_graph_does_not() {
    let mut bed = Bed::new();
    assert_eq!(bed.feed(Input::Tick), [""; 0]);
    assert!(!bed.scheduler.is_converged());
    assert_eq!(bed.swap(&[], &[], &[]), ["event: converged"]);
}

#[test]
fn all_must_be_settled_for_the_whole_timeout() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.pass(ms(900)), [""; 0]);
    bed.changed(1);
    bed.went_on(1, ApplyOutcome::Changed);
    assert_eq!(bed.pass(ms(999)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["event: converged"]);
    assert!(bed.scheduler.is_converged());
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0", "event: unconverged"]);
}

#[test]
fn a_node_with_a_timeout_of_its_own_must_be_quiet_for_that_long() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { converged_timeout: Some(ms(5000)), ..plain() });
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.pass(ms(4000)), [""; 0]);
    // A check that finds nothing leaves its time as it is, and a repair of another node only starts that one's time.
    bed.changed(0);
    bed.in_sync(0);
    bed.changed(1);
    bed.went_on(1, ApplyOutcome::Changed);
    assert_eq!(bed.pass(ms(999)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["event: converged"]);
    // A repair starts it again, and so does a pause.
    bed.changed(0);
    bed.went_on(0, ApplyOutcome::Changed);
    assert_eq!(bed.pass(ms(4999)), [""; 0]);
    bed.feed(Input::Pause);
    bed.feed(Input::Resume);
    assert_eq!(bed.pass(ms(4999)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["event: converged"]);
}

#[test]
fn without_a_timeout_it_converges_with_the_last_answer() {
    let mut bed = Bed::with(Config { running_max: 8, converged_timeout: ms(0), ..config() });
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.in_sync(0), ["event: converged"]);
}

#[test]
fn a_failed_node_does_not_converge() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    bed.checked(1, CheckOutcome::Failed);
    assert_eq!(bed.pass(ms(100_000)), ["event: hopeless"]);
    assert_eq!(bed.scheduler.next_timeout(), None);
}

#[test]
fn it_is_not_declared_in_a_pause_and_the_time_counts_from_its_end() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    bed.pass(ms(500));
    bed.feed(Input::Pause);
    assert_eq!(bed.pass(ms(5000)), [""; 0]);
    bed.feed(Input::Resume);
    assert_eq!(bed.pass(ms(999)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["event: converged"]);
}

#[test]
fn a_change_in_a_pause_ends_it_when_it_is_found_afterwards() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    bed.pass(ms(1000));
    bed.feed(Input::Pause);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.feed(Input::Resume), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0", "event: unconverged"]);
}

#[test]
fn an_equal_graph_leaves_it_converged() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.pass(ms(1000));
    assert_eq!(bed.swap(&[0, 1], &[], &[edge(0, 1)]), [""; 0]);
    assert!(bed.scheduler.is_converged());
}

#[test]
fn a_noop_node_that_drifted_is_settled() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { noop: true, ..plain() });
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    assert_eq!(bed.drifted(0), ["check 1"], "its dependants are looked at, too");
    assert_eq!(bed.state(0), State::Settled { drifted: true });
    bed.in_sync(1);
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
}

#[test]
fn a_poll_that_finds_nothing_is_no_activity() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { poll: Some(ms(300)), ..plain() });
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    for _ in 0..3 {
        assert_eq!(bed.pass(ms(300)), ["check 0"]);
        bed.in_sync(0);
    }
    assert_eq!(bed.pass(ms(100)), ["event: converged"]);
    assert_eq!(bed.pass(ms(200)), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0", "event: unconverged"]);
}

#[test]
fn what_failed_for_good_makes_it_hopeless_once_nothing_else_moves() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    bed.checked(0, CheckOutcome::Failed);
    assert_eq!(bed.pass(ms(5000)), [""; 0], "a check is under way");
    bed.in_sync(2);
    assert_eq!(bed.pass(ms(999)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["event: hopeless"]);
    assert_eq!(bed.pass(ms(100_000)), [""; 0], "it is reported once");
    assert_eq!(bed.scheduler.next_timeout(), None, "nothing is waited for");
    assert_eq!(bed.changed(2), ["check 2"]);
    assert_eq!(bed.drifted(2), ["apply 2", "event: hopeful"]);
    assert_eq!(bed.applied(2, ApplyOutcome::Changed), [""; 0]);
    assert_eq!(bed.pass(ms(1000)), ["event: hopeless"]);
    bed.swap(&[0, 1, 2], &[0], &[edge(0, 1)]);
    assert!(!bed.scheduler.is_hopeless(), "it has its tries again");
}

#[test]
fn it_is_not_hopeless_while_a_try_is_still_to_come() {
    let mut bed = Bed::new();
    bed.configure(1, NodeConfig { retry: Some(1), delay: ms(60_000), ..plain() });
    bed.swap(&[0, 1], &[], &[]);
    bed.checked(0, CheckOutcome::Failed);
    bed.checked(1, CheckOutcome::Failed);
    assert_eq!(bed.pass(ms(59_000)), [""; 0]);
    assert_eq!(bed.pass(ms(1000)), ["check 1"]);
    bed.checked(1, CheckOutcome::Failed);
    assert_eq!(bed.pass(ms(1000)), ["event: hopeless"]);
}

#[test]
fn one_that_would_be_tried_again_below_one_that_failed_for_good_is_no_hope() {
    let mut bed = Bed::new();
    bed.configure(1, NodeConfig { retry: None, delay: ms(10), ..plain() });
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.checked(1, CheckOutcome::Failed);
    bed.changed(0);
    bed.checked(0, CheckOutcome::Failed);
    assert_eq!(bed.pass(ms(1000)), ["event: hopeless"]);
}

#[test]
fn a_poll_that_finds_nothing_is_no_hope_and_one_that_finds_something_is() {
    let mut bed = Bed::new();
    bed.configure(1, NodeConfig { poll: Some(ms(300)), ..plain() });
    bed.swap(&[0, 1], &[], &[]);
    bed.checked(0, CheckOutcome::Failed);
    bed.in_sync(1);
    for _ in 0..3 {
        assert_eq!(bed.pass(ms(300)), ["check 1"]);
        assert_eq!(bed.in_sync(1), [""; 0]);
    }
    assert_eq!(bed.pass(ms(100)), ["event: hopeless"]);
    assert_eq!(bed.pass(ms(200)), ["check 1"]);
    assert_eq!(bed.checked(1, CheckOutcome::Drifted), ["apply 1", "event: hopeful"]);
}

#[test]
fn time_in_a_pause_does_not_make_it_hopeless() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.checked(0, CheckOutcome::Failed);
    bed.feed(Input::Pause);
    assert_eq!(bed.pass(ms(5000)), [""; 0]);
    bed.feed(Input::Resume);
    assert_eq!(bed.pass(ms(999)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["event: hopeless"]);
}
