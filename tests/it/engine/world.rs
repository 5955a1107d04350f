//! Hosts that export and collect through one world.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::runtime::EventKind;
use mgmt::world::Embedded;
use mgmt::{Engine, graph::GraphConfig};

use crate::kit::{a_while, until, within};

pub(super) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// How many transactions have changed exports.
pub(super) fn published(world: &Embedded) -> usize {
    world.transactions("/mgmt/export")
}

/// A graph that exports these files with these contents.
pub(super) fn exporting(files: &[(&str, &str)]) -> GraphConfig {
    let mut g = Graph::new("exporter");
    for (name, content) in files {
        g.export(File::new(*name).content(*content));
    }
    g.finish().unwrap()
}

/// A graph that collects all files into this directory.
pub(super) fn collecting(dir: &Path) -> GraphConfig {
    let mut g = Graph::new("collector");
    let dir = format!("{}/", dir.display());
    g.collect::<File>().map(move |file| file.dirname(dir.as_str()));
    g.finish().unwrap()
}

pub(super) async fn start(world: &Embedded, host: &str, graph: GraphConfig) -> Engine {
    Engine::builder().world(world.clone()).hostname(host).graph(graph).start().await.unwrap()
}

/// The warnings of the graphs that come into force from now on.
fn warnings(engine: &Engine) -> std::sync::Arc<std::sync::Mutex<Vec<String>>> {
    let (seen, mut events) = (std::sync::Arc::default(), engine.events());
    let seen_here: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::clone(&seen);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let EventKind::Warning { message, .. } = &event.kind {
                seen_here.lock().unwrap().push(message.clone());
            }
        }
    });
    seen
}

