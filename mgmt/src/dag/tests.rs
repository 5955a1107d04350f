//! Tests of the graph: by example, against plain models under random input, and at a million nodes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Cluster, Dag, DuplicateKey, EdgeLook, Growing, NodeId, NodeLook, diff, shortest_way, spare_edges, topo};

fn dag(nodes: u32, edges: &[(u32, u32)]) -> Dag<u32, ()> {
    let mut dag = Dag::new();
    for node in 0..nodes {
        dag.add_node(node);
    }
    for (from, to) in edges {
        dag.add_edge(NodeId(*from), NodeId(*to), ());
    }
    dag
}

fn ids(nodes: &[u32]) -> Vec<NodeId> {
    nodes.iter().copied().map(NodeId).collect()
}

fn edges(dag: &Dag<u32, ()>) -> Vec<(u32, u32)> {
    dag.edges().map(|(from, to, ())| (from.0, to.0)).collect()
}

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
#[should_panic(expected = "edge 0 -> 2 in a graph of 2 nodes")]
fn an_edge_out_of_range_is_refused() {
    let _ = topo::order(2, &[(0, 2)]);
}

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
fn layers_count_the_longest_way() {
    let found = dag(5, &[(0, 1), (1, 2), (0, 2), (3, 2)]).layers().unwrap();
    assert_eq!(found, [ids(&[0, 3, 4]), ids(&[1]), ids(&[2])]);
}

#[test]
fn components_are_what_no_edge_joins() {
    assert_eq!(dag(6, &[(4, 0), (3, 1), (5, 3)]).components(), [ids(&[0, 4]), ids(&[1, 3, 5]), ids(&[2])]);
}

#[test]
fn retaining_nodes_keeps_lone_ones_and_drops_edges_with_one_end() {
    let mut dag = dag(4, &[(0, 1), (1, 2), (2, 3)]);
    dag.retain(|_, node| *node != 1);
    assert_eq!(dag.nodes().map(|(id, _)| id).collect::<Vec<_>>(), ids(&[0, 2, 3]));
    assert_eq!(edges(&dag), [(2, 3)]);
}

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

fn nasty() -> Dag<&'static str, EdgeLook> {
    let mut dag = Dag::new();
    let plain = dag.add_node("file[/etc/motd]");
    let quoted = dag.add_node("exec[echo \"a\\n&\" \\]\n2");
    let bell = dag.add_node("\u{7}%%<b>`");
    let twin = dag.add_node("file[/etc/motd]");
    dag.add_edge(plain, quoted, EdgeLook::default());
    dag.add_edge(quoted, bell, EdgeLook { notify: true, ..EdgeLook::default() });
    dag.add_edge(twin, bell, EdgeLook { label: "a \"reason\"".into(), notify: true, automatic: true });
    dag
}

fn look(_: NodeId, name: &&str) -> NodeLook {
    NodeLook { identity: (*name).to_owned(), label: (*name).to_owned() }
}

#[test]
fn dot_quotes_everything_and_keeps_namesakes_apart() {
    let expected = r#"digraph "a \"title\"" {
  label="a \"title\"";
  node [shape=box];
  "file[/etc/motd]" [label="file[/etc/motd]"];
  "exec[echo \"a\\n&\" \\]\n2" [label="exec[echo \"a\\n&amp;\" \\]\n2"];
  "\\u{7}%%<b>`" [label="\\u{7}%%<b>`"];
  "file[/etc/motd] #2" [label="file[/etc/motd]"];
  "file[/etc/motd]" -> "exec[echo \"a\\n&\" \\]\n2";
  "exec[echo \"a\\n&\" \\]\n2" -> "\\u{7}%%<b>`" [style=bold];
  "file[/etc/motd] #2" -> "\\u{7}%%<b>`" [label="a \"reason\"", style="bold,dashed", color=gray, fontcolor=gray];
}
"#;
    assert_eq!(nasty().dot("a \"title\"", &[], look, Clone::clone), expected);
}

#[test]
fn clusters_are_boxes_around_their_nodes() {
    let cluster = [Cluster { label: "two \"nodes\"".to_owned(), nodes: vec![NodeId(0), NodeId(3)] }];
    let dot = nasty().dot("", &cluster, look, Clone::clone);
    let boxed = r#"
  subgraph cluster_0 { label="two \"nodes\""; style=dotted; "file[/etc/motd]"; "file[/etc/motd] #2"; }
"#;
    assert!(dot.contains(boxed), "{dot}");
    let mermaid = nasty().mermaid("", &cluster, look, Clone::clone);
    assert!(mermaid.contains("\n  subgraph g0[\"two #34;nodes#34;\"]\n    n0\n    n3\n  end\n"), "{mermaid}");
}

