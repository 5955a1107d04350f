//! A world that records all that is asked of it, with the answers and their times.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use mgmt::resource::{
    BoxFuture, Changes, Keys, LeaseId, Limits, Member, Revision, Snapshot, Transaction, World, WorldError, WorldEvent,
    WorldWatch,
};

/// Something that was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) call: u64,
    /// `None`: there was no answer, or nobody waited for it.
    pub(super) answered: Option<(u64, Answer)>,
    pub(super) question: Question,
}

#[derive(Clone, Debug)]
pub(super) enum Question {
    Get(Vec<Keys>),
    Commit(Transaction),
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Got(Snapshot),
    Committed(Option<Revision>),
    Failed(WorldError),
}

/// What a watch of a host has shown.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) keys: Vec<Keys>,
    pub(super) after: Revision,
    pub(super) changes: Vec<Changes>,
}

/// All that was asked of a world.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) asked: Vec<Asked>,
    pub(super) watched: Vec<Watched>,
}

/// The world. Clones record in the same history.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    world: Arc<dyn World>,
    notes: Arc<Notes>,
}

#[derive(Debug)]
struct Notes {
    began: Instant,
    history: Mutex<History>,
}

impl Notes {
    /// Each time is another one.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    pub(super) fn new(world: impl World) -> Recorder {
        Recorder { world: Arc::new(world), notes: Arc::new(Notes { began: Instant::now(), history: Mutex::default() }) }
    }

    /// Through another connection, into the same history.
    pub(super) fn with(&self, world: impl World) -> Recorder {
        Recorder { world: Arc::new(world), notes: Arc::clone(&self.notes) }
    }

    pub(super) fn history(&self) -> History {
        self.notes.history().clone()
    }
}

impl World for Recorder {
    fn member(&self, host: &str) -> Arc<dyn Member> {
        Arc::new(Recording { member: self.world.member(host), notes: Arc::clone(&self.notes) })
    }
}

#[derive(Debug)]
struct Recording {
    member: Arc<dyn Member>,
    notes: Arc<Notes>,
}

impl Recording {
    fn ask<T: Send + 'static>(
        &self,
        question: Question,
        answer: BoxFuture<Result<T, WorldError>>,
        as_answer: impl Fn(&T) -> Answer + Send + 'static,
    ) -> BoxFuture<Result<T, WorldError>> {
        let notes = Arc::clone(&self.notes);
        Box::pin(async move {
            // Noted at the call: if nobody waits for the answer, it may still be carried out.
            let number = {
                let mut history = notes.history();
                history.asked.push(Asked { call: notes.now(), answered: None, question });
                history.asked.len() - 1
            };
            let answer = answer.await;
            let end = notes.now();
            let shown = answer.as_ref().map_or_else(|error| Answer::Failed(error.clone()), as_answer);
            notes.history().asked[number].answered = Some((end, shown));
            answer
        })
    }
}

impl Member for Recording {
    fn host(&self) -> &str {
        self.member.host()
    }

    fn limits(&self) -> Limits {
        self.member.limits()
    }

    fn get(&self, keys: Vec<Keys>) -> BoxFuture<Result<Snapshot, WorldError>> {
        self.ask(Question::Get(keys.clone()), self.member.get(keys), |snapshot| Answer::Got(snapshot.clone()))
    }

    fn watch(&self, keys: Vec<Keys>, after: Revision) -> WorldWatch {
        let notes = Arc::clone(&self.notes);
        let number = {
            let mut history = notes.history();
            history.watched.push(Watched { keys: keys.clone(), after, changes: Vec::new() });
            history.watched.len() - 1
        };
        Box::pin(self.member.watch(keys, after).inspect(move |event| {
            if let WorldEvent::Changed(changes) = event {
                notes.history().watched[number].changes.push(changes.clone());
            }
        }))
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<Result<Option<Revision>, WorldError>> {
        let answer = self.member.commit(transaction.clone());
        self.ask(Question::Commit(transaction), answer, |revision| Answer::Committed(*revision))
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<Result<LeaseId, WorldError>> {
        self.member.lease(ttl)
    }

    fn renew(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.member.renew(lease)
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.member.revoke(lease)
    }
}
