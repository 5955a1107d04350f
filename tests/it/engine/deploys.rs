//! Hosts that follow what is deployed to one world.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mgmt::gapi::{DeployError, Deploys, Publish, builtin_kinds, deployed};
use mgmt::prelude::*;
use mgmt::resource::{Keys, Member, Secret, Transaction, World as _, Write};
use mgmt::runtime::{Builder, EngineError, EventKind};
use mgmt::world::Embedded;
use mgmt::{Engine, graph::GraphConfig};

use crate::kit::{a_while, until};

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A graph with one file that is a copy of another one, which a deploy carries.
fn with_source(path: &Path, source: &Path) -> GraphConfig {
    let mut g = Graph::new("site");
    g.add(File::new(path.to_str().unwrap()).source(source.to_str().unwrap()));
    g.finish().unwrap()
}

/// A graph with one file.
fn with_content(path: &Path, content: &str) -> GraphConfig {
    let mut g = Graph::new("site");
    g.add(File::new(path.to_str().unwrap()).content(content));
    g.finish().unwrap()
}

async fn publish(deploys: &Deploys, graph: &GraphConfig) -> mgmt::gapi::Deployed {
    deploys.publish(graph, &builtin_kinds(), &Publish::new()).await.unwrap()
}

fn follower(world: &Embedded, host: &str, prefix: &Path) -> Builder<mgmt::gapi::DeploySource> {
    Engine::builder().world(world.clone()).hostname(host).prefix(prefix).gapi(deployed(builtin_kinds()))
}

