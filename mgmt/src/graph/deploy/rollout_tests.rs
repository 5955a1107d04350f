//! Deploys in waves with hosts that switch, converge, fail, die and come back, moved on by programs that look at states
//! of different ages and die between any two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::graph::Head;
use crate::graph::deploy::rollout::{Fate, Rollout, Stage, Terms, Wave, WaveGoal, target, wrong_waves};
use crate::resource::{
    ClusterHost, Entry, FollowedDeploy, HostState, HostTrouble, RefusedDeploy, Revision, alive_key, cluster_hosts,
    state_key,
};

const TIMEOUT: u64 = 600;
const IN_TIME: Duration = Duration::from_secs(TIMEOUT - 1);
const LATE: Duration = Duration::from_secs(TIMEOUT);

fn head(text: &str) -> Head {
    Head::of(text.as_bytes())
}

fn terms(waves: &[Wave]) -> Terms {
    let (goal, timeout) = (WaveGoal::Converged, TIMEOUT);
    Terms { waves: waves.to_vec(), goal, stop_after_failed: 1, revert: false, timeout }
}

fn names(names: &[&str]) -> Wave {
    Wave::Hosts(names.iter().map(|name| (*name).to_owned()).collect())
}

/// What is on a host.
#[derive(Clone, Debug)]
struct OnHost {
    is_alive: bool,
    deploy: Head,
    converged: bool,
    failed: bool,
    refuses: bool,
}

/// A world, and the hosts.
#[derive(Clone, Debug)]
struct Scene {
    head: Head,
    rollout: Rollout,
    /// How often the rollout was replaced.
    written: u64,
    hosts: BTreeMap<String, OnHost>,
}

