//! Jobs that block, that are short, and that write.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::task::{Context, Waker};

use super::*;
use crate::id::Node;
use crate::scheduler::Op;
use crate::sys::fs::{At, Call, Faults, WriteFs, WriteOptions, gathering};
use crate::sys::task::watching;

fn answer(number: u64) -> Answer {
    Answer::Overdue(Op { node: Node(0), number })
}

fn ended(number: u64) -> Stayed {
    Stayed::Ended(Some(answer(number)))
}

fn later(millis: u64) -> Time {
    Time(0).after(Duration::from_millis(millis))
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().max_blocking_threads(threads).enable_all().build().unwrap()
}

fn until(is: impl Fn() -> bool) {
    // Of the system: the clock of a runtime may stand still.
    let begun = std::time::Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never comes");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_job_that_blocks_holds_up_neither_answers_nor_jobs() {
    let runtime = runtime(8);
    let _in = runtime.enter();
    let mut lane = Lane::new(1, 8);
    let ((go, wait), (begun, has_begun)) = (channel::<()>(), channel::<()>());
    lane.push(Box::new(|| ended(1)));
    lane.push(Box::new(move || {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        ended(2)
    }));
    lane.push(Box::new(|| ended(3)));
    lane.begin(later(0));
    has_begun.recv().unwrap();
    // It waits for no more than a turn of the loop.
    assert_eq!((lane.take_answers().len(), lane.next_timeout()), (1, Some(later(1))));
    lane.begin(later(1));
    lane.begin(later(2));
    until(|| !lane.shared.lock().answers.is_empty());
    runtime.block_on(lane.answered());
    assert_eq!(lane.take_answers().len(), 1);
    lane.begin(later(3));
    assert_eq!(lane.next_timeout(), None, "nothing waits");
    go.send(()).unwrap();
    runtime.block_on(lane.answered());
    assert_eq!(lane.take_answers().len(), 1);
    until(|| lane.shared.lock().threads == 0);
}

#[test]
fn answers_of_short_jobs_are_announced_together() {
    let runtime = runtime(8);
    let _in = runtime.enter();
    let mut lane = Lane::new(1, 8);
    (0..64).for_each(|number| lane.push(Box::new(move || ended(number))));
    lane.begin(later(0));
    until(|| lane.shared.lock().threads == 0);
    runtime.block_on(lane.answered());
    assert_eq!(lane.take_answers().len(), 64);
    let again = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(5), lane.answered()).await });
    assert!(again.is_err(), "once");
}

