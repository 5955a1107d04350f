//! The prefix of an engine that runs: deleted, moved, taken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resources::FileBuilder;
use mgmt::runtime::EngineError;

use crate::kit::{Desk, Run, within};

fn chain(desk: &Desk) -> GraphConfig {
    let mut g = Graph::new("graph");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").want("x").after(&a));
    g.finish().unwrap()
}

#[tokio::test]
async fn a_prefix_that_is_deleted_while_an_engine_runs_is_made_again_and_stays_its_own() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let prefix = dir.path().join("prefix");
    let run = Run::start(Engine::builder().graph(chain(&desk)).prefix(&prefix)).await;
    for _ in 0..3 {
        // What comes back while it is deleted is in the way of its end.
        while fs::remove_dir_all(&prefix).is_ok() {}
        within(async {
            while !prefix.join("journal.redb").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
        let error = within(Engine::builder().graph(chain(&desk)).prefix(&prefix).start()).await.unwrap_err();
        assert!(error.to_string().contains("is in use by this process"), "{error}");
    }
    run.stop().await;
    assert!(fs::metadata(&prefix).unwrap().permissions().mode() & 0o077 == 0);
    Run::start(Engine::builder().graph(chain(&desk)).prefix(&prefix)).await.stop().await;
}

#[tokio::test]
async fn an_engine_whose_prefix_is_lost_for_good_ends_and_names_it() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let prefix = dir.path().join("prefix");
    let run = Run::start(Engine::builder().graph(chain(&desk)).prefix(&prefix)).await;
    // A directory that others can write comes in its place.
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o777)).unwrap();
    rustix::fs::renameat_with(rustix::fs::CWD, &other, rustix::fs::CWD, &prefix, rustix::fs::RenameFlags::EXCHANGE)
        .unwrap();
    let error = within(run.engine.ended()).await.unwrap_err();
    assert!(matches!(error, EngineError::Lost(_)), "{error}");
    assert!(error.to_string().contains(&prefix.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_private_directory_that_others_can_write_is_refused_before_anything_runs() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let own = dir.path().join("pgraph/exec/seed");
    fs::create_dir_all(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o707)).unwrap();
    for _ in 0..2 {
        let builder = || Engine::builder().graph(chain(&desk)).prefix(dir.path());
        for error in [within(builder().start()).await.err(), within(builder().plan()).await.err()] {
            let error = error.unwrap().to_string();
            assert!(error.contains("pgraph/exec/seed has mode 0707"), "{error}");
        }
    }
    assert!(desk.log().is_empty());
}

/// What is refused before anything runs, by a run and by a plan, with the prefix at `state`.
async fn refused(state: &std::path::Path, file: FileBuilder, what: &str) {
    let graph = || {
        let mut g = Graph::new("graph");
        g.add(file.clone());
        g.finish().unwrap()
    };
    let builder = || Engine::builder().graph(graph()).prefix(state);
    for error in [within(builder().start()).await.err(), within(builder().plan()).await.err()] {
        let error = error.unwrap_or_else(|| panic!("not refused: {what}")).to_string();
        assert!(error.contains(what) && error.contains("the engine keeps its own state in"), "{error}");
        assert!(error.contains("prefix.rs:"), "{error}");
    }
}

