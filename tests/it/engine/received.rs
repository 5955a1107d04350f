//! A resource at a place that it receives is watched, owned, kept from others, validated and planned there: never at
//! its default.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use mgmt::Engine;
use mgmt::plan::Outcome;
use mgmt::prelude::*;
use mgmt::resource::WatchEvent;
use mgmt::runtime::Standing;
use tokio::sync::mpsc;

use crate::kit::{Desk, Run, within};

/// The file `place` at the path that `where` makes, as it is or through a closure.
fn graph(desk: &Desk, at: &Path, closure: bool, content: &str) -> Graph {
    let mut g = Graph::new("received");
    let place = g.add(desk.probe("where").want(at.to_str().unwrap()));
    let made = if closure { place.made().map(|text| text.clone()) } else { place.made() };
    g.add(File::new("place").path(made).content(content));
    g
}

async fn holds(path: &Path, content: &str) {
    within(async {
        while fs::read_to_string(path).unwrap_or_default() != content {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn after_swaps_to_equal_and_to_changed_graphs_it_is_repaired_where_it_is() {
    for closure in [false, true] {
        let desk = Desk::new();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut run = Run::new(graph(&desk, &path, closure, "one\n")).await;
        run.converged().await;
        for content in ["one\n", "one\n", "two\n", "two\n"] {
            run.engine.swap(graph(&desk, &path, closure, content).finish().unwrap()).await.unwrap();
            holds(&path, content).await;
            run.engine.converged().await.unwrap();
            fs::write(&path, "meddled with").unwrap();
            holds(&path, content).await;
            fs::remove_file(&path).unwrap();
            holds(&path, content).await;
        }
        run.stop().await;
    }
}

#[tokio::test]
async fn when_another_path_comes_it_is_watched_there_and_no_longer_where_it_was() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let mut run = Run::new(graph(&desk, &first, false, "here\n")).await;
    run.converged().await;
    run.engine.swap(graph(&desk, &second, false, "here\n").finish().unwrap()).await.unwrap();
    holds(&second, "here\n").await;
    run.engine.converged().await.unwrap();
    fs::remove_file(&first).unwrap();
    fs::remove_file(&second).unwrap();
    holds(&second, "here\n").await;
    assert!(!first.exists());
    run.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_purged_spares_it() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let (place, stray) = (dir.path().join("d/file"), dir.path().join("d/stray"));
    let graph = || {
        let mut g = graph(&desk, &place, false, "kept\n");
        g.add(File::new(format!("{}/d/", dir.path().display())).purge(true).recurse(true));
        g
    };
    let mut run = Run::new(graph()).await;
    run.converged().await;
    run.engine.swap(graph().finish().unwrap()).await.unwrap();
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&place);
    for _ in 0..3 {
        fs::write(&stray, "stray").unwrap();
        within(async {
            while stray.exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        assert_eq!(fs::read_to_string(&place).unwrap(), "kept\n");
    }
    assert_eq!(inode(&place), before, "it was never away");
    run.stop().await;
}

#[tokio::test]
async fn two_files_at_one_received_path_are_two_owners_of_that_path() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let mut g = graph(&desk, &path, false, "first\n");
    let other = g.add(desk.probe("too").want(path.to_str().unwrap()));
    g.add(File::new("other").path(other.made()).content("second\n"));
    let mut run = Run::new(g).await;
    run.until("hopeless").await;
    let status = run.engine.status().await.unwrap();
    let failed: Vec<_> = status.notable.iter().filter(|of| of.standing == Standing::Failed).collect();
    let [failed] = &failed[..] else { panic!("{status:?}") };
    let error = failed.error.as_deref().unwrap();
    assert!(
        error.contains(path.to_str().unwrap()) && error.contains("file[place]") && error.contains("file[other]"),
        "{error}"
    );
    // The first that receives the path owns it.
    let owns = if failed.id.name == "place" { "second\n" } else { "first\n" };
    assert_eq!(fs::read_to_string(&path).unwrap(), owns);
    run.stop().await;
}

#[tokio::test]
async fn a_path_that_is_wrong_is_refused_by_its_value_and_a_plan_looks_where_it_is() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    desk.put("where", path.to_str().unwrap());
    fs::write(&path, "old\n").unwrap();
    let plan = Engine::builder().graph(graph(&desk, &path, false, "new\n").finish().unwrap()).plan().await.unwrap();
    let entry = plan.resources.iter().find(|entry| entry.id.name == "place").unwrap();
    let Outcome::Drifted { changes, .. } = &entry.outcome else { panic!("{entry:?}") };
    assert_eq!(changes[0].diff.as_deref(), Some("@@ -1 +1 @@\n-old\n+new\n"));
    let mut run = Run::new(graph(&desk, Path::new("no/absolute/path"), false, "x")).await;
    run.until("hopeless").await;
    let status = run.engine.status().await.unwrap();
    let error = status.notable[0].error.clone().unwrap();
    assert!(error.contains("no/absolute/path"), "{error}");
    run.stop().await;
}

/// The ends of the watches of each `seen`.
static BREAKS: LazyLock<Mutex<Vec<Break>>> = LazyLock::new(Mutex::default);

/// Where it watches; what is dropped ends its stream.
type Break = (String, mpsc::UnboundedSender<WatchEvent>);

/// Watches the path that it is given, until its stream is broken.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "seen")]
struct Seen {
    #[resource(name)]
    name: String,
    at: String,
    #[resource(send)]
    text: String,
}

struct Breakable(mpsc::UnboundedReceiver<WatchEvent>);

impl Stream for Breakable {
    type Item = mgmt::resource::Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|event| event.map(Ok))
    }
}

impl Converge for Seen {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        cx.send(Seen::TEXT, fs::read_to_string(&self.at).unwrap_or_default());
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(WatchEvent::Ready).unwrap();
        BREAKS.lock().unwrap().push((self.at.clone(), sender));
        Watch::stream(Breakable(receiver)).and(cx.fs().path(&self.at))
    }
}

#[tokio::test]
async fn a_watch_that_begins_again_watches_the_received_path() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seen");
    fs::write(&path, "one").unwrap();
    let mut g = Graph::new("received");
    let place = g.add(desk.probe("where").want(path.to_str().unwrap()));
    let seen = g.add(Seen::new("seen", place.made()).retry(-1).delay(Duration::from_millis(1)));
    g.add(desk.probe("copy").want(seen.text()));
    let mut run = Run::new(g).await;
    run.converged().await;
    let is_here = |(at, _): &Break| at == path.to_str().unwrap();
    for round in 0..3 {
        BREAKS.lock().unwrap().retain(|of| !is_here(of));
        within(async {
            while !BREAKS.lock().unwrap().iter().any(is_here) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        run.engine.converged().await.unwrap();
        let text = format!("round {round}");
        fs::write(&path, &text).unwrap();
        within(async {
            while desk.real("copy") != text {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
    run.stop().await;
}
