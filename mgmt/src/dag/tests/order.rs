//! The order of nodes, and their layers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::dag::tests::model::{acyclic_edges, dag, ids, reachable};
use crate::dag::topo;

const MANY: u32 = 1_000_000;

#[test]
fn an_order_that_is_right_already_is_kept() {
    let found = dag(5, &[(0, 3), (1, 2), (0, 4)]).topological_order().unwrap();
    assert_eq!(found, ids(&[0, 1, 2, 3, 4]));
}

#[test]
fn a_node_is_pulled_forward_only_by_what_needs_it() {
    // 1 needs 4, which needs 3: those two come just before it, and nothing else moves.
    assert_eq!(dag(5, &[(4, 1), (3, 4)]).topological_order().unwrap(), ids(&[0, 3, 4, 1, 2]));
}

#[test]
#[should_panic(expected = "edge 0 -> 2 in a graph of 2 nodes")]
fn an_edge_out_of_range_is_refused() {
    let _ = topo::order(2, &[(0, 2)]);
}

#[test]
fn layers_count_the_longest_way() {
    let found = dag(5, &[(0, 1), (1, 2), (0, 2), (3, 2)]).layers().unwrap();
    assert_eq!(found, [ids(&[0, 3, 4]), ids(&[1]), ids(&[2])]);
}

#[test]
fn a_chain_of_a_million_backwards_is_put_in_order() {
    let edges: Vec<_> = (1..MANY).map(|i| (i, i - 1)).collect();
    assert!(topo::order(MANY as usize, &edges).unwrap().into_iter().eq((0..MANY).rev()));
}

proptest! {
    #[test]
    fn an_order_has_every_node_once_and_every_parent_before_its_children((n, edges) in acyclic_edges()) {
        let order = topo::order(n as usize, &edges).unwrap();
        prop_assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), (0..n).collect());
        prop_assert_eq!(order.len(), n as usize);
        let place = |node| order.iter().position(|o| *o == node).unwrap();
        for (from, to) in &edges {
            prop_assert!(place(*from) < place(*to));
        }
        // Stable: a node that comes before nodes with lower numbers is an ancestor of the lowest of them.
        let reach = reachable(n as usize, &edges);
        for (at, node) in order.iter().enumerate() {
            let lower = order[at + 1..].iter().filter(|later| *later < node).min();
            if let Some(lower) = lower {
                prop_assert!(order[at + 1..].iter().any(|l| l <= lower && reach[*node as usize][*l as usize]), "{order:?}");
            }
        }
        prop_assert_eq!(dag(n, &edges).topological_order().unwrap(), ids(&order));
    }

    #[test]
    fn layers_are_one_deeper_than_the_deepest_parent((n, edges) in acyclic_edges()) {
        let layers = topo::layers(n as usize, &edges).unwrap();
        let depth = |node| layers.iter().position(|layer| layer.contains(&node)).unwrap();
        for node in 0..n {
            let deepest = edges.iter().filter(|e| e.1 == node).map(|e| depth(e.0) + 1).max();
            prop_assert_eq!(depth(node), deepest.unwrap_or(0));
        }
        prop_assert_eq!(layers.iter().map(Vec::len).sum::<usize>(), n as usize);
    }
}
