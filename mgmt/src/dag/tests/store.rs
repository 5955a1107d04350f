//! The store: nodes, edges, what is removed, against a model of two lists.

use proptest::prelude::*;

use crate::dag::tests::model::{dag, edges, ids};
use crate::dag::{Dag, NodeId};

#[test]
fn a_pair_has_one_edge_and_adding_it_again_gives_back_the_old_one() {
    let mut dag = Dag::new();
    let (a, b) = (dag.add_node('a'), dag.add_node('b'));
    assert_eq!(dag.add_edge(a, b, 1), None);
    assert_eq!(dag.add_edge(b, a, 2), None);
    assert_eq!(dag.add_edge(a, b, 3), Some(1));
    assert_eq!(dag.edges().collect::<Vec<_>>(), [(a, b, &3), (b, a, &2)]);
    assert_eq!(dag.edge(a, b), Some(&3));
    assert_eq!((dag.out_degree(a), dag.in_degree(a), dag.edge_count()), (1, 1, 2));
    assert_eq!(dag.remove_edge(a, b), Some(3));
    assert_eq!(dag.remove_edge(a, b), None);
    assert!(!dag.has_edge(a, b) && dag.has_edge(b, a));
}

#[test]
fn ids_stay_when_nodes_leave_and_are_not_used_again() {
    let mut dag = dag(3, &[(0, 1), (1, 2), (0, 2), (1, 1)]);
    assert_eq!(dag.remove_node(NodeId(1)), Some(1));
    assert_eq!(dag.remove_node(NodeId(1)), None);
    assert_eq!(dag.add_node(9), NodeId(3));
    assert_eq!(dag.nodes().collect::<Vec<_>>(), [(NodeId(0), &0), (NodeId(2), &2), (NodeId(3), &9)]);
    assert_eq!(edges(&dag), [(0, 2)]);
    assert_eq!((dag.node_count(), dag.edge_count(), dag.node_bound()), (3, 1, 4));
    assert_eq!((dag.out_degree(NodeId(0)), dag.in_degree(NodeId(2))), (1, 1));
    assert_eq!(dag.topological_order().unwrap(), ids(&[0, 2, 3]));
}

#[test]
#[should_panic(expected = "needs both of its nodes")]
fn an_edge_to_a_removed_node_is_refused() {
    let mut dag = dag(2, &[]);
    dag.remove_node(NodeId(1));
    dag.add_edge(NodeId(0), NodeId(1), ());
}

#[test]
fn a_node_that_is_not_there_has_nothing() {
    let dag = dag(1, &[]);
    let ghost = NodeId(7);
    assert_eq!((dag.node(ghost), dag.in_degree(ghost), dag.out_degree(ghost)), (None, 0, 0));
    assert_eq!((dag.children(ghost).len(), dag.parents(ghost).len()), (0, 0));
    assert_eq!((dag.descendants(ghost), dag.shortest_path(ghost, NodeId(0))), (vec![], None));
    assert_eq!(dag.shortest_path(NodeId(0), ghost), None);
}

#[test]
fn retaining_nodes_keeps_lone_ones_and_drops_edges_with_one_end() {
    let mut dag = dag(4, &[(0, 1), (1, 2), (2, 3)]);
    dag.retain(|_, node| *node != 1);
    assert_eq!(dag.nodes().map(|(id, _)| id).collect::<Vec<_>>(), ids(&[0, 2, 3]));
    assert_eq!(edges(&dag), [(2, 3)]);
}

#[test]
fn a_hub_with_many_children_loses_them_quickly() {
    let n = 200_000;
    let mut dag = dag(n, &(1..n).map(|i| (0, i)).collect::<Vec<_>>());
    for node in 1..n {
        dag.remove_node(NodeId(node));
    }
    assert_eq!((dag.out_degree(NodeId(0)), dag.edge_count(), dag.node_count()), (0, 0, 1));
}

