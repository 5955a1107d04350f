//! When resources that have left the graph are forgotten, on clocks that may be wrong.

use crate::id::ResourceId;
use crate::journal::*;

use super::common::*;

/// A journal with facts about `a[1]` and `a[2]`, and an edge from `a[1]` to `b[1]`.
fn journal() -> Journal {
    let journal = Journal::volatile().unwrap();
    put(&journal, vec![value("a[1]", "k", Some("1")), value("a[2]", "k", Some("2")), edge(DEBT, "a[1]", "b[1]")])
        .unwrap();
    journal
}

fn all_but(absent: &'static [&'static str]) -> impl Fn(&ResourceId) -> bool {
    move |of| !absent.contains(&of.to_string().as_str())
}

/// Those of the days on which something is forgotten while `a[1]` is absent.
fn forgotten(journal: &Journal, days: impl IntoIterator<Item = u64>) -> Vec<u64> {
    days.into_iter().filter(|day| !journal.retain(*day, all_but(&["a[1]"]), []).is_empty()).collect()
}

#[test]
fn what_is_absent_is_remembered_for_thirty_days_and_then_forgotten_whole() {
    let journal = journal();
    assert_eq!(journal.retain(1000, all_but(&[]), []), []);
    // Called several times a day, and at midnight: thirty whole days have passed on the day after the thirtieth.
    for day in 1000..=1030 {
        for _ in 0..3 {
            assert_eq!(journal.retain(day, all_but(&["a[1]"]), []), [], "day {day}");
        }
    }
    assert_eq!(journal.value(&id("a[1]"), "k").as_deref(), Some(&b"1"[..]));
    assert_eq!(journal.retain(1031, all_but(&["a[1]"]), []), [id("a[1]")]);
    assert_eq!((journal.resources(), journal.owed()), (vec![id("a[2]")], vec![]));
    assert_eq!(journal.retain(1031, all_but(&["a[1]"]), []), []);
}

#[test]
fn what_comes_back_in_between_begins_again_from_nothing() {
    let journal = journal();
    assert_eq!(forgotten(&journal, 1000..1030), [0u64; 0]);
    assert_eq!(journal.absent(&id("a[1]")), Some(29));
    // Present for less than a day, so that no count sees it.
    journal.welcome(all_but(&["a[2]"]));
    assert_eq!(journal.absent(&id("a[1]")), None);
    assert_eq!(forgotten(&journal, 1030..1061), [0u64; 0]);
    assert_eq!(forgotten(&journal, 1061..1062), [1061]);
}

#[test]
fn days_without_an_engine_do_not_count() {
    let journal = journal();
    // Once a month: after 31 months.
    let days = (0..40).map(|month| 1000 + 30 * month);
    assert_eq!(forgotten(&journal, days), [1000 + 30 * 31]);
}

#[test]
fn a_clock_far_ahead_costs_one_day() {
    let journal = journal();
    assert_eq!(forgotten(&journal, [1000, 1001, 30_000, 30_000, 1001, 1001, 1002]), [0u64; 0]);
    assert_eq!(journal.absent(&id("a[1]")), Some(3), "two real days and the jump");
    assert_eq!(forgotten(&journal, 1003..1040), [1030]);
}

#[test]
fn a_clock_set_back_counts_nothing_and_goes_on_from_there() {
    let journal = journal();
    assert_eq!(forgotten(&journal, [1000, 500, 500, 400]), [0u64; 0]);
    assert_eq!(journal.absent(&id("a[1]")), Some(0));
    assert_eq!(forgotten(&journal, 400..440), [431]);
    // Days before 1970 are day 0.
    assert_eq!(forgotten(&journal, [0, 0]), [0u64; 0]);
}

