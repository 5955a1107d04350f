//! Archives and compressed files in an engine: repaired when their input changes, and waiting for it while it is missing.

use std::fs;
use std::path::Path;

use mgmt::Engine;
use mgmt::prelude::*;

use crate::kit::{Run, archive, within};

fn at(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

/// The length of the compressed file, once it has another one than `not`.
async fn another_length(path: &Path, not: u64) -> u64 {
    within(async {
        loop {
            match fs::metadata(path) {
                Ok(found) if found.len() != not => return found.len(),
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_compressed_file_follows_its_input_which_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in"), dir.path().join("in.gz"));
    let graph = |text: &str| {
        let mut g = Graph::new("archives");
        g.add(Gzip::new(at(dir.path(), "in.gz")).input(at(dir.path(), "in")));
        g.add(File::new(at(dir.path(), "in")).content(text));
        g
    };
    let mut run = Run::new(graph("one")).await;
    run.converged().await;
    let first = fs::metadata(&output).unwrap().len();
    fs::remove_file(&output).unwrap();
    assert_eq!(another_length(&output, 0).await, first);
    fs::write(&output, "").unwrap();
    assert_eq!(another_length(&output, 0).await, first);
    run.engine.swap(graph("one, two, three, four").finish().unwrap()).await.unwrap();
    another_length(&output, first).await;
    assert_eq!(fs::read_to_string(&input).unwrap(), "one, two, three, four");
    run.stop().await;
}

#[tokio::test]
async fn a_compressed_file_is_made_as_soon_as_its_input_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut g = Graph::new("archives");
    g.add(Gzip::new(at(dir.path(), "in.gz")).input(at(dir.path(), "in")));
    let _run = Run::new(g).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!dir.path().join("in.gz").exists());
    fs::write(dir.path().join("in"), "late").unwrap();
    another_length(&dir.path().join("in.gz"), 0).await;
}

/// Waits until the file holds this text.
async fn holds(path: &Path, text: &str) {
    within(async {
        while fs::read_to_string(path).ok().as_deref() != Some(text) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_unpacked_archive_comes_back_and_follows_its_archive_and_what_lies_in_it_comes_after() {
    let dir = tempfile::tempdir().unwrap();
    let (source, made) = (dir.path().join("archive"), dir.path().join("d/sub/file"));
    fs::write(&source, archive("one")).unwrap();
    let mut g = Graph::new("archives");
    g.add(File::new(at(dir.path(), "d/sub/more")).content("more"));
    g.add(Unpack::new(at(dir.path(), "d"), at(dir.path(), "archive")));
    let mut run = Run::new(g).await;
    run.converged().await;
    holds(&made, "one").await;
    holds(&dir.path().join("d/sub/more"), "more").await;
    // At once, since what is removed piece by piece is made again meanwhile.
    fs::rename(dir.path().join("d"), dir.path().join("gone")).unwrap();
    holds(&made, "one").await;
    holds(&dir.path().join("d/sub/more"), "more").await;
    fs::write(dir.path().join("new"), archive("two, longer")).unwrap();
    fs::rename(dir.path().join("new"), &source).unwrap();
    holds(&made, "two, longer").await;
    run.stop().await;
}

#[tokio::test]
async fn an_archive_follows_its_inputs_which_come_first_and_is_unpacked_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, alone) = (dir.path().join("copy/app/conf/deep"), dir.path().join("copy/alone"));
    let mut g = Graph::new("archives");
    // Declared first, and done last.
    g.add(Unpack::new(at(dir.path(), "copy"), at(dir.path(), "app.tar.gz")));
    g.add(Tar::new(at(dir.path(), "app.tar.gz"), [at(dir.path(), "app"), at(dir.path(), "alone")]));
    g.add(File::new(at(dir.path(), "app/conf/deep")).content("one"));
    g.add(File::new(at(dir.path(), "app/conf/")));
    g.add(File::new(at(dir.path(), "app/")));
    fs::write(dir.path().join("alone"), "not declared").unwrap();
    let mut run = Run::new(g).await;
    let applied = format!("applied {}", at(dir.path(), "app.tar.gz"));
    let happened = run.converged().await;
    let tries = happened.iter().filter(|short| short.ends_with("app.tar.gz")).collect::<Vec<_>>();
    assert_eq!(happened.iter().filter(|short| **short == applied).count(), 1, "all inputs were there: {tries:?}");
    assert!(!tries.iter().any(|short| short.starts_with("waits") || short.starts_with("failed")), "{tries:?}");
    holds(&copy, "one").await;
    holds(&alone, "not declared").await;
    fs::write(dir.path().join("app/conf/more"), "by hand").unwrap();
    holds(&copy.with_file_name("more"), "by hand").await;
    fs::create_dir_all(dir.path().join("app/new/sub")).unwrap();
    fs::write(dir.path().join("app/new/sub/file"), "deep").unwrap();
    holds(&dir.path().join("copy/app/new/sub/file"), "deep").await;
    fs::write(dir.path().join("alone"), "changed").unwrap();
    holds(&alone, "changed").await;
    fs::write(dir.path().join("app.tar.gz"), "broken").unwrap();
    within(async {
        while fs::metadata(dir.path().join("app.tar.gz")).unwrap().len() == 6 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    run.stop().await;
}

#[tokio::test]
async fn an_archive_is_made_as_soon_as_its_input_is_there_and_a_plan_does_not_know_what_it_will_be() {
    let dir = tempfile::tempdir().unwrap();
    let graph = |text: &str| {
        let mut g = Graph::new("archives");
        g.add(File::new(at(dir.path(), "in/f")).content(text));
        g.add(Tar::new(at(dir.path(), "out.tar"), [at(dir.path(), "in")]));
        g.add(Gzip::new(at(dir.path(), "f.gz")).input(at(dir.path(), "in/f")));
        g
    };
    let mut run = Run::new(graph("one")).await;
    fs::create_dir(dir.path().join("in")).unwrap();
    run.converged().await;
    run.stop().await;
    let plan = Engine::builder().graph(graph("two").finish().unwrap()).plan().await.unwrap();
    assert_eq!((plan.summary.drifted, plan.summary.unknown), (1, 2), "{plan}");
    let plan = Engine::builder().graph(graph("one").finish().unwrap()).plan().await.unwrap();
    assert_eq!(plan.summary.in_sync, 3, "{plan}");
}

#[tokio::test]
async fn what_is_only_sent_follows_its_input_and_can_be_written_by_a_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in"), "one").unwrap();
    let mut g = Graph::new("archives");
    let tar = g.add(Tar::new("tarred", [at(dir.path(), "in")]).sendonly(true));
    g.add(File::new(at(dir.path(), "sent.tar")).content(tar.content()));
    g.add(Unpack::new(at(dir.path(), "copy"), at(dir.path(), "sent.tar")));
    let gzip = g.add(Gzip::new("squeezed").input(at(dir.path(), "in")).sendonly(true));
    g.add(File::new(at(dir.path(), "sent.gz")).content(gzip.compressed()));
    let mut run = Run::new(g).await;
    run.converged().await;
    holds(&dir.path().join("copy/in"), "one").await;
    let first = fs::metadata(dir.path().join("sent.gz")).unwrap().len();
    fs::write(dir.path().join("in"), "one, two, three, four").unwrap();
    holds(&dir.path().join("copy/in"), "one, two, three, four").await;
    another_length(&dir.path().join("sent.gz"), first).await;
    run.stop().await;
}

#[tokio::test]
async fn two_archives_for_one_directory_are_refused() {
    let mut g = Graph::new("archives");
    g.add(Unpack::new("/tmp/never/there", "/tmp/never/a"));
    g.add(Unpack::new("other", "/tmp/never/b").path("/tmp/never/there/"));
    let settings = mgmt::graph::Settings::default();
    let problems = mgmt::graph::prepare(g.finish().unwrap(), &settings).err().unwrap().to_string();
    assert!(problems.contains("/tmp/never/there"), "{problems}");
}
