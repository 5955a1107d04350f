//! What fails for a cause that the outside can take away waits for that, with `retry: 0`, and is woken by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::resource::{ApplyCx, Change, CheckCx, Error, Obstacle, ObstacleKind, Watch, WatchCx};
use mgmt::runtime::{EventKind, Standing};
use rustix::fs::{CWD, RenameFlags};

use crate::kit::{Run, within};

/// One resource that waits is looked at again after at least this, if no event comes.
const FIRST_LOOK: Duration = Duration::from_secs(1);

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn holds(path: &Path, content: &str) {
    within(async {
        while fs::read_to_string(path).ok().as_deref() != Some(content) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// What a resource waits for, when it is reported.
async fn waits(run: &mut Run) -> (String, Obstacle, bool) {
    run.find(|event| match event {
        EventKind::Waiting { error, waits_for, announced, .. } => Some((error.clone(), waits_for.clone(), *announced)),
        EventKind::Failed { error, .. } => panic!("a try is used up: {error}"),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_saved_by_renames_is_followed_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("source"), "0").unwrap();
    let mut g = Graph::new("copy");
    g.add(File::new(text(&at("copy"))).source(text(&at("source"))));
    let mut run = Run::new(g).await;
    run.converged().await;
    for n in 1..=20 {
        // As editors do it: the old one gets another name, and for a moment there is none.
        fs::rename(at("source"), at("source~")).unwrap();
        tokio::time::sleep(Duration::from_millis(n % 7)).await;
        fs::write(at("source"), n.to_string()).unwrap();
        fs::remove_file(at("source~")).unwrap();
        holds(&at("copy"), &n.to_string()).await;
    }
    // Gone for longer: it is named, and its return needs no pause to be noticed.
    fs::rename(at("source"), at("away")).unwrap();
    run.stands(&text(&at("copy")), Standing::Waiting).await;
    let status = run.engine.status().await.unwrap();
    let waits = &status.notable[0];
    assert_eq!(waits.waits_for.as_ref().unwrap().kind, ObstacleKind::Missing);
    assert_eq!(waits.waits_for.as_ref().unwrap().path.as_deref(), Some(&*at("source")));
    assert!(waits.error.as_ref().unwrap().contains("does not exist"), "{waits:?}");
    tokio::time::sleep(FIRST_LOOK + Duration::from_millis(300)).await;
    let back = Instant::now();
    fs::rename(at("away"), at("source")).unwrap();
    run.stands(&text(&at("copy")), Standing::Settled).await;
    assert!(back.elapsed() < FIRST_LOOK / 2, "{:?}", back.elapsed());
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_that_is_its_source_may_change_as_a_checkout_changes_it() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("source"), dir.path().join("copy"));
    let branch = |n: usize| {
        // Files and directories come, go, and take each other's places.
        let parts = ["a", "b", "c/d", "c/e/f", "g"];
        (0..60).filter(move |i| !(i + n).is_multiple_of(3)).map(move |i| format!("{}{}/{i}", parts[(i + n) % 5], i % 4))
    };
    let checkout = |n: usize| {
        for entry in fs::read_dir(&source).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        for name in branch(n) {
            let path = source.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, n.to_string()).unwrap();
        }
    };
    fs::create_dir(&source).unwrap();
    checkout(0);
    let mut g = Graph::new("tree");
    let slash = |path: &Path| format!("{}/", path.display());
    g.add(File::new(slash(&copy)).source(slash(&source)).recurse(true).purge(true).force(true));
    let mut run = Run::new(g).await;
    run.converged().await;
    for n in 1..=12 {
        checkout(n);
    }
    within(async {
        loop {
            let all_there = branch(12).all(|name| fs::read_to_string(copy.join(name)).ok().as_deref() == Some("12"));
            let none_else = branch(11).all(|name| branch(12).any(|other| other == name) || !copy.join(name).exists());
            if all_there && none_else {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    run.stands(&slash(&copy), Standing::Settled).await;
    while let Some(event) = run.events.try_next() {
        assert!(!matches!(event.kind, EventKind::Failed { .. }), "a try is used up: {event:?}");
    }
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_that_come_and_go_end_no_resource() {
    let dir = tempfile::tempdir().unwrap();
    let (parts, whole) = (dir.path().join("conf.d"), dir.path().join("whole"));
    fs::create_dir(&parts).unwrap();
    let mut g = Graph::new("fragments");
    g.add(File::new(text(&whole)).fragments([format!("{}/", parts.display())]));
    let mut run = Run::new(g).await;
    run.converged().await;
    for n in 0..150 {
        fs::write(parts.join(format!("{}", n % 5)), format!("{n}\n")).unwrap();
        let _ = fs::remove_file(parts.join(format!("{}", (n + 3) % 5)));
    }
    for n in 0..5 {
        let _ = fs::remove_file(parts.join(n.to_string()));
    }
    fs::write(parts.join("last"), "last\n").unwrap();
    holds(&whole, "last\n").await;
    run.stands(&text(&whole), Standing::Settled).await;
    while let Some(event) = run.events.try_next() {
        assert!(!matches!(event.kind, EventKind::Failed { .. }), "a try is used up: {event:?}");
    }
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_another_program_fills_is_gone_when_that_ends() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let slash = |path: &Path| format!("{}/", path.display());
    fs::create_dir(at("purged")).unwrap();
    let mut g = Graph::new("removal");
    g.add(File::new(text(&at("gone"))).absent());
    g.add(File::new(slash(&at("purged"))).purge(true).recurse(true));
    let mut run = Run::new(g).await;
    run.converged().await;
    let writes = Arc::new(AtomicBool::new(true));
    let writer = {
        let (writes, gone, purged) = (Arc::clone(&writes), at("gone"), at("purged"));
        std::thread::spawn(move || {
            for n in 0.. {
                if !writes.load(Ordering::Relaxed) {
                    return;
                }
                for top in [&gone, &purged] {
                    let deep = top.join(format!("{}/{}", n % 7, n % 5));
                    let _ = fs::create_dir_all(&deep);
                    let _ = fs::write(deep.join((n % 11).to_string()), "x");
                }
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(2500)).await;
    writes.store(false, Ordering::Relaxed);
    writer.join().unwrap();
    within(async {
        while at("gone").exists() || fs::read_dir(at("purged")).unwrap().next().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    while let Some(event) = run.events.try_next() {
        assert!(!matches!(event.kind, EventKind::Failed { .. }), "a try is used up: {event:?}");
    }
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_in_the_place_of_a_file_is_waited_for_and_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("motd");
    let mut g = Graph::new("one");
    g.add(File::new(text(&path)).content("hello\n"));
    let mut run = Run::new(g).await;
    run.converged().await;
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    rustix::fs::renameat_with(CWD, &other, CWD, &path, RenameFlags::EXCHANGE).unwrap();
    let (error, obstacle, announced) = waits(&mut run).await;
    assert!(error.contains("is a directory, and a regular file is wanted"), "{error}");
    assert_eq!((obstacle.kind, obstacle.path.as_deref(), announced), (ObstacleKind::InTheWay, Some(&*path), true));
    // What happens in it is no end of that, and is not reported again.
    for n in 0..20 {
        fs::write(path.join(n.to_string()), "").unwrap();
    }
    tokio::time::sleep(FIRST_LOOK + Duration::from_millis(200)).await;
    let gone = Instant::now();
    fs::remove_dir_all(&path).unwrap();
    holds(&path, "hello\n").await;
    assert!(gone.elapsed() < FIRST_LOOK / 2, "{:?}", gone.elapsed());
    while let Some(event) = run.events.try_next() {
        assert!(!matches!(event.kind, EventKind::Waiting { .. } | EventKind::Failed { .. }), "once: {event:?}");
    }
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_is_declared_to_come_later_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let mut g = Graph::new("later");
    let inner = g.add(File::new(text(&dir.path().join("a/inner"))).content("inner\n"));
    let parent = format!("{}/", text(&dir.path().join("a")));
    g.add(File::new(parent.as_str()).after(&inner));
    let mut run = Run::new(g).await;
    let (error, ..) = waits(&mut run).await;
    assert!(error.ends_with(&format!("add an edge: file[{parent}] must come before this")), "{error}");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_is_missing_is_waited_for_and_what_comes_after_it_is_blocked() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut g = Graph::new("parent");
    let inner = g.add(File::new(text(&at("a/b/inner"))).content("inner\n"));
    g.add(File::new(text(&at("after"))).content("after\n").after(&inner));
    g.add(File::new(text(&at("beside"))).content("beside\n"));
    let mut run = Run::new(g).await;
    let (error, obstacle, announced) = waits(&mut run).await;
    assert!(error.contains("declare it too"), "{error}");
    assert_eq!((obstacle.kind, obstacle.path.as_deref(), announced), (ObstacleKind::Missing, Some(&*at("a/b")), true));
    holds(&at("beside"), "beside\n").await;
    run.until("hopeless").await;
    let by = vec![mgmt::id::ResourceId::new("file", text(&at("a/b/inner")))];
    assert_eq!(format!("{:?}", run.standing(&text(&at("after"))).await), format!("{:?}", Standing::Blocked(by)));
    fs::create_dir(at("a")).unwrap();
    fs::create_dir(at("a/b")).unwrap();
    holds(&at("after"), "after\n").await;
    run.until("hopeful").await;
    run.converged().await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_is_not_there_yet_and_a_program_that_is_missing_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (program, made) = (dir.path().join("bin/program"), dir.path().join("made"));
    let mut g = Graph::new("program");
    g.add(Exec::new("it").cmd(text(&program)).args([text(&made)]).creates(text(&made)));
    let mut run = Run::new(g).await;
    let (error, obstacle, _) = waits(&mut run).await;
    assert!(error.contains("does not exist"), "{error}");
    assert_eq!((obstacle.kind, obstacle.path.as_deref()), (ObstacleKind::Missing, Some(&*program)));
    fs::create_dir(program.parent().unwrap()).unwrap();
    // Complete when it gets its name.
    let unfinished = dir.path().join("unfinished");
    fs::write(&unfinished, "#!/bin/sh\necho made > \"$1\"\n").unwrap();
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&unfinished, &program).unwrap();
    holds(&made, "made\n").await;
    run.stop().await;
    let mut g = Graph::new("user");
    g.add(File::new(text(&dir.path().join("owned"))).content("x").owner("no-such-user-here"));
    let mut run = Run::new(g).await;
    let (error, obstacle, announced) = waits(&mut run).await;
    assert!(error.contains("no user `no-such-user-here`"), "{error}");
    assert_eq!((obstacle.path.as_deref(), announced), (Some(Path::new("/etc/passwd")), true));
    run.stop().await;
}

/// Needs something of which no watch knows: until that is there it is busy.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "waiting_door")]
struct Door {
    #[resource(name)]
    path: String,
}

impl Converge for Door {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        match fs::exists(&self.path)? {
            true => Ok(None),
            false => Err(Error::new("the door is locked").waiting_for(Obstacle::new(ObstacleKind::Busy))),
        }
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        Watch::none()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_event_reports_is_looked_at_again_and_is_not_told_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let mut g = Graph::new("door");
    g.add(Door::new(text(&path)));
    let mut run = Run::new(g).await;
    let (error, obstacle, announced) = waits(&mut run).await;
    assert_eq!((error.as_str(), obstacle.kind, announced), ("the door is locked", ObstacleKind::Busy, false));
    tokio::time::sleep(Duration::from_millis(800)).await;
    fs::write(&path, "").unwrap();
    let all = run.converged().await;
    assert!(all.iter().all(|event| !event.starts_with("waits") && !event.starts_with("failed")), "{all:?}");
    run.stop().await;
}

/// Runs this test once more by another program or user; it must pass there.
fn again(mut command: Command, test: &str) {
    let name = format!("engine::waiting::{test}");
    let output = command
        .args(["--exact", &name, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env_remove("TMPDIR")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{name}:\n{out}\n{err}");
}

const INSIDE: &str = "MGMT_WAITING_INSIDE";
const NOBODY: u32 = 65534;

#[test]
fn a_permission_that_is_given_back_is_noticed() {
    let this = std::env::current_exe().unwrap();
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new(this);
        command.uid(NOBODY).gid(NOBODY);
        return again(command, "a_permission_that_is_given_back_is_noticed");
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let (holder, path) = (dir.path().join("holder"), dir.path().join("holder/file"));
        fs::create_dir(&holder).unwrap();
        let allow = |mode| fs::set_permissions(&holder, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o500, 0o000] {
            allow(mode);
            let mut g = Graph::new("permission");
            g.add(File::new(text(&path)).content("mine\n"));
            let mut run = Run::new(g).await;
            let (error, obstacle, _) = waits(&mut run).await;
            assert_eq!(obstacle.kind, ObstacleKind::NoPermission, "{error}");
            run.until("hopeless").await;
            tokio::time::sleep(FIRST_LOOK).await;
            let given = Instant::now();
            allow(0o700);
            holds(&path, "mine\n").await;
            // Of a directory that can't be read the hub learns by looking at it every second.
            let most = if mode == 0 { 2 * FIRST_LOOK } else { FIRST_LOOK / 2 };
            assert!(given.elapsed() < most, "{mode:o}: {:?}", given.elapsed());
            run.stop().await;
            fs::remove_file(&path).unwrap();
        }
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn a_disk_that_is_full_is_waited_for_and_the_old_file_stays() {
    if std::env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--propagation", "private"]);
        command.arg(std::env::current_exe().unwrap());
        return again(command, "a_disk_that_is_full_is_waited_for_and_the_old_file_stays");
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(dir.path()).status();
        assert!(mounted.unwrap().success());
        let (path, ballast) = (dir.path().join("file"), dir.path().join("ballast"));
        fs::write(&path, "old\n").unwrap();
        assert!(fs::write(&ballast, vec![1; 400 << 10]).is_err(), "the disk is full");
        let wanted = "new\n".repeat(20_000);
        let mut g = Graph::new("space");
        g.add(File::new(text(&path)).content(&wanted));
        let mut run = Run::new(g).await;
        let (error, obstacle, announced) = waits(&mut run).await;
        assert_eq!((obstacle.kind, announced), (ObstacleKind::NoSpace, false), "{error}");
        run.until("hopeless").await;
        let before = fs::read_to_string(&path).unwrap();
        assert_eq!(before, "old\n");
        tokio::time::sleep(Duration::from_secs(2)).await;
        fs::remove_file(&ballast).unwrap();
        holds(&path, &wanted).await;
        run.until("hopeful").await;
        while let Some(event) = run.events.try_next() {
            assert!(!matches!(event.kind, EventKind::Waiting { .. } | EventKind::Failed { .. }), "once: {event:?}");
        }
        run.stop().await;
        assert!(Command::new("umount").arg("-l").arg(dir.path()).status().unwrap().success());
    });
}