#[derive(Clone, Debug)]
enum Step {
    AddNode,
    RemoveNode(u32),
    AddEdge(u32, u32, u8),
    RemoveEdge(u32, u32),
    Reverse,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::AddNode),
        1 => (0..20_u32).prop_map(Step::RemoveNode),
        12 => (0..20_u32, 0..20_u32, any::<u8>()).prop_map(|(from, to, weight)| Step::AddEdge(from, to, weight)),
        6 => (0..20_u32, 0..20_u32).prop_map(|(from, to)| Step::RemoveEdge(from, to)),
        1 => Just(Step::Reverse),
    ]
}

/// The model of a graph: two lists.
#[derive(Default)]
struct Model {
    next: u32,
    nodes: Vec<u32>,
    edges: Vec<(u32, u32, u8)>,
}

impl Model {
    /// Does the step in both, and compares the results.
    fn step(&mut self, dag: &mut Dag<u32, u8>, step: &Step) {
        match *step {
            Step::AddNode => {
                assert_eq!(dag.add_node(self.next), NodeId(self.next));
                self.nodes.push(self.next);
                self.next += 1;
            }
            Step::RemoveNode(node) => {
                let is_there = self.nodes.contains(&node);
                assert_eq!(dag.remove_node(NodeId(node)), is_there.then_some(node));
                self.nodes.retain(|n| *n != node);
                self.edges.retain(|(from, to, _)| *from != node && *to != node);
            }
            Step::AddEdge(from, to, weight) if self.nodes.contains(&from) && self.nodes.contains(&to) => {
                let old = self.edges.iter_mut().find(|(f, t, _)| (*f, *t) == (from, to));
                let expected = old.map(|(_, _, held)| std::mem::replace(held, weight));
                assert_eq!(dag.add_edge(NodeId(from), NodeId(to), weight), expected);
                if expected.is_none() {
                    self.edges.push((from, to, weight));
                }
            }
            Step::AddEdge(..) => {}
            Step::RemoveEdge(from, to) => {
                let at = self.edges.iter().position(|(f, t, _)| (*f, *t) == (from, to));
                let expected = at.map(|at| self.edges.remove(at).2);
                assert_eq!(dag.remove_edge(NodeId(from), NodeId(to)), expected);
            }
            Step::Reverse => {
                dag.reverse();
                self.edges.iter_mut().for_each(|(from, to, _)| std::mem::swap(from, to));
            }
        }
    }

    fn compare(&self, dag: &Dag<u32, u8>) {
        assert_eq!(
            dag.nodes().map(|(id, node)| (id.0, *node)).collect::<Vec<_>>(),
            self.nodes.iter().map(|n| (*n, *n)).collect::<Vec<_>>()
        );
        assert_eq!(dag.edges().map(|(from, to, e)| (from.0, to.0, *e)).collect::<Vec<_>>(), self.edges);
        assert_eq!((dag.node_count(), dag.edge_count()), (self.nodes.len(), self.edges.len()));
        for node in 0..20 {
            let children: Vec<_> = self.edges.iter().filter(|e| e.0 == node).map(|e| (NodeId(e.1), &e.2)).collect();
            let parents: Vec<_> = self.edges.iter().filter(|e| e.1 == node).map(|e| (NodeId(e.0), &e.2)).collect();
            assert_eq!((dag.out_degree(NodeId(node)), dag.in_degree(NodeId(node))), (children.len(), parents.len()));
            assert_eq!(dag.children(NodeId(node)).collect::<Vec<_>>(), children);
            assert_eq!(dag.parents(NodeId(node)).collect::<Vec<_>>(), parents);
            for other in 0..20 {
                let edge = self.edges.iter().find(|e| (e.0, e.1) == (node, other)).map(|e| &e.2);
                assert_eq!(dag.edge(NodeId(node), NodeId(other)), edge);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_graph_is_what_two_plain_lists_would_be(steps in prop::collection::vec(any_step(), 0..400)) {
        let (mut dag, mut model) = (Dag::new(), Model::default());
        for step in &steps {
            model.step(&mut dag, step);
        }
        model.compare(&dag);
    }
}
