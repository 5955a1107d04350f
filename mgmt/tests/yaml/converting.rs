//! `mgmt convert`: the program that it prints compiles, and declares the same graph. `MGMT_BLESS=1` writes the present
//! output.

use mgmt::gapi::{YamlOptions, read_yaml};
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use serde_json::Value as Json;

use crate::converted::CONVERTED;
use crate::kit::{Desk, folder, forget_origins, text};

/// A graph as data: places and the names of edges aside, and order and double edges, which mean nothing.
fn data(config: &GraphConfig) -> Json {
    let mut data = serde_json::to_value(config).unwrap();
    for list in ["resources", "edges", "sends", "exports", "collects", "awaited"] {
        let Some(entries) = data.get_mut(list).and_then(Json::as_array_mut) else { continue };
        for entry in entries.iter_mut() {
            forget_origins(entry);
            if list == "edges" || list == "awaited" {
                entry.as_object_mut().unwrap().remove("name");
            }
        }
        entries.sort_by_key(Json::to_string);
        entries.dedup();
    }
    data
}

/// A graph of the corpus, in a place that is the same everywhere.
fn yaml(path: &str) -> String {
    let text = std::fs::read_to_string(folder(path)).unwrap();
    text.replace("$DIR", "/tmp/corpus").replace("$UID", "0").replace("$GID", "0")
}

#[test]
fn a_converted_graph_compiles_and_is_the_same() {
    let desk = Desk::new();
    for (module, path, declare) in CONVERTED {
        let text = yaml(path);
        let output = desk.mgmt(&["convert", desk.graph(&text).to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{path}: {}", crate::kit::text(&output.stderr));
        let (printed, rust) = (crate::kit::text(&output.stdout), folder(&format!("converted/{module}.rs")));
        if std::env::var_os("MGMT_BLESS").is_some() {
            std::fs::write(&rust, &printed).unwrap();
            // It is compiled the next time.
            continue;
        }
        assert_eq!(printed, std::fs::read_to_string(&rust).unwrap(), "{path}");
        let read = read_yaml(path, text.as_bytes(), &YamlOptions::default()).unwrap();
        let mut graph = Graph::new(read.config.name.clone());
        declare(&mut graph).unwrap();
        let declared = graph.finish().unwrap();
        let pretty = |config| serde_json::to_string_pretty(&data(config)).unwrap();
        assert_eq!(pretty(&declared), pretty(&read.config), "{path}");
    }
}

#[test]
fn the_whole_corpus_is_converted_but_for_kinds_that_are_not_there() {
    let all =
        crate::kit::files("corpus").into_iter().map(|path| format!("corpus/{}", path.file_name().unwrap().display()));
    let missing: Vec<_> = all.filter(|path| CONVERTED.iter().all(|(_, other, _)| other != path)).collect();
    assert_eq!(missing, ["corpus/absent.yaml"]);
}

#[test]
fn what_has_no_form_in_rust_is_said() {
    let desk = Desk::new();
    let graph = desk.graph("graph: g\nresources:\n  augeas:\n  - {name: c, file: /etc/fstab}\n");
    let output = desk.mgmt(&["convert", graph.to_str().unwrap()]).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("augeas[c]: this build has no kind `augeas`"), "{said}");
}
