//! What is remembered of resources that have left the graph, and their private directories.

use std::fs;
use std::path::{Path, PathBuf};

use mgmt::id::ResourceId;
use mgmt::journal::{ABSENT_DAYS_MAX, ABSENT_RESOURCES_MAX, Entry, Journal};
use mgmt::prelude::*;

use crate::kit::{Run, within};

fn graph(names: &[&str]) -> Graph {
    let mut g = Graph::new("passwords");
    for name in names {
        g.add(Password::new(*name).saved(true));
    }
    g
}

async fn once(prefix: &Path, names: &[&str]) {
    let mut run = Run::with(graph(names), |builder| builder.prefix(prefix)).await;
    run.converged().await;
    run.stop().await;
}

fn id(name: &str) -> ResourceId {
    ResourceId::new("password", name)
}

fn dir(prefix: &Path, name: &str) -> PathBuf {
    prefix.join("pgraph/password").join(name)
}

fn dirs(prefix: &Path) -> Vec<String> {
    let all = fs::read_dir(prefix.join("pgraph/password")).unwrap();
    let mut names: Vec<_> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Directories are removed in the background.
async fn until_dirs_are(prefix: &Path, wanted: &[&str]) {
    within(async {
        while dirs(prefix) != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Absent for as long as it may be by now, and the next day is a new one.
fn let_days_pass(prefix: &Path, name: &str) {
    let journal = Journal::open(prefix).unwrap();
    journal.note(vec![Entry::Absent { of: id(name), days: Some(ABSENT_DAYS_MAX) }, Entry::Counted(1)]);
    journal.close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_long_left_the_graph_is_forgotten_at_a_start_with_its_private_directory() {
    let place = tempfile::tempdir().unwrap();
    let prefix = place.path();
    once(prefix, &["stays", "leaves", "a/b c"]).await;
    assert_eq!(dirs(prefix), ["a%2Fb%20c", "leaves", "stays"], "the names are there to be read");
    let text = fs::read_to_string(dir(prefix, "stays").join("password")).unwrap();
    let_days_pass(prefix, "leaves");
    let_days_pass(prefix, "stays");
    once(prefix, &["stays"]).await;
    until_dirs_are(prefix, &["a%2Fb%20c", "stays"]).await;
    let journal = Journal::open(prefix).unwrap();
    assert_eq!((journal.mark(&id("leaves")), journal.absent(&id("leaves"))), (None, None));
    assert!(journal.mark(&id("a/b c")).is_some() && journal.mark(&id("stays")).is_some());
    assert_eq!((journal.absent(&id("a/b c")), journal.absent(&id("stays"))), (Some(0), None));
    drop(journal);
    assert_eq!(fs::read_to_string(dir(prefix, "stays").join("password")).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_by_a_swap_is_welcome_at_once() {
    let place = tempfile::tempdir().unwrap();
    once(place.path(), &["a", "b"]).await;
    let_days_pass(place.path(), "b");
    let journal = Journal::open(place.path()).unwrap();
    // No new day: nothing is forgotten yet.
    journal.note(vec![Entry::Counted(u64::MAX)]);
    journal.close().unwrap();
    let mut run = Run::with(graph(&["a"]), |builder| builder.prefix(place.path())).await;
    run.converged().await;
    run.engine.swap(graph(&["a", "b"]).finish().unwrap()).await.unwrap();
    run.converged().await;
    run.stop().await;
    let journal = Journal::open(place.path()).unwrap();
    assert_eq!(journal.absent(&id("b")), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_named_by_a_digest_is_found_renamed_and_never_taken_for_one_of_nobody() {
    let place = tempfile::tempdir().unwrap();
    let prefix = place.path();
    once(prefix, &["admin"]).await;
    let saved = || fs::read_to_string(dir(prefix, "admin").join("password")).unwrap();
    let text = saved();
    // What an earlier version called the directory of `admin`.
    let was = "1df88e084794e530a646af12e0b4688e";
    fs::rename(dir(prefix, "admin"), dir(prefix, was)).unwrap();
    let_days_pass(prefix, was);
    once(prefix, &["admin"]).await;
    assert_eq!((dirs(prefix), saved()), (vec!["admin".to_owned()], text));
    // One whose resource is gone goes too, after its days.
    fs::create_dir(dir(prefix, was)).unwrap();
    let_days_pass(prefix, was);
    once(prefix, &["other"]).await;
    until_dirs_are(prefix, &["admin", "other"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_is_not_received_is_not_remembered_until_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (prefix, copy) = (place.path().join("prefix"), place.path().join("copy"));
    let graph = |received: bool| {
        let mut g = Graph::new("outputs");
        let password = g.add(Password::new("p"));
        g.add(File::new(place.path().join("plain").display().to_string()).content("plain\n"));
        if received {
            g.add(File::new(copy.display().to_string()).content(password.password()));
        }
        g.finish().unwrap()
    };
    let sent = || Journal::open(&prefix).unwrap().sent(&id("p"), "password");
    let start = |received| Run::start(mgmt::Engine::builder().graph(graph(received)).prefix(&prefix));
    let mut run = start(false).await;
    run.converged().await;
    run.stop().await;
    assert_eq!(sent(), None);
    assert_eq!(Journal::open(&prefix).unwrap().resources(), [id("p")], "its mark; nothing of the file");
    let mut run = start(false).await;
    run.converged().await;
    run.engine.swap(graph(true)).await.unwrap();
    run.engine.converged().await.unwrap();
    let text = fs::read_to_string(&copy).unwrap();
    run.stop().await;
    assert!(sent().is_some());
    let mut run = start(true).await;
    let events = run.converged().await;
    assert!(!events.iter().any(|event| event.starts_with("applied")), "{events:?}");
    assert_eq!(fs::read_to_string(&copy).unwrap(), text);
    run.stop().await;
}

/// Sends its name, and does nothing else.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "sends:name", unwatched)]
struct Sends {
    #[resource(name)]
    name: String,
    other: Option<String>,
    #[resource(send)]
    text: String,
}

impl Converge for Sends {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        cx.send(Sends::TEXT, self.name.clone());
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_ever_new_names_what_is_remembered_has_a_bound() {
    const NEW: usize = 3000;
    let place = tempfile::tempdir().unwrap();
    let graph = |round: usize| {
        let mut g = Graph::new("ever new");
        for n in 0..NEW {
            let sender = g.add(Sends::new(format!("{round}-{n}")));
            g.add(Sends::new(format!("{round}-{n} receives")).other(sender.text()));
        }
        g.finish().unwrap()
    };
    let mut run = Run::start(mgmt::Engine::builder().graph(graph(0)).prefix(place.path())).await;
    run.engine.converged().await.unwrap();
    let rounds = 2 * ABSENT_RESOURCES_MAX / NEW;
    for round in 1..=rounds {
        run.engine.swap(graph(round)).await.unwrap();
        run.engine.converged().await.unwrap();
        // No reader needs them.
        while run.events.try_next().is_some() {}
    }
    run.stop().await;
    let journal = Journal::open(place.path()).unwrap();
    let known = journal.resources();
    let bound = ABSENT_RESOURCES_MAX + ABSENT_RESOURCES_MAX / 10 + NEW;
    assert!(known.len() <= bound && known.len() > ABSENT_RESOURCES_MAX, "{} are known", known.len());
    let is_known = |round: usize| journal.sent(&ResourceId::new("sends:name", format!("{round}-1")), "text").is_some();
    assert!(is_known(rounds) && is_known(rounds - 1) && !is_known(0) && !is_known(1));
}
