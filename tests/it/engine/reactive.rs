//! Graphs that follow the world.

use std::time::Duration;

use mgmt::Engine;
use mgmt::gapi::{Facts, Signal};
use mgmt::runtime::EventKind;
use tokio::sync::watch;

use crate::kit::probe::Probe;
use crate::kit::{Desk, Run, within};

async fn until(mut is: impl FnMut() -> bool) {
    within(async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_closure_runs_again_when_what_it_read_changes() {
    let desk = Desk::new();
    let (hosts, receiver) = watch::channel(vec!["a".to_owned(), "b".to_owned()]);
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        for host in cx.read(&receiver) {
            g.add(Probe::new(host, &key).want("x"));
        }
        Ok(())
    });
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    desk.log();
    hosts.send_modify(|hosts| {
        hosts.remove(0);
        hosts.push("c".into());
    });
    let counts = run.find(|event| match event {
        EventKind::Swapped { added, changed, removed, kept, .. } => Some((*added, *changed, *removed, *kept)),
        _ => None,
    });
    assert_eq!(counts.await, (1, 0, 1, 1));
    run.converged().await;
    assert_eq!((desk.count("check b"), desk.real("c")), (1, "x".into()));
    // They can't be changed any more: the engine continues.
    drop(hosts);
    desk.touch("c", "broken");
    run.until("applied c").await;
    run.stop().await;
}

#[tokio::test]
async fn what_is_not_read_does_not_wake_it_and_what_changes_together_is_one_swap() {
    let desk = Desk::new();
    let (which, which_in) = watch::channel(false);
    let (left, left_in) = watch::channel(1);
    let (right, right_in) = watch::channel(1);
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        let value = if cx.read(&which_in) { cx.read(&left_in) * 100 + cx.read(&right_in) } else { 0 };
        g.add(Probe::new("a", &key).want(value.to_string()));
        Ok(())
    });
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    left.send(2).unwrap();
    which.send(true).unwrap();
    right.send(3).unwrap();
    run.until("applied a").await;
    assert_eq!(desk.real("a"), "203");
    left.send(4).unwrap();
    right.send(5).unwrap();
    run.until("applied a").await;
    assert_eq!(desk.real("a"), "405");
    assert_eq!(run.engine.status().await.unwrap().generation.0, 3, "one for each");
    run.stop().await;
}

#[tokio::test]
async fn a_closure_that_fails_keeps_the_last_graph_until_it_succeeds_again() {
    let desk = Desk::new();
    let (count, receiver) = watch::channel(1);
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        let count = cx.read(&receiver);
        if count == 2 {
            return Err(mgmt::Error::new("two of them are too many"));
        }
        if count == 3 {
            g.problem("three are worse");
        }
        g.add(Probe::new("a", &key).want(count.to_string()));
        Ok(())
    });
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    for (value, why) in [(2, "no graph: two of them are too many"), (3, "three are worse")] {
        count.send(value).unwrap();
        let said = run.find(|event| match event {
            EventKind::Rejected { problems, .. } => Some(problems.clone()),
            _ => None,
        });
        assert!(said.await.starts_with(why));
    }
    assert_eq!(desk.real("a"), "1");
    count.send(4).unwrap();
    run.until("applied a").await;
    assert_eq!(desk.real("a"), "4");
    run.stop().await;
}

#[tokio::test]
async fn it_follows_time() {
    let desk = Desk::new();
    let ticks = Signal::interval(Duration::from_millis(10));
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        g.add(Probe::new("a", &key).want(format!("tick {}", cx.read(&ticks))));
        Ok(())
    });
    let run = Run::start(Engine::builder().gapi(gapi)).await;
    until(|| desk.real("a").strip_prefix("tick ").is_some_and(|n| n.parse::<u64>().unwrap() >= 3)).await;
    run.stop().await;
}

#[tokio::test]
async fn it_follows_a_file() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("hosts");
    let hosts = Signal::file(&path);
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        let text = cx.read(&hosts).unwrap_or_else(|| "(none)".into());
        g.add(Probe::new("a", &key).want(text.trim()));
        Ok(())
    });
    let run = Run::start(Engine::builder().gapi(gapi)).await;
    until(|| desk.real("a") == "(none)").await;
    for text in ["one", "two"] {
        std::fs::write(&path, text).unwrap();
        until(|| desk.real("a") == text).await;
    }
    std::fs::write(dir.path().join("new"), "three").unwrap();
    std::fs::rename(dir.path().join("new"), &path).unwrap();
    until(|| desk.real("a") == "three").await;
    std::fs::remove_file(&path).unwrap();
    until(|| desk.real("a") == "(none)").await;
    run.stop().await;
}

#[tokio::test]
async fn it_knows_the_host_and_where_it_runs() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let facts = Signal::facts(Duration::from_millis(100));
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        let facts = cx.read(&facts)?;
        assert!(cx.prefix().is_absolute() && cx.prefix() == g.prefix() && cx.hostname() == g.hostname());
        g.add(Probe::new(cx.hostname(), &key).want(format!("{} {} {}", facts.cpus, facts.kernel, cx.is_noop())));
        Ok(())
    });
    let mut run = Run::start(Engine::builder().gapi(gapi).prefix(dir.path()).hostname("here")).await;
    run.converged().await;
    let Facts { cpus, kernel, .. } = Facts::now().unwrap();
    assert_eq!(desk.real("here"), format!("{cpus} {kernel} false"));
    assert!(cpus > 0 && !kernel.is_empty());
    run.stop().await;
}

#[tokio::test]
async fn without_watching_it_is_asked_once() {
    let desk = Desk::new();
    let (count, receiver) = watch::channel(1);
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        g.add(Probe::new("a", &key).want(cx.read(&receiver).to_string()));
        Ok(())
    });
    let mut run = Run::start(Engine::builder().gapi(gapi).no_watch(true)).await;
    run.converged().await;
    count.send(2).unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    desk.touch("a", "broken");
    run.until("applied a").await;
    assert_eq!(desk.real("a"), "1");
    run.stop().await;
}
