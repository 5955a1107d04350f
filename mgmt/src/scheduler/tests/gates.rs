//! What holds back: the parallel bound, semaphores, the rate limit, a pause.

use super::bed::*;
use crate::scheduler::*;

fn bounded(running_max: usize) -> Bed {
    Bed::with(Config { running_max, ..config() })
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
    let mut bed = Bed::with(Config { running_max: 2, converged_timeout: ms(0), ..config() });
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
    assert_eq!(bed.applied(63, ApplyOutcome::Changed), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["check 70"]);
    assert_eq!(bed.in_sync(70), ["check 71"]);
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
    assert_eq!(bed.feed(Input::Pause), ["withdraw 0"]);
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

/// Two places and a reserve of three. The nodes 0 and 1 are being applied; the others have been checked.
fn with_long_applies() -> Bed {
    let config = Config { running_max: 2, reserve: 3, ..config() };
    let mut bed = Bed::with(config);
    bed.configure(7, NodeConfig { retry: None, ..plain() });
    bed.swap(&[2, 3, 4, 5, 6, 7], &[], &[]);
    (2..8).for_each(|node| drop(bed.in_sync(node)));
    bed.swap(&[0, 1, 2, 3, 4, 5, 6, 7], &[], &[]);
    bed.drifted(0);
    bed.drifted(1);
    bed
}

#[test]
fn what_an_event_asks_for_does_not_wait_for_what_takes_long() {
    let mut bed = with_long_applies();
    assert_eq!(bed.pass(LONG / 2), [""; 0]);
    assert_eq!(bed.changed(2), [""; 0], "there is no place");
    assert_eq!(bed.scheduler.next_timeout(), Some(bed.now.after(LONG / 2)));
    assert_eq!(bed.pass(LONG / 2), ["check 2"]);
    assert_eq!(bed.drifted(2), ["apply 2"]);
    assert_eq!(bed.changed(3), ["check 3"], "at once, since both places are held by long ones");
    assert_eq!(bed.applied(2, ApplyOutcome::Changed), [""; 0]);
    assert_eq!(bed.in_sync(3), [""; 0]);
}

#[test]
fn what_only_waits_for_the_disk_leaves_its_place_to_others() {
    let mut bed = Bed::with(Config { running_max: 1, yielded_max: 2, converged_timeout: ms(0), ..config() });
    bed.swap(&[0, 1, 2, 3], &[], &[]);
    assert_eq!(bed.drifted(0), ["apply 0"]);
    assert_eq!(bed.yielded(0), ["check 1"]);
    assert_eq!(bed.yielded(0), [""; 0], "it has no more than one");
    assert_eq!(bed.drifted(1), ["apply 1"]);
    assert_eq!(bed.yielded(1), ["check 2"]);
    assert_eq!(bed.drifted(2), ["apply 2"]);
    assert_eq!(bed.yielded(2), [""; 0], "two wait without a place");
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), [""; 0], "and 2 holds one");
    assert_eq!(bed.yielded(2), ["check 3"]);
    bed.in_sync(3);
    bed.applied(1, ApplyOutcome::Changed);
    assert!(!bed.scheduler.is_converged());
    assert_eq!(bed.applied(2, ApplyOutcome::Changed), ["event: converged"]);
    assert_eq!(bed.scheduler.running(), 0);
}

#[test]
fn a_check_that_waits_for_a_thread_leaves_its_place_to_others_until_its_run_has_ended() {
    let mut bed = Bed::with(Config { running_max: 1, yielded_max: 2, converged_timeout: ms(0), ..config() });
    bed.swap(&[0, 1, 2, 3], &[], &[]);
    assert_eq!(bed.yielded(0), ["check 1"]);
    assert_eq!(bed.yielded(1), ["check 2"]);
    assert_eq!(bed.yielded(2), [""; 0], "two have no place");
    assert_eq!(bed.drifted(0), ["apply 0"], "it needs none for its repair either");
    assert_eq!(bed.in_sync(1), [""; 0], "2 holds the one place");
    assert_eq!(bed.yielded(2), ["check 3"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), [""; 0]);
    bed.in_sync(3);
    assert_eq!(bed.in_sync(2), ["event: converged"]);
    assert_eq!(bed.scheduler.running(), 0);
}

#[test]
fn a_stop_waits_for_what_waits_for_the_disk() {
    let mut bed = Bed::with(Config { running_max: 1, ..config() });
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    bed.yielded(0);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), [""; 0]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["stopped"]);
}

#[test]
fn the_reserve_has_an_end() {
    let mut bed = with_long_applies();
    bed.pass(LONG);
    for node in 2..6 {
        bed.changed(node);
    }
    assert_eq!(bed.scheduler.running(), 4, "two are short");
    bed.drifted(2);
    bed.drifted(3);
    assert_eq!(bed.pass(LONG), ["check 4"], "the bound and the reserve are taken");
    bed.drifted(4);
    assert_eq!(bed.pass(ms(10_000)), [""; 0]);
    assert_eq!(bed.scheduler.next_timeout(), None);
    assert_eq!(bed.applied(1, ApplyOutcome::Changed), ["check 5"]);
}

#[test]
fn the_start_a_new_graph_and_a_further_try_wait_for_places_of_the_bound() {
    let mut bed = with_long_applies();
    bed.pass(LONG);
    bed.changed(7);
    assert_eq!(bed.checked(7, CheckOutcome::Failed), [""; 0]);
    assert_eq!(bed.swap(&[0, 1, 2, 3, 4, 5, 6, 7, 8], &[6], &[]), [""; 0]);
    assert_eq!(bed.changed(2), ["check 2"]);
    assert_eq!(bed.in_sync(2), [""; 0]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 7"]);
}

#[test]
fn what_waits_for_the_bound_gets_one_of_two_places() {
    let mut bed = with_long_applies();
    bed.swap(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[], &[]);
    for node in 2..5 {
        bed.changed(node);
    }
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 2"]);
    assert_eq!(bed.in_sync(2), ["check 8"]);
    assert_eq!(bed.in_sync(8), ["check 3"]);
    assert_eq!(bed.in_sync(3), ["check 9"]);
}

#[test]
fn what_waits_for_a_place_with_its_semaphores_takes_those_of_a_new_graph() {
    let config = Config { running_max: 2, ..config() };
    let mut bed = Bed::with(config);
    for node in [0, 1] {
        bed.configure(node, holding(&[(1, 1)]));
    }
    assert_eq!(bed.swap(&[0, 1, 2, 3], &[], &[]), ["check 0", "check 2"]);
    bed.configure(2, holding(&[(2, 1)]));
    assert_eq!(bed.in_sync(0), ["check 1"]);
    bed.changed(0);
    bed.in_sync(2);
    assert_eq!(bed.changed(2), [""; 0], "3 is checked");
    bed.configure(0, holding(&[(2, 1)]));
    bed.swap(&[0, 1, 2, 3], &[], &[]);
    let begun = [bed.in_sync(1), bed.in_sync(3)].concat();
    assert_eq!(begun, ["check 0"], "both need the second one now");
    assert_eq!(bed.in_sync(0), ["check 2"]);
}
