//! Runs there: what they report, and how they end.

use std::time::Duration;

use mgmt::prelude::*;
use mgmt::remote::{HowEnded, StopStep};
use mgmt::runtime::EventKind;

use crate::kit::{There, host, is_alive, parcel, pid, until_event, wait};

#[tokio::test]
async fn a_run_repairs_there_and_reports_here_and_ends_when_it_has_converged() {
    let there = There::new();
    let new = there.text("new");
    let job = there.job(|g| _ = g.add(File::new(&new).content("new\n"))).await;
    let mut run = host().run(&job.converged_timeout(Duration::ZERO)).await.unwrap();
    let event = until_event(&mut run, |event| matches!(event, EventKind::Applied { changed: true, .. })).await;
    let EventKind::Applied { id, changes, .. } = event.kind else { panic!() };
    assert_eq!(id.to_string(), format!("file[{new}]"));
    assert!(!changes.is_empty());
    while run.next().await.is_some() {}
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Converged));
    assert_eq!(there.read("new").as_deref(), Some("new\n"));
}

#[tokio::test]
async fn drift_there_is_repaired_and_another_graph_is_swapped() {
    let there = There::new();
    let (one, two) = (there.text("one"), there.text("two"));
    let job = there.job(|g| _ = g.add(File::new(&one).content("one\n"))).await;
    let mut run = host().run(&job).await.unwrap();
    let pid = pid(&mut run).await;
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    std::fs::write(there.path("one"), "other\n").unwrap();
    until_event(&mut run, |event| matches!(event, EventKind::Applied { changed: true, .. })).await;
    assert_eq!(there.read("one").as_deref(), Some("one\n"));
    let next = parcel(|g| {
        g.add(File::new(&one).content("one\n"));
        g.add(File::new(&two).content("two\n"));
    })
    .await;
    run.swap(&next).await.unwrap();
    wait("the file of the second graph", || there.read("two").is_some()).await;
    assert_eq!(run.status().await.unwrap().resources, 2);
    run.stop(StopStep::Drain);
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Stopped));
    assert!(!is_alive(pid));
}
