//! What holds for the groups of every graph, in whatever order it is declared.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::graph::{AutoGroups, Edge, GraphConfig, GroupGraph, Grouping, Prepared, Quotient, Settings, prepare};
use mgmt::prelude::*;
use mgmt::resource::{NodeRef, Origin, Sema};
use proptest::prelude::*;

use super::kinds::{Part, Pkg, names};

/// A resource of a random graph.
#[derive(Clone, Debug)]
struct Thing {
    sort: u8,
    alone: bool,
    semas: u8,
}

/// Things, and edges between them from a lower to a higher number: whether they notify.
#[derive(Clone, Debug)]
struct Plot {
    things: Vec<Thing>,
    edges: BTreeMap<(usize, usize), bool>,
    seed: u64,
}

fn plot(sorts: u8) -> impl Strategy<Value = Plot> {
    let thing =
        (0..sorts, prop::bool::weighted(0.1), 0u8..8).prop_map(|(sort, alone, semas)| Thing { sort, alone, semas });
    let edge = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>());
    (prop::collection::vec(thing, 2..14), prop::collection::vec(edge, 0..20), any::<u64>()).prop_map(
        |(things, edges, seed)| {
            let places =
                edges.iter().map(|(from, to, notify)| (from.index(things.len()), to.index(things.len()), notify));
            let edges = places.filter(|(from, to, _)| from != to);
            let edges = edges.map(|(from, to, notify)| ((from.min(to), from.max(to)), *notify)).collect();
            Plot { things, edges, seed }
        },
    )
}

const STATES: [&str; 4] = ["installed", "uninstalled", "newest", "1.0-2"];
/// The sorts of resources: four of packages, two of parts, noops, passwords.
const SORTS: u8 = 8;

impl Plot {
    /// The graph, declared in this order.
    fn declared(&self, order: &[usize]) -> GraphConfig {
        let mut g = Graph::new("plot");
        let mut nodes: BTreeMap<usize, NodeRef> = BTreeMap::new();
        for at in order {
            let thing = &self.things[*at];
            let semas = (0..3).filter(|bit| thing.semas & 1 << bit != 0).map(|bit| Sema::new(format!("s{bit}"), 2));
            let semas: Vec<Sema> = semas.collect();
            let node = match thing.sort {
                0..4 => {
                    let state = STATES[usize::from(thing.sort)];
                    let pkg = Pkg::new(format!("p{at:02}")).state(state).autogroup(!thing.alone);
                    g.add(semas.into_iter().fold(pkg, |pkg, sema| pkg.sema(sema))).node()
                }
                4..6 => {
                    let name = format!("{}{at:02}", if thing.sort == 4 { "x" } else { "y" });
                    let part = Part::new(name).autogroup(!thing.alone);
                    g.add(semas.into_iter().fold(part, |part, sema| part.sema(sema))).node()
                }
                6 => g.add(Noop::new(format!("n{at:02}")).autogroup(!thing.alone)).node(),
                _ => g.add(Password::new(format!("w{at:02}"))).node(),
            };
            nodes.insert(*at, node);
        }
        for ((from, to), notify) in &self.edges {
            match notify {
                true => g.notify(&nodes[from], &nodes[to]),
                false => g.before(&nodes[from], &nodes[to]),
            }
        }
        g.finish().unwrap()
    }

    fn shuffled(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.things.len()).collect();
        let mut seed = self.seed | 1;
        for at in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, (seed >> 33) as usize % (at + 1));
        }
        order
    }
}

fn grouped(config: GraphConfig) -> Prepared {
    prepare(config, &Settings::default().grouping(AutoGroups)).unwrap()
}

