//! Schedules with hosts that come, die, and overtake one another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::resource::hosts::schedule::{Candidate, PickOrder, Schedule, candidate_key, chosen_key};
use crate::resource::world::{Entry, Revision};

const NAME: &str = "back/up";
const HOSTS: u8 = 7;

fn host(n: u8) -> String {
    format!("web{n}")
}

/// The world, as far as the schedule is concerned, and the states in which it was.
#[derive(Debug, Default)]
struct World {
    now: BTreeMap<String, Entry>,
    revision: Revision,
    past: Vec<Schedule>,
}

impl World {
    fn put(&mut self, key: String, value: Option<Vec<u8>>) {
        self.revision.0 += 1;
        match value {
            Some(value) => {
                let entry = Entry { value: Arc::from(value), written: self.revision, lease: None };
                self.now.insert(key, entry);
            }
            None => drop(self.now.remove(&key)),
        }
        self.past.push(self.schedule());
    }

    fn schedule(&self) -> Schedule {
        Schedule::of(NAME, &self.now)
    }

    fn join(&mut self, n: u8, candidate: &Candidate) {
        self.put(candidate_key(NAME, &host(n)), Some(serde_json::to_vec(candidate).unwrap()));
    }

    fn die(&mut self, n: u8) {
        self.put(candidate_key(NAME, &host(n)), None);
    }

