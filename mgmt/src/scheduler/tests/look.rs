//! Looks are no activity as long as they find nothing; but what waits to be seen is seen before a graph is converged.

use super::bed::*;
use crate::scheduler::*;

const NOTHING: [&str; 0] = [];

/// A node whose watch reports ticks, as that of a `timer`.
fn ticks() -> NodeConfig {
    NodeConfig { ticks: true, ..plain() }
}

/// A tick is applied.
fn tick(bed: &mut Bed, node: u32) -> Vec<String> {
    assert_eq!(bed.changed(node), [format!("check {node}")]);
    bed.went_on(node, ApplyOutcome::ChangedByEvent)
}

#[test]
fn an_event_for_which_nothing_is_found_is_no_activity() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    for _ in 0..9 {
        assert_eq!(bed.pass(ms(100)), NOTHING);
        assert_eq!(bed.changed(0), ["check 0"]);
        assert_eq!(bed.in_sync(0), NOTHING);
    }
    assert_eq!(bed.pass(ms(100)), ["event: converged"]);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.in_sync(0), NOTHING);
    assert_eq!(bed.changed(0), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0", "event: unconverged"]);
}

#[test]
fn events_that_never_cease_keep_no_graph_from_converging() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    bed.changed(0);
    // There is never a moment at which it is not looked at.
    let mut told = Vec::new();
    for _ in 0..40 {
        told.extend(bed.pass(ms(50)));
        bed.changed(0);
        let mut commands = bed.in_sync(0);
        while !commands.iter().any(|command| command == "check 0") {
            // It has its share.
            commands.extend(bed.pass(ms(50)));
        }
        told.extend(commands);
    }
    told.retain(|command| command != "check 0");
    assert_eq!(told, ["event: converged"]);
}

#[test]
fn what_waits_to_be_seen_at_the_end_of_the_timeout_is_seen_first() {
    let mut bed = Bed::new();
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    bed.pass(ms(900));
    bed.changed(0);
    bed.pass(ms(50));
    // The check that is under way may have looked before.
    bed.changed(0);
    assert_eq!(bed.pass(ms(500)), NOTHING);
    assert_eq!(bed.scheduler.next_timeout(), None, "an answer is waited for, and no time");
    assert_eq!(bed.in_sync(0), ["check 0"]);
    assert_eq!(bed.drifted(0), ["apply 0"]);
    bed.applied(0, ApplyOutcome::Changed);
    assert_eq!(bed.pass(ms(999)), NOTHING);
    assert_eq!(bed.pass(ms(1)), ["event: converged"]);
}

#[test]
fn what_comes_after_the_end_of_the_timeout_is_not_waited_for() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    bed.in_sync(1);
    bed.changed(0);
    assert_eq!(bed.pass(ms(1000)), NOTHING);
    bed.changed(0);
    bed.changed(1);
    assert_eq!(bed.in_sync(0), ["check 0"], "the second event came before that was answered");
    assert_eq!(bed.in_sync(0), ["event: converged"]);
}

#[test]
fn a_drift_behind_the_rate_limit_is_seen_first() {
    let mut bed = Bed::new();
    bed.configure(0, NodeConfig { limit: Some(0.2), ..plain() });
    bed.swap(&[0], &[], &[]);
    bed.in_sync(0);
    assert_eq!(bed.changed(0), ["check 0"]);
    bed.went_on(0, ApplyOutcome::Changed);
    assert_eq!(bed.changed(0), NOTHING);
    assert_eq!(bed.pass(ms(4000)), NOTHING);
    assert_eq!(bed.pass(ms(1000)), ["check 0"]);
    assert_eq!(bed.in_sync(0), ["event: converged"]);
}

#[test]
fn a_node_that_is_undone_over_and_over_never_converges() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[]);
    bed.in_sync(0);
    bed.in_sync(1);
    let mut commands = bed.changed(0);
    for _ in 0..20 {
        // It waits for its share, and then it is looked at for longer than the timeout.
        while commands.is_empty() {
            commands = bed.pass(ms(100));
        }
        assert_eq!(commands, ["check 0"]);
        assert_eq!(bed.pass(ms(3000)), NOTHING);
        bed.changed(0);
        commands = bed.went_on(0, ApplyOutcome::Changed);
    }
}

