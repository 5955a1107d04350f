//! The files of this machine that a graph as data reads: sent again when they change, while the run lasts.

use std::fs::File as StdFile;
use std::process::Child;
use std::time::Duration;

use crate::desk::{Desk, signal, silent_session, text, wait};

/// A graph that copies a file and a directory of this machine.
fn graph(desk: &Desk) -> String {
    let at = |name: &str| desk.path(name).display().to_string();
    format!(
        "graph: g\nresources:\n  file:\n  - name: {}\n    source: {}\n  - name: {}/\n    source: {}/\n    recurse: true\n",
        at("out"),
        at("source"),
        at("copy"),
        at("tree")
    )
}

/// A desk with that graph in `g.yaml`, and what it reads.
fn laid(source: &str) -> Desk {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("tree")).unwrap();
    desk.write("source", source);
    desk.write("g.yaml", &graph(&desk));
    desk
}

/// A run whose log is in the file `log`. It counts the graphs that are put in force.
fn started(desk: &Desk, words: &[&str]) -> Child {
    let mut command = desk.mgmt(&[&["remote", "run", "local:a"], words].concat());
    command.env("RUST_LOG", "mgmt=debug");
    silent_session(&command).stderr(StdFile::create(desk.path("log")).unwrap()).spawn().unwrap()
}

fn swaps(desk: &Desk) -> usize {
    desk.read("log").unwrap_or_default().matches("another graph is in force").count()
}

fn stopped(desk: &Desk, mut run: Child) {
    signal(&run, "-INT");
    assert_eq!(run.wait().unwrap().code(), Some(0), "{:?}", desk.read("log"));
}

#[test]
fn a_file_that_a_graph_as_data_names_is_sent_again_when_it_changes_here() {
    let desk = laid("one\n");
    std::fs::write(desk.path("tree/member"), "one\n").unwrap();
    let mut run = started(&desk, &["--yaml", "g.yaml", "--watch"]);
    let copied = |text: &'static str| move |desk: &Desk| desk.read("out").as_deref() == Some(text);
    wait(&mut run, "one", || copied("one\n")(&desk) && desk.path("copy/member").exists());
    // Replaced by rename, and written in place.
    desk.write("source", "two\n");
    wait(&mut run, "two", || copied("two\n")(&desk));
    std::fs::write(desk.path("source"), "three\n").unwrap();
    wait(&mut run, "three", || copied("three\n")(&desk));
    std::fs::write(desk.path("tree/member"), "two\n").unwrap();
    std::fs::write(desk.path("tree/another"), "new\n").unwrap();
    let members = || (desk.read("copy/member"), desk.read("copy/another"));
    wait(&mut run, "the members", || members() == (Some("two\n".to_owned()), Some("new\n".to_owned())));
    // A file that is gone leaves the one before in force, with one warning, and comes back.
    std::fs::remove_file(desk.path("source")).unwrap();
    let has = |text: &str| desk.read("log").is_some_and(|log| log.contains(text));
    wait(&mut run, "kept", || has("the files of the graph are not sent, the old ones stay there"));
    std::fs::remove_file(desk.path("out")).unwrap();
    wait(&mut run, "three is kept", || copied("three\n")(&desk));
    std::fs::write(desk.path("tree/another"), "newer\n").unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let log = desk.read("log").unwrap();
    assert_eq!(log.matches("the files of the graph are not sent").count(), 1, "{log}");
    desk.write("source", "four\n");
    wait(&mut run, "four", || copied("four\n")(&desk) && desk.read("copy/another").as_deref() == Some("newer\n"));
    // A wrong graph does not keep the files of the one in force from being followed; the next graph has others.
    desk.write("g.yaml", "graph: g\nresources: {fil: []}\n");
    wait(&mut run, "refused", || has("the new graph is refused"));
    desk.write("source", "five\n");
    wait(&mut run, "five", || copied("five\n")(&desk));
    desk.write("g.yaml", &graph(&desk).replace("/source", "/other"));
    wait(&mut run, "no file", || has("/other: not on this machine"));
    desk.write("other", "six\n");
    wait(&mut run, "six", || copied("six\n")(&desk));
    stopped(&desk, run);
}

#[test]
fn many_fast_saves_are_few_sendings_and_what_stays_the_same_is_not_sent() {
    let desk = laid("first\n");
    // A program prints the graph.
    let mut run = started(&desk, &["--command", "cat g.yaml", "--watch"]);
    wait(&mut run, "first", || desk.read("out").as_deref() == Some("first\n"));
    for n in 0..100 {
        desk.write("source", &format!("{n}\n"));
        std::thread::sleep(Duration::from_millis(5));
    }
    wait(&mut run, "the last one", || desk.read("out").as_deref() == Some("99\n"));
    wait(&mut run, "it is told", || swaps(&desk) > 0);
    let count = swaps(&desk);
    assert!(count < 10, "{count} sendings");
    // It is away for a moment.
    std::fs::rename(desk.path("source"), desk.path("away")).unwrap();
    std::fs::rename(desk.path("away"), desk.path("source")).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(swaps(&desk), count, "{:?}", desk.read("log"));
    stopped(&desk, run);
}

#[test]
fn files_are_followed_until_all_have_converged_and_not_without_watching() {
    let desk = laid("one\n");
    let mut run = started(&desk, &["--yaml", "g.yaml", "-t", "3"]);
    wait(&mut run, "one", || desk.read("out").as_deref() == Some("one\n"));
    desk.write("source", "two\n");
    assert_eq!(run.wait().unwrap().code(), Some(0), "{:?}", desk.read("log"));
    assert_eq!(desk.read("out").as_deref(), Some("two\n"), "{:?}", desk.read("log"));
    let mut run = started(&desk, &["--yaml", "g.yaml", "--watch", "--no-watch"]);
    wait(&mut run, "it runs", || desk.read("log").is_some_and(|log| log.contains("a: converged")));
    desk.write("source", "three\n");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((desk.read("out").as_deref(), swaps(&desk)), (Some("two\n"), 0));
    // It is read again when that is asked for.
    signal(&run, "-HUP");
    wait(&mut run, "three", || desk.read("out").as_deref() == Some("three\n"));
    stopped(&desk, run);
    let plan = desk.run(&["remote", "plan", "local:a", "--yaml", "g.yaml", "-q"]);
    assert_eq!(text(&plan.stdout), "a: 2 in sync\n", "{}", text(&plan.stderr));
}