fn seen(hosts: &BTreeMap<String, OnHost>) -> Vec<ClusterHost> {
    let mut entries = BTreeMap::new();
    let entry = |value: Vec<u8>| Entry { value: value.into(), written: Revision(1), lease: None };
    for (name, host) in hosts.iter().filter(|(_, host)| host.is_alive) {
        entries.insert(alive_key(name), entry(br#"{"run": 1}"#.to_vec()));
        let (mut state, mut follows) = (HostState::default(), FollowedDeploy::default());
        (state.run, state.converged) = (1, host.converged && !host.failed);
        if host.failed {
            state.failed = 1;
            let mut trouble = HostTrouble::default();
            (trouble.resource, trouble.state) = ("file[/x]".to_owned(), "failed".to_owned());
            state.troubles.push(trouble);
        }
        follows.deploy = Some(host.deploy.id.to_string());
        if host.refuses {
            let refused = RefusedDeploy { deploy: head("new").id.to_string(), ..RefusedDeploy::default() };
            follows.refused = Some(refused);
        }
        state.follows = Some(follows);
        entries.insert(state_key(name), entry(serde_json::to_vec(&state).unwrap()));
    }
    cluster_hosts(&entries)
}

fn hosts(count: u8) -> BTreeMap<String, OnHost> {
    let host = |n| {
        let on = OnHost { is_alive: true, deploy: head("old"), converged: true, failed: false, refuses: false };
        (format!("web{n}"), on)
    };
    (0..count).map(host).collect()
}

impl Scene {
    fn new(count: u8, terms: Terms) -> Scene {
        let hosts = hosts(count);
        let rollout = Rollout::new(head("old"), head("new"), terms, &seen(&hosts));
        Scene { head: head("old"), rollout, written: 0, hosts }
    }

    /// The host does what follows from what it must have.
    fn switch(&mut self, name: &str) {
        let wanted = target(Some(&self.head), Some(&self.rollout), name).unwrap().clone();
        let host = self.hosts.get_mut(name).unwrap();
        if host.is_alive && host.deploy != wanted && !(host.refuses && wanted == head("new")) {
            (host.deploy, host.converged, host.failed) = (wanted, false, false);
        }
    }

    fn change(&mut self, n: u8, change: impl FnOnce(&mut OnHost)) {
        self.hosts.get_mut(&format!("web{n}")).filter(|host| host.is_alive).map(change);
    }

    /// A program replaces the rollout that it has seen, if no other one was faster.
    fn put(&mut self, next: Rollout, seen: u64) -> bool {
        if self.written != seen {
            return false;
        }
        // What another program reads.
        assert_eq!(Rollout::read(&next.bytes()), Ok(next.clone()));
        if next.stage == Stage::Done {
            self.head = next.to.clone();
        }
        (self.rollout, self.written) = (next, self.written + 1);
        true
    }

    fn fate(&self, name: &str) -> Fate {
        self.rollout.fate(seen(&self.hosts).iter().find(|host| host.name == name))
    }

    fn with_new(&self) -> BTreeSet<&str> {
        let is_new = |(_, host): &(&String, &OnHost)| host.deploy == head("new");
        self.hosts.iter().filter(is_new).map(|(name, _)| name.as_str()).collect()
    }
}

/// What a step may be, checked against what was known then, in words of its own.
fn is_right(before: &Rollout, after: &Rollout, known: &BTreeMap<String, OnHost>, is_late: bool) {
    assert_eq!(before.stage, Stage::Running, "what has ended stays");
    let fate = |name: &str| before.fate(seen(known).iter().find(|host| host.name == name));
    let is_all = before.waves()[before.wave] == Wave::All;
    let alive = known.iter().filter(|(_, host)| host.is_alive).map(|(name, _)| name.clone());
    let mut concerned: BTreeSet<String> = alive.filter(|name| is_all || before.includes(name)).collect();
    concerned.extend(before.hosts[before.wave].iter().cloned());
    let bad = |name: &&String| match fate(name) {
        Fate::Done => false,
        Fate::Failed(_) => true,
        Fate::Waits(_) => is_late,
    };
    let failed = concerned.iter().filter(bad).count();
    let not_done = concerned.iter().filter(|name| fate(name) != Fate::Done).count();
    match after.stage {
        Stage::Stopped | Stage::Reverted => {
            assert!(failed >= before.terms.stop_after_failed as usize && !after.why.is_empty());
            assert_eq!(after.stage == Stage::Reverted, before.terms.revert);
            assert_eq!(after.hosts, before.hosts);
        }
        Stage::Running | Stage::Done => {
            assert!(failed < before.terms.stop_after_failed as usize, "a wave with {failed} failed hosts ends it");
            assert_eq!(not_done, failed, "the next wave begins when the hosts of the last one are done");
            assert_eq!(after.stage == Stage::Done, before.wave + 1 == before.waves().len());
        }
    }
    if after.stage == Stage::Running {
        assert_eq!(after.wave, before.wave + 1);
        assert_eq!(after.hosts[..before.hosts.len()], before.hosts, "earlier waves stay as they were");
        let new = &after.hosts[after.wave];
        assert!(new.iter().all(|name| !before.includes(name)));
        let alive = known.values().filter(|host| host.is_alive).count();
        let has = known.iter().filter(|(name, host)| host.is_alive && after.includes(name)).count();
        match &after.waves()[after.wave] {
            Wave::Hosts(names) => {
                assert!(names.iter().all(|name| after.includes(name)) && new.iter().all(|name| names.contains(name)))
            }
            Wave::Percent(percent) => {
                let wanted = (alive * usize::from(*percent)).div_ceil(100);
                assert!(has >= wanted, "{has} of {wanted}");
                assert!(new.is_empty() || has == wanted, "no more than that");
            }
            Wave::All => assert!(new.is_empty() && after.includes("any other")),
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Switch(u8),
    Converge(u8),
    Fail(u8),
    Recover(u8),
    Refuse(u8),
    Die(u8),
    Return(u8),
    /// A program looks.
    Look(u8),
    /// It replaces what it has seen.
    Move(u8, bool),
    /// It continues what it has seen, because a user asks for it.
    Resume(u8),
    /// It dies, and another one takes its place, which knows nothing.
    Crash(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let (host, program) = (0..6u8, 0..3u8);
    prop_oneof![
        6 => host.clone().prop_map(Act::Switch),
        6 => host.clone().prop_map(Act::Converge),
        1 => host.clone().prop_map(Act::Fail),
        1 => host.clone().prop_map(Act::Recover),
        1 => host.clone().prop_map(Act::Refuse),
        1 => host.clone().prop_map(Act::Die),
        2 => host.prop_map(Act::Return),
        5 => program.clone().prop_map(Act::Look),
        5 => (program.clone(), prop::bool::weighted(0.05)).prop_map(|(program, late)| Act::Move(program, late)),
        1 => program.clone().prop_map(Act::Resume),
        1 => program.prop_map(Act::Crash),
    ]
}

fn some_terms() -> impl Strategy<Value = Terms> {
    let wave = prop_oneof![
        (1..=100u8).prop_map(Wave::Percent),
        prop::collection::vec(0..6u8, 1..3)
            .prop_map(|hosts| Wave::Hosts(hosts.into_iter().map(|n| format!("web{n}")).collect())),
    ];
    (prop::collection::vec(wave, 0..4), 1..3u32, any::<bool>(), any::<bool>()).prop_map(
        |(mut waves, stop_after_failed, revert, converged)| {
            waves.push(Wave::All);
            let goal = if converged { WaveGoal::Converged } else { WaveGoal::InForce };
            Terms { waves, goal, stop_after_failed, revert, timeout: TIMEOUT }
        },
    )
}

/// Makes the next rollout of what a program has seen; `waited`: for how long.
type Step = fn(&Scene, Duration) -> Option<Rollout>;

fn next(known: &Scene, waited: Duration) -> Option<Rollout> {
    let mut all = seen(&known.hosts);
    let next = known.rollout.next(Some(&known.head), &all, waited);
    // Whatever the order in which a program knows them, all agree.
    all.reverse();
    assert_eq!(next, known.rollout.next(Some(&known.head), &all, waited));
    next
}

fn play(scene: &mut Scene, acts: Vec<Act>, step: Step, is_careful: bool) {
    let mut looks: [Option<(u64, Scene)>; 3] = Default::default();
    for act in acts {
        let name = |n: u8| format!("web{n}");
        match act {
            Act::Switch(n) if scene.hosts.contains_key(&name(n)) => scene.switch(&name(n)),
            Act::Switch(_) => {}
            Act::Converge(n) => scene.change(n, |host| host.converged = true),
            Act::Fail(n) => scene.change(n, |host| host.failed = true),
            Act::Recover(n) => scene.change(n, |host| host.failed = false),
            Act::Refuse(n) => scene.change(n, |host| host.refuses = host.deploy != head("new")),
            Act::Die(n) => scene.change(n, |host| host.is_alive = false),
            Act::Return(n) => {
                _ = scene.hosts.get_mut(&name(n)).map(|host| (host.is_alive, host.converged) = (true, false))
            }
            Act::Look(n) => looks[usize::from(n)] = Some((scene.written, scene.clone())),
            Act::Crash(n) => looks[usize::from(n)] = None,
            Act::Resume(n) => {
                let Some((written, known)) = &looks[usize::from(n)] else { continue };
                let resumed = known.rollout.resumed(Some(&known.head));
                assert_eq!(resumed.is_ok(), known.rollout.stage == Stage::Stopped);
                let Ok(resumed) = resumed else { continue };
                assert_eq!((resumed.wave, &resumed.hosts), (known.rollout.wave, &known.rollout.hosts));
                let written = if is_careful { *written } else { scene.written };
                scene.put(resumed, written);
            }
            Act::Move(n, is_late) => {
                let Some((written, known)) = &looks[usize::from(n)] else { continue };
                let waited = if is_late { LATE } else { IN_TIME };
                let next = step(known, waited);
                let Some(next) = next else { continue };
                is_right(&known.rollout, &next, &known.hosts, is_late);
                let written = if is_careful { *written } else { scene.written };
                scene.put(next, written);
            }
        }
        // No host has the new deploy that was in no wave so far, unless all hosts have gone back meanwhile.
        for name in scene.with_new() {
            let was_given = scene.rollout.hosts.iter().any(|wave| wave.contains(name));
            let is_at_all = scene.rollout.waves()[scene.rollout.wave] == Wave::All;
            assert!(was_given || is_at_all, "{name}");
        }
        assert_eq!(scene.head == head("new"), scene.rollout.stage == Stage::Done);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_wave_begins_when_the_hosts_of_the_last_one_are_done_and_a_failed_one_ends_it(
        count in 1..6u8, terms in some_terms(), acts in prop::collection::vec(act(), 0..200)
    ) {
        play(&mut Scene::new(count, terms), acts, next, true);
    }

    #[test]
    fn once_all_hosts_are_well_it_comes_to_its_end_whatever_was_before(
        count in 1..6u8, terms in some_terms(), acts in prop::collection::vec(act(), 0..100)
    ) {
        let mut scene = Scene::new(count, terms);
        play(&mut scene, acts, next, true);
        for _ in 0..20 {
            if let Ok(resumed) = scene.rollout.resumed(Some(&scene.head)) {
                let written = scene.written;
                scene.put(resumed, written);
            }
            let names: Vec<String> = scene.hosts.keys().cloned().collect();
            for name in names {
                let host = scene.hosts.get_mut(&name).unwrap();
                (host.is_alive, host.refuses, host.failed) = (true, false, false);
                scene.switch(&name);
                scene.hosts.get_mut(&name).unwrap().converged = true;
            }
            // A wave may name a host that does not exist: that one is late.
            let next = scene.rollout.next(Some(&scene.head), &seen(&scene.hosts), IN_TIME);
            let next = next.or_else(|| scene.rollout.next(Some(&scene.head), &seen(&scene.hosts), LATE));
            if let Some(next) = next {
                let written = scene.written;
                scene.put(next, written);
            }
        }
        let with_new = scene.with_new().len();
        match scene.rollout.stage {
            Stage::Running => panic!("{:?}", scene.rollout),
            Stage::Done => prop_assert_eq!(with_new, scene.hosts.len()),
            Stage::Reverted => prop_assert_eq!(with_new, 0),
            // Only one that waits for a host that does not exist ends like that again and again.
            Stage::Stopped => {
                let missing = |host: &String| !scene.hosts.contains_key(host);
                prop_assert!(scene.rollout.hosts.iter().flatten().any(missing));
            }
        }
    }
}

/// What would be wrong, in each case with whether a program replaces only what it has seen.
const MUTANTS: &[(&str, bool, Step)] = &[
    ("it does not wait until hosts are done", true, |known, waited| {
        let mut known = known.clone();
        for (name, host) in &mut known.hosts {
            if known.rollout.includes(name) && !host.failed {
                (host.deploy, host.converged, host.is_alive) = (head("new"), true, true);
            }
        }
        next(&known, waited)
    }),
    ("it does not see failed hosts", true, |known, waited| {
        let mut known = known.clone();
        known.hosts.values_mut().for_each(|host| host.failed = false);
        next(&known, waited)
    }),
    ("it stops at the first failed host, whatever was permitted", true, |known, waited| {
        let mut known = known.clone();
        let permitted = std::mem::replace(&mut known.rollout.terms.stop_after_failed, 1);
        let mut next = next(&known, waited)?;
        next.terms.stop_after_failed = permitted;
        Some(next)
    }),
    ("it adds all hosts to each wave", true, |known, waited| {
        let mut next = next(known, waited)?;
        if next.stage == Stage::Running {
            next.hosts[known.rollout.wave + 1] = known.hosts.keys().cloned().collect();
        }
        Some(next)
    }),
    ("it never goes back", true, |known, waited| {
        let mut next = next(known, waited)?;
        next.stage = if next.stage == Stage::Reverted { Stage::Stopped } else { next.stage };
        Some(next)
    }),
    ("it ends with the first wave", true, |known, waited| {
        let mut next = next(known, waited)?;
        if next.stage == Stage::Running {
            (next.stage, next.wave) = (Stage::Done, known.rollout.wave);
            next.hosts.pop();
        }
        Some(next)
    }),
    ("it replaces what another program has written", false, next),
];

#[test]
fn each_mutant_is_caught() {
    let schedule = (1..6u8, some_terms(), prop::collection::vec(act(), 0..200));
    for (what, is_careful, step) in MUTANTS {
        let mut runner = TestRunner::deterministic();
        let is_caught = (0..2000).any(|_| {
            let (count, terms, acts) = schedule.new_tree(&mut runner).unwrap().current();
            let play = move || play(&mut Scene::new(count, terms), acts, *step, *is_careful);
            std::panic::catch_unwind(play).is_err()
        });
        assert!(is_caught, "{what}");
    }
}

#[test]
fn waves_are_counted_of_all_hosts_and_do_not_always_begin_with_the_same_ones() {
    let mut scene = Scene::new(20, terms(&[names(&["web3"]), Wave::Percent(10), Wave::Percent(10), Wave::All]));
    assert_eq!(scene.rollout.hosts, [BTreeSet::from(["web3".to_owned()])]);
    let step = |scene: &mut Scene| {
        let all: Vec<String> = scene.hosts.keys().cloned().collect();
        all.iter().for_each(|name| scene.switch(name));
        assert!(scene.rollout.next(Some(&scene.head), &seen(&scene.hosts), IN_TIME).is_none(), "not converged yet");
        scene.hosts.values_mut().for_each(|host| host.converged = true);
        let next = scene.rollout.next(Some(&scene.head), &seen(&scene.hosts), IN_TIME).unwrap();
        let written = scene.written;
        assert!(scene.put(next, written));
    };
    step(&mut scene);
    // One of two has it already.
    assert_eq!((scene.rollout.wave, scene.rollout.hosts[1].len()), (1, 1));
    step(&mut scene);
    assert!(scene.rollout.hosts[2].is_empty(), "ten percent have it");
    let next = scene.rollout.next(Some(&scene.head), &seen(&scene.hosts), IN_TIME).unwrap();
    assert!(scene.put(next, 2));
    step(&mut scene);
    assert_eq!((scene.rollout.stage, scene.head.clone()), (Stage::Done, head("new")));
    assert_eq!(scene.with_new().len(), 20);
    let first = |to: &str| {
        let rollout = Rollout::new(head("old"), head(to), terms(&[Wave::Percent(5), Wave::All]), &seen(&hosts(20)));
        rollout.hosts[0].iter().next().cloned()
    };
    let firsts: BTreeSet<_> = ["a", "b", "c", "d"].map(first).into();
    assert!(firsts.len() > 1, "{firsts:?}");
}

#[test]
fn a_host_that_is_dead_or_late_is_waited_for_and_then_has_failed() {
    let mut scene = Scene::new(3, terms(&[names(&["web0"]), Wave::All]));
    scene.switch("web0");
    scene.hosts.get_mut("web0").unwrap().is_alive = false;
    assert_eq!(scene.fate("web0"), Fate::Waits("it is not alive".to_owned()));
    assert!(scene.rollout.next(Some(&scene.head), &seen(&scene.hosts), IN_TIME).is_none());
    let stopped = scene.rollout.next(Some(&scene.head), &seen(&scene.hosts), LATE).unwrap();
    assert_eq!(stopped.stage, Stage::Stopped);
    assert!(stopped.why.contains("web0 has failed: after 600 s: it is not alive"), "{}", stopped.why);
    assert!(stopped.includes("web0") && !stopped.includes("web1"));
    // It continues with the same wave, from then on with all its time, and may be stopped again.
    let resumed = stopped.resumed(Some(&scene.head)).unwrap();
    assert_eq!((resumed.stage, resumed.wave, resumed.why.as_str()), (Stage::Running, 0, ""));
    assert!(resumed.failed.is_empty() && resumed.hosts == stopped.hosts);
    assert!(resumed.next(Some(&scene.head), &seen(&scene.hosts), IN_TIME).is_none());
    assert_eq!(resumed.next(Some(&scene.head), &seen(&scene.hosts), LATE).unwrap().stage, Stage::Stopped);
    assert!(resumed.resumed(Some(&scene.head)).unwrap_err().contains("was not stopped"));
    assert!(stopped.resumed(Some(&head("other"))).unwrap_err().contains("another deploy has come into force"));
    let back = stopped.reverted("ann@desk");
    assert!(back.resumed(Some(&scene.head)).unwrap_err().contains("deploy again"));
    assert!(!back.includes("web0") && back.why.contains("ann@desk"));
    assert!(back.next(Some(&scene.head), &seen(&scene.hosts), LATE).is_none());
    // Another deploy has come into force by an older program: the rollout ends, and gives nothing to any host.
    let other = head("other");
    let ended = scene.rollout.next(Some(&other), &seen(&scene.hosts), IN_TIME).unwrap();
    assert_eq!(ended.stage, Stage::Stopped);
    assert_eq!(target(Some(&other), Some(&ended), "web0"), Some(&other));
    assert_eq!(target(Some(&scene.head), Some(&scene.rollout), "web0"), Some(&head("new")));
}

#[test]
fn waves_that_can_t_be_are_refused_and_so_is_what_no_program_has_written() {
    let (old, all) = (head("old"), seen(&hosts(2)));
    let wrong = |waves: &[Wave], head: Option<&Head>| wrong_waves(&terms(waves), head, &all).unwrap_or_default();
    assert_eq!(wrong(&[names(&["web1"]), Wave::Percent(10), Wave::All], Some(&old)), "");
    assert!(wrong(&[Wave::All], None).contains("first deploy"));
    assert!(wrong(&[Wave::Percent(10)], Some(&old)).contains("--then all"));
    assert!(wrong(&[Wave::All, Wave::All], Some(&old)).contains("only the last"));
    let why = wrong(&[names(&["web9\n"]), Wave::All], Some(&old));
    assert!(why.contains("web9\\n is no living host") && why.contains("web0, web1"), "{why}");
    for (text, wave) in [("all", Wave::All), ("10%", Wave::Percent(10)), ("a,b", names(&["a", "b"]))] {
        assert_eq!(text.parse(), Ok(wave.clone()));
        assert_eq!(wave.to_string(), text);
    }
    assert!(["", ",", "0%", "101%", "x%"].iter().all(|text| text.parse::<Wave>().is_err()));
    let rollout = Rollout::new(old, head("new"), terms(&[Wave::All]), &all);
    let text = String::from_utf8(rollout.bytes()).unwrap();
    for (from, to) in [
        (r#""format":1"#, r#""format":2"#),
        (r#""wave":0"#, r#""wave":1"#),
        (r#""hosts":[[]]"#, r#""hosts":[]"#),
        (&*head("new").id.to_string(), "000000000000"),
    ] {
        let other = text.replacen(from, to, 1);
        assert!(other != text && Rollout::read(other.as_bytes()).is_err(), "{to}");
    }
    assert!(Rollout::read(&vec![b' '; 2 << 20]).is_err());
}
