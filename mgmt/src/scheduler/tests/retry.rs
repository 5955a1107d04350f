//! Failures: tries, delays, and what ends them.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

fn retrying(retry: Option<u32>, delay: u64) -> NodeConfig {
    NodeConfig { retry, delay: ms(delay), ..plain() }
}

#[test]
fn without_tries_left_a_node_fails_for_good() {
    let mut bed = Bed::with_events();
    bed.configure(0, retrying(Some(1), 100));
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["event: failed 0, again in 100ms"]);
    assert_eq!(bed.state(0), State::Retrying);
    assert_eq!(bed.pass(ms(99)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["event: failed 0 for good"]);
    assert_eq!(bed.state(0), State::Failed);
    assert_eq!(bed.scheduler.failed(), 1);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.pass(ms(100_000)), ["event: hopeless"]);
}

#[test]
fn the_watch_of_a_node_that_failed_for_good_is_ended() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { watched: true, ..plain() });
    bed.swap(&[0], &[], &[]);
    bed.ready(0);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["unwatch 0"]);
}

#[test]
fn a_success_refills_the_tries() {
    let mut bed = Bed::new();
    bed.configure(0, retrying(Some(1), 0));
    bed.swap(&[0], &[], &[]);
    for _ in 0..5 {
        assert_eq!(bed.checked(0, CheckOutcome::Failed), ["check 0"]);
        bed.in_sync(0);
        bed.changed(0);
    }
}

#[test]
fn drift_found_is_no_success_yet() {
    let mut bed = Bed::new();
    bed.configure(0, retrying(Some(1), 0));
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Failed), ["check 0"]);
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Failed), [""; 0]);
    assert_eq!(bed.state(0), State::Failed);
}

#[test]
fn events_in_the_delay_are_merged_into_the_next_try() {
    let mut bed = Bed::new();
    bed.configure(0, retrying(None, 100));
    bed.swap(&[0], &[], &[]);
    bed.checked(0, CheckOutcome::Failed);
    for _ in 0..3 {
        assert_eq!(bed.changed(0), [""; 0]);
    }
    assert_eq!(bed.pass(ms(100)), ["check 0"]);
    assert_eq!(bed.in_sync(0), [""; 0]);
}

#[test]
fn a_cancelled_operation_uses_up_no_try() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    for _ in 0..3 {
        assert_eq!(bed.checked(0, CheckOutcome::Cancelled), ["check 0"]);
    }
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), ["check 0"]);
}

#[test]
fn the_delay_doubles_up_to_its_bound() {
    let mut bed = Bed::with_events();
    let backoff = Backoff::Exponential { max: ms(350), jitter: false };
    bed.configure(0, NodeConfig { backoff, ..retrying(None, 100) });
    bed.swap(&[0], &[], &[]);
    for delay in [100, 200, 350, 350] {
        assert_eq!(bed.checked(0, CheckOutcome::Failed), [format!("event: failed 0, again in {delay}ms")]);
        assert_eq!(bed.pass(ms(delay)), ["check 0"]);
    }
}

#[test]
fn jitter_draws_from_the_upper_half_and_is_the_same_for_the_same_seed() {
    let delays = || {
        let mut bed = Bed::new();
        let backoff = Backoff::Exponential { max: ms(100), jitter: true };
        bed.configure(0, NodeConfig { backoff, ..retrying(None, 100) });
        bed.swap(&[0], &[], &[]);
        let mut delays = Vec::new();
        for _ in 0..50 {
            bed.checked(0, CheckOutcome::Failed);
            let due = bed.scheduler.next_timeout().expect("a try is planned");
            let delay = due.since(bed.now);
            assert!((ms(50)..=ms(100)).contains(&delay), "{delay:?}");
            delays.push(delay);
            bed.pass(delay);
        }
        delays
    };
    let first = delays();
    assert_eq!(first, delays());
    assert!(first.iter().any(|delay| *delay < ms(65)) && first.iter().any(|delay| *delay > ms(85)), "{first:?}");
}

#[test]
fn an_operation_that_takes_too_long_is_cancelled_and_has_failed() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { timeout: Some(ms(500)), ..retrying(Some(1), 0) });
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.pass(ms(499)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["cancel 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Cancelled), ["check 0"], "one try is used up");
    bed.pass(ms(500));
    assert_eq!(bed.checked(0, CheckOutcome::Cancelled), [""; 0]);
    assert_eq!(bed.state(0), State::Failed);
}

#[test]
fn an_operation_that_ends_well_after_its_timeout_has_ended_well() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { timeout: Some(ms(500)), ..plain() });
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.pass(ms(600)), ["cancel 0"]);
    assert_eq!(bed.in_sync(0), [""; 0]);
    assert_eq!(bed.state(0), State::Settled { drifted: false });
}

#[test]
fn an_apply_after_a_check_that_was_too_slow_is_an_operation_of_its_own() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { timeout: Some(ms(500)), ..plain() });
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.pass(ms(600)), ["cancel 0"]);
    assert_eq!(bed.drifted(0), ["apply 0"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), ["check 0"], "cancelled by nobody we know: no try");
    assert_eq!(bed.drifted(0), ["apply 0"]);
    assert_eq!(bed.pass(ms(500)), ["cancel 0"]);
}

