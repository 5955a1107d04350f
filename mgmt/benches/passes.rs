//! What the passes cost: `cargo bench -p mgmt --bench passes`, or with the beginning of a row's name to run it alone.
//!
//! A row of a graph is the time of `prepare` with the default passes, or with the default grouping, less its time
//! without them.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use mgmt::graph::{AutoEdges, AutoGroups, Graph, GraphConfig, Reduction, Settings, prepare};
use mgmt::prelude::*;
use mgmt::resource::{ConvergeMany, Grouped, Known, MergedDirs, ShippedFiles};

/// The median of this many runs is printed.
const RUNS: usize = 9;

/// Files in a tree, ten in each directory and ten directories in each, declared in the reverse order.
fn tree(count: usize) -> GraphConfig {
    let mut paths = Vec::with_capacity(count);
    let mut dirs = vec!["/srv/".to_owned()];
    let mut at = 0;
    while paths.len() < count {
        let dir = dirs[at].clone();
        at += 1;
        paths.push(dir.clone());
        paths.extend((0..10).map(|n| format!("{dir}file{n}.conf")));
        dirs.extend((0..10).map(|n| format!("{dir}directory{n}/")));
    }
    paths.truncate(count);
    let mut g = Graph::new("tree");
    for path in paths.into_iter().rev() {
        g.add(File::new(path));
    }
    g.finish().expect("the graph is right")
}

/// Files in a tree, each with an owner, and a command for every ten that runs one of them in its directory.
fn site(count: usize) -> GraphConfig {
    let mut g = Graph::new("site");
    for n in 0..count / 10 {
        g.add(File::new(format!("/srv/{n:05}/")));
        g.add(
            Exec::new(format!("run{n}")).cmd(format!("/srv/{n:05}/0")).cwd(format!("/srv/{n:05}")).ifcmd("test -e x"),
        );
        for file in 0..8 {
            g.add(File::new(format!("/srv/{n:05}/{file}")).owner("root"));
        }
    }
    g.finish().expect("the graph is right")
}

fn noops(count: usize) -> GraphConfig {
    let mut g = Graph::new("noops");
    let mut last = None;
    for n in 0..count {
        let noop = Noop::new(format!("noop{n}"));
        last = Some(g.add(match &last {
            Some(last) => noop.after(last),
            None => noop,
        }));
    }
    g.finish().expect("the graph is right")
}

/// A package, as far as groups go.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "bench:package", unwatched)]
struct Package {
    #[resource(name)]
    name: String,
}

impl Converge for Package {
    type Drift = Change;

    const STANDS_ALONE: bool = true;

    async fn check(&self, _: &CheckCx) -> mgmt::resource::Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> mgmt::resource::Result<()> {
        Ok(())
    }
}

impl ConvergeMany for Package {}

impl Grouped for Package {
    fn group_key(&self, known: &Known<'_>) -> Option<Cow<'static, str>> {
        known.is_known("name").then_some(Cow::Borrowed("newest"))
    }
}

/// Packages, every tenth after a noop.
fn packages(count: usize) -> GraphConfig {
    let mut g = Graph::new("packages");
    let anchor = g.add(Noop::new("anchor"));
    for n in 0..count {
        let package = Package::new(format!("package{}", n * 7919 % count));
        g.add(if n % 10 == 0 { package.after(&anchor) } else { package });
    }
    g.finish().expect("the graph is right")
}

/// Packages, each after the one before.
fn chain(count: usize) -> GraphConfig {
    let mut g = Graph::new("chain");
    let mut last = None;
    for n in 0..count {
        let package = Package::new(format!("package{n}"));
        last = Some(g.add(match &last {
            Some(last) => package.after(last),
            None => package,
        }));
    }
    g.finish().expect("the graph is right")
}

/// What grouping adds to the time of `prepare`.
fn groups(name: &str, config: &GraphConfig) {
    let (plain, with) = (Settings::default(), Settings::default().grouping(AutoGroups));
    let (mut without, mut all) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        without.push(timed(config, &plain).0);
        all.push(timed(config, &with).0);
    }
    let found = prepare(config.clone(), &with).expect("the graph is right").groups().all().len();
    let (without, all) = (median(without), median(all));
    let grouping = format!("{:.1?}", all.saturating_sub(without));
    println!("{name:<44} {grouping:>12}  {found} groups; without grouping {without:.1?}");
}

fn timed(config: &GraphConfig, settings: &Settings) -> (Duration, usize) {
    let config = config.clone();
    let begun = Instant::now();
    let prepared = prepare(config, settings).expect("the graph is right");
    (begun.elapsed(), prepared.config().edges.len() - prepared.source().edges.len())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn row(name: &str, config: &GraphConfig) {
    let (plain, with) = (Settings::default(), Settings::default().pass(AutoEdges).pass(Reduction));
    let (mut without, mut all, mut added) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        without.push(timed(config, &plain).0);
        let (time, edges) = timed(config, &with);
        all.push(time);
        added = edges;
    }
    let (without, all) = (median(without), median(all));
    let passes = all.saturating_sub(without);
    let each = passes.as_nanos() as usize / config.vertices.len();
    println!(
        "{name:<44} {:>12}  {each} ns a resource, {added} edges; without passes {without:.1?}",
        format!("{passes:.1?}")
    );
}

/// The files of a package, in the order of the list and shuffled.
fn shipped(count: usize) {
    let mut list: Vec<String> = (0..count / 10)
        .flat_map(|n| (0..10).map(move |file| format!("/usr/share/package/{:03}/{:03}/file{file}", n / 100, n % 100)))
        .collect();
    let merged = MergedDirs::of([("/lib", "/usr/lib")]);
    for order in ["sorted", "shuffled"] {
        if order == "shuffled" {
            // By a fixed permutation.
            let mut shuffled = list.clone();
            (0..list.len()).for_each(|n| shuffled[n * 7919 % list.len()].clone_from(&list[n]));
            list = shuffled;
        }
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let begun = Instant::now();
            let found = ShippedFiles::new(&list, &merged).found(|path| path.as_os_str() == "/usr/share/package/000");
            times.push(begun.elapsed());
            assert_eq!(found.len(), 1);
        }
        println!("{:<44} {:>12}", format!("package of {count} files, {order}"), format!("{:.1?}", median(times)));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted =
        |row: &str| arguments.is_empty() || arguments.iter().any(|argument| row.starts_with(argument.as_str()));
    println!("{:<44} {:>12}  more", "row", "figure");
    type Shape = fn(usize) -> GraphConfig;
    let shapes: [(&str, Shape); 3] = [("tree", tree), ("site", site), ("noops", noops)];
    for (name, shape) in shapes {
        for count in [1_000, 10_000, 100_000, 1_000_000] {
            let name = format!("edges of a {name} of {count}");
            if wanted(&name) {
                row(&name, &shape(count));
            }
        }
    }
    let shapes: [(&str, Shape, &[usize]); 3] = [
        ("packages", packages, &[1_000, 10_000, 100_000, 1_000_000]),
        ("a chain", chain, &[1_000, 10_000, 100_000, 1_000_000]),
        ("noops", noops, &[1_000_000]),
    ];
    for (what, shape, counts) in shapes {
        for count in counts {
            let name = format!("groups of {what} of {count}");
            if wanted(&name) {
                groups(&name, &shape(*count));
            }
        }
    }
    for count in [1_000, 10_000, 100_000] {
        if wanted(&format!("package of {count} files")) {
            shipped(count);
        }
    }
}
