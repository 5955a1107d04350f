//! Commits that are done together.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::support::*;
use crate::sys::fs::whole::{FILE_SYSTEMS, IS_RELIABLE};
use crate::sys::fs::{Gathered, gathering};
use crate::sys::task::watching;

const ENOSPC: i32 = 28;

type Committing = JoinHandle<Result<usize, FsError>>;

/// A batch that has written a new file in this directory.
fn written(fs: &WriteFs, path: &Path) -> SyncBatch {
    let batch = fs.batch();
    batch.fs().write_file(path, "x", &WriteOptions::new().named_first(true)).unwrap();
    batch
}

async fn until(is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never comes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A directory with `a`, whose commit is held until `hold` is dropped, and with a directory `d`.
struct Stage {
    dir: tempfile::TempDir,
    faults: Arc<Faults>,
    fs: WriteFs,
    hold: Option<Sender<()>>,
    tasks: Vec<Committing>,
}

impl Stage {
    async fn new() -> Stage {
        let (dir, faults) = (temp_dir(), Faults::new());
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let (hold, held) = channel::<()>();
        faults.hook(At::Nth(Call::SyncDir, 1), move || _ = held.recv());
        let fs = WriteFs::with_faults(faults.clone());
        let mut stage = Stage { dir, faults, fs, hold: Some(hold), tasks: Vec::new() };
        let first = stage.commit("a", ());
        stage.tasks.push(first);
        until(|| stage.faults.count(Call::SyncDir) == 1).await;
        stage
    }

    /// Writes a new file, and commits it in a task of its own.
    fn commit(&self, name: &str, held: impl Send + 'static) -> Committing {
        tokio::spawn(written(&self.fs, &self.dir.path().join(name)).commit_together(held))
    }

    /// Waits until this number of commits wait.
    async fn waiting(&self, count: usize) {
        until(|| self.fs.inner.group.waiting() == count).await;
    }

    /// `b`, `c` and `e`, which is in `d`, wait behind `a`.
    async fn with_three_behind() -> Stage {
        let mut stage = Stage::new().await;
        for name in ["d/b", "d/c", "d/e"] {
            let task = stage.commit(name, ());
            stage.tasks.push(task);
        }
        stage.waiting(3).await;
        stage
    }

    /// The files that have been synced, in order.
    fn synced(&self) -> Vec<String> {
        let calls = self.faults.changes().into_iter().filter(|(call, _)| *call == Call::Sync);
        calls.map(|(_, path)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    /// Lets `a` continue; returns for each commit, in order, whether it succeeded.
    async fn end(&mut self) -> Vec<bool> {
        self.hold = None;
        let mut outcomes = Vec::new();
        for task in self.tasks.drain(..) {
            outcomes.push(task.await.unwrap().is_ok());
        }
        outcomes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_others_are_synced_is_synced_together_next() {
    let mut stage = Stage::with_three_behind().await;
    assert_eq!(stage.synced(), ["a"]);
    assert_eq!(stage.end().await, [true; 4]);
    let mut synced = stage.synced();
    synced.sort_unstable();
    assert_eq!(synced, ["a", "b", "c", "e"]);
    assert_eq!(stage.faults.count(Call::SyncDir), 2, "once for each directory");
    assert_eq!(stage.commit("later", ()).await.unwrap().unwrap(), 1, "the queue is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_can_not_be_synced_fails_its_own_commit_only_and_is_taken_back() {
    let mut stage = Stage::with_three_behind().await;
    stage.faults.fail(At::Nth(Call::Sync, 3), ENOSPC);
    let outcomes = stage.end().await;
    assert_eq!(outcomes.iter().filter(|is_ok| !**is_ok).count(), 1, "{outcomes:?}");
    let well = ["a", "b", "c", "e"].into_iter().zip(outcomes).filter(|(_, is_ok)| *is_ok).map(|(name, _)| name);
    assert_eq!(names(stage.dir.path().join("d")), well.skip(1).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_can_not_be_synced_fails_one_of_its_commits_and_is_tried_again_for_the_next() {
    let mut stage = Stage::with_three_behind().await;
    stage.faults.fail(At::Nth(Call::SyncDir, 2), ENOSPC);
    let outcomes = stage.end().await;
    assert_eq!(outcomes.iter().filter(|is_ok| !**is_ok).count(), 1, "{outcomes:?}");
    assert_eq!(stage.faults.count(Call::SyncDir), 3);
    assert!(!stage.fs.owes_sync(stage.dir.path().join("d/b")), "the next one has made it durable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_future_is_dropped_is_made_nevertheless_and_holds_on_until_then() {
    let mut stage = Stage::new().await;
    let held = Arc::new(());
    let task = stage.commit("d/b", Arc::clone(&held));
    stage.waiting(1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&held), 2);
    stage.end().await;
    until(|| Arc::strong_count(&held) == 1).await;
    assert_eq!(stage.synced(), ["a", "b"]);
    assert_eq!(stage.faults.count(Call::SyncDir), 2);
}

#[test]
fn a_runtime_that_ends_leaves_nothing_behind_that_is_not_synced() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let held = Arc::new(());
    let mut stage = runtime.block_on(async {
        let stage = Stage::with_three_behind().await;
        drop(stage.commit("d/f", Arc::clone(&held)));
        stage.waiting(4).await;
        stage
    });
    runtime.shutdown_background();
    stage.hold = None;
    let begun = Instant::now();
    while Arc::strong_count(&held) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never comes");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(stage.faults.count(Call::Sync), 5);
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

/// Writes this many new files and commits them; whether that went well.
fn many(fs: &WriteFs, dir: &Path, count: usize) -> bool {
    let batch = fs.batch();
    for n in 0..count {
        let options = WriteOptions::new().named_first(true);
        batch.fs().write_file(dir.join(n.to_string()), "x", &options).unwrap();
    }
    batch.commit().is_ok()
}

#[test]
fn many_new_files_are_synced_by_one_call_where_little_else_is_written() {
    const COUNT: usize = 60;
    let begun = Instant::now();
    loop {
        let (dir, faults) = (temp_dir(), Faults::new());
        let there = rustix::fs::statfs(dir.path()).unwrap().f_type;
        let is_able = FILE_SYSTEMS.iter().any(|kind| u64::try_from(there) == Ok(*kind)) && *IS_RELIABLE;
        // What other programs have written by now is on the disk.
        rustix::fs::syncfs(std::fs::File::open(dir.path()).unwrap()).unwrap();
        assert!(many(&WriteFs::with_faults(faults.clone()), dir.path(), COUNT));
        let counts = [Call::SyncAll, Call::Sync, Call::SyncDir].map(|call| faults.count(call));
        if is_able && counts == [1, 0, 1] {
            return;
        }
        assert_eq!(counts, [0, COUNT, 1]);
        assert!(begun.elapsed() < Duration::from_secs(120), "it never comes");
        if !is_able {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn if_the_call_for_many_files_fails_each_is_synced_and_what_fails_is_taken_back() {
    const COUNT: usize = 16;
    let (dir, faults) = (temp_dir(), Faults::new());
    faults.fail(At::Every(Call::SyncAll), ENOSPC);
    faults.fail(At::Nth(Call::Sync, 3), ENOSPC);
    assert!(!many(&WriteFs::with_faults(faults.clone()), dir.path(), COUNT));
    assert_eq!((faults.count(Call::Sync), faults.count(Call::SyncDir)), (COUNT, 1));
    assert_eq!(names(dir.path()).len(), COUNT - 1);
}

#[tokio::test]
async fn nothing_to_commit_is_done_at_once() {
    assert_eq!(WriteFs::new().batch().commit_together(()).await.unwrap(), 0);
}

#[test]
fn a_commit_ends_also_if_there_is_no_thread_for_it() {
    let (dir, fs) = (temp_dir(), WriteFs::new());
    // One thread, as if the system gave no more; the work on it waits for the commit.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (open, gate) = channel::<()>();
        let holds = tokio::task::spawn_blocking(move || _ = gate.recv());
        let file = dir.path().join("f");
        let committed = tokio::time::timeout(Duration::from_secs(60), written(&fs, &file).commit_together(()));
        assert_eq!(committed.await.unwrap().unwrap(), 1);
        drop(open);
        holds.await.unwrap();
        assert_eq!(written(&fs, &dir.path().join("g")).commit_together(()).await.unwrap(), 1, "the queue is open");
    });
}

type Commit = Pin<Box<dyn Future<Output = Result<usize, FsError>> + Send>>;

/// Polls the commit on a thread that may block.
fn poll(commit: &mut Commit) -> Poll<Result<usize, FsError>> {
    watching(true, || commit.as_mut().poll(&mut Context::from_waker(Waker::noop()))).0
}

/// A commit of a new file that this thread has gathered.
fn gathered(fs: &WriteFs, path: &Path) -> (Commit, Gathered) {
    let mut commit: Commit = Box::pin(written(fs, path).commit_together(()));
    let (polled, gathered) = gathering(|| poll(&mut commit));
    assert!(polled.is_pending());
    (commit, gathered.unwrap())
}

#[tokio::test]
async fn commits_that_a_thread_has_gathered_are_made_together() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let (mut first, one) = gathered(&fs, &dir.path().join("a"));
    let (mut second, other) = gathered(&fs, &dir.path().join("b"));
    assert!(one.is_with(&other));
    assert!(!one.is_with(&gathered(&WriteFs::new(), &dir.path().join("c")).1), "another program");
    assert_eq!(faults.count(Call::Sync), 0);
    one.sync();
    assert_eq!((faults.count(Call::Sync), faults.count(Call::SyncDir)), (2, 1));
    for commit in [&mut first, &mut second] {
        assert!(matches!(poll(commit), Poll::Ready(Ok(1))));
    }
    assert_eq!(fs.inner.group.waiting(), 0);
    assert_eq!(written(&fs, &dir.path().join("d")).commit_together(()).await.unwrap(), 1, "the queue is open");
}

#[tokio::test]
async fn a_gathered_commit_that_fails_tells_its_own_operation() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    faults.fail(At::Nth(Call::Sync, 1), ENOSPC);
    let (mut first, one) = gathered(&fs, &dir.path().join("a"));
    let (mut second, _other) = gathered(&fs, &dir.path().join("b"));
    one.sync();
    assert!(matches!(poll(&mut first), Poll::Ready(Err(_))));
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(1))));
    assert_eq!(names(dir.path()), ["b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gathered_commit_is_made_in_the_background_if_its_operation_is_polled_before() {
    let (dir, fs) = (temp_dir(), WriteFs::new());
    let (mut commit, _never) = gathered(&fs, &dir.path().join("a"));
    assert!(poll(&mut commit).is_pending());
    let committed = tokio::time::timeout(Duration::from_secs(60), commit);
    assert_eq!(committed.await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_behind_gathered_ones_is_made_with_them() {
    let (dir, faults) = (temp_dir(), Faults::new());
    let fs = WriteFs::with_faults(faults.clone());
    let (mut commit, gathered) = gathered(&fs, &dir.path().join("a"));
    let behind = tokio::spawn(written(&fs, &dir.path().join("b")).commit_together(()));
    until(|| fs.inner.group.waiting() == 2).await;
    gathered.sync();
    assert!(poll(&mut commit).is_ready());
    assert_eq!(behind.await.unwrap().unwrap(), 1);
    assert_eq!(faults.count(Call::SyncDir), 1);
}
