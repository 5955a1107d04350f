//! Passes of one's own: what they add, what they must not, and what an engine and its drawings make of it.

use std::fmt;
use std::sync::{Arc, Mutex};

use mgmt::graph::{GraphConfig, Pass, PassGraph, Prepared, Settings, prepare};
use mgmt::prelude::*;
use mgmt::resource::{Error, Findings, Known, Need, Origin, Prepare, PrepareCx, Uid, UidKey};
use mgmt::runtime::EventKind;

use crate::kit::{Desk, Run, run::list};

/// Adds the edges that it is given, by name.
#[derive(Debug)]
struct Adds(Vec<(&'static str, &'static str, bool)>);

fn place(graph: &PassGraph<'_>, name: &str) -> u32 {
    let found = (0u32..).zip(graph.vertices()).find(|(_, vertex)| vertex.resource.name() == name);
    found.expect("it is in the graph").0
}

impl Pass for Adds {
    fn name(&self) -> &'static str {
        "test"
    }

    fn run(&self, graph: &mut PassGraph<'_>) {
        for (first, second, notify) in &self.0 {
            let (first, second) = (place(graph, first), place(graph, second));
            match notify {
                true => graph.notify(first, second, "it says so"),
                false => graph.before(first, second, "it must"),
            };
        }
    }
}

/// Gives up in the middle.
#[derive(Debug)]
struct Panics;

impl Pass for Panics {
    fn name(&self) -> &'static str {
        "clumsy"
    }

    fn run(&self, graph: &mut PassGraph<'_>) {
        graph.before(0, 1, "of what came before");
        panic!("stumbled");
    }
}

/// Every `first:…` before every `then:…` whose names are the same after the colon.
#[derive(Debug)]
struct ByNeed;

impl Pass for ByNeed {
    fn name(&self) -> &'static str {
        "by-need"
    }

    fn run(&self, graph: &mut PassGraph<'_>) {
        let names: Vec<_> = graph.vertices().iter().map(|vertex| vertex.resource.name().to_owned()).collect();
        for (second, needs) in (0u32..).zip(&names).filter_map(|(at, name)| Some((at, name.strip_prefix("then:")?))) {
            for (first, _) in (0u32..).zip(&names).filter(|(_, name)| name.strip_prefix("first:") == Some(needs)) {
                graph.before(first, second, format!("it needs {needs}"));
            }
        }
    }
}

/// Does nothing, and can be refreshed.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "bell", unwatched)]
struct Bell {
    #[resource(name)]
    name: String,
}

impl Converge for Bell {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

impl Refresh for Bell {
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        Ok(false)
    }
}

fn bells(names: &[&str], declare: impl FnOnce(&mut Graph, &[BellHandle])) -> GraphConfig {
    let mut g = Graph::new("g");
    let handles: Vec<_> = names.iter().map(|name| g.add(Bell::new(*name))).collect();
    declare(&mut g, &handles);
    g.finish().unwrap()
}

fn added(prepared: &Prepared) -> Vec<String> {
    let id = |at: u32| prepared.config().vertices[at as usize].resource.name().to_owned();
    let passes = prepared.config().edges.iter().filter(|edge| matches!(edge.origin, Origin::Pass(_)));
    passes
        .map(|edge| format!("{} {} {}", id(edge.from), if edge.notify { "notifies" } else { "before" }, id(edge.to)))
        .collect()
}

fn with(passes: &[(&'static str, &'static str, bool)]) -> Settings {
    Settings::default().pass(Adds(passes.to_vec()))
}

#[test]
fn what_a_pass_adds_is_told_from_what_was_declared() {
    let config = bells(&["a", "b", "c"], |g, n| g.before(&n[0], &n[1]));
    let prepared = prepare(config, &with(&[("b", "c", false), ("a", "c", true)])).unwrap();
    assert_eq!(added(&prepared), ["b before c", "a notifies c"]);
    assert_eq!((prepared.source().edges.len(), prepared.config().edges.len()), (1, 3));
    assert!(prepared.warnings().is_empty());
    let (dot, mermaid) = (prepared.config().dot(), prepared.config().mermaid());
    for picture in [&dot, &mermaid] {
        assert!(picture.contains("test: it must") && picture.contains("test: it says so"), "{picture}");
    }
}