/// All names below a directory, sorted.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
        all.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            all.extend(below(&entry.path()));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn all_hosts_switch_to_what_is_deployed_and_back() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let deploys = Deploys::new(&world, "desk");
    let path = |n: usize| dir.path().join(format!("host{n}"));
    let declare = |content: &'static str| {
        let mut g = Graph::new("site");
        for n in 0..3 {
            g.add(File::new(path(n).to_str().unwrap()).content(content));
        }
        g.finish().unwrap()
    };
    let prefixes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    publish(&deploys, &declare("one")).await;
    let mut engines = Vec::new();
    for (n, prefix) in prefixes.iter().enumerate() {
        engines.push(follower(&world, &format!("web{n}"), prefix.path()).start().await.unwrap());
    }
    let all = |content: &str| (0..3).all(|n| text(path(n)) == content);
    until("the first is in force", || all("one")).await;
    let second = publish(&deploys, &declare("two")).await;
    until("the second is in force", || all("two")).await;
    deploys.revert(None, &Publish::new()).await.unwrap();
    until("the first is in force again", || all("one")).await;
    let list = deploys.list().await.unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(list[0].deploy.as_ref().unwrap().parent.as_ref(), Some(&second.id));
    assert!(list[0].in_force && !list[1].in_force);
    for engine in engines {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn files_travel_with_their_rights_and_are_fetched_once() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::create_dir_all(from.join("deep/er")).unwrap();
    let large = "x".repeat(1_300_000);
    for (name, content, mode) in [
        ("run.sh", "#!/bin/sh\n", 0o4755),
        ("deep/er/conf", "a = 1\n", 0o664),
        ("large", &large, 0o644),
        ("empty", "", 0o444),
    ] {
        fs::write(from.join(name), content).unwrap();
        fs::set_permissions(from.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::symlink("deep/er/conf", from.join("link")).unwrap();
    for name in ["head", "tail"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let declare = || {
        let mut g = Graph::new("site");
        g.add(File::new(format!("{}/", to.display())).source(format!("{}/", from.display())).recurse(true).purge(true));
        let part = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        g.add(File::new(part("whole")).fragments([part("head"), part("tail"), part("head")]));
        g.finish().unwrap()
    };
    let deploys = Deploys::new(&world, "desk");
    let first = publish(&deploys, &declare()).await;
    assert_eq!((first.deploy.files, first.carries.len()), (6, 3), "{first:?}");
    // What travels no longer depends on the machine where it was declared.
    for name in ["from", "head", "tail"] {
        fs::rename(dir.path().join(name), dir.path().join(format!("{name}-moved"))).unwrap();
    }
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("all is there", || text(dir.path().join("whole")) == "headtailhead" && text(to.join("large")) == large).await;
    until("the tree is there", || text(to.join("deep/er/conf")) == "a = 1\n" && to.join("link").exists()).await;
    let mode = |name: &str| fs::metadata(to.join(name)).unwrap().mode() & 0o7777;
    // Rights that were given for another owner stay behind.
    assert_eq!(["run.sh", "deep/er/conf", "empty"].map(mode), [0o755, 0o644, 0o444]);
    assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("deep/er/conf"));
    let mtime = |path: PathBuf| fs::metadata(path).unwrap().mtime();
    assert_eq!(mtime(to.join("large")), mtime(dir.path().join("from-moved/large")));
    // Only this user can enter what is kept.
    for name in ["deploys", "deploys/trees", "deploys/documents"] {
        assert_eq!(fs::metadata(prefix.path().join(name)).unwrap().mode() & 0o777, 0o700);
    }
    // One file changes: the others are not fetched again, and what no deploy needs is removed.
    for name in ["from", "head", "tail"] {
        fs::rename(dir.path().join(format!("{name}-moved")), dir.path().join(name)).unwrap();
    }
    for (number, content) in [(2, "a = 2\n"), (3, "a = 3\n"), (4, "a = 4\n")] {
        fs::write(from.join("deep/er/conf"), content).unwrap();
        let next = publish(&deploys, &declare()).await;
        assert_eq!(next.deploy.number, number);
        until("the file has changed", || text(to.join("deep/er/conf")) == content).await;
    }
    a_while().await;
    let trees = fs::read_dir(prefix.path().join("deploys/trees")).unwrap().count();
    assert!(trees <= 4, "two deploys, which share two files: {trees}");
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn without_the_world_the_last_deploy_stays_also_after_a_restart() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (source, path) = (dir.path().join("source"), dir.path().join("kept"));
    fs::write(&source, "carried").unwrap();
    let graph = with_source(&path, &source);
    let deploys = Deploys::new(&world, "desk");
    publish(&deploys, &graph).await;
    fs::remove_file(&source).unwrap();
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("it is in force", || text(&path) == "carried").await;
    world.cut("web1");
    fs::remove_file(&path).unwrap();
    until("it is kept", || text(&path) == "carried").await;
    engine.stop().await.unwrap();
    // A restart without a world.
    fs::remove_file(&path).unwrap();
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("it is kept after a restart", || text(&path) == "carried").await;
    // The world is back, with another deploy.
    publish(&deploys, &with_content(&path, "new")).await;
    a_while().await;
    assert_eq!(text(&path), "carried");
    world.mend("web1");
    until("it has caught up", || text(&path) == "new").await;
    engine.stop().await.unwrap();
    // A copy that was changed is not used.
    world.cut("web1");
    for kept in below(&prefix.path().join("deploys/documents")) {
        let mut bytes = fs::read(&kept).unwrap();
        bytes.push(b' ');
        fs::write(&kept, bytes).unwrap();
    }
    let start = follower(&world, "web1", prefix.path()).start();
    assert!(tokio::time::timeout(Duration::from_millis(500), start).await.is_err(), "it waits for the world");
    world.mend("web1");
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("it is in force", || text(&path) == "new").await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_changed_copy_of_a_file_is_made_again() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (source, path) = (dir.path().join("source"), dir.path().join("kept"));
    fs::write(&source, "carried").unwrap();
    publish(&Deploys::new(&world, "desk"), &with_source(&path, &source)).await;
    for change in ["other", "more"] {
        let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
        until("it is in force", || text(&path) == "carried").await;
        engine.stop().await.unwrap();
        let trees = below(&prefix.path().join("deploys/trees"));
        let copy = trees.iter().find(|path| path.is_file()).unwrap();
        match change {
            "other" => fs::write(copy, "planted").unwrap(),
            _ => fs::remove_file(copy).unwrap(),
        }
    }
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    a_while().await;
    assert_eq!(text(&path), "carried");
    engine.stop().await.unwrap();
}

/// Lets the world name a record that nothing checks.
async fn plant(world: &Embedded, edit: impl FnOnce(&mut serde_json::Value)) {
    let member = world.member("intruder");
    let head = member.get(vec![Keys::One("/mgmt/deploys/head".to_owned())]).await.unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head.entries.values().next().unwrap().value).unwrap();
    let key = format!("/mgmt/deploys/list/{}", head["id"].as_str().unwrap());
    let record = member.get(vec![Keys::One(key)]).await.unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&record.entries.values().next().unwrap().value).unwrap();
    edit(&mut record);
    let record = serde_json::to_vec(&record).unwrap();
    put_record(&*member, record).await;
}

