//! Graphs of every kind and feature, each with the expected final state (`NAME.expect`).

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

/// An archive with the file `member`, which holds `hello`.
fn archive() -> Vec<u8> {
    let mut bytes = vec![0; 512 + 512 + 1024];
    for (at, text) in [
        (0, "member"),
        (100, "0000644\0"),
        (108, "0000000\0"),
        (116, "0000000\0"),
        (124, "00000000005\0"),
        (136, "00000000000\0"),
        // The sum of the header.
        (148, "005713\0 0"),
        (512, "hello"),
    ] {
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    bytes
}

/// A directory with something in it, of which graphs take, and which they change.
fn desk() -> Desk {
    let desk = Desk::new();
    for dir in ["src", "src/sub", "parts", "full", "full/sub", "real"] {
        std::fs::create_dir(desk.path(dir)).unwrap();
    }
    for name in ["old", "gone", "kept", "wrong"] {
        desk.write(name, "was here");
    }
    for (name, text) in [
        ("src/top", "top"),
        ("src/lines", "\n"),
        ("src/sub/deep", "deep"),
        ("parts/10-a", "a"),
        ("parts/20-b", "b"),
        ("full/keep", "kept"),
        ("full/extra", "extra"),
        ("full/sub/deeper", "deeper"),
        ("stale", ""),
    ] {
        desk.write(name, text);
    }
    std::fs::write(desk.path("archive.tar"), archive()).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::open(desk.path("stale")).unwrap().set_modified(long_ago).unwrap();
    std::os::unix::fs::symlink("real", desk.path("via")).unwrap();
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
            // Names may hold blanks; what is wanted begins with a mode, an arrow, or is `absent`.
            let is_wanted = |rest: &str| {
                let word = rest.split(' ').next().unwrap_or_default();
                word == "absent" || word == "->" || word.bytes().all(|byte| byte.is_ascii_digit())
            };
            let cuts = line.match_indices(' ').map(|(place, _)| (&line[..place], &line[place + 1..]));
            let (file, wanted) = cuts.into_iter().find(|(_, rest)| is_wanted(rest)).unwrap();
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
        // It did look: each of these graphs has something to repair, or something to look at that is not there yet.
        let code = output.status.code().unwrap();
        assert!(code == 1 || code == 2, "{}: {code}: {}", path.display(), text(&output.stderr));
    }
}

#[test]
fn kinds_that_this_build_has_not_fail_in_one_clear_line_each_and_nothing_else_does() {
    let desk = desk();
    let output = desk.converge(&std::fs::read_to_string(crate::kit::folder("corpus/absent.yaml")).unwrap(), "0");
    let said = text(&output.stderr);
    for id in ["esphome[it]", "augeas[it]", "aws:ec2[it]", "http:server:ui:input[it]"] {
        let kind = id.split('[').next().unwrap();
        let line = format!("{id}: check failed: this build has no kind `{kind}` (");
        assert_eq!(said.matches(&line).count(), 1, "{id}: {said}");
    }
    assert_eq!(desk.read("alone").as_deref(), Some("alone"));
    assert!(!said.contains("canary-of-absent"));
    assert!(!said.contains("warning:"), "every field is known: {said}");
    let graph = desk.graph(&std::fs::read_to_string(crate::kit::folder("corpus/absent.yaml")).unwrap());
    for command in [&["plan", "--json"][..], &["graph", "--format", "json"], &["graph"]] {
        let output = desk.mgmt(command).args(["--yaml", graph.to_str().unwrap()]).output().unwrap();
        assert!(!text(&output.stdout).contains("canary-of-absent"), "{command:?}: {}", text(&output.stdout));
    }
}

/// Fields that no graph here has: a test that any user may run must not do what they do.
const LEFT_OUT: [&str; 12] = [
    // They need root.
    "exec user",
    "exec group",
    // They write to this machine's logs.
    "msg journal",
    "msg syslog",
    // The graph is refused.
    "test validateerror",
    // They need another server.
    "http:client ca",
    "http:client proxy",
    // They need another host, or a program at a place that differs from build to build.
    "remote arguments",
    "remote become",
    "remote identity",
    "remote program",
    "remote ssh_config",
];

/// Kinds that no graph here has: they need what a booted machine has, or libvirt. Tests in `tests/it` and `mgmt/tests/virt`
/// run YAML with their fields there.
const LEFT_OUT_KINDS: [&str; 5] = ["cron", "hostname", "nspawn", "svc", "virt"];

#[test]
fn the_corpus_has_every_kind_every_field_and_every_metaparameter() {
    let output = Desk::new().mgmt(&["schema"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds = schema["properties"]["resources"]["properties"].as_object().unwrap();
    let mut all = std::collections::BTreeSet::new();
    for (kind, list) in kinds {
        let fields = list["items"]["properties"].as_object().unwrap();
        all.extend(fields.keys().map(|field| format!("{kind} {field}")));
        all.extend(fields["meta"]["properties"].as_object().unwrap().keys().map(|meta| format!("meta {meta}")));
    }
    // The graphs here are written in one manner: kinds are indented by two blanks.
    for path in files("corpus") {
        let mut kind = String::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let key = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':'));
            if let Some(key) = key.filter(|key| kinds.contains_key(*key)) {
                kind = key.to_owned();
            }
            let words: Vec<_> = line.split(['{', ' ', ',']).filter_map(|word| word.strip_suffix(':')).collect();
            for word in words {
                all.remove(&format!("{kind} {word}"));
                if line.contains("meta:") {
                    all.remove(&format!("meta {word}"));
                }
            }
        }
    }
    // `meta` and `recv` are the same for all.
    all.retain(|field| !field.ends_with(" meta") && !field.ends_with(" recv"));
    all.retain(|field| !LEFT_OUT_KINDS.iter().any(|kind| field.starts_with(&format!("{kind} "))));
    assert_eq!(all.iter().map(String::as_str).collect::<Vec<_>>(), {
        let mut left_out = LEFT_OUT;
        left_out.sort_unstable();
        left_out
    });
}
