//! Edges and wires: what they take, and cycles of all sorts.

use mgmt::graph::{GraphData, validate};
use mgmt::prelude::*;
use proptest::prelude::{Just, Strategy, any, proptest};
use serde_json::json;

use super::*;

#[test]
fn a_cycle_is_a_story_with_the_line_of_each_step() {
    let problem = noops(&["a", "b", "c", "d"], &[("a", "b"), ("b", "c"), ("c", "d"), ("c", "a")]).unwrap_err();
    let expected = "a cycle of 3 resources, so none of them could ever start: noop[a] must run before noop[b], which must run before noop[c], which must run before noop[a]
  at site.yaml:101
  noop[b] before noop[c] at site.yaml:102
  noop[c] before noop[a] at site.yaml:104";
    assert_eq!(problem, expected);
}

#[test]
fn every_cycle_is_told_and_a_long_one_is_cut_short() {
    let problem = noops(&["a", "b", "c", "d"], &[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]).unwrap_err();
    assert_eq!(problem.matches("a cycle of 2 resources").count(), 2, "{problem}");
    let names: Vec<_> = (0..1000).map(|n| format!("n{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let edges: Vec<_> = (0..1000).map(|n| (names[n], names[(n + 1) % 1000])).collect();
    let problem = noops(&names, &edges).unwrap_err();
    assert!(problem.starts_with("a cycle of 1000 resources"), "{problem}");
    assert!(problem.contains(", … and 980 more") && problem.len() < 4000, "{problem}");
}

#[test]
fn a_resource_that_waits_for_itself_is_told_so() {
    assert_eq!(noops(&["a"], &[("a", "a")]).unwrap_err(), "noop[a] waits for itself\n  at site.yaml:101");
    let sent = bind(json!({
        "graph": "g",
        "resources": [{ "kind": "test:box", "name": "a" }],
        "sends": [{ "from": [["test:box[a]", "number"]], "to": "test:box[a]", "field": "label", "origin": "x:1" }],
    }));
    assert_eq!(sent.unwrap_err(), "test:box[a] waits for itself\n  at x:1");
}

#[test]
fn a_handle_is_good_only_in_its_own_graph() {
    let mut other = Graph::new("other");
    let foreign = other.add(Crate::new("foreign"));
    let expected = "a handle of another graph: handles are good only in the graph whose `add` returned them";
    assert!(other.has(&foreign));
    let after = graph(|g| {
        g.add(Noop::new("own").after(&foreign));
    });
    assert_eq!(message(after), expected);
    let sent = graph(|g| {
        g.add(Crate::new("own").label(foreign.number()));
    });
    assert_eq!(message(sent), expected);
    let ordered = graph(|g| {
        let own = g.add(Noop::new("own"));
        assert!(!g.has(&foreign));
        g.before(&foreign, &own);
    });
    assert_eq!(message(ordered), expected);
}

#[test]
fn what_is_copied_in_a_cycle_is_refused_with_each_line() {
    let copies = |pairs: &[(&str, &str)]| {
        graph(|g| {
            for (path, source) in pairs {
                add(g, File::new(*path).source(*source));
            }
        })
    };
    let refused = copies(&[("/a", "/b"), ("/b", "/a")]).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("file[/a] is copied to file[/b], which is copied to file[/a]"), "{text}");
    assert_eq!(text.matches("edges.rs:").count(), 2, "{text}");
    // Of any length, by other spellings, of directories and of what is in them, through fragments.
    for pairs in [
        &[("/a", "/c"), ("/b", "/a"), ("/c", "/b")][..],
        &[("/a", "/./b"), ("/b", "//a")],
        &[("/a/", "/b/"), ("/b/", "/a/")],
        &[("/a/", "/b/sub/"), ("/b/", "/a/sub/")],
    ] {
        let text = message(copies(pairs));
        assert!(text.contains("their contents would change for ever"), "{pairs:?}: {text}");
    }
    let joined = graph(|g| {
        add(g, File::new("/whole").fragments(["/part", "/other"]));
        add(g, File::new("/part").source("/whole"));
    });
    assert!(message(joined).contains("would change for ever"));
    // Through what is below a directory that is copied, or whose files are parts.
    let part = graph(|g| {
        add(g, File::new("/all").fragments(["/parts/"]));
        add(g, File::new("/parts/x").source("/all"));
    });
    assert!(message(part).contains("would change for ever"));
    let nested = graph(|g| {
        add(g, File::new("/one/").source("/two/"));
        add(g, File::new("/two/sub/").source("/one/"));
    });
    assert!(message(nested).contains("would change for ever"));
    // What is copied with a directory, but is an original in the source of that, closes no cycle.
    graph(|g| {
        add(g, File::new("/a/").source("/b/"));
        add(g, File::new("/b/sub/x").source("/a/y"));
    })
    .unwrap();
    // A chain comes to rest, and so do files of directories that are only kept.
    copies(&[("/b", "/a"), ("/c", "/b"), ("/d", "/b")]).unwrap();
    graph(|g| {
        add(g, File::new("/a/"));
        add(g, File::new("/b/"));
        add(g, File::new("/a/one").source("/b/one"));
        add(g, File::new("/b/two").source("/a/two"));
    })
    .unwrap();
}

#[tokio::test]
async fn a_cycle_of_copies_is_refused_in_a_graph_that_differs_a_little_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let copies = |source: &str| {
        let mut g = Graph::new("copies");
        g.add(File::new(at("a")).source(at(source)));
        g.add(File::new(at("b")).source(at("a")));
        g.finish().unwrap()
    };
    std::fs::write(at("c"), "c").unwrap();
    let engine = mgmt::Engine::builder().graph(copies("c")).start().await.unwrap();
    let refused = engine.swap(copies("b")).await.unwrap_err().to_string();
    assert!(refused.contains("would change for ever"), "{refused}");
    engine.stop().await.unwrap();
}

