//! Takes part in one schedule: keeps this host among the candidates, follows the list, and writes the next one when the
//! candidates have changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::id::in_one_line;
use crate::resource::{
    Attempts, Chosen, Condition, Fed, Feed, Member, Revision, Schedule, Terms, Transaction, Write, candidate_key,
    chosen_key, schedule_keys,
};
use crate::runtime::hosts::hold::{Held, Hold};
use crate::runtime::hosts::lease::Lease;

/// Each host waits this much longer than the one before it by name until it writes a list, so that not all write it.
const TURN: Duration = Duration::from_millis(20);
/// The longest of these times.
const TURN_MAX: Duration = Duration::from_secs(1);

/// The part of this host in one schedule.
pub(super) struct Deciding {
    pub(super) member: Arc<dyn Member>,
    pub(super) schedule: String,
    /// The host can be chosen. Otherwise it only looks, and writes nothing.
    pub(super) takes_part: bool,
    pub(super) terms: watch::Receiver<Terms>,
    pub(super) known: watch::Sender<Option<Chosen>>,
    pub(super) news: Arc<watch::Sender<u64>>,
}

/// What this host looks at.
struct Look {
    feed: Feed,
    /// What the world has, as it was last known.
    schedule: Schedule,
    /// When the entry of this host was written.
    entered: Option<Revision>,
    /// The state has been read.
    is_read: bool,
    /// For how long this host certainly takes part.
    held: watch::Receiver<Option<Held>>,
    /// That hosts take part on different terms is reported.
    is_reported: bool,
    /// When the list was written that was seen last.
    written: Option<Revision>,
    /// When this host writes the next list.
    turn: Option<Instant>,
    attempts: Attempts,
}

impl Deciding {
    /// Runs until the host leaves; true: it gives up its place at once.
    pub(super) async fn run(self, ttl: Duration, leave: watch::Receiver<Option<bool>>) {
        let key = candidate_key(&self.schedule, self.member.host());
        let lease = Lease::new(Arc::clone(&self.member), ttl);
        let hold = Hold::new(Arc::clone(&self.member), key, lease, "taking part in a schedule");
        let candidate = watch::Sender::new(bytes(&self.terms.borrow()));
        let keys = vec![schedule_keys(&self.schedule)];
        let look = Look {
            feed: Feed::new(Arc::clone(&self.member), keys, Attempts::new("following a schedule")),
            schedule: Schedule::of(&self.schedule, &BTreeMap::new()),
            entered: None,
            is_read: false,
            held: hold.held(),
            is_reported: false,
            written: None,
            turn: None,
            attempts: Attempts::unreported(),
        };
        let value = candidate.subscribe();
        let holds = async {
            match self.takes_part {
                true => hold.run(value, left(leave.clone())).await,
                false => _ = left(leave.clone()).await,
            }
        };
        let mut terms = self.terms.clone();
        let offers = async {
            while terms.changed().await.is_ok() {
                candidate.send_replace(bytes(&terms.borrow_and_update()));
            }
        };
        let decides = async {
            tokio::select! {
                () = self.decide(look) => {}
                () = offers => {}
                _ = left(leave.clone()) => {}
            }
            self.publish(Some(Chosen::default()));
        };
        tokio::join!(holds, decides);
    }

