//! Watches: nothing runs before they are ready, nor while they are restarted.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

/// One watched node, in sync.
fn watched() -> Bed {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { watched: true, retry: None, delay: ms(100), ..plain() });
    assert_eq!(bed.swap(&[0], &[], &[]), ["watch 0"]);
    bed
}

fn failed(bed: &mut Bed) -> Vec<String> {
    bed.feed(Input::WatchFailed(Node(0)))
}

#[test]
fn nothing_runs_before_the_watch_is_ready() {
    let mut bed = watched();
    assert_eq!(bed.state(0), State::WaitingForWatch);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.ready(0), ["check 0"]);
}

#[test]
fn a_child_waits_for_the_watch_of_its_parent() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { watched: true, ..plain() });
    assert_eq!(bed.swap(&[0, 1], &[], &[edge(0, 1)]), ["watch 0"]);
    assert_eq!(bed.ready(0), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
}

#[test]
fn a_watch_that_is_ready_again_makes_its_node_look() {
    let mut bed = watched();
    bed.ready(0);
    bed.in_sync(0);
    assert_eq!(failed(&mut bed), [""; 0]);
    assert_eq!(bed.state(0), State::Retrying);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.pass(ms(100)), ["watch 0"]);
    assert_eq!(bed.ready(0), ["check 0"]);
}

#[test]
fn a_check_is_cancelled_when_its_watch_fails() {
    let mut bed = watched();
    bed.ready(0);
    assert_eq!(failed(&mut bed), ["cancel 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Cancelled), [""; 0]);
    assert_eq!(bed.pass(ms(100)), ["watch 0"]);
    assert_eq!(bed.ready(0), ["check 0"]);
}

#[test]
fn drift_found_by_a_cancelled_check_is_not_applied() {
    let mut bed = watched();
    bed.ready(0);
    failed(&mut bed);
    assert_eq!(bed.drifted(0), [""; 0]);
}

#[test]
fn drift_found_by_a_cancelled_check_is_not_applied_either_when_the_watch_is_back() {
    let mut bed = watched();
    bed.ready(0);
    failed(&mut bed);
    bed.pass(ms(100));
    bed.ready(0);
    assert_eq!(bed.drifted(0), ["check 0"], "nobody watched between: it looks again");
}

#[test]
fn an_apply_is_left_to_end_when_its_watch_fails() {
    let mut bed = watched();
    bed.ready(0);
    bed.drifted(0);
    assert_eq!(failed(&mut bed), [""; 0]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), [""; 0]);
    assert_eq!(bed.pass(ms(100)), ["watch 0"]);
    assert_eq!(bed.ready(0), ["check 0"]);
}

#[test]
fn an_apply_that_is_left_to_end_still_has_its_timeout() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { watched: true, timeout: Some(ms(500)), ..plain() });
    bed.swap(&[0], &[], &[]);
    bed.ready(0);
    bed.drifted(0);
    assert_eq!(failed(&mut bed), [""; 0]);
    assert_eq!(bed.pass(ms(500)), ["cancel 0"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), [""; 0]);
    assert_eq!(bed.state(0), State::Failed);
}

#[test]
fn a_watch_whose_next_try_is_due_in_a_pause_is_started_after_it() {
    let mut bed = watched();
    bed.ready(0);
    bed.in_sync(0);
    failed(&mut bed);
    bed.feed(Input::Pause);
    assert_eq!(bed.pass(ms(500)), [""; 0]);
    assert_eq!(bed.feed(Input::Resume), ["watch 0"]);
}

#[test]
fn answers_of_a_watch_that_nobody_asked_for_are_dropped() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    assert_eq!(bed.ready(0), [""; 0]);
    assert_eq!(failed(&mut bed), [""; 0]);
    assert_eq!(bed.state(0), State::Settled { drifted: false });
}

/// Three watched nodes of a run that ends as soon as it has converged.
fn late() -> Bed {
    let config = Config { running_max: 8, converged_timeout: ms(0), watch_late: true, ..config() };
    let mut bed = Bed::with(config);
    for node in 0..3 {
        bed.configure(node, NodeConfig { watched: true, retry: Some(1), delay: ms(100), ..plain() });
    }
    bed
}

#[test]
fn what_is_in_sync_is_not_watched_in_a_run_that_ends_with_its_convergence() {
    let mut bed = late();
    assert_eq!(bed.swap(&[0, 1], &[], &[edge(0, 1)]), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
    assert_eq!(bed.in_sync(1), ["event: converged"]);
    // It has not ended.
    assert_eq!(bed.pass(ms(99)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["watch 0", "watch 1", "event: unconverged"]);
    assert_eq!(bed.ready(0), ["check 0"]);
}

#[test]
fn a_node_that_must_be_quiet_for_a_time_of_its_own_is_watched_from_the_start() {
    let mut bed = late();
    bed.configure(1, NodeConfig { watched: true, converged_timeout: Some(ms(500)), ..plain() });
    assert_eq!(bed.swap(&[0, 1], &[], &[]), ["watch 0", "watch 1"]);
    for node in 0..2 {
        bed.ready(node);
        bed.in_sync(node);
    }
    assert_eq!(bed.pass(ms(499)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["event: converged"]);
}

#[test]
fn all_watches_begin_before_the_first_repair() {
    let mut bed = late();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    assert_eq!(bed.drifted(2), ["watch 0", "watch 1", "watch 2"]);
    // It is looked at again, since what was found before it was watched may have changed unnoticed.
    assert_eq!(bed.ready(2), ["check 2"]);
    assert_eq!(bed.drifted(2), ["apply 2"]);
    assert_eq!(bed.in_sync(1), [""; 0]);
    assert_eq!(bed.ready(0), ["check 0"]);
}

#[test]
fn what_a_check_found_before_its_watch_listened_is_not_repaired() {
    let mut bed = late();
    bed.swap(&[0, 1], &[], &[]);
    assert_eq!(bed.drifted(0), ["watch 0", "watch 1"]);
    assert_eq!(bed.ready(1), [""; 0], "its check is under way");
    assert_eq!(bed.drifted(1), ["check 1"], "a command that always finds something to do would run twice");
    assert_eq!(bed.drifted(1), ["apply 1"]);
}

#[test]
fn a_failure_begins_all_watches() {
    let mut bed = late();
    bed.swap(&[0, 1], &[], &[]);
    assert_eq!(bed.checked(1, CheckOutcome::Failed), ["watch 0", "watch 1"]);
}
