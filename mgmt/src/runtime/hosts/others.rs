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
    /// The world has answered.
    is_known: bool,
    /// Since when the world is away.
    away: Option<Instant>,
}

impl Watched {
    fn new(timeout: Duration, now: Instant) -> Watched {
        Watched { timeout: timeout.max(HOLD), last: BTreeMap::new(), since: now, is_known: false, away: None }
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
        self.is_known = true;
        if is_news || was_away {
            self.since = now;
        }
        self.last = seen;
        let over = self.since + self.timeout;
        let obstacles: Vec<String> = others.iter().filter_map(|other| other.obstacle()).collect();
        let stuck = |other: &&&ClusterHost| other.state.as_ref().is_some_and(|state| state.hopeless);
        match obstacles.split_first() {
            None if now >= over => (Others::Converged, None),
            None => (Others::Settling, Some(over)),
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
        match (now >= over, self.is_known) {
            (true, _) => (Others::Stuck(why), None),
            (false, true) => (Others::Moving(why), Some(over)),
            (false, false) => (Others::Unknown, Some(over)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Entry, Revision, alive_key, state_key};

    fn hosts(all: &[(&str, &str)]) -> Vec<ClusterHost> {
        let entry = |text: &str| Entry { value: text.as_bytes().into(), written: Revision(1), lease: None };
        let mut entries = BTreeMap::new();
        for (name, state) in all {
            entries.insert(alive_key(name), entry(r#"{"run": 1}"#));
            entries.insert(state_key(name), entry(&format!(r#"{{"run": 1, {state}}}"#)));
        }
        cluster_hosts(&entries)
    }

    const GOOD: &str = r#""converged": true, "since": "a""#;
    const BAD: &str = r#""hopeless": true"#;
    const BUSY: &str = r#""converged": false"#;

    fn why(verdict: &Others) -> &str {
        match verdict {
            Others::Unknown | Others::Converged | Others::Settling => "",
            Others::Moving(why) | Others::Stuck(why) => why,
        }
    }

    #[test]
    fn all_others_must_have_converged_for_the_timeout_without_interruption() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut watched = Watched::new(Duration::from_secs(5), start);
        let mut judge = |at: u32, all: &[(&str, &str)]| watched.judge(start + second * at, "a", &hosts(all));
        // This host does not count, whatever it reports.
        let (verdict, due) = judge(0, &[("a", BUSY), ("b", GOOD), ("c", GOOD)]);
        assert_eq!((verdict, due), (Others::Settling, Some(start + second * 5)));
        assert_eq!(judge(5, &[("a", BAD), ("b", GOOD), ("c", GOOD)]).0, Others::Converged);
        // It has moved in between: it has converged at another time.
        let moved = r#""converged": true, "since": "b""#;
        assert_eq!(judge(6, &[("b", moved), ("c", GOOD)]).1, Some(start + second * 11));
        // One that has gone changes nothing for those that are left.
        assert_eq!(judge(10, &[("b", moved)]).0, Others::Settling);
        assert_eq!(judge(11, &[("b", moved)]).0, Others::Converged);
        let (verdict, due) = judge(12, &[("b", moved), ("c", BUSY), ("d", BAD), ("e", BAD)]);
        assert_eq!((why(&verdict), due), ("c has not converged; and 2 more", None));
        // None of those that are left can by itself.
        let (verdict, due) = judge(13, &[("b", moved), ("d", BAD), ("e", BAD)]);
        assert!(matches!(verdict, Others::Moving(_)) && due == Some(start + second * 17), "{verdict:?}");
        let (verdict, _) = judge(17, &[("b", moved), ("d", BAD), ("e", BAD)]);
        assert_eq!(verdict, Others::Stuck("d can't converge; and 1 more".to_owned()));
    }

    #[test]
    fn the_time_without_the_world_does_not_count() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut watched = Watched::new(Duration::ZERO, start);
        let all = hosts(&[("b", GOOD)]);
        assert_eq!(watched.judge(start, "a", &all).0, Others::Settling, "at least for a second");
        assert_eq!(watched.judge(start + second, "a", &all).0, Others::Converged);
        let (verdict, due) = watched.judge_away(start + second * 2);
        assert!(matches!(verdict, Others::Moving(_)) && due == Some(start + second * 2 + READ_MAX));
        assert!(matches!(watched.judge_away(start + second * 2 + READ_MAX).0, Others::Stuck(_)));
        let back = start + second * 10;
        assert_eq!(watched.judge(back, "a", &all).0, Others::Settling);
        assert_eq!(watched.judge(back + second, "a", &all).0, Others::Converged);
        assert_eq!(Watched::new(Duration::ZERO, start).judge_away(start).0, Others::Unknown, "at a start");
        // Without any other host there is nothing to wait for.
        assert_eq!(
            Watched::new(Duration::ZERO, start).judge(start + second, "a", &hosts(&[("a", BUSY)])).0,
            Others::Converged
        );
    }
}
