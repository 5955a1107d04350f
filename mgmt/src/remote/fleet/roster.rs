//! Which of many hosts run, wait for a place or have ended, and when the run of all of them is over. It decides, and
//! carries out nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::remote::fleet::settings::FleetUntil;

/// The pause before the first new connection to a host that was lost. It doubles with each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A host that ran for this long is no longer one that fails again and again.
const SOUND: Duration = Duration::from_secs(60);

/// How the run of one host has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this exit code.
    Code(u8),
    /// The host could not be reached, or was lost, which can pass.
    Lost,
    /// It failed, and would fail again.
    Failed,
}

/// What must be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Start the run of this host.
    Start(String),
    /// Stop the run of this host, which is no longer in the list.
    Stop(String),
    /// Stop the runs of all hosts: what they ran for is reached, or can't be.
    StopAll(Verdict),
}

/// Why the runs of all hosts are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// All hosts are converged.
    Converged,
    /// A host has failed or can't converge, and all others have nothing more to do.
    Hopeless,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running {
        since: Duration,
        converged: bool,
        hopeless: bool,
        stopping: bool,
    },
    /// Lost, and tried again at this time.
    Pausing(Duration),
    Ended(Ending),
}

#[derive(Debug)]
struct Place {
    is_listed: bool,
    phase: Phase,
    /// How many times in a row it was lost.
    lost: u32,
}

/// The hosts and their phases. Times are counted from the start of the run.
#[derive(Debug)]
pub(super) struct Roster {
    until: FleetUntil,
    running_max: usize,
    /// In the order of the list, which is that of their starts.
    order: Vec<String>,
    places: BTreeMap<String, Place>,
    /// Whether the list can change.
    is_followed: bool,
    is_stopping: bool,
}

impl Roster {
    /// `running_max`: at most this many hosts run at once.
    pub(super) fn new(until: FleetUntil, running_max: usize) -> Roster {
        let (order, places) = (Vec::new(), BTreeMap::new());
        Roster { until, running_max, order, places, is_followed: true, is_stopping: false }
    }

    /// The list of hosts is this from now on. The names differ from one another.
    pub(super) fn list(&mut self, names: Vec<String>) {
        for place in self.places.values_mut() {
            place.is_listed = false;
        }
        for name in &names {
            let new = || Place { is_listed: true, phase: Phase::Waiting, lost: 0 };
            self.places.entry(name.clone()).or_insert_with(new).is_listed = true;
        }
        let is_over = |place: &Place| !place.is_listed && !matches!(place.phase, Phase::Running { .. });
        self.places.retain(|_, place| !is_over(place));
        self.order = names;
    }

    /// The list does not change any more.
    pub(super) fn list_is_final(&mut self) {
        self.is_followed = false;
    }

    /// Something that concerns all hosts has changed, such as the graph: what has ended or is paused gets a new try.
    pub(super) fn try_again(&mut self) {
        for place in self.places.values_mut() {
            if matches!(place.phase, Phase::Pausing(_) | Phase::Ended(Ending::Lost | Ending::Failed)) {
                (place.phase, place.lost) = (Phase::Waiting, 0);
            }
        }
    }

