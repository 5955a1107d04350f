//! A run whose changes are put back unless it is confirmed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use mgmt::prelude::*;
use mgmt::runtime::EventKind;
use mgmt::runtime::trial::{self, Trial};

use super::recorded::{Bed, converged, empty, graph, one, snapshot};
use crate::kit::Run;

impl Bed {
    /// The same as a trial, which nobody confirms.
    async fn try_out(&self, graph: GraphConfig) {
        converged(self.builder(graph).trial(Trial::new("it"))).await.stop().await;
    }

    /// Puts back what the trial has changed. Returns what was done and what was kept.
    async fn put_back(&self) -> Vec<String> {
        let engine = self.builder(empty()).put_back().await.unwrap().expect("there is something to put back");
        let mut events = engine.events();
        engine.converged().await.unwrap();
        let mut all = Vec::new();
        while let Some(event) = events.try_next() {
            match event.kind {
                EventKind::Undone { id, .. } => all.push(id.to_string()),
                EventKind::Kept { id, why, .. } => all.push(format!("{id}: {why}")),
                _ => {}
            }
        }
        engine.stop().await.unwrap();
        assert!(!trial::is_pending(self.prefix.path()) && !self.prefix.path().join("trial").exists());
        all
    }
}

#[tokio::test]
async fn all_that_a_trial_has_changed_is_put_back_without_reverse() {
    let bed = Bed::new();
    fs::write(bed.path("was"), "original\n").unwrap();
    fs::set_permissions(bed.path("was"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir_all(bed.path("tree/deep")).unwrap();
    fs::write(bed.path("tree/deep/file"), "deep\n").unwrap();
    symlink("somewhere", bed.path("link")).unwrap();
    let before = snapshot(bed.dir.path());
    let changes = graph(|g| {
        let dir = g.add(File::new(bed.path("new/")));
        g.add(File::new(bed.path("new/file")).content("new\n").after(&dir));
        g.add(File::new(bed.path("was")).content("changed\n").mode(0o600));
        g.add(File::new(bed.path("tree/")).absent());
        g.add(File::new(bed.path("link")).symlink("elsewhere"));
        g.add(Line::new("one", bed.path("lines")).create(true));
    });
    bed.try_out(changes).await;
    assert!(bed.read("new/file").is_some() && bed.read("tree/deep/file").is_none() && bed.read("lines").is_some());
    let done = bed.put_back().await;
    assert_eq!(done.len(), 6, "{done:?}");
    assert_eq!(snapshot(bed.dir.path()), before);
    // There is nothing more to put back.
    assert!(bed.builder(empty()).put_back().await.unwrap().is_none());
}

#[tokio::test]
async fn a_confirmed_trial_stays_and_reverse_still_leads_to_the_first_state() {
    let bed = Bed::new();
    fs::write(bed.path("a"), "original\n").unwrap();
    let file = |content: &str| one(File::new(bed.path("a")).content(content).reverse(true));
    bed.pass(file("first\n")).await;
    let mut run = converged(bed.builder(file("second\n")).trial(Trial::new("it"))).await;
    assert!(run.engine.confirm().await.unwrap());
    assert_eq!(bed.records_in("trial/records").len(), 0);
    // What comes after it is not recorded for a trial any more.
    run.engine.swap(file("third\n")).await.unwrap();
    run.until("converged").await;
    run.stop().await;
    assert_eq!(bed.records_in("trial/records").len(), 0);
    assert!(bed.builder(empty()).put_back().await.unwrap().is_none());
    bed.pass(empty()).await;
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("original\n"), 0));
}

#[tokio::test]
async fn what_is_put_back_is_the_state_before_the_trial_and_not_before_the_first_change_ever() {
    let bed = Bed::new();
    fs::write(bed.path("a"), "original\n").unwrap();
    let file = |content: &str| one(File::new(bed.path("a")).content(content).reverse(true));
    bed.pass(file("first\n")).await;
    bed.try_out(file("second\n")).await;
    assert_eq!(bed.put_back().await.len(), 1);
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("first\n"), 1));
    bed.pass(empty()).await;
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("original\n"), 0));
}

#[tokio::test]
async fn another_process_decides_once() {
    let bed = Bed::new();
    let run = converged(bed.builder(one(File::new(bed.path("a")).content("a"))).trial(Trial::new("it"))).await;
    assert!(trial::is_pending(bed.prefix.path()));
    assert!(trial::confirm(bed.prefix.path(), "another").is_err());
    assert!(trial::confirm(bed.prefix.path(), "it").unwrap() && run.engine.confirm().await.unwrap());
    run.stop().await;
    assert!(bed.builder(empty()).put_back().await.unwrap().is_none());
    assert_eq!(bed.read("a").as_deref(), Some("a"));
}

#[tokio::test]
async fn the_next_run_puts_back_what_is_not_in_its_graph_and_a_second_trial_decides_about_both() {
    let bed = Bed::new();
    fs::write(bed.path("a"), "original\n").unwrap();
    let file = |name: &str, content: &str| one(File::new(bed.path(name)).content(content));
    bed.try_out(file("a", "tried\n")).await;
    bed.pass(file("b", "b\n")).await;
    assert_eq!((bed.read("a").as_deref(), bed.read("b").as_deref()), (Some("original\n"), Some("b\n")));
    // A resource that is in the graph is as the graph declares it.
    bed.try_out(file("a", "tried\n")).await;
    bed.pass(file("a", "tried\n")).await;
    bed.pass(empty()).await;
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("tried\n"), 0));

    bed.try_out(file("a", "first try\n")).await;
    bed.try_out(file("c", "second try\n")).await;
    assert_eq!(bed.put_back().await.len(), 2);
    assert_eq!((bed.read("a").as_deref(), bed.read("c")), (Some("tried\n"), None));
}

