//! The rules: each takes what was read of a file and returns the breaches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::tidy::facts::{Facts, PathUse};

/// Words that a pure module may not name, wherever they stand in a path.
const IMPURE_WORDS: &[&str] = &[
    "async",
    "await",
    "tokio",
    "futures",
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "getrandom",
    "rand",
    "fastrand",
    "RandomState",
    "rustix",
    "libc",
    "redb",
];
/// Parts of the standard library that a pure module may not use.
const IMPURE_STD: &[&str] = &["env", "fs", "net", "os", "process", "thread"];

/// A breach.
#[derive(Debug, PartialEq)]
pub struct Problem {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

fn problem(line: usize, what: impl Into<String>) -> Problem {
    Problem { line, what: what.into() }
}

/// Where a file stands, as far as rules care.
#[derive(Debug, PartialEq)]
pub struct Place {
    /// The package's folder whose `src` it is in.
    pub package: Option<String>,
    /// The module of the library it belongs to; none for `lib.rs` and binaries.
    pub module: Option<String>,
    /// It is the root file of that module: its `super` is the crate.
    pub root: bool,
    /// A `mod.rs`.
    pub mod_rs: bool,
    /// All of it is test code.
    pub test: bool,
}

impl Place {
    /// From a path below the root of the workspace.
    pub fn of(path: &str) -> Place {
        let parts: Vec<_> = path.split('/').collect();
        let (file, folders) = parts.split_last().expect("a path has a part");
        let package = (folders.get(1) == Some(&"src")).then(|| folders[0].to_owned());
        let test = *file == "tests.rs" || folders.contains(&"tests") || folders.contains(&"benches");
        let module = match &parts[..] {
            ["mgmt", "src", "lib.rs" | "main.rs"] | ["mgmt", "src", "bin", ..] => None,
            ["mgmt", "src", module, ..] => Some(module.trim_end_matches(".rs").to_owned()),
            _ => None,
        };
        let root = module.is_some() && (parts.len() == 3 || (parts.len() == 4 && *file == "mod.rs"));
        Place { package, module, root, mod_rs: *file == "mod.rs", test }
    }

    /// It is built into the product, so its size matters.
    pub fn is_shipped(&self) -> bool {
        self.package.is_some() && !self.test
    }
}

/// The table itself: uses point to a strictly lower layer, so there can be no cycle.
pub fn table(may_use: &[(&str, u8, &[&str])]) -> Vec<String> {
    let layers: BTreeMap<_, _> = may_use.iter().map(|(module, layer, _)| (*module, *layer)).collect();
    let mut bad = vec![];
    if layers.len() < may_use.len() {
        bad.push("a module is named twice".to_owned());
    }
    for (module, layer, uses) in may_use {
        for used in *uses {
            match layers.get(used) {
                None => bad.push(format!("`{module}` may use `{used}`, which is not in the table")),
                Some(below) if below >= layer => {
                    bad.push(format!("`{module}` may use `{used}`, which is not below it"))
                }
                Some(_) => {}
            }
        }
    }
    bad
}

/// Grants of the table that no file uses: each would let something in unseen. Modules that are not written yet are not
/// judged.
pub fn stale_grants<'a>(
    files: impl Iterator<Item = (&'a Place, &'a Facts)>,
    may_use: &[(&str, u8, &[&str])],
) -> Vec<String> {
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (place, facts) in files {
        let Some(module) = &place.module else { continue };
        used.entry(module).or_default().extend(facts.paths.iter().filter_map(|path| target(place, path)));
    }
    let mut bad = vec![];
    for (module, _, grants) in may_use {
        let Some(uses) = used.get(module) else { continue };
        for grant in grants.iter().filter(|grant| used.contains_key(*grant) && !uses.contains(*grant)) {
            bad.push(format!("`{module}` may use `{grant}`, and no file of it does: take the grant back"));
        }
    }
    bad
}

