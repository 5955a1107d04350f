//! The messages of rustc about mistakes: the cases in `tests/ui`, one mistake each, beside the message as it is
//! printed.
//!
//! After a change of a message: `MGMT_UI_OVERWRITE=1 cargo test --test it ui`, then read the difference like prose.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const CASES: &str = "tests/ui";
/// Set for the child process that compiles copies of the cases in that directory.
const COPIES: &str = "MGMT_UI_COPIES";
/// Set to write the messages of rustc to the files.
const OVERWRITE: &str = "MGMT_UI_OVERWRITE";

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

    /// The number of messages that rustc prints for the case: one, unless the case states another.
    fn messages(&self) -> usize {
        self.says("messages").map_or(1, |count| count.parse().expect("a number of messages"))
    }

    /// What is wrong with the message of rustc.
    fn judge(&self, stderr: &str) -> Option<String> {
        let messages = stderr.lines().filter(|line| line.starts_with("error") || line.starts_with("warning")).count();
        if !plain(stderr).contains(self.expects()) {
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
    if env::var_os(OVERWRITE).is_some() {
        return;
    }
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
        // Writes the message of rustc beside each copy, and fails if one compiles.
        return trybuild::TestCases::new().compile_fail(Path::new(&copies).join("*.rs"));
    }
    let cases = cases();
    let said = ask_rustc(&cases);
    let is_written_with = compiler() == written_with();
    if !is_written_with {
        println!("the messages are those of {}: on {} only their key phrases are compared", written_with(), compiler());
    }
    let mut bad = Vec::new();
    for (case, said) in cases.iter().zip(&said) {
        let path = case.path.with_extension("stderr");
        let written = fs::read_to_string(&path).unwrap_or_default();
        if env::var_os(OVERWRITE).is_some() {
            if plain(&written) != plain(said) {
                fs::write(&path, said).unwrap();
            }
        } else if !plain(said).contains(case.expects()) {
            bad.push(format!("{}: nothing says “{}”:\n{said}", case.name(), case.expects()));
        } else if is_written_with && plain(&written) != plain(said) {
            bad.push(format!("{}: rustc says\n{said}\nbut it is written\n{written}", case.name()));
        }
    }
    assert!(bad.is_empty(), "{}\n(`{OVERWRITE}=1` writes what rustc says)", bad.join("\n"));
}

/// The message of rustc for each case.
fn ask_rustc(cases: &[Case]) -> Vec<String> {
    let copies = tempfile::tempdir().unwrap();
    let common = copies.path().join("common");
    fs::create_dir(&common).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(CASES).join("common/kinds.rs");
    fs::copy(from, common.join("kinds.rs")).unwrap();
    for case in cases {
        fs::copy(&case.path, copies.path().join(case.path.file_name().unwrap())).unwrap();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "ui::rustc_tells_each_mistake_as_it_is_written"])
        .env("TRYBUILD", "overwrite")
        .env(COPIES, copies.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let said = |case: &Case| {
        let path = copies.path().join(case.name()).with_extension("stderr");
        fs::read_to_string(path).unwrap().replace(copies.path().to_str().unwrap(), CASES)
    };
    cases.iter().map(said).collect()
}

/// A message without the parts that change whenever anything is added: the list of other types, and the path by which
/// rustc names a type.
fn plain(message: &str) -> String {
    let mut plain = String::new();
    let mut in_list = false;
    for line in message.lines() {
        let start = line.trim_start().trim_start_matches("= ");
        if in_list && !start.starts_with("note: ") && !line.is_empty() {
            continue;
        }
        in_list = start.starts_with("help: the following other types implement trait");
        if !in_list {
            plain.push_str(&without_paths(line));
            plain.push('\n');
        }
    }
    plain
}

/// `std::fmt::Debug` as `Debug`.
fn without_paths(line: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut short = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("::") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        let word =
            before.rfind(|c: char| !is_word(c)).map_or(0, |n| n + before[n..].chars().next().map_or(0, char::len_utf8));
        let is_module = before[word..].starts_with(|c: char| c.is_ascii_lowercase());
        short.push_str(if is_module { &before[..word] } else { &rest[..at + 2] });
        rest = after;
    }
    short + rest
}

#[test]
fn a_message_is_compared_without_what_changes_elsewhere() {
    let one = "a value of type `mgmt::prelude::Output<std::Secret<u8>>`, in `Page::new`, `<a::B as C>::d`\n";
    assert_eq!(plain(one), "a value of type `Output<Secret<u8>>`, in `Page::new`, `<B as C>::d`\n");
    let list = "error: x\n  = help: the following other types implement trait `D`:\n      A\n      B\nnote: y\n";
    assert_eq!(plain(list), "error: x\nnote: y\n");
}
