//! `mgmt convert`: the program that it prints compiles, and declares the same graph. `MGMT_BLESS=1` writes what it prints now.

use mgmt::gapi::{YamlOptions, read_yaml};
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use serde_json::Value as Json;

use crate::kit::{Desk, folder, text};

#[path = "converted/everything.rs"]
#[rustfmt::skip]
#[expect(dead_code, unreachable_pub, reason = "it is a program of its own, of which the tests want the graph alone")]
mod everything;

/// A graph as data: places aside, and order and double edges, which mean nothing.
fn data(config: &GraphConfig) -> Json {
    let mut data = serde_json::to_value(config).unwrap();
    for list in ["resources", "edges", "sends"] {
        let entries = data[list].as_array_mut().unwrap();
        for entry in entries.iter_mut() {
            entry.as_object_mut().unwrap().remove("origin");
        }
        entries.sort_by_key(Json::to_string);
        entries.dedup();
    }
    data
}

#[test]
fn a_converted_graph_compiles_and_is_the_same() {
    let (yaml, rust) = (folder("converted/everything.yaml"), folder("converted/everything.rs"));
    let output = Desk::new().mgmt(&["convert", yaml.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    if std::env::var_os("MGMT_BLESS").is_some() {
        std::fs::write(&rust, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(&rust).unwrap());
    let read = read_yaml("everything.yaml", &std::fs::read(&yaml).unwrap(), &YamlOptions::default()).unwrap();
    let mut graph = Graph::new(read.config.name.clone());
    everything::declare(&mut graph).unwrap();
    let declared = graph.finish().unwrap();
    let pretty = |config| serde_json::to_string_pretty(&data(config)).unwrap();
    assert_eq!(pretty(&declared), pretty(&read.config));
}

#[test]
fn what_has_no_form_in_rust_is_said() {
    let desk = Desk::new();
    let graph = desk.graph("graph: g\nresources:\n  nspawn:\n  - {name: c, state: stopped}\n");
    let output = desk.mgmt(&["convert", graph.to_str().unwrap()]).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("nspawn[c]: this build has no kind `nspawn`"), "{said}");
}