#[test]
fn each_operation_of_a_run_has_the_whole_timeout() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { timeout: Some(ms(500)), ..plain() });
    bed.swap(&[0], &[], &[]);
    bed.pass(ms(400));
    assert_eq!(bed.drifted(0), ["apply 0"]);
    assert_eq!(bed.pass(ms(499)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["cancel 0"]);
}

#[test]
fn the_watch_has_tries_of_its_own() {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { watched: true, ..retrying(Some(1), 10) });
    bed.swap(&[0], &[], &[]);
    assert_eq!(watch_fails(&mut bed), ["event: failed 0 watch, again in 10ms"]);
    assert_eq!(bed.pass(ms(10)), ["watch 0"]);
    assert_eq!(bed.ready(0), ["check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["event: failed 0, again in 10ms"], "its first");
    assert_eq!(watch_fails(&mut bed), ["event: failed 0 watch for good"]);
    assert_eq!(bed.state(0), State::Failed);
}

/// The events when the watch fails.
fn watch_fails(bed: &mut Bed) -> Vec<String> {
    let mut told = bed.feed(Input::WatchFailed(Node(0)));
    told.retain(|event| event.starts_with("event: failed"));
    told
}

/// One node, in sync; its watch fails, is begun again after `delay` ms, and listens for `listens`. Then it fails again.
fn fails_after(retry: NodeConfig, delay: u64, listens: std::time::Duration) -> Vec<String> {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { watched: true, ..retry });
    bed.swap(&[0], &[], &[]);
    bed.ready(0);
    bed.in_sync(0);
    watch_fails(&mut bed);
    assert_eq!(bed.pass(ms(delay)), ["watch 0"]);
    bed.ready(0);
    bed.in_sync(0);
    bed.pass(listens);
    watch_fails(&mut bed)
}

#[test]
fn a_watch_that_is_ready_has_not_succeeded_yet() {
    let just_not = WATCH_WELL - ms(1);
    assert_eq!(fails_after(retrying(Some(1), 10), 10, ms(0)), ["event: failed 0 watch for good"]);
    assert_eq!(fails_after(retrying(Some(1), 10), 10, just_not), ["event: failed 0 watch for good"]);
}

#[test]
fn a_watch_that_has_listened_long_enough_has_its_tries_again() {
    assert_eq!(fails_after(retrying(Some(1), 10), 10, WATCH_WELL), ["event: failed 0 watch, again in 10ms"]);
}

#[test]
fn long_enough_is_never_less_than_the_pause_before() {
    let pause = 60_000;
    let again = ["event: failed 0 watch, again in 60s"];
    assert_eq!(fails_after(retrying(Some(1), pause), pause, ms(pause - 1)), ["event: failed 0 watch for good"]);
    assert_eq!(fails_after(retrying(Some(1), pause), pause, ms(pause)), again);
}

#[test]
fn the_pauses_of_a_watch_that_always_dies_at_once_grow() {
    let mut bed = Bed::with_events();
    let backoff = Backoff::Exponential { max: ms(350), jitter: false };
    bed.configure(0, NodeConfig { watched: true, backoff, ..retrying(None, 100) });
    bed.swap(&[0], &[], &[]);
    for delay in [100, 200, 350, 350] {
        bed.ready(0);
        assert_eq!(watch_fails(&mut bed), [format!("event: failed 0 watch, again in {delay}ms")]);
        bed.checked(0, CheckOutcome::Cancelled);
        assert_eq!(bed.pass(ms(delay)), ["watch 0"]);
    }
}

#[test]
fn how_long_an_earlier_watch_listened_does_not_count_for_one_that_never_did() {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { watched: true, ..retrying(Some(1), 10) });
    bed.swap(&[0], &[], &[]);
    watch_fails(&mut bed);
    bed.pass(ms(10));
    bed.ready(0);
    bed.in_sync(0);
    // Unwatched by one graph, watched by the next.
    bed.configure(0, retrying(Some(1), 10));
    bed.swap(&[0], &[], &[]);
    bed.configure(0, NodeConfig { watched: true, ..retrying(Some(1), 10) });
    assert_eq!(bed.swap(&[0], &[], &[])[0], "watch 0");
    bed.pass(WATCH_WELL);
    assert_eq!(watch_fails(&mut bed), ["event: failed 0 watch for good"]);
}

#[test]
fn a_watch_that_says_ready_twice_has_listened_since_the_first_time() {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { watched: true, ..retrying(Some(1), 10) });
    bed.swap(&[0], &[], &[]);
    watch_fails(&mut bed);
    bed.pass(ms(10));
    bed.ready(0);
    bed.in_sync(0);
    bed.pass(WATCH_WELL / 2);
    bed.ready(0);
    bed.in_sync(0);
    bed.pass(WATCH_WELL / 2);
    assert_eq!(watch_fails(&mut bed), ["event: failed 0 watch, again in 10ms"]);
}
