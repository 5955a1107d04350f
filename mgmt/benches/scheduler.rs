//! What the scheduler costs a node: `cargo bench -p mgmt --bench scheduler`.
//!
//! For chains, layers with two parents each, independent nodes, the same in groups of a hundred and in one group: from the swap to convergence, every check answered at once; and the bytes held
//! then. `-- chain 1000000` measures that one only. After that, a swap that changes one node of 100 000, and an event on one node. Prints figures, asserts only that it converges.

use std::time::{Duration, Instant};

use mgmt::id::{Generation, Node, Time};
use mgmt::scheduler::{
    Backoff, CheckOutcome, Command, Config, EdgeSpec, Input, NodeConfig, NodeSpec, PortSet, Scheduler, Swap,
};

/// The best of so many runs is printed: the rest is what else the machine did.
const RUNS: usize = 5;

/// Makes a graph of so many nodes.
type Shape = fn(u32) -> Swap;

fn settings() -> NodeConfig {
    NodeConfig {
        noop: false,
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
    }
}

fn nodes(n: u32) -> Vec<NodeSpec> {
    (0..n).map(|i| NodeSpec { node: Node(i), config: 0, changed: false }).collect()
}

fn edge(from: u32, to: u32) -> EdgeSpec {
    EdgeSpec { from: Node(from), to: Node(to), notify: false, sends: PortSet(0), owed: false }
}

fn graph(n: u32, edges: Vec<EdgeSpec>) -> Swap {
    Swap { generation: Generation(1), configs: vec![settings()], nodes: nodes(n), edges, ..Swap::default() }
}

fn chain(n: u32) -> Swap {
    graph(n, (1..n).map(|i| edge(i - 1, i)).collect())
}

/// Square: as many layers as nodes in each.
fn layers(n: u32) -> Swap {
    let width = n.isqrt().max(1);
    let parents = |i: u32| {
        let above = i - width;
        let beside = if (above + 1).is_multiple_of(width) { above + 1 - width } else { above + 1 };
        [edge(above, i), edge(beside, i)]
    };
    graph(n, (width..n).flat_map(parents).collect())
}

fn independent(n: u32) -> Swap {
    graph(n, Vec::new())
}

/// Independent nodes in groups of a hundred.
fn groups(n: u32) -> Swap {
    let groups = (0..n).step_by(100).map(|first| (first..n.min(first + 100)).map(Node).collect());
    Swap { groups: groups.collect(), ..independent(n) }
}

/// One group of all.
fn group(n: u32) -> Swap {
    Swap { groups: vec![(0..n).map(Node).collect()], ..independent(n) }
}

fn scheduler() -> Scheduler {
    Scheduler::new(Config {
        running_max: 8,
        reserve: 0,
        yielded_max: 0,
        converged_timeout: Duration::ZERO,
        seed: 0,
        watch_late: false,
        node_events: false,
    })
}

/// Hands over an input and answers every check at once. Says how many there were.
fn run(scheduler: &mut Scheduler, input: Input) -> u64 {
    let mut checks = 0;
    let mut next = Some(input);
    let mut waiting = Vec::new();
    while let Some(input) = next {
        scheduler.handle(Time(0), input);
        while let Some(command) = scheduler.poll() {
            if let Command::Check { op, .. } = command {
                waiting.push(op);
            }
        }
        next = waiting.pop().map(|op| {
            checks += 1;
            Input::Checked { op, outcome: CheckOutcome::InSync, sent: PortSet(0), again: PortSet(0) }
        });
    }
    assert!(scheduler.is_converged());
    checks
}

fn main() {
    // Cargo adds `--bench`; what else is there picks one.
    let picked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |text: &str, at: usize| picked.get(at).is_none_or(|pick| pick == text);
    println!("{:<12} {:>9} {:>10} {:>9} {:>9}", "graph", "nodes", "total ms", "ns/node", "B/node");
    let shapes: [(&str, Shape); 5] =
        [("chain", chain), ("layers", layers), ("independent", independent), ("groups", groups), ("group", group)];
    for (name, shape) in shapes {
        for n in [1_000, 10_000, 100_000, 1_000_000] {
            if !wanted(name, 0) || !wanted(&n.to_string(), 1) {
                continue;
            }
            let swap = shape(n);
            let mut best = Duration::MAX;
            let mut memory = 0;
            for _ in 0..RUNS {
                let swap = swap.clone();
                let mut scheduler = scheduler();
                let begin = Instant::now();
                let checks = run(&mut scheduler, Input::Swap(swap));
                best = best.min(begin.elapsed());
                assert_eq!(checks, u64::from(n), "each node once");
                memory = scheduler.memory();
            }
            let ns = best.as_nanos() as f64 / f64::from(n);
            let bytes = memory as f64 / f64::from(n);
            println!("{name:<12} {n:>9} {:>10.3} {ns:>9.1} {bytes:>9.1}", best.as_secs_f64() * 1e3);
        }
    }
    if picked.is_empty() {
        after_the_start();
    }
}

fn after_the_start() {
    let n = 100_000;
    let mut scheduler = scheduler();
    run(&mut scheduler, Input::Swap(layers(n)));
    let mut swaps = Duration::MAX;
    let mut events = Duration::MAX;
    for k in 0..RUNS as u32 {
        let mut swap = layers(n);
        swap.nodes[(k * 1000) as usize].changed = true;
        let begin = Instant::now();
        assert_eq!(run(&mut scheduler, Input::Swap(swap)), 1);
        swaps = swaps.min(begin.elapsed());
        let begin = Instant::now();
        assert_eq!(run(&mut scheduler, Input::Changed(Node(k * 7))), 1);
        events = events.min(begin.elapsed());
    }
    println!("a swap that changes 1 of {n} nodes: {:.3} ms", swaps.as_secs_f64() * 1e3);
    println!("an event on 1 of {n} nodes: {:.3} µs", events.as_secs_f64() * 1e6);
    let mut events = Duration::MAX;
    run(&mut scheduler, Input::Swap(group(n)));
    for k in 0..RUNS as u32 {
        let begin = Instant::now();
        assert_eq!(run(&mut scheduler, Input::Changed(Node(k * 7))), 1);
        events = events.min(begin.elapsed());
    }
    println!("an event on 1 of {n} nodes of one group: {:.3} µs", events.as_secs_f64() * 1e6);
}
