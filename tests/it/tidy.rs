//! The rules of the house, checked by reading the source. `tidy/facts.rs` reads, `tidy/rules.rs` and `tidy/words.rs`
//! judge, `tidy/bites.rs` shows that each rule bites.

mod bites;
mod facts;
mod rules;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use facts::Facts;
use rules::{Place, Problem};

/// Module, its layer, and what it may use: always of a lower layer. A module not named here may not exist.
const MAY_USE: &[(&str, u8, &[&str])] = &[
    ("id", 0, &[]),
    ("dag", 1, &[]),
    ("sys", 1, &["id"]),
    ("scheduler", 2, &["id"]),
    ("resource", 2, &["id", "sys"]),
    ("journal", 2, &["id", "sys"]),
    ("graph", 3, &["id", "dag", "resource"]),
    ("resources", 3, &["id", "sys", "resource"]),
    ("world", 3, &["id", "sys", "resource"]),
    ("gapi", 4, &["id", "sys", "resource", "graph", "resources"]),
    ("plan", 4, &["id", "resource"]),
    ("runtime", 5, &["id", "dag", "sys", "scheduler", "resource", "journal", "graph", "gapi", "plan"]),
    ("remote", 6, &["id", "sys", "resource", "graph", "world", "gapi", "plan", "runtime"]),
    ("guide", 7, &[]),
    (
        "cli",
        7,
        &["id", "sys", "resource", "journal", "graph", "resources", "world", "gapi", "plan", "runtime", "remote"],
    ),
    ("prelude", 7, &["resource", "graph", "resources", "gapi", "remote"]),
    ("testing", 7, &["id", "sys", "resource", "journal", "graph", "resources", "gapi", "plan", "runtime"]),
];

/// Files that name a module above their own, and why.
const UPWARDS: &[(&str, &str, &str)] = &[(
    "mgmt/src/gapi/builtin.rs",
    "remote",
    "the list of the built-in kinds: this one runs a whole engine on another host, so it can't be below the engine, and \
     graphs given as data must find it all the same; nothing of it is called here",
)];

/// No async, no clock, no files, no randomness.
const PURE: &[&str] = &["id", "dag", "scheduler", "graph", "plan"];
/// Future and Stream only.
const NO_TOKIO: &[&str] = &["resource"];
/// The only module with raw system calls.
const SYSTEM: &str = "sys";

/// Most code lines of a file.
const FILE_LINES_MAX: usize = 400;
/// Most code lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Most lines of an example, comments and all: people read it whole.
const EXAMPLE_LINES_MAX: usize = 120;

/// Where Rust files may stand, and no others: nothing is left lying about.
const HOUSE: &[&str] = &["examples/", "mgmt-macros/src/", "mgmt/benches/", "mgmt/src/", "mgmt/tests/", "tests/"];

/// Files that are longer, and why: `("mgmt/src/sys/inotify.rs", "one state machine, worse in two halves")`.
const LONG_FILES: &[(&str, &str)] = &[];
/// Functions that are longer, and why: `("mgmt/src/cli/args.rs parse", "one flat match over all options")`.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// Files with `unsafe`, and why: `("mgmt/src/sys/foreign.rs", "the library has no other interface")`.
const UNSAFE_FILES: &[(&str, &str)] = &[(
    "mgmt/src/sys/libvirt/events.rs",
    "libvirt reports events by function pointers, and its crate has no call for them",
)];

/// Names that are vague, and why they stay for now.
const VAGUE_NAMES: &[(&str, &str)] = &[
    ("Services", "an inner type, given to operations by the engine alone"),
    ("Core", "all state of the engine, or of the hub, each owned by one loop"),
    ("core", "the modules of these types"),
];

/// Prose that is not plain yet, a line a file: at most that many problems.
const WAIVED_PROSE: &str = include_str!("tidy/waived_prose.txt");

/// Every Rust file of the workspace, read once.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let root = root();
    let mut paths = vec![];
    rust_files(&root, &mut paths);
    paths.sort();
    paths.iter().map(|path| File::read(&root, path)).collect()
});

/// The workspace as it is now, not as it was built: two working copies may share one target directory.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

struct File {
    /// Relative to the root of the workspace, with slashes.
    path: String,
    place: Place,
    text: String,
    facts: Result<Facts, String>,
}