#[test]
fn a_clock_that_begins_anew_with_each_boot_counts_each_real_day_once() {
    let journal = journal();
    // Two hundred boots in an afternoon: first with the day on which the clock starts, then with the real day.
    assert_eq!(forgotten(&journal, [0, 1000].repeat(200)), [0u64; 0]);
    assert_eq!(journal.absent(&id("a[1]")), Some(1), "the day on which the absence was first seen, and the real one");
    let days = (1001..1040).flat_map(|day| [0, day, 0, day, 0, day]);
    assert_eq!(forgotten(&journal, days), [1030]);
}

#[test]
fn the_days_that_were_counted_outlive_a_restart() {
    let dir = dir();
    let journal = Journal::open(dir.path()).unwrap();
    put(&journal, vec![value("a[1]", "k", Some("1"))]).unwrap();
    let mut journal = again(journal, dir.path());
    for _ in 0..40 {
        assert_eq!(forgotten(&journal, [0]), [0u64; 0]);
        journal = again(journal, dir.path());
        assert_eq!(forgotten(&journal, [1000]), [0u64; 0]);
    }
    assert_eq!(journal.absent(&id("a[1]")), Some(1));
    // More days than the journal keeps.
    assert_eq!(forgotten(&journal, (1001..1100).rev()), [0u64; 0]);
    assert_eq!(forgotten(&again(journal, dir.path()), 1100..1140), [1128]);
}

#[test]
fn what_is_in_the_graph_is_never_forgotten_whatever_the_clock_does() {
    let journal = journal();
    for day in [1000, 0, u64::MAX, 5, 50_000, 1001].repeat(40) {
        assert_eq!(journal.retain(day, all_but(&[]), [id("c[1]")]), []);
    }
    assert_eq!(journal.resources(), [id("a[1]"), id("a[2]"), id("b[1]")]);
}

#[test]
fn what_is_kept_elsewhere_is_counted_too() {
    let journal = journal();
    let dir = id("exec[with a directory]");
    let count = |day| journal.retain(day, |of| *of != dir, [dir.clone()]);
    assert!((0..31).all(|day| count(day).is_empty()));
    assert_eq!(count(31), std::slice::from_ref(&dir));
}

#[test]
fn absences_outlive_a_restart_and_nothing_is_written_without_one() {
    let dir = dir();
    let journal = Journal::open(dir.path()).unwrap();
    put(&journal, vec![value("a[1]", "k", Some("1"))]).unwrap();
    let file = || std::fs::read(dir.path().join("journal.redb")).unwrap();
    let before = file();
    (0..40).for_each(|day| assert_eq!(journal.retain(day, all_but(&[]), []), []));
    journal.flush().unwrap();
    assert!(file() == before, "everything is in the graph: there is nothing to write");
    assert_eq!(forgotten(&journal, 0..20), [0u64; 0]);
    let journal = again(journal, dir.path());
    assert_eq!(journal.absent(&id("a[1]")), Some(19));
    assert_eq!(forgotten(&journal, 19..40), [31]);
    assert_eq!(again(journal, dir.path()).resources(), []);
}

#[test]
fn of_very_many_that_are_absent_the_longest_absent_are_forgotten() {
    let journal = Journal::volatile().unwrap();
    let name = |n: usize| format!("a[{n:05}]");
    let all: Vec<_> = (0..ABSENT_RESOURCES_MAX + 3).map(|n| value(&name(n), "k", Some("1"))).collect();
    put(&journal, all).unwrap();
    let long = [(id("a[00007]"), 3), (id("a[00100]"), 2), (id("a[09000]"), 2)];
    let absent = |(of, days): &(ResourceId, u16)| Entry::Absent { of: of.clone(), days: Some(*days) };
    put(&journal, long.iter().map(absent).collect()).unwrap();
    assert_eq!(journal.retain(7, |_| true, []), [], "however many are in the graph");
    put(&journal, long.iter().map(absent).collect()).unwrap();
    let gone = journal.retain(7, |_| false, []);
    assert_eq!(gone, long.map(|(of, _)| of));
    assert_eq!(journal.resources().len(), ABSENT_RESOURCES_MAX);
    assert_eq!(journal.retain(7, |_| false, []), []);
}
