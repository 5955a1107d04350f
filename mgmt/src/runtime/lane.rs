//! Threads for operations that block. They take waiting operations one after the other and collect the answers, so that
//! many short operations cost few wake-ups; where one of them blocks for long, another thread is added.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::id::Time;
use crate::runtime::operate::Answer;
use crate::sys::fs::{Gathered, share_directories};
use crate::sys::threads::{Reserve, ask_again, hand_over};

/// A thread is added when nothing was taken from the queue for this long. An answer waits no longer than this until the
/// loop takes it.
const PAUSE: Duration = Duration::from_millis(1);
/// As long as no thread comes, that pause is doubled up to this many times.
const DOUBLED_MAX: u32 = 8;

/// The lane is brisk after this many jobs in a row that took less than `PAUSE`.
const BRISK: u32 = 8;

/// This many operations, or those of this time, have written before all of them are made durable together, if a thread
/// has others to begin.
const WRITTEN_MAX: usize = 64;
const WRITTEN_FOR: Duration = Duration::from_millis(5);

/// An operation that waits for a thread.
pub(crate) type Job = Box<dyn FnOnce() -> Stayed + Send>;

/// How an operation has left its thread.
pub(crate) enum Stayed {
    /// With its answer, unless a task of its own continues it and will answer.
    Ended(Option<Answer>),
    /// It has written its changes: `then` continues it when these are durable.
    Written { yielded: Option<Answer>, gathered: Gathered, then: Job },
}

/// The queue, and the threads that work it off: tokio's threads for blocking work. None is held while nothing waits.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    /// The jobs that `begin` puts into the queue.
    next: Vec<Job>,
    /// The jobs that `begin` puts in line.
    next_in_line: Vec<Job>,
    /// At most this many threads, as long as the queue moves.
    threads_max: usize,
    /// At most this many jobs of the line run at once. 0: there is no line.
    line_max: usize,
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
    /// The jobs that are taken when the queue is empty.
    line: VecDeque<Job>,
    /// The operations that have written, with what makes that durable.
    written: Vec<(Gathered, Job)>,
    /// When the first of them had.
    written_since: Option<Instant>,
    answers: Vec<Answer>,
    /// The loop has been woken for the answers.
    is_announced: bool,
    /// The loop takes the answers in a moment, even if it is not woken.
    is_looked_at: bool,
    /// How many threads work, or have been asked for.
    threads: usize,
    /// How many threads are inside a job.
    busy: usize,
    /// How many of these jobs have waited in line.
    busy_of_line: usize,
    /// How many jobs in a row took less than `PAUSE`.
    quick: u32,
    /// How many jobs have been taken so far.
    taken: u64,
}

impl Lane {
    pub(crate) fn new(threads_max: usize, line_max: usize) -> Lane {
        let (next, next_in_line) = (Vec::new(), Vec::new());
        let reserve = Reserve::new();
        Lane { shared: Arc::default(), next, next_in_line, threads_max, line_max, look: None, stuck: 0, reserve }
    }

    /// Adds an operation to those that `begin` puts into the queue.
    pub(crate) fn push(&mut self, job: Job) {
        self.next.push(job);
    }

    /// Adds an operation that lets those of `push` pass. Of these operations, a bounded number runs at once, so that
    /// very many may wait.
    pub(crate) fn push_in_line(&mut self, job: Job) {
        self.next_in_line.push(job);
    }

    /// Operations may wait in line.
    pub(crate) fn has_line(&self) -> bool {
        self.line_max > 0
    }

    /// The last jobs were short.
    pub(crate) fn is_brisk(&self) -> bool {
        self.shared.lock().quick >= BRISK
    }

