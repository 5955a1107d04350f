//! Edges that others imply.

use proptest::prelude::*;

use crate::dag::tests::model::{acyclic_edges, below, dag, edges, forward, reachable};
use crate::dag::{NodeId, spare_edges};

#[test]
fn reduction_takes_the_detours_out_that_may_go() {
    let detours = [(0, 2), (0, 1), (1, 2), (2, 3), (0, 3), (1, 3)];
    let mut all = dag(4, &detours);
    let mut some = all.clone();
    assert_eq!(all.transitive_reduction(|_, _, ()| true).unwrap().len(), 3);
    assert_eq!(edges(&all), [(0, 1), (1, 2), (2, 3)]);
    let gone = some.transitive_reduction(|from, _, ()| from == NodeId(0)).unwrap();
    assert_eq!(gone, [(NodeId(0), NodeId(2), ()), (NodeId(0), NodeId(3), ())]);
    let mut knot = dag(2, &[(0, 1), (1, 0)]);
    assert!(knot.transitive_reduction(|_, _, ()| true).is_err());
    assert_eq!(knot.edge_count(), 2);
}

proptest! {
    #[test]
    fn reduction_keeps_who_reaches_whom_and_leaves_nothing_spare((n, pairs) in acyclic_edges()) {
        let mut dag = dag(n, &pairs);
        let before = edges(&dag);
        dag.transitive_reduction(|_, _, ()| true).unwrap();
        let after = edges(&dag);
        let reach = reachable(n as usize, &before);
        prop_assert_eq!(&reachable(n as usize, &after), &reach);
        for edge in &after {
            let without: Vec<_> = after.iter().copied().filter(|e| e != edge).collect();
            prop_assert_ne!(&reachable(n as usize, &without), &reach);
        }
    }

    #[test]
    fn an_edge_with_a_way_round_is_to_spare((n, edges) in forward()) {
        let spare = spare_edges(n, &edges, &edges, |node| node);
        for ((from, to), spare) in edges.iter().zip(spare) {
            let others = edges.iter().filter(|(other, end)| other == from && end != to);
            let has_way = others.clone().any(|(_, next)| below(*next, &edges).contains(to));
            prop_assert_eq!(spare, has_way, "{} to {}", from, to);
        }
    }
}
