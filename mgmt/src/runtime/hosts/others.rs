//! Follows the other hosts for an engine that has converged only when all have.
//!
//! This is no resource of the graph: what a host reports is whether its own graph has converged, so a resource that
//! waits for the reports of others would keep two hosts from ever reporting that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::resource::{Attempts, ClusterHost, Followed, Following, Member, READ_MAX, cluster_hosts, cluster_keys};
use crate::runtime::drive::Request;
use crate::runtime::outlook::Others;

/// All hosts must have converged for at least this time: what one of them has changed takes a moment to reach another
/// one, and to be reported from there.
const HOLD: Duration = Duration::from_secs(1);

/// What is known of the other hosts over time.
#[derive(Debug)]
struct Watched {
    /// For how long all must have converged.
    timeout: Duration,
    /// What they have last reported of their convergence, and since when.
    last: BTreeMap<String, (u64, bool, bool, String)>,
    since: Instant,
    /// Since when the world is away.
    away: Option<Instant>,
}

impl Watched {
    fn new(timeout: Duration, now: Instant) -> Watched {
        Watched { timeout: timeout.max(HOLD), last: BTreeMap::new(), since: now, away: None }
    }

    /// The verdict on what is known now, and when another look is due.
    fn judge(&mut self, now: Instant, host: &str, hosts: &[ClusterHost]) -> (Others, Option<Instant>) {
        let others: Vec<&ClusterHost> = hosts.iter().filter(|other| other.name != host).collect();
        let of = |other: &&ClusterHost| {
            let state = other.state.clone().unwrap_or_default();
            (other.name.clone(), (other.alive.run, state.converged, state.hopeless, state.since))
        };
        let seen: BTreeMap<_, _> = others.iter().map(of).collect();
        // A host that has ended does not count any more, and changes nothing for those that are left.
        let is_news = seen.iter().any(|(name, state)| self.last.get(name) != Some(state));
        let was_away = self.away.take().is_some();
        if is_news || was_away {
            self.since = now;
        }
        self.last = seen;
        let over = self.since + self.timeout;
        let obstacles: Vec<String> = others.iter().filter_map(|other| other.obstacle()).collect();
        let stuck = |other: &&&ClusterHost| other.state.as_ref().is_some_and(|state| state.hopeless);
        match obstacles.split_first() {
            None if now >= over => (Others::Converged, None),
            None => (Others::Moving("the other hosts have converged only just now".to_owned()), Some(over)),
            Some((first, rest)) => {
                let more = match rest.len() {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                };
                let why = format!("{first}{more}");
                match others.iter().filter(stuck).count() == obstacles.len() {
                    true if now >= over => (Others::Stuck(why), None),
                    true => (Others::Moving(why), Some(over)),
                    false => (Others::Moving(why), None),
                }
            }
        }
    }

    /// The verdict while the world is away, and when another look is due.
    fn judge_away(&mut self, now: Instant) -> (Others, Option<Instant>) {
        let why = "the world can't be reached, so the state of the other hosts is not known".to_owned();
        let over = *self.away.get_or_insert(now) + self.timeout.max(READ_MAX);
        if now >= over { (Others::Stuck(why), None) } else { (Others::Moving(why), Some(over)) }
    }
}

/// Tells the loop how far the other hosts have got. Never returns while the engine runs.
pub(crate) async fn follow_others(
    member: Arc<dyn Member>,
    timeout: Duration,
    requests: mpsc::WeakUnboundedSender<Request>,
) {
    let host = member.host().to_owned();
    let mut following = Following::new(member, cluster_keys(), Attempts::new("following the states of hosts"));
    let (mut watched, mut last) = (Watched::new(timeout, Instant::now()), None);
    // Until then, nothing is asked; `None`: the world answers.
    let mut paused = Some(Instant::now());
    loop {
        let now = Instant::now();
        let (verdict, due) = match following.is_listening() {
            true => watched.judge(now, &host, &cluster_hosts(&following.state().entries)),
            false => watched.judge_away(now),
        };
        if last.as_ref() != Some(&verdict) {
            let Some(requests) = requests.upgrade() else { return };
            // An error means that the loop has ended.
            let _ = requests.send(Request::Others(verdict.clone()));
            last = Some(verdict);
        }
        let step = async {
            if let Some(until) = paused {
                sleep_until(until).await;
            }
            following.next().await
        };
        let later = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            followed = step => paused = match followed {
                Followed::Changed => None,
                Followed::Failed(pause) => Some(Instant::now() + pause),
            },
            () = later => {}
        }
    }
}
