//! Commits that are made together.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::support::*;

const ENOSPC: i32 = 28;

/// A batch that has written a new file here.
fn written(fs: &WriteFs, path: &Path) -> SyncBatch {
    let batch = fs.batch();
    batch.fs().write_file(path, "x", &WriteOptions::new().named_first(true)).unwrap();
    batch
}

/// Commits in a task of its own.
fn commit(batch: SyncBatch, held: impl Send + 'static) -> JoinHandle<Result<usize, FsError>> {
    tokio::spawn(batch.commit_together(held))
}

/// The first sync of a directory waits, until this is dropped.
fn hold_first(faults: &Arc<Faults>) -> Sender<()> {
    let (hold, held) = channel::<()>();
    faults.hook(At::Nth(Call::SyncDir, 1), move || _ = held.recv());
    hold
}

async fn until(is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never comes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn paths(faults: &Faults, call: Call) -> Vec<String> {
    let calls = faults.changes().into_iter().filter(|(other, _)| *other == call);
    calls.map(|(_, path)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// `a` is being synced; these wait for it, in directories of their own below.
async fn behind_one(
    dir: &Path,
    fs: &WriteFs,
    faults: &Faults,
    waiting: &[&str],
) -> Vec<JoinHandle<Result<usize, FsError>>> {
    std::fs::create_dir(dir.join("d")).unwrap();
    let mut tasks = vec![commit(written(fs, &dir.join("a")), ())];
    until(|| faults.count(Call::SyncDir) == 1).await;
    for name in waiting {
        tasks.push(commit(written(fs, &dir.join("d").join(name)), ()));
    }
    // They are in the queue before it moves.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_others_are_synced_is_synced_together_next() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let hold = hold_first(&faults);
    let tasks = behind_one(dir.path(), &fs, &faults, &["b", "c", "e"]).await;
    assert_eq!(paths(&faults, Call::Sync), ["a"]);
    drop(hold);
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), 1);
    }
    let synced: BTreeSet<_> = paths(&faults, Call::Sync).into_iter().collect();
    assert_eq!(synced, ["a", "b", "c", "e"].map(String::from).into());
    assert_eq!(faults.count(Call::SyncDir), 2, "once for each directory");
    assert_eq!(commit(written(&fs, &dir.path().join("later")), ()).await.unwrap().unwrap(), 1, "the queue is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_can_not_be_synced_fails_its_own_commit_only_and_is_taken_back() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let hold = hold_first(&faults);
    faults.fail(At::Nth(Call::Sync, 3), ENOSPC);
    let mut tasks = behind_one(dir.path(), &fs, &faults, &["b", "c", "e"]).await;
    drop(hold);
    let mut failed = Vec::new();
    for (name, task) in ["a", "b", "c", "e"].iter().zip(tasks.drain(..)) {
        failed.extend(task.await.unwrap().is_err().then_some(*name));
    }
    let [failed] = failed[..] else { panic!("{failed:?} failed") };
    let left: Vec<_> = ["b", "c", "e"].into_iter().filter(|name| *name != failed).collect();
    assert_eq!(names(dir.path().join("d")), left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_can_not_be_synced_fails_one_of_its_commits_and_is_tried_again_for_the_next() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let hold = hold_first(&faults);
    faults.fail(At::Nth(Call::SyncDir, 2), ENOSPC);
    let tasks = behind_one(dir.path(), &fs, &faults, &["b", "c"]).await;
    drop(hold);
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap().is_ok());
    }
    assert_eq!(outcomes.iter().filter(|is_ok| !**is_ok).count(), 1, "{outcomes:?}");
    assert_eq!(faults.count(Call::SyncDir), 3);
    assert!(!fs.owes_sync(dir.path().join("d/b")), "the second one has made it durable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_future_is_dropped_is_made_nevertheless_and_holds_on_until_then() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let hold = hold_first(&faults);
    let first = behind_one(dir.path(), &fs, &faults, &[]).await;
    let held = Arc::new(());
    let task = commit(written(&fs, &dir.path().join("d/b")), Arc::clone(&held));
    tokio::time::sleep(Duration::from_millis(50)).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(hold);
    until(|| Arc::strong_count(&held) == 1).await;
    assert_eq!(paths(&faults, Call::Sync), ["a", "b"]);
    assert_eq!(faults.count(Call::SyncDir), 2);
    drop(first);
}

#[test]
fn a_runtime_that_ends_leaves_nothing_behind_that_is_not_synced() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let hold = hold_first(&faults);
    let held = Arc::new(());
    runtime.block_on(async {
        drop(behind_one(dir.path(), &fs, &faults, &["b", "c"]).await);
        drop(commit(written(&fs, &dir.path().join("d/e")), Arc::clone(&held)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
    runtime.shutdown_background();
    drop(hold);
    let begun = Instant::now();
    while Arc::strong_count(&held) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never comes");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(faults.count(Call::Sync), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_synced_before_its_commit() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let batch = fs.batch();
    let large = vec![b'x'; (1 << 20) + 1];
    batch.fs().write_file(dir.path().join("f"), &large[..], &WriteOptions::new().named_first(true)).unwrap();
    assert_eq!((faults.count(Call::Sync), faults.count(Call::SyncDir)), (1, 0));
    assert_eq!(batch.commit_together(()).await.unwrap(), 1);
    assert_eq!((faults.count(Call::Sync), faults.count(Call::SyncDir)), (1, 1));
}

#[tokio::test]
async fn nothing_to_commit_is_done_at_once() {
    assert_eq!(WriteFs::new().batch().commit_together(()).await.unwrap(), 0);
}

#[test]
fn a_commit_ends_also_if_there_is_no_thread_for_it() {
    let (dir, fs) = (temp_dir(), WriteFs::new());
    // One thread, as if the system gave no more, and what holds it waits for the commit.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (open, gate) = channel::<()>();
        let holds = tokio::task::spawn_blocking(move || _ = gate.recv());
        let file = dir.path().join("f");
        let committed = tokio::time::timeout(Duration::from_secs(60), written(&fs, &file).commit_together(()));
        assert_eq!(committed.await.unwrap().unwrap(), 1);
        drop(open);
        holds.await.unwrap();
        assert_eq!(commit(written(&fs, &dir.path().join("g")), ()).await.unwrap().unwrap(), 1, "the queue is open");
    });
}
