//! Graphs of every kind and feature, each with what is to be there in the end (`NAME.expect`).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::kit::{Desk, files, text};

/// Everything in a directory: type, mode, content.
fn state(dir: &Path) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let mode = meta.permissions().mode() & 0o7777;
            if meta.is_symlink() {
                state.insert(name, format!("-> {}", std::fs::read_link(&path).unwrap().display()));
            } else if meta.is_dir() {
                state.insert(format!("{name}/"), format!("{mode:o}"));
                dirs.push(path);
            } else {
                state.insert(name, format!("{mode:o} {}", text(&std::fs::read(&path).unwrap()).replace('\n', "\\n")));
            }
        }
    }
    state
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("old", "was here");
    desk.write("gone", "was here");
    desk
}

#[test]
fn every_graph_of_the_corpus_ends_as_expected() {
    for path in files("corpus") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = std::fs::read_to_string(path.with_extension("expect")).unwrap();
        let desk = desk();
        let output = desk.converge(&std::fs::read_to_string(&path).unwrap(), "0");
        let said = text(&output.stderr);
        let code = if name == "absent.yaml" { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        let state = state(desk.dir.path());
        for line in expected.lines() {
            let (file, wanted) = line.split_once(' ').unwrap();
            match (wanted, state.get(file).map(|found| found.trim_end())) {
                ("absent", found) => assert_eq!(found, None, "{name}: {file}\n{said}"),
                (wanted, Some(found)) if wanted.ends_with(" ?") => {
                    let (mode, content) = found.split_once(' ').unwrap();
                    assert_eq!(Some(mode), wanted.strip_suffix(" ?"), "{name}: {file}\n{said}");
                    assert!(!content.is_empty(), "{name}: {file} is empty");
                }
                (wanted, found) => assert_eq!(found, Some(wanted), "{name}: {file}\n{said}"),
            }
        }
    }
}

#[test]
fn in_noop_the_whole_corpus_touches_nothing() {
    for path in files("corpus") {
        let desk = desk();
        let before = state(desk.dir.path());
        let graph = desk.graph(&std::fs::read_to_string(&path).unwrap());
        let output = desk
            .mgmt(&["run", "--noop", "--yaml", graph.to_str().unwrap(), "-t", "1", "--max-runtime", "3"])
            .output()
            .unwrap();
        assert_eq!(state(desk.dir.path()), before, "{}: {}", path.display(), text(&output.stderr));
        let output = desk.mgmt(&["plan", "--yaml", graph.to_str().unwrap()]).output().unwrap();
        assert_eq!(state(desk.dir.path()), before, "{}: {}", path.display(), text(&output.stderr));
    }
}

#[test]
fn a_kind_that_this_build_has_not_fails_in_one_clear_line_and_nothing_else_does() {
    let desk = desk();
    let output = desk.converge(&std::fs::read_to_string(crate::kit::folder("corpus/absent.yaml")).unwrap(), "0");
    let said = text(&output.stderr);
    assert!(said.contains("nspawn[nowhere]: failed: this build has no kind `nspawn`"), "{said}");
    assert_eq!(desk.read("alone").as_deref(), Some("alone"));
}
