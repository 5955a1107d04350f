//! What rustc says to whoever makes a mistake: the cases in `tests/ui`, one mistake each, beside the message as it is printed.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test --test it ui`, then read the difference like prose.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const CASES: &str = "tests/ui";
/// Set for the child process that compiles copies of the cases in that directory.
const COPIES: &str = "MGMT_UI_COPIES";

struct Case {
    path: PathBuf,
    text: String,
}

impl Case {
    fn name(&self) -> String {
        self.path.file_stem().unwrap().to_str().unwrap().to_owned()
    }

    /// The value of the line `// key: value`.
    fn says(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix("// ")?.strip_prefix(key)?.strip_prefix(": "))
    }

    fn expects(&self) -> &str {
        self.says("expects").unwrap_or_else(|| panic!("{}: no line `// expects: …`", self.path.display()))
    }

    /// How many messages rustc has for it: one, unless it says otherwise.
    fn messages(&self) -> usize {
        self.says("messages").map_or(1, |count| count.parse().expect("a number of messages"))
    }

    /// What is wrong with what rustc said.
    fn judge(&self, stderr: &str) -> Option<String> {
        let messages = stderr.lines().filter(|line| line.starts_with("error") || line.starts_with("warning")).count();
        if !stderr.contains(self.expects()) {
            return Some(format!("{}: nothing says “{}”:\n{stderr}", self.name(), self.expects()));
        }
        (messages != self.messages())
            .then(|| format!("{}: {} messages, not {}:\n{stderr}", self.name(), messages, self.messages()))
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join(CASES)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
    paths.sort();
    assert!(paths.len() > 20, "the cases are gone: {paths:?}");
    paths.into_iter().map(|path| Case { text: fs::read_to_string(&path).unwrap(), path }).collect()
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc runs");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn written_with() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CASES).join("RUSTC");
    fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn one_mistake_is_one_message_with_the_phrase_that_helps() {
    let judged = cases().into_iter().filter_map(|case| {
        let stderr = fs::read_to_string(case.path.with_extension("stderr")).unwrap_or_default();
        case.judge(&stderr)
    });
    let bad: Vec<_> = judged.collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn rustc_tells_each_mistake_as_it_is_written() {
    if let Some(copies) = env::var_os(COPIES) {
        trybuild::TestCases::new().compile_fail(Path::new(&copies).join("*.rs"));
    } else if compiler() == written_with() {
        trybuild::TestCases::new().compile_fail(Path::new(CASES).join("*.rs"));
    } else {
        println!(
            "the messages are written with {}: on {} only their key phrases are compared",
            written_with(),
            compiler()
        );
        compare_phrases();
    }
}

/// Each compiler words its own part of a message in its own way, but ours must be in it, and the case must not compile.
fn compare_phrases() {
    let copies = tempfile::tempdir().unwrap();
    let common = copies.path().join("common");
    fs::create_dir(&common).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(CASES).join("common/kinds.rs");
    fs::copy(from, common.join("kinds.rs")).unwrap();
    let cases = cases();
    for case in &cases {
        fs::copy(&case.path, copies.path().join(case.path.file_name().unwrap())).unwrap();
    }
    // It writes what rustc says beside each copy, and fails if one compiles.
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "ui::rustc_tells_each_mistake_as_it_is_written"])
        .env("TRYBUILD", "overwrite")
        .env(COPIES, copies.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let judged = cases.iter().filter_map(|case| {
        let stderr = copies.path().join(case.name()).with_extension("stderr");
        let stderr = fs::read_to_string(stderr).unwrap_or_default();
        (!stderr.contains(case.expects()))
            .then(|| format!("{}: nothing says “{}”:\n{stderr}", case.name(), case.expects()))
    });
    let bad: Vec<_> = judged.collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
