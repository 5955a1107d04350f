//! The laws find mistakes: each mutant of a good kind breaks one, and the good kind breaks none.

mod kind;
mod many;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, panic, thread};

use crate::testing::laws::cancelled::spread;
use crate::testing::laws::{self, Broken, Law, Subject};
use kind::{Flaw, Line, LineBuilder};

/// The mutants: the flaw of each, the law that it breaks, and the report.
const MUTANTS: &[(Flaw, Law, &str)] = &[
    (Flaw::WritesInCheck, Law::CheckChangesNothing, "by a check before the first apply, own/log was made"),
    (Flaw::TouchesInCheck, Law::CheckChangesNothing, "by a check after an apply, own/line was written again"),
    (Flaw::CleansInCheck, Law::CheckChangesNothing, "own/line was removed"),
    (Flaw::CheckFails, Law::ApplyThenCheckIsInSync, "check failed: no luck"),
    (Flaw::CheckHangs, Law::ApplyThenCheckIsInSync, "check had not ended after 3s"),
    (Flaw::ApplyFails, Law::ApplyThenCheckIsInSync, "apply failed: no luck"),
    (Flaw::ApplyLies, Law::ApplyThenCheckIsInSync, "after an apply, check found line: (none) → hello"),
    (Flaw::NeverInSync, Law::ApplyThenCheckIsInSync, "after an apply, check found line: hello → hello"),
    (Flaw::NamesNoChange, Law::ApplyThenCheckIsInSync, "check found drift that names no change"),
    (Flaw::Blind, Law::ApplyThenCheckIsInSync, "tests.rs:"),
    (
        Flaw::Flickers,
        Law::ApplyTwiceIsApplyOnce,
        "while nothing was changed from outside, check found line: hello → hello",
    ),
    (
        Flaw::Appends,
        Law::ApplyTwiceIsApplyOnce,
        "to another state than the first apply's: own/line has another content",
    ),
    (Flaw::NoWatch, Law::AnOutsideChangeIsHeard, "it has no watch, so it does not notice the change made at"),
    (Flaw::WatchesElsewhere, Law::AnOutsideChangeIsHeard, "reported nothing for 3s after the change made at"),
    (Flaw::WatchesOnce, Law::AnOutsideChangeIsHeard, "the watch [Stream] reported nothing for 3s"),
    (Flaw::WatchIsNeverReady, Law::AnOutsideChangeIsHeard, "a stream of the watch did not say `Ready` for 3s"),
    (Flaw::WatchEnds, Law::AnOutsideChangeIsHeard, "a stream of the watch ended"),
    (Flaw::WatchFails, Law::AnOutsideChangeIsHeard, "a stream of the watch failed: the bus is gone"),
    (Flaw::WritesInNoop, Law::NoopNeverApplies, "in noop before anything was applied, own/line was made"),
    (Flaw::LeavesALock, Law::CancelledApplyIsRepaired, "was cancelled at await 1, check failed: locked"),
    (
        Flaw::LeavesHalf,
        Law::CancelledApplyIsRepaired,
        "was cancelled at await 1, apply failed: there is a half already",
    ),
    (Flaw::WorkGoesOn, Law::CancelledApplyIsRepaired, "was cancelled at await 1, its work had not ended after 3s"),
];

fn line(dir: &Path) -> LineBuilder {
    Line::new(dir.join("line").to_str().expect("a temporary directory has a plain name"), "hello")
}

fn subject(flaw: Flaw) -> Subject {
    Subject::new(move |dir| line(dir).flaw(flaw))
        .break_it(|dir| fs::write(dir.join("line"), "good bye").unwrap())
        .break_it(|dir| fs::remove_file(dir.join("line")).unwrap())
}

#[test]
fn a_good_kind_keeps_all_laws() {
    assert_eq!(laws::check(subject(Flaw::None)), Law::ALL);
}

#[test]
fn each_mutant_breaks_its_law_and_is_told_what_was_seen() {
    let found: Vec<Broken> = std::thread::scope(|scope| {
        let tried = MUTANTS.iter().map(|(flaw, ..)| {
            scope.spawn(move || {
                let mut broken = laws::report(subject(*flaw).patience(Duration::from_secs(3))).broken;
                assert!(!broken.is_empty(), "nothing is seen of {flaw:?}");
                broken.remove(0)
            })
        });
        let tried: Vec<_> = tried.collect();
        tried.into_iter().map(|mutant| mutant.join().unwrap()).collect()
    });
    for ((flaw, law, seen), broken) in MUTANTS.iter().zip(found) {
        assert_eq!((broken.law, broken.kind), (*law, "test:line"), "{flaw:?}: {broken}");
        assert!(broken.seen.contains(seen), "{flaw:?}: {broken}");
        assert!(broken.to_string().starts_with(&format!("test:line breaks the law “{law}”: ")), "{broken}");
    }
}

