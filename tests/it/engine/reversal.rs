//! What a resource changed is undone when it has left the graph, in this run or before it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use mgmt::prelude::*;
use mgmt::runtime::EventKind;
use tempfile::tempdir;

use super::recorded::{Bed, empty, graph, one, snapshot};
use crate::kit::Run;

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

async fn told(run: &mut Run) -> EventKind {
    run.find(|event| match event {
        EventKind::Undone { .. } | EventKind::Kept { .. } | EventKind::HandedOver { .. } => Some(event.clone()),
        _ => None,
    })
    .await
}

/// Everything that a file resource can do to a tree, in which this is there before.
fn prepare(bed: &Bed) {
    fs::write(bed.path("was"), "original\n").unwrap();
    fs::set_permissions(bed.path("was"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(bed.path("gone"), "to be removed\n").unwrap();
    symlink("somewhere", bed.path("link")).unwrap();
    fs::create_dir_all(bed.path("tree/deep")).unwrap();
    fs::write(bed.path("tree/deep/file"), "deep\n").unwrap();
    fs::set_permissions(bed.path("tree/deep"), fs::Permissions::from_mode(0o710)).unwrap();
    fs::write(bed.path("mode"), "mode\n").unwrap();
    fs::create_dir(bed.path("in place")).unwrap();
    fs::write(bed.path("in place/entry"), "entry\n").unwrap();
}

fn changes(bed: &Bed) -> GraphConfig {
    graph(|g| {
        let dir = g.add(File::new(bed.path("new/")).reverse(true));
        g.add(File::new(bed.path("new/file")).content("new\n").reverse(true).after(&dir));
        g.add(File::new(bed.path("was")).content("changed\n").mode(0o600).reverse(true));
        g.add(File::new(bed.path("gone")).absent().reverse(true));
        g.add(File::new(bed.path("link")).symlink("elsewhere").reverse(true));
        g.add(File::new(bed.path("tree/")).absent().reverse(true));
        g.add(File::new(bed.path("mode")).mode(0o604).reverse(true));
        g.add(File::new(bed.path("in place")).content("a file\n").force(true).reverse(true));
    })
}

#[tokio::test]
async fn what_a_file_changed_is_as_before_when_it_has_left() {
    let bed = Bed::new();
    prepare(&bed);
    let before = snapshot(bed.dir.path());
    let mut run = bed.run(changes(&bed)).await;
    assert_eq!((bed.read("was").unwrap(), mode(bed.path("was"))), ("changed\n".into(), 0o600));
    assert!(bed.read("gone").is_none() && bed.read("new/file").is_some() && bed.read("in place").is_some());
    assert_eq!(bed.records().len(), 8);
    run.engine.swap(empty()).await.unwrap();
    run.until("converged").await;
    assert_eq!(snapshot(bed.dir.path()), before);
    assert_eq!(bed.records(), [""; 0]);
    run.stop().await;
}

#[tokio::test]
async fn what_left_while_no_engine_ran_is_undone_at_the_next_start_children_first() {
    let bed = Bed::new();
    prepare(&bed);
    let before = snapshot(bed.dir.path());
    bed.pass(changes(&bed)).await;
    // A second run changes the same once more: the first record counts.
    bed.pass(one(File::new(bed.path("was")).content("again\n").reverse(true))).await;
    assert_eq!(bed.read("was").as_deref(), Some("again\n"), "and what it lacked was undone");
    assert_eq!(bed.records().len(), 1);
    bed.pass(empty()).await;
    assert_eq!(snapshot(bed.dir.path()), before);
    assert_eq!(bed.records(), [""; 0]);
}

#[tokio::test]
async fn what_another_program_changed_since_is_kept_with_its_record() {
    let bed = Bed::new();
    fs::write(bed.path("a"), "original\n").unwrap();
    bed.pass(one(File::new(bed.path("a")).content("ours\n").reverse(true))).await;
    fs::write(bed.path("a"), "theirs\n").unwrap();
    for _ in 0..2 {
        let mut run = Run::start(mgmt::Engine::builder().graph(empty()).prefix(bed.prefix.path())).await;
        let EventKind::Kept { id, why, record, .. } = told(&mut run).await else { panic!() };
        assert_eq!(id.name, bed.path("a"));
        assert!(why.contains("was changed by another program"), "{why}");
        assert!(Path::new(&record).join("record").exists());
        run.stop().await;
        assert_eq!(bed.read("a").as_deref(), Some("theirs\n"));
    }
    // What we wrote is there again: nothing of another program would be lost.
    fs::write(bed.path("a"), "ours\n").unwrap();
    bed.pass(empty()).await;
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("original\n"), 0));
}

