//! `plan`, `check`, `graph`: what they print, and their exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::kit::program::{Program, act, example};

/// Its output, without the test's directory and the times.
fn golden(text: &str, dir: &Path) -> String {
    text.replace(&dir.display().to_string(), "DIR")
}

const PLAN: &str = "\
~ file[DIR/site/]
    state: absent → directory
    mode: none → 0755
~ exec[seed]
    cmd: not run yet → run `printf 7`
? file[DIR/site/seed]: not known until exec[seed] has run
~ file[DIR/site/motd]
    state: absent → regular file
    content: nothing → 12 bytes
      @@ -0,0 +1,2 @@
      +hello
      +world
    mode: none → 0644
↻ exec[reload]
    asked to refresh, since file[DIR/site/motd] would change
3 to repair, 1 to refresh, 1 not known yet
";

#[test]
fn a_plan_says_what_would_be_done_and_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plan = act("site", dir.path()).arg("plan").run().code(2);
    assert_eq!(golden(&plan.out, dir.path()), PLAN);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "not even the prefix is made");
    let again = act("site", dir.path()).arg("plan").run().code(2);
    assert_eq!(again.out, plan.out);
}

#[test]
fn a_plan_with_nothing_to_do_exits_with_0_and_a_drifted_file_is_a_diff() {
    let dir = tempfile::tempdir().unwrap();
    act("wide", dir.path()).args("-t 0").run().code(0);
    let plan = act("wide", dir.path()).arg("plan").run().code(0);
    assert_eq!(plan.out, "60 in sync\n");
    fs::write(dir.path().join("7"), "seven\n").unwrap();
    let plan = act("wide", dir.path()).arg("plan").run().code(2);
    let expected = "~ file[DIR/7]\n    content: 6 bytes → 2 bytes\n      @@ -1 +1 @@\n      -seven\n      +7\n1 to repair, 59 in sync\n";
    assert_eq!(golden(&plan.out, dir.path()), expected);
    let plan = act("wide", dir.path()).args("plan --noop").run().code(0);
    assert!(plan.out.ends_with("1 drifted in noop, 59 in sync\n"), "{}", plan.out);
}

#[test]
fn a_plan_as_json_is_data() {
    let dir = tempfile::tempdir().unwrap();
    let plan = act("site", dir.path()).args("plan --json").run().code(2);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["graph"], "act");
    assert_eq!(plan["summary"]["drifted"], 3);
    let motd =
        plan["resources"].as_array().unwrap().iter().find(|entry| entry["id"].as_str().unwrap().ends_with("motd]"));
    let motd = motd.unwrap();
    assert_eq!((&motd["outcome"], &motd["changes"][0]["field"]), (&"drifted".into(), &"state".into()));
    assert!(motd["origin"].as_str().unwrap().starts_with("tests/programs/act.rs:"), "{motd}");
    let reload = plan["resources"].as_array().unwrap().iter().find(|entry| entry["id"] == "exec[reload]").unwrap();
    assert!(reload["refreshed_by"][0].as_str().unwrap().ends_with("motd]"));
}

#[test]
fn a_plan_whose_checks_fail_exits_with_1_and_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let plan = act("panics", dir.path()).arg("plan").run().code(1);
    assert_eq!(plan.out, "! panics[odd]: panicked: index out of bounds\n1 failed, 1 in sync\n");
}

#[test]
fn a_wrong_graph_is_told_with_its_lines_and_exits_with_1() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["plan", "check", "graph", "run"] {
        let ended = act("cycle", dir.path()).arg(command).run().code(1);
        assert_eq!(ended.out, "");
        let ended = ended.said("error: ").said("noop[a]").said("noop[b]");
        assert!(ended.err.contains("tests/programs/act.rs:"), "{}", ended.err);
    }
}

#[test]
fn check_says_that_a_graph_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let check = act("site", dir.path()).arg("check").run().code(0);
    assert_eq!(check.out, "act: 5 resources, 4 edges: no problems\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let hello = Program::new(&example("hello")).args("check --prefix /nonexistent/prefix").run().code(0);
    assert_eq!(hello.out, "hello: 2 resources, 1 edge (1 automatic): no problems\n");
}

