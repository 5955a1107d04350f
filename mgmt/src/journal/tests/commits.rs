//! When and how batches become durable.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::journal::*;

use super::common::*;

#[test]
fn what_nobody_waits_for_is_written_soon_and_not_after_what_somebody_waits_for() {
    let dir = dir();
    let options = Options { lazy: Duration::from_millis(20), ..Options::default() };
    let journal = Journal::open_with(dir.path(), options).unwrap();
    journal.note(vec![value("a[b]", "alone", Some("1"))]);
    // Read from a copy, in the state after a crash.
    let start = Instant::now();
    while look(dir.path(), "alone").is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "never written");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(journal);

    let options = Options { lazy: Duration::from_secs(3600), ..Options::default() };
    let journal = Journal::open_with(dir.path(), options).unwrap();
    journal.note(vec![value("a[b]", "before", Some("1"))]);
    put(&journal, vec![value("a[b]", "waited", Some("1"))]).unwrap();
    assert!(look(dir.path(), "before").is_some());
    journal.note(vec![value("a[b]", "last", Some("1"))]);
    drop(journal);
    assert!(look(dir.path(), "last").is_some(), "an orderly end writes what is left");
}

#[test]
fn many_batches_share_a_commit() {
    let dir = dir();
    let commits = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&commits);
    let (begun, has_begun) = channel::<()>();
    let (go, wait) = channel::<()>();
    let first = Mutex::new(Some((begun, wait)));
    let fault: Fault = Arc::new(move |step| {
        if let Step::Commit(_) = step {
            count.fetch_add(1, Ordering::SeqCst);
            // The first commit lasts until all the others are queued.
            if let Some((begun, wait)) = first.lock().unwrap().take() {
                begun.send(()).unwrap();
                wait.recv().unwrap();
            }
        }
        Ok(())
    });
    let journal = Journal::open_with(dir.path(), Options { fault: Some(fault), ..Options::default() }).unwrap();
    let (sender, receiver) = channel();
    for n in 0..1000 {
        let sender = sender.clone();
        journal.submit(vec![value("a[b]", &n.to_string(), Some("x"))], move |result| sender.send((n, result)).unwrap());
        if n == 0 {
            has_begun.recv().unwrap();
        }
    }
    go.send(()).unwrap();
    for wanted in 0..1000 {
        let (n, result) = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        result.unwrap();
        assert_eq!(n, wanted, "answers come in order");
    }
    let commits = commits.load(Ordering::SeqCst);
    assert_eq!(commits, 2, "the first, and one for all that waited");
}

#[test]
fn whoever_is_told_may_use_and_even_drop_the_journal_and_may_panic() {
    let dir = dir();
    let journal = Arc::new(Journal::open(dir.path()).unwrap());
    journal.submit(vec![], |_| panic!("on purpose"));
    let (sender, receiver) = channel();
    let inner = Arc::clone(&journal);
    let (go, wait) = channel::<()>();
    journal.submit(vec![value("a[b]", "1", Some("x"))], move |_| {
        let last = sender.clone();
        inner.submit(vec![value("a[b]", "2", Some("x"))], move |result| last.send(result).unwrap());
        wait.recv().unwrap();
        drop(inner);
    });
    drop(journal);
    go.send(()).unwrap();
    receiver.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    assert!(journal.value(&id("a[b]"), "2").is_some());
}

#[test]
fn a_failed_commit_is_told_and_made_good_by_the_next() {
    for after in [false, true] {
        let dir = dir();
        let fault: Fault = Arc::new(move |step| match step {
            Step::Commit(2) if !after => Err(io::Error::other("the disk is gone")),
            Step::Committed(2) if after => Err(io::Error::other("the disk is gone")),
            _ => Ok(()),
        });
        let journal = Journal::open_with(dir.path(), Options { fault: Some(fault), ..Options::default() }).unwrap();
        put(&journal, vec![value("a[b]", "1", Some("x"))]).unwrap();
        let error = put(&journal, vec![value("a[b]", "2", Some("x"))]).unwrap_err().to_string();
        assert_eq!(error, format!("cannot write {}/journal.redb: the disk is gone", dir.path().display()));
        put(&journal, vec![value("a[b]", "3", Some("x"))]).unwrap();
        let journal = again(journal, dir.path());
        for key in ["1", "2", "3"] {
            assert!(journal.value(&id("a[b]"), key).is_some(), "{key}");
        }
    }
}

#[test]
fn a_failed_commit_that_nobody_waits_for_is_tried_again() {
    let dir = dir();
    let broken = Arc::new(AtomicBool::new(true));
    let (seen, ask) = (Arc::new(AtomicU64::new(0)), Arc::clone(&broken));
    let count = Arc::clone(&seen);
    let fault: Fault = Arc::new(move |step| match step {
        Step::Commit(_) if ask.load(Ordering::SeqCst) => {
            count.fetch_add(1, Ordering::SeqCst);
            Err(io::Error::other("broken"))
        }
        _ => Ok(()),
    });
    let options = Options { lazy: Duration::ZERO, fault: Some(fault) };
    let journal = Journal::open_with(dir.path(), options).unwrap();
    journal.note(vec![value("a[b]", "k", Some("x"))]);
    let wait_until = |what: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < Duration::from_secs(60), "never");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_until(&|| seen.load(Ordering::SeqCst) > 0);
    broken.store(false, Ordering::SeqCst);
    wait_until(&|| look(dir.path(), "k").is_some());
}

#[test]
fn closing_tells_that_the_last_could_not_be_written() {
    let dir = dir();
    let fault: Fault = Arc::new(|step| match step {
        Step::Commit(_) => Err(io::Error::other("broken")),
        _ => Ok(()),
    });
    let journal = Journal::open_with(dir.path(), Options { fault: Some(fault), ..Options::default() }).unwrap();
    journal.note(vec![value("a[b]", "k", Some("x"))]);
    assert!(journal.close().unwrap_err().to_string().ends_with("broken"));
}