#[tokio::test]
async fn what_one_host_exports_another_keeps_and_follows() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let collector = start(&world, "web2", collecting(dir.path())).await;
    let exporter = start(&world, "web1", exporting(&[("/x/a", "one"), ("/x/b", "two")])).await;
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    until("both are there", || (text(&a), text(&b)) == ("one".to_owned(), "two".to_owned())).await;
    // It is kept, as what the graph declares itself.
    fs::remove_file(&a).unwrap();
    until("it is back", || text(&a) == "one").await;
    // Changed and withdrawn in one transaction.
    let before = published(&world);
    exporter.swap(exporting(&[("/x/a", "three"), ("/x/c", "four")])).await.unwrap();
    until("it has changed", || text(&a) == "three" && text(&dir.path().join("c")) == "four").await;
    assert_eq!(published(&world), before + 1, "one export is one transaction");
    let id = "file[/x/b]".parse().unwrap();
    within(async {
        while collector.resource(&id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(text(&b), "two", "what is withdrawn is no longer kept, and nothing removes it");
    exporter.stop().await.unwrap();
    a_while().await;
    assert!(collector.resource(&"file[/x/a]".parse().unwrap()).await.unwrap().is_some(), "a host keeps its exports");
    collector.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_if_nothing_changed_also_after_a_restart() {
    let world = Embedded::new();
    let graph = || exporting(&[("/x/a", "one")]);
    let exporter = start(&world, "web1", graph()).await;
    until("it is published", || published(&world) == 1).await;
    exporter.swap(graph()).await.unwrap();
    exporter.stop().await.unwrap();
    let exporter = start(&world, "web1", graph()).await;
    a_while().await;
    assert_eq!(published(&world), 1);
    // A graph without exports withdraws them all, also what an earlier run has exported.
    exporter.stop().await.unwrap();
    let exporter = start(&world, "web1", GraphConfig::default()).await;
    until("it is withdrawn", || published(&world) == 2).await;
    exporter.stop().await.unwrap();
    let exporter = start(&world, "web1", GraphConfig::default()).await;
    a_while().await;
    assert_eq!(published(&world), 2);
    exporter.stop().await.unwrap();
}

#[tokio::test]
async fn a_host_that_collects_nothing_watches_nothing_and_other_changes_make_no_graph() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let idle = start(&world, "idle", GraphConfig::default()).await;
    a_while().await;
    assert_eq!(world.watches_below("/mgmt/export"), 0);
    idle.swap(exporting(&[("/x/idle", "")])).await.unwrap();
    until("it watches whether another program publishes under its name", || world.watches_below("/mgmt/export") == 1)
        .await;
    let mut g = Graph::new("collector");
    let into = format!("{}/", dir.path().display());
    g.collect::<File>().from("web*").named("/x/b").named("/x/a?").map(move |file| file.dirname(into.as_str()));
    let collector = start(&world, "collector", g.finish().unwrap()).await;
    until("it watches", || world.watches_below("/mgmt/export") == 2).await;
    let generation = collector.status().await.unwrap().generation;
    // Another kind, another host, another name, another addressee, its own other resources.
    let mut g = Graph::new("exporter");
    g.export(Noop::new("n"));
    g.export(File::new("/x/a"));
    g.export(File::new("/x/ab")).to(["other", "collector2"]);
    let web1 = start(&world, "web1", g.finish().unwrap()).await;
    let db = start(&world, "db", exporting(&[("/x/ab", "")])).await;
    a_while().await;
    assert_eq!(collector.status().await.unwrap().generation, generation);
    let web2 = start(&world, "web2", exporting(&[("/x/ab", "now")])).await;
    until("it is collected", || text(&dir.path().join("ab")) == "now").await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    for engine in [idle, collector, web1, db, web2] {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_for_some_hosts_is_for_these_alone() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let at = |host: &str| dir.path().join(host);
    let mut g = Graph::new("exporter");
    g.export(File::new("/x/some").content("some")).to(["web1", "web2"]);
    g.export(File::new("/x/all").content("all"));
    // What is for one host takes the place of what is for all.
    g.export(File::new("/x/all").content("for you")).to(["web2"]);
    let exporter = start(&world, "exporter", g.finish().unwrap()).await;
    let mut engines = vec![exporter];
    for host in ["web1", "web2", "web3"] {
        fs::create_dir(at(host)).unwrap();
        engines.push(start(&world, host, collecting(&at(host))).await);
    }
    let has = |host: &str, name: &str| text(&at(host).join(name));
    until("all", || ["web1", "web3"].iter().all(|host| has(host, "all") == "all") && has("web2", "all") == "for you")
        .await;
    until("some", || ["web1", "web2"].iter().all(|host| has(host, "some") == "some")).await;
    a_while().await;
    assert!(!at("web3").join("some").exists());
    for engine in engines {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn in_noop_nothing_is_written_to_the_world_and_collecting_continues() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let mut g = Graph::new("both");
    g.export(File::new("/x/mine"));
    let into = format!("{}/", dir.path().display());
    g.collect::<File>().map(move |file| file.dirname(into.as_str()));
    let noop = Engine::builder().world(world.clone()).hostname("web1").graph(g.finish().unwrap()).noop(true);
    let noop = noop.start().await.unwrap();
    let exporter = start(&world, "web2", exporting(&[("/x/a", "one")])).await;
    let id = "file[/x/a]".parse().unwrap();
    within(async {
        while noop.resource(&id).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    a_while().await;
    assert_eq!(published(&world), 1, "the other host has published, and no other");
    assert!(noop.resource(&"file[/x/mine]".parse().unwrap()).await.unwrap().is_none());
    assert!(!dir.path().join("a").exists());
    noop.stop().await.unwrap();
    exporter.stop().await.unwrap();
}

#[tokio::test]
async fn a_bad_export_spoils_only_itself_and_the_warning_names_host_and_resource() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let collector = start(&world, "collector", collecting(dir.path())).await;
    let seen = warnings(&collector);
    let names = ["/x/good", "/x/it's \"q\"", "/x/two\nlines", "/x/%2F", "/x/ä*?", "/x/same", "/y/same"];
    let web1 = start(&world, "web1", exporting(&names.map(|name| (name, "one")))).await;
    // As a newer program, or a malicious host, would write them.
    let member = mgmt::resource::World::member(&world, "evil");
    let put = |key: &str, value: &[u8]| (key.to_owned(), mgmt::resource::Write::Put(value.into(), None));
    let writes = [
        put("/mgmt/exports/*/file/evil", b"1"),
        put("/mgmt/exports/*/file/evil/%2Fx%2Fnewer/1", br#"{"fields": {"color": "red"}}"#),
        put("/mgmt/exports/*/file/evil/%2Fx%2Fjunk/1", b"\xff\x00"),
        put("/mgmt/exports/*/file/evil/relative/1", br#"{"fields": {"dirname": "relative/"}}"#),
        put("/mgmt/exports/*/file/evil/%ZZ/1", b"{}"),
    ];
    let transaction = mgmt::resource::Transaction { conditions: Vec::new(), writes: writes.into() };
    member.commit(transaction).await.unwrap().unwrap();
    until("the good ones are there", || {
        ["good", "it's \"q\"", "two\nlines", "%2F", "ä*?"].iter().all(|name| text(&dir.path().join(name)) == "one")
    })
    .await;
    let all = || seen.lock().unwrap().join("\n");
    until("all are reported", || ["newer", "junk", "%ZZ"].iter().all(|name| all().contains(name))).await;
    let all = all();
    assert!(all.contains("file[/x/newer], which evil exports, is left out: file has no field `color`"), "{all}");
    assert!(all.contains("file[/x/junk], which evil exports, is left out: it can't be read"), "{all}");
    // Two that own one path here: neither is kept.
    assert!(all.contains("file[/x/same], which web1 exports, is left out"), "{all}");
    assert!(all.contains("file[/y/same], which web1 exports, is left out"), "{all}");
    assert!(!dir.path().join("same").exists());
    collector.stop().await.unwrap();
    web1.stop().await.unwrap();
}

#[tokio::test]
async fn two_hosts_with_one_resource_are_reported_with_both_names_and_equal_ones_are_one() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let collector = start(&world, "collector", collecting(dir.path())).await;
    let seen = warnings(&collector);
    let web1 = start(&world, "web1", exporting(&[("/x/same", "one"), ("/x/other", "1")])).await;
    until("they are there", || text(&dir.path().join("other")) == "1").await;
    let web2 = start(&world, "web2", exporting(&[("/x/same", "one"), ("/x/other", "2")])).await;
    let all = || seen.lock().unwrap().join("\n");
    until("it is reported", || all().contains("web1 and web2 both export file[/x/other], and not the same")).await;
    assert!(!all().contains("/x/same"), "{}", all());
    let has = async |name: &str| collector.resource(&name.parse().unwrap()).await.unwrap().is_some();
    assert!(has("file[/x/same]").await && !has("file[/x/other]").await);
    web1.swap(exporting(&[("/x/same", "one")])).await.unwrap();
    until("one is left", || text(&dir.path().join("other")) == "2").await;
    for engine in [collector, web1, web2] {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn edges_hold_for_what_is_collected_and_one_that_is_missing_is_left_out() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("collector");
    let home = g.add(File::new(at("home/")));
    let into = at("home/");
    let files = g.collect::<File>().map(move |file| file.dirname(into.as_str()));
    g.before(&home, &files);
    let count = format!("ls {} | wc -l | tr -d ' ' >> {}", at("home/"), at("log"));
    g.add(Exec::new("count").cmd(count).shell("/bin/sh").subscribe(&files).after(&files.one("/x/b")));
    let collector = start(&world, "collector", g.finish().unwrap()).await;
    let seen = warnings(&collector);
    collector.converged().await.unwrap();
    let log = dir.path().join("log");
    until("it has run", || text(&log) == "0\n").await;
    let exporter = start(&world, "web1", exporting(&[("/x/a", "")])).await;
    until("it is refreshed", || text(&log) == "0\n1\n").await;
    let missing = "an edge from file[/x/b], which no host has exported yet";
    until("the warning", || seen.lock().unwrap().iter().any(|warning| warning.contains(missing))).await;
    exporter.swap(exporting(&[("/x/a", ""), ("/x/b", ""), ("/x/c", "")])).await.unwrap();
    until("it is refreshed once for both", || text(&log) == "0\n1\n3\n").await;
    collector.stop().await.unwrap();
    exporter.stop().await.unwrap();
}

#[tokio::test]
async fn wrong_exports_and_rules_are_refused_before_anything_runs() {
    let refused = async |declare: &dyn Fn(&mut Graph)| {
        let mut g = Graph::new("wrong");
        declare(&mut g);
        let graph = match g.finish() {
            Ok(graph) => graph,
            Err(problems) => return problems.to_string(),
        };
        Engine::builder().graph(graph).start().await.map_or_else(|error| error.to_string(), |_| "starts".to_owned())
    };
    let secret = refused(&|g| {
        g.export(File::new("/x/a").content(Secret::new("hidden".to_owned())));
    })
    .await;
    assert!(secret.contains("file[/x/a], which is exported: `content` is a secret"), "{secret}");
    assert!(!secret.contains("hidden"), "{secret}");
    let received = refused(&|g| {
        let pw = g.add(Password::new("p"));
        g.export(File::new("/x/a").content(pw.password()));
    })
    .await;
    assert!(received.contains("file[/x/a], which is exported: `content` receives `password`, a secret"), "{received}");
    let wrong = refused(&|g| {
        let sender = g.add(Exec::new("e").cmd("/bin/true"));
        g.export(File::new("relative").content(sender.stdout()));
    });
    assert!(wrong.await.contains("file[relative], which is exported"));
    let ordered = refused(&|g| {
        let first = g.add(Noop::new("first"));
        g.export(Noop::new("n").after(&first));
    });
    assert!(ordered.await.contains("noop[n], which is exported, has edges"));
    let twice = refused(&|g| {
        g.export(Noop::new("n"));
        g.export(Noop::new("n"));
    });
    assert!(twice.await.contains("noop[n] is exported twice: export it once"));
    assert!(refused(&|g| g.export(Noop::new("n")).to([""; 0])).await.contains("it is for no host"));
    let relative = refused(&|g| {
        g.export(File::new("relative"));
    });
    assert!(relative.await.contains("file[relative], which is exported"));
    let exec = refused(&|g| drop(g.collect::<Exec>()));
    assert!(exec.await.contains("it is collected only if the rule trusts the hosts"));
    assert_eq!(refused(&|g| drop(g.collect::<Exec>().trust())).await, "starts");
}

#[tokio::test]
async fn a_host_that_is_cut_off_keeps_what_it_knows_and_catches_up() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let exporter = start(&world, "web1", exporting(&[("/x/a", "one")])).await;
    until("it is published", || published(&world) == 1).await;
    let collector = start(&world, "web2", collecting(dir.path())).await;
    let a = dir.path().join("a");
    until("it is there", || text(&a) == "one").await;
    world.cut("web2");
    world.cut("web1");
    // Published when the way is free again.
    exporter.swap(exporting(&[("/x/a", "two")])).await.unwrap();
    fs::remove_file(&a).unwrap();
    until("it is back", || text(&a) == "one").await;
    a_while().await;
    world.mend("web1");
    until("it is published", || published(&world) == 2).await;
    world.compact();
    a_while().await;
    assert_eq!(text(&a), "one");
    world.mend("web2");
    until("it has caught up", || text(&a) == "two").await;
    collector.stop().await.unwrap();
    exporter.stop().await.unwrap();
}

#[tokio::test]
async fn a_world_that_has_lost_its_data_gets_all_exports_again_and_is_followed() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let exporter = start(&world, "web1", exporting(&[("/x/a", "zero")])).await;
    exporter.swap(exporting(&[("/x/a", "one")])).await.unwrap();
    until("both are published", || published(&world) == 2).await;
    let collector = start(&world, "web2", collecting(dir.path())).await;
    let a = dir.path().join("a");
    until("it is there", || text(&a) == "one").await;
    world.lose_all();
    until("it is published again", || published(&world) == 1).await;
    exporter.swap(exporting(&[("/x/a", "two")])).await.unwrap();
    until("it is followed", || text(&a) == "two").await;
    collector.stop().await.unwrap();
    exporter.stop().await.unwrap();
}

#[tokio::test]
async fn two_engines_with_one_name_are_reported_and_do_not_write_all_the_time() {
    let world = Embedded::new();
    let one = start(&world, "web1", exporting(&[("/x/a", "one")])).await;
    until("it is published", || published(&world) == 1).await;
    let other = start(&world, "web1", exporting(&[("/x/a", "other")])).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let written = published(&world);
    assert!((3..30).contains(&written), "{written} transactions in two seconds");
    one.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn exports_leave_when_their_host_has_been_gone_for_their_time() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let graph = exporting(&[("/x/a", "one")]);
    let exporter =
        Engine::builder().world(world.clone()).hostname("web1").graph(graph).export_ttl(Duration::from_secs(1));
    let exporter = exporter.start().await.unwrap();
    let collector = start(&world, "web2", collecting(dir.path())).await;
    let id = "file[/x/a]".parse().unwrap();
    until("it is there", || text(&dir.path().join("a")) == "one").await;
    // As long as the host is there, its lease is renewed.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(collector.resource(&id).await.unwrap().is_some());
    assert_eq!(published(&world), 1);
    exporter.stop().await.unwrap();
    within(async {
        while collector.resource(&id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    collector.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_short_run_exports_is_published_before_it_ends() {
    let world = Embedded::new();
    let exporter = start(&world, "web1", exporting(&[("/x/a", "one")])).await;
    exporter.stop().await.unwrap();
    assert_eq!(published(&world), 1);
    let exporter = start(&world, "web1", GraphConfig::default()).await;
    exporter.swap(exporting(&[("/x/a", "two")])).await.unwrap();
    exporter.stop().await.unwrap();
    let entries = mgmt::resource::World::member(&world, "other");
    let keys = vec![mgmt::resource::Keys::Below("/mgmt/exports/*/file/web1/".to_owned())];
    let entries = entries.get(keys).await.unwrap().entries;
    let values: Vec<_> = entries.values().map(|entry| String::from_utf8_lossy(&entry.value)).collect();
    assert!(values.len() == 1 && values[0].contains("two"), "{values:?}");
}

#[tokio::test]
async fn the_end_of_an_engine_waits_a_moment_for_a_world_that_is_away() {
    let world = Embedded::new();
    world.cut("web1");
    let exporter = start(&world, "web1", exporting(&[("/x/a", "one")])).await;
    let back = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.mend("web1");
    };
    let (ended, ()) = tokio::join!(exporter.stop(), back);
    ended.unwrap();
    assert_eq!(published(&world), 1);
    // Not for ever, and not if it has nothing to export.
    world.cut("web1");
    for (exports, least, most) in [(&[("/x/a", "two")][..], 1500, 20_000), (&[], 0, 1500)] {
        let exporter = start(&world, "web1", exporting(exports)).await;
        let began = std::time::Instant::now();
        exporter.stop().await.unwrap();
        let took = began.elapsed().as_millis();
        assert!((least..most).contains(&took), "{took} ms with {} exports", exports.len());
    }
}

/// A file with the highest number of those that were declared for it.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "quota", unwatched)]
struct Quota {
    #[resource(name)]
    path: String,
    #[resource(default)]
    at_least: u64,
}

impl Converge for Quota {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        let now = text(Path::new(&self.path));
        Ok((now != self.at_least.to_string()).then(|| Change::new("at_least", now, self.at_least.to_string())))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(fs::write(&self.path, self.at_least.to_string())?)
    }
}

impl mgmt::resource::Merge for Quota {
    fn merge(&self, other: &Self) -> Result<Self, String> {
        match self.at_least.max(other.at_least) {
            99.. => Err("99 is too much".to_owned()),
            at_least => Ok(Quota { at_least, ..self.clone() }),
        }
    }
}

#[tokio::test]
async fn declarations_of_several_hosts_and_of_the_graph_become_one_where_the_kind_can_merge_them() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("quota");
    let name = path.to_str().unwrap();
    let exporting = |at_least: u64| {
        let mut g = Graph::new("exporter");
        g.export(Quota::new(name).at_least(at_least));
        g.finish().unwrap()
    };
    let mut g = Graph::new("collector");
    g.add(Quota::new(name).at_least(15u64));
    g.collect::<Quota>();
    let collector = start(&world, "collector", g.finish().unwrap()).await;
    let seen = warnings(&collector);
    until("its own", || text(&path) == "15").await;
    let web1 = start(&world, "web1", exporting(10)).await;
    let web2 = start(&world, "web2", exporting(20)).await;
    until("the highest", || text(&path) == "20").await;
    web1.swap(exporting(30)).await.unwrap();
    until("the highest", || text(&path) == "30").await;
    web1.swap(exporting(99)).await.unwrap();
    let conflict = || seen.lock().unwrap().iter().any(|warning| warning.contains("(99 is too much)"));
    until("a conflict is reported, and the graph's own holds", || conflict() && text(&path) == "15").await;
    for engine in [collector, web1, web2] {
        engine.stop().await.unwrap();
    }
}
