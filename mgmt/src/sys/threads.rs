//! Threads that may block: those of tokio, with provision for a system that gives no more threads.
//!
//! tokio panics if it can start no thread at all, and otherwise leaves work to threads that may never be free. Here,
//! such work waits and begins as soon as the system gives a thread again, even if other blocked work holds all threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, Runtime};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::if_simulated;
use super::limits::has_threads;

/// How long work waits to begin before another thread is asked for, and the longest such pause.
const PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE_MAX: Duration = Duration::from_secs(2);
/// The pause between two attempts to get a thread, where the system allows hardly any.
const PAUSE: Duration = Duration::from_millis(50);
/// tokio keeps an idle thread for longer than this (10 s, unless the program has set another time).
const KEPT: Duration = Duration::from_secs(5);

/// The runtimes that are known to have a thread, and until when.
static KNOWN: Mutex<Vec<(Id, Until)>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// Work of [`hand_over`] ended at this time.
    KeptSince(Instant),
    ForEver,
}

impl Until {
    fn is_now(self) -> bool {
        match self {
            Until::KeptSince(when) => when.elapsed() < KEPT,
            Until::ForEver => true,
        }
    }
}

/// The outcome of work: its value, or its panic.
type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Runs `work` on a thread that may block, from now on. It continues to its end even if the returned future is dropped.
/// `None`: the runtime is shutting down.
pub fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<Outcome<T>>> + Send {
    let (sender, receiver) = oneshot::channel();
    let has_begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&has_begun);
    hand_over(move || {
        begins.store(true, Ordering::Relaxed);
        // If the receiver is gone, the value is dropped here.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    });
    async move {
        let mut receiver = pin!(receiver);
        let mut patience = PATIENCE;
        loop {
            tokio::select! {
                biased;
                outcome = &mut receiver => return outcome.ok(),
                () = sleep(patience), if !has_begun.load(Ordering::Relaxed) => {
                    if !has_begun.load(Ordering::Relaxed) {
                        tracing::debug!("the system gives no thread: work that blocks waits for one");
                        ask_again();
                        patience = (patience * 2).min(PATIENCE_MAX);
                    }
                }
            }
        }
    }
}

/// Runs `work` in the background, on a thread that may block.
pub fn in_background(work: impl FnOnce() + Send + 'static) {
    tokio::spawn(on_thread(work));
}

/// Runs `work` on a thread that may block; on this one if the system gives no other one. For the end of a program or of
/// an engine, which must not wait for threads.
pub async fn on_thread_or_here(work: impl FnOnce() + Send + 'static) {
    if_simulated!(_host => drop(catch_unwind(AssertUnwindSafe(work))));
    if is_to_be_had() {
        // The runtime is shutting down, or the work has panicked: it is over.
        let _ = on_thread(work).await;
    } else {
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

/// Hands `work` to a thread that may block. If the system gives no thread, a task keeps the work and tries again after
/// growing pauses. If tokio has threads and none is free, the work waits for one; [`ask_again`] may find another one.
pub fn hand_over(work: impl FnOnce() + Send + 'static) {
    // On its own thread, the work would be on another host, and its time would not be simulated.
    if_simulated!(_host => drop(tokio::spawn(async { work() })));
    if is_to_be_had() {
        return begin(work);
    }
    tracing::debug!("the system gives no thread: work that blocks waits for one");
    tokio::spawn(async move {
        let mut patience = PATIENCE;
        loop {
            sleep(patience).await;
            if is_to_be_had() {
                return begin(work);
            }
            patience = (patience * 2).min(PATIENCE_MAX);
        }
    });
}

/// Asks the system for a thread for work that has been handed over and has not begun.
pub fn ask_again() {
    if !is_simulated() && is_to_be_had() {
        begin(|| ());
    }
}

fn begin(work: impl FnOnce() + Send + 'static) {
    let here = Handle::current().id();
    let work = move || {
        work();
        note(here, Until::KeptSince(Instant::now()));
    };
    // tokio panics if there is no thread at all, which was not so a moment ago. Then the work is in its queue, and is
    // not lost.
    let _ = catch_unwind(AssertUnwindSafe(|| tokio::task::spawn_blocking(work)));
}

/// Starts a thread of this runtime that may block, which must keep its threads for ever; takes 50 ms. Returns
/// `false` if the system gives none.
pub fn keep_one(runtime: &Runtime) -> bool {
    let is_given = has_threads(1);
    // The system still counts the thread that was tried for a moment.
    thread::sleep(PAUSE);
    let is_had = is_given && catch_unwind(AssertUnwindSafe(|| drop(runtime.spawn_blocking(|| ())))).is_ok();
    if is_had {
        note(runtime.handle().id(), Until::ForEver);
    }
    is_had
}

/// Whether this thread is on a simulated host, which needs no other thread.
fn is_simulated() -> bool {
    if_simulated!(_host => true);
    false
}

/// Whether this runtime has a thread that may block, or can get one.
fn is_to_be_had() -> bool {
    let here = Handle::current().id();
    let is_kept = known().iter().any(|(at, until)| *at == here && until.is_now());
    // The system may still count the thread that was tried when tokio asks for its own.
    is_kept || has_threads(2)
}

fn known() -> MutexGuard<'static, Vec<(Id, Until)>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, this runtime is known to have a thread.
fn note(runtime: Id, until: Until) {
    let mut known = known();
    if !known.contains(&(runtime, Until::ForEver)) {
        known.retain(|(other, until)| *other != runtime && until.is_now());
        known.push((runtime, until));
    }
}

/// A thread that is held in reserve for work that no other thread takes: one for all engines of the process. It ends
/// when the last of these is dropped.
#[derive(Debug)]
pub struct Reserve {
    thread: Arc<Spare>,
    runtime: Handle,
}

/// The thread of all that are not dropped yet.
static SPARE: Mutex<Weak<Spare>> = Mutex::new(Weak::new());

#[derive(Debug)]
struct Spare {
    line: Sender<Box<dyn FnOnce() + Send>>,
    is_busy: Arc<AtomicBool>,
}

impl Spare {
    /// Starts the thread. `None`: the system gives none.
    fn start() -> Option<Arc<Spare>> {
        let (line, works) = channel::<Box<dyn FnOnce() + Send>>();
        let is_busy = Arc::new(AtomicBool::new(false));
        let busy = Arc::clone(&is_busy);
        let take = move || {
            for work in works {
                let _ = catch_unwind(AssertUnwindSafe(work));
                busy.store(false, Ordering::Release);
            }
        };
        thread::Builder::new().name("mgmt-reserve".to_owned()).spawn(take).ok()?;
        Some(Arc::new(Spare { line, is_busy }))
    }
}

impl Reserve {
    /// Starts the thread if there is none yet. Work runs in the context of the current runtime. `None`: the system
    /// gives no thread.
    pub fn new() -> Option<Reserve> {
        if_simulated!(_host => None);
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = match spare.upgrade() {
            Some(thread) => thread,
            None => Spare::start()?,
        };
        *spare = Arc::downgrade(&thread);
        Some(Reserve { thread, runtime: Handle::current() })
    }

    /// Gives the thread some work, unless it has some.
    pub fn take(&self, work: impl FnOnce() + Send + 'static) {
        if !self.thread.is_busy.swap(true, Ordering::Acquire) {
            let runtime = self.runtime.clone();
            // The thread ends only after `self`.
            let _ = self.thread.line.send(Box::new(move || {
                let _context = runtime.enter();
                work();
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_its_value_or_its_panic() {
        assert_eq!(on_thread(|| 7).await.unwrap().unwrap(), 7);
        let panicked = on_thread(|| panic!("gone")).await.unwrap().unwrap_err();
        assert_eq!(*panicked.downcast_ref::<&str>().unwrap(), "gone");
        let (sender, receiver) = oneshot::channel();
        in_background(move || sender.send(8).unwrap());
        assert_eq!(receiver.await, Ok(8));
    }

    #[test]
    fn work_that_no_thread_is_free_for_begins_when_one_is() {
        // One thread, as if the system gave no more.
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (open, gate) = std::sync::mpsc::channel::<()>();
            in_background(move || gate.recv().unwrap());
            let waits = tokio::spawn(on_thread(|| 1));
            tokio::time::sleep(3 * PATIENCE).await;
            assert!(!waits.is_finished());
            open.send(()).unwrap();
            assert_eq!(waits.await.unwrap().unwrap().unwrap(), 1);
        });
    }

    #[tokio::test]
    async fn the_reserve_takes_one_piece_of_work_at_a_time_and_survives_its_panic() {
        let reserve = Reserve { thread: Spare::start().unwrap(), runtime: Handle::current() };
        let (say, said) = std::sync::mpsc::channel();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let first = say.clone();
        reserve.take(move || {
            gate.recv().unwrap();
            first.send(1).unwrap();
            panic!("gone");
        });
        let second = say.clone();
        reserve.take(move || second.send(2).unwrap());
        open.send(()).unwrap();
        assert_eq!(said.recv(), Ok(1));
        while reserve.thread.is_busy.load(Ordering::Acquire) {
            thread::yield_now();
        }
        // In the context of the runtime.
        reserve.take(move || say.send(Handle::current().id().to_string().parse().unwrap()).unwrap());
        assert_eq!(said.recv(), Ok(Handle::current().id().to_string().parse().unwrap()));
        drop(reserve);
        assert!(said.recv().is_err(), "the second one was not taken");
    }
}
