//! Cycles: those that are there, and edges that would close one.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::dag::tests::model::{acyclic_edges, any_edges, below, dag, ids, reachable};
use crate::dag::{Growing, NodeId, topo};

const MANY: u32 = 1_000_000;

#[test]
fn each_knot_is_told_by_its_shortest_cycle() {
    let two_knots = [(0, 1), (1, 2), (2, 3), (3, 0), (2, 1), (3, 4), (4, 5), (5, 6), (6, 5), (7, 7)];
    let dag = dag(8, &two_knots);
    assert!(dag.has_cycle());
    assert_eq!(dag.cycles(), [ids(&[1, 2]), ids(&[5, 6]), ids(&[7])]);
    assert_eq!(dag.topological_order().unwrap_err().to_string(), "the graph has 3 cycles");
    let one = topo::order(3, &[(2, 1), (1, 0), (0, 2)]).unwrap_err();
    assert_eq!(one.paths, [[0, 2, 1]]);
    assert_eq!(one.to_string(), "the graph has a cycle of 3");
    assert_eq!(one.map(|i| ["a", "b", "c"][i as usize]).paths, [["a", "c", "b"]]);
}

#[test]
fn a_ring_of_a_million_is_told_in_one_piece() {
    let edges: Vec<_> = (0..MANY).map(|i| (i, (i + 1) % MANY)).collect();
    let cycles = topo::cycles(MANY as usize, &edges);
    assert!(cycles.len() == 1 && cycles[0].iter().copied().eq(0..MANY));
}

#[test]
fn half_a_million_knots_are_all_told() {
    let edges: Vec<_> = (0..MANY).map(|i| (i, i ^ 1)).collect();
    let cycles = topo::cycles(MANY as usize, &edges);
    assert!(cycles.into_iter().eq((0..MANY).step_by(2).map(|i| [i, i + 1])));
}

proptest! {
    #[test]
    fn cycles_are_real_and_every_knot_has_its_shortest((n, edges) in any_edges()) {
        let reach = reachable(n as usize, &edges);
        let dag = dag(n, &edges);
        let cycles = dag.cycles();
        prop_assert_eq!(dag.has_cycle(), (0..n as usize).any(|i| reach[i][i]));
        for cycle in &cycles {
            for (at, node) in cycle.iter().enumerate() {
                prop_assert!(dag.has_edge(*node, cycle[(at + 1) % cycle.len()]));
            }
            prop_assert_eq!(cycle.iter().collect::<BTreeSet<_>>().len(), cycle.len());
            prop_assert_eq!(cycle.iter().min(), cycle.first());
        }
        for (node, reached) in reach.iter().enumerate() {
            let together = |other: &NodeId| reached[other.index()] && reach[other.index()][node];
            let of_knot: Vec<_> = cycles.iter().filter(|cycle| cycle.iter().any(together)).collect();
            let members: Vec<usize> = (0..n as usize).filter(|other| together(&NodeId(*other as u32))).collect();
            let loops = members.iter().filter(|node| dag.has_edge(NodeId(**node as u32), NodeId(**node as u32))).count();
            prop_assert_eq!(of_knot.len(), loops + usize::from(members.len() > 1));
            let of_knot: Vec<_> = of_knot.into_iter().filter(|cycle| cycle.len() > 1).collect();
            // The shortest way from a node with an edge to itself back to it is that edge.
            let through = dag.shortest_path(NodeId(node as u32), NodeId(node as u32));
            if let Some(through) = through.filter(|_| !dag.has_edge(NodeId(node as u32), NodeId(node as u32))) {
                prop_assert!(of_knot.iter().all(|cycle| cycle.len() < through.len()));
            }
        }
        prop_assert!(cycles.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn edges_are_added_one_by_one_until_one_would_close_a_cycle((n, known) in acyclic_edges(), (_, more) in any_edges()) {
        let mut growing = Growing::new(n as usize, &known).unwrap();
        let mut edges = known;
        for (from, to) in more.into_iter().filter(|(from, to)| *from < n && *to < n) {
            let reach = reachable(n as usize, &edges);
            match growing.add(from, to) {
                Ok(()) => {
                    prop_assert!(from != to && !reach[to as usize][from as usize]);
                    edges.push((from, to));
                }
                Err(way) => {
                    prop_assert_eq!((way.first(), way.last()), (Some(&to), Some(&from)));
                    let shortest = dag(n, &edges).shortest_path(NodeId(to), NodeId(from)).map_or(1, |path| path.len());
                    prop_assert_eq!(way.len(), if from == to { 1 } else { shortest });
                    prop_assert!(way.windows(2).all(|step| edges.contains(&(step[0], step[1]))));
                }
            }
        }
        prop_assert!(topo::order(n as usize, &edges).is_ok());
    }

    #[test]
    fn knots_hold_every_edge_that_is_in_a_cycle(n in 1usize..8, edges in prop::collection::vec((0u32..8, 0u32..8), 0..20)) {
        let edges: Vec<_> = edges.into_iter().map(|(a, b)| (a % n as u32, b % n as u32)).collect();
        let knots = topo::knots(n, &edges);
        for (from, to) in edges.iter().filter(|(from, to)| from != to) {
            let in_cycle = below(*to, &edges).contains(from);
            prop_assert_eq!(knots.iter().any(|knot| knot.contains(from) && knot.contains(to)), in_cycle);
        }
    }
}
