//! Threads for operations that block. They take waiting operations one after the other and collect the answers, so that
//! many short operations cost few wake-ups; where one of them blocks for long, another thread is added.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::id::Time;
use crate::runtime::operate::Answer;
use crate::sys::threads::{Reserve, ask_again, hand_over};

/// A thread is added when nothing was taken from the queue for this long. An answer waits no longer than this until the
/// loop takes it.
const PAUSE: Duration = Duration::from_millis(1);
/// As long as no thread comes, that pause is doubled up to this many times.
const DOUBLED_MAX: u32 = 8;

/// An operation that waits for a thread. It returns its answer, unless a task of its own continues it and will answer.
pub(crate) type Job = Box<dyn FnOnce() -> Option<Answer> + Send>;

/// The queue, and the threads that work it off: tokio's threads for blocking work. None is held while nothing waits.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    /// The jobs that `begin` puts into the queue.
    next: Vec<Job>,
    /// At most this many threads, as long as the queue moves.
    threads_max: usize,
    /// When to check whether the queue has moved, and how many jobs had been taken before.
    look: Option<(Time, u64)>,
    /// How often in a row the queue had not moved.
    stuck: u32,
    /// Takes jobs if no other thread does.
    reserve: Option<Reserve>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    answers: Vec<Answer>,
    /// The loop has been woken for the answers.
    is_announced: bool,
    /// How many threads work, or have been asked for.
    threads: usize,
    /// How many threads are inside a job.
    busy: usize,
    /// How many jobs have been taken so far.
    taken: u64,
}

impl Lane {
    pub(crate) fn new(threads_max: usize) -> Lane {
        let reserve = Reserve::new();
        Lane { shared: Arc::default(), next: Vec::new(), threads_max, look: None, stuck: 0, reserve }
    }

    /// Adds an operation to those that `begin` puts into the queue.
    pub(crate) fn push(&mut self, job: Job) {
        self.next.push(job);
    }

    /// Makes sure that waiting jobs are worked off. To be called whenever jobs were pushed, and at `next_timeout`.
    pub(crate) fn begin(&mut self, now: Time) {
        if self.next.is_empty() && self.look.is_none() {
            return;
        }
        let mut state = self.shared.lock();
        state.queue.extend(self.next.drain(..));
        let is_due = self.look.is_some_and(|(at, _)| at <= now);
        let is_stuck = is_due && self.look.is_some_and(|(_, taken)| taken == state.taken);
        let mut more = self.threads_max.saturating_sub(state.threads).min(state.queue.len());
        if is_stuck {
            more = more.max(1);
        }
        self.stuck = match (is_due, is_stuck) {
            (false, _) => self.stuck,
            (true, is_stuck) => {
                if is_stuck {
                    self.stuck + 1
                } else {
                    0
                }
            }
        };
        if state.queue.is_empty() {
            (self.look, self.stuck) = (None, 0);
        } else if is_due || self.look.is_none() {
            self.look = Some((now.after(PAUSE * (1 << self.stuck.min(DOUBLED_MAX))), state.taken));
        }
        let has_asked = state.threads > 0;
        // If tokio has no more threads to give, those that were asked for are enough.
        more = more.min((state.busy + state.queue.len()).saturating_sub(state.threads));
        state.threads += more;
        drop(state);
        for _ in 0..more {
            let (shared, threads_max) = (Arc::clone(&self.shared), self.threads_max);
            hand_over(move || shared.work(threads_max));
        }
        if is_stuck && has_asked {
            // Threads that the system did not have earlier may be available by now.
            ask_again();
        }
        self.call_reserve();
    }

    /// Has the reserve take jobs, if a thread that was asked for has not come.
    fn call_reserve(&self) {
        let Some(reserve) = self.reserve.as_ref().filter(|_| self.stuck > 1) else { return };
        let shared = Arc::clone(&self.shared);
        reserve.take(move || {
            shared.lock().threads += 1;
            shared.work(usize::MAX);
        });
    }

    /// When `begin` must be called even if nothing was pushed.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.look.map(|(at, _)| at)
    }

    /// Returns when there are answers.
    pub(crate) fn answered(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.answered.notified().await }
    }

    /// The answers so far.
    pub(crate) fn take_answers(&self) -> Vec<Answer> {
        let mut state = self.shared.lock();
        state.is_announced = false;
        std::mem::take(&mut state.answers)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of a thread: takes jobs until none waits, or until the thread is not needed any more.
    fn work(&self, threads_max: usize) {
        let mut state = self.lock();
        while let Some(job) = state.queue.pop_front() {
            state.taken += 1;
            state.busy += 1;
            drop(state);
            let began = Instant::now();
            let answer = job();
            let was_quick = began.elapsed() < PAUSE;
            state = self.lock();
            state.busy -= 1;
            state.answers.extend(answer);
            // As long as there is more to do than was done, the loop need not be woken.
            if !state.is_announced && !state.answers.is_empty() && state.queue.len() <= state.answers.len() {
                state.is_announced = true;
                self.answered.notify_one();
            }
            if was_quick && state.threads > threads_max {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl Drop for Lane {
    /// Jobs that have not begun are dropped.
    fn drop(&mut self) {
        let queue = std::mem::take(&mut self.shared.lock().queue);
        // Without the lock: a job may hold values of a kind, whose drop runs foreign code.
        drop(queue);
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Lane").field("queue", &state.queue.len()).field("threads", &state.threads).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::id::Node;
    use crate::scheduler::Op;

    fn answer(number: u64) -> Answer {
        Answer::Overdue(Op { node: Node(0), number })
    }

    fn later(millis: u64) -> Time {
        Time(0).after(Duration::from_millis(millis))
    }

    fn runtime(threads: usize) -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(threads).enable_all().build().unwrap()
    }

    fn until(is: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never comes");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_job_that_blocks_holds_up_neither_answers_nor_jobs() {
        let runtime = runtime(8);
        let _in = runtime.enter();
        let mut lane = Lane::new(1);
        let ((go, wait), (begun, has_begun)) = (channel::<()>(), channel::<()>());
        lane.push(Box::new(|| Some(answer(1))));
        lane.push(Box::new(move || {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Some(answer(2))
        }));
        lane.push(Box::new(|| Some(answer(3))));
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
        let mut lane = Lane::new(1);
        (0..64).for_each(|number| lane.push(Box::new(move || Some(answer(number)))));
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
        let mut lane = Lane::new(2);
        lane.reserve = None;
        let (go, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for _ in 0..4 {
            let wait = Arc::clone(&wait);
            lane.push(Box::new(move || {
                wait.lock().unwrap().recv().unwrap();
                None
            }));
        }
        (0..50).for_each(|millis| lane.begin(later(millis)));
        assert_eq!(lane.shared.lock().threads, 4);
        (0..4).for_each(|_| go.send(()).unwrap());
        until(|| lane.shared.lock().threads == 0);
    }

    #[test]
    fn the_reserve_takes_jobs_for_which_the_system_gives_no_thread() {
        // One thread, as if the system gave no more.
        let runtime = runtime(1);
        let _in = runtime.enter();
        let mut lane = Lane::new(1);
        let ((go, wait), (begun, has_begun)) = (channel::<()>(), channel::<()>());
        lane.push(Box::new(move || {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            None
        }));
        lane.begin(later(0));
        has_begun.recv().unwrap();
        (0..64).for_each(|number| lane.push(Box::new(move || Some(answer(number)))));
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
}
