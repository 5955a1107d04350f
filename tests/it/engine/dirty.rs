//! What is looked at, and what is left alone.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use mgmt::prelude::*;
use mgmt::resource::WatchEvent;
use mgmt::runtime::{EventKind, Operation, Standing};

use crate::kit::run::list;
use crate::kit::{Act, Desk, Op, Run};

/// A chain of probes `0 → 1 → …`, each kept at `x`.
fn chain(desk: &Desk, count: usize) -> Graph {
    let mut g = Graph::new("chain");
    let mut last = None;
    for n in 0..count {
        let probe = desk.probe(&n.to_string()).want("x");
        last = Some(g.add(match &last {
            Some(last) => probe.after(last),
            None => probe,
        }));
    }
    g
}

#[tokio::test]
async fn a_child_is_not_checked_because_its_parent_was() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, 3)).await;
    run.converged().await;
    desk.log();
    desk.wake("0");
    assert_eq!(run.until("in sync 0").await, list("in sync 0"), "it has been converged all the time");
    assert!(run.engine.is_converged());
    assert_eq!(desk.log(), list("check 0"));
    run.stop().await;
}

#[tokio::test]
async fn a_change_deep_in_a_chain_checks_that_one_and_what_hangs_on_it() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, 50)).await;
    run.converged().await;
    desk.log();
    desk.touch("40", "broken");
    assert_eq!(run.converged().await, list("drifted 40, applied 40, in sync 41, converged"));
    assert_eq!(desk.log(), list("check 40, apply 40, check 41"), "41 since 40 changed, 42 not, since 41 did not");
    run.stop().await;
}

#[tokio::test]
async fn changes_during_an_operation_are_followed_by_one_further_check() {
    let desk = Desk::new();
    let gate = desk.gate("0", Op::Apply);
    let mut run = Run::new(chain(&desk, 1)).await;
    gate.reached().await;
    (0..5).for_each(|_| desk.wake("0"));
    // The loop has heard them all when it answers this.
    for _ in 0..20 {
        run.engine.progress().await.unwrap();
    }
    gate.open();
    assert_eq!(run.converged().await, list("swapped, drifted 0, applied 0, in sync 0, converged"));
    assert_eq!(desk.log(), list("watch 0, check 0, apply 0, check 0"));
    run.stop().await;
}