#[test]
fn every_law_has_a_mutant_and_every_flaw_is_one() {
    for law in Law::ALL {
        assert!(MUTANTS.iter().any(|(_, breaks, _)| *breaks == law), "{law}");
    }
    for flaw in Flaw::ALL {
        assert!(*flaw == Flaw::None || MUTANTS.iter().any(|(mutant, ..)| mutant == flaw), "{flaw:?}");
    }
}

#[test]
#[should_panic(expected = "test:line breaks the law “an outside change makes watch speak”: it has no watch")]
fn check_panics_with_what_was_seen() {
    laws::check(subject(Flaw::NoWatch));
}

#[test]
fn check_panics_at_the_line_of_the_test() {
    let (places, others, here) = (Arc::new(Mutex::new(Vec::new())), panic::take_hook(), thread::current().id());
    let seen = Arc::clone(&places);
    panic::set_hook(Box::new(move |info| {
        match thread::current().id() == here {
            true => seen.lock().unwrap().extend(info.location().map(ToString::to_string)),
            false => others(info),
        };
    }));
    let line = line!() + 1;
    let panicked = panic::catch_unwind(|| laws::check(subject(Flaw::NoWatch)));
    assert!(panicked.is_err());
    let places = places.lock().unwrap().clone();
    assert!(places.len() == 1 && places[0].contains(&format!("laws/tests.rs:{line}:")), "{places:?}");
}

#[test]
fn laws_that_could_not_be_tried_are_not_called_kept() {
    let without_a_break = laws::check(Subject::new(line));
    let all_but_the_watch: Vec<_> = Law::ALL.into_iter().filter(|law| *law != Law::AnOutsideChangeIsHeard).collect();
    assert_eq!(without_a_break, all_but_the_watch);
    assert_eq!(laws::check(subject(Flaw::NoWatch).unwatched()), all_but_the_watch);
    let in_sync = Subject::new(line).prepare(|dir| fs::write(dir.join("line"), "hello").unwrap());
    let nothing_to_cancel: Vec<_> =
        all_but_the_watch.into_iter().filter(|law| *law != Law::CancelledApplyIsRepaired).collect();
    assert_eq!(laws::check(in_sync), nothing_to_cancel);
}

#[test]
fn a_kind_that_takes_long_is_cancelled_at_fewer_awaits() {
    let at = |all, most| spread(all, most).collect::<Vec<_>>();
    assert_eq!((at(3, 64), at(0, 64), at(63, 64).len()), (vec![0, 1, 2, 3], vec![0], 64));
    assert_eq!((at(100, 3), at(100, 5)), (vec![0, 50, 100], vec![0, 25, 50, 75, 100]));
    // The flaw shows at the second await.
    let broken = |most| laws::report(subject(Flaw::LeavesHalf).cancels(most)).broken.into_iter().next();
    assert_eq!((broken(1).map(|broken| broken.law), broken(64).is_some()), (None, true));
}

#[test]
fn what_makes_a_new_value_each_time_may_say_so() {
    let new = subject(Flaw::Appends).new_each_time();
    assert_eq!(laws::check(new), Law::ALL);
}

#[test]
fn what_is_kept_elsewhere_is_observed() {
    // The file is outside the directory that is compared, so only the observation can find it.
    let elsewhere = |dir: &Path| dir.parent().unwrap().with_extension("elsewhere");
    let made = move |flaw: Flaw| {
        Subject::new(move |dir| line(dir).flaw(flaw).log(Some(elsewhere(dir).to_str().unwrap().to_owned())))
            .observe(move |dir| fs::read_to_string(elsewhere(dir)).unwrap_or_default())
    };
    let broken = laws::report(made(Flaw::WritesInCheck)).broken.remove(0);
    assert_eq!(broken.law, Law::CheckChangesNothing);
    assert!(broken.seen.contains("what is observed went from \"\" to \"looked\""), "{broken}");
    let left = fs::read_dir(std::env::temp_dir()).unwrap().map(|entry| entry.unwrap().path());
    for path in left.filter(|path| path.extension().is_some_and(|end| end == "elsewhere")) {
        drop(fs::remove_file(path));
    }
}

#[tokio::test]
async fn they_can_be_tried_from_within_a_runtime() {
    assert!(laws::check(Subject::new(line)).contains(&Law::NoopNeverApplies));
}
