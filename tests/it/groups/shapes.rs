//! Small graphs with names, and the graphs of groups that follow from them.

use std::collections::{BTreeMap, BTreeSet};

use mgmt::graph::{AutoGroups, GraphConfig, Quotient, Settings, prepare};
use mgmt::prelude::*;

use super::kinds::{Part, PartHandle};

/// Resources whose names begin with the same letter may be together. Name of the shape; resources; edges; then the
/// nodes of the graph of groups, and its edges.
const SHAPES: &[(&str, &str, &str, &str, &str)] = &[
    ("two free", "a1 a2", "", "a1+a2", ""),
    ("two that differ", "a1 b1", "", "a1 b1", ""),
    ("three free", "a1 a2 a3", "", "a1+a2+a3", ""),
    ("two free and another", "a1 b1 a2", "", "a1+a2 b1", ""),
    ("chain", "a1 a2 a3", "a1>a2 a2>a3", "a1 a2 a3", "a1>a2 a2>a3"),
    ("chain with one free", "a1 a2 a3", "a1>a2", "a1+a3 a2", "a1+a3>a2"),
    ("two chains", "a1 b1 a2 b2", "a1>b1 a2>b2", "a1+a2 b1+b2", "a1+a2>b1+b2"),
    ("two chains of different length", "a1 b1 a2 b2 a3", "a1>b1 a2>b2 b2>a3", "a1+a2 a3 b1+b2", "a1+a2>b1+b2 b1+b2>a3"),
    ("crossed chains", "a1 c1 c2 a2", "a1>c1 c2>a2", "a1 a2 c1+c2", "a1>c1+c2 c1+c2>a2"),
    ("fork", "a1 b1 b2", "a1>b1 a1>b2", "a1 b1+b2", "a1>b1+b2"),
    ("fork of what differs", "a1 b1 c1", "a1>b1 a1>c1", "a1 b1 c1", "a1>b1 a1>c1"),
    ("join", "a1 a2 b1", "a1>b1 a2>b1", "a1+a2 b1", "a1+a2>b1"),
    ("diamond", "a1 b1 b2 c1", "a1>b1 a1>b2 b1>c1 b2>c1", "a1 b1+b2 c1", "a1>b1+b2 b1+b2>c1"),
    (
        "diamond with a by-pass",
        "a1 b1 b2 c1",
        "a1>b1 a1>b2 b1>c1 b2>c1 a1>c1",
        "a1 b1+b2 c1",
        "a1>b1+b2 a1>c1 b1+b2>c1",
    ),
    ("way and by-pass", "a1 b1 c1 a2", "a1>b1 b1>c1 a2>c1", "a1+a2 b1 c1", "a1+a2>b1 a1+a2>c1 b1>c1"),
    ("ladder", "a1 b1 a2 b2 c1", "a1>b1 a2>b2 a1>b2 b1>c1 b2>c1", "a1+a2 b1+b2 c1", "a1+a2>b1+b2 b1+b2>c1"),
    (
        "ladder with rungs",
        "a1 a2 b1 b2 c1 c2",
        "a1>b1 b1>c1 a2>b2 b2>c2 a1>a2 b1>b2 c1>c2",
        "a1 a2 b1 b2 c1 c2",
        "a1>a2 a1>b1 a2>b2 b1>b2 b1>c1 b2>c2 c1>c2",
    ),
    ("what is put off", "a1 b1 a2", "b1>a2", "a1+a2 b1", "b1>a1+a2"),
];

/// The graph, and which edges are owed. `marked`: the edge that notifies, and is owed.
fn graph(resources: &str, edges: &str, marked: Option<usize>) -> GraphConfig {
    let mut g = Graph::new("shape");
    let handles: BTreeMap<&str, PartHandle> =
        resources.split_whitespace().map(|name| (name, g.add(Part::new(name)))).collect();
    for (number, edge) in edges.split_whitespace().enumerate() {
        let (from, to) = edge.split_once('>').unwrap();
        match marked == Some(number) {
            true => g.notify(&handles[from], &handles[to]),
            false => g.before(&handles[from], &handles[to]),
        }
    }
    g.finish().unwrap()
}

/// Nodes and edges as text, sorted; the edges with the pair are marked.
fn drawn(config: &GraphConfig, quotient: &Quotient, owed: Option<(u32, u32)>) -> (String, String, BTreeSet<String>) {
    let name = |at: &u32| config.vertices[*at as usize].resource.name().to_owned();
    let node = |at: u32| {
        let mut names: Vec<String> = quotient.nodes()[at as usize].iter().map(name).collect();
        names.sort();
        names.join("+")
    };
    let notifies = |pair: &(u32, u32)| config.edges.iter().any(|edge| (edge.from, edge.to) == *pair && edge.notify);
    let mut nodes: Vec<String> = (0..quotient.nodes().len() as u32).map(node).collect();
    let (mut edges, mut marked) = (Vec::new(), BTreeSet::new());
    for edge in quotient.edges() {
        let text = format!("{}>{}", node(edge.from), node(edge.to));
        let is_notify = edge.pairs.iter().any(notifies);
        assert_eq!(is_notify, edge.pairs.iter().any(|pair| Some(*pair) == owed), "{text}");
        if is_notify {
            marked.insert(text.clone());
        }
        edges.push(text);
    }
    nodes.sort();
    edges.sort();
    (nodes.join(" "), edges.join(" "), marked)
}

#[test]
fn each_shape_has_its_graph_of_groups() {
    for (shape, resources, edges, nodes, expected) in SHAPES {
        for marked in (0..edges.split_whitespace().count()).map(Some).chain([None]) {
            let config = graph(resources, edges, marked);
            let prepared = prepare(config, &Settings::default().grouping(AutoGroups)).unwrap();
            let (config, groups) = (prepared.config(), prepared.groups());
            let quotient = Quotient::new(config, groups.all());
            let owed = marked.map(|number| (config.edges[number].from, config.edges[number].to));
            let found = drawn(config, &quotient, owed);
            assert_eq!((&*found.0, &*found.1), (*nodes, *expected), "{shape}");
            // Only the edge that the marked one has become part of notifies, and is owed.
            let of = |name: &str, node: &str| node.split('+').any(|member| member == name);
            let becomes = |edge: &&str| {
                let Some(marked) = marked else { return false };
                let (from, to) = edges.split_whitespace().nth(marked).unwrap().split_once('>').unwrap();
                let (node_from, node_to) = edge.split_once('>').unwrap();
                of(from, node_from) && of(to, node_to)
            };
            let expected: BTreeSet<String> = expected.split_whitespace().filter(becomes).map(str::to_owned).collect();
            assert_eq!(found.2, expected, "{shape}, {marked:?}");
        }
    }
}
