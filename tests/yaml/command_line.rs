//! The command line of `mgmt`.

use serde_json::Value as Json;

use crate::kit::{Desk, text};

const GRAPH: &str = "graph: shown\nhostname: web1\nresources:\n  noop:\n  - name: a\n  file:\n  - {name: $DIR/made, content: x}\nedges:\n- {name: e, from: {kind: noop, name: a}, to: {kind: file, name: $DIR/made}, notify: true}\n";

fn run(desk: &Desk, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = desk.mgmt(arguments).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn without_arguments_there_is_help_that_fits_80_columns() {
    let desk = Desk::new();
    let (code, out, err) = run(&desk, &[]);
    assert_eq!(code, Some(0));
    assert!((out.clone() + &err).contains("Usage: mgmt"));
    for arguments in [&["--help"][..], &["run", "--help"], &["plan", "--help"], &["convert", "--help"]] {
        let (code, out, _) = run(&desk, arguments);
        assert_eq!(code, Some(0));
        assert!(out.contains("Usage: mgmt") && out.contains("--yaml"), "{out}");
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
}

#[test]
fn combinations_without_a_meaning_are_refused() {
    let desk = Desk::new();
    let refused: [&[&str]; 8] = [
        &["run", "--yaml", "a", "--puppet", "agent"],
        &["run", "--yaml", "a", "--command", "b"],
        &["run", "--command", "a", "--puppet", "agent"],
        &["run", "--yaml", "a", "--every", "3"],
        &["run", "--yaml", "a", "--puppet-conf", "c"],
        &["run", "--prefix", "/x", "--tmp-prefix"],
        &["run", "--max-runtime", "-1"],
        &["run", "--sema", "0"],
    ];
    for arguments in refused {
        let (code, _, err) = run(&desk, arguments);
        assert!(code == Some(1) && err.starts_with("error: "), "{arguments:?}: {code:?} {err}");
    }
}

#[test]
fn check_plan_and_graph_take_a_yaml_file() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let graph = graph.to_str().unwrap();
    let (code, out, err) = run(&desk, &["check", "--yaml", graph]);
    assert_eq!((code, out.as_str()), (Some(0), "shown: 2 resources, 1 edge: no problems\n"), "{err}");
    let (code, out, _) = run(&desk, &["plan", "--yaml", graph]);
    assert!(code == Some(2) && out.contains("made"), "{out}");
    let (code, out, _) = run(&desk, &["graph", "--yaml", graph]);
    assert!(code == Some(0) && out.starts_with("digraph") && out.contains("noop[a]"), "{out}");
    let (code, _, err) = run(&desk, &["check", "--yaml", "/nowhere/graph.yaml"]);
    assert!(code == Some(1) && err.contains("/nowhere/graph.yaml can't be read"), "{err}");
    assert!(!desk.path("made").exists());
}

#[test]
fn a_graph_is_run_without_a_command_too_and_drawn_and_told_in_the_status_file() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let (picture, status) = (desk.path("picture.dot"), desk.path("status"));
    let (code, _, err) = run(
        &desk,
        &[
            "--yaml",
            graph.to_str().unwrap(),
            "-t",
            "0",
            "--graphviz",
            picture.to_str().unwrap(),
            "--no-autoedges",
            "--no-autogroup",
            "--sema",
            "2",
            "--hostname",
            "other",
            "--converged-status-file",
            status.to_str().unwrap(),
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(desk.read("made").as_deref(), Some("x"));
    assert!(desk.read("picture.dot").unwrap().contains("noop[a]"));
    assert!(desk.read("status").unwrap().contains("converged"));
}

#[test]
fn the_environment_stands_in_for_options() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let mut command = desk.mgmt(&["run", "--yaml", graph.to_str().unwrap()]);
    let output = command.env("MGMT_CONVERGED_TIMEOUT", "0").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut command = desk.mgmt(&["run"]);
    let output = command.env("MGMT_MAX_RUNTIME", "0.5").output().unwrap();
    assert!(output.status.success(), "an empty graph waits: {}", text(&output.stderr));
}

#[test]
fn log_lines_are_json_where_that_is_asked_for() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let (_, _, err) = run(&desk, &["run", "--yaml", graph.to_str().unwrap(), "-t", "0", "--log", "json"]);
    let lines: Vec<Json> =
        err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(
        lines.iter().any(|line| line["fields"]["message"].as_str().is_some_and(|text| text.contains("made"))),
        "{err}"
    );
}

#[test]
fn completions_and_the_manual_page_know_the_options() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&desk, &["completion", shell]);
        assert!(code == Some(0) && out.contains("converged-timeout") && out.contains("convert"), "{shell}");
    }
    let (code, out, _) = run(&desk, &["man"]);
    assert!(code == Some(0) && out.contains(".TH mgmt") && out.contains("yaml"), "{out}");
}