    async fn decide(&self, mut look: Look) {
        loop {
            let seen = self.look(&mut look);
            let later = async {
                match seen.wake {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                fed = look.feed.next() => self.note(&mut look, fed).await,
                _ = look.held.changed() => {}
                () = later => {}
            }
            self.write(&mut look).await;
        }
    }

    /// Notes what has come, and what else is there by then: where many hosts come and go, it is looked at once.
    async fn note(&self, look: &mut Look, fed: Fed) {
        let (own, mut next) = (candidate_key(&self.schedule, self.member.host()), Some(fed));
        while let Some(fed) = next {
            match fed {
                Fed::Snapshot(state) => {
                    look.schedule = Schedule::of(&self.schedule, &state.entries);
                    look.entered = state.entries.get(&own).map(|entry| entry.written);
                    look.is_read = true;
                }
                Fed::Changes(changes) => {
                    for (key, entry) in &changes.entries {
                        look.schedule.set(key, entry.as_ref());
                        if *key == own {
                            look.entered = entry.as_ref().map(|entry| entry.written);
                        }
                    }
                }
                Fed::Failed(pause) => return self.wait(look, pause).await,
            }
            next = look.feed.ready().await;
        }
    }

    /// Waits until the world may answer again. Meanwhile the time of this host may run out.
    async fn wait(&self, look: &mut Look, pause: Duration) {
        let end = Instant::now() + pause;
        loop {
            // What was seen counts no longer once this time is over.
            let until = self.look(look).until;
            sleep_until(until.map_or(end, |until| until.min(end))).await;
            if Instant::now() >= end {
                return;
            }
        }
    }

    /// Looks at the state, and publishes what this host knows.
    fn look(&self, look: &mut Look) -> Seen {
        let schedule = &look.schedule;
        let (now, held, host) = (Instant::now(), *look.held.borrow_and_update(), self.member.host());
        // A state that is older than the present lease may have a list that others have replaced since.
        let is_seen = |held: &Held| look.entered.is_some_and(|entered| entered >= held.since);
        let until = held.filter(|held| now < held.until && is_seen(held)).map(|held| held.until);
        let holds = until.is_some() || !self.takes_part;
        let next = schedule.next().filter(|_| look.is_read && self.takes_part && until.is_some());
        let takes_part = !self.takes_part || schedule.candidates.contains_key(host);
        let is_known = look.is_read && takes_part && holds && next.is_none();
        if is_known || self.known.borrow().is_some() {
            let is_chosen = schedule.is_chosen(host) && holds;
            self.publish(Some(Chosen { is_chosen, data: schedule.data(), hosts: schedule.chosen.clone() }));
        }
        self.report(look);
        let schedule = &look.schedule;
        if std::mem::replace(&mut look.written, schedule.written) != schedule.written {
            look.turn = None;
        }
        look.turn = match (&next, look.turn) {
            (None, _) => None,
            (Some(_), Some(turn)) => Some(turn),
            (Some(_), None) => {
                let place = schedule.candidates.keys().position(|candidate| candidate == host).unwrap_or_default();
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                Some(now + TURN.saturating_mul(place).min(TURN_MAX))
            }
        };
        Seen { next, until, wake: [until, look.turn].into_iter().flatten().min() }
    }

    /// Reports once that hosts take part on different terms.
    fn report(&self, look: &mut Look) {
        let disagreeing = look.schedule.disagreeing();
        if let (Some((one, other)), false) = (disagreeing, look.is_reported) {
            let (name, one, other) = (in_one_line(&self.schedule), in_one_line(one), in_one_line(other));
            tracing::warn!(
                target: "mgmt",
                "the hosts {one} and {other} take part in the schedule `{name}` on different terms: the smallest `max` \
                 counts, and otherwise the terms of {one}",
            );
        }
        look.is_reported = disagreeing.is_some();
    }

    fn publish(&self, known: Option<Chosen>) {
        let is_news = self.known.send_if_modified(|now| {
            let differs = *now != known;
            *now = known;
            differs
        });
        if is_news {
            self.news.send_modify(|count| *count += 1);
        }
    }

    /// Writes the next list, if it is this host's turn. If another host was faster, its list comes as a change.
    async fn write(&self, look: &mut Look) {
        let Seen { next: Some(next), .. } = self.look(look) else { return };
        if look.turn.is_none_or(|turn| Instant::now() < turn) {
            return;
        }
        let key = chosen_key(&self.schedule);
        let condition = Condition { key: key.clone(), written: look.schedule.written };
        // Texts have a form as JSON.
        let put = Write::Put(serde_json::to_vec(&next).unwrap_or_default().into(), None);
        let transaction = Transaction { conditions: vec![condition], writes: [(key, put)].into() };
        let pause = match self.member.commit(transaction).await {
            Ok(_) => {
                look.attempts.succeeded();
                TURN_MAX
            }
            Err(error) => look.attempts.failed(&error),
        };
        // The change that it made comes before that, or another host's.
        look.turn = Some(Instant::now() + pause);
    }
}

/// What there is to do.
struct Seen {
    /// The list that must be written.
    next: Option<Vec<String>>,
    /// Until when this host certainly takes part.
    until: Option<Instant>,
    /// When to look again, although nothing has changed.
    wake: Option<Instant>,
}

fn bytes(terms: &Terms) -> Arc<[u8]> {
    // Numbers and texts have a form as JSON.
    serde_json::to_vec(&terms.candidate).unwrap_or_default().into()
}

/// Returns when the host leaves, with whether it gives up its place at once.
async fn left(mut leave: watch::Receiver<Option<bool>>) -> bool {
    let gives_up = leave.wait_for(Option::is_some).await.ok().and_then(|given_up| *given_up);
    // Without a sender the engine is gone: others see that when the lease has run out.
    gives_up.unwrap_or(false)
}