#[test]
fn a_tick_of_which_nothing_comes_is_no_activity() {
    let mut bed = Bed::new();
    bed.configure(0, ticks());
    bed.swap(&[0, 1, 2], &[], &[edge(2, 0), edge(0, 1)]);
    bed.in_sync(2);
    bed.in_sync(0);
    bed.in_sync(1);
    for _ in 0..3 {
        assert_eq!(bed.pass(ms(300)), NOTHING);
        assert_eq!(bed.changed(0), ["check 0"]);
        assert_eq!(bed.drifted(0), ["apply 0"]);
        assert_eq!(bed.applied(0, ApplyOutcome::ChangedByEvent), ["check 1"], "what is after it is checked");
        assert_eq!(bed.in_sync(1), NOTHING);
    }
    assert_eq!(bed.pass(ms(100)), ["event: converged"]);
    assert_eq!(tick(&mut bed, 0), ["check 1"]);
    assert_eq!(bed.drifted(1), ["event: unconverged", "apply 1"]);
}

#[test]
fn a_tick_for_which_something_is_found_or_refreshed_is_activity() {
    let mut bed = Bed::new();
    bed.configure(0, ticks());
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.pass(ms(900)), NOTHING);
    assert_eq!(tick(&mut bed, 0), ["check 1"]);
    assert_eq!(bed.went_on(1, ApplyOutcome::Changed), NOTHING);
    assert_eq!(bed.pass(ms(999)), NOTHING);
    assert_eq!(bed.pass(ms(1)), ["event: converged"]);

    let mut bed = Bed::new();
    bed.configure(0, ticks());
    bed.swap(&[0, 1], &[], &[notify(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    for ticket in 1..9 {
        assert_eq!(bed.pass(ms(900)), NOTHING);
        bed.changed(0);
        bed.drifted(0);
        bed.committed(ticket);
        bed.applied(0, ApplyOutcome::ChangedByEvent);
        bed.in_sync(1);
        bed.applied(1, ApplyOutcome::Changed);
    }
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
}

#[test]
fn a_tick_is_no_news_for_a_repair_that_rests_on_what_was_found_before() {
    let mut bed = Bed::new();
    bed.configure(0, ticks());
    bed.configure(1, NodeConfig { timeout: Some(ms(60_000)), ..plain() });
    bed.swap(&[0, 1], &[], &[edge(0, 1)]);
    bed.in_sync(0);
    bed.in_sync(1);
    assert_eq!(bed.changed(1), ["check 1"]);
    tick(&mut bed, 0);
    assert_eq!(bed.drifted(1), ["apply 1"]);
    assert_eq!(bed.applied(1, ApplyOutcome::Changed), ["check 1"], "and it is looked at for the tick");
}

#[test]
fn endless_looks_keep_no_graph_from_being_hopeless() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1], &[], &[]);
    bed.checked(0, CheckOutcome::Failed);
    bed.in_sync(1);
    bed.changed(1);
    for _ in 0..3 {
        assert_eq!(bed.pass(ms(30)), NOTHING);
        bed.changed(1);
        assert_eq!(bed.in_sync(1), ["check 1"]);
    }
    assert_eq!(bed.pass(ms(1000)), NOTHING, "it is waited for: it may be what others wait for");
    bed.changed(1);
    let mut commands = bed.in_sync(1);
    commands.extend(bed.pass(ms(1000)));
    assert_eq!(commands, ["check 1"]);
    bed.changed(1);
    assert_eq!(bed.in_sync(1), ["check 1", "event: hopeless"]);
}

#[test]
fn a_graph_is_not_hopeless_while_a_node_waits_for_the_end_of_a_look() {
    let mut bed = Bed::new();
    bed.swap(&[0, 1, 2], &[], &[edge(0, 1), edge(2, 1)]);
    bed.in_sync(2);
    bed.drifted(0);
    bed.changed(0);
    assert_eq!(bed.applied(0, ApplyOutcome::Changed), ["check 0"], "the child waits for this look");
    assert_eq!(bed.pass(ms(1000)), NOTHING);
    // This look is asked for after the end of the timeout, and the child waits for it too.
    assert_eq!(bed.changed(2), ["check 2"]);
    assert_eq!(bed.in_sync(0), NOTHING);
    assert_eq!(bed.in_sync(2), ["check 1"]);
    assert_eq!(bed.in_sync(1), NOTHING);
    assert_eq!(bed.pass(ms(1000)), ["event: converged"]);
}
