//! Plans that are made there.

use mgmt::plan::Outcome;
use mgmt::prelude::*;
use mgmt::remote::{Job, RemoteError};

use crate::kit::{There, files, host};

#[tokio::test]
async fn a_plan_is_that_of_the_machine_there_and_changes_nothing() {
    let there = There::new();
    std::fs::write(there.path("old"), "old\n").unwrap();
    let (old, new) = (there.text("old"), there.text("new"));
    let job = there
        .job(|g| {
            g.add(File::new(&old).content("changed\n"));
            g.add(File::new(&new).content("new\n"));
        })
        .await;
    let before = files(there.dir.path());
    let planned = host().plan(&job).await.unwrap();
    assert_eq!(planned.plan.summary.drifted, 2, "{}", planned.plan);
    let entry = planned.plan.get(&format!("file[{old}]")).unwrap();
    let Outcome::Drifted { changes, .. } = &entry.outcome else { panic!("{entry:?}") };
    assert!(changes[0].diff.as_deref().unwrap_or_default().contains("-old\n+changed"), "{changes:?}");
    assert_eq!(files(there.dir.path()), before);
}

#[tokio::test]
async fn what_is_wrong_there_is_reported_with_its_place() {
    let there = There::new();
    let job =
        there.job(|g| _ = g.add(File::new(there.prefix().join("journal.redb").to_str().unwrap()).content("x"))).await;
    let Err(RemoteError::Graph(notes)) = host().plan(&job).await else { panic!("it is accepted") };
    assert!(notes[0].message.contains("journal.redb"), "{notes:?}");
    assert!(notes[0].place.as_deref().unwrap_or_default().contains("plans.rs"), "{notes:?}");
}

#[tokio::test]
async fn what_is_no_far_end_is_an_error_with_what_it_has_printed() {
    let job = Job::own().arguments(["--version"]);
    let error = host().plan(&job).await.unwrap_err().to_string();
    assert!(error.contains("does not answer as mgmt does") && error.contains("it printed: mgmt "), "{error}");
}
