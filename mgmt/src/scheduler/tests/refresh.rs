//! Owed refreshes: the intent first, then the debt, until it is paid.

use super::bed::*;
use crate::id::{Node, Ticket};
use crate::scheduler::*;

/// A notifier and its notified, both in sync.
fn pair() -> Bed {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed
}

/// …and the notifier has changed: the notified is being checked.
fn owing() -> Bed {
    let mut bed = pair();
    bed.changed(0);
    assert_eq!(bed.drifted(0), ["journal 1: intent 0>1"]);
    assert_eq!(bed.committed(1), ["apply 0"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["journal: debt 0>1", "check 1"]);
    bed
}

#[test]
fn the_intent_is_on_disk_before_the_apply_begins() {
    let mut bed = pair();
    bed.changed(0);
    assert_eq!(bed.drifted(0), ["journal 1: intent 0>1"]);
    assert_eq!(bed.state(0), State::Running, "it holds its place while it waits");
    assert_eq!(bed.committed(1), ["apply 0"]);
}

#[test]
fn a_node_without_notify_edges_does_not_wait_for_the_journal() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    assert_eq!(bed.drifted(0), ["apply 0"]);
}

#[test]
fn a_later_ticket_commits_the_earlier_ones() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[notify(0, 2), notify(1, 2)]);
    assert_eq!(bed.drifted(0), ["journal 1: intent 0>2"]);
    assert_eq!(bed.drifted(1), ["journal 2: intent 1>2"]);
    assert_eq!(bed.committed(2), ["apply 0", "apply 1"]);
}

#[test]
fn a_refresh_is_paid_when_it_succeeded() {
    let mut bed = owing();
    assert_eq!(bed.owed(), [(0, 1)]);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
    assert_eq!(bed.owed(), [(0, 1)], "not yet delivered");
    assert_eq!(bed.applied(1, ApplyOutcome::Unchanged), ["journal: paid 0>1"]);
    assert_eq!(bed.owed(), []);
}

#[test]
fn an_apply_absorbs_the_refresh() {
    let mut bed = owing();
    assert_eq!(bed.drifted(1), ["apply and refresh 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Changed), ["journal: paid 0>1"]);
}

#[test]
fn several_notifiers_are_one_refresh() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[notify(0, 2), notify(1, 2)]);
    bed.drifted(0);
    bed.drifted(1);
    bed.committed(2);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["journal: debt 0>2"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Changed), ["journal: debt 1>2", "check 2"]);
    assert_eq!(bed.in_sync(2), ["refresh 2"]);
    assert_eq!(bed.applied(2, ApplyOutcome::Changed), ["journal: paid 0>2, paid 1>2"]);
}

#[test]
fn an_apply_that_changed_nothing_drops_its_intents() {
    let mut bed = pair();
    bed.changed(0);
    bed.drifted(0);
    bed.committed(1);
    assert_eq!(bed.applied(0, ApplyOutcome::Unchanged), ["journal: drop 0>1"]);
    assert_eq!(bed.owed(), []);
}

#[test]
fn a_refresh_that_failed_is_owed_again() {
    let mut bed = Bed::new();
    bed.configure(1, NodeConfig { retry: Some(1), ..plain() });
    bed.swap(&[0, 1], &[], &[EdgeSpec { owed: true, ..notify(0, 1) }]);
    bed.in_sync(0);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Failed), ["check 1"]);
    assert_eq!(bed.owed(), [(0, 1)]);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Unchanged), ["journal: paid 0>1"]);
}

#[test]
fn a_notification_during_a_refresh_is_a_new_debt() {
    let mut bed = owing();
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.in_sync(1), [""; 0], "the parent is not settled: no refresh now");
    bed.in_sync(0);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
    bed.changed(0);
    bed.drifted(0);
    bed.committed(2);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["journal: debt 0>1"], "1 is being refreshed");
    assert_eq!(bed.applied(1, ApplyOutcome::Unchanged), ["check 1"], "nothing is paid: there is a new debt");
    assert_eq!(bed.owed(), [(0, 1)]);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Unchanged), ["journal: paid 0>1"]);
}

#[test]
fn paying_does_not_strike_out_the_intent_of_an_apply_under_way() {
    let mut bed = owing();
    bed.in_sync(1);
    bed.changed(0);
    bed.drifted(0);
    assert_eq!(bed.committed(2), ["apply 0"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Unchanged), ["journal: paid 0>1, intent 0>1"]);
}

#[test]
fn a_failed_apply_may_have_changed_something_and_its_next_good_end_tells() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { retry: None, delay: ms(10), ..plain() });
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    bed.committed(1);
    assert_eq!(bed.applied(0, ApplyOutcome::Failed), [""; 0], "the intent stays in the journal as it is");
    assert_eq!(bed.pass(ms(10)), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["journal: debt 0>1", "check 1"]);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
}

#[test]
fn a_failed_apply_is_not_forgotten_when_the_next_one_changes_nothing() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { retry: None, ..plain() });
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    bed.committed(1);
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), ["check 0"]);
    bed.drifted(0);
    bed.committed(2);
    assert_eq!(bed.applied(0, ApplyOutcome::Unchanged), ["journal: debt 0>1", "check 1"]);
}

#[test]
fn a_journal_that_cannot_be_written_is_waited_for() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    assert_eq!(
        bed.feed(Input::CommitFailed(Ticket(1))),
        ["event: waits 0", "event: blocked 1 by 0", "journal: drop 0>1"]
    );
    assert_eq!(bed.state(0), State::Waiting);
    assert_eq!(bed.pass(ms(100)), ["check 0"]);
}

#[test]
fn a_noop_node_is_never_refreshed_and_the_debt_stays() {
    let mut bed = Bed::new();
    bed.configure(1, NodeConfig { noop: true, ..plain() });
    bed.swap(&[0, 1], &[], &[EdgeSpec { owed: true, ..notify(0, 1) }]);
    bed.in_sync(0);
    assert_eq!(bed.in_sync(1), [""; 0]);
    assert_eq!(bed.owed(), [(0, 1)]);
    assert_eq!(bed.state(1), State::Settled { drifted: true }, "said to be wrong, as nothing was done about it");
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
    bed.configure(1, plain());
    assert_eq!(bed.swap(&[0, 1], &[], &[notify(0, 1)]), ["check 1", "event: unconverged"]);
    assert_eq!(bed.in_sync(1), ["refresh 1"]);
}

#[test]
fn a_refresh_that_changes_notifies_on() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[EdgeSpec { owed: true, ..notify(0, 1) }, notify(1, 2)]);
    bed.in_sync(0);
    assert_eq!(bed.in_sync(1), ["journal 1: intent 1>2"]);
    assert_eq!(bed.committed(1), ["refresh 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Changed), ["journal: debt 1>2, paid 0>1", "check 2"]);
}

#[test]
fn what_the_journal_says_is_owed_is_a_debt_from_then_on() {
    let mut bed = Bed::new();
    let swap = bed.swap(&[0, 1], &[], &[EdgeSpec { owed: true, ..notify(0, 1) }]);
    assert_eq!(swap, ["journal: debt 0>1", "check 0"], "on disk it may be an intent only");
    assert_eq!(bed.scheduler.owed().collect::<Vec<_>>(), [(Node(0), Node(1))]);
}