#[tokio::test]
async fn a_directory_that_is_not_empty_stays_until_it_is() {
    let bed = Bed::new();
    bed.pass(one(File::new(bed.path("d/")).reverse(true))).await;
    fs::write(bed.path("d/theirs"), "").unwrap();
    bed.pass(empty()).await;
    assert!(bed.read("d/theirs").is_some() && bed.records().len() == 1);
    fs::remove_file(bed.path("d/theirs")).unwrap();
    bed.pass(empty()).await;
    assert!(!Path::new(&bed.path("d")).exists() && bed.records().is_empty());
}

#[tokio::test]
async fn the_record_goes_with_what_changes_hands_live_and_at_a_start() {
    for live in [true, false] {
        let bed = Bed::new();
        fs::write(bed.path("a"), "original\n").unwrap();
        let named = |name: &str, content: &str| one(File::new(name).path(bed.path("a")).content(content).reverse(true));
        let mut run = bed.run(named("first", "1\n")).await;
        if live {
            run.engine.swap(named("second", "2\n")).await.unwrap();
        } else {
            run.stop().await;
            run = Run::start(mgmt::Engine::builder().graph(named("second", "2\n")).prefix(bed.prefix.path())).await;
        }
        let EventKind::HandedOver { from, to, .. } = told(&mut run).await else { panic!() };
        assert_eq!((&*from.name, &*to.name), ("first", "second"));
        run.until("converged").await;
        assert_eq!((bed.read("a").as_deref(), bed.records()), (Some("2\n"), vec!["second".to_owned()]));
        run.stop().await;
        bed.pass(empty()).await;
        assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("original\n"), 0));
    }
}

#[tokio::test]
async fn what_is_undone_at_a_start_leaves_the_next_graph_all_its_resources() {
    let bed = Bed::new();
    let named = |names: [&str; 3]| {
        graph(|g| names.iter().for_each(|name| _ = g.add(File::new(bed.path(name)).content(*name).reverse(true))))
    };
    bed.pass(named(["a", "b", "c"])).await;
    let mut run = bed.run(named(["a2", "b", "c"])).await;
    crate::kit::until("it is undone", || bed.read("a").is_none() && bed.records().len() == 3).await;
    run.engine.swap(named(["a2", "b2", "c2"])).await.unwrap();
    run.until("converged").await;
    assert_eq!(["a2", "b2", "c2", "b", "c"].map(|name| bed.read(name).is_some()), [true, true, true, false, false]);
    run.stop().await;
}

#[tokio::test]
async fn in_noop_nothing_is_undone_and_that_is_told() {
    let bed = Bed::new();
    bed.pass(one(File::new(bed.path("a")).content("ours\n").reverse(true))).await;
    let builder = mgmt::Engine::builder().graph(empty()).prefix(bed.prefix.path()).noop(true);
    let mut run = Run::start(builder).await;
    let EventKind::Kept { why, .. } = told(&mut run).await else { panic!() };
    assert!(why.contains("noop"));
    run.stop().await;
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("ours\n"), 1));
    // Without `reverse` it stays, and nothing is left of the record.
    let stays = one(File::new(bed.path("a")).content("ours\n"));
    let run = bed.run(stays).await;
    run.engine.swap(empty()).await.unwrap();
    run.stop().await;
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("ours\n"), 0));
}