#[test]
fn a_graph_that_nothing_is_done_to_is_held_once() {
    let prepared = prepare(bells(&["a", "b"], |_, _| ()), &with(&[])).unwrap();
    assert!(Arc::ptr_eq(prepared.source(), prepared.config()));
    let prepared = prepare(bells(&["a", "b"], |_, _| ()), &with(&[("a", "b", false)])).unwrap();
    let (source, config) = (&prepared.source().vertices, &prepared.config().vertices);
    assert!(source.iter().zip(config).all(|(one, other)| Arc::ptr_eq(&one.resource, &other.resource)));
}

#[test]
fn an_edge_is_added_once_and_only_made_to_notify() {
    let config = bells(&["a", "b", "c"], |g, n| {
        g.before(&n[0], &n[1]);
        g.notify(&n[1], &n[2]);
    });
    let edges =
        [("a", "b", false), ("a", "b", true), ("a", "b", true), ("b", "c", false), ("b", "c", true), ("a", "a", true)];
    assert_eq!(added(&prepare(config, &with(&edges)).unwrap()), ["a notifies b"]);
}

#[test]
fn what_has_nothing_to_refresh_is_not_notified_by_passes() {
    let mut g = Graph::new("g");
    g.add(Bell::new("a"));
    g.add(Noop::new("b"));
    let prepared = prepare(g.finish().unwrap(), &with(&[("a", "b", true)])).unwrap();
    assert_eq!(added(&prepared), ["a before b"]);
}

#[test]
fn who_does_not_want_edges_gets_none() {
    let graph = || {
        let mut g = Graph::new("g");
        g.add(Noop::new("a"));
        g.add(Noop::new("b").autoedge(false));
        g.add(Noop::new("c"));
        g.finish().unwrap()
    };
    let edges = [("a", "b", false), ("b", "c", false), ("a", "c", false)];
    assert_eq!(added(&prepare(graph(), &with(&edges)).unwrap()), ["a before c"]);
    let off = prepare(graph(), &with(&edges).autoedge(false)).unwrap();
    assert!(added(&off).is_empty() && off.warnings().is_empty());
    let (source, config) = (&off.source().vertices[0], &off.config().vertices[0]);
    assert!(source.meta().autoedge && !config.meta().autoedge && config.meta().autogroup);
}

#[test]
fn settings_override_metaparameters_and_leave_the_source_alone() {
    let mut g = Graph::new("g");
    g.add(Noop::new("plain"));
    g.add(Noop::new("retries").retry(3));
    let prepared = prepare(g.finish().unwrap(), &Settings::default().noop(true).autogroup(false)).unwrap();
    let meta = |at: usize| prepared.config().vertices[at].meta();
    assert!(meta(0).noop && meta(1).noop && !meta(1).autogroup && meta(1).autoedge);
    assert_eq!((meta(0).retry, meta(1).retry), (0, 3));
    assert!(prepared.source().vertices.iter().all(|vertex| !vertex.meta().noop && vertex.meta().autogroup));
}