impl File {
    fn read(root: &Path, path: &Path) -> File {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let place = Place::of(&path);
        let facts = Facts::read(&text, place.test);
        File { path, place, text, facts }
    }
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                rust_files(&path, out);
            }
        } else if name.ends_with(".rs") {
            out.push(path);
        }
    }
}

/// Judges each file by one rule, and fails with every breach there is.
fn hold(rule: impl Fn(&Place, &Facts) -> Vec<Problem>) {
    assert!(FILES.len() > 20, "too few files found: is this the root of the workspace?");
    let mut bad = vec![];
    for file in FILES.iter() {
        match &file.facts {
            Ok(facts) => bad.extend(rule(&file.place, facts).iter().map(|p| format!("{}:{p}", file.path))),
            // A case for the compiler's messages need not be Rust.
            Err(_) if file.place.test => {}
            Err(why) => bad.push(format!("{}: {why}", file.path)),
        }
    }
    complain(&bad);
}

fn complain(bad: &[String]) {
    assert!(bad.is_empty(), "\n{}\n", bad.join("\n"));
}

#[test]
fn the_table_of_modules_goes_downwards_only() {
    complain(&rules::table(MAY_USE));
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let found = FILES.iter().filter_map(|f| {
        let facts = f.facts.as_ref().ok()?;
        Some((f.path.as_str(), rules::layers(&f.place, facts, MAY_USE)))
    });
    complain(&rules::but_upwards(found, UPWARDS));
}

#[test]
fn nobody_reaches_over_two_parents() {
    hold(|_, facts| rules::no_super_super(facts));
}

#[test]
fn pure_modules_name_no_async_no_clock_no_files_and_no_randomness() {
    hold(|place, facts| rules::pure(place, facts, PURE, NO_TOKIO));
}

#[test]
fn raw_system_calls_are_made_in_one_module() {
    hold(|place, facts| rules::system(place, facts, SYSTEM));
}

#[test]
fn subscriptions_at_a_bus_are_not_dropped_in_the_middle() {
    let parsed = FILES.iter().filter_map(|f| Some((&f.path, f.facts.as_ref().ok()?)));
    let bad: Vec<_> = parsed
        .flat_map(|(path, facts)| rules::subscriptions(path, facts).into_iter().map(move |p| format!("{path}:{p}")))
        .collect();
    complain(&bad);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let bad: Vec<_> = FILES.iter().flat_map(|f| rules::header(&f.text).map(|p| format!("{}:{p}", f.path))).collect();
    complain(&bad);
}

#[test]
fn every_file_stands_in_a_room_of_the_house() {
    complain(&FILES.iter().filter_map(|f| rules::room(&f.path, HOUSE)).collect::<Vec<_>>());
}

#[test]
fn a_mod_rs_holds_no_code() {
    hold(rules::mod_rs);
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    hold(|_, facts| rules::attributes(facts));
}

#[test]
fn nothing_is_unsafe_but_what_is_named() {
    let found = FILES.iter().filter_map(|file| Some((file.path.as_str(), rules::no_unsafe(file.facts.as_ref().ok()?))));
    complain(&rules::waived(found, UNSAFE_FILES));
}

#[test]
fn files_are_short_or_waived() {
    let lines = FILES
        .iter()
        .filter(|f| f.place.is_shipped())
        .filter_map(|f| Some((f.path.clone(), f.facts.as_ref().ok()?.lines)));
    complain(&rules::limit(lines, FILE_LINES_MAX, LONG_FILES));
}

#[test]
fn functions_are_short_or_waived() {
    let functions = FILES.iter().filter(|f| f.place.is_shipped()).filter_map(|f| Some((f, f.facts.as_ref().ok()?)));
    let lines =
        functions.flat_map(|(f, facts)| facts.functions.iter().map(|(name, n)| (format!("{} {name}", f.path), *n)));
    complain(&rules::limit(lines, FUNCTION_LINES_MAX, LONG_FUNCTIONS));
}

#[test]
fn examples_fit_on_a_page() {
    let lines =
        FILES.iter().filter(|f| f.path.starts_with("examples/")).map(|f| (f.path.clone(), f.text.lines().count()));
    complain(&rules::limit(lines, EXAMPLE_LINES_MAX, &[]));
}

