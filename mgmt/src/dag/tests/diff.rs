//! The difference of two graphs.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::dag::tests::model::{any_edges, dag, ids};
use crate::dag::{Dag, DuplicateKey, NodeId, diff};

#[test]
fn a_difference_goes_by_key_and_not_by_place() {
    let build = |nodes: &[(&'static str, u8)], edges: &[(usize, usize, u8)]| {
        let mut dag = Dag::new();
        let ids: Vec<_> = nodes.iter().map(|node| dag.add_node(*node)).collect();
        for (from, to, weight) in edges {
            dag.add_edge(ids[*from], ids[*to], *weight);
        }
        dag
    };
    let compare = |old: &Dag<_, _>, new: &Dag<_, _>| diff(old, new, |n: &(&str, u8)| n.0, |a, b| a == b, |a, b| a == b);
    let old = build(&[("a", 1), ("b", 1), ("c", 1)], &[(0, 1, 1), (1, 2, 1), (0, 2, 1)]);
    let new = build(&[("d", 1), ("c", 2), ("a", 1)], &[(2, 1, 7), (2, 0, 1), (1, 2, 1)]);
    let found = compare(&old, &new).unwrap();
    assert_eq!(found.nodes.added, ids(&[0]));
    assert_eq!(found.nodes.removed, ids(&[1]));
    assert_eq!(found.nodes.kept, [(NodeId(0), NodeId(2))]);
    assert_eq!(found.nodes.changed, [(NodeId(2), NodeId(1))]);
    assert_eq!(found.edges.added, [(NodeId(2), NodeId(0)), (NodeId(1), NodeId(2))]);
    assert_eq!(found.edges.removed, [(NodeId(0), NodeId(1)), (NodeId(1), NodeId(2))]);
    assert_eq!(found.edges.kept, []);
    assert_eq!(found.edges.changed, [((NodeId(0), NodeId(2)), (NodeId(2), NodeId(1)))]);
    assert!(!found.is_same());
    assert!(compare(&old, &old).unwrap().is_same());
    for twice in [build(&[("a", 1), ("x", 1), ("a", 2)], &[]), build(&[("x", 1), ("a", 1), ("x", 1)], &[])] {
        let in_new = DuplicateKey { in_new: true, first: NodeId(0), second: NodeId(2) };
        assert_eq!(compare(&old, &twice), Err(in_new));
        assert_eq!(compare(&twice, &old), Err(DuplicateKey { in_new: false, ..in_new }));
    }
}

proptest! {
    #[test]
    fn a_difference_applied_to_the_old_graph_gives_the_new_one(a in any_edges(), b in any_edges(), shift in 0..9_u32) {
        let old = dag(a.0, &a.1);
        let mut new = Dag::new();
        for node in 0..b.0 {
            new.add_node(b.0 - node + shift);
        }
        for (from, to) in &b.1 {
            new.add_edge(NodeId(*from), NodeId(*to), ());
        }
        let found = diff(&old, &new, |n| n, |a, b| a == b, |(), ()| true).unwrap();
        let nodes = |d: &Dag<u32, ()>| d.nodes().map(|(_, n)| *n).collect::<BTreeSet<_>>();
        let named = |d: &Dag<u32, ()>, (from, to): (NodeId, NodeId)| (*d.node(from).unwrap(), *d.node(to).unwrap());
        let all = |d: &Dag<u32, ()>| d.edges().map(|(from, to, ())| named(d, (from, to))).collect::<BTreeSet<_>>();
        let (mut patched_nodes, mut patched_edges) = (nodes(&old), all(&old));
        for id in &found.nodes.removed {
            prop_assert!(patched_nodes.remove(old.node(*id).unwrap()));
        }
        for id in &found.nodes.added {
            prop_assert!(patched_nodes.insert(*new.node(*id).unwrap()));
        }
        for edge in &found.edges.removed {
            prop_assert!(patched_edges.remove(&named(&old, *edge)));
        }
        for edge in &found.edges.added {
            prop_assert!(patched_edges.insert(named(&new, *edge)));
        }
        prop_assert_eq!((patched_nodes, patched_edges), (nodes(&new), all(&new)));
        prop_assert_eq!(found.nodes.kept.len() + found.nodes.added.len(), new.node_count());
        prop_assert_eq!(found.edges.kept.len() + found.edges.added.len(), new.edge_count());
    }
}