#[test]
fn a_field_receives_from_one_sender() {
    let send = |output: &str, origin: &str| json!({ "from": [["test:box[a]", output]], "to": "test:box[b]", "field": "seal", "origin": origin });
    let problem = bind(json!({
        "graph": "g",
        "resources": [{ "kind": "test:box", "name": "a" }, { "kind": "test:box", "name": "b" }],
        "sends": [send("code", "x:1"), send("number", "x:2")],
    }));
    let expected = "test:box[b]: `seal` receives twice: leave it to one sender\n  at x:2\n  first at x:1";
    assert_eq!(problem.unwrap_err(), expected);
}

/// Some names, each of few, so that two are often the same; and edges between them.
fn anything() -> impl Strategy<Value = (Vec<u8>, Vec<(u32, u32)>)> {
    (1..12_u32).prop_flat_map(|n| {
        let names = proptest::collection::vec(0..200_u8, n as usize);
        let edges = proptest::collection::vec((0..n, 0..n), 0..16);
        (names, edges, any::<bool>(), Just(n)).prop_map(|(names, edges, is_forward, _)| {
            // Half of them without cycles: by chance alone few would be.
            let edges = edges.into_iter().map(|(a, b)| if is_forward { (a.min(b), a.max(b)) } else { (a, b) });
            (names, edges.filter(|(a, b)| !is_forward || a != b).collect())
        })
    })
}

/// By following every path, which is slow and plain.
fn has_cycle(n: u32, edges: &[(u32, u32)]) -> bool {
    let mut reach: Vec<Vec<bool>> = vec![vec![false; n as usize]; n as usize];
    for (from, to) in edges {
        reach[*from as usize][*to as usize] = true;
    }
    for middle in 0..n as usize {
        for from in 0..n as usize {
            for to in 0..n as usize {
                reach[from][to] |= reach[from][middle] && reach[middle][to];
            }
        }
    }
    (0..n as usize).any(|node| reach[node][node])
}

proptest! {
    #[test]
    fn a_graph_is_valid_if_and_only_if_its_names_are_unique_and_it_has_no_cycle((names, edges) in anything()) {
        let mut g = Graph::new("random");
        for name in &names {
            g.add(Noop::new(name.to_string()));
        }
        let mut config = g.finish().unwrap();
        config.edges = edges.iter().map(|(from, to)| edge(*from, *to)).collect();
        let twice = names.iter().enumerate().filter(|(n, name)| names[..*n].contains(name)).count();
        let count = u32::try_from(names.len()).unwrap();
        let problems = validate(&config).map_or_else(|problems| problems.0, |_| vec![]);
        let told = |start: &str| problems.iter().filter(|problem| problem.message.contains(start)).count();
        assert_eq!(told("is declared twice"), twice);
        assert_eq!(told("a cycle of") + told("waits for itself") > 0, has_cycle(count, &edges));
        assert_eq!(problems.is_empty(), twice == 0 && !has_cycle(count, &edges));
        if problems.is_empty() {
            let written = serde_json::to_value(&config).unwrap();
            let again = serde_json::from_value::<GraphData>(written.clone()).unwrap().bind(&kinds()).unwrap();
            assert_eq!(serde_json::to_value(&again).unwrap(), written);
        }
    }
}

#[test]
fn an_edge_that_notifies_what_can_not_be_refreshed_is_warned_about_once_with_its_place() {
    let mut g = Graph::new("g");
    let first = g.add(Crate::new("first"));
    let told = g.add(Exec::new("told").cmd("true").subscribe(&first));
    let idle = g.add(Crate::new("idle").subscribe((&first, &told)));
    g.notify(&first, &idle);
    g.before(&told, &idle);
    let config = g.finish().unwrap();
    validate(&config).unwrap();
    let warnings: Vec<_> = config.warnings().into_iter().map(|warning| warning.to_string()).collect();
    let line = line!() - 6;
    let expected = |from: &str| {
        format!(
            "{from} notifies test:box[idle], which has nothing to refresh: use `before`, `after` or `order`\n  at {}:{line}",
            file!()
        )
    };
    assert_eq!(warnings, ["test:box[first]", "exec[told]"].map(expected));
}

#[test]
fn edges_take_options_lists_of_nodes_and_handles_of_many_kinds() {
    let mut g = Graph::new("edges");
    let (a, b, c) = (g.add(Noop::new("a")), g.add(Msg::new("b")), g.add(Value::new("c").value("x")));
    let none: Option<&NoopHandle> = None;
    g.add(Noop::new("d").after(Some(&a)).before(none));
    let all = vec![a.node(), b.node(), c.node()];
    g.add(Noop::new("e").after(&all));
    g.add(Noop::new("f").after((&a, &b, &c, &all, Some(&b), none)));
    let edges = g.finish().unwrap().edges.into_iter().map(|edge| (edge.from, edge.to));
    let mut edges: Vec<_> = edges.collect();
    edges.dedup();
    assert_eq!(edges[..4], [(0, 3), (0, 4), (1, 4), (2, 4)]);
    assert!(edges[4..].iter().all(|(_, to)| *to == 5) && edges.len() > 6, "{edges:?}");
}