/// The module of the library that a path leads to, if it names one.
fn target<'a>(place: &Place, path: &'a PathUse) -> Option<&'a str> {
    match (path.words[0].as_str(), path.words.get(1)) {
        ("crate" | "mgmt", Some(used)) => Some(used),
        ("super", Some(used)) if place.root && !path.test => Some(used),
        _ => None,
    }
}

/// A module uses only the modules that the table grants; its tests may use `testing` too.
pub fn layers(place: &Place, facts: &Facts, may_use: &[(&str, u8, &[&str])]) -> Vec<Problem> {
    let Some(module) = &place.module else { return vec![] };
    let Some((_, _, uses)) = may_use.iter().find(|(m, _, _)| m == module) else {
        return vec![problem(1, format!("module `{module}` is not in MAY_USE"))];
    };
    let mut bad = vec![];
    for path in &facts.paths {
        let Some(used) = target(place, path) else { continue };
        let allowed = used == module || uses.contains(&used) || (path.test && used == "testing");
        if !allowed {
            bad.push(problem(path.line, format!("`{module}` may not use `{used}`")));
        }
    }
    bad
}

/// The breaches of layers but those that are waived for one file each; and waivers that are not needed.
pub fn but_upwards<'a>(
    found: impl Iterator<Item = (&'a str, Vec<Problem>)>,
    waivers: &[(&str, &str, &str)],
) -> Vec<String> {
    let mut unused: BTreeSet<_> = waivers.iter().map(|(path, used, _)| (*path, *used)).collect();
    let mut bad = vec![];
    for (path, problems) in found {
        for problem in problems {
            let waived = waivers.iter().find(|(waived, used, reason)| {
                *waived == path && problem.what.ends_with(&format!("may not use `{used}`")) && !reason.trim().is_empty()
            });
            match waived {
                Some((path, used, _)) => _ = unused.remove(&(*path, *used)),
                None => bad.push(format!("{path}:{problem}")),
            }
        }
    }
    bad.into_iter().chain(unused.iter().map(|(path, used)| format!("{path}: may use `{used}`, and does not"))).collect()
}

/// `super::super` does not show where it leads.
pub fn no_super_super(facts: &Facts) -> Vec<Problem> {
    let twice = |p: &&PathUse| p.words.windows(2).any(|w| w == ["super", "super"]);
    facts.paths.iter().filter(twice).map(|p| problem(p.line, "`super::super`: write `crate::module`")).collect()
}

/// No async, clock, files or randomness in pure modules; no tokio in some others. Tests may.
pub fn pure(place: &Place, facts: &Facts, pure: &[&str], no_tokio: &[&str]) -> Vec<Problem> {
    let is_in = |modules: &[&str]| place.module.as_deref().is_some_and(|m| modules.contains(&m));
    let mut bad = vec![];
    for PathUse { line, words, .. } in facts.paths.iter().filter(|p| !p.test) {
        if is_in(no_tokio) && words.iter().any(|w| w == "tokio") {
            bad.push(problem(*line, "`tokio` in a module that has Future and Stream only"));
        }
        if !is_in(pure) {
            continue;
        }
        if let Some(word) = words.iter().find(|w| IMPURE_WORDS.contains(&w.as_str())) {
            bad.push(problem(*line, format!("`{word}` in a pure module")));
        }
        if let [std, part, ..] = &words[..]
            && std == "std"
            && IMPURE_STD.contains(&part.as_str())
        {
            bad.push(problem(*line, format!("`std::{part}` in a pure module")));
        }
    }
    bad
}

/// Raw system calls, and starting processes, only in one module of the library.
pub fn system(place: &Place, facts: &Facts, system: &str) -> Vec<Problem> {
    if !place.is_shipped() || place.module.as_deref() == Some(system) {
        return vec![];
    }
    let mut bad = vec![];
    for PathUse { line, words, .. } in facts.paths.iter().filter(|p| !p.test) {
        let start = words[0].as_str();
        if words.len() > 1 && ["rustix", "libc", "nix"].contains(&start) {
            bad.push(problem(*line, format!("`{start}::` outside of `{system}`")));
        } else if start != "crate" && words.windows(2).any(|w| w == ["process", "Command"]) {
            // (`crate::sys::process::Command` is the door.)
            bad.push(problem(*line, format!("`{}` outside of `{system}`", words.join("::"))));
        }
    }
    bad
}

