//! What a resource does when it has left the graph, and what waits for that.

use std::sync::Mutex;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::resource::{Known, Leave, Uid};
use mgmt::runtime::{EventKind, Standing};
use serde::{Deserialize, Serialize};

use crate::kit::book::{At, gate, log, overlaps, with_book};
use crate::kit::{Run, within};

/// Keeps a place, and gives it back when it leaves.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "keeps:place", unwatched)]
struct Place {
    #[resource(name)]
    name: String,
    test: String,
    place: String,
    /// What its apply or its leave does: waits at the gate `test`, fails, or takes some milliseconds.
    #[resource(default)]
    apply: String,
    #[resource(default)]
    leave: String,
    /// Its check waits at the gate `test`.
    #[resource(default)]
    check_waits: bool,
}

impl Place {
    async fn act(&self, what: &str, way: &str) -> Result<At<'_>> {
        let at = At::enter(&self.test, &self.place, format!("{what} {}", self.name));
        match way {
            "wait" => gate(&self.test).acquire().await.unwrap().forget(),
            "fail" => return Err(mgmt::resource::Error::new("it can't")),
            "hang" => std::future::pending().await,
            "slow" => tokio::time::sleep(Duration::from_millis(3)).await,
            _ => {}
        }
        Ok(at)
    }
}

#[derive(Default)]
struct Kept(Mutex<Option<String>>);