#[tokio::test]
async fn a_damaged_record_is_kept_and_neither_applied_nor_replaced() {
    let bed = Bed::new();
    fs::write(bed.path("a"), "original\n").unwrap();
    let ours = |content: &str| one(File::new(bed.path("a")).content(content).reverse(true));
    bed.pass(ours("ours\n")).await;
    let record = bed.prefix.path().join("records/file").join(&bed.records()[0]).join("record");
    assert_eq!(mode(&record), 0o600);
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("content", "contents")).unwrap();
    let mut run = Run::start(mgmt::Engine::builder().graph(empty()).prefix(bed.prefix.path())).await;
    let warning = run.find(|event| match event {
        EventKind::Warning { message, .. } => Some(message.clone()),
        _ => None,
    });
    assert!(warning.await.contains("is kept, and not undone"));
    run.stop().await;
    assert_eq!(bed.read("a").as_deref(), Some("ours\n"));
    // A change without a record would be one that can't be undone.
    let mut run = Run::start(mgmt::Engine::builder().graph(ours("more\n")).prefix(bed.prefix.path())).await;
    let error = run.find(|event| match event {
        EventKind::Failed { error, .. } | EventKind::Waiting { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert!(error.await.contains("the record of what was there before"));
    run.stop().await;
    assert_eq!(bed.read("a").as_deref(), Some("ours\n"));
}

#[tokio::test]
async fn a_kind_that_can_not_be_undone_is_refused() {
    let mut g = Graph::new("wrong");
    g.add(Noop::new("a").reverse(true));
    let problems = mgmt::Engine::builder().graph(g.finish().unwrap()).start().await.unwrap_err().to_string();
    assert!(problems.contains("`reverse` has no meaning for the kind `noop`"), "{problems}");
}

#[tokio::test]
async fn a_command_is_undone_by_its_own_command_also_by_an_engine_that_no_longer_declares_it() {
    for live in [true, false] {
        let bed = Bed::new();
        let made = bed.path("made");
        let exec = || Exec::new("make").cmd(format!("mkdir {made}")).creates(&made).undo(format!("rmdir {made}"));
        let run = bed.run(one(exec().reverse(true))).await;
        assert!(Path::new(&made).exists());
        if live {
            run.engine.swap(empty()).await.unwrap();
            let mut run = run;
            assert!(
                matches!(told(&mut run).await, EventKind::Undone { done, .. } if done == [format!("ran `rmdir {made}`")])
            );
            run.stop().await;
        } else {
            run.stop().await;
            bed.pass(empty()).await;
        }
        assert!(!Path::new(&made).exists() && bed.records().is_empty());
    }
}

#[tokio::test]
async fn an_undo_that_fails_keeps_its_record_and_blocks_nothing() {
    let bed = Bed::new();
    let graph = graph(|g| {
        let first = g.add(File::new(bed.path("first")).content("first\n").reverse(true));
        let (cmd, undo) = (format!("touch {}", bed.path("second")), format!("test -e {}", bed.path("allowed")));
        g.add(Exec::new("second").cmd(cmd).creates(bed.path("second")).undo(undo).reverse(true).after(&first));
    });
    let mut run = bed.run(graph).await;
    run.engine.swap(empty()).await.unwrap();
    let error = run.find(|event| match event {
        EventKind::Left { error, .. } => error.clone(),
        _ => None,
    });
    assert!(error.await.contains("undo `test -e"));
    run.until("converged").await;
    run.stop().await;
    assert_eq!((bed.read("first"), bed.records()), (None, vec!["second".to_owned()]));
    fs::write(bed.path("allowed"), "").unwrap();
    bed.pass(empty()).await;
    assert!(bed.records().is_empty());
}

#[tokio::test]
async fn a_failed_undo_is_tried_again_with_the_settings_of_the_resource_live_and_after_a_start() {
    for live in [true, false] {
        let bed = Bed::new();
        let (made, allowed, asked) = (bed.path("made"), bed.path("allowed"), bed.path("asked"));
        let undo = format!("echo >> {asked}; test -e {allowed} && rm {made}");
        let graph = graph(|g| {
            let first = g.add(File::new(bed.path("first")).content("first\n").reverse(true));
            let made = Exec::new("made").cmd(format!("touch {made}")).creates(&made).undo(undo).undoshell("/bin/sh");
            g.add(made.reverse(true).retry(-1).delay(std::time::Duration::from_millis(30)).after(&first));
        });
        let mut run = bed.run(graph).await;
        if live {
            run.engine.swap(empty()).await.unwrap();
        } else {
            run.stop().await;
            run = Run::start(mgmt::Engine::builder().graph(empty()).prefix(bed.prefix.path())).await;
        }
        for _ in 0..3 {
            let again = run.find(|event| match event {
                EventKind::Left { error: Some(_), retry_in, .. } => Some(*retry_in),
                _ => None,
            });
            assert_eq!(again.await, Some(std::time::Duration::from_millis(30)));
        }
        assert!(bed.read("first").is_some(), "it is undone after what depended on it");
        fs::write(&allowed, "").unwrap();
        run.until("converged").await;
        assert!(bed.read("made").is_none() && bed.read("first").is_none() && bed.records().is_empty());
        run.stop().await;
    }
}

#[tokio::test]
async fn a_plan_shows_what_would_be_undone() {
    let bed = Bed::new();
    fs::write(bed.path("was"), "original\n").unwrap();
    bed.pass(graph(|g| {
        let dir = g.add(File::new(bed.path("d/")).reverse(true));
        g.add(File::new(bed.path("d/new")).content("new\n").reverse(true).after(&dir));
        g.add(File::new(bed.path("was")).content("ours\n").reverse(true));
    }))
    .await;
    let plan = |graph: GraphConfig| mgmt::Engine::builder().graph(graph).prefix(bed.prefix.path()).plan();
    let all = plan(empty()).await.unwrap();
    assert!(!all.is_empty());
    let text = all.to_string();
    let line = |name: &str, word: &str| {
        let path = bed.path(name);
        text.find(&format!("- file[{path}{}]: would be undone: {word} {path}", if name == "d" { "/" } else { "" }))
    };
    let (dir, new, was) = (line("d", "remove"), line("d/new", "remove"), line("was", "restore"));
    assert!(was.is_some() && new.is_some() && new < dir, "{text}");
    assert!(text.ends_with("3 to undo"), "{text}");
    // What another resource owns now is not undone.
    let other = plan(one(File::new("other").path(bed.path("was")).content("ours\n"))).await.unwrap();
    assert_eq!(other.undo.len(), 2);
    assert_eq!(bed.records().len(), 3, "a plan changes nothing");
}

const KILLED: &str = "MGMT_REVERSAL_KILLED";

/// Where the engine is killed by one of its own commands, once.
const PLACES: [&str; 4] = ["before the change", "after the change", "before the undo", "after the undo"];

/// A directory, a file in it that was there before, a command in the middle of the order, and a file after it. The
/// command kills the engine at the place, if the file `armed` is there.
fn killing(bed: &Path, place: &str) -> GraphConfig {
    let path = |name: &str| bed.join("d").join(name).display().to_string();
    let armed = bed.join("armed").display().to_string();
    let kill = |at: &str| match at == place {
        true => format!("if rm {armed} 2> {armed}.log; then kill -9 $PPID; sleep 1; exit 1; fi;"),
        false => String::new(),
    };
    let cmd = format!("{} mkdir {}; {} true", kill(PLACES[0]), path("site/made"), kill(PLACES[1]));
    let undo = format!("{} rm -rf {}; {} true", kill(PLACES[2]), path("site/made"), kill(PLACES[3]));
    graph(|g| {
        let site = g.add(File::new(path("site/")).reverse(true));
        let was = g.add(File::new(path("was")).content("ours\n").mode(0o600).reverse(true).after(&site));
        let made = Exec::new("made").cmd(cmd).shell("/bin/sh").creates(path("site/made"));
        let made = g.add(made.undo(undo).undoshell("/bin/sh").reverse(true).after(&was));
        g.add(File::new(path("site/last")).content("last\n").reverse(true).after(&made));
    })
}

/// In a process of its own: the engine makes what the graph declares, or (`gone`) undoes it, live after it was made or
/// at its start.
fn engine_that_is_killed(plan: &str) {
    let [place, act, dir] = plan.split(';').collect::<Vec<_>>()[..] else { panic!("{plan}") };
    let dir = Path::new(dir);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let graph = if act == "gone" { empty() } else { killing(dir, place) };
        let mut run = Run::start(mgmt::Engine::builder().graph(graph).prefix(dir.join("prefix"))).await;
        run.converged().await;
        if act == "live" {
            run.engine.swap(empty()).await.unwrap();
            run.until("converged").await;
        }
        run.stop().await;
    });
}