#[test]
fn names_that_look_alike_once_quoted_stay_apart() {
    let mut dag: Dag<&str, EdgeLook> = Dag::new();
    for name in ["\u{7}", "\\u{7}", "x", "x", "x #2", "x"] {
        dag.add_node(name);
    }
    let text = dag.dot("", &[], look, Clone::clone);
    let names: BTreeSet<_> =
        text.lines().filter_map(|line| line.split_once(" [label=")).map(|(name, _)| name).collect();
    assert_eq!(names.len(), 6, "{text}");
}

#[test]
fn mermaid_turns_every_special_sign_into_a_number() {
    let expected = r##"---
title: "a \"title\""
---
flowchart TD
  n0["file[/etc/motd]"]
  n1["exec[echo #34;a#92;n#38;#34; #92;]<br/>2"]
  n2["#92;u#123;7#125;#37;#37;#60;b#62;#96;"]
  n3["file[/etc/motd]"]
  n0 --> n1
  n1 ==> n2
  n3 ==>|"a #34;reason#34;"| n2
  linkStyle 2 stroke:gray,color:gray
"##;
    assert_eq!(nasty().mermaid("a \"title\"", &[], look, Clone::clone), expected);
    assert!(nasty().mermaid("", &[], look, Clone::clone).starts_with("flowchart TD\n"));
}

/// All pairs that a path joins, by repeated squaring of a plain matrix.
fn reachable(n: usize, edges: &[(u32, u32)]) -> Vec<Vec<bool>> {
    let mut reach = vec![vec![false; n]; n];
    for (from, to) in edges {
        reach[*from as usize][*to as usize] = true;
    }
    for via in 0..n {
        for from in 0..n {
            for to in 0..n {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    reach
}

/// The number of nodes, and edges between them.
fn any_edges() -> impl Strategy<Value = (u32, Vec<(u32, u32)>)> {
    (1..14_u32).prop_flat_map(|n| (Just(n), prop::collection::vec((0..n, 0..n), 0..40)))
}

/// A number of nodes and edges without a cycle, in no particular order.
fn acyclic_edges() -> impl Strategy<Value = (u32, Vec<(u32, u32)>)> {
    (any_edges(), any::<u64>()).prop_map(|((n, edges), salt)| {
        let rank = |node: u32| (u64::from(node) + 1).wrapping_mul(salt | 1).rotate_left(32) ^ salt;
        (n, edges.into_iter().filter(|(from, to)| (rank(*from), from) < (rank(*to), to)).collect())
    })
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
    fn layers_are_one_deeper_than_the_deepest_parent((n, edges) in acyclic_edges()) {
        let layers = topo::layers(n as usize, &edges).unwrap();
        let depth = |node| layers.iter().position(|layer| layer.contains(&node)).unwrap();
        for node in 0..n {
            let deepest = edges.iter().filter(|e| e.1 == node).map(|e| depth(e.0) + 1).max();
            prop_assert_eq!(depth(node), deepest.unwrap_or(0));
        }
        prop_assert_eq!(layers.iter().map(Vec::len).sum::<usize>(), n as usize);
    }

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

const MANY: u32 = 1_000_000;
const LONG: u32 = 200_000;

#[test]
fn a_chain_of_a_million_backwards_is_put_in_order() {
    let edges: Vec<_> = (1..MANY).map(|i| (i, i - 1)).collect();
    assert!(topo::order(MANY as usize, &edges).unwrap().into_iter().eq((0..MANY).rev()));
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

#[test]
fn a_hub_with_many_children_loses_them_quickly() {
    let n = 200_000;
    let mut dag = dag(n, &(1..n).map(|i| (0, i)).collect::<Vec<_>>());
    for node in 1..n {
        dag.remove_node(NodeId(node));
    }
    assert_eq!((dag.out_degree(NodeId(0)), dag.edge_count(), dag.node_count()), (0, 0, 1));
}

/// Edges from lower numbers to higher ones.
fn forward() -> impl Strategy<Value = (usize, Vec<(u32, u32)>)> {
    (2usize..12).prop_flat_map(|n| {
        let edge =
            (0..n as u32, 0..n as u32).prop_filter_map("a loop", |(a, b)| (a != b).then(|| (a.min(b), a.max(b))));
        (Just(n), prop::collection::vec(edge, 0..30))
    })
}

/// The nodes that a node leads to.
fn below(start: u32, edges: &[(u32, u32)]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut stack = vec![start];
    while let Some(node) = stack.pop() {
        for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
            if found.insert(*to) {
                stack.push(*to);
            }
        }
    }
    found
}

proptest! {
    #[test]
    fn an_edge_with_a_way_round_is_to_spare((n, edges) in forward()) {
        let spare = spare_edges(n, &edges, &edges, |node| node);
        for ((from, to), spare) in edges.iter().zip(spare) {
            let others = edges.iter().filter(|(other, end)| other == from && end != to);
            let has_way = others.clone().any(|(_, next)| below(*next, &edges).contains(to));
            prop_assert_eq!(spare, has_way, "{} to {}", from, to);
        }
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
