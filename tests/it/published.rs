//! What a package and docs.rs show: links that lead somewhere in both, chapters, features, licences.

use std::fs;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The chapters that `guide.rs` holds: the name of each module and its file.
fn chapters() -> Vec<(String, String)> {
    let guide = read("mgmt/src/guide.rs");
    let files = guide.lines().filter_map(|line| line.strip_prefix("#[doc = include_str!(\"../"));
    let files = files.map(|rest| format!("mgmt/{}", rest.strip_suffix("\")]").unwrap()));
    let modules = guide.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(" {}"));
    let chapters: Vec<_> = modules.map(str::to_owned).zip(files).collect();
    assert_eq!(chapters.len(), 18, "{chapters:?}");
    chapters
}

/// The definitions of links, `[name]: target`, in a text.
fn definitions<'a>(text: &'a str, comment: &str) -> Vec<(&'a str, &'a str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(comment)?.trim_start().strip_prefix("[guide-"));
    lines.filter_map(|line| line.split_once("]: ")).collect()
}

#[test]
fn every_chapter_is_linked_from_the_readme_on_docs_rs_and_elsewhere() {
    let (readme, library) = (read("README.md"), read("mgmt/src/lib.rs"));
    let elsewhere = definitions(&readme, "");
    let on_docs_rs = definitions(&library, "//!");
    for (module, _) in chapters() {
        let name = module.replace('_', "-");
        let url = format!("https://docs.rs/mgmt/latest/mgmt/guide/{module}/");
        assert!(elsewhere.contains(&(&name, &url)), "the README does not define [guide-{name}] as {url}");
        assert!(on_docs_rs.contains(&(&name, &format!("guide::{module}"))), "lib.rs does not define [guide-{name}]");
        assert!(readme.contains(&format!("][guide-{name}]")), "the README does not use [guide-{name}]");
    }
}

/// The anchors that rustdoc and others make of the headings of a text.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect()
}

#[test]
fn links_of_the_readme_and_of_chapters_depend_on_no_place() {
    for path in chapters().into_iter().map(|(_, file)| file).chain(["README.md".to_owned()]) {
        let text = read(&path);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let is_here = target.strip_prefix('#').is_some_and(|anchor| anchors(&text).iter().any(|one| one == anchor));
            let is_anywhere = target.starts_with("https://");
            assert!(is_anywhere || is_here, "{path}: ({target}) leads nowhere on docs.rs or in a package");
        }
        for (name, url) in definitions(&text, "") {
            let module = name.replace('-', "_");
            assert_eq!(url, format!("https://docs.rs/mgmt/latest/mgmt/guide/{module}/"), "{path}");
            assert!(chapters().iter().any(|(chapter, _)| *chapter == module), "{path}: no chapter {module}");
        }
    }
}

#[test]
fn links_into_chapters_lead_to_their_headings() {
    let readme = read("README.md");
    let places = readme
        .lines()
        .filter_map(|line| line.split_once("https://docs.rs/mgmt/latest/mgmt/guide/")?.1.split_once("/#"));
    let places: Vec<_> = places.collect();
    assert!(!places.is_empty());
    for (module, anchor) in places {
        let (_, file) = chapters().into_iter().find(|(chapter, _)| chapter == module).expect(module);
        assert!(anchors(&read(&file)).iter().any(|one| one == anchor), "{file}: no heading for #{anchor}");
    }
}

/// The text of every Rust file below.
fn sources(dir: &Path, all: &mut String) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_tests_of_the_faults_are_there() {
    let mut all = String::new();
    for dir in ["mgmt/src", "mgmt/tests", "tests/it"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut all);
    }
    let text = read("mgmt/docs/faults.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<&str> = tests.split(", ").map(|name| name.trim_matches('`')).collect();
        for name in names {
            assert!(all.contains(&format!("fn {name}()")), "no test `{name}`: {row}");
        }
    }
}

#[test]
fn the_readme_names_the_example_first_and_the_tests_second() {
    let readme = read("README.md");
    let commands: Vec<_> = readme.split("```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert_eq!(commands, ["cargo run --example webserver", "tests/run"]);
}

#[test]
fn every_feature_is_described() {
    let manifest = read("mgmt/Cargo.toml");
    let features = manifest.split("[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<_> = features.lines().filter(|line| !line.starts_with('#')).collect();
    let names = names.iter().filter_map(|line| line.split_once(" = "));
    let (chapter, library) = (read("mgmt/docs/embedding.md"), read("mgmt/src/lib.rs"));
    let default = names.clone().find(|(name, _)| *name == "default").unwrap().1;
    for (name, _) in names.filter(|(name, _)| *name != "default") {
        let is_default = if default.contains(&format!("\"{name}\"")) { "yes" } else { "no" };
        assert!(chapter.contains(&format!("| `{name}` | {is_default} | ")), "embedding.md: `{name}`");
        assert!(
            library.contains(&format!("`{name}` (")) || library.contains(&format!("`{name}` ([")),
            "lib.rs: `{name}`"
        );
    }
}

#[test]
fn the_secret_and_its_message_are_a_case_that_is_compiled() {
    let chapter = read("mgmt/docs/secrets.md");
    let case = read("tests/ui/password_in_a_message.rs");
    let program = &case[case.find("use mgmt").unwrap()..];
    assert!(chapter.contains(program), "not the program:\n{program}");
    let message = read("tests/ui/password_in_a_message.stderr");
    let message = message.split("note: required by").next().unwrap();
    assert!(chapter.contains(message), "not the message:\n{message}");
}

#[test]
fn the_packages_hold_their_licences_and_the_chapters() {
    for (package, wanted) in [("mgmt", &["README.md", "docs/language.md", "src/guide.rs"][..]), ("mgmt-macros", &[])] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut list = Command::new(cargo);
        list.current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = list.args(["package", "--list", "--allow-dirty", "--offline", "-p", package]).output().unwrap();
        let (files, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        for file in ["LICENSE-MIT", "LICENSE-APACHE"].iter().chain(wanted) {
            assert!(files.lines().any(|line| line == *file), "{package}: no {file}\n{files}{said}");
        }
        assert!(!said.contains("warning"), "{package}:\n{said}");
    }
}
