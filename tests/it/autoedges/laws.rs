//! What holds for the edges of every graph, whatever its resources and in whatever order they are declared.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::dag::topo;
use mgmt::graph::{AutoEdges, GraphConfig, Prepared, Settings, prepare};
use mgmt::prelude::*;
use mgmt::resource::{NodeRef, Origin};
use proptest::prelude::*;

use super::kinds::{Account, Pkg, Team};
use super::settings;

/// A resource of a random graph.
#[derive(Clone, Debug)]
enum Thing {
    File { path: String, owner: Option<u8>, source: Option<String>, link: Option<String>, absent: bool },
    Exec { cmd: String, cwd: Option<String>, creates: Option<String>, mtimes: Option<String> },
    Account(u8),
    Pkg(Vec<String>),
}

/// Paths of few names, so that they are related.
fn path() -> impl Strategy<Value = String> {
    "(/[ab]){1,4}"
}

fn thing() -> impl Strategy<Value = Thing> {
    let maybe = |strategy| prop::option::weighted(0.3, strategy);
    let file = (
        path(),
        maybe((0u8..3).boxed()),
        prop::option::weighted(0.2, "/src(/[ab]){1,2}/?"),
        prop::option::weighted(0.2, path()),
        prop::bool::weighted(0.15),
    );
    let file = file.prop_map(|(path, owner, source, link, absent)| Thing::File { path, owner, source, link, absent });
    let any = || prop::option::weighted(0.5, path());
    let exec = (path(), any(), any(), any());
    let exec = exec.prop_map(|(cmd, cwd, creates, mtimes)| Thing::Exec { cmd, cwd, creates, mtimes });
    prop_oneof![
        6 => file,
        1 => "/src(/[ab]){1,2}".prop_map(|path| Thing::File { path, owner: None, source: None, link: None, absent: false }),
        3 => exec,
        1 => (0u8..3).prop_map(Thing::Account),
        1 => prop::collection::vec(path(), 1..5).prop_map(Thing::Pkg),
    ]
}

/// Things, each once, and edges between them by number, from a lower place in a random order to a higher one.
#[derive(Clone, Debug)]
struct Plot {
    things: Vec<Thing>,
    edges: Vec<(usize, usize, bool)>,
}

fn plot() -> impl Strategy<Value = Plot> {
    let edges =
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 0..6);
    (prop::collection::vec(thing(), 1..16), edges, any::<u64>()).prop_map(|(things, edges, seed)| {
        let (mut paths, mut users) = (BTreeSet::new(), BTreeSet::new());
        let things: Vec<Thing> = things
            .into_iter()
            .filter(|thing| match thing {
                Thing::File { path, .. } => paths.insert(path.clone()),
                Thing::Account(user) => users.insert(*user),
                _ => true,
            })
            .collect();
        let rank = |n: usize| (n as u64).wrapping_mul(seed | 1).wrapping_add(seed) >> 7;
        let edges = edges.into_iter().map(|(one, other, notify)| {
            let (one, other) = (one.index(things.len()), other.index(things.len()));
            if rank(one) <= rank(other) { (one, other, notify) } else { (other, one, notify) }
        });
        let edges = edges.filter(|(one, other, _)| rank(*one) < rank(*other)).collect();
        Plot { things, edges }
    })
}

/// The graph, declared in this order.
fn declare(plot: &Plot, order: &[usize]) -> GraphConfig {
    let mut g = Graph::new("g");
    let mut nodes: BTreeMap<usize, NodeRef> = BTreeMap::new();
    for n in order {
        let node = match &plot.things[*n] {
            Thing::File { path, owner, source, link, absent } => {
                let mut file = File::new(path);
                if let Some(owner) = owner {
                    file = file.owner(format!("u{owner}"));
                }
                file = match (absent, source, link) {
                    (true, ..) => file.absent(),
                    (false, Some(source), _) if source.ends_with('/') => file.path(format!("{path}/")).source(source),
                    (false, Some(source), _) => file.source(source),
                    (false, None, Some(link)) if link != path => file.symlink(link),
                    _ => file,
                };
                g.add(file).node()
            }
            Thing::Exec { cmd, cwd, creates, mtimes } => {
                let mut exec = Exec::new(format!("e{n}")).cmd(cmd);
                if let Some(cwd) = cwd {
                    exec = exec.cwd(cwd);
                }
                if let Some(creates) = creates {
                    exec = exec.creates(creates);
                }
                g.add(exec.mtimes(mtimes.iter().map(Into::into).collect::<Vec<std::path::PathBuf>>())).node()
            }
            Thing::Account(user) => g.add(Account::new(format!("u{user}"))).node(),
            Thing::Pkg(files) => g.add(Pkg::new(format!("p{n}")).files(files.clone())).node(),
        };
        nodes.insert(*n, node);
    }
    g.add(Team::new("none"));
    for (one, other, notify) in &plot.edges {
        match notify {
            true => g.notify(&nodes[one], &nodes[other]),
            false => g.before(&nodes[one], &nodes[other]),
        }
    }
    g.finish().unwrap()
}

