//! Which nodes lead to which, by which way, and what is joined at all.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::dag::tests::model::{any_edges, below, dag, forward, ids, reachable};
use crate::dag::{Dag, NodeId, diff, shortest_way};

const LONG: u32 = 200_000;

#[test]
fn a_shortest_path_has_both_of_its_ends_and_at_least_one_edge() {
    let dag = dag(6, &[(0, 1), (1, 2), (2, 5), (0, 3), (3, 5), (5, 4), (4, 5)]);
    assert_eq!(dag.shortest_path(NodeId(0), NodeId(5)), Some(ids(&[0, 3, 5])));
    assert_eq!(dag.shortest_path(NodeId(5), NodeId(5)), Some(ids(&[5, 4, 5])));
    assert_eq!(dag.shortest_path(NodeId(0), NodeId(0)), None);
    assert_eq!(dag.shortest_path(NodeId(5), NodeId(0)), None);
    assert!(dag.has_path(NodeId(1), NodeId(4)) && !dag.has_path(NodeId(1), NodeId(3)));
}

#[test]
fn components_are_what_no_edge_joins() {
    assert_eq!(dag(6, &[(4, 0), (3, 1), (5, 3)]).components(), [ids(&[0, 4]), ids(&[1, 3, 5]), ids(&[2])]);
}

#[test]
fn a_long_chain_answers_every_question() {
    let mut dag = Dag::with_capacity(LONG as usize, LONG as usize);
    for node in 0..LONG {
        dag.add_node(node);
    }
    for node in (1..LONG).rev() {
        dag.add_edge(NodeId(node), NodeId(node - 1), ());
    }
    let (first, last) = (NodeId(LONG - 1), NodeId(0));
    assert_eq!(dag.topological_order().unwrap().first(), Some(&first));
    assert_eq!(dag.layers().unwrap().len(), LONG as usize);
    assert_eq!(dag.shortest_path(first, last).unwrap().len(), LONG as usize);
    assert_eq!(dag.descendants(first).len(), LONG as usize - 1);
    assert_eq!(dag.components().len(), 1);
    assert_eq!(dag.transitive_reduction(|_, _, ()| true).unwrap(), []);
    assert!(diff(&dag, &dag, |n| n, |a, b| a == b, |(), ()| true).unwrap().is_same());
    dag.add_edge(last, first, ());
    assert_eq!(dag.cycles()[0].len(), LONG as usize);
}

proptest! {
    #[test]
    fn who_reaches_whom_agrees_with_a_plain_matrix((n, edges) in any_edges()) {
        let reach = reachable(n as usize, &edges);
        let dag = dag(n, &edges);
        for from in 0..n {
            let to: Vec<_> = (0..n).filter(|to| reach[from as usize][*to as usize]).collect();
            prop_assert_eq!(dag.descendants(NodeId(from)), ids(&to));
            let back: Vec<_> = (0..n).filter(|to| reach[*to as usize][from as usize]).collect();
            prop_assert_eq!(dag.ancestors(NodeId(from)), ids(&back));
            for to in 0..n {
                let path = dag.shortest_path(NodeId(from), NodeId(to));
                prop_assert_eq!(path.is_some(), reach[from as usize][to as usize]);
                for step in path.iter().flat_map(|path| path.windows(2)) {
                    prop_assert!(dag.has_edge(step[0], step[1]));
                }
            }
        }
    }

    #[test]
    fn components_join_exactly_what_edges_join((n, edges) in any_edges()) {
        let both: Vec<_> = edges.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect();
        let joined = reachable(n as usize, &both);
        let parts = dag(n, &edges).components();
        let part = |node| parts.iter().position(|part| part.contains(&NodeId(node))).unwrap();
        for a in 0..n {
            for b in 0..n {
                prop_assert_eq!(part(a) == part(b), a == b || joined[a as usize][b as usize]);
            }
        }
        prop_assert!(parts.windows(2).all(|w| w[0] < w[1]));
        prop_assert!(parts.iter().all(|part| part.is_sorted()));
    }

    #[test]
    fn the_shortest_way_is_the_same_whatever_the_order((n, edges) in forward(), ends in (0u32..12, 0u32..12)) {
        let (from, to) = (ends.0 % n as u32, ends.1 % n as u32);
        let way = shortest_way(n, &edges, (from, to), |node| node);
        let reversed: Vec<_> = edges.iter().rev().copied().collect();
        prop_assert_eq!(&way, &shortest_way(n, &reversed, (from, to), |node| node));
        let reaches = from == to || below(from, &edges).contains(&to);
        prop_assert_eq!(way.is_some(), reaches);
        if let Some(way) = way {
            prop_assert_eq!((way[0], *way.last().unwrap()), (from, to));
            prop_assert!(way.windows(2).all(|step| edges.contains(&(step[0], step[1]))));
            // No shorter way: the number of steps is that of a search in rings.
            let mut ring = BTreeSet::from([from]);
            for _ in 1..way.len() {
                prop_assert!(!ring.contains(&to) || from == to);
                ring = edges.iter().filter(|(start, _)| ring.contains(start)).map(|(_, end)| *end).collect();
            }
            prop_assert!(ring.contains(&to));
        }
    }
}