/// A subscription of zbus that is dropped at a wrong moment ends every later one: it is made in a task of its own.
pub fn subscriptions(path: &str, facts: &Facts) -> Vec<Problem> {
    const HERE: &str = "mgmt/src/sys/dbus/subscribe.rs";
    let named = facts.paths.iter().filter(|p| path != HERE && p.words.iter().any(|word| word == "for_match_rule"));
    named.map(|p| problem(p.line, "`for_match_rule` outside of `sys::dbus`: call `subscribe`")).collect()
}

/// The first line is `//! what the file is for`.
pub fn header(text: &str) -> Option<Problem> {
    let says =
        text.lines().next().and_then(|line| line.strip_prefix("//!")).is_some_and(|rest| !rest.trim().is_empty());
    (!says).then(|| problem(1, "no `//! what the file is for`"))
}

/// A file stands below one of these folders.
pub fn room(path: &str, house: &[&str]) -> Option<String> {
    let is_in = house.iter().any(|room| path.starts_with(room));
    (!is_in).then(|| format!("{path}: a Rust file stands below one of {}", house.join(", ")))
}

/// A `mod.rs` declares and re-exports.
pub fn mod_rs(place: &Place, facts: &Facts) -> Vec<Problem> {
    if !place.mod_rs {
        return vec![];
    }
    facts.code.iter().map(|(line, what)| problem(*line, format!("{what} in a `mod.rs`"))).collect()
}

/// `expect` with a reason instead of `allow`.
pub fn attributes(facts: &Facts) -> Vec<Problem> {
    facts.attributes.iter().map(|(line, what)| problem(*line, what.as_str())).collect()
}

/// The keyword is nowhere.
pub fn no_unsafe(facts: &Facts) -> Vec<Problem> {
    let is_unsafe = |p: &&PathUse| p.words.iter().any(|w| w == "unsafe");
    facts.paths.iter().filter(is_unsafe).map(|p| problem(p.line, "`unsafe`")).collect()
}

/// What was found in files that are not waived; and waivers of files in which nothing was found.
pub fn waived<'a>(found: impl Iterator<Item = (&'a str, Vec<Problem>)>, waivers: &[(&str, &str)]) -> Vec<String> {
    let found: Vec<_> = found.filter(|(_, problems)| !problems.is_empty()).collect();
    let is_waived = |path: &str| waivers.iter().any(|(waived, _)| *waived == path);
    let bad = found.iter().filter(|(path, _)| !is_waived(path));
    let bad = bad.flat_map(|(path, problems)| problems.iter().map(move |problem| format!("{path}:{problem}")));
    let needless = waivers.iter().filter(|(waived, _)| !found.iter().any(|(path, _)| path == waived));
    bad.chain(needless.map(|(waived, _)| format!("{waived}: waived, but not needed"))).collect()
}

/// Nothing is longer than `max` lines unless it is waived with a reason; and no waiver is stale.
pub fn limit(lines: impl Iterator<Item = (String, usize)>, max: usize, waivers: &[(&str, &str)]) -> Vec<String> {
    let long: Vec<_> = lines.filter(|(_, n)| *n > max).collect();
    let is_waived = |name: &str| waivers.iter().any(|(waived, _)| *waived == name);
    let too_long =
        long.iter().filter(|(name, _)| !is_waived(name)).map(|(name, n)| format!("{name}: {n} lines, over {max}"));
    let stale = waivers.iter().filter(|(waived, _)| !long.iter().any(|(name, _)| name == waived));
    let bare = waivers.iter().filter(|(_, reason)| reason.trim().is_empty());
    too_long
        .chain(stale.map(|(waived, _)| format!("{waived}: waived, but it is not over {max} lines")))
        .chain(bare.map(|(waived, _)| format!("{waived}: waived without a reason")))
        .collect()
}
