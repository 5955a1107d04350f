//! Moves blocking work off the threads that must not block, and contains the panics of code from outside the engine.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::if_simulated;
use super::threads::on_thread;

#[derive(Clone, Copy)]
struct Thread {
    may_block: bool,
    /// The time that work of [`blocking`] took on this thread.
    blocked: Duration,
}

impl Thread {
    const fn new(may_block: bool) -> Thread {
        Thread { may_block, blocked: Duration::ZERO }
    }
}

thread_local! {
    static THREAD: Cell<Thread> = const { Cell::new(Thread::new(false)) };
}

/// Restores the former state of the thread.
struct Restore(Thread);

impl Drop for Restore {
    fn drop(&mut self) {
        THREAD.set(self.0);
    }
}

/// Runs code, and returns the time that its work for [`blocking`] took on this thread. `may_block`: such work runs on
/// this thread; otherwise the time is 0.
pub fn watching<T>(may_block: bool, run: impl FnOnce() -> T) -> (T, Duration) {
    let _restore = Restore(THREAD.replace(Thread::new(may_block)));
    let value = run();
    (value, THREAD.get().blocked)
}

/// Whether [`blocking`] would run its work on this thread.
pub fn may_block() -> bool {
    if_simulated!(_host => true);
    THREAD.get().may_block
}

/// Runs `work` on a thread that may block: on this one, if it may (see [`watching`]). If the returned future is
/// dropped, the work continues to its end.
///
/// # Panics
/// If `work` panics, with its message: the engine turns the panic into a failure of the resource.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if_simulated!(_host => work());
    let mut thread = THREAD.get();
    if thread.may_block {
        let began = Instant::now();
        let value = work();
        thread.blocked += began.elapsed();
        THREAD.set(thread);
        return value;
    }
    // What the work logs belongs to the span of its caller.
    let span = tracing::Span::current();
    match on_thread(move || span.in_scope(work)).await {
        Some(Ok(value)) => value,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down: the caller's future is about to be dropped too.
        None => std::future::pending().await,
    }
}

/// Runs code that may panic.
///
/// # Errors
/// The message of the panic: `panicked: …`.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| panic_text(&*panic))
}

/// Like [`caught`] for a future, which is dropped after a panic.
///
/// # Errors
/// The message of the panic: `panicked: …`.
pub async fn caught_async<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|cx| match caught(|| future.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(text) => Poll::Ready(Err(text)),
    })
    .await
}

/// Does `count` numbered pieces of work that don't depend on one another, on as many threads as there are processors,
/// this one included; on fewer if the system gives no more threads.
///
/// # Panics
/// If a piece of work panics, after all pieces that had begun have ended.
pub fn side_by_side(count: usize, work: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    let take = || {
        let taken = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        taken.take_while(|piece| *piece < count).for_each(work);
    };
    if_simulated!(_host => take());
    let cpus = if count > 1 { thread::available_parallelism().map_or(1, NonZero::get) } else { 1 };
    thread::scope(|scope| {
        for _ in 1..cpus.min(count) {
            if thread::Builder::new().spawn_scoped(scope, take).is_err() {
                break;
            }
        }
        take();
    });
}

/// Lets other tasks run first. Unlike with `tokio::task::yield_now`, another thread can continue this task at once,
/// even if the task that runs next on this thread blocks.
pub async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Work that several callers can wait for.
#[derive(Clone, Debug)]
pub struct Attempt<T>(watch::Receiver<Option<T>>);

/// Begins work that runs to its end in a task of its own, even if no caller waits for it any more.
pub fn attempt<T: Clone + Send + Sync + 'static>(work: impl Future<Output = T> + Send + 'static) -> Attempt<T> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move { sender.send_replace(Some(work.await)) });
    Attempt(receiver)
}

impl<T: Clone> Attempt<T> {
    /// Waits for the result; `None` if the runtime of the work ends first.
    pub async fn wait(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
    }

    /// Whether the work has ended without a result.
    pub fn is_given_up(&self) -> bool {
        self.0.has_changed().is_err() && self.0.borrow().is_none()
    }
}

/// Runs all of these at once, for at most `limit`. Returns how many had not ended by then; those are dropped.
pub async fn all_within(limit: Duration, all: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>) -> usize {
    let mut tasks = JoinSet::new();
    all.into_iter().for_each(|work| drop(tasks.spawn(work)));
    let deadline = tokio::time::Instant::now() + limit;
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline, tasks.join_next()).await {}
    tasks.len()
}

/// The message of a panic: `panicked: …`.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_where_it_is_asked_for_if_that_thread_may_block() {
        let here = std::thread::current().id();
        let on = || {
            let mut future = pin!(blocking(|| std::thread::current().id()));
            future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        };
        let (polled, blocked) = watching(true, on);
        assert!(matches!(polled, Poll::Ready(thread) if thread == here));
        assert!(blocked > Duration::ZERO);
        let (polled, blocked) = watching(false, on);
        assert!(polled.is_pending());
        assert_eq!(blocked, Duration::ZERO);
        assert_eq!(watching(true, || ()).1, Duration::ZERO);
        // A panic leaves nothing behind.
        assert!(caught(|| watching(true, || panic!("gone"))).is_err() && !may_block());
    }

    #[test]
    fn pieces_of_work_are_each_done_once() {
        for count in [0, 1, 2, 1000] {
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            side_by_side(count, &|piece| {
                done[piece].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1), "{count}: {done:?}");
        }
        let broken = || side_by_side(50, &|piece| assert_ne!(piece, 30));
        assert!(caught(broken).is_err());
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_its_text() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| -> u8 { panic!("no {}", 1) }), Err("panicked: no 1".to_owned()));
        assert_eq!(caught(|| -> u8 { std::panic::panic_any(5) }), Err("panicked: without a message".to_owned()));
        assert_eq!(caught_async(async { 2 }).await, Ok(2));
        let late = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert_eq!(caught_async::<()>(late).await, Err("panicked: later".to_owned()));
    }
}
