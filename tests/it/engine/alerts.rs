//! Resources that only report drift, and fields that are not compared.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::{EventKind, Standing};

use crate::kit::probe::ProbeBuilder;
use crate::kit::run::list;
use crate::kit::{Desk, Run};

/// One probe `a`, kept at `x`, and `child` after it.
fn graph(desk: &Desk, with: impl FnOnce(ProbeBuilder) -> ProbeBuilder) -> Graph {
    let mut g = Graph::new("graph");
    let a = g.add(with(desk.probe("a").want("x")));
    g.add(desk.probe("child").after(&a));
    g
}

#[tokio::test]
async fn what_is_an_alert_is_checked_and_never_applied_and_counted_as_long_as_it_is_drifted() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, |a| a.alert(true))).await;
    assert_eq!(run.converged().await, list("swapped, drifted (noop) a, in sync child, converged"));
    assert_eq!((run.standing("a").await, run.engine.status().await.unwrap().alerts), (Standing::Alert, 1));
    assert_eq!((desk.real("a"), desk.count("apply a")), (String::new(), 0));
    run.engine.swap(graph(&desk, |a| a.noop(true)).finish().unwrap()).await.unwrap();
    assert_eq!(run.engine.status().await.unwrap().alerts, 0);
    run.until("drifted (noop) a").await;
    // What was known to have drifted is an alert at once, not only after its next change.
    run.engine.swap(graph(&desk, |a| a.alert(true)).finish().unwrap()).await.unwrap();
    run.find(|event| matches!(event, EventKind::Drifted { alert: true, .. }).then_some(())).await;
    run.stop().await;
    // An engine can make an alert of everything.
    let mut run = Run::with(graph(&desk, |a| a), |builder| builder.alert_only(true)).await;
    let alert =
        run.find(|event| matches!(event, EventKind::Drifted { alert: true, noop: true, .. }).then_some(())).await;
    assert_eq!((alert, desk.count("apply a")), ((), 0));
    run.stop().await;
    let plan = Engine::builder().graph(graph(&desk, |a| a).finish().unwrap()).alert_only(true).plan().await.unwrap();
    assert!(!plan.is_empty() && plan.summary.alerts == 1 && plan.summary.drifted == 0, "{plan}");
    assert!(plan.to_string().contains("! probe[a] (alert: would not be repaired)"), "{plan}");
}

#[tokio::test]
async fn fields_to_ignore_are_neither_compared_nor_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "theirs").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let site = |ignored: &[&str]| {
        let mut g = Graph::new("ignores");
        let file = File::new(path.display().to_string()).content("ours").mode(0o600);
        g.add(file.ignore(ignored.iter().copied()));
        g
    };
    let plan = Engine::builder().graph(site(&["mode", "content"]).finish().unwrap()).plan().await.unwrap();
    assert!(plan.is_empty() && plan.to_string().contains("not compared and not repaired: mode, content"), "{plan}");
    let mut run = Run::new(site(&["mode"])).await;
    run.converged().await;
    run.stop().await;
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!((fs::read_to_string(&path).unwrap(), mode & 0o777), ("ours".to_owned(), 0o640));
    let wrong = |fields: &[&str]| Engine::builder().graph(site(fields).finish().unwrap()).check();
    let said = wrong(&["modes"]).await.unwrap_err().to_string();
    assert!(said.contains("`ignore` names `modes`, which is no field of file: did you mean `mode`?"), "{said}");
}
