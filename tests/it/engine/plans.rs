//! The plan for resources whose check has no result yet.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mgmt::Engine;
use mgmt::plan::Plan;
use mgmt::prelude::*;
use mgmt::runtime::EventKind;

use crate::kit::Run;

/// A file, one copied from it past a resource with nothing to do, and one that comes after that.
fn copies(dir: &Path) -> Site {
    let at = |name: &str| dir.join(name).display().to_string();
    let mut g = Graph::new("copies");
    let source = g.add(File::new(at("source")).content("text\n"));
    let between = g.add(Noop::new("between").after(&source));
    let copy = g.add(File::new(at("copy")).source(at("source")).after(&between));
    g.add(File::new(at("copy of the copy")).source(at("copy")).after(&copy));
    Site(g)
}

struct Site(Graph);

impl Site {
    async fn plan(self, dir: &Path) -> (Plan, String) {
        let plan = Engine::builder().graph(self.0.finish().unwrap()).plan().await.unwrap();
        let text = plan.to_string().replace(&dir.display().to_string(), "DIR");
        (plan, text)
    }
}

#[tokio::test]
async fn a_check_that_fails_before_what_comes_before_it_has_run_is_not_known_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, text) = copies(dir.path()).plan(dir.path()).await;
    let wanted = "\
~ file[DIR/source]
    state: absent → regular file
    content: nothing → 5 bytes
      @@ -0,0 +1 @@
      +text
? file[DIR/copy]: not known until file[DIR/source] has run
    now: the source DIR/source does not exist: what was copied from it is left as it is; bring it back, or name another
? file[DIR/copy of the copy]: not known until file[DIR/copy] has run
    now: the source DIR/copy does not exist: what was copied from it is left as it is; bring it back, or name another
1 to repair, 2 not known yet, 1 in sync";
    assert_eq!(text, wanted);
    assert!(!plan.has_failed() && !plan.is_empty());
    let data = serde_json::to_value(&plan).unwrap();
    let now = data["resources"][2]["now"].as_str().unwrap();
    assert_eq!((&data["resources"][2]["outcome"], now.contains("does not exist")), (&"unknown".into(), true));
}

#[tokio::test]
async fn a_copy_that_is_right_for_what_will_change_is_not_known_yet() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = "\
~ file[DIR/source]
    content: 4 bytes → 5 bytes
      @@ -1 +1 @@
      -old
      +text
? file[DIR/copy]: not known until file[DIR/source] has run
? file[DIR/copy of the copy]: not known until file[DIR/copy] has run
1 to repair, 2 not known yet, 1 in sync";
    for (source, expected) in [("old\n", wanted), ("text\n", "4 in sync")] {
        for name in ["source", "copy", "copy of the copy"] {
            fs::write(dir.path().join(name), source).unwrap();
        }
        assert_eq!(copies(dir.path()).plan(dir.path()).await.1, expected);
    }
}

#[tokio::test]
async fn a_check_that_fails_though_nothing_before_it_would_change_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("source"), "text\n").unwrap();
    fs::create_dir(dir.path().join("copy")).unwrap();
    let (plan, text) = copies(dir.path()).plan(dir.path()).await;
    assert!(plan.has_failed(), "{text}");
    let copies: Vec<_> = text.lines().filter(|line| line.contains("DIR/copy")).collect();
    assert!(copies[0].starts_with("! file[DIR/copy]: "), "{text}");
    assert_eq!(copies.last().unwrap(), &"- file[DIR/copy of the copy]: would not run, blocked by file[DIR/copy]");
}

#[tokio::test]
async fn nobody_waits_for_what_is_in_noop() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("noop");
    let source = g.add(File::new(at("source")).content("text\n").noop(true));
    g.add(File::new(at("copy")).source(at("source")).after(&source));
    let (plan, text) = Site(g).plan(dir.path()).await;
    assert!(plan.has_failed(), "{text}");
}

/// What a check that has been given up still did.
#[derive(Debug, Default)]
struct GivenUp {
    begun: AtomicU32,
    told: AtomicU32,
    stopped: AtomicU32,
}

/// The check of this kind takes until it is cancelled: in a thread, and with a server that must be notified.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:endless", unwatched)]
struct Endless {
    #[resource(name)]
    name: String,
}

static GIVEN_UP: Mutex<Option<Arc<GivenUp>>> = Mutex::new(None);