#[tokio::test]
async fn a_change_that_can_not_be_put_back_fails_unless_partial_trials_are_permitted() {
    let bed = Bed::new();
    let graph = || {
        graph(|g| {
            g.add(Exec::new("make").cmd(format!("touch {}", bed.path("made"))).creates(bed.path("made")));
            let undo = format!("rm {}", bed.path("undone"));
            g.add(Exec::new("can").cmd(format!("touch {}", bed.path("undone"))).creates(bed.path("undone")).undo(undo));
            let source = g.add(File::new(bed.path("source")).content("a"));
            let told = Exec::new("told").cmd(format!("touch {}", bed.path("told"))).refreshonly(true);
            g.add(told.subscribe(&source));
        })
    };
    let mut run = Run::start(bed.builder(graph()).trial(Trial::new("it"))).await;
    let mut wrong = Vec::new();
    while wrong.len() < 2 {
        let failed = run.find(|event| match event {
            EventKind::Failed { id, error, .. } => Some((id.name.clone(), error.clone())),
            _ => None,
        });
        wrong.push(failed.await);
    }
    wrong.sort();
    assert_eq!(wrong.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["make", "told"]);
    assert!(wrong[0].1.contains("could not be put back: it has no `undo`"), "{wrong:?}");
    crate::kit::until("the other one has run", || bed.read("undone").is_some()).await;
    run.stop().await;
    assert!(bed.read("made").is_none() && bed.read("told").is_none());
    bed.put_back().await;
    assert!(bed.read("undone").is_none() && bed.read("source").is_none());

    let plan = bed.builder(graph()).plan().await.unwrap();
    let reasons: Vec<_> =
        plan.resources.iter().filter_map(|entry| Some((&*entry.id.name, entry.irreversible.as_deref()?))).collect();
    assert_eq!(reasons, [("make", "it has no `undo`"), ("told", "it has no `undo`")]);

    converged(bed.builder(graph()).trial(Trial::new("it").partial(true))).await.stop().await;
    assert!(bed.read("made").is_some() && bed.read("told").is_some());
    bed.put_back().await;
    assert!(bed.read("made").is_some() && bed.read("undone").is_none());
}

#[tokio::test]
async fn a_command_that_a_change_has_caused_is_undone_after_the_change() {
    let bed = Bed::new();
    fs::write(bed.path("config"), "old\n").unwrap();
    fs::write(bed.path("loaded"), "old\n").unwrap();
    let load = format!("cp {} {}", bed.path("config"), bed.path("loaded"));
    let graph = graph(|g| {
        let config = g.add(File::new(bed.path("config")).content("new\n"));
        g.add(Exec::new("load").cmd(&load).undo(&load).refreshonly(true).subscribe(&config));
    });
    bed.try_out(graph).await;
    assert_eq!(bed.read("loaded").as_deref(), Some("new\n"));
    bed.put_back().await;
    assert_eq!((bed.read("config").as_deref(), bed.read("loaded").as_deref()), (Some("old\n"), Some("old\n")));
}

#[tokio::test]
async fn what_another_program_changed_since_is_kept_and_looked_at_again_by_the_next_run() {
    let bed = Bed::new();
    fs::write(bed.path("a"), "original\n").unwrap();
    bed.try_out(one(File::new(bed.path("a")).content("tried\n"))).await;
    fs::write(bed.path("a"), "theirs\n").unwrap();
    let told = bed.put_back().await;
    assert!(told.len() == 1 && told[0].contains("was changed by another program"), "{told:?}");
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("theirs\n"), 1));
    fs::write(bed.path("a"), "tried\n").unwrap();
    bed.pass(empty()).await;
    assert_eq!((bed.read("a").as_deref(), bed.records().len()), (Some("original\n"), 0));
}

#[tokio::test]
async fn what_has_left_the_graph_is_undone_only_after_the_trial() {
    let bed = Bed::new();
    let file = |name: &str| one(File::new(bed.path(name)).content("ours\n").reverse(true));
    bed.pass(file("a")).await;
    let mut run = Run::start(bed.builder(file("b")).trial(Trial::new("it"))).await;
    let kept = run.find(|event| match event {
        EventKind::Kept { id, why, .. } => Some((id.name.clone(), why.clone())),
        _ => None,
    });
    let (name, why) = kept.await;
    assert!(name == bed.path("a") && why.contains("not confirmed yet"), "{why}");
    run.until("converged").await;
    run.engine.swap(empty()).await.unwrap();
    run.until("converged").await;
    assert!(bed.read("a").is_some() && bed.read("b").is_some());
    assert!(run.engine.confirm().await.unwrap());
    run.stop().await;
    bed.pass(empty()).await;
    assert!(bed.read("a").is_none() && bed.read("b").is_none() && bed.records().is_empty());
}

#[tokio::test]
async fn a_trial_needs_a_prefix() {
    let error = mgmt::Engine::builder().graph(empty()).trial(Trial::new("it")).start().await.unwrap_err();
    assert!(error.to_string().contains("needs a prefix"), "{error}");
}