fn pairs(config: &GraphConfig) -> Vec<(u32, u32)> {
    config.edges.iter().map(|edge| (edge.from, edge.to)).collect()
}

/// All edges with their reasons, and the warnings without places, by name.
fn told(prepared: &Prepared) -> (Vec<String>, Vec<String>) {
    let id = |at: u32| prepared.config().vertices[at as usize].id();
    let edges = prepared.config().edges.iter().map(|edge| {
        let why = if let Origin::Pass(reason) = &edge.origin { reason.why.clone() } else { String::new() };
        format!("{} {} {} {why}", id(edge.from), edge.notify, id(edge.to))
    });
    let (mut edges, mut warnings): (Vec<_>, Vec<_>) =
        (edges.collect(), prepared.warnings().iter().map(|warning| warning.message.clone()).collect());
    edges.sort();
    warnings.sort();
    (edges, warnings)
}

/// For each node, all nodes that must come before it.
fn before(count: usize, pairs: &[(u32, u32)]) -> Vec<BTreeSet<u32>> {
    let mut before = vec![BTreeSet::new(); count];
    for node in topo::order(count, pairs).expect("there is no cycle") {
        for (from, _) in pairs.iter().filter(|(_, to)| *to == node) {
            let above = before[*from as usize].clone();
            before[node as usize].extend(above);
            before[node as usize].insert(*from);
        }
    }
    before
}

fn is_automatic(origin: &Origin) -> bool {
    matches!(origin, Origin::Pass(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn edges_depend_on_the_resources_and_not_on_their_order((plot, order) in plot().prop_flat_map(|plot| {
        let order: Vec<usize> = (0..plot.things.len()).collect();
        (Just(plot), Just(order).prop_shuffle())
    })) {
        let plain: Vec<usize> = (0..plot.things.len()).collect();
        let [one, other] = [&plain, &order].map(|order| prepare(declare(&plot, order), &settings()).unwrap());
        prop_assert_eq!(told(&one), told(&other));
    }

    #[test]
    fn edges_close_no_cycle_refresh_nothing_and_leave_declared_ones_alone(plot in plot()) {
        let plain: Vec<usize> = (0..plot.things.len()).collect();
        let prepared = prepare(declare(&plot, &plain), &settings()).unwrap();
        let (source, config) = (prepared.source(), prepared.config());
        let count = config.vertices.len();
        let declared = source.edges.len();
        for (old, new) in source.edges.iter().zip(&config.edges) {
            prop_assert_eq!((old.from, old.to, old.notify), (new.from, new.to, new.notify));
            prop_assert!(!is_automatic(&new.origin));
        }
        prop_assert!(config.edges[declared..].iter().all(|edge| is_automatic(&edge.origin) && !edge.notify));
        let all = pairs(config);
        prop_assert!(topo::order(count, &all).is_ok());
        let added: BTreeSet<_> = all[declared..].iter().collect();
        prop_assert_eq!(added.len(), all.len() - declared, "no pair twice");
        prop_assert!(all[..declared].iter().all(|pair| !added.contains(pair)));
    }

    #[test]
    fn the_reduction_keeps_what_comes_before_what_and_no_automatic_edge_to_spare(plot in plot()) {
        let plain: Vec<usize> = (0..plot.things.len()).collect();
        let whole = prepare(declare(&plot, &plain), &Settings::default().pass(AutoEdges)).unwrap();
        let reduced = prepare(declare(&plot, &plain), &settings()).unwrap();
        let count = whole.config().vertices.len();
        let (all, fewer) = (pairs(whole.config()), pairs(reduced.config()));
        prop_assert_eq!(before(count, &all), before(count, &fewer));
        for (n, edge) in reduced.config().edges.iter().enumerate().filter(|(_, edge)| is_automatic(&edge.origin)) {
            let mut rest = fewer.clone();
            rest.remove(n);
            prop_assert!(!before(count, &rest)[edge.to as usize].contains(&edge.from), "{:?}", edge);
        }
    }
}

#[test]
fn a_large_tree_and_a_long_chain_take_time_in_proportion_to_their_size() {
    // A directory for each hundred files, and commands in a chain that all run in one directory: each edge from that
    // directory but the first can be spared, and a search from each command would visit the whole chain.
    let mut g = Graph::new("g");
    let mut last = None;
    for n in (0..20_000).rev() {
        g.add(File::new(format!("/t/{:03}/{n:05}", n / 100)));
        let exec = Exec::new(format!("e{n}")).cmd("/t/run").cwd("/t");
        last = Some(g.add(match &last {
            Some(last) => exec.after(last),
            None => exec,
        }));
        if n % 100 == 0 {
            g.add(File::new(format!("/t/{:03}/", n / 100)));
        }
    }
    g.add(File::new("/t/"));
    let begun = std::time::Instant::now();
    let prepared = prepare(g.finish().unwrap(), &settings()).unwrap();
    let automatic = prepared.config().edges.iter().filter(|edge| is_automatic(&edge.origin)).count();
    assert_eq!(automatic, 20_000 + 200 + 1);
    // It takes less than a second even without optimisation; a quadratic search, minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
