//! Waiting for a cause: no try is used up, events wake at once, pauses grow, and it is reported once.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

const SPACE: Lack = Lack { kind: 1, announced: false };
const GONE: Lack = Lack { kind: 2, announced: true };

fn watched() -> NodeConfig {
    NodeConfig { watched: true, ..plain() }
}

#[test]
fn a_cause_that_is_waited_for_uses_up_no_try_and_is_looked_at_after_pauses_that_grow() {
    let mut bed = Bed::with_events();
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.checked(0, CheckOutcome::Waits(SPACE)), ["event: waits 0"]);
    for pause in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
        assert_eq!(bed.state(0), State::Waiting);
        let before: Vec<String> =
            bed.pass(ms(pause - 1)).into_iter().filter(|shown| shown != "event: hopeless").collect();
        assert_eq!(before, [""; 0], "{pause}");
        assert_eq!(bed.pass(ms(1)), ["check 0"], "{pause}");
        assert_eq!(bed.checked(0, CheckOutcome::Waits(SPACE)), [""; 0]);
    }
    bed.pass(ms(10_000));
    assert_eq!(bed.in_sync(0), ["event: in sync 0", "event: hopeful"]);
    assert_eq!(bed.state(0), State::Settled { drifted: false });
    assert_eq!(bed.pass(ms(100_000)), ["event: converged"]);
}

#[test]
fn an_event_wakes_what_waits_at_once_and_the_pause_is_off() {
    let mut bed = Bed::new();
    bed.configure(0, watched());
    bed.swap(&[0], &[], &[]);
    bed.ready(0);
    bed.checked(0, CheckOutcome::Waits(GONE));
    bed.pass(ms(500));
    assert_eq!(bed.changed(0), ["check 0"]);
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), [""; 0]);
    assert_eq!(bed.pass(ms(60_000)), ["event: converged"]);
    // Once it was well, it begins with the first pause again.
    bed.changed(0);
    bed.checked(0, CheckOutcome::Waits(GONE));
    assert_eq!(bed.pass(ms(999)), ["event: unconverged"; 0]);
    assert_eq!(bed.pass(ms(1)), ["check 0"]);
}

#[test]
fn another_cause_is_reported_and_a_failure_that_is_none_uses_up_a_try() {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { retry: Some(1), delay: ms(10), ..plain() });
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.checked(0, CheckOutcome::Waits(SPACE)), ["event: waits 0"]);
    bed.pass(ms(100));
    assert_eq!(bed.checked(0, CheckOutcome::Waits(Lack { kind: 3, ..SPACE })), ["event: waits 0"]);
    bed.pass(ms(200));
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["event: failed 0, again in 10ms"]);
    assert_eq!(bed.state(0), State::Retrying);
    assert_eq!(bed.pass(ms(10)), ["check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Waits(SPACE)), ["event: waits 0"]);
    bed.pass(ms(100));
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["event: failed 0 for good"]);
    assert_eq!(bed.pass(ms(100_000)), ["event: hopeless"]);
}

#[test]
fn what_waits_blocks_its_descendants_and_nothing_else() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    assert_eq!(bed.checked(0, CheckOutcome::Waits(SPACE)), ["event: waits 0", "event: blocked 1 by 0"]);
    assert_eq!(bed.in_sync(2), ["event: in sync 2"]);
    assert_eq!(bed.state(1), State::Blocked(vec![Node(0)]));
    bed.pass(ms(100));
    assert_eq!(bed.in_sync(0), ["event: in sync 0", "event: unblocked 1", "check 1"]);
}

#[test]
fn a_graph_is_hopeless_when_it_waits_only_once_a_second_look_has_come_to_the_same() {
    let mut bed = Bed::with(Config { converged_timeout: ms(0), ..config() });
    bed.configure(0, watched());
    bed.swap(&[0], &[], &[]);
    bed.ready(0);
    assert_eq!(bed.checked(0, CheckOutcome::Waits(GONE)), [""; 0]);
    assert_eq!(bed.pass(ms(1000)), ["check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Waits(GONE)), ["event: hopeless"]);
    // Further looks are no movement.
    assert_eq!(bed.pass(ms(2000)), ["check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Waits(GONE)), [""; 0]);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["event: hopeful", "event: converged"]);
}

#[test]
fn events_that_do_not_end_the_cause_do_not_keep_a_worker_busy() {
    let mut bed = Bed::new();
    bed.configure(0, watched());
    bed.swap(&[0], &[], &[]);
    bed.ready(0);
    let mut looks = 0;
    for _ in 0..100 {
        bed.now = bed.now.after(ms(50));
        bed.checked(0, CheckOutcome::Waits(GONE));
        let mut shown = bed.changed(0);
        while !shown.contains(&"check 0".to_owned()) {
            shown = bed.pass(ms(50));
            looks += 1;
        }
    }
    assert!(looks > 90 * 19, "a look took 50 ms, and the pauses between 100 of them {looks} times as much");
}

#[test]
fn a_watch_waits_too() {
    let mut bed = Bed::with_events();
    bed.configure(0, watched());
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.feed(Input::WatchWaits(Node(0), SPACE)), ["event: waits 0 watch"]);
    assert_eq!(bed.state(0), State::Waiting);
    assert_eq!(bed.pass(ms(100)), ["watch 0"]);
    assert_eq!(bed.feed(Input::WatchWaits(Node(0), SPACE)), [""; 0]);
    assert_eq!(bed.pass(ms(200)), ["watch 0"]);
    assert_eq!(bed.ready(0), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["event: in sync 0"]);
}

#[test]
fn a_swap_that_leaves_it_as_it_is_changes_nothing_and_a_changed_one_begins_again() {
    let mut bed = Bed::with_events();
    bed.swap(&[0], &[], &[]);
    bed.checked(0, CheckOutcome::Waits(SPACE));
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.state(0), State::Waiting);
    let shown = bed.swap(&[0], &[0], &[]);
    assert!(shown.contains(&"check 0".to_owned()), "{shown:?}");
    assert_eq!(bed.checked(0, CheckOutcome::Waits(SPACE)), ["event: waits 0"]);
}
