//! One stay: a check that is permitted to repair what it finds.

use super::bed::*;
use crate::id::Node;
use crate::scheduler::*;

/// One node alone, in sync.
fn alone() -> Bed {
    let mut bed = Bed::with_events();
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    bed
}

#[test]
fn a_check_that_goes_on_is_a_check_and_an_apply() {
    let mut bed = Bed::with_events();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    assert_eq!(bed.may_go_on(0), GoOn::Yes);
    assert_eq!(bed.checked(0, CheckOutcome::GoesOn), ["event: drifted 0"]);
    assert_eq!(bed.state(0), State::Running);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["event: applied 0 changed", "check 1"]);
    assert_eq!(bed.state(0), State::Settled { drifted: false });
}

#[test]
fn it_need_not_go_on() {
    let mut bed = alone();
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.may_go_on(0), GoOn::Yes);
    assert_eq!(bed.drifted(0), ["event: drifted 0", "apply 0"]);
}

#[test]
fn a_repair_that_fails_is_a_try_and_what_comes_meanwhile_is_checked_after_it() {
    let mut bed = Bed::with_events();
    bed.configure(0, NodeConfig { retry: Some(1), delay: ms(10), ..plain() });
    bed.swap(&[0], &[], &[]);
    let failed = bed.went_on(0, ApplyOutcome::Failed);
    assert_eq!(failed[0], "event: drifted 0");
    assert_eq!(bed.state(0), State::Retrying);
    assert_eq!(bed.pass(ms(10)), ["check 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::GoesOn), ["event: drifted 0"]);
    assert_eq!(bed.changed(0), [""; 0]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["event: applied 0 changed", "check 0"]);
}

#[test]
fn a_child_goes_on_only_if_nothing_is_noticed_meanwhile() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    assert_eq!(bed.may_go_on(0), GoOn::Yes);
    bed.in_sync(0);
    assert_eq!(bed.may_go_on(1), GoOn::IfQuiet);
    // Something was: the parent, as it turns out.
    bed.queued = vec![Node(0)];
    assert_eq!(bed.drifted(1), ["check 0"]);
    assert_eq!(bed.went_on(0, ApplyOutcome::Changed), ["check 1"]);
    assert_eq!(bed.went_on(1, ApplyOutcome::Changed), [""; 0]);
}

#[test]
fn where_more_must_come_between_check_and_repair_none_goes_on() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { noop: true, ..plain() });
    bed.configure(1, NodeConfig { timeout: Some(ms(50)), ..plain() });
    bed.configure(2, NodeConfig { together: Some(0), ..plain() });
    bed.swap(&[0, 1, 2, 3, 4], &[], &[notify(3, 4)]);
    assert!((0..4).all(|node| bed.may_go_on(node) == GoOn::No));
    bed.in_sync(3);
    bed.in_sync(4);
    // A refresh is owed.
    bed.changed(3);
    bed.drifted(3);
    bed.committed(1);
    bed.applied(3, ApplyOutcome::Changed);
    assert_eq!(bed.may_go_on(4), GoOn::No);
}

#[test]
fn the_permission_is_withdrawn_when_it_would_not_be_given_any_more() {
    let mut bed = alone();
    bed.changed(0);
    assert_eq!(bed.feed(Input::Pause), ["withdraw 0"]);
    assert_eq!(bed.feed(Input::Pause), [""; 0], "once");
    assert_eq!(bed.drifted(0), ["event: drifted 0"]);
    bed.feed(Input::Resume);
    bed.drifted(0);
    bed.applied(0, ApplyOutcome::Changed);
    // It notifies another one from now on.
    bed.changed(0);
    let commands = bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    assert!(commands.contains(&"withdraw 0".to_owned()), "{commands:?}");
}

#[test]
fn what_is_withdrawn_too_late_has_begun_before() {
    let mut bed = alone();
    bed.changed(0);
    bed.feed(Input::Pause);
    assert_eq!(bed.went_on(0, ApplyOutcome::Changed), ["event: drifted 0", "event: applied 0 changed"]);
    bed.feed(Input::Resume);
    bed.changed(0);
    bed.swap(&[0], &[0], &[]);
    let commands = bed.went_on(0, ApplyOutcome::Changed);
    assert_eq!(commands.last().map(String::as_str), Some("check 0"), "of an older config: looked at once more");
}

#[test]
fn a_stop_gives_up_the_check_but_not_the_repair_and_a_second_one_both() {
    let mut bed = alone();
    bed.changed(0);
    assert_eq!(bed.feed(Input::Stop(StopStage::Drain)), ["cancel 0"]);
    assert_eq!(bed.feed(Input::Stop(StopStage::Cancel)), ["cancel 0"], "it may have gone on by the first");
    assert_eq!(bed.feed(Input::Stop(StopStage::Cancel)), [""; 0]);
    let ended = bed.went_on(0, ApplyOutcome::Cancelled);
    assert_eq!(ended, ["event: drifted 0", "stopped"]);
}

#[test]
fn one_that_leaves_is_waited_for_if_it_has_gone_on() {
    let mut bed = alone();
    bed.changed(0);
    let commands = bed.swap(&[], &[], &[]);
    assert!(commands.contains(&"cancel 0".to_owned()), "{commands:?}");
    assert_eq!(bed.checked(0, CheckOutcome::GoesOn), [""; 0]);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["removed 0"]);
}

#[test]
fn a_repair_that_went_on_before_its_notify_edge_came_is_told_along_that_edge() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { retry: None, delay: ms(10), ..plain() });
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    assert_eq!(bed.may_go_on(0), GoOn::Yes);
    // Its repair has begun, which is not known yet.
    assert_eq!(bed.swap(&[0, 1], &[], &[notify(0, 1)]), ["withdraw 0"]);
    assert_eq!(bed.checked(0, CheckOutcome::GoesOn), ["journal: intent 0>1"]);
    assert_eq!(bed.applied(0, ApplyOutcome::Failed), [""; 0], "it may have changed something");
    assert_eq!(bed.pass(ms(10)), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["journal: debt 0>1", "check 1"]);
}