const DOT: &str = r#"digraph "act" {
  label="act";
  node [shape=box];
  "file[DIR/site/]" [label="file[DIR/site/]"];
  "exec[seed]" [label="exec[seed]"];
  "file[DIR/site/seed]" [label="file[DIR/site/seed]"];
  "file[DIR/site/motd]" [label="file[DIR/site/motd]"];
  "exec[reload]" [label="exec[reload]"];
  "file[DIR/site/]" -> "file[DIR/site/seed]";
  "file[DIR/site/]" -> "file[DIR/site/motd]";
  "file[DIR/site/motd]" -> "exec[reload]" [style=bold];
  "exec[seed]" -> "file[DIR/site/seed]" [label="content"];
}
"#;

const MERMAID: &str = r#"---
title: "act"
---
flowchart TD
  n0["file[DIR/site/]"]
  n1["exec[seed]"]
  n2["file[DIR/site/seed]"]
  n3["file[DIR/site/motd]"]
  n4["exec[reload]"]
  n0 --> n2
  n0 --> n3
  n3 ==> n4
  n1 -->|"content"| n2
"#;

#[test]
fn a_graph_is_printed_as_dot_mermaid_and_data() {
    let dir = tempfile::tempdir().unwrap();
    let graph = |format: &str| {
        let graph = act("site", dir.path()).args("graph --format").arg(format).run().code(0);
        golden(&graph.out, dir.path())
    };
    assert_eq!(graph("dot"), DOT);
    assert_eq!(graph("mermaid"), MERMAID);
    let data: serde_json::Value = serde_json::from_str(&graph("json")).unwrap();
    assert_eq!(data["resources"][1]["fields"], serde_json::json!({ "cmd": "printf 7", "shell": "/bin/sh" }));
    assert_eq!(data["sends"][0]["from"], serde_json::json!([["exec[seed]", "stdout"]]));
    assert_eq!(data["edges"].as_array().unwrap().len(), 4);
}

#[test]
fn a_drawn_graph_is_well_formed_whatever_the_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("graph.svg");
    for scene in ["site", "names"] {
        act(scene, dir.path()).args("graph --svg").arg(&file).run().code(0);
        let svg = fs::read_to_string(&file).unwrap();
        let elements = xml(&svg).unwrap_or_else(|problem| panic!("{problem}:\n{svg}"));
        assert!(elements.iter().filter(|name| *name == "text").count() >= 3, "{elements:?}");
        assert_eq!(elements[0], "svg");
    }
    let error = act("site", dir.path()).args("graph --svg /nonexistent/graph.svg").run().code(1);
    error.said("/nonexistent/graph.svg can't be written");
}

/// The elements of a document in the order of their starts, if it is well-formed. (Only what a picture needs: elements,
/// attributes, texts.)
fn xml(text: &str) -> Result<Vec<String>, String> {
    let (mut open, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        plain(&rest[..start])?;
        let end = rest[start..].find('>').ok_or("an element without an end")? + start;
        let (tag, after) = (&rest[start + 1..end], &rest[end + 1..]);
        rest = after;
        if tag.starts_with('?') || tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop().as_deref() != Some(name.trim()) {
                return Err(format!("`</{name}>` closes another element"));
            }
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
        let attributes = tag[name.len()..].split('"').collect::<Vec<_>>();
        if attributes.len() % 2 == 0 {
            return Err(format!("quotes in `<{tag}>`"));
        }
        attributes.iter().try_for_each(|part| plain(part))?;
        all.push(name.clone());
        if !closed {
            open.push(name);
        }
    }
    plain(rest)?;
    if open.is_empty() { Ok(all) } else { Err(format!("never closed: {open:?}")) }
}

