//! Another graph: only the difference is touched.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

#[test]
fn equal_nodes_are_left_alone_and_new_ones_start() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    let swap = bed.swap(&[0, 1, 2], &[1], &[edge(0, 1), edge(0, 2)]);
    assert_eq!(swap, ["event: swapped to 2: +1 ~1 -0 =1", "check 1", "check 2"]);
}

#[test]
fn who_leaves_is_watched_no_more_and_its_slot_is_given_back() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { watched: true, ..plain() });
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.ready(0);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.swap(&[1], &[], &[]), ["unwatch 0", "removed 0"]);
    assert_eq!(bed.scheduler.node_count(), 1);
}

#[test]
fn a_slot_is_given_back_only_when_its_operation_has_ended() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    assert_eq!(bed.swap(&[], &[], &[]), ["event: converged"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["removed 0"]);
}

#[test]
fn what_changes_something_is_left_to_end_by_who_leaves_and_a_check_is_not() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { timeout: Some(ms(500)), ..plain() });
    bed.swap(&[0, 1], &[], &[]);
    bed.drifted(0);
    assert_eq!(bed.swap(&[], &[], &[]), ["cancel 1", "event: converged"]);
    assert_eq!(bed.pass(ms(499)), [""; 0]);
    assert_eq!(bed.pass(ms(1)), ["cancel 0"], "it takes longer than its timeout");
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), ["removed 0"]);
}

#[test]
fn a_slot_that_is_used_again_waits_for_its_old_operation() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    bed.swap(&[], &[], &[]);
    assert_eq!(bed.swap(&[0], &[], &[]), ["event: unconverged"]);
    assert_eq!(bed.state(0), State::Running);
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), ["check 0"]);
}

#[test]
fn what_the_old_operation_of_a_slot_changed_is_told_to_the_new_children() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    bed.committed(1);
    assert_eq!(bed.swap(&[1], &[], &[]), ["journal: paid 0>1", "check 1"]);
    bed.in_sync(1);
    assert_eq!(bed.swap(&[0, 1], &[], &[notify(0, 1)]), ["journal: intent 0>1"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["journal: debt 0>1", "check 0"]);
}

#[test]
fn a_check_of_an_older_config_is_made_again_and_never_applied() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.swap(&[0], &[0], &[]), ["withdraw 0"], "the check goes on, but to no repair");
    assert_eq!(bed.drifted(0), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0"]);
}

#[test]
fn a_failure_of_an_older_config_is_no_try() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.swap(&[0], &[0], &[]);
    assert_eq!(bed.checked(0, CheckOutcome::Failed), ["check 0"]);
    bed.drifted(0);
    bed.swap(&[0], &[0], &[]);
    assert_eq!(bed.applied(0, ApplyOutcome::Failed), ["check 0"]);
}

#[test]
fn what_an_apply_of_an_older_config_changed_is_told() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    bed.committed(1);
    bed.swap(&[0, 1], &[0], &[notify(0, 1)]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["journal: debt 0>1", "check 0"]);
    assert_eq!(bed.in_sync(0), ["check 1"]);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
}

#[test]
fn a_refresh_made_by_an_older_config_is_made_again() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[EdgeSpec { owed: true, ..notify(0, 1) }]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.swap(&[0, 1], &[1], &[notify(0, 1)]);
    assert_eq!(bed.applied(1, ApplyOutcome::Unchanged), ["check 1"]);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
}

#[test]
fn an_apply_of_an_older_config_that_waits_for_the_journal_is_not_begun() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    assert_eq!(bed.swap(&[0, 1], &[0], &[notify(0, 1)]), ["journal: drop 0>1", "check 0"]);
    assert_eq!(bed.committed(1), [""; 0]);
}

#[test]
fn a_wait_for_the_journal_survives_a_swap_that_leaves_it_alone() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[notify(0, 1)]), ["check 2"]);
    assert_eq!(bed.committed(1), ["apply 0"]);
}

#[test]
fn a_new_notify_edge_is_in_the_journal_before_the_apply_too() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[notify(0, 1)]);
    bed.in_sync(2);
    bed.drifted(0);
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[notify(0, 1), notify(0, 2)]), ["journal: drop 0>1", "check 0"]);
    assert_eq!(bed.drifted(0), ["journal 2: intent 0>1, intent 0>2"]);
    assert_eq!(bed.committed(2), ["apply 0"]);
}