#[test]
fn an_edge_that_would_close_a_cycle_is_left_out_with_the_whole_cycle() {
    let config = bells(&["a", "b", "c"], |g, n| g.before(&n[0], &n[1]));
    let prepared = prepare(config, &with(&[("b", "c", false), ("c", "a", false), ("a", "c", false)])).unwrap();
    assert_eq!(added(&prepared), ["b before c", "a before c"]);
    let [warning] = prepared.warnings() else { panic!("{:?}", prepared.warnings()) };
    let text = warning.to_string();
    assert!(
        text.starts_with(
            "the edge bell[c] before bell[a] is left out, since it would close a cycle: bell[a] must run before bell[b], \
             which must run before bell[c], which must run before bell[a]\n  at test: it must\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("bell[a] before bell[b] at ") && text.contains(file!().rsplit('/').next().unwrap()),
        "{text}"
    );
    assert!(text.ends_with("bell[b] before bell[c] at test: it must"), "{text}");
}

#[test]
fn a_send_closes_a_cycle_too() {
    let desk = Desk::new();
    let mut g = Graph::new("g");
    let sender = g.add(desk.probe("sender"));
    g.add(desk.probe("receiver").want(sender.made()));
    let prepared = prepare(g.finish().unwrap(), &with(&[("receiver", "sender", false)])).unwrap();
    assert!(added(&prepared).is_empty());
    let text = prepared.warnings()[0].to_string();
    assert!(text.contains("probe[sender] before probe[receiver] at ") && text.contains("passes.rs"), "{text}");
}

#[test]
fn a_pass_that_panics_costs_what_it_would_have_added() {
    let settings = Settings::default().pass(Panics).pass(Adds(vec![("b", "c", false)]));
    let prepared = prepare(bells(&["a", "b", "c"], |_, _| ()), &settings).unwrap();
    assert_eq!(added(&prepared), ["a before b", "b before c"]);
    let text = prepared.warnings()[0].to_string();
    assert!(text.contains("the pass clumsy panicked: stumbled"), "{text}");
}

#[tokio::test]
async fn an_engine_runs_by_what_passes_add_and_warns_of_what_they_could_not() {
    let desk = Desk::new();
    let mut g = Graph::new("g");
    g.add(desk.probe("then:x").want("1"));
    g.add(desk.probe("first:y").want("1"));
    g.add(desk.probe("first:x").want("1"));
    let seen: Arc<Mutex<Vec<Prepared>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let mut run = Run::with(g, |builder| {
        let inspect = move |prepared: Prepared| {
            let keep = Arc::clone(&keep);
            async move { keep.lock().unwrap().push(prepared) }
        };
        builder.running_max(1).pass(ByNeed).pass(Adds(vec![("then:x", "first:x", false)])).inspect(inspect)
    })
    .await;
    let warning = run.find(|kind| match kind {
        EventKind::Warning { message, .. } => Some(message.clone()),
        _ => None,
    });
    let warning = warning.await;
    assert!(
        warning.contains("probe[first:x] must run before probe[then:x]") && warning.contains("by-need: it needs x")
    );
    assert_eq!(
        run.converged().await,
        list(
            "swapped, drifted first:y, applied first:y, drifted first:x, applied first:x, drifted then:x, applied then:x, converged"
        )
    );
    let mut other = Graph::new("g");
    other.add(desk.probe("then:z").want("2"));
    other.add(desk.probe("first:z").want("2"));
    run.engine.swap(other.finish().unwrap()).await.unwrap();
    assert_eq!(
        seen.lock().unwrap().iter().map(|prepared| added(prepared).concat()).collect::<Vec<_>>(),
        ["first:x before then:x", "first:z before then:z"]
    );
    run.stop().await;
}

#[test]
fn two_resources_can_not_own_one_address_or_one_path_of_a_url() {
    use mgmt::resources::{Address, UrlPath};
    let twice = {
        let mut g = Graph::new("g");
        g.add(HttpFile::new("one").path("/x").data("1"));
        g.add(HttpFile::new("two").path("/x").data("2"));
        g.add(HttpServer::new("a").address("127.0.0.1:1"));
        g.add(HttpServer::new("b").address("127.0.0.1:1"));
        prepare(g.finish().unwrap(), &Settings::default()).unwrap_err().to_string()
    };
    assert!(twice.contains("http:file[one] and http:file[two] both own the URL path `/x`"), "{twice}");
    assert!(twice.contains("http:server[a] and http:server[b] both own the address `127.0.0.1:1`"), "{twice}");
    let (address, path) = (Address("x".into()), UrlPath { server: None, path: "x".into() });
    assert!(Uid::of(address.clone()) != Uid::of(path) && Uid::of(address.clone()) == Uid::of(address));
}

/// Asks for owners, providers and needs.
#[derive(Debug)]
struct Looks;

impl Pass for Looks {
    fn name(&self) -> &'static str {
        "looks"
    }

    fn run(&self, graph: &mut PassGraph<'_>) {
        let key = |name: &str| Uid::of(Tune(name.to_owned()));
        assert_eq!(graph.owner(&Uid::path("/x")), Some(2));
        assert_eq!((graph.owner(&key("of 0")), graph.owner(&Uid::path("/y"))), (None, None));
        assert_eq!(graph.providers(&key("of all")), [0, 1]);
        assert!(graph.providers(&key("of 1")).is_empty());
        assert_eq!((graph.needs(0).len(), graph.needs(1).len(), graph.needs(7).len()), (0, 1, 0));
        graph.before(2, 0, "all was found");
    }
}