/// Runs an engine in a process of its own. Returns whether it was killed.
fn is_killed(place: &str, act: &str, dir: &Path) -> bool {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    let test = "engine::reversal::killed_at_any_step_everything_is_as_before_in_the_end";
    process.args(["--exact", test, "--nocapture"]).env(KILLED, format!("{place};{act};{}", dir.display()));
    let ended = process.output().unwrap();
    let killed = ended.status.signal() == Some(9);
    assert!(killed || ended.status.success(), "{place}, {act}: {ended:?}");
    killed
}

#[test]
fn killed_at_any_step_everything_is_as_before_in_the_end() {
    if let Ok(plan) = std::env::var(KILLED) {
        return engine_that_is_killed(&plan);
    }
    for place in PLACES {
        for live in [true, false] {
            let bed = tempdir().unwrap();
            let (dir, tree) = (bed.path(), bed.path().join("d"));
            fs::create_dir(&tree).unwrap();
            fs::write(tree.join("was"), "original\n").unwrap();
            fs::write(dir.join("armed"), "").unwrap();
            let before = snapshot(&tree);
            let at_undo = place.ends_with("the undo");
            if at_undo && !live {
                assert!(!is_killed(place, "make", dir));
                assert!(is_killed(place, "gone", dir), "{place}");
            } else {
                assert!(is_killed(place, if live { "live" } else { "make" }, dir), "{place}");
            }
            let records = dir.join("prefix/records/exec/made/record").exists();
            assert!(records, "{place}: the record is there before the change, and until the undo has ended");
            assert_eq!(tree.join("site/made").exists(), matches!(place, "after the change" | "before the undo"));
            assert_eq!(fs::read(tree.join("was")).unwrap(), b"ours\n", "{place}: its turn has not come");
            assert!(!tree.join("site/last").exists(), "{place}: not yet made, or undone first");
            assert!(!is_killed(place, "gone", dir));
            assert_eq!(snapshot(&tree), before, "killed {place}, live: {live}");
            assert!(!is_killed(place, "gone", dir), "and nothing is left to be done");
            let left = walk_files(&dir.join("prefix/records"));
            assert_eq!(left, [""; 0], "killed {place}, live: {live}");
        }
    }
}

