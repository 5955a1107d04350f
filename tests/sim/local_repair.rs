//! Repair is local, and nothing runs more often than needed (section 5.4; S16.4, S17): here without faults, every
//! command counted.

use std::collections::BTreeMap;
use std::time::Duration;

use mgmt::id::{Node, Time};
use mgmt::scheduler::{ApplyOutcome, Backoff, CheckOutcome, Command, Config, Input, NodeConfig, PortSet, Scheduler};

use crate::rng::Rng;
use crate::scenario::{Desired, Graph, Link};

/// Answers everything at once, and counts.
struct Counter {
    scheduler: Scheduler,
    rng: Rng,
    checks: BTreeMap<u32, u32>,
    applies: BTreeMap<u32, u32>,
    /// What is drifted: applied, it changes.
    drifted: Vec<u32>,
}

impl Counter {
    fn new(seed: u64) -> Counter {
        let config = Config {
            running_max: 3,
            reserve: 0,
            yielded_max: 0,
            converged_timeout: Duration::ZERO,
            watch_late: false,
            seed,
            node_events: false,
        };
        Counter {
            scheduler: Scheduler::new(config),
            rng: Rng::new(seed),
            checks: BTreeMap::new(),
            applies: BTreeMap::new(),
            drifted: Vec::new(),
        }
    }

    fn graph(&mut self, noop: bool) -> Graph {
        let config = NodeConfig {
            noop,
            retry: Some(0),
            delay: Duration::ZERO,
            backoff: Backoff::Constant,
            poll: None,
            limit: None,
            burst: 1,
            timeout: None,
            sema: Vec::new(),
            watched: false,
            ticks: false,
            rewatch: false,
            reset: false,
            converged_timeout: None,
            leaves: false,
            undoes: false,
            together: None,
        };
        let mut graph = Graph::default();
        let size = 1 + self.rng.below(40) as u32;
        for node in 0..size {
            let desired = Desired {
                version: 0,
                config: config.clone(),
                forgetful: false,
                changed_by_refresh: false,
                owns: None,
                owns_received: false,
            };
            graph.nodes.insert(node, desired);
            for _ in 0..self.rng.below(3).min(u64::from(node)) {
                let from = self.rng.below(u64::from(node)) as u32;
                graph.edges.insert((from, node), Link { notify: false, sends: 0 });
            }
        }
        graph
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.scheduler.handle(Time(0), input);
            self.scheduler.check_invariants();
            while let Some(command) = self.scheduler.poll() {
                match command {
                    Command::Check { op, .. } => {
                        *self.checks.entry(op.node.0).or_default() += 1;
                        let drifted = self.drifted.contains(&op.node.0);
                        let outcome = if drifted { CheckOutcome::Drifted } else { CheckOutcome::InSync };
                        inputs.push(Input::Checked { op, outcome, sent: PortSet(0), again: PortSet(0) });
                    }
                    Command::Apply { op, .. } => {
                        *self.applies.entry(op.node.0).or_default() += 1;
                        self.drifted.retain(|node| *node != op.node.0);
                        inputs.push(Input::Applied {
                            op,
                            outcome: ApplyOutcome::Changed,
                            sent: PortSet(0),
                            again: PortSet(0),
                        });
                    }
                    Command::Look(look) => inputs.push(Input::Looked(look)),
                    _ => {}
                }
            }
        }
    }
}

fn each_once(graph: &Graph) -> BTreeMap<u32, u32> {
    graph.nodes.keys().map(|node| (*node, 1)).collect()
}

#[test]
fn at_the_start_each_node_is_checked_and_applied_exactly_once() {
    for seed in 0..500 {
        let mut counter = Counter::new(seed);
        let graph = counter.graph(false);
        counter.drifted = graph.nodes.keys().copied().collect();
        counter.feed(Input::Swap(graph.swap(&Graph::default(), 1, &[], |_| false)));
        assert_eq!(counter.checks, each_once(&graph), "checks, seed {seed}");
        assert_eq!(counter.applies, each_once(&graph), "applies, seed {seed}");
        assert!(counter.scheduler.is_converged(), "seed {seed}");
    }
}

#[test]
fn an_event_checks_its_node_and_no_other() {
    for seed in 0..500 {
        let mut counter = Counter::new(seed);
        let graph = counter.graph(false);
        counter.feed(Input::Swap(graph.swap(&Graph::default(), 1, &[], |_| false)));
        counter.checks.clear();
        let node = counter.rng.below(graph.nodes.len() as u64) as u32;
        counter.feed(Input::Changed(Node(node)));
        assert_eq!(counter.checks, BTreeMap::from([(node, 1)]), "seed {seed}");
        assert_eq!(counter.applies, BTreeMap::new(), "seed {seed}");
    }
}

#[test]
fn a_repair_checks_its_node_and_its_children_and_no_other() {
    for seed in 0..500 {
        let mut counter = Counter::new(seed);
        let graph = counter.graph(false);
        counter.feed(Input::Swap(graph.swap(&Graph::default(), 1, &[], |_| false)));
        counter.checks.clear();
        let node = counter.rng.below(graph.nodes.len() as u64) as u32;
        counter.drifted = vec![node];
        counter.feed(Input::Changed(Node(node)));
        let mut expected: BTreeMap<u32, u32> = graph.children(node).map(|(to, _)| (to, 1)).collect();
        expected.insert(node, 1);
        assert_eq!(counter.checks, expected, "seed {seed}");
        assert_eq!(counter.applies, BTreeMap::from([(node, 1)]), "seed {seed}");
    }
}