impl Converge for Place {
    type Drift = Change;

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        vec![Uid::path(format!("/places/{}", self.place))]
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        if self.apply == "thread" {
            let (gate, this) = (gate(&self.test), self.clone());
            cx.look(move |_, _| {
                let _at = tokio::runtime::Handle::current().block_on(this.act("check", ""));
                while gate.try_acquire().map(|permit| permit.forget()).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
            .await;
        }
        if self.check_waits {
            gate(&self.test).acquire().await.unwrap().forget();
        }
        let kept = cx.local::<Kept>().0.lock().unwrap().clone();
        Ok((kept.as_ref() != Some(&self.place)).then(|| Change::new("place", "free", &self.place)))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let _at = self.act("apply", &self.apply).await?;
        *cx.local::<Kept>().0.lock().unwrap() = Some(self.place.clone());
        Ok(())
    }
}

impl Leave for Place {
    async fn leave(&self, cx: &ApplyCx) -> Result<()> {
        let _at = self.act("leave", &self.leave).await?;
        let kept = cx.local::<Kept>().0.lock().unwrap().take();
        with_book(&self.test, |book| book.kept.extend(kept));
        Ok(())
    }
}

fn graph(places: Vec<PlaceBuilder>) -> GraphConfig {
    let mut g = Graph::new("leaving");
    for place in places {
        g.add(place);
    }
    g.finish().unwrap()
}

async fn left(run: &mut Run) -> (String, Option<String>) {
    run.find(|event| match event {
        EventKind::Left { id, error, .. } => Some((id.name.clone(), error.clone())),
        _ => None,
    })
    .await
}

async fn run(places: Vec<PlaceBuilder>) -> Run {
    Run::start(mgmt::Engine::builder().graph(graph(places))).await
}

#[tokio::test]
async fn a_resource_that_leaves_the_graph_is_told_once() {
    let mut run = run(vec![Place::new("a", "once", "x"), Place::new("b", "once", "y")]).await;
    run.converged().await;
    run.engine.swap(graph(vec![Place::new("b", "once", "y")])).await.unwrap();
    assert_eq!(left(&mut run).await, ("a".to_owned(), None));
    assert_eq!(with_book("once", |book| book.kept.clone()), ["x"], "its state is there until it has left");
    run.engine.swap(graph(vec![Place::new("a", "once", "x"), Place::new("b", "once", "y")])).await.unwrap();
    run.converged().await;
    run.stop().await;
    let mut log = log("once");
    // Nothing orders these two.
    log[..2].sort();
    assert_eq!(log, ["apply a", "apply b", "leave a", "apply a"], "and not at the end of the engine");
}

#[tokio::test]
async fn in_noop_nothing_leaves() {
    let mut run = run(vec![Place::new("a", "noop", "x").noop(true)]).await;
    run.converged().await;
    run.engine.swap(graph(vec![])).await.unwrap();
    run.until("swapped").await;
    run.stop().await;
    assert_eq!(log("noop"), [""; 0]);
}

#[tokio::test]
async fn what_can_not_leave_well_is_reported_and_gone() {
    let hangs = Place::new("hangs", "fails", "y").leave("hang").timeout(Duration::from_millis(20));
    let mut run = run(vec![Place::new("fails", "fails", "x").leave("fail"), hangs]).await;
    run.converged().await;
    run.engine.swap(graph(vec![])).await.unwrap();
    let mut all = vec![left(&mut run).await, left(&mut run).await];
    all.sort();
    let timeout = "cancelled: it took longer than its `timeout`";
    let reasons = [("fails", "it can't"), ("hangs", timeout)];
    assert_eq!(all, reasons.map(|(name, why)| (name.to_owned(), Some(why.to_owned()))));
    run.stop().await;
}

#[tokio::test]
async fn what_takes_the_place_of_another_waits_for_its_last_operation_and_its_leave() {
    let mut run = run(vec![Place::new("old", "waits", "x").apply("wait").leave("wait")]).await;
    within(async {
        while with_book("waits", |book| book.log.is_empty()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    gate("waits").add_permits(1);
    run.converged().await;
    run.engine.swap(graph(vec![Place::new("new", "waits", "x"), Place::new("other", "waits", "y")])).await.unwrap();
    run.stands("other", Standing::Settled).await;
    let Standing::WaitingForPredecessor(by) = run.standing("new").await else { panic!("it waits") };
    assert_eq!(by.iter().map(ToString::to_string).collect::<Vec<_>>(), ["keeps:place[old]"]);
    assert_eq!(log("waits"), ["apply old", "leave old", "apply other"]);
    gate("waits").add_permits(1);
    run.converged().await;
    assert_eq!(log("waits"), ["apply new"]);
    run.stop().await;
}

#[tokio::test]
async fn what_a_changed_resource_no_longer_owns_is_another_s_once_its_old_operation_has_ended() {
    let mut run = run(vec![Place::new("a", "changed", "x").apply("hang")]).await;
    within(async {
        while with_book("changed", |book| book.log.is_empty()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    run.engine.swap(graph(vec![Place::new("a", "changed", "y"), Place::new("b", "changed", "x")])).await.unwrap();
    let Standing::WaitingForPredecessor(by) = run.standing("b").await else { panic!("it waits") };
    assert_eq!(by[0].name, "a");
    run.engine.cancel();
    run.until("stopped").await;
    assert_eq!(log("changed"), ["apply a"]);
}

#[tokio::test]
async fn what_was_decided_before_a_swap_is_begun_before_it() {
    for turn in 0..20 {
        let test = format!("decided {turn}");
        let old = Place::new("a", test.as_str(), "x").apply("slow").check_waits(true);
        let mut run = run(vec![old]).await;
        within(async {
            while run.engine.status().await.unwrap().running.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        // The answer of the check and the new graph reach the engine together: the apply is decided, not begun.
        gate(&test).add_permits(1);
        let new = graph(vec![Place::new("a", test.as_str(), "y"), Place::new("b", test.as_str(), "x")]);
        run.engine.swap(new).await.unwrap();
        run.converged().await;
        run.stop().await;
        assert_eq!(overlaps(&test), [""; 0], "turn {turn}");
    }
}

/// The same of a kind that does nothing when it leaves.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "lasts:place", unwatched)]
struct Lasting {
    #[resource(name)]
    name: String,
    test: String,
    place: String,
    apply: String,
}

impl Lasting {
    fn as_place(&self) -> Place {
        let Lasting { name, test, place, apply } = self.clone();
        Place { name, test, place, apply, leave: String::new(), check_waits: false }
    }
}

impl Converge for Lasting {
    type Drift = Change;

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        self.as_place().uids(known)
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        self.as_place().check(cx).await
    }

    async fn apply(&self, cx: &ApplyCx, drift: Change) -> Result<()> {
        self.as_place().apply(cx, drift).await
    }
}

/// An engine of one resource, the work of whose check does not end before the gate `test` opens.
async fn stuck(test: &str, old: impl mgmt::resource::Declare) -> Run {
    let mut g = Graph::new("leaving");
    g.add(old);
    let builder = mgmt::Engine::builder().graph(g.finish().unwrap()).grace(Duration::from_millis(30));
    let run = Run::start(builder).await;
    within(async {
        while with_book(test, |book| book.log.is_empty()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    run
}

/// The same place by a field, or by a received value.
fn successor(test: &str, receives: bool) -> GraphConfig {
    let mut g = Graph::new("leaving");
    if receives {
        let place = g.add(Value::new("place").value("x"));
        g.add(Place::new("new", test, place.value()).retry(-1));
    } else {
        g.add(Place::new("new", test, "x").retry(-1));
    }
    g.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_the_place_of_work_that_does_not_end_waits_for_it_too() {
    for receives in [false, true] {
        let test = format!("stuck {receives}");
        let old = Lasting::new("old", test.as_str(), "x", "thread");
        let mut run = stuck(&test, old).await;
        run.engine.swap(successor(&test, receives)).await.unwrap();
        let error = run.find(|event| match event {
            EventKind::Failed { id, error, .. } if id.name == "new" => Some(error.clone()),
            EventKind::Applied { id, .. } if id.name == "new" => Some("it ran beside the old one".to_owned()),
            _ => None,
        });
        let reason = "it owns what lasts:place[old] did, whose check was given up and has not ended: it is still looking \
                      at the file system";
        assert_eq!(error.await, reason);
        assert_eq!(log(&test), ["check old"], "nothing happens beside it");
        gate(&test).add_permits(1);
        run.converged().await;
        assert_eq!(log(&test), ["apply new"]);
        run.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_leave_beside_work_that_does_not_end_leaves_after_it() {
    for receives in [false, true] {
        let test = format!("leaves late {receives}");
        let mut run = stuck(&test, Place::new("old", test.as_str(), "x").apply("thread")).await;
        run.engine.swap(successor(&test, receives)).await.unwrap();
        let warning = run.find(|event| match event {
            EventKind::Warning { message, .. } if message.contains("has left the graph") => Some(message.clone()),
            _ => None,
        });
        let why = "its check was given up and has not ended: it is still looking at the file system";
        assert!(warning.await.ends_with(why));
        run.stands("new", Standing::WaitingForPredecessor(vec!["keeps:place[old]".parse().unwrap()])).await;
        assert_eq!(log(&test), ["check old"], "nothing happens beside it");
        gate(&test).add_permits(1);
        assert_eq!(left(&mut run).await, ("old".to_owned(), None));
        run.converged().await;
        assert_eq!(log(&test), ["leave old", "apply new"]);
        run.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_what_can_not_leave() {
    let test = "stops";
    let mut run = stuck(test, Place::new("old", test, "x").apply("thread")).await;
    run.engine.swap(graph(vec![])).await.unwrap();
    run.find(|event| matches!(event, EventKind::Warning { message, .. } if message.contains("has left")).then_some(()))
        .await;
    run.stop().await;
    gate(test).add_permits(1);
    assert_eq!(log(test), ["check old"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_again_and_again_a_place_has_never_two_at_work() {
    let places = |turn: usize| {
        let place = |place: &str, at: usize| {
            Place::new(format!("{place}{}", (turn + at) % 3), "renamed", place).apply("slow").leave("slow")
        };
        graph(vec![place("x", 0), place("y", 1), place("z", 2)])
    };
    let mut run = Run::start(mgmt::Engine::builder().graph(places(0))).await;
    for turn in 1..60 {
        run.engine.swap(places(turn)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(turn as u64 % 5)).await;
    }
    run.converged().await;
    run.stop().await;
    assert_eq!(overlaps("renamed"), [""; 0]);
    assert!(log("renamed").iter().filter(|entry| entry.starts_with("leave")).count() > 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_renamed_under_load_is_never_written_by_two() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let content = |turn: usize| format!("{turn}\n").repeat(200_000);
    let graph = |turn: usize| {
        let mut g = Graph::new("rename");
        let name = if turn.is_multiple_of(2) { "a" } else { "b" };
        g.add(File::new(name).path(path.to_str().unwrap()).content(content(turn)));
        g.finish().unwrap()
    };
    let mut run = Run::start(mgmt::Engine::builder().graph(graph(0)).running_max(8)).await;
    for turn in 1..40 {
        run.engine.swap(graph(turn)).await.unwrap();
        let running = run.engine.status().await.unwrap().running;
        assert!(running.iter().filter(|running| running.operation == "apply").count() <= 1, "{running:?}");
        tokio::time::sleep(Duration::from_millis(turn as u64 % 4)).await;
    }
    run.converged().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content(39));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    run.stop().await;
}
