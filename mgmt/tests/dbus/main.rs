//! Engines at a real D-Bus daemon, which each test starts on a socket of its own.

mod daemon;
mod kind;

use std::time::Duration;

use mgmt::prelude::*;
use mgmt::resource::{Bus, ObstacleKind, WatchEvent};
use mgmt::runtime::{EventKind, Events, Operation};
use mgmt::testing::Fake;
use mgmt::{Doors, Engine};

use daemon::Daemon;
use kind::{Wakeful, checks};

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes no longer than a minute")
}

/// Waits until a resource has been checked that often.
async fn until_checked(name: &str, times: usize) {
    within(async {
        while checks(name) < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// What happens only wrongly gets a moment to happen.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

fn graph(name: &str, bus: &Daemon, resources: usize) -> GraphConfig {
    let mut g = Graph::new(name);
    for n in 0..resources {
        let resource = Wakeful::new(format!("{name}-{n}"), bus.address(), format!("/test/{n}"));
        // A check that is under way when its bus is killed fails, and is tried again.
        g.add(resource.retry(-1).delay(Duration::from_millis(5)));
    }
    g.finish().unwrap()
}

async fn begin(builder: mgmt::runtime::Builder<impl mgmt::gapi::Gapi>) -> (Engine, Events) {
    let events = builder.events();
    (within(builder.start()).await.unwrap(), events)
}

/// The same until it has converged.
async fn start(builder: mgmt::runtime::Builder<impl mgmt::gapi::Gapi>) -> (Engine, Events) {
    let (engine, events) = begin(builder).await;
    within(engine.converged()).await.unwrap();
    (engine, events)
}

/// Waits for a watch that fails, for which its resource then waits, and returns why.
async fn watch_failure(events: &mut Events) -> String {
    within(async {
        loop {
            if let EventKind::Waiting { error, operation: Operation::Watch, waits_for, .. } =
                events.next().await.unwrap().kind
            {
                assert_eq!(waits_for.kind, ObstacleKind::NoComponent, "{error}");
                return error;
            }
        }
    })
    .await
}

/// Waits until the bus has no more connections than that.
async fn until_connections(tester: &zbus::Connection, names: usize) {
    within(async {
        while daemon::connections(tester).await > names {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Watches that have failed.
fn failures(events: &mut Events) -> Vec<String> {
    let all = std::iter::from_fn(|| events.try_next());
    let is_failure = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::Failed { operation: Operation::Watch, .. }
                | EventKind::Waiting { operation: Operation::Watch, .. }
        )
    };
    all.filter(|event| is_failure(&event.kind)).map(|event| format!("{event:?}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
async fn a_signal_wakes_those_that_watch_its_object_and_no_others() {
    let bus = Daemon::start();
    let (engine, _) = start(Engine::builder().graph(graph("wakes", &bus, 3))).await;
    assert_eq!([0, 1, 2].map(|n| checks(&format!("wakes-{n}"))), [1, 1, 1]);
    let tester = bus.connect().await;
    for round in 0..5 {
        daemon::emit(&tester, "/test/1", "Changed").await;
        until_checked("wakes-1", 2 + round).await;
    }
    daemon::emit(&tester, "/test/7", "Changed").await;
    daemon::emit(&tester, "/test/2", "SomethingElse").await;
    a_moment().await;
    assert_eq!((checks("wakes-0"), checks("wakes-2")), (1, 1));
    within(engine.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
async fn a_bus_that_is_killed_and_comes_back_loses_nothing() {
    let mut bus = Daemon::start();
    let (engine, mut events) = start(Engine::builder().graph(graph("killed", &bus, 5))).await;
    for round in 1..=3 {
        bus.kill();
        a_moment().await;
        bus.restart();
        // What was missed is found by a check of each.
        for n in 0..5 {
            until_checked(&format!("killed-{n}"), 2 * round).await;
        }
        let tester = bus.connect().await;
        let before: Vec<usize> = (0..5).map(|n| checks(&format!("killed-{n}"))).collect();
        for (n, before) in before.into_iter().enumerate() {
            daemon::emit(&tester, &format!("/test/{n}"), "Changed").await;
            until_checked(&format!("killed-{n}"), before + 1).await;
        }
    }
    assert_eq!(failures(&mut events), [] as [&str; 0]);
    within(engine.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
async fn five_hundred_resources_take_one_connection_and_no_task_each() {
    let bus = Daemon::start();
    let tester = bus.connect().await;
    let (names, tasks) = (daemon::connections(&tester).await, daemon::tasks());
    let (engine, mut events) = start(Engine::builder().graph(graph("many", &bus, 500))).await;
    assert_eq!(daemon::connections(&tester).await, names + 1);
    assert!(daemon::tasks() <= tasks + 20, "{} tasks more", daemon::tasks() - tasks);
    daemon::emit(&tester, "/test/321", "Changed").await;
    until_checked("many-321", 2).await;
    a_moment().await;
    assert_eq!((0..500).map(|n| checks(&format!("many-{n}"))).sum::<usize>(), 501);
    // Half of them leave: the others are still woken.
    within(engine.swap(graph("many", &bus, 250))).await.unwrap();
    daemon::emit(&tester, "/test/321", "Changed").await;
    daemon::emit(&tester, "/test/123", "Changed").await;
    until_checked("many-123", 2).await;
    a_moment().await;
    assert_eq!((checks("many-321"), failures(&mut events)), (2, vec![]));
    within(engine.stop()).await.unwrap();
    until_connections(&tester, names).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
async fn engines_that_share_doors_share_the_connection() {
    let bus = Daemon::start();
    let tester = bus.connect().await;
    let names = daemon::connections(&tester).await;
    let doors = Doors::new();
    let builder = |name| Engine::builder().doors(doors.clone()).graph(graph(name, &bus, 2));
    let (one, _) = start(builder("share-one")).await;
    let (two, _) = start(builder("share-two")).await;
    assert_eq!(daemon::connections(&tester).await, names + 1);
    daemon::emit(&tester, "/test/1", "Changed").await;
    until_checked("share-one-1", 2).await;
    until_checked("share-two-1", 2).await;
    within(one.stop()).await.unwrap();
    daemon::emit(&tester, "/test/1", "Changed").await;
    until_checked("share-two-1", 3).await;
    assert_eq!(checks("share-one-1"), 2);
    within(two.stop()).await.unwrap();
    doors.close().await;
    until_connections(&tester, names).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
async fn without_a_bus_the_watch_fails_by_name_and_begins_when_there_is_one() {
    let mut bus = Daemon::start();
    bus.kill();
    let mut g = Graph::new("late");
    let resource = Wakeful::new("late-0", bus.address(), "/test/0");
    g.add(resource.retry(-1).delay(Duration::from_millis(20)));
    let (engine, mut events) = begin(Engine::builder().graph(g.finish().unwrap())).await;
    let error = watch_failure(&mut events).await;
    assert!(error.starts_with(&format!("cannot connect to the bus {}", bus.address())), "{error}");
    bus.restart();
    within(engine.converged()).await.unwrap();
    let before = checks("late-0");
    daemon::emit(&bus.connect().await, "/test/0", "Changed").await;
    until_checked("late-0", before + 1).await;
    within(engine.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
async fn a_host_without_an_engine_listens_too() {
    let bus = Daemon::start();
    let host = Fake::new().unwrap();
    let mut watching = host.put(Wakeful::new("fake-0", bus.address(), "/test/0")).listen();
    assert_eq!(watching.next().await.unwrap().unwrap(), WatchEvent::Ready);
    daemon::emit(&bus.connect().await, "/test/0", "Changed").await;
    assert_eq!(watching.next().await.unwrap().unwrap(), WatchEvent::Changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
async fn a_rule_that_the_bus_refuses_is_a_failed_watch_with_the_rule() {
    let bus = Daemon::start();
    let mut g = Graph::new("refused");
    g.add(Wakeful::new("refused-0", bus.address(), "no path"));
    let (engine, mut events) = begin(Engine::builder().graph(g.finish().unwrap())).await;
    let error = watch_failure(&mut events).await;
    assert!(error.contains("path='no path'"), "{error}");
    assert!(!matches!(Bus::address("x"), Bus::System));
    within(engine.stop()).await.unwrap();
}

#[test]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon)"]
fn engines_that_share_doors_listen_on_when_the_runtime_of_the_first_ends() {
    let bus = Daemon::start();
    let doors = Doors::new();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
    };
    let (first, second) = (runtime(), runtime());
    let builder = |name| Engine::builder().doors(doors.clone()).graph(graph(name, &bus, 2));
    let one = first.block_on(start(builder("first")));
    let (two, mut events) = second.block_on(start(builder("second")));
    drop(one);
    drop(first);
    second.block_on(async {
        let error = watch_failure(&mut events).await;
        assert_eq!(error, "the runtime that listened to the bus has ended");
        let tester = bus.connect().await;
        // It listens again after a check that finds what was missed.
        within(two.converged()).await.unwrap();
        until_checked("second-1", 2).await;
        a_moment().await;
        let before = checks("second-1");
        daemon::emit(&tester, "/test/1", "Changed").await;
        until_checked("second-1", before + 1).await;
        within(two.stop()).await.unwrap();
        doors.close().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dbus-daemon (Debian's package dbus-daemon), and takes ten seconds"]
async fn a_bus_that_does_not_answer_is_a_failed_watch_of_all_that_wait() {
    let bus = Daemon::start();
    let (engine, mut events) = start(Engine::builder().graph(graph("silent", &bus, 1))).await;
    bus.signal("STOP");
    let swapped = tokio::spawn({
        let (engine, graph) = (engine.clone(), graph("silent", &bus, 3));
        async move { engine.swap(graph).await }
    });
    let begun = std::time::Instant::now();
    let errors = [watch_failure(&mut events).await, watch_failure(&mut events).await];
    assert!(begun.elapsed() < Duration::from_secs(15), "both have failed by one wait: {:?}", begun.elapsed());
    for error in errors {
        let (start, end) = ("the bus has not answered about the rule type='signal',path='/test/", " within 10 s");
        assert!(error.starts_with(start) && error.ends_with(end), "{error}");
    }
    bus.signal("CONT");
    within(swapped).await.unwrap().unwrap();
    within(engine.converged()).await.unwrap();
    let before = checks("silent-2");
    daemon::emit(&bus.connect().await, "/test/2", "Changed").await;
    until_checked("silent-2", before + 1).await;
    within(engine.stop()).await.unwrap();
}