#[test]
fn the_table_grants_nothing_that_no_file_uses() {
    let files = FILES.iter().filter_map(|f| Some((&f.place, f.facts.as_ref().ok()?)));
    complain(&rules::stale_grants(files, MAY_USE));
}

#[test]
fn types_and_modules_have_names_that_tell_what_they_are() {
    let mut bad = vec![];
    for file in FILES.iter().filter(|f| f.place.is_shipped()) {
        let Ok(facts) = &file.facts else { continue };
        bad.extend(
            words::names(&facts.names).into_iter().map(|(name, problem)| (name, format!("{}:{problem}", file.path))),
        );
    }
    let is_waived = |name: &str| VAGUE_NAMES.iter().any(|(waived, _)| *waived == name);
    let vague = bad.iter().filter(|(name, _)| !is_waived(name)).map(|(_, what)| what.clone());
    let stale = VAGUE_NAMES.iter().filter(|(waived, _)| !bad.iter().any(|(name, _)| name == waived));
    complain(&vague.chain(stale.map(|(waived, _)| format!("`{waived}`: waived, but not there"))).collect::<Vec<_>>());
}

#[test]
fn prose_is_plain_or_waived() {
    let root = root();
    let mut texts: Vec<(String, String)> = FILES
        .iter()
        .filter(|f| f.place.is_shipped() || f.path.starts_with("examples/"))
        .map(|f| (f.path.clone(), f.text.clone()))
        .collect();
    let notes = fs::read_dir(root.join("mgmt/docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let notes = notes.map(|name| format!("mgmt/docs/{}", name.to_str().unwrap()));
    let documents = ["README.md", "CHANGELOG.md", "mgmt/ARCHITECTURE.md"].map(str::to_owned);
    texts.extend(documents.into_iter().chain(notes).map(|path| {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        (path, text)
    }));
    let prose = |(path, text): &(String, String)| (path.clone(), words::prose(text, path.ends_with(".rs")));
    let mut found: BTreeMap<String, Vec<Problem>> = texts.iter().map(prose).collect();
    for file in FILES.iter().filter(|file| file.place.is_shipped()) {
        let Ok(facts) = &file.facts else { continue };
        found.entry(file.path.clone()).or_default().extend(words::messages(&facts.texts));
    }
    complain(&words::over(&found, &words::waivers(WAIVED_PROSE)));
}

#[test]
fn every_kind_is_registered_and_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let registered: Vec<_> = mgmt::resources::kinds().iter().map(|kind| kind.spec.kind).collect();
    // Those of modules above the engine, which this build may lack.
    let above = fs::read_to_string(root().join("mgmt/src/gapi/builtin.rs")).unwrap();
    let mut declared = vec![];
    let rooms = ["mgmt/src/resources/", "mgmt/src/remote/"];
    for file in FILES.iter().filter(|f| rooms.iter().any(|room| f.path.starts_with(room)) && !f.place.test) {
        let kinds = file.text.lines().filter_map(|line| line.trim().strip_prefix("#[resource(kind = \""));
        declared.extend(kinds.filter_map(|rest| Some((file.path.as_str(), rest.split('"').next()?))));
    }
    assert!(declared.len() >= registered.len(), "{declared:?}");
    let is_above = |path: &str, kind: &str| {
        let name: String = kind[..1].to_uppercase() + &kind[1..];
        path.starts_with("mgmt/src/remote/") && above.contains(&format!("with::<{name}>()"))
    };
    let is_missing = |path: &str, kind: &str| {
        !(registered.contains(&kind) || is_above(path, kind)) || !readme.contains(&format!("`{kind}`"))
    };
    let missing = declared.iter().filter(|(path, kind)| is_missing(path, kind));
    let what = |(path, kind): &(&str, &str)| {
        format!("{path}: `{kind}` is not in `mgmt/src/resources/kinds.rs` (or `gapi/builtin.rs`), or not in the README")
    };
    complain(&missing.map(what).collect::<Vec<_>>());
}

#[test]
fn each_statement_of_the_architecture_tells_how_it_is_kept() {
    let text = fs::read_to_string(root().join("mgmt/ARCHITECTURE.md")).unwrap();
    let bad: Vec<_> = words::untagged(&text).iter().map(|p| format!("mgmt/ARCHITECTURE.md:{p}")).collect();
    complain(&bad);
}