#[tokio::test]
async fn a_graph_that_would_remove_the_engines_own_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, link, state) = (dir.path().join("tree"), dir.path().join("link"), dir.path().join("tree/a/state"));
    fs::create_dir_all(&tree).unwrap();
    std::os::unix::fs::symlink(&tree, &link).unwrap();
    let at = |path: std::path::PathBuf| File::new(path.to_str().unwrap());
    let slash = |path: &std::path::Path| format!("{}/", path.display());
    refused(&state, File::new(slash(&tree)).purge(true).recurse(true), "may remove what is at").await;
    refused(&state, File::new(slash(&tree)).purge(true), "may remove what is at").await;
    refused(&state, File::new(slash(&dir.path().join("tree/a"))).absent(), "may remove what is at").await;
    refused(&state, at(tree.join("a")).content("x").force(true), "may remove what is at").await;
    refused(&state, File::new(slash(&state)).purge(true), "may remove what is at").await;
    refused(&state, File::new(slash(&state.join("pgraph/exec"))).purge(true), "may remove what is at").await;
    refused(&state, at(state.join("journal.redb")).content("x"), "owns").await;
    refused(&state, at(state.join("journal.redb.corrupt-1")).content("x"), "owns").await;
    refused(&state, File::new(slash(&state)).mode(0o777), "owns").await;
    refused(&state, File::new(slash(&state.join("pgraph"))), "owns").await;
    refused(&link.join("a/state"), File::new(slash(&state)).mode(0o777), "owns").await;
    // By another spelling, of either.
    refused(&link.join("a/state"), File::new(slash(&tree)).purge(true).recurse(true), "may remove what is at").await;
    fs::create_dir_all(tree.join("a/state")).unwrap();
    refused(&state, File::new(slash(&link.join("a"))).purge(true).recurse(true), "may remove what is at").await;
    refused(&state, File::new(slash(&link.join("a/state"))).mode(0o777), "owns").await;
    // A resource that only keeps something above the prefix does no harm.
    let mut g = Graph::new("graph");
    g.add(File::new(slash(&tree)));
    g.add(File::new(slash(&tree.join("b"))).purge(true).recurse(true));
    // Nor does a file beside what the engine keeps.
    g.add(at(state.join("site.conf")).content("x"));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
}

#[tokio::test]
async fn a_purge_at_a_received_path_spares_the_engines_own_state() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let state = tree.join("a/state");
    fs::create_dir_all(&state).unwrap();
    fs::write(tree.join("a/extra"), "").unwrap();
    let mut g = Graph::new("graph");
    let path = g.add(Exec::new("path").cmd(format!("printf %s {}/", tree.display())));
    g.add(File::new("tree").path(path.stdout()).purge(true).recurse(true));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
    assert!(state.join("journal.lock").exists() && !tree.join("a/extra").exists());
}

/// `other` is another path of `dir`.
struct Bound(std::path::PathBuf);

impl Bound {
    fn new(dir: &std::path::Path, other: &std::path::Path) -> Bound {
        fs::create_dir_all(other).unwrap();
        let status = std::process::Command::new("mount").arg("--bind").args([dir, other]).status().unwrap();
        assert!(status.success());
        Bound(other.to_owned())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_purge_through_a_bind_mount_spares_the_engines_own_state() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, other) = (dir.path().join("tree"), dir.path().join("other"));
    let state = tree.join("a/state");
    fs::create_dir_all(&state).unwrap();
    let _bound = Bound::new(&tree, &other);
    for recurse in [true, false] {
        fs::write(tree.join("extra"), "").unwrap();
        let mut g = Graph::new("graph");
        g.add(File::new(format!("{}/", other.display())).purge(true).recurse(recurse));
        let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
        within(run.engine.converged()).await.unwrap();
        run.stop().await;
        assert!(state.join("journal.lock").exists() && !tree.join("extra").exists());
    }
    for (path, what) in [("other/a", "absent"), ("other/a/state", "purge"), ("other/a/state/pgraph", "purge")] {
        let file = File::new(format!("{}/", dir.path().join(path).display()));
        let mut g = Graph::new("graph");
        g.add(if what == "absent" { file.absent() } else { file.purge(true) });
        fs::create_dir_all(state.join("pgraph")).unwrap();
        fs::set_permissions(state.join("pgraph"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
        run.find(|kind| format!("{kind:?}").contains("own state").then_some(())).await;
        run.stop().await;
        assert!(state.join("journal.lock").exists(), "{path}");
    }
}

#[tokio::test]
async fn a_purge_spares_the_files_that_the_program_names() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("a")).unwrap();
    for name in ["extra", "a/status", "a/extra"] {
        fs::write(tree.join(name), "").unwrap();
    }
    let mut g = Graph::new("graph");
    g.add(File::new(format!("{}/", tree.display())).purge(true).recurse(true));
    let builder = Engine::builder().graph(g.finish().unwrap()).spare([tree.join("a/status")]);
    let run = Run::start(builder.prefix(dir.path().join("prefix"))).await;
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
    let left = ["extra", "a/status", "a/extra"].map(|name| tree.join(name).exists());
    assert_eq!(left, [false, true, false]);
}