/// The files below a directory.
fn walk_files(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(walk_files(&entry.path())),
            false => all.push(entry.path().display().to_string()),
        }
    }
    all
}

const FULL: &str = "MGMT_REVERSAL_FULL";

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn without_room_for_the_record_nothing_is_changed_and_with_room_it_is() {
    let name = "engine::reversal::without_room_for_the_record_nothing_is_changed_and_with_room_it_is";
    if std::env::var_os(FULL).is_none() {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--propagation", "private"]);
        command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--include-ignored", "--nocapture"]);
        let ended = command.env(FULL, "1").output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let bed = Bed::new();
        let prefix = bed.prefix.path();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "none"])
            .arg(prefix)
            .status();
        assert!(mount.unwrap().success());
        let original = "original\n".repeat(10_000);
        fs::write(bed.path("was"), &original).unwrap();
        let mut run = bed.run(empty()).await;
        let ballast = prefix.join("ballast");
        assert!(fs::write(&ballast, vec![1; 2 << 20]).is_err(), "the disk is full");
        run.engine.swap(one(File::new(bed.path("was")).content("ours\n").reverse(true))).await.unwrap();
        let (error, obstacle) = run
            .find(|event| match event {
                EventKind::Waiting { error, waits_for, .. } => Some((error.clone(), waits_for.kind)),
                _ => None,
            })
            .await;
        assert_eq!(obstacle, mgmt::resource::ObstacleKind::NoSpace, "{error}");
        assert_eq!(bed.read("was").unwrap(), original, "no change without its record");
        assert!(
            !prefix
                .join("records/file")
                .join(bed.records().first().cloned().unwrap_or_default())
                .join("record")
                .is_file()
        );
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!(bed.read("was").unwrap(), original, "no change without its record");
        fs::remove_file(&ballast).unwrap();
        run.until("converged").await;
        assert_eq!(bed.read("was").as_deref(), Some("ours\n"));
        run.engine.swap(empty()).await.unwrap();
        run.until("converged").await;
        assert_eq!(bed.read("was").unwrap(), original);
        run.stop().await;
        assert!(std::process::Command::new("umount").arg("-l").arg(prefix).status().unwrap().success());
    });
}
