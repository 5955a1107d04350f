//! The end.

use super::bed::*;
use crate::scheduler::*;

#[test]
fn an_idle_engine_stops_at_once() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), ["stopped"]);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), [""; 0]);
}

#[test]
fn a_stop_cancels_checks_and_lets_applies_end() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(1, 2)]);
    bed.drifted(0);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), ["cancel 1"]);
    assert_eq!(bed.checked(1, CheckOutcome::Cancelled), [""; 0]);
    assert_eq!(bed.changed(2), [""; 0]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["stopped"]);
}

#[test]
fn drift_found_while_stopping_is_not_applied() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.feed(Input::Stop(StopStage::Drain));
    assert_eq!(bed.drifted(0), ["stopped"]);
}

#[test]
fn a_second_stop_cancels_applies_too() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.drifted(0);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), [""; 0]);
    assert_eq!(bed.feed(Input::Stop(StopStage::Cancel)), ["cancel 0"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Cancelled), ["stopped"]);
}

#[test]
fn an_apply_that_waits_for_the_journal_is_not_begun() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), ["journal: drop 0>1", "stopped"]);
    assert_eq!(bed.committed(1), [""; 0]);
}

#[test]
fn what_an_apply_owes_is_written_even_while_stopping() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.drifted(0);
    bed.committed(1);
    bed.feed(Input::Stop(StopStage::Drain));
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["journal: debt 0>1", "stopped"]);
}