    /// A host that sees an older state makes a new list of it. It counts only if no other one was written since.
    fn decide(&mut self, seen: &Schedule) {
        if let Some(next) = seen.next()
            && self.schedule().written == seen.written
        {
            self.put(chosen_key(NAME), Some(serde_json::to_vec(&next).unwrap()));
        }
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            self.decide(&self.schedule());
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Join(u8, Candidate),
    Die(u8),
    /// A host decides on what it saw this many states ago.
    Decide(usize),
}

fn candidate(max: impl Strategy<Value = u32>) -> impl Strategy<Value = Candidate> {
    (max, any::<bool>(), 0u8..3, 0u8..3).prop_map(|(max, is_spread, terms, label)| {
        let role = |n: u8| BTreeMap::from([("role".to_owned(), format!("r{n}"))]);
        let (only, prefer) = match terms {
            0 => (BTreeMap::new(), BTreeMap::new()),
            1 => (role(1), BTreeMap::new()),
            _ => (BTreeMap::new(), role(1)),
        };
        let strategy = if is_spread { PickOrder::Spread } else { PickOrder::Alphabetical };
        Candidate { max, strategy, only, prefer, labels: role(label), data: String::new() }
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..HOSTS, candidate(0u32..5)).prop_map(|(n, candidate)| Event::Join(n, candidate)),
        2 => (0..HOSTS).prop_map(Event::Die),
        4 => (0usize..4).prop_map(Event::Decide),
    ];
    prop::collection::vec(event, 0..60)
}

fn set(hosts: &[String]) -> BTreeSet<&String> {
    hosts.iter().collect()
}

proptest! {
    #[test]
    fn at_most_the_agreed_number_is_chosen_and_a_chosen_host_that_can_stay_does(events in events()) {
        let mut world = World::default();
        for event in events {
            match event {
                Event::Join(n, candidate) => world.join(n, &candidate),
                Event::Die(n) => world.die(n),
                Event::Decide(ago) => {
                    let at = world.past.len().saturating_sub(ago + 1);
                    let Some(seen) = world.past.get(at).cloned() else { continue };
                    let next = seen.next().unwrap_or_else(|| seen.chosen.clone());
                    prop_assert!(next.len() <= seen.max());
                    prop_assert!(next.iter().all(|host| seen.candidates.contains_key(host)));
                    // Minimal moves: one that leaves could not stay, or there were too many; and none comes as long as
                    // there are enough.
                    let (before, after) = (set(&seen.chosen), set(&next));
                    let able: BTreeSet<&String> = before.iter().copied().filter(|host| {
                        let (candidate, terms) = (seen.candidates.get(*host), seen.candidates.values().next());
                        candidate.is_some_and(|candidate| terms.is_some_and(|terms| {
                            terms.only.iter().all(|(name, value)| candidate.labels.get(name) == Some(value))
                        }))
                    }).collect();
                    let left = able.difference(&after).count();
                    prop_assert_eq!(left, able.len().saturating_sub(seen.max()));
                    prop_assert!(left == 0 || after.is_subset(&before));
                    world.decide(&seen);
                }
            }
            // Those that act on a revision are those that it names and that live.
            let now = world.schedule();
            let acting = (0..HOSTS).filter(|n| now.is_chosen(&host(*n))).count();
            let allowed = world.past.iter().map(Schedule::max).max().unwrap_or_default();
            prop_assert!(acting <= allowed);
        }
        // When all is quiet, one list is right for all.
        world.settle();
        let last = world.schedule();
        prop_assert_eq!(last.next(), None);
        let terms = last.candidates.values().next();
        let able = last.candidates.values().filter(|candidate| terms.is_some_and(|terms| {
            terms.only.iter().all(|(name, value)| candidate.labels.get(name) == Some(value))
        })).count();
        prop_assert_eq!(last.chosen.len(), able.min(last.max()));
    }

    /// With one number for all, not even for one revision more hosts act.
    #[test]
    fn never_more_than_n_act_on_one_revision(events in events(), max in 1u32..4) {
        let mut world = World::default();
        for event in events {
            match event {
                Event::Join(n, candidate) => world.join(n, &Candidate { max, ..candidate }),
                Event::Die(n) => world.die(n),
                Event::Decide(ago) => {
                    let at = world.past.len().saturating_sub(ago + 1);
                    if let Some(seen) = world.past.get(at).cloned() {
                        world.decide(&seen);
                    }
                }
            }
            let now = world.schedule();
            prop_assert!((0..HOSTS).filter(|n| now.is_chosen(&host(*n))).count() <= max as usize);
        }
    }

    #[test]
    fn what_is_in_the_world_is_read_whatever_it_is(value in prop::collection::vec(any::<u8>(), 0..40), key in "[a-z/%]{0,12}") {
        let entry = Entry { value: Arc::from(value), written: Revision(1), lease: None };
        let keys = [chosen_key(NAME), candidate_key(NAME, &key), format!("/mgmt/schedules/back%2Fup/{key}")];
        let schedule = Schedule::of(NAME, &keys.map(|key| (key, entry.clone())).into());
        let _ = schedule.next();
    }
}

#[test]
fn several_schedules_spread_over_all_hosts_and_a_host_that_comes_moves_nothing() {
    let mut times = BTreeMap::new();
    for n in 0..1000 {
        let mut schedule = Schedule { name: format!("job{n}"), ..Schedule::default() };
        schedule.candidates.extend((0..10).map(|n| (host(n), Candidate::default())));
        let next = schedule.next().unwrap();
        assert_eq!(next.len(), 1);
        *times.entry(next[0].clone()).or_insert(0) += 1;
        schedule.chosen = next;
        schedule.candidates.insert("new".to_owned(), Candidate::default());
        assert_eq!(schedule.next(), None);
    }
    assert!(times.len() == 10 && times.values().all(|times| (60..140).contains(times)), "{times:?}");
}

#[test]
fn hosts_are_chosen_by_name_or_label_and_lost_ones_are_replaced() {
    let mut schedule = Schedule { name: NAME.to_owned(), ..Schedule::default() };
    let role = |role: &str| BTreeMap::from([("role".to_owned(), role.to_owned())]);
    let terms = Candidate { max: 2, strategy: PickOrder::Alphabetical, ..Candidate::default() };
    for (host, label) in [("a", "db"), ("b", "web"), ("c", "web"), ("d", "web")] {
        schedule.candidates.insert(host.to_owned(), Candidate { labels: role(label), ..terms.clone() });
    }
    assert_eq!(schedule.disagreeing(), None, "labels are no terms");
    schedule.candidates.get_mut("c").unwrap().max = 1;
    assert_eq!(schedule.disagreeing(), Some(("a", "c")));
    schedule.candidates.get_mut("c").unwrap().max = 2;
    assert_eq!(schedule.next().unwrap(), ["a", "b"]);
    schedule.chosen = vec!["c".to_owned(), "d".to_owned()];
    assert_eq!(schedule.next(), None, "they stay");
    schedule.candidates.remove("d");
    assert_eq!(schedule.next().unwrap(), ["a", "c"]);
    let set =
        |schedule: &mut Schedule, change: &dyn Fn(&mut Candidate)| schedule.candidates.values_mut().for_each(change);
    set(&mut schedule, &|candidate| candidate.only = role("web"));
    assert_eq!(schedule.next().unwrap(), ["b", "c"]);
    set(&mut schedule, &|candidate| (candidate.only, candidate.prefer) = (BTreeMap::new(), role("web")));
    schedule.chosen.clear();
    assert_eq!(schedule.next().unwrap(), ["b", "c"]);
    set(&mut schedule, &|candidate| candidate.max = 3);
    assert_eq!(schedule.next().unwrap(), ["a", "b", "c"], "the others come last");
    set(&mut schedule, &|candidate| candidate.max = 0);
    schedule.chosen = vec!["a".to_owned()];
    assert!(schedule.next().unwrap().is_empty());
}