async fn put_record(member: &dyn Member, record: Vec<u8>) {
    use sha2::Digest as _;
    let sha256: String = sha2::Sha256::digest(&record).iter().map(|byte| format!("{byte:02x}")).collect();
    let id = sha256[..12].to_owned();
    let head = serde_json::json!({ "id": id, "sha256": sha256 });
    put(member, &format!("/mgmt/deploys/list/{id}"), record).await;
    put(member, "/mgmt/deploys/head", serde_json::to_vec(&head).unwrap()).await;
}

async fn put(member: &dyn Member, key: &str, value: Vec<u8>) {
    let writes = [(key.to_owned(), Write::Put(value.into(), None))].into();
    member.commit(Transaction { conditions: Vec::new(), writes }).await.unwrap();
}

/// Puts a content into the world; returns what a record has about it.
async fn put_content(world: &Embedded, bytes: &[u8]) -> serde_json::Value {
    use sha2::Digest as _;
    let sha256: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    put(&*world.member("intruder"), &format!("/mgmt/blobs/data/{sha256}/00000000"), bytes.to_vec()).await;
    serde_json::json!({ "sha256": sha256, "bytes": bytes.len() })
}

#[tokio::test]
async fn a_bad_deploy_leaves_the_one_before_in_force() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("kept");
    let deploys = Deploys::new(&world, "desk");
    publish(&deploys, &with_content(&path, "good")).await;
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    let mut events = engine.events();
    until("it is in force", || text(&path) == "good").await;
    let outside = dir.path().join("outside");
    let list = |entry: serde_json::Value| {
        let tree = serde_json::json!({ "path": "/x", "name": "x", "entries": [{ "directory": { "path": "", "mode": 0o755 } }, entry] });
        serde_json::to_vec(&serde_json::json!({ "trees": [tree], "uses": [] })).unwrap()
    };
    let target = outside.to_str().unwrap();
    let lists = [
        list(serde_json::json!({ "symlink": { "path": "../../../../escaped", "target": target } })),
        list(serde_json::json!({ "symlink": { "path": target, "target": "x" } })),
        list(serde_json::json!({ "directory": { "path": "a/../..", "mode": 0o755 } })),
        list(serde_json::json!({ "directory": { "path": "a", "mode": 0o4777 } })),
        b"[]".to_vec(),
    ];
    for list in lists {
        let content = put_content(&world, &list).await;
        plant(&world, |record| record["carried"] = content).await;
        a_while().await;
        assert!(!outside.exists() && !prefix.path().join("escaped").exists());
    }
    // Each is reported once, with the remedy.
    let mut reports = Vec::new();
    while let Some(event) = events.try_next() {
        if let EventKind::Rejected { problems, .. } = &event.kind {
            reports.push(problems.clone());
        }
    }
    assert_eq!(reports.len(), 5, "{reports:#?}");
    assert!(
        reports.iter().all(|report| report.contains("is damaged") && report.contains("deploy revert")),
        "{reports:#?}"
    );
    // A graph of a newer program, with a kind that this one lacks; a record of a newer one; one that is no record.
    let newer = serde_json::json!({ "graph": "g", "resources": [{ "kind": "hologram", "name": "x" }] });
    let content = put_content(&world, &serde_json::to_vec(&newer).unwrap()).await;
    plant(&world, |record| (record["graph"], record["carried"]) = (content, serde_json::Value::Null)).await;
    plant(&world, |record| record["format"] = 99.into()).await;
    plant(&world, |record| record["graph"]["bytes"] = u64::MAX.into()).await;
    put(&*world.member("intruder"), "/mgmt/deploys/head", b"{}".to_vec()).await;
    a_while().await;
    fs::remove_file(&path).unwrap();
    until("the good one is kept", || text(&path) == "good").await;
    // A restart now begins with the good one, too.
    engine.stop().await.unwrap();
    fs::remove_file(&path).unwrap();
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("the good one is kept", || text(&path) == "good").await;
    engine.stop().await.unwrap();
    put_record(&*world.member("intruder"), b"{}".to_vec()).await;
    fs::remove_file(&path).unwrap();
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("the good one is kept", || text(&path) == "good").await;
    // The remedy.
    let refused = deploys.publish(&with_content(&path, "better"), &builtin_kinds(), &Publish::new()).await;
    let better = match refused {
        Ok(better) => better,
        Err(_) => {
            let how = Publish::new().force(true);
            deploys.publish(&with_content(&path, "better"), &builtin_kinds(), &how).await.unwrap()
        }
    };
    until("a good one is in force", || text(&path) == "better").await;
    assert!(deploys.list().await.unwrap().iter().any(|listed| listed.id == better.id && listed.in_force));
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_host_refuses_leaves_the_one_before_in_force_also_after_a_restart() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("kept");
    let deploys = Deploys::new(&world, "desk");
    publish(&deploys, &with_content(&path, "good")).await;
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("it is in force", || text(&path) == "good").await;
    // Only on this host the two are one place.
    std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
    let mut g = Graph::new("site");
    for (name, content) in [("kept", "one"), ("link/kept", "other")] {
        g.add(File::new(dir.path().join(name).to_str().unwrap()).content(content));
    }
    publish(&deploys, &g.finish().unwrap()).await;
    a_while().await;
    assert_eq!(text(&path), "good");
    engine.stop().await.unwrap();
    world.cut("web1");
    fs::remove_file(&path).unwrap();
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("the last good one is in force", || text(&path) == "good").await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_content_with_another_hash_is_not_used() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("kept");
    let deploys = Deploys::new(&world, "desk");
    publish(&deploys, &with_content(&path, "good")).await;
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("it is in force", || text(&path) == "good").await;
    world.cut("web1");
    publish(&deploys, &with_content(&path, "evil")).await;
    let member = world.member("intruder");
    let all = member.get(vec![Keys::Below("/mgmt/blobs/data/".to_owned())]).await.unwrap();
    for (key, entry) in &all.entries {
        let changed = String::from_utf8_lossy(&entry.value).replace("evil", "EVIL");
        put(&*member, key, changed.into_bytes()).await;
    }
    world.mend("web1");
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(text(&path), "good");
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_waits_for_the_first_deploy() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("kept");
    let start = tokio::spawn(follower(&world, "web1", prefix.path()).start());
    a_while().await;
    assert!(!start.is_finished());
    // A plan does not wait, and leaves nothing behind.
    let (other, none) = (tempfile::tempdir().unwrap(), "there is no deploy yet");
    let plan = follower(&world, "web2", other.path()).plan().await;
    assert!(plan.unwrap_err().to_string().contains(none));
    publish(&Deploys::new(&world, "desk"), &with_content(&path, "first")).await;
    let engine = start.await.unwrap().unwrap();
    until("it is in force", || text(&path) == "first").await;
    let plan = follower(&world, "web2", other.path()).plan().await.unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert!(below(other.path()).is_empty(), "{:?}", below(other.path()));
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_plan_compares_with_the_carried_files_and_leaves_nothing_behind() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (source, path) = (dir.path().join("source"), dir.path().join("kept"));
    fs::write(&source, "carried").unwrap();
    publish(&Deploys::new(&world, "desk"), &with_source(&path, &source)).await;
    fs::remove_file(&source).unwrap();
    let plan = follower(&world, "web1", prefix.path()).plan().await.unwrap();
    assert!(!plan.is_empty() && !plan.has_failed(), "{plan}");
    fs::write(&path, "carried").unwrap();
    let plan = follower(&world, "web1", prefix.path()).plan().await.unwrap();
    assert!(!plan.has_failed(), "{plan}");
    assert!(below(prefix.path()).is_empty());
    assert!(follower(&world, "web1", prefix.path()).check().await.is_ok());
}