/// Every `&` begins one of the five entities or a number, and there is no `<`.
fn plain(text: &str) -> Result<(), String> {
    for part in text.split('&').skip(1) {
        let name = part.split_once(';').map(|(name, _)| name).ok_or_else(|| format!("a bare & in `{text}`"))?;
        if !["amp", "lt", "gt", "quot", "apos"].contains(&name) && !name.starts_with('#') {
            return Err(format!("`&{name};` in `{text}`"));
        }
    }
    if text.contains('<') { Err(format!("a bare < in `{text}`")) } else { Ok(()) }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["plan", "graph", "--help"] {
        let mut program = act("wide", dir.path());
        let mut child = program.arg(command).command.stdout(Stdio::piped()).spawn().unwrap();
        // No process will ever read it.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !said.contains("panicked") && output.status.code().is_some_and(|code| code != 101),
            "{command}: {said}"
        );
    }
}

/// All files below, but for those that are to hold the secrets.
fn files(dir: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if !["secret", "kept"].iter().any(|name| path.ends_with(name)) {
            into.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn a_secret_is_in_no_output() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = String::new();
    let mut keep = |args: &str| {
        let mut program = act("secret", dir.path());
        program.args(args).env("RUST_LOG", "trace");
        // Slow, so only once.
        program.env("RUST_BACKTRACE", if args.ends_with("json") && args.starts_with("-t") { "full" } else { "0" });
        let ended = program.run();
        said.push_str(&format!("{}{}", ended.out, ended.err));
    };
    let pictures = dir.path().join("picture.svg");
    for command in ["plan", "plan --json", "graph", "graph --format json", "graph --format mermaid", "check"] {
        keep(command);
    }
    keep(&format!("graph --svg {}", pictures.display()));
    keep("-t 0 -vv --log json");
    let password = fs::read_to_string(dir.path().join("secret")).unwrap();
    assert_eq!(password.len(), 32);
    for command in ["-t 0 -vv", "plan", "plan --json", "-t 0 --noop", "-t 0"] {
        fs::write(dir.path().join("kept"), "something else\n").unwrap();
        keep(command);
    }
    assert_eq!(fs::read_to_string(dir.path().join("kept")).unwrap(), "canary-in-the-graph");
    // A new one is made where its text is needed again.
    let last = fs::read_to_string(dir.path().join("secret")).unwrap();
    let mut left = vec![(PathBuf::from("what was said"), said.clone().into_bytes())];
    files(dir.path(), &mut left);
    for wanted in ["picture.svg", "journal.redb"] {
        assert!(left.iter().any(|(path, _)| path.ends_with(wanted)), "{wanted} is looked at: {left:?}");
    }
    for secret in [password.as_str(), &last, "canary-in-the-graph"] {
        for (path, content) in &left {
            let found = content.windows(secret.len()).position(|part| part == secret.as_bytes());
            let around = |at: usize| String::from_utf8_lossy(&content[at.saturating_sub(300)..at]).into_owned();
            assert!(found.is_none(), "{} shows {secret} after:\n{}", path.display(), around(found.unwrap()));
        }
    }
    // It was there to be shown.
    for wanted in [
        "out (secret)",
        "err (secret)",
        "failed with exit code 3: err (secret)",
        "SIGKILL",
        "exit code 4",
        "`REFUSED` can't be a variable",
        "it all began with Confesses",
    ] {
        assert!(said.contains(wanted), "nothing says `{wanted}`:\n{said}");
    }
}

#[test]
fn every_program_prints_its_schema_its_completions_and_its_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    // A program that has our options within its own, and a kind of its own.
    let act = |args: &str| act("site", dir.path()).args(args).run().code(0).out;
    let schema: serde_json::Value = serde_json::from_str(&act("schema")).unwrap();
    let kinds = &schema["properties"]["resources"]["properties"];
    assert!(kinds["file"].is_object() && kinds["talks"]["items"]["properties"]["calm"].is_object());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = act(&format!("completion {shell}"));
        assert!(script.contains("scene") && script.contains("converged-timeout") && script.contains("act"), "{shell}");
    }
    let page = act("man");
    assert!(page.contains(".TH act") && page.contains("scene") && page.contains(".SS \"act plan\""), "{page}");
    // And one that is made with `mgmt::main`.
    let hello = |args: &str| Program::new(&example("hello")).args(args).run().code(0).out;
    assert!(serde_json::from_str::<serde_json::Value>(&hello("schema")).is_ok());
    assert!(hello("completion bash").contains("_hello()") && hello("man").contains(".TH hello"));
}
