//! Lines of one file: several resources keep parts of it, beside a `file` that does not declare its content.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mgmt::prelude::*;

use crate::kit::{Run, within};

fn at(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

/// What is wrong with the graph.
fn refusal(graph: Graph) -> String {
    let prepared = mgmt::graph::prepare(graph.finish().unwrap(), &mgmt::graph::Settings::default());
    prepared.map_or_else(|problems| problems.to_string(), |_| String::new())
}

#[tokio::test]
async fn many_lines_and_the_mode_of_one_file_are_kept_and_a_purge_spares_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("d")).unwrap();
    for name in ["hosts", "other"] {
        fs::write(dir.join("d").join(name), "first\n").unwrap();
    }
    let graph = |lines: u32| {
        let mut g = Graph::new("lines");
        let purged = g.add(File::new(at(dir, "d/")).purge(true));
        g.add(File::new(at(dir, "d/hosts")).mode(0o640).after(&purged));
        for n in 0..lines {
            g.add(Line::new(format!("line {n}"), at(dir, "d/hosts")));
        }
        g.add(Line::new("made", at(dir, "d/made")).create(true).after(&purged));
        g.add(Line::new("first", at(dir, "d/hosts")).absent());
        g
    };
    let mut run = Run::new(graph(20)).await;
    run.converged().await;
    let lines = || {
        let text = fs::read_to_string(dir.join("d/hosts")).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let wanted = |lines: u32| {
        let mut all: Vec<_> = (0..lines).map(|n| format!("line {n}")).collect();
        all.sort();
        all
    };
    assert_eq!(lines(), wanted(20));
    assert_eq!(fs::metadata(dir.join("d/hosts")).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_to_string(dir.join("d/made")).unwrap(), "made\n");
    assert!(!dir.join("d/other").exists(), "what no resource keeps is purged");
    // Removed as a whole: the file comes back with everything that is declared.
    fs::remove_file(dir.join("d/hosts")).unwrap();
    within(async {
        while lines() != wanted(20) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    // A line that leaves the graph stays in the file, and is purged no more than before.
    run.engine.swap(graph(19).finish().unwrap()).await.unwrap();
    within(run.engine.converged()).await.unwrap();
    assert_eq!(lines(), wanted(20));
    run.stop().await;
}

#[test]
fn a_line_beside_a_file_that_declares_all_of_it_is_refused_with_both_names() {
    let lines = |file: FileKind| {
        let mut g = Graph::new("g");
        g.add(Line::new("x", "/a/f"));
        file(&mut g);
        refusal(g)
    };
    type FileKind = fn(&mut Graph);
    let whole: [FileKind; 6] = [
        |g| _ = g.add(File::new("/a/f").content("x\n")),
        |g| _ = g.add(File::new("/a/f").source("/b")),
        |g| _ = g.add(File::new("/a/f").fragments(["/b"])),
        |g| _ = g.add(File::new("/a/f").symlink("/b")),
        |g| _ = g.add(File::new("/a/f").absent()),
        |g| {
            let made = g.add(Exec::new("make").cmd("true"));
            g.add(File::new("/a/f").content(made.stdout()));
        },
    ];
    for file in whole {
        let said = lines(file);
        assert!(said.contains("line[x] keeps a part of /a/f, and file[/a/f] all of it"), "{said}");
    }
    let parts: [FileKind; 3] = [
        |g| _ = g.add(File::new("/a/f").mode(0o600).owner("root")),
        |g| _ = g.add(File::new("/a/f").state(FileState::Undefined)),
        |g| _ = g.add(Line::new("y", "/a/./f")),
    ];
    for file in parts {
        assert_eq!(lines(file), "");
    }
}

#[test]
fn one_line_belongs_to_one_resource() {
    let mut g = Graph::new("g");
    g.add(Line::new("x", "/a/f"));
    g.add(Line::new("not x", "/a//f").content("x").absent());
    let said = refusal(g);
    assert!(said.contains("both own the line `x` of `/a/f`"), "{said}");
}

#[tokio::test]
async fn a_swap_that_makes_a_file_whole_is_refused_and_the_lines_stay() {
    let dir = tempfile::tempdir().unwrap();
    let file = at(dir.path(), "f");
    fs::write(&file, "").unwrap();
    let graph = |content: Option<&str>| {
        let mut g = Graph::new("lines");
        g.add(File::new(&file).content(content.map(str::to_owned)));
        g.add(Line::new("x", &file));
        g.finish().unwrap()
    };
    let mut run = Run::start(mgmt::Engine::builder().graph(graph(None))).await;
    run.converged().await;
    let error = run.engine.swap(graph(Some("other\n"))).await.unwrap_err().to_string();
    assert!(error.contains("keeps a part of"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "x\n");
    run.stop().await;
}