#[tokio::test]
async fn a_copy_of_a_tree_leaves_out_the_engines_own_state() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("s/d/state");
    fs::create_dir_all(&state).unwrap();
    fs::write(dir.path().join("s/d/f"), "x").unwrap();
    let at = |name: &str| format!("{}/", dir.path().join(name).display());
    let mut g = Graph::new("graph");
    let saved = g.add(Password::new("p").saved(true));
    g.add(File::new(at("t")).source(at("s")).recurse(true).after(&saved));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
    within(run.engine.converged()).await.unwrap();
    assert!(state.join("pgraph/password/p/password").exists());
    fs::write(dir.path().join("s/d/f"), "y").unwrap();
    within(async {
        while fs::read_to_string(dir.path().join("t/d/f")).unwrap() != "y" {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    run.stop().await;
    let copied = fs::read_dir(dir.path().join("t/d")).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(copied.collect::<Vec<_>>(), ["f"]);
}

#[tokio::test]
async fn a_journal_that_is_deleted_alone_while_an_engine_runs_is_written_again() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let prefix = dir.path().join("prefix");
    let mut g = Graph::new("graph");
    g.add(Password::new("p"));
    g.add(desk.probe("a").want("x"));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&prefix)).await;
    within(run.engine.converged()).await.unwrap();
    let file = prefix.join("journal.redb");
    let size = || fs::metadata(&file).map(|file| file.len()).unwrap_or(0);
    assert!(size() > 0);
    for _ in 0..3 {
        fs::remove_file(&file).unwrap();
        within(async {
            while size() == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    run.stop().await;
}

#[tokio::test]
async fn a_copy_of_a_tree_leaves_what_the_engine_has_at_its_target() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("t/d/state");
    fs::create_dir_all(dir.path().join("s/d/state/pgraph")).unwrap();
    for name in ["f", "state/journal.redb", "state/pgraph/x"] {
        fs::write(dir.path().join("s/d").join(name), "of a backup").unwrap();
    }
    let at = |name: &str| format!("{}/", dir.path().join(name).display());
    let mut g = Graph::new("graph");
    g.add(File::new(at("t")).source(at("s")).recurse(true).purge(false));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
    within(run.engine.converged()).await.unwrap();
    fs::write(dir.path().join("s/d/state/journal.redb"), "of another backup").unwrap();
    fs::write(dir.path().join("s/d/f"), "y").unwrap();
    within(async {
        while fs::read_to_string(dir.path().join("t/d/f")).unwrap() != "y" {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    run.stop().await;
    assert!(!state.join("pgraph/x").exists());
    assert!(!fs::read(state.join("journal.redb")).unwrap_or_default().starts_with(b"of a"));
}

/// The status and the body of the answer to this request.
fn get(url: &str, path: &str) -> (String, Vec<u8>) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&answer[9..12]).into_owned(), answer[end + 4..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_keeps_is_not_served_by_whatever_path() {
    let dir = tempfile::tempdir().unwrap();
    let (root, state) = (dir.path().join("root"), dir.path().join("root/d/state"));
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(root.join("d/f"), "x").unwrap();
    std::os::unix::fs::symlink("d/state", root.join("link")).unwrap();
    let mut g = Graph::new("graph");
    let saved = g.add(Password::new("p").saved(true));
    let server = g.add(HttpServer::new("web").address("127.0.0.1:0").root(&root).after(&saved));
    g.add(HttpFile::new("/direct").source(&state));
    g.add(HttpFile::new("/journal").source(state.join("journal.redb")));
    g.add(File::new(dir.path().join("url").to_str().unwrap()).content(server.url()));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
    within(run.engine.converged()).await.unwrap();
    assert!(state.join("pgraph/password/p/password").exists() && state.join("journal.redb").exists());
    let url = fs::read_to_string(dir.path().join("url")).unwrap();
    assert_eq!(get(&url, "/d/f"), ("200".to_owned(), b"x".to_vec()));
    let password = "pgraph/password/p/password";
    for at in ["/d/state/", "/link/", "/direct/"] {
        for file in [password, "journal.redb", "journal.lock", ""] {
            assert_eq!(get(&url, &format!("{at}{file}")).0, "404", "{at}{file}");
        }
    }
    assert_eq!(get(&url, "/journal").0, "404");
    run.stop().await;
}