    /// Makes sure that waiting jobs are worked off. To be called whenever jobs were pushed, and at `next_timeout`.
    pub(crate) fn begin(&mut self, now: Time) {
        let mut state = self.shared.lock();
        if self.next.is_empty() && self.next_in_line.is_empty() && self.look.is_none() && state.waiting() == 0 {
            return;
        }
        state.queue.extend(self.next.drain(..));
        state.line.extend(self.next_in_line.drain(..));
        let is_due = self.look.is_some_and(|(at, _)| at <= now);
        let is_stuck = is_due && self.look.is_some_and(|(_, taken)| taken == state.taken);
        let mut more = self.threads_max.saturating_sub(state.threads).min(state.waiting());
        if is_stuck {
            more = more.max(1);
        }
        if is_due {
            self.stuck = if is_stuck { self.stuck + 1 } else { 0 };
        }
        // What waits in line is begun by the threads that are free next, and their answers wake the loop.
        let waits_in_line = state.queue.is_empty() && state.busy_of_line >= self.line_max && state.answers.is_empty();
        if state.written.is_empty() && (state.waiting() == 0 || waits_in_line) {
            (self.look, self.stuck) = (None, 0);
        } else if is_due || self.look.is_none() {
            self.look = Some((now.after(PAUSE * (1 << self.stuck.min(DOUBLED_MAX))), state.taken));
        }
        let has_asked = state.threads > 0;
        // If tokio has no more threads to give, those that were asked for are enough. Of the jobs in line, only
        // `line_max` run at once, even if they are slow.
        let others = state.busy - state.busy_of_line + state.queue.len() + usize::from(!state.written.is_empty());
        let of_line = (state.busy_of_line + state.line.len()).min(self.line_max);
        more = more.min((others + of_line).saturating_sub(state.threads));
        state.threads += more;
        state.is_looked_at = self.look.is_some();
        drop(state);
        for _ in 0..more {
            let (shared, threads_max, line_max) = (Arc::clone(&self.shared), self.threads_max, self.line_max);
            hand_over(move || share_directories(|| shared.work(threads_max, line_max)));
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
        let (shared, line_max) = (Arc::clone(&self.shared), self.line_max);
        reserve.take(move || {
            shared.lock().threads += 1;
            share_directories(|| shared.work(usize::MAX, line_max));
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
        mem::take(&mut state.answers)
    }
}

impl State {
    /// The next job, and whether it has waited in line.
    fn take(&mut self, line_max: usize) -> Option<(Job, bool)> {
        if let Some(job) = self.queue.pop_front() {
            return Some((job, false));
        }
        if self.busy_of_line < line_max { self.line.pop_front().map(|job| (job, true)) } else { None }
    }

    /// What has been written must be made durable before more is begun.
    fn is_full(&self) -> bool {
        self.written.len() >= WRITTEN_MAX || self.written_since.is_some_and(|since| since.elapsed() >= WRITTEN_FOR)
    }

    /// Operations whose changes become durable together.
    fn take_written(&mut self) -> Option<(Gathered, Vec<Job>)> {
        if self.written.is_empty() {
            return None;
        }
        let (first, job) = self.written.remove(0);
        let mut jobs = vec![job];
        jobs.extend(self.written.extract_if(.., |(gathered, _)| gathered.is_with(&first)).map(|(_, job)| job));
        if self.written.is_empty() {
            self.written_since = None;
        }
        Some((first, jobs))
    }

    /// How many jobs wait.
    fn waiting(&self) -> usize {
        self.queue.len() + self.line.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the loop, unless it has been woken and has not come yet.
    fn announce(&self, state: &mut State) {
        if !mem::replace(&mut state.is_announced, true) {
            self.answered.notify_one();
        }
    }

    /// The work of a thread: takes jobs until none waits, or until the thread is not needed any more.
    fn work(&self, threads_max: usize, line_max: usize) {
        let mut state = self.lock();
        loop {
            let next = if state.is_full() { None } else { state.take(line_max) };
            let Some((job, in_line)) = next else {
                let Some((gathered, jobs)) = state.take_written() else { break };
                state.busy += 1;
                drop(state);
                gathered.sync();
                state = self.lock();
                state.busy -= 1;
                if jobs.len() > 1 && !state.is_looked_at {
                    // So that it looks whether one of them holds the others up.
                    self.announce(&mut state);
                }
                jobs.into_iter().rev().for_each(|job| state.queue.push_front(job));
                continue;
            };
            state.taken += 1;
            state.busy += 1;
            state.busy_of_line += usize::from(in_line);
            drop(state);
            let began = Instant::now();
            let stayed = job();
            let was_quick = began.elapsed() < PAUSE;
            state = self.lock();
            state.busy -= 1;
            state.busy_of_line -= usize::from(in_line);
            state.quick = if was_quick { state.quick.saturating_add(1) } else { 0 };
            match stayed {
                Stayed::Ended(answer) => state.answers.extend(answer),
                Stayed::Written { yielded, gathered, then } => {
                    state.answers.extend(yielded);
                    state.written.push((gathered, then));
                    state.written_since.get_or_insert(began);
                }
            }
            // As long as there is more to do than was done, the loop need not be woken.
            let is_enough = state.waiting() <= state.answers.len() || !state.is_looked_at;
            if !state.answers.is_empty() && is_enough {
                self.announce(&mut state);
            }
            if was_quick && state.threads > threads_max && state.is_looked_at && state.written.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl Drop for Lane {
    /// Jobs that have not begun are dropped.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let jobs = (mem::take(&mut state.queue), mem::take(&mut state.line));
        drop(state);
        // Without the lock: a job may hold values of a kind, whose drop runs foreign code.
        drop(jobs);
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Lane").field("waiting", &state.waiting()).field("threads", &state.threads).finish()
    }
}

#[cfg(test)]
mod tests;