    /// No host is started any more.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        for place in self.places.values_mut() {
            match place.phase {
                Phase::Pausing(_) => place.phase = Phase::Ended(Ending::Lost),
                Phase::Running { ref mut stopping, .. } => *stopping = true,
                Phase::Waiting | Phase::Ended(_) => {}
            }
        }
    }

    /// A host is converged, or is not any more.
    pub(super) fn converged(&mut self, name: &str, now: bool) {
        if let Some(Phase::Running { converged, .. }) = self.places.get_mut(name).map(|place| &mut place.phase) {
            *converged = now;
        }
    }

    /// A host can't converge by itself, or can again.
    pub(super) fn hopeless(&mut self, name: &str, now: bool) {
        if let Some(Phase::Running { hopeless, .. }) = self.places.get_mut(name).map(|place| &mut place.phase) {
            *hopeless = now;
        }
    }

    /// The run of a host has ended. Returns the pause before the next try, if there will be one.
    pub(super) fn ended(&mut self, name: &str, ending: Ending, now: Duration) -> Option<Duration> {
        let place = self.places.get_mut(name)?;
        let Phase::Running { since, stopping, .. } = place.phase else { return None };
        if !place.is_listed {
            self.places.remove(name);
            return None;
        }
        if self.is_stopping {
            place.phase = Phase::Ended(ending);
            return None;
        }
        if stopping {
            // It left the list and came back meanwhile.
            place.phase = Phase::Waiting;
            return None;
        }
        if self.until != FleetUntil::Stopped || ending != Ending::Lost {
            place.phase = Phase::Ended(ending);
            return None;
        }
        if now.saturating_sub(since) >= SOUND {
            place.lost = 0;
        }
        let pause = PAUSE.saturating_mul(1 << place.lost.min(16)).min(PAUSE_MAX);
        place.lost += 1;
        place.phase = Phase::Pausing(now + pause);
        Some(pause)
    }

    /// The time at which [`step`](Roster::step) must be called again although nothing has happened.
    pub(super) fn next_try(&self) -> Option<Duration> {
        let times = self.places.values().filter_map(|place| match place.phase {
            Phase::Pausing(until) => Some(until),
            _ => None,
        });
        times.min()
    }

    /// What must be done next; `None`: nothing for now.
    pub(super) fn step(&mut self, now: Duration) -> Option<Step> {
        for (name, place) in &mut self.places {
            if let (false, Phase::Running { stopping, .. }) = (place.is_listed, &mut place.phase)
                && !std::mem::replace(stopping, true)
            {
                return Some(Step::Stop(name.clone()));
            }
        }
        if self.is_stopping {
            return None;
        }
        if let Some(verdict) = self.verdict() {
            self.stop();
            return Some(Step::StopAll(verdict));
        }
        let running = self.places.values().filter(|place| matches!(place.phase, Phase::Running { .. })).count();
        if running >= self.running_max {
            return None;
        }
        let is_due = |phase: Phase| match phase {
            Phase::Waiting => true,
            Phase::Pausing(until) => until <= now,
            Phase::Running { .. } | Phase::Ended(_) => false,
        };
        let name = self.order.iter().find(|name| self.places.get(*name).is_some_and(|place| is_due(place.phase)))?;
        self.places.get_mut(name)?.phase =
            Phase::Running { since: now, converged: false, hopeless: false, stopping: false };
        Some(Step::Start(name.clone()))
    }

    fn verdict(&self) -> Option<Verdict> {
        if self.until != FleetUntil::AllConverge {
            return None;
        }
        let mut verdict = Verdict::Converged;
        for place in self.places.values() {
            match place.phase {
                Phase::Running { converged: true, .. } => {}
                // One that has ended by itself no longer counts.
                Phase::Ended(Ending::Code(0)) => {}
                Phase::Running { hopeless: true, .. } | Phase::Ended(_) => verdict = Verdict::Hopeless,
                Phase::Running { .. } | Phase::Waiting | Phase::Pausing(_) => return None,
            }
        }
        Some(verdict)
    }

    /// Whether the run of all hosts is over: nothing runs, and nothing will.
    pub(super) fn is_over(&self) -> bool {
        let mut phases = self.places.values().map(|place| place.phase);
        if self.is_stopping {
            return !phases.any(|phase| matches!(phase, Phase::Running { .. }));
        }
        let have_ended = phases.all(|phase| matches!(phase, Phase::Ended(_)));
        have_ended && (self.until == FleetUntil::EachEnds || !self.is_followed)
    }

    /// The hosts that were never started, in the order of the list.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &str> {
        let is_waiting = |name: &&String| self.places.get(*name).is_some_and(|place| place.phase == Phase::Waiting);
        self.order.iter().filter(is_waiting).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn start(name: &str) -> Option<Step> {
        Some(Step::Start(name.to_owned()))
    }

    fn roster(until: FleetUntil, running_max: usize, hosts: &[&str]) -> Roster {
        let mut roster = Roster::new(until, running_max);
        roster.list(names(hosts));
        roster.list_is_final();
        roster
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn at_most_as_many_hosts_run_as_there_are_places_and_in_the_order_of_the_list() {
        let mut roster = roster(FleetUntil::EachEnds, 2, &["c", "a", "b"]);
        assert_eq!((roster.step(NOW), roster.step(NOW), roster.step(NOW)), (start("c"), start("a"), None));
        assert_eq!(roster.waiting().collect::<Vec<_>>(), ["b"]);
        assert_eq!(roster.ended("a", Ending::Lost, NOW), None);
        assert_eq!((roster.step(NOW), roster.step(NOW)), (start("b"), None));
        roster.ended("c", Ending::Code(0), NOW);
        assert!(!roster.is_over());
        roster.ended("b", Ending::Code(2), NOW);
        assert!(roster.is_over() && roster.step(NOW).is_none());
    }

    #[test]
    fn all_must_be_converged_at_the_same_time() {
        let mut roster = roster(FleetUntil::AllConverge, 9, &["a", "b"]);
        roster.step(NOW);
        roster.converged("a", true);
        assert_eq!(roster.step(NOW), start("b"), "one that does not run yet is not converged");
        roster.converged("a", false);
        roster.converged("b", true);
        assert_eq!(roster.step(NOW), None);
        roster.converged("a", true);
        assert_eq!(roster.step(NOW), Some(Step::StopAll(Verdict::Converged)));
        assert_eq!((roster.step(NOW), roster.is_over()), (None, false));
        roster.ended("a", Ending::Code(0), NOW);
        roster.ended("b", Ending::Code(0), NOW);
        assert!(roster.is_over());
    }

    #[test]
    fn a_host_that_fails_ends_the_run_only_when_the_others_have_nothing_to_do() {
        let mut roster = roster(FleetUntil::AllConverge, 9, &["a", "b", "c"]);
        while roster.step(NOW).is_some() {}
        roster.ended("a", Ending::Lost, NOW);
        roster.converged("b", true);
        assert_eq!((roster.step(NOW), roster.is_over()), (None, false));
        roster.hopeless("c", true);
        assert_eq!(roster.step(NOW), Some(Step::StopAll(Verdict::Hopeless)));
    }

    #[test]
    fn a_resource_that_ends_the_run_of_its_host_well_does_not_keep_the_others() {
        let mut roster = roster(FleetUntil::AllConverge, 9, &["a", "b"]);
        while roster.step(NOW).is_some() {}
        roster.ended("a", Ending::Code(0), NOW);
        roster.converged("b", true);
        assert_eq!(roster.step(NOW), Some(Step::StopAll(Verdict::Converged)));
    }

    #[test]
    fn an_empty_list_is_converged_and_a_run_that_stays_waits_for_a_longer_one() {
        assert_eq!(roster(FleetUntil::AllConverge, 9, &[]).step(NOW), Some(Step::StopAll(Verdict::Converged)));
        assert!(roster(FleetUntil::EachEnds, 9, &[]).is_over());
        let mut roster = Roster::new(FleetUntil::Stopped, 9);
        roster.list(Vec::new());
        assert!(!roster.is_over(), "the list can change");
        roster.list(names(&["a"]));
        assert_eq!(roster.step(NOW), start("a"));
    }

    #[test]
    fn a_lost_host_is_tried_again_after_growing_pauses() {
        let mut roster = roster(FleetUntil::Stopped, 9, &["a"]);
        let (mut now, mut pauses) = (NOW, Vec::new());
        for _ in 0..9 {
            assert_eq!(roster.step(now), start("a"));
            let pause = roster.ended("a", Ending::Lost, now).unwrap();
            assert_eq!((roster.step(now), roster.next_try()), (None, Some(now + pause)));
            now += pause;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // It ran well for a while.
        assert_eq!(roster.step(now), start("a"));
        assert_eq!(roster.ended("a", Ending::Lost, now + SOUND), Some(PAUSE));
        // What would fail again is not tried again, until something changes.
        now += SOUND + PAUSE;
        assert_eq!(roster.step(now), start("a"));
        assert_eq!((roster.ended("a", Ending::Failed, now), roster.is_over()), (None, true));
        roster.try_again();
        assert_eq!((roster.is_over(), roster.step(now)), (false, start("a")));
    }

    #[test]
    fn a_changed_list_stops_what_left_it_and_starts_what_is_new() {
        let mut roster = Roster::new(FleetUntil::Stopped, 9);
        roster.list(names(&["a", "b"]));
        while roster.step(NOW).is_some() {}
        roster.list(names(&["b", "c"]));
        assert_eq!((roster.step(NOW), roster.step(NOW)), (Some(Step::Stop("a".to_owned())), start("c")));
        // It comes back before it has stopped, and runs again afterwards.
        roster.list(names(&["a", "b", "c"]));
        assert_eq!(roster.step(NOW), None);
        assert_eq!(roster.ended("a", Ending::Code(0), NOW), None);
        assert_eq!((roster.step(NOW), roster.step(NOW)), (start("a"), None));
        // One that has left for good is forgotten when it has ended.
        roster.list(names(&["b", "c"]));
        roster.step(NOW);
        roster.ended("a", Ending::Lost, NOW);
        assert!(!roster.places.contains_key("a"));
    }

    #[test]
    fn nothing_starts_after_a_stop() {
        let mut roster = roster(FleetUntil::Stopped, 1, &["a", "b"]);
        roster.step(NOW);
        roster.stop();
        assert_eq!((roster.step(NOW), roster.is_over()), (None, false));
        assert_eq!(roster.ended("a", Ending::Lost, NOW), None);
        assert!(roster.is_over() && roster.step(NOW).is_none());
        assert_eq!(roster.waiting().collect::<Vec<_>>(), ["b"]);
    }
}
