//! The simulator of the scheduler: random graphs, random faults, a model of reality, one file per invariant.
//!
//! `SEEDS=20000 cargo test --profile sim -p mgmt-sim` runs many; `SEED=n` runs one and tells its end.

mod blocked;
mod books;
mod causes;
mod chaos;
mod convergence;
mod dirty_by_cause;
mod drive;
mod gates;
mod generations;
mod groups;
mod handover;
mod hands;
mod healed;
mod hopeless;
mod intents;
mod invariant;
mod journal;
mod leaving;
mod ledger;
mod local_repair;
mod noop;
mod old_drift;
mod one_at_a_time;
mod order;
mod refresh_owed;
mod retry;
mod rng;
mod scenario;
mod share;
mod stop;
mod story;
mod swap;
mod values;
mod waiting;
mod watch_ready;
mod world;

use drive::Drive;
use mgmt::scheduler::Mutant;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use story::Breach;

/// The number of seeds, unless the environment sets another: some seconds without optimisation.
const SEEDS: u64 = 200;
/// A mutant is hunted with at most this many seeds.
const SEEDS_FOR_A_MUTANT: u64 = 3000;

/// `SEED=n`: that one; `SEEDS=n`: the first n; `SEEDS=a..b`: from a up to b.
fn seeds() -> Range<u64> {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("`{text}` is no number of a seed"));
    if let Ok(seed) = std::env::var("SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    match std::env::var("SEEDS") {
        Ok(seeds) => match seeds.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&seeds),
        },
        Err(_) => 0..SEEDS,
    }
}

/// Runs it once more, and tells its end.
fn tell(seed: u64) -> String {
    let again = format!("this was seed {seed}; again: SEED={seed} cargo test -p mgmt-sim every_seed");
    match Drive::new(seed, None, true).run() {
        Err(Breach { invariant, text, story }) => format!("{}\n\n{invariant}: {text}\n{again}", story.join("\n")),
        Ok(_) => format!("{again} (it went well the second time: something is not repeatable)"),
    }
}

/// Takes one seed after another until none is left. The number of its turns, or what went wrong, which ends all.
fn run_seeds(next: &AtomicU64, end: u64) -> Result<u64, String> {
    let mut turns = 0;
    loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= end {
            return Ok(turns);
        }
        // A panic inside must name its seed, too.
        let why = match std::panic::catch_unwind(|| Drive::new(seed, None, false).run()) {
            Ok(Ok((more, _))) => {
                turns += more;
                continue;
            }
            Ok(Err(_)) => tell(seed),
            Err(_) => format!("a panic with seed {seed}; again: SEED={seed} cargo test -p mgmt-sim every_seed"),
        };
        next.store(end, Relaxed);
        return Err(why);
    }
}

#[test]
fn every_seed_keeps_every_invariant_and_heals() {
    let Range { start, end } = seeds();
    let next = AtomicU64::new(start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let turns: Result<u64, String> = std::thread::scope(|scope| {
        let work: Vec<_> = (0..threads).map(|_| scope.spawn(|| run_seeds(&next, end))).collect();
        work.into_iter().map(|thread| thread.join().expect("its panics are caught")).sum()
    });
    let turns = turns.unwrap_or_else(|why| panic!("{why}"));
    assert!(turns > end - start, "nothing happened");
    println!("{} seeds, {turns} turns", end - start);
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in 0..20 {
        let [first, second] = [(), ()].map(|()| Drive::new(seed, None, true).run().map_err(|breach| breach.text));
        let (turns, story) = first.expect("it heals");
        assert!(turns > 10 && !story.is_empty(), "nothing happened with seed {seed}");
        assert_eq!(second, Ok((turns, story)), "seed {seed}");
    }
}

#[test]
fn every_mutant_is_caught() {
    let mut alive = Vec::new();
    for &mutant in Mutant::ALL {
        let caught = (0..SEEDS_FOR_A_MUTANT).find_map(|seed| {
            let breach = Drive::new(seed, Some(mutant), false).run().err()?;
            Some((seed, breach.invariant))
        });
        match caught {
            Some((seed, invariant)) => println!("{mutant:?}: caught by {invariant} with seed {seed}"),
            None => alive.push(mutant),
        }
    }
    assert!(alive.is_empty(), "nobody notices these: {alive:?}");
}