#[tokio::test]
async fn two_at_once_are_not_both_in_force_by_accident() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("kept");
    let (ann, bob) = (Deploys::new(&world, "ann"), Deploys::new(&world, "bob"));
    let first = publish(&ann, &with_content(&path, "one")).await;
    // The same again is no new deploy.
    let again = publish(&ann, &with_content(&path, "one")).await;
    assert!(!again.is_new && again.id == first.id);
    let how = Publish::new().by("ann@desk").message("ann's");
    let second = ann.publish(&with_content(&path, "two"), &builtin_kinds(), &how).await.unwrap();
    // Bob has made his from the first one.
    let how = Publish::new().parent(&first.id.as_str()[..6]);
    let refused = bob.publish(&with_content(&path, "three"), &builtin_kinds(), &how).await.unwrap_err();
    let shown = refused.to_string();
    assert!(matches!(refused, DeployError::Overtaken { .. }), "{shown}");
    for part in [first.id.as_str(), second.id.as_str(), "ann@desk", "ann's", "`--force`", "20"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(bob.show(None).await.unwrap().id == second.id);
    let third = bob.publish(&with_content(&path, "three"), &builtin_kinds(), &how.force(true)).await.unwrap();
    assert_eq!(third.deploy.parent, Some(second.id));
    // By their beginnings.
    assert!(matches!(bob.show(Some("")).await, Err(DeployError::NoSuch(_))));
    assert!(matches!(bob.show(Some("zz")).await, Err(DeployError::NoSuch(_))));
    let details = bob.show(Some(&third.id.as_str()[..8].to_uppercase())).await.unwrap();
    assert_eq!(details.changes.unwrap().len(), 1);
    // At the same moment: one of both is refused, or is based on the other.
    for round in 0..20 {
        let (one, two) = (format!("a{round}"), format!("b{round}"));
        let (one, two) = (with_content(&path, &one), with_content(&path, &two));
        let (kinds, how) = (builtin_kinds(), Publish::new());
        let (a, b) = tokio::join!(ann.publish(&one, &kinds, &how), bob.publish(&two, &kinds, &how));
        let done: Vec<_> = [a, b].into_iter().flatten().collect();
        assert!(!done.is_empty());
        if let [a, b] = &done[..] {
            assert!(a.deploy.parent.as_ref() == Some(&b.id) || b.deploy.parent.as_ref() == Some(&a.id));
        }
    }
}