#[tokio::test]
async fn what_was_changed_while_nobody_watched_is_found_when_the_watch_is_back() {
    let desk = Desk::new();
    let mut g = Graph::new("watch");
    g.add(desk.probe("a").want("x").retry(3).delay(Duration::from_millis(5)));
    let mut run = Run::new(g).await;
    run.converged().await;
    desk.log();
    desk.break_watch("a", "the bus is gone");
    let why = run.find(|event| match event {
        EventKind::Failed { error, operation: Operation::Watch, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(why.await, "the bus is gone");
    desk.put("a", "broken");
    assert_eq!(run.converged().await, list("drifted a, applied a, converged"));
    assert_eq!(desk.log(), list("watch a, check a, apply a"));
    run.stop().await;
}

#[tokio::test]
async fn a_world_that_is_just_changing_is_looked_at_again_and_no_try_is_lost() {
    let desk = Desk::new();
    (0..3).for_each(|_| desk.once("0", Op::Check, Act::Outdated));
    desk.once("0", Op::Apply, Act::Outdated);
    let mut run = Run::new(chain(&desk, 2)).await;
    let events = run.converged().await;
    assert!(!events.iter().any(|event| event.starts_with("failed")), "{events:?}");
    assert_eq!((desk.count("check 0"), desk.count("apply 0"), desk.count("check 1")), (5, 2, 1));
    run.stop().await;
}

#[tokio::test]
async fn a_world_that_never_stops_changing_is_waited_for() {
    let desk = Desk::new();
    desk.always("0", Op::Check, Act::Outdated);
    let mut run = Run::new(chain(&desk, 2)).await;
    let events = run.until("blocked 1").await;
    assert_eq!(events, list("swapped, waits 0, blocked 1"));
    let times = desk.times("check 0");
    assert!(times[times.len() - 1] - times[0] > Duration::from_millis(500), "it was given time");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_flaps_is_told_once_and_waits_only_while_others_want_to_work() {
    let desk = Desk::new();
    let mut g = Graph::new("flap");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("child").want("x").after(&a));
    g.add(desk.probe("b").want("x"));
    let mut run = Run::new(g).await;
    run.converged().await;
    desk.always("a", Op::Apply, Act::Sleep(Duration::from_millis(40)));
    let mut told = 0;
    for _ in 0..10 {
        desk.touch("a", "broken");
        run.find(|event| {
            if let EventKind::Flapping { id, repairs, took, every, .. } = event {
                assert_eq!((id.name.as_str(), *every), ("a", *took * 20));
                assert!(*repairs >= 2 && *took >= Duration::from_millis(40), "{event}");
                told += 1;
            }
            matches!(event, EventKind::Applied { id, .. } if id.name == "a").then_some(())
        })
        .await;
    }
    assert_eq!(told, 1);
    let gate = desk.gate("b", Op::Check);
    desk.touch("b", "broken");
    gate.reached().await;
    desk.touch("a", "broken");
    run.stands("a", Standing::Spaced).await;
    // Its child does not wait for it.
    desk.touch("child", "broken");
    run.until("applied child").await;
    assert_eq!(run.standing("a").await, Standing::Spaced);
    let began = Instant::now();
    gate.open();
    run.until("applied a").await;
    assert!(began.elapsed() < Duration::from_millis(800), "{:?}: its share alone is less", began.elapsed());
    run.converged().await;
    run.stop().await;
}

/// A kind whose watch speaks all the time.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "restless")]
struct Restless {
    #[resource(name)]
    name: String,
    #[resource(default)]
    by_time: bool,
}

static CHECKS: AtomicU32 = AtomicU32::new(0);

impl Converge for Restless {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        CHECKS.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        if self.by_time { Watch::every(Duration::ZERO) } else { Watch::stream(Endless(false)) }
    }
}

struct Endless(bool);

impl Stream for Endless {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let said = if std::mem::replace(&mut self.0, true) { WatchEvent::Changed } else { WatchEvent::Ready };
        Poll::Ready(Some(Ok(said)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_never_stops_speaking_leaves_room_for_others() {
    let desk = Desk::new();
    let mut g = Graph::new("restless");
    g.add(Restless::new("stream"));
    g.add(Restless::new("time").by_time(true));
    g.add(desk.probe("a").want("x"));
    let mut run = Run::new(g).await;
    run.until("applied a").await;
    desk.touch("a", "broken");
    run.until("applied a").await;
    assert!(CHECKS.load(Ordering::Relaxed) > 0);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tick_of_a_timer_refreshes_whom_it_notifies_and_checks_the_rest_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut g = Graph::new("tick");
    let parent = g.add(Noop::new("first"));
    let timer = g.add(Timer::new("t", Duration::from_secs(1)).after(&parent));
    let append = format!("echo tick >> {}", log.display());
    g.add(Exec::new("told").cmd(append).shell("/bin/sh").refreshonly(true).subscribe(&timer));
    let mut run = Run::new(g).await;
    run.converged().await;
    assert!(!log.exists(), "the start is no tick");
    for ticks in 1..=3 {
        run.until("refreshed told").await;
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "tick\n".repeat(ticks));
    }
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_a_watch_command_are_events_and_no_flapping() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("lines");
    let lines = format!("for n in $(seq 12); do echo $n > {}; echo $n; sleep 0.1; done; sleep 1000", at("last"));
    // At the start there may be nothing to copy yet.
    let copy = format!("cat {} >> {} || true", at("last"), at("log"));
    g.add(Exec::new("copy").cmd(copy).shell("/bin/sh").watchcmd(lines).watchshell("/bin/sh"));
    let mut run = Run::new(g).await;
    let mut runs = 0;
    let log = || std::fs::read_to_string(at("log")).unwrap_or_default();
    while !log().ends_with("12\n") {
        let event = run.next().await.kind;
        assert!(!matches!(event, EventKind::Flapping { .. }), "after {runs} runs");
        runs += u32::from(matches!(event, EventKind::Applied { .. }));
    }
    assert!(runs > 5, "only {runs}: {}", log());
    run.stop().await;
}

/// What is checked, applied or refreshed until all is converged, and why.
async fn causes(run: &mut Run) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match run.next().await.kind {
            EventKind::Drifted { .. } => {}
            EventKind::InSync { id, causes, .. } => all.push(format!("in sync {}: {causes}", id.name)),
            EventKind::Applied { id, causes, .. } => all.push(format!("applied {}: {causes}", id.name)),
            EventKind::Refreshed { id, causes, .. } => all.push(format!("refreshed {}: {causes}", id.name)),
            EventKind::Failed { id, causes, .. } => all.push(format!("failed {}: {causes}", id.name)),
            EventKind::Converged => return all,
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_event_names_the_causes_of_its_run() {
    let desk = Desk::new();
    let probes = |parent: &str| {
        let mut g = Graph::new("causes");
        let parent = g.add(desk.probe("parent").want(parent).retry(1));
        g.add(desk.probe("child").want("y").subscribe(&parent));
        g
    };
    let mut run = Run::new(probes("x")).await;
    let first = causes(&mut run).await;
    assert_eq!(first, ["applied parent: start, listening", "applied child: start, listening, parent, refresh"]);
    desk.touch("parent", "broken");
    let child = ["in sync child: parent, refresh", "refreshed child: parent, refresh"];
    assert_eq!(causes(&mut run).await, ["applied parent: watch", child[0], child[1]]);
    run.engine.swap(probes("z").finish().unwrap()).await.unwrap();
    assert_eq!(causes(&mut run).await, ["applied parent: config", child[0], child[1]]);
    desk.once("parent", Op::Check, Act::Fail("no"));
    desk.wake("parent");
    assert_eq!(causes(&mut run).await, ["failed parent: watch", "in sync parent: retry"]);
    desk.wake("parent");
    let event = run.find(|event| matches!(event, EventKind::InSync { .. }).then(|| event.clone())).await;
    assert_eq!(serde_json::to_value(&event).unwrap()["causes"], serde_json::json!(["watch"]));
    run.stop().await;
}

/// How long a child waits for its repair, while what it comes after is undone every `period`.
async fn waits(period: u64, check: u64, apply: u64) -> Duration {
    let desk = Desk::new();
    let mut g = Graph::new("fight");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("child").want("x").after(&a));
    let mut run = Run::new(g).await;
    run.converged().await;
    desk.always("child", Op::Check, Act::Sleep(Duration::from_millis(check)));
    desk.always("a", Op::Apply, Act::Sleep(Duration::from_millis(apply)));
    let undo = async {
        loop {
            desk.touch("a", "broken");
            tokio::time::sleep(Duration::from_millis(period)).await;
        }
    };
    let repaired = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        desk.touch("child", "broken");
        let began = Instant::now();
        run.until("applied child").await;
        began.elapsed()
    };
    let took = tokio::select! {
        () = undo => Duration::MAX,
        took = repaired => took,
    };
    run.stop().await;
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_takes_long_is_repaired_although_its_parent_is_undone_again_and_again() {
    for (period, check, apply) in [(5, 60, 0), (50, 300, 0), (100, 400, 3)] {
        let took = waits(period, check, apply).await;
        assert!(took < Duration::from_secs(10), "every {period} ms, {check} ms: {took:?}");
    }
}