impl Converge for Endless {
    type Drift = Change;
    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>, mgmt::resource::Error> {
        let seen = GIVEN_UP.lock().unwrap().clone().expect("the test has set it");
        let told = Arc::clone(&seen);
        let _hook = cx.on_cancel(async move {
            tokio::task::yield_now().await;
            told.told.fetch_add(1, Ordering::SeqCst);
        });
        cx.look(move |_, stopping| {
            seen.begun.fetch_add(1, Ordering::SeqCst);
            while !stopping.is_stopped() {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(100));
            seen.stopped.fetch_add(1, Ordering::SeqCst);
        })
        .await;
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<(), mgmt::resource::Error> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_a_plan_gives_up_is_cancelled_and_has_ended_before_the_plan() {
    let seen = Arc::<GivenUp>::default();
    *GIVEN_UP.lock().unwrap() = Some(Arc::clone(&seen));
    let counts = || (seen.told.load(Ordering::SeqCst), seen.stopped.load(Ordering::SeqCst));
    let mut g = Graph::new("endless");
    g.add(Endless::new("e").timeout(Duration::from_millis(50)));
    let plan = Engine::builder().graph(g.finish().unwrap()).plan().await.unwrap();
    assert!(plan.to_string().contains("cancelled: it took longer than its `timeout`"), "{plan}");
    assert_eq!(counts(), (1, 1));

    // A plan that is given up as a whole.
    let mut g = Graph::new("endless");
    g.add(Endless::new("e"));
    let planning = tokio::spawn(Engine::builder().graph(g.finish().unwrap()).plan());
    while seen.begun.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    planning.abort();
    assert!(planning.await.unwrap_err().is_cancelled());
    crate::kit::within(async {
        while counts() != (2, 2) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_may_find_another_thing_once_something_was_made_is_not_foreseen() {
    let dir = tempfile::tempdir().unwrap();
    let site = || {
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut g = Graph::new("guards");
        let conf = g.add(File::new(at("conf")).content("text\n"));
        // One that runs then, and one that does not.
        g.add(Exec::new("runs").cmd("true").ifcmd(format!("test -e {}", at("conf"))).after(&conf));
        g.add(Exec::new("rests").cmd("true").nifcmd(format!("test -e {}", at("conf"))).after(&conf));
        g.add(Exec::new("beside").cmd("true").ifcmd("false"));
        // What is not there will be made; what is there is made again if what it is made of changes.
        g.add(Exec::new("makes").cmd("true").creates(at("made")).after(&conf));
        g.add(Exec::new("spares").cmd("true").creates(at("conf")).after(&conf));
        g.add(Exec::new("renews").cmd("true").creates(at("old")).mtimes([at("conf")]).after(&conf));
        Site(g)
    };
    fs::write(dir.path().join("old"), "").unwrap();
    let (plan, text) = site().plan(dir.path()).await;
    for (name, until) in [
        ("runs", "file[DIR/conf]"),
        ("rests", "file[DIR/conf]"),
        ("spares", "file[DIR/conf]"),
        // Both may make what it compares.
        ("renews", "file[DIR/conf], exec[spares]"),
    ] {
        assert!(text.contains(&format!("? exec[{name}]: not known until {until} has run")), "{text}");
    }
    assert!(text.ends_with("2 to repair, 4 not known yet, 1 in sync"), "{text}");
    assert!(!plan.is_empty());
    fs::write(dir.path().join("conf"), "text\n").unwrap();
    let (_, text) = site().plan(dir.path()).await;
    assert!(
        text.contains("~ exec[runs]") && text.ends_with("3 to repair, 4 in sync"),
        "what is there is known: {text}"
    );
}

#[tokio::test]
async fn what_is_in_noop_and_owed_a_refresh_is_owed_in_plan_and_events_until_it_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("prefix");
    let graph = |noop: bool| {
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut g = Graph::new("owed");
        let conf = g.add(File::new(at("conf")).content("text\n"));
        let reload = Exec::new("reload").cmd(format!("echo x >> {}", at("log"))).shell("/bin/sh").refreshonly(true);
        g.add(reload.noop(noop).subscribe(&conf));
        g.finish().unwrap()
    };
    let plan = async |noop| Engine::builder().graph(graph(noop)).prefix(&prefix).plan().await.unwrap();
    // It would be owed one, and is.
    let owed = "· exec[reload] (noop: would not be refreshed)\n    owed a refresh by file[";
    let foreseen = plan(true).await;
    assert!(foreseen.to_string().contains(owed), "{foreseen}");
    let mut run = Run::start(Engine::builder().graph(graph(true)).prefix(&prefix)).await;
    let said = run.find(|event| match event {
        EventKind::InSync { id, owed: true, .. } => Some(id.to_string()),
        EventKind::Refreshed { .. } => panic!("it is in noop"),
        _ => None,
    });
    assert_eq!(said.await, "exec[reload]");
    run.stop().await;
    let known = plan(true).await;
    assert!(known.to_string().contains(owed) && known.to_string().ends_with("1 owed a refresh in noop, 1 in sync"));
    assert!(!known.is_empty() && !known.has_failed());
    let data = serde_json::to_value(&known).unwrap();
    assert_eq!((&data["summary"]["owed"], data["resources"][1]["owed_by"].as_array().unwrap().len()), (&1.into(), 1));
    // Out of noop it gets it, once.
    let due = plan(false).await;
    assert!(due.to_string().contains("conf] changed in an earlier run\n1 to refresh, 1 in sync"), "{due}");
    assert!(due.get("exec[reload]").unwrap().refreshed_by.is_empty(), "{due}");
    let mut run = Run::start(Engine::builder().graph(graph(false)).prefix(&prefix)).await;
    run.converged().await;
    run.stop().await;
    assert_eq!(fs::read_to_string(dir.path().join("log")).unwrap(), "x\n");
    assert!(plan(true).await.is_empty(), "nothing is owed any more");
}

#[tokio::test]
async fn a_right_to_follow_symlinks_is_named_whether_or_not_there_is_something_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let site = || {
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut g = Graph::new("links");
        g.add(File::new(at("followed")).content("x").follow_symlinks(true));
        g.add(File::new(at("plain")).content("x"));
        Site(g)
    };
    let remark = "`follow_symlinks`: symlinks in its path are followed, whichever user made them";
    let (_, text) = site().plan(dir.path()).await;
    assert_eq!(text.matches(remark).count(), 1, "{text}");
    for name in ["followed", "plain"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let (plan, text) = site().plan(dir.path()).await;
    assert_eq!(text, format!("  file[DIR/followed]\n    {remark}\n2 in sync"));
    assert!(plan.is_empty());
}

#[tokio::test]
async fn a_plan_names_what_a_repair_would_lack() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("lacks");
    g.add(File::new(at("none/f")).content("x"));
    g.add(File::new(at("owned")).content("x").owner("no-such-user"));
    g.add(Exec::new("program").cmd("/no/such/program -x"));
    g.add(Exec::new("cwd").cmd("/bin/true").cwd(dir.path().join("nowhere")));
    g.add(Exec::new("user").cmd("/bin/true").user("no-such-user"));
    g.add(Exec::new("good").cmd("/bin/true"));
    g.add(File::new(at("noop/f")).content("x").noop(true));
    let made = g.add(File::new(at("made/")));
    g.add(File::new(at("made/f")).content("x").after(&made));
    let (plan, text) = Site(g).plan(dir.path()).await;
    let obstacle = |id: &str| plan.get(&id.replace("DIR", &at(""))).unwrap().obstacle.clone();
    let lacks = |id: &str, wanted: &str| {
        let why = obstacle(id).unwrap_or_else(|| panic!("{id}: {text}"));
        assert!(why.contains(wanted), "{id}: {why}");
    };
    lacks("file[DIRnone/f]", "none does not exist; declare it too: file[");
    lacks("file[DIRowned]", "there is no user `no-such-user` on this machine: create it");
    lacks("exec[program]", "program `/no/such/program` does not exist");
    lacks("exec[cwd]", "nowhere");
    lacks("exec[user]", "there is no such user");
    for id in ["exec[good]", "file[DIRnoop/f]", "file[DIRmade/f]"] {
        assert_eq!(obstacle(id), None, "{id}");
    }
    assert_eq!((plan.summary.drifted, plan.summary.obstructed), (8, 5), "{text}");
    assert!(text.contains("\n    can't be repaired now: DIR/none/f can't be made: "), "{text}");
    assert!(text.ends_with("8 to repair (5 of them can't be repaired now), 1 drifted in noop"), "{text}");
    assert!(!dir.path().join("owned").exists());
}