#[test]
fn no_more_threads_are_asked_for_than_there_are_jobs() {
    let runtime = runtime(1);
    let _in = runtime.enter();
    let mut lane = Lane::new(2, 8);
    lane.reserve = None;
    let (go, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    for _ in 0..4 {
        let wait = Arc::clone(&wait);
        lane.push(Box::new(move || {
            wait.lock().unwrap().recv().unwrap();
            Stayed::Ended(None)
        }));
    }
    (0..50).for_each(|millis| lane.begin(later(millis)));
    assert_eq!(lane.shared.lock().threads, 4);
    (0..4).for_each(|_| go.send(()).unwrap());
    until(|| lane.shared.lock().threads == 0);
}

#[test]
fn jobs_in_line_let_others_pass_and_get_no_more_threads_than_there_are_places() {
    let runtime = runtime(64);
    let _in = runtime.enter();
    let mut lane = Lane::new(1, 3);
    assert!(!lane.is_brisk(), "nothing is known yet");
    (0..u64::from(BRISK)).for_each(|number| lane.push_in_line(Box::new(move || ended(number))));
    lane.begin(later(0));
    until(|| lane.shared.lock().threads == 0);
    assert!(lane.is_brisk());
    assert_eq!(lane.take_answers().len(), BRISK as usize);
    let ((go, wait), order) = (channel::<()>(), Arc::new(Mutex::new(Vec::new())));
    let wait = Arc::new(Mutex::new(wait));
    let job = |name: &'static str| -> Job {
        let (wait, order) = (Arc::clone(&wait), Arc::clone(&order));
        Box::new(move || {
            order.lock().unwrap().push(name);
            wait.lock().unwrap().recv().unwrap();
            Stayed::Ended(None)
        })
    };
    (0..9).for_each(|_| lane.push_in_line(job("in line")));
    lane.push(job("passes"));
    for millis in 0..50 {
        lane.begin(later(millis));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(order.lock().unwrap()[..], ["passes", "in line", "in line", "in line"]);
    assert_eq!(lane.shared.lock().threads, 4);
    (0..10).for_each(|_| go.send(()).unwrap());
    until(|| lane.shared.lock().threads == 0);
    assert!(!lane.is_brisk());
}

#[test]
fn the_reserve_takes_jobs_for_which_the_system_gives_no_thread() {
    // One thread, as if the system gave no more.
    let runtime = runtime(1);
    let _in = runtime.enter();
    let mut lane = Lane::new(1, 8);
    let ((go, wait), (begun, has_begun)) = (channel::<()>(), channel::<()>());
    lane.push(Box::new(move || {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        Stayed::Ended(None)
    }));
    lane.begin(later(0));
    has_begun.recv().unwrap();
    (0..64).for_each(|number| lane.push(Box::new(move || ended(number))));
    let asks = (0..1000).filter(|&millis| {
        let before = lane.stuck;
        lane.begin(later(millis));
        lane.stuck > before
    });
    assert!(asks.count() < 20, "the pauses grow");
    until(|| lane.shared.lock().answers.len() == 64);
    go.send(()).unwrap();
    until(|| lane.shared.lock().threads <= 1);
}

/// Writes a new file; when it is durable, does this and answers.
fn writes(fs: &WriteFs, path: PathBuf, number: u64, then: impl FnOnce() + Send + 'static) -> Job {
    let fs = fs.clone();
    Box::new(move || {
        let batch = fs.batch();
        batch.fs().write_file(path, "x", &WriteOptions::new().named_first(true)).unwrap();
        let mut commit = Box::pin(batch.commit_together(()));
        let mut poll = move || commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let (is_durable, gathered) = gathering(|| watching(true, &mut poll).0);
        assert!(!is_durable);
        let then = Box::new(move || {
            assert!(watching(true, &mut poll).0, "it is durable");
            then();
            ended(number)
        });
        Stayed::Written { yielded: None, gathered: gathered.unwrap(), then }
    })
}

/// Does what the loop does, until this many answers have come.
fn turn_until(count: usize, lane: &mut Lane, runtime: &tokio::runtime::Runtime) {
    const LONG: Duration = Duration::from_secs(60);
    let (begun, mut answers) = (Instant::now(), 0);
    loop {
        let now = Time(0).after(begun.elapsed());
        lane.begin(now);
        answers += lane.take_answers().len();
        if answers >= count {
            return;
        }
        let waits = lane.next_timeout().map_or(LONG, |at| at.since(now));
        let answered = lane.answered();
        let _ = runtime.block_on(async { tokio::time::timeout(waits, answered).await });
        assert!(begun.elapsed() < LONG, "it never comes");
    }
}

#[test]
fn what_several_jobs_have_written_is_made_durable_at_once() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    // However long it takes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let _in = runtime.enter();
    let mut lane = Lane::new(1, 8);
    (0..6).for_each(|number| lane.push(writes(&fs, dir.path().join(number.to_string()), number, || ())));
    lane.begin(later(0));
    until(|| lane.shared.lock().threads == 0);
    assert_eq!(lane.take_answers().len(), 6);
    assert_eq!((faults.count(Call::Sync), faults.count(Call::SyncDir)), (6, 1));
}

#[test]
fn what_was_written_does_not_wait_for_a_job_that_blocks() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), runtime(8));
    let _in = runtime.enter();
    let mut lane = Lane::new(1, 8);
    let (go, wait) = channel::<()>();
    lane.push(writes(&WriteFs::new(), dir.path().join("f"), 1, || ()));
    lane.push(Box::new(move || {
        wait.recv().unwrap();
        ended(2)
    }));
    turn_until(1, &mut lane, &runtime);
    go.send(()).unwrap();
    turn_until(1, &mut lane, &runtime);
    until(|| lane.shared.lock().threads == 0);
}

#[test]
fn a_job_that_goes_on_after_its_write_holds_up_no_other_that_has_written_with_it() {
    let (dir, faults, runtime) = (tempfile::tempdir().unwrap(), Faults::new(), runtime(8));
    let fs = WriteFs::with_faults(faults.clone());
    // Long enough for the loop to look away.
    faults.hook(At::Nth(Call::SyncDir, 1), || std::thread::sleep(Duration::from_millis(50)));
    let _in = runtime.enter();
    let mut lane = Lane::new(1, 8);
    let (go, wait) = channel::<()>();
    lane.push(writes(&fs, dir.path().join("f"), 1, move || wait.recv().unwrap()));
    lane.push(writes(&fs, dir.path().join("g"), 2, || ()));
    turn_until(1, &mut lane, &runtime);
    go.send(()).unwrap();
    turn_until(1, &mut lane, &runtime);
    until(|| lane.shared.lock().threads == 0);
}