/// Which node comes before which, directly or not: the slow, obvious way.
fn reach(count: usize, edges: impl Iterator<Item = (u32, u32)>) -> Vec<Vec<bool>> {
    let mut reach = vec![vec![false; count]; count];
    edges.for_each(|(from, to)| reach[from as usize][to as usize] = true);
    for via in 0..count {
        for from in 0..count {
            for to in 0..count {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    reach
}

fn pairs(config: &GraphConfig) -> BTreeSet<(u32, u32)> {
    config.edges.iter().map(|edge| (edge.from, edge.to)).collect()
}

fn edges_of(quotient: &Quotient) -> impl Iterator<Item = (u32, u32)> {
    quotient.edges().iter().map(|edge| (edge.from, edge.to))
}

/// The kind and the key with which the resource is grouped, as documented.
fn class(config: &GraphConfig, at: u32) -> Option<String> {
    let vertex = &config.vertices[at as usize];
    let (kind, name) = (vertex.resource.spec().kind, vertex.resource.name());
    let key = match kind {
        "test:pkg" => match vertex.resource.as_any().downcast_ref::<Pkg>().unwrap().state.as_str() {
            state @ ("installed" | "uninstalled" | "newest") => state.to_owned(),
            _ => return None,
        },
        "test:part" => name[..1].to_owned(),
        "noop" => String::new(),
        _ => return None,
    };
    vertex.meta().autogroup.then(|| format!("{kind} {key}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn members_are_alike_and_do_not_reach_each_other_and_groups_do_not_wait_for_each_other(plot in plot(SORTS)) {
        let prepared = grouped(plot.declared(&plot.shuffled()));
        let (config, groups) = (prepared.config(), prepared.groups());
        let reached = reach(config.vertices.len(), pairs(config).into_iter());
        let mut seen = BTreeSet::new();
        for group in groups.all() {
            prop_assert!(group.len() > 1);
            for at in group {
                prop_assert!(seen.insert(*at));
                prop_assert!(class(config, *at).is_some() && class(config, *at) == class(config, group[0]));
                prop_assert!(group.iter().all(|other| !reached[*at as usize][*other as usize]));
            }
        }
        let quotient = Quotient::new(config, groups.all());
        let reached = reach(quotient.nodes().len(), edges_of(&quotient));
        prop_assert!((0..reached.len()).all(|node| !reached[node][node]));
    }

    #[test]
    fn order_is_kept_and_each_edge_is_attached_where_it_belongs(plot in plot(SORTS), owed in any::<u64>()) {
        let prepared = grouped(plot.declared(&plot.shuffled()));
        let (config, groups) = (prepared.config(), prepared.groups());
        let quotient = Quotient::new(config, groups.all());
        let pairs = pairs(config);
        let owed: BTreeSet<(u32, u32)> =
            pairs.iter().enumerate().filter(|(at, _)| owed >> (at % 64) & 1 == 1).map(|(_, pair)| *pair).collect();
        let mut left = pairs.clone();
        for edge in quotient.edges() {
            prop_assert!(!edge.pairs.is_empty() && edge.from != edge.to);
            for pair in &edge.pairs {
                // Each edge is part of one edge, between the nodes that its ends are in.
                prop_assert!(left.remove(pair));
                prop_assert_eq!((quotient.node_of(pair.0), quotient.node_of(pair.1)), (edge.from, edge.to));
            }
            let slowly = pairs.iter().any(|pair| {
                owed.contains(pair) && (quotient.node_of(pair.0), quotient.node_of(pair.1)) == (edge.from, edge.to)
            });
            prop_assert_eq!(edge.pairs.iter().any(|pair| owed.contains(pair)), slowly);
        }
        prop_assert!(left.is_empty());
        let distinct: BTreeSet<_> = edges_of(&quotient).collect();
        prop_assert_eq!(distinct.len(), quotient.edges().len());
        let (before, after) = (reach(config.vertices.len(), pairs.into_iter()), reach(quotient.nodes().len(), edges_of(&quotient)));
        for from in 0..before.len() as u32 {
            for to in (0..before.len() as u32).filter(|to| before[from as usize][*to as usize]) {
                prop_assert!(after[quotient.node_of(from) as usize][quotient.node_of(to) as usize]);
            }
        }
        for (node, members) in quotient.nodes().iter().enumerate() {
            let semas = members.iter().flat_map(|at| config.vertices[*at as usize].meta().sema);
            let expected: BTreeSet<String> = semas.map(|sema| sema.name().to_owned()).collect();
            let found: Vec<String> = quotient.semas(config, node as u32).iter().map(|sema| sema.name().to_owned()).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_order_of_declaration_does_not_matter(plot in plot(SORTS)) {
        let straight: Vec<usize> = (0..plot.things.len()).collect();
        let (one, other) = (grouped(plot.declared(&straight)), grouped(plot.declared(&plot.shuffled())));
        prop_assert_eq!(names(one.config(), one.groups()), names(other.config(), other.groups()));
    }

    #[test]
    fn what_is_grouped_is_not_grouped_again(plot in plot(SORTS)) {
        let first = grouped(plot.declared(&plot.shuffled()));
        let quotient = Quotient::new(first.config(), first.groups().all());
        // Each node as one resource: the first of its members.
        let mut config = GraphConfig {
            name: "again".to_owned(),
            vertices: quotient.nodes().iter().map(|node| first.config().vertices[node[0] as usize].clone()).collect(),
            ..GraphConfig::default()
        };
        let some_edge = |from, to| Edge { from, to, notify: false, name: None, origin: Origin::Unknown };
        config.edges = edges_of(&quotient).map(|(from, to)| some_edge(from, to)).collect();
        let again = grouped(config);
        prop_assert!(again.groups().is_empty(), "{:?}", names(again.config(), again.groups()));
    }

    #[test]
    fn of_one_sort_there_are_as_few_groups_as_there_can_be(plot in plot(1), others in any::<u16>()) {
        let mut plot = plot;
        for (at, thing) in plot.things.iter_mut().enumerate() {
            (thing.sort, thing.alone) = (if others >> at & 1 == 1 { 7 } else { 0 }, false);
        }
        let order: Vec<usize> = (0..plot.things.len()).collect();
        let prepared = grouped(plot.declared(&order));
        let quotient = Quotient::new(prepared.config(), prepared.groups().all());
        let of_sort = |at: u32| plot.things[at as usize].sort == 0;
        let groups = quotient.nodes().iter().filter(|node| of_sort(node[0])).count();
        // The longest way, counted in resources of the sort: these must be in different groups.
        let mut longest = vec![0; plot.things.len()];
        for at in 0..plot.things.len() {
            let above = plot.edges.keys().filter(|(_, to)| *to == at).map(|(from, _)| longest[*from]).max();
            longest[at] = above.unwrap_or(0) + usize::from(of_sort(at as u32));
        }
        prop_assert_eq!(groups, longest.into_iter().max().unwrap());
    }

    #[test]
    fn merging_pairs_is_what_it_is_by_hand(plot in plot(SORTS), tries in prop::collection::vec((0u32..14, 0u32..14), 0..60)) {
        let count = plot.things.len() as u32;
        let tries: Vec<(u32, u32)> = tries.into_iter().map(|(one, other)| (one % count, other % count)).collect();
        let order: Vec<usize> = (0..plot.things.len()).collect();
        let settings = Settings::default().grouping(ByPairs(tries.clone()));
        let prepared = prepare(plot.declared(&order), &settings).unwrap();
        let config = prepared.config();
        // Slowly: merges, and merges not if a cycle appears.
        let mut of: Vec<u32> = (0..count).collect();
        for (one, other) in tries {
            let (one, other) = (of[one as usize], of[other as usize]);
            let alike = |at: u32, with: u32| class(config, at).is_some() && class(config, at) == class(config, with);
            if one == other || !alike(one, other) {
                continue;
            }
            let merged: Vec<u32> = of.iter().map(|at| if *at == other { one } else { *at }).collect();
            let edges = pairs(config).into_iter().map(|(from, to)| (merged[from as usize], merged[to as usize]));
            let reached = reach(count as usize, edges);
            if (0..count as usize).all(|at| !reached[at][at]) {
                of = merged;
            }
        }
        let mut expected: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        (0..count).for_each(|at| expected.entry(of[at as usize]).or_default().extend([at]));
        let expected: BTreeSet<BTreeSet<u32>> = expected.into_values().filter(|group| group.len() > 1).collect();
        let found: BTreeSet<BTreeSet<u32>> =
            prepared.groups().all().iter().map(|group| group.iter().copied().collect()).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Merges these pairs.
#[derive(Debug)]
struct ByPairs(Vec<(u32, u32)>);

impl Grouping for ByPairs {
    fn name(&self) -> &'static str {
        "by-pairs"
    }

    fn groups(&self, graph: &GroupGraph<'_>) -> Vec<Vec<u32>> {
        mgmt::graph::pairwise(graph, &mut self.0.iter().copied())
    }
}
