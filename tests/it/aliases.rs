//! Two resources that have one file by two spellings, as can only be seen once the graph runs: a conflict is always
//! reported. (Conflicts that can be seen at the start are refused then: `engine/faults.rs`.)

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::{EventKind, Standing};

use crate::kit::{Run, within};

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What has failed or waits, once nothing more is to come.
async fn failures(run: &Run) -> Vec<(String, String)> {
    within(async {
        loop {
            let status = run.engine.status().await.unwrap();
            // What waits may be tried again just now.
            let is_tried = status.notable.iter().any(|one| one.standing == Standing::Running && one.error.is_some());
            if status.hopeless && !is_tried || status.settled == status.resources {
                let waits = |standing: &Standing| matches!(standing, Standing::Failed | Standing::Waiting);
                let failed = status.notable.into_iter().filter(|one| waits(&one.standing));
                return failed.map(|one| (one.id.to_string(), one.error.unwrap())).collect();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

async fn run(declare: impl FnOnce(&mut Graph)) -> Run {
    let mut g = Graph::new("aliases");
    declare(&mut g);
    Run::start(Engine::builder().graph(g.finish().unwrap())).await
}

#[tokio::test]
async fn a_path_through_a_symlink_that_another_resource_owns_is_refused_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    let run = run(|g| {
        // The conflict cannot be known before this has run.
        let made = g.add(File::new(text(&link)).symlink("real"));
        g.add(File::new(text(&link.join("a"))).content("two").after(&made));
        g.add(File::new(text(&real.join("a"))).content("one").after(&made));
        // A neighbour that no other resource has is not affected.
        g.add(File::new(text(&link.join("b"))).content("b").after(&made));
    })
    .await;
    let failed = failures(&run).await;
    let (id, error) = &failed[0];
    assert_eq!((failed.len(), id), (1, &format!("file[{}]", link.join("a").display())));
    let expected = format!(
        "{} leads through a symlink to {}, which another resource of the graph owns",
        link.join("a").display(),
        real.join("a").display()
    );
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(fs::read_to_string(real.join("a")).unwrap(), "one");
    assert_eq!(fs::read_to_string(real.join("b")).unwrap(), "b");
    run.stop().await;
}

#[tokio::test]
async fn two_symlinks_to_one_directory_are_found_out_and_who_leaves_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    let at = |link: &str| dir.path().join(link).join("a");
    let graph = |files: &[(&str, &str)]| {
        let mut g = Graph::new("aliases");
        let links = ["one", "two"].map(|link| g.add(File::new(text(&dir.path().join(link))).symlink("real")));
        let mut last = None;
        for (link, content) in files {
            let file = File::new(text(&at(link))).content(*content).after(&links);
            last = Some(g.add(match &last {
                Some(last) => file.after(last),
                None => file,
            }));
        }
        g.finish().unwrap()
    };
    let mut run = Run::start(Engine::builder().graph(graph(&[("one", "first"), ("two", "second")]))).await;
    let failed = failures(&run).await;
    let (id, error) = &failed[0];
    assert_eq!((failed.len(), id), (1, &format!("file[{}]", at("two").display())));
    assert!(error.contains(&format!("{} of file[{}]", at("one").display(), at("one").display())), "{error}");
    assert!(error.contains("lead through symlinks to one path"), "{error}");
    run.engine.swap(graph(&[("two", "third")])).await.unwrap();
    run.find(|event| matches!(event, EventKind::Applied { id, .. } if id.name == text(&at("two"))).then_some(())).await;
    assert_eq!(fs::read_to_string(dir.path().join("real/a")).unwrap(), "third");
    run.stop().await;
}

#[tokio::test]
async fn hard_links_may_have_two_owners_until_they_disagree_about_what_both_share() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let link = || {
        let _ = fs::remove_file(&two);
        fs::write(&one, "same").unwrap();
        fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&one, &two).unwrap();
    };
    link();
    // They agree: nothing to say.
    let agreed = run(|g| {
        let first = g.add(File::new(text(&one)).content("same").mode(0o600));
        g.add(File::new(text(&two)).content("same").mode(0o600).after(&first));
    })
    .await;
    assert_eq!(failures(&agreed).await, []);
    agreed.stop().await;
    // Of another content the second becomes a file of its own.
    let split = run(|g| {
        let first = g.add(File::new(text(&one)).content("same").mode(0o600));
        g.add(File::new(text(&two)).content("other").mode(0o640).after(&first));
    })
    .await;
    assert_eq!(failures(&split).await, []);
    assert_eq!((mode(&one), mode(&two)), (0o600, 0o640));
    split.stop().await;
    // Two modes for one file: one of the resources fails.
    link();
    let apart = run(|g| {
        let first = g.add(File::new(text(&one)).content("same").mode(0o600));
        g.add(File::new(text(&two)).content("same").mode(0o640).after(&first));
    })
    .await;
    let failed = failures(&apart).await;
    assert_eq!((failed.len(), &failed[0].0), (1, &format!("file[{}]", two.display())));
    let expected =
        format!("{} and {} of file[{}] are two names of one file", two.display(), one.display(), one.display());
    assert!(failed[0].1.starts_with(&expected), "{}", failed[0].1);
    assert_eq!(mode(&one), 0o600);
    apart.stop().await;
}
