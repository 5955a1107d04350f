//! Resources that are declared more than once.

use mgmt::graph::{Settings, prepare};
use mgmt::prelude::*;

fn messages(g: Graph) -> Vec<String> {
    let refused = prepare(g.finish().unwrap(), &Settings::default()).unwrap_err();
    refused.0.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn declarations_that_agree_are_one_with_the_edges_of_all() {
    let mut g = Graph::new("g");
    let first = g.add(Noop::new("first"));
    g.add(Pkg::new("curl"));
    g.add(Noop::new("between"));
    let again = g.add(Pkg::new("curl").newest().after(&first));
    g.add(Noop::new("last").after(&again));
    g.add(Pkg::new("curl"));
    let prepared = prepare(g.finish().unwrap(), &Settings::default()).unwrap();
    let names: Vec<_> = prepared.config().vertices.iter().map(|vertex| vertex.id().to_string()).collect();
    assert_eq!(names, ["noop[first]", "pkg[curl]", "noop[between]", "noop[last]"]);
    let edges: Vec<_> = prepared.config().edges.iter().map(|edge| (edge.from, edge.to)).collect();
    assert_eq!(edges, [(0, 1), (1, 3)]);
    assert!(prepared.config().vertices[1].resource.same(&Pkg::new("curl").newest().finish().0));
}

#[test]
fn declarations_that_contradict_each_other_are_refused_with_the_reason() {
    let mut g = Graph::new("g");
    g.add(Pkg::new("curl"));
    g.add(Pkg::new("curl").uninstalled());
    assert_eq!(
        messages(g),
        ["pkg[curl] is declared twice: one is `installed`, the other `uninstalled`; make them one"]
    );
    let mut g = Graph::new("g");
    g.add(Pkg::new("curl"));
    g.add(Pkg::new("curl").allownonfree(true));
    assert_eq!(messages(g), ["pkg[curl] is declared twice: `allownonfree` differs; make them one"]);
    let mut g = Graph::new("g");
    g.add(Pkg::new("curl"));
    g.add(Pkg::new("curl").noop(true));
    assert_eq!(messages(g), ["pkg[curl] is declared twice: their metaparameters differ; make them one"]);
    let mut g = Graph::new("g");
    let first = g.add(Pkg::new("curl"));
    g.add(Pkg::new("curl").after(&first));
    assert_eq!(messages(g).len(), 1);
}
