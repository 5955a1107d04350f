//! Takes part in schedules: one task for each that a graph joins.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::resource::{BoxFuture, Chosen, Member, Scheduling, Seat, Terms};
use crate::runtime::hosts::decide::Deciding;

/// The longest time that the end of an engine waits until its host has left all schedules.
const END_MAX: Duration = Duration::from_secs(3);

/// The schedules of an engine. Clones are the same.
#[derive(Clone)]
pub(crate) struct Schedules(Arc<Joined>);

struct Joined {
    member: Arc<dyn Member>,
    labels: BTreeMap<String, String>,
    takes_part: AtomicBool,
    /// The engine ends: a host that leaves a schedule now may keep its place.
    is_ending: AtomicBool,
    running: Mutex<BTreeMap<String, Running>>,
    /// Counts changes.
    news: Arc<watch::Sender<u64>>,
}

/// A schedule that the host has joined.
struct Running {
    seats: usize,
    terms: watch::Sender<Terms>,
    known: watch::Receiver<Option<Chosen>>,
    /// The host leaves; true: it gives up its place at once.
    leave: watch::Sender<Option<bool>>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.0.running).keys()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Schedules {
    /// The schedules of a host that only looks.
    pub(crate) fn new(member: Arc<dyn Member>, labels: BTreeMap<String, String>) -> Schedules {
        Schedules(Arc::new(Joined {
            member,
            labels,
            takes_part: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            running: Mutex::default(),
            news: Arc::new(watch::Sender::new(1)),
        }))
    }

    /// From now on the host can be chosen.
    pub(crate) fn take_part(&self) {
        self.0.takes_part.store(true, Ordering::Relaxed);
    }

    /// The engine ends: a seat that is given up from now on is one of the end.
    pub(crate) fn end_begins(&self) {
        self.0.is_ending.store(true, Ordering::Relaxed);
    }

    /// Leaves all schedules. A host that keeps its place in one stays there until its time is over.
    pub(crate) async fn end(&self) {
        self.end_begins();
        let running = std::mem::take(&mut *lock(&self.0.running));
        let mut tasks = Vec::new();
        for (_, running) in running {
            let is_given_up = !running.terms.borrow().persist;
            running.leave.send_replace(Some(is_given_up));
            tasks.push(running.task);
        }
        let all = async {
            for task in tasks {
                // An error means that the task has panicked. It has ended then, too.
                let _ = task.await;
            }
        };
        // What is not given up in time leaves with its lease.
        let _ = tokio::time::timeout(END_MAX, all).await;
    }
}

impl Joined {
    fn start(&self, schedule: &str, terms: Terms) -> Running {
        let ((known_in, known), leave) = (watch::channel(None), watch::Sender::new(None));
        let ttl = terms.ttl;
        let (terms, terms_in) = watch::channel(terms);
        let deciding = Deciding {
            member: Arc::clone(&self.member),
            schedule: schedule.to_owned(),
            takes_part: self.takes_part.load(Ordering::Relaxed),
            terms: terms_in,
            known: known_in,
            news: Arc::clone(&self.news),
        };
        let task = tokio::spawn(deciding.run(ttl, leave.subscribe()));
        Running { seats: 0, terms, known, leave, task }
    }

    fn leave(&self, schedule: &str) {
        if self.is_ending.load(Ordering::Relaxed) {
            return;
        }
        let mut all = lock(&self.running);
        let Some(running) = all.get_mut(schedule) else { return };
        running.seats -= 1;
        if running.seats == 0 {
            running.leave.send_replace(Some(true));
            all.remove(schedule);
        }
    }
}

impl Scheduling for Schedules {
    fn takes_part(&self) -> bool {
        self.0.takes_part.load(Ordering::Relaxed)
    }

    fn join(&self, schedule: &str, terms: &Terms) -> Seat {
        let mut terms = terms.clone();
        terms.candidate.labels.clone_from(&self.0.labels);
        let mut all = lock(&self.0.running);
        let mut before = all.remove(schedule);
        // Another time needs another lease. Its entry takes the place of the one before.
        if let Some(running) = before.take_if(|running| running.terms.borrow().ttl != terms.ttl) {
            running.leave.send_replace(Some(false));
            let (seats, other) = (running.seats, self.0.start(schedule, terms.clone()));
            before = Some(Running { seats, ..other });
        }
        let mut running = before.unwrap_or_else(|| self.0.start(schedule, terms.clone()));
        running.seats += 1;
        running.terms.send_if_modified(|now| std::mem::replace(now, terms.clone()) != terms);
        all.insert(schedule.to_owned(), running);
        let (joined, schedule): (Weak<Joined>, _) = (Arc::downgrade(&self.0), schedule.to_owned());
        Seat::new(move || {
            if let Some(joined) = joined.upgrade() {
                joined.leave(&schedule);
            }
        })
    }

    fn known(&self, schedule: &str) -> Option<Chosen> {
        lock(&self.0.running).get(schedule).and_then(|running| running.known.borrow().clone())
    }

    fn changed(&self, after: u64) -> BoxFuture<u64> {
        let mut news = self.0.news.subscribe();
        Box::pin(async move {
            let count = news.wait_for(|count| *count > after).await.ok().map(|count| *count);
            match count {
                Some(count) => count,
                // The engine is gone.
                None => std::future::pending().await,
            }
        })
    }
}