#[tokio::test]
async fn what_can_t_travel_is_refused_with_all_its_places() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(place("private"), "hidden").unwrap();
    fs::set_permissions(place("private"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(place("dir")).unwrap();
    std::os::unix::fs::symlink("private", place("link")).unwrap();
    std::os::unix::net::UnixListener::bind(place("dir/socket")).unwrap();
    let mut g = Graph::new("site");
    let pw = g.add(Password::new("admin").length(24));
    g.add(File::new(place("a")).content(pw.password().map(|pw| pw.map(|pw| format!("{pw}\n")))).mode(0o600));
    g.add(File::new(place("b")).content(Secret::new("sesame-canary".to_owned())));
    g.add(File::new(place("c")).source(place("missing")));
    g.add(File::new(place("d")).source(place("private")));
    g.add(File::new(place("e")).source(place("link")));
    g.add(File::new(format!("{}/", place("f"))).source(format!("{}/", place("dir"))));
    let graph = g.finish().unwrap();
    let deploys = Deploys::new(&world, "desk");
    let before = world.revision();
    let refused = deploys.publish(&graph, &builtin_kinds(), &Publish::new()).await.unwrap_err();
    let DeployError::Graph(problems) = refused else { panic!("{refused}") };
    let shown: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    let parts =
        ["closure", "was a secret", "not on this machine", "other users may not read it", "a symlink", "a socket"];
    for part in parts {
        assert!(shown.iter().any(|problem| problem.contains(part)), "{part:?} in {shown:#?}");
    }
    for name in ["a", "b", "c", "d", "e", "f/"] {
        let id = format!("file[{}]", place(name));
        assert!(shown.iter().any(|problem| problem.contains(&id)), "{id} in {shown:#?}");
    }
    assert!(shown.iter().all(|problem| problem.contains("deploys.rs:")), "{shown:#?}");
    assert_eq!(world.revision(), before, "nothing was written");
    let all = deploys.list().await.unwrap();
    assert!(all.is_empty());
}

#[tokio::test]
async fn secrets_stay_on_the_hosts_and_what_the_graph_makes_is_not_carried() {
    let (world, dir, prefix) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["local", "private"] {
        fs::write(place(name), format!("{name}-canary")).unwrap();
    }
    fs::set_permissions(place("private"), fs::Permissions::from_mode(0o600)).unwrap();
    let declare = || {
        let mut g = Graph::new("site");
        let pw = g.add(Password::new("admin").length(24));
        g.add(File::new(place("secret")).content(pw.password()).mode(0o600));
        let made = g.add(File::new(place("made")).content("made here"));
        g.add(File::new(place("copy")).source(place("made")).after(&made));
        g.add(File::new(place("of-host")).source(place("local")));
        g.finish().unwrap()
    };
    let deploys = Deploys::new(&world, "desk");
    let how = Publish::new().on_hosts(place("local"));
    let published = deploys.publish(&declare(), &builtin_kinds(), &how).await.unwrap();
    assert!(published.carries.is_empty(), "{published:?}");
    let engine = follower(&world, "web1", prefix.path()).start().await.unwrap();
    until("it is in force", || text(place("copy")) == "made here" && text(place("of-host")) == "local-canary").await;
    until("it has a password", || text(place("secret")).len() == 24).await;
    let all = world.member("reader").get(vec![Keys::Below(String::new())]).await.unwrap();
    let password = text(place("secret"));
    for (key, entry) in &all.entries {
        let value = String::from_utf8_lossy(&entry.value);
        assert!(!value.contains(&password) && !value.contains("canary"), "{key}");
    }
    engine.stop().await.unwrap();
    // Only if that is asked for.
    let mut g = Graph::new("site");
    g.add(File::new(place("copy")).source(place("private")));
    let graph = g.finish().unwrap();
    assert!(deploys.publish(&graph, &builtin_kinds(), &Publish::new()).await.is_err());
    assert!(deploys.publish(&graph, &builtin_kinds(), &Publish::new().private(true)).await.unwrap().is_new);
}

#[tokio::test]
async fn too_large_is_refused_before_anything_is_written() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let file = fs::File::create(place("huge")).unwrap();
    file.set_len((32 << 20) + 1).unwrap();
    for n in 0..3 {
        let mut bytes = vec![n; 30 << 20];
        bytes[0] = n;
        fs::write(place(&format!("large{n}")), bytes).unwrap();
    }
    let deploys = Deploys::new(&world, "desk");
    let refused = async |sources: &[&str]| {
        let mut g = Graph::new("site");
        for source in sources {
            g.add(File::new(place(&format!("to-{source}"))).source(place(source)));
        }
        deploys.publish(&g.finish().unwrap(), &builtin_kinds(), &Publish::new()).await.unwrap_err().to_string()
    };
    assert!(refused(&["huge"]).await.contains("33554433 bytes"));
    assert!(refused(&["large0", "large1", "large2"]).await.contains("more than 67108864 bytes"));
    let how = Publish::new().message("m".repeat(20_000));
    let graph = with_content(&dir.path().join("x"), "x");
    assert!(deploys.publish(&graph, &builtin_kinds(), &how).await.unwrap_err().to_string().contains("20000 bytes"));
    assert_eq!(world.revision().0, 0);
}

#[tokio::test]
async fn the_builder_publishes_and_in_noop_does_not() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("kept");
    let builder = || {
        let graph = with_content(&path, "x");
        Engine::builder().world(world.clone()).hostname("desk").graph(graph)
    };
    let would = builder().noop(true).deploy(&builtin_kinds(), &Publish::new()).await.unwrap();
    assert!(would.is_new && world.revision().0 == 0);
    let done = builder().deploy(&builtin_kinds(), &Publish::new()).await.unwrap();
    assert_eq!(done.deploy.resources, 1);
    assert!(done.deploy.by.ends_with("@desk"), "{}", done.deploy.by);
    assert!(!path.exists(), "nothing runs here");
    let without = Engine::builder().graph(with_content(&path, "x")).deploy(&builtin_kinds(), &Publish::new()).await;
    assert!(matches!(without, Err(EngineError::Deploy(DeployError::NoWorld))));
    let without = Engine::builder().gapi(deployed(builtin_kinds())).start().await.unwrap_err();
    assert!(without.to_string().contains("no world"), "{without}");
}