#[test]
fn a_pass_finds_owners_providers_and_needs() {
    let mut g = Graph::new("g");
    g.add(Tuner::new("0", "find"));
    g.add(Tuner::new("1", "fail"));
    g.add(File::new("/x"));
    let prepared = prepare(g.finish().unwrap(), &Settings::default().pass(Looks)).unwrap();
    assert!(prepared.warnings().is_empty(), "{:?}", prepared.warnings());
    assert_eq!(added(&prepared), ["/x before 0"]);
}

/// A key of a kind of one's own.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Tune(String);

impl fmt::Display for Tune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for Tune {
    const WORD: &'static str = "tune";
}

/// Finds out what it provides.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "tuner", unwatched)]
struct Tuner {
    #[resource(name)]
    name: String,
    /// `find`, `fail`, `hang` or `panic`.
    how: String,
}

impl Converge for Tuner {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn provides(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::of(Tune("of all".to_owned()))]
    }

    fn needs(&self, _: &Known<'_>) -> Vec<Need> {
        if self.how == "find" { Vec::new() } else { vec![Need::after(Uid::of(Tune("a".to_owned())))] }
    }
}

impl Refresh for Tuner {
    async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
        Ok(true)
    }
}

impl Prepare for Tuner {
    async fn prepare(&self, cx: &PrepareCx) -> Result<Findings> {
        assert!(cx.known().is_known("how") && cx.id().name == self.name);
        match self.how.as_str() {
            "fail" => Err(Error::new("out of tune")),
            "hang" => std::future::pending().await,
            "panic" => panic!("a string broke"),
            _ => {
                let there = cx.look(|fs| fs.real_path("/").is_ok()).await;
                Ok(Findings::default().provides(Uid::of(Tune(if there { "a" } else { "b" }.to_owned()))))
            }
        }
    }
}

#[tokio::test]
async fn a_kind_that_looks_before_the_passes_may_take_as_long_as_it_likes() {
    let mut g = Graph::new("g");
    g.add(Tuner::new("1", "find"));
    let builder = mgmt::Engine::builder().graph(g.finish().unwrap()).prepare_timeout(Duration::MAX);
    let mut run = Run::start(builder).await;
    run.converged().await;
    run.stop().await;
}

#[tokio::test]
async fn a_kind_that_looks_before_the_passes_costs_only_what_it_would_have_added() {
    let graph = || {
        let mut g = Graph::new("g");
        for (name, how) in [("1", "fail"), ("2", "hang"), ("3", "panic"), ("4", "find")] {
            g.add(Tuner::new(name, how));
        }
        g.finish().unwrap()
    };
    let seen: Arc<Mutex<Vec<Prepared>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let builder =
        mgmt::Engine::builder().graph(graph()).prepare_timeout(Duration::from_secs(4)).inspect(move |prepared| {
            let keep = Arc::clone(&keep);
            async move { keep.lock().unwrap().push(prepared) }
        });
    let mut run = Run::start(builder).await;
    for _ in 0..3 {
        run.find(|kind| matches!(kind, EventKind::Warning { .. }).then_some(())).await;
    }
    run.converged().await;
    let prepared = seen.lock().unwrap().pop().unwrap();
    assert_eq!(added(&prepared), ["4 before 1", "4 before 2", "4 before 3"]);
    assert_eq!(prepared.config().edges[0].origin.to_string(), "autoedge: it needs the tune `a`");
    let texts: Vec<_> = prepared.warnings().iter().map(|warning| warning.message.clone()).collect();
    for (text, (name, why)) in
        texts.iter().zip([("1", "out of tune"), ("2", "it took too long"), ("3", "panicked: a string broke")])
    {
        assert!(
            text.starts_with(&format!("tuner[{name}] could not look at the system")) && text.contains(why),
            "{text}"
        );
    }
    run.stop().await;
    // No pass may use the findings, so no resource looks.
    let begun = std::time::Instant::now();
    let run = Run::start(mgmt::Engine::builder().graph(graph()).autoedge(false)).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    run.stop().await;
}
