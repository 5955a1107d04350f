//! Random schedules: hosts join, leave, die, are cut off and return between any two steps, clocks jump, leases end
//! unnoticed, requests arrive late.
//!
//! `ELASTIC_SEEDS=20000 cargo test … elastic` runs many; `ELASTIC_SEED=n` runs one and prints what happened.

use std::ops::Range;
use std::time::Duration;

use super::hosts::{Cluster, Host};
use super::rng::Rng;
use crate::world::elastic::mutants::Mutant;

const HOSTS: usize = 7;
const EVENTS: usize = 300;
const SEEDS: u64 = 500;
/// A mutant is hunted with at most this many seeds.
const SEEDS_FOR_A_MUTANT: u64 = 3000;
/// How many rounds all hosts have until the cluster must be as it should be.
const CALM_ROUNDS: usize = 400;

/// How a run has ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The cluster is as it should be, after this many changes.
    Calm(usize),
    /// Faults alone have taken the quorum for good.
    Lost,
    /// What is wrong.
    Breach(String),
}

fn event(cluster: &mut Cluster, rng: &mut Rng) {
    let n = rng.below(HOSTS);
    let host = &cluster.hosts[n];
    match rng.below(100) {
        0..60 => cluster.turn(n, rng),
        60..70 => (0..HOSTS).for_each(|n| cluster.turn(n, rng)),
        70..75 if !host.is_alive => {
            if rng.percent(15) {
                cluster.relocate(n);
            }
            cluster.start(n, rng.percent(15));
        }
        75..77 if host.is_alive => cluster.die(n, rng.percent(20)),
        77..79 if host.is_alive && !host.is_cut => cluster.cut(n, true),
        79..83 if host.is_cut => cluster.cut(n, false),
        83..85 if host.is_alive => cluster.quit(n),
        85..89 => cluster.expire(n),
        89..91 => cluster.oversleep(n),
        91..95 => cluster.pass_time(n, Duration::from_secs(rng.below(100) as u64)),
        95..97 => cluster.deliver(),
        97..98 => cluster.etcd.ideal = 1 + rng.below(HOSTS),
        98..99 => {
            // Some hosts restart, and their servers have other addresses.
            for n in (0..HOSTS).filter(|_| rng.percent(30)) {
                if cluster.hosts[n].is_alive && cluster.hosts[n].is_member() {
                    cluster.die(n, false);
                    cluster.relocate(n);
                    cluster.start(n, false);
                }
            }
        }
        _ => cluster.pass_time(n, Duration::from_secs(1)),
    }
}

/// No more faults: hosts that are cut off return, some of those that are off stay off for good.
fn calm_down(cluster: &mut Cluster, rng: &mut Rng) {
    for n in 0..HOSTS {
        if cluster.hosts[n].is_cut {
            cluster.cut(n, false);
        }
        if !cluster.hosts[n].is_alive && rng.percent(50) {
            cluster.start(n, false);
        }
    }
    if !cluster.has_quorum() {
        // All that have data return, at the addresses that others know.
        for n in 0..HOSTS {
            cluster.move_back(n);
            if !cluster.hosts[n].is_alive && cluster.hosts[n].is_member() {
                cluster.start(n, false);
            }
        }
    }
    for _ in 0..CALM_ROUNDS {
        for n in 0..HOSTS {
            cluster.deliver();
            cluster.expire(n);
            cluster.pass_time(n, Duration::from_secs(2));
            cluster.turn(n, rng);
        }
    }
}

/// What is not as it should be in the end.
fn wrong(cluster: &Cluster) -> Option<String> {
    let members = &cluster.etcd.members;
    let able = cluster.hosts.iter().filter(|host| host.is_alive && !host.is_broken);
    let staying = able.clone().filter(|host| !host.is_leaving).count();
    let has_broken = cluster.hosts.iter().any(|host| host.is_alive && host.is_broken && !host.is_leaving);
    let voters = members.values().filter(|member| !member.is_learner).count();
    // The last one stays until it is stopped.
    let expected = cluster.etcd.ideal.min(staying).max(1);
    if voters != expected {
        return Some(format!("{voters} servers instead of {expected}"));
    }
    if let Some(id) = members.iter().find(|(id, m)| !m.is_learner && !cluster.hosts.iter().any(|host| host.runs(**id)))
    {
        return Some(format!("no host runs the member {id:?}"));
    }
    if let Some(id) = members.keys().find(|id| !cluster.is_known(**id)) {
        return Some(format!("others look for the member {id} where it is not"));
    }
    if !has_broken && members.values().any(|member| member.is_learner) {
        return Some("a learner is left".to_owned());
    }
    if !has_broken && let Some(change) = &cluster.etcd.change {
        return Some(format!("{change:?} does not end"));
    }
    let stays = |host: &&Host| host.is_leaving && host.is_alive && host.is_member();
    let leaving = cluster.hosts.iter().filter(stays).count();
    let is_last = staying == 0 && leaving == 1;
    (leaving > 0 && !is_last).then(|| format!("{leaving} hosts can't leave"))
}

fn run(seed: u64, mutant: Option<Mutant>) -> (End, Cluster) {
    let mut rng = Rng::new(seed);
    let mut cluster = Cluster::new(HOSTS, 1 + rng.below(HOSTS), mutant);
    for _ in 0..EVENTS {
        event(&mut cluster, &mut rng);
        if let Some(breach) = &cluster.breach {
            return (End::Breach(breach.clone()), cluster);
        }
    }
    calm_down(&mut cluster, &mut rng);
    let end = match (&cluster.breach, cluster.has_quorum()) {
        (Some(breach), _) => End::Breach(breach.clone()),
        (None, false) => End::Lost,
        (None, true) => wrong(&cluster).map_or(End::Calm(cluster.steps), End::Breach),
    };
    (end, cluster)
}

fn seeds() -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("ELASTIC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ELASTIC_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn no_step_loses_the_quorum_and_when_it_is_calm_the_cluster_has_its_size() {
    let (seeds, mut lost, mut changes) = (seeds(), 0, 0);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let (end, cluster) = run(seed, None);
        match end {
            End::Calm(steps) => changes += steps,
            End::Lost => lost += 1,
            End::Breach(why) => {
                let story = cluster.story.join("\n");
                panic!("{story}\n\n{why}\nthis was seed {seed}; again: ELASTIC_SEED={seed} cargo test elastic");
            }
        }
        if count == 1 {
            println!("{}", cluster.story.join("\n"));
        }
    }
    println!("{count} seeds, {changes} changes of members; faults have taken the quorum in {lost}");
    assert!(count < 100 || lost * 4 < count, "too many runs test little");
    assert!(count < 100 || changes as u64 > count * 3, "too little happens");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..5 {
        let [one, other] = [(), ()].map(|()| run(seed, None));
        assert_eq!((one.0, one.1.story), (other.0, other.1.story));
    }
}

#[test]
fn every_mutant_is_caught() {
    let mut alive = Vec::new();
    for mutant in Mutant::ALL {
        let caught = (0..SEEDS_FOR_A_MUTANT).find_map(|seed| match run(seed, Some(mutant)).0 {
            End::Breach(why) => Some((seed, why)),
            _ => None,
        });
        match caught {
            Some((seed, why)) => println!("{mutant:?}: caught with seed {seed}: {why}"),
            None => alive.push(mutant),
        }
    }
    assert!(alive.is_empty(), "no test notices these: {alive:?}");
}
