//! What holds back: the parallel bound, semaphores, the rate limit, a pause.

use super::bed::*;
use crate::scheduler::*;

fn bounded(running_max: usize) -> Bed {
    Bed::with(Config { running_max, converged_timeout: ms(1000), seed: 0, node_events: false })
}

#[test]
fn no_more_run_at_once_than_allowed() {
    let mut bed = bounded(2);
    assert_eq!(bed.swap(&[0, 1, 2, 3], &[], &[]), ["check 0", "check 1"]);
    assert_eq!(bed.state(2), State::Ready);
    assert_eq!(bed.in_sync(1), ["check 2"]);
    assert_eq!(bed.drifted(0), ["apply 0"], "keeps its place from the check to the apply");
    assert_eq!(bed.applied(0, ApplyOutcome::Unchanged), ["check 3"]);
}

#[test]
fn who_waits_for_the_journal_holds_its_place() {
    let mut bed = bounded(1);
    bed.swap(&[0, 1, 2], &[], &[notify(0, 1)]);
    assert_eq!(bed.drifted(0), ["journal 1: intent 0>1"], "2 must wait");
}

#[test]
fn a_bound_of_zero_is_one() {
    let mut bed = bounded(0);
    assert_eq!(bed.swap(&[0, 1], &[], &[]), ["check 0"]);
}

fn holding(sema: &[(u32, u32)]) -> NodeConfig {
    NodeConfig { sema: sema.to_vec(), ..plain() }
}

#[test]
fn what_begins_together_takes_one_place_until_the_last_of_it_has_ended() {
    let mut bed = Bed::with(Config { running_max: 2, converged_timeout: ms(0), seed: 0, node_events: false });
    for node in 0..70 {
        bed.configure(node, NodeConfig { together: Some(0), ..plain() });
    }
    bed.configure(70, plain());
    bed.configure(71, plain());
    let nodes: Vec<u32> = (0..72).collect();
    let begun = bed.swap(&nodes, &[], &[]);
    assert_eq!(begun.len(), 70, "64 in the first place, 6 in the second");
    assert_eq!(bed.scheduler.running(), 70);
    for node in 0..63 {
        assert_eq!(bed.in_sync(node), [""; 0]);
    }
    assert_eq!(bed.drifted(63), ["apply 63"]);
    assert_eq!(bed.changed(0), [""; 0], "a call that has begun can't be joined");
    assert_eq!(bed.applied(63, ApplyOutcome::Changed), ["check 70"]);
    assert_eq!(bed.in_sync(70), ["check 71"]);
    assert_eq!(bed.in_sync(71), ["check 0"]);
}

#[test]
fn a_semaphore_is_held_by_as_many_as_its_size() {
    let mut bed = Bed::new();
    for node in 0..4 {
        bed.configure(node, holding(&[(7, 2)]));
    }
    assert_eq!(bed.swap(&[0, 1, 2, 3], &[], &[]), ["check 0", "check 1"]);
    assert_eq!(bed.drifted(0), ["apply 0"], "held from the check to the end of the apply");
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 2"]);
    assert_eq!(bed.in_sync(1), ["check 3"]);
}

#[test]
fn semaphores_are_taken_all_or_none_and_nobody_starves() {
    let mut bed = Bed::new();
    bed.configure(0, holding(&[(1, 1)]));
    bed.configure(1, holding(&[(1, 1), (2, 1)]));
    bed.configure(2, holding(&[(2, 1)]));
    bed.configure(3, holding(&[(1, 1)]));
    assert_eq!(bed.swap(&[0, 1, 2, 3], &[], &[]), ["check 0"], "2 is behind 1, or 1 might wait for ever");
    assert_eq!(bed.in_sync(0), ["check 1"]);
    assert_eq!(bed.in_sync(1), ["check 2", "check 3"]);
}

#[test]
fn who_may_not_run_any_more_gives_its_place_at_the_semaphore_up() {
    let mut bed = Bed::new();
    bed.configure(1, holding(&[(1, 1)])).configure(2, holding(&[(1, 1)])).configure(3, holding(&[(1, 1)]));
    bed.swap(&[0, 1, 2, 3], &[], &[edge(0, 2)]);
    bed.in_sync(0);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.in_sync(1), ["check 3"], "2 has an unsettled parent");
    assert_eq!(bed.in_sync(0), [""; 0]);
    assert_eq!(bed.in_sync(3), ["check 2"]);
}

fn limited() -> NodeConfig {
    NodeConfig { limit: Some(2.0), burst: 2, ..plain() }
}

#[test]
fn the_limit_holds_back_checks_that_the_watch_causes() {
    let mut bed = Bed::new();
    bed.configure(0, limited());
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    for _ in 0..2 {
        assert_eq!(bed.changed(0), ["check 0"], "within the burst");
        bed.in_sync(0);
    }
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.state(0), State::Ready);
    assert_eq!(bed.changed(0), [""; 0], "merged");
    assert_eq!(bed.pass(ms(500)), ["check 0"]);
    assert_eq!(bed.in_sync(0), [""; 0]);
}

#[test]
fn the_limit_does_not_hold_back_what_a_parent_causes() {
    let mut bed = Bed::new();
    bed.configure(1, limited());
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    for _ in 0..2 {
        bed.changed(1);
        bed.in_sync(1);
    }
    assert_eq!(bed.changed(1), [""; 0]);
    bed.changed(0);
    bed.drifted(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 1"]);
}

#[test]
fn nothing_starts_in_a_pause_and_nothing_is_lost() {
    let mut bed = Bed::new();
    bed.configure(2, NodeConfig { retry: None, delay: ms(10), ..plain() });
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1)]);
    bed.checked(2, CheckOutcome::Failed);
    assert_eq!(bed.feed(Input::Pause), [""; 0]);
    assert_eq!(bed.drifted(0), [""; 0], "no apply either");
    assert_eq!(bed.changed(1), [""; 0]);
    assert_eq!(bed.pass(ms(1000)), [""; 0]);
    assert!(bed.scheduler.is_idle());
    assert_eq!(bed.feed(Input::Resume), ["check 0", "check 2"]);
}

#[test]
fn an_apply_that_waits_for_the_journal_is_given_up_in_a_pause() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    bed.feed(Input::Pause);
    assert_eq!(bed.committed(1), ["journal: drop 0>1"]);
    assert_eq!(bed.feed(Input::Resume), ["check 0"]);
}
