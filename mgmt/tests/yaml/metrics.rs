//! Figures for Prometheus: in its format, and true.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::kit::{Desk, Running, text};
use crate::prometheus::{self, Series};

const GRAPH: &str = "graph: g
resources:
  noop:
  - {name: anchor}
  file:
  - {name: $DIR/made, content: x}
  - {name: $DIR/alert, content: x, meta: {alert: true}}
  exec:
  - {name: reload, cmd: sleep 0.2, refreshonly: true}
  - {name: fails, cmd: 'false', meta: {retry: 2, delay: 10}}
  - {name: deaf, cmd: 'true', watchcmd: 'false'}
edges:
- {name: e, from: {kind: file, name: $DIR/made}, to: {kind: exec, name: reload}, notify: true}
";

fn address(running: &Running) -> String {
    running.wait_said("metrics at http://");
    running.said().split("metrics at http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn figures(address: &str) -> Series {
    let answer = ask(address, "/metrics");
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"), "{head}");
    prometheus::read(page).unwrap_or_else(|wrong| panic!("{wrong}\n{page}"))
}

#[test]
fn figures_are_in_prometheus_format_and_true() {
    let desk = Desk::new();
    let running = desk.run(GRAPH, &["--metrics", "127.0.0.1:0"]);
    let address = address(&running);
    let get = |series: &Series, name: &str| series.get(name).copied().unwrap_or_default();
    let failed = "mgmt_check_seconds_count{kind=\"exec\",outcome=\"failed\"}";
    let applied = "mgmt_apply_seconds_count{kind=\"exec\",outcome=\"failed\"}";
    running.wait("the third try", || {
        let series = figures(&address);
        get(&series, failed) + get(&series, applied) == 3.0 && get(&series, "mgmt_resources_settled") == 4.0
    });
    let series = figures(&address);
    let expect = |name: &str, value: f64| assert_eq!(series.get(name), Some(&value), "{name}: {series:#?}");
    expect("mgmt_resources", 6.0);
    expect("mgmt_alerts", 1.0);
    expect("mgmt_resources_failed", 2.0);
    expect("mgmt_converged", 0.0);
    expect("mgmt_graph_generation", 1.0);
    expect("mgmt_graphs_total{outcome=\"accepted\"}", 1.0);
    expect("mgmt_graphs_total{outcome=\"refused\"}", 0.0);
    expect("mgmt_refreshes_owed", 0.0);
    expect("mgmt_failures_total{kind=\"exec\",operation=\"watch\"}", 1.0);
    expect("mgmt_check_seconds_count{kind=\"noop\",outcome=\"in_sync\"}", 1.0);
    expect("mgmt_check_seconds_count{kind=\"file\",outcome=\"drifted\"}", 2.0);
    expect("mgmt_apply_seconds_count{kind=\"file\",outcome=\"changed\"}", 1.0);
    expect("mgmt_refresh_seconds_count{kind=\"exec\",outcome=\"changed\"}", 1.0);
    // The refresh sleeps for 0.2 s.
    expect("mgmt_refresh_seconds_bucket{kind=\"exec\",outcome=\"changed\",le=\"0.1\"}", 0.0);
    assert!(series["mgmt_refresh_seconds_sum{kind=\"exec\",outcome=\"changed\"}"] >= 0.2, "{series:#?}");
    assert!(series["mgmt_check_seconds_sum{kind=\"file\",outcome=\"drifted\"}"] > 0.0, "{series:#?}");
    assert!(series["mgmt_watches"] >= 1.0, "{series:#?}");
    assert!(ask(&address, "/other").starts_with("HTTP/1.1 404"));
}

#[test]
fn refused_graphs_and_owed_refreshes_are_counted() {
    let desk = Desk::new();
    let graph = GRAPH.replace("sleep 0.2", "'false'");
    let running = desk.run(&graph, &["--metrics", "127.0.0.1:0"]);
    let address = address(&running);
    running.wait("the debt", || figures(&address)["mgmt_refreshes_owed"] == 1.0);
    desk.graph("graph: [wrong]\n");
    running.wait("the refusal", || figures(&address)["mgmt_graphs_total{outcome=\"refused\"}"] == 1.0);
    assert_eq!(figures(&address)["mgmt_graph_generation"], 1.0);
}

#[test]
fn an_address_in_use_is_an_error_before_anything_is_done() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let graph = desk.graph(GRAPH);
    let address = taken.local_addr().unwrap().to_string();
    let output = desk.mgmt(&["run", "--yaml", graph.to_str().unwrap(), "--metrics", &address]).output().unwrap();
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains(&format!("metrics can't be served at {address}")),
        "{said}"
    );
    assert!(!desk.path("made").exists());
}

#[test]
fn whoever_holds_connections_takes_neither_the_descriptors_nor_the_figures() {
    let desk = Desk::new();
    let running = desk.run("graph: g\nresources:\n  noop:\n  - {name: anchor}\n", &["--metrics", "127.0.0.1:0"]);
    let address = address(&running);
    let held: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(figures(&address)["mgmt_resources"], 1.0);
    let open = std::fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap().count();
    assert!(open < 80, "{open} descriptors");
    assert!(ask(&address, "/metrics").starts_with("HTTP/1.1 200"));
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    drop(held);
}

#[test]
fn with_few_descriptors_and_many_connections_every_file_is_repaired_all_the_same() {
    const FILES: usize = 20;
    let desk = Desk::new();
    let mut graph = "graph: g\nresources:\n  file:\n".to_owned();
    (0..FILES).for_each(|n| graph += &format!("  - {{name: $DIR/f{n}, content: x}}\n"));
    let graph = desk.graph(&graph);
    let arguments = ["run", "--yaml", graph.to_str().unwrap(), "--metrics", "127.0.0.1:0"];
    let running = Running::start(desk.limited("--nofile=48:48", &arguments));
    let address = address(&running);
    let all = || (0..FILES).all(|n| desk.read(&format!("f{n}")).as_deref() == Some("x"));
    running.wait("the files", all);
    let held: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for _ in 0..5 {
        (0..FILES).for_each(|n| std::fs::remove_file(desk.path(&format!("f{n}"))).unwrap());
        running.wait("the files again", all);
    }
    drop(held);
    let said = running.said();
    assert!(!said.contains("panicked") && !said.contains("given up"), "{said}");
}
