//! Reports once that the world of an engine is away, or has no space left, and once that it is back: whatever asks it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::{
    BoxFuture, Keys, LeaseId, Limits, Member, Revision, Snapshot, Transaction, WorldError, WorldWatch, Write,
};

/// A world that does not answer for less than this is not reported: one of its servers may be away, and the others
/// agree on which one leads.
const HICCUP: Duration = Duration::from_secs(5);

/// The access of an engine to its world. All parts of the engine share it, so it knows whether any of them got an
/// answer.
#[derive(Debug)]
pub(crate) struct Reach {
    member: Arc<dyn Member>,
    state: Arc<Mutex<State>>,
}

/// What is known of a world.
#[derive(Debug, Default)]
struct State {
    /// When an answer came last.
    answered: Option<Instant>,
    /// Since when there is none.
    away_since: Option<Instant>,
    is_away_reported: bool,
    is_full_reported: bool,
}

/// What must be reported.
#[derive(Debug, PartialEq)]
enum Report {
    Away(String),
    Back(Duration),
    Full(String),
    Accepts,
}

impl State {
    /// An answer to what was asked then. `writes`: whether it writes something.
    fn note<T>(
        &mut self,
        asked: Instant,
        now: Instant,
        writes: bool,
        answer: &Result<T, WorldError>,
    ) -> Option<Report> {
        if let Err(WorldError::Unreachable(why)) = answer {
            // What was asked before the last answer may have been asked of a server that is away.
            let since = *self.away_since.get_or_insert(self.answered.map_or(asked, |answered| answered.max(asked)));
            let is_news =
                now - since >= HICCUP && !std::mem::replace(&mut self.is_away_reported, now - since >= HICCUP);
            return is_news.then(|| Report::Away(why.clone()));
        }
        self.answered = Some(now);
        let since = self.away_since.take();
        if std::mem::take(&mut self.is_away_reported) {
            return since.map(|since| Report::Back(now - since));
        }
        match answer {
            Err(error @ WorldError::Full(_)) => {
                let is_news = !std::mem::replace(&mut self.is_full_reported, true);
                is_news.then(|| Report::Full(error.to_string()))
            }
            Ok(_) if writes => std::mem::take(&mut self.is_full_reported).then_some(Report::Accepts),
            _ => None,
        }
    }
}

impl Reach {
    pub(crate) fn new(member: Arc<dyn Member>) -> Reach {
        Reach { member, state: Arc::default() }
    }

    fn ask<T: Send + 'static>(
        &self,
        writes: impl FnOnce(&T) -> bool + Send + 'static,
        question: BoxFuture<Result<T, WorldError>>,
    ) -> BoxFuture<Result<T, WorldError>> {
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            let asked = Instant::now();
            let answer = question.await;
            let (now, writes) = (Instant::now(), answer.as_ref().is_ok_and(writes));
            let report = state.lock().unwrap_or_else(PoisonError::into_inner).note(asked, now, writes, &answer);
            if let Some(report) = report {
                report.log();
            }
            answer
        })
    }
}

impl Report {
    /// It concerns no resource, whichever has noticed it.
    fn log(&self) {
        match self {
            Report::Away(why) => tracing::warn!(
                target: "mgmt",
                parent: None,
                "the world can't be reached: {why}; this host continues with what it knows, and tries again until it can",
            ),
            Report::Back(time) => {
                tracing::info!(target: "mgmt", parent: None, "the world can be reached again, after {} s", time.as_secs());
            }
            Report::Full(why) => tracing::warn!(target: "mgmt", parent: None, "{why}"),
            Report::Accepts => tracing::info!(target: "mgmt", parent: None, "the world accepts writes again"),
        }
    }
}

impl Member for Reach {
    fn host(&self) -> &str {
        self.member.host()
    }

    fn limits(&self) -> Limits {
        self.member.limits()
    }

    fn get(&self, keys: Vec<Keys>) -> BoxFuture<Result<Snapshot, WorldError>> {
        self.ask(|_| false, self.member.get(keys))
    }

    fn watch(&self, keys: Vec<Keys>, after: Revision) -> WorldWatch {
        self.member.watch(keys, after)
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<Result<Option<Revision>, WorldError>> {
        // A world without space still removes.
        let writes = transaction.writes.values().any(|write| matches!(write, Write::Put(..)));
        // One whose conditions do not hold writes nothing.
        self.ask(move |revision: &Option<Revision>| writes && revision.is_some(), self.member.commit(transaction))
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<Result<LeaseId, WorldError>> {
        self.ask(|_| true, self.member.lease(ttl))
    }

    fn renew(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.ask(|_| false, self.member.renew(lease))
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.ask(|_| false, self.member.revoke(lease))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away<T>() -> Result<T, WorldError> {
        Err(WorldError::Unreachable("no answer".to_owned()))
    }

    #[test]
    fn what_all_uses_notice_is_reported_once_and_a_hiccup_is_not() {
        let (mut state, start, ms) = (State::default(), Instant::now(), Duration::from_millis);
        let mut note = |asked: u64, now: u64, answer: &Result<(), WorldError>| {
            state.note(start + ms(asked), start + ms(now), true, answer)
        };
        assert_eq!(note(0, 10, &Ok(())), None);
        // One server is away, and the next one answers.
        assert_eq!(note(20, 1500, &away()), None);
        assert_eq!(note(1500, 1600, &Ok(())), None);
        // What was asked before that answer comes too late to mean anything.
        assert_eq!(note(30, 2500, &away()), None);
        assert_eq!(note(2500, 6599, &away()), None);
        let report = note(2500, 6600, &away());
        assert!(matches!(report, Some(Report::Away(_))), "{report:?}");
        for more in 6600..6700 {
            assert_eq!(note(2500, more, &away()), None);
        }
        assert_eq!(note(6700, 7600, &Ok(())), Some(Report::Back(ms(6000))));
        assert_eq!(note(6700, 7700, &Ok(())), None);
        // A refusal is an answer too.
        assert_eq!(note(7700, 7800, &away()), None);
        assert_eq!(note(7800, 7900, &Err(WorldError::NoLease(LeaseId(1)))), None);
        assert_eq!(note(7900, 12_850, &away()), None);
    }

    #[test]
    fn a_world_without_space_is_reported_once_until_it_accepts_a_write() {
        let (mut state, now) = (State::default(), Instant::now());
        let full = || Err::<(), _>(WorldError::Full("etcd".to_owned()));
        assert!(matches!(state.note(now, now, true, &full()), Some(Report::Full(_))));
        assert_eq!(state.note(now, now, true, &full()), None);
        assert_eq!(state.note(now, now, false, &Ok(())), None);
        assert_eq!(state.note(now, now, true, &full()), None);
        assert_eq!(state.note(now, now, true, &Ok(())), Some(Report::Accepts));
        assert_eq!(state.note(now, now, true, &Ok(())), None);
    }
}