#[test]
fn debts_survive_a_swap_that_keeps_the_edge_and_end_with_the_edge() {
    let mut bed = Bed::new();
    bed.configure(1, NodeConfig { noop: true, ..plain() });
    bed.swap(&[0, 1], &[], &[EdgeSpec { owed: true, ..notify(0, 1) }]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[notify(0, 1), edge(1, 2)]), ["check 2"]);
    assert_eq!(bed.owed(), [(0, 1)]);
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[edge(0, 1), edge(1, 2)]), ["journal: paid 0>1"]);
    assert_eq!(bed.owed(), []);
}

#[test]
fn a_failed_node_is_revived_by_a_change_or_by_rewatch() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { watched: true, ..plain() });
    bed.configure(1, NodeConfig { rewatch: true, ..plain() });
    bed.swap(&[0, 1, 2], &[], &[]);
    bed.ready(0);
    for node in 0..3 {
        bed.checked(node, CheckOutcome::Failed);
    }
    assert_eq!(bed.swap(&[0, 1, 2], &[0], &[]), ["watch 0", "check 1"]);
    assert_eq!(bed.state(2), State::Failed);
    assert_eq!(bed.ready(0), ["check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::InSync), [""; 0]);
}

#[test]
fn an_equal_node_keeps_its_failures() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { retry: Some(1), delay: ms(100), ..plain() });
    bed.swap(&[0], &[], &[]);
    bed.checked(0, CheckOutcome::Failed);
    assert_eq!(bed.swap(&[0, 1], &[], &[]), ["check 1"], "the delay goes on");
    assert_eq!(bed.pass(ms(100)), ["check 0"]);
    bed.checked(0, CheckOutcome::Failed);
    assert_eq!(bed.state(0), State::Failed);
}

#[test]
fn a_node_with_reset_gets_its_tries_back_and_its_pause_ends_at_every_swap() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { retry: Some(1), delay: ms(100), reset: true, ..plain() });
    bed.swap(&[0], &[], &[]);
    for _ in 0..3 {
        bed.checked(0, CheckOutcome::Failed);
        assert_eq!(bed.swap(&[0], &[], &[]), ["check 0"]);
    }
    bed.checked(0, CheckOutcome::Failed);
    assert_eq!(bed.pass(ms(100)), ["check 0"]);
    bed.checked(0, CheckOutcome::Failed);
    assert_eq!(bed.state(0), State::Failed);
    assert_eq!(bed.swap(&[0], &[], &[]), ["check 0"]);
}

#[test]
fn a_receiver_that_is_new_gets_what_was_sent_before() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.checked_sending(0, CheckOutcome::InSync, 1);
    assert_eq!(bed.swap(&[0, 1], &[], &[sends(0, 1, 1)]), ["check 1"]);
}

#[test]
fn a_new_edge_from_an_unsettled_node_holds_its_child_back() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(1);
    assert_eq!(bed.swap(&[0, 1], &[1], &[edge(0, 1)]), [""; 0]);
    assert_eq!(bed.state(1), State::WaitingForParents(vec![Node(0)]));
    assert_eq!(bed.in_sync(0), ["check 1"]);
}

#[test]
fn a_swap_while_paused_starts_watches_but_no_checks() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { watched: true, ..plain() });
    bed.feed(Input::Pause);
    assert_eq!(bed.swap(&[0, 1], &[], &[]), ["watch 0"]);
    assert_eq!(bed.ready(0), [""; 0]);
    assert_eq!(bed.feed(Input::Resume), ["check 1", "check 0"]);
}

#[test]
fn a_node_that_becomes_noop_in_the_middle_of_its_check_is_not_applied() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.configure(0, NodeConfig { noop: true, ..plain() });
    bed.swap(&[0], &[], &[]);
    assert_eq!(bed.drifted(0), ["check 0"], "it was marked dirty by the swap");
    assert_eq!(bed.drifted(0), [""; 0]);
}

#[test]
fn a_waiter_at_a_semaphore_is_not_lost_in_a_swap() {
    let mut bed = Bed::new();
    for node in 0..3 {
        bed.configure(node, NodeConfig { sema: vec![(1, 1)], ..plain() });
    }
    assert_eq!(bed.swap(&[0, 1, 2], &[], &[]), ["check 0"]);
    assert_eq!(bed.swap(&[0, 2], &[], &[]), ["removed 1"]);
    assert_eq!(bed.in_sync(0), ["check 2"]);
}
