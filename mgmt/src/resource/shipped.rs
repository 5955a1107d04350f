//! The files of a package: which resources of a graph the package must come before.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::resource::inquiry::Inquiry;
use crate::resource::keys::Unit;
use crate::resource::uid::{Need, Uid};
use crate::sys::fs::{Links, ReadFs, normal_form};

/// Directories of this host that are symlinks to other directories, such as `/lib` to `/usr/lib`: two spellings of one
/// place.
///
/// ```
/// use mgmt::resource::MergedDirs;
/// use std::path::Path;
///
/// let merged = MergedDirs::of([("/lib", "/usr/lib")]);
/// assert_eq!(merged.resolve(Path::new("/lib/x")), Path::new("/usr/lib/x"));
/// assert_eq!(merged.resolve(Path::new("/library")), Path::new("/library"));
/// assert_eq!(merged.spellings(Path::new("/usr/lib/x")), [Path::new("/usr/lib/x"), Path::new("/lib/x")]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergedDirs(Vec<(PathBuf, PathBuf)>);

/// The directories that distributions have merged with those of the same names in `/usr`.
const MERGED: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

impl MergedDirs {
    /// These symlinks, each with its target: absolute paths in normal form.
    pub fn of<P: Into<PathBuf>>(links: impl IntoIterator<Item = (P, P)>) -> MergedDirs {
        MergedDirs(links.into_iter().map(|(link, target)| (link.into(), target.into())).collect())
    }

    /// The directories in the root of this host that are merged with those in `/usr`.
    pub fn of_host(fs: &ReadFs) -> MergedDirs {
        let fs = fs.clone().links(Links::Follow);
        let links = MERGED.into_iter().map(PathBuf::from);
        let merged = links.filter_map(|link| Some((link.clone(), fs.real_path(&link).ok()?)));
        MergedDirs(merged.filter(|(link, target)| link != target).collect())
    }

    /// The path without these symlinks.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let rest = |(link, target): &(PathBuf, PathBuf)| Some(join(target, below(path, link)?));
        self.0.iter().find_map(rest).unwrap_or_else(|| path.to_owned())
    }

    /// The path as it is, and the others by which these symlinks lead to it.
    pub fn spellings(&self, path: &Path) -> Vec<PathBuf> {
        let rest = |(link, target): &(PathBuf, PathBuf)| Some(join(link, below(path, target)?));
        std::iter::once(path.to_owned()).chain(self.0.iter().filter_map(rest)).collect()
    }
}

/// What follows the directory in a path, both in normal form: `Path::strip_prefix` would go through their components.
fn below<'a>(path: &'a Path, dir: &Path) -> Option<&'a Path> {
    let rest = path.as_os_str().as_bytes().strip_prefix(dir.as_os_str().as_bytes())?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b"/")? };
    Some(Path::new(OsStr::from_bytes(rest)))
}

/// Without the slash that `join` leaves at the end if there is no rest.
fn join(dir: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { dir.to_owned() } else { dir.join(rest) }
}

/// The directories of unit files. Units in subdirectories are not meant.
const UNIT_DIRS: [&str; 3] = ["/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"];
const UNIT_ENDS: [&str; 3] = [".service", ".socket", ".timer"];

/// The inquiry of a package about the files that it ships: the units first, then the files, the deepest first. The
/// package comes before each resource that is found.
///
/// The edges of one package are minimal: once a resource at or below a directory has been found, no directory above it
/// is asked for, so no path of two resources that are found is above the other. A directory is asked for only if no
/// resource owns any of the package's paths below it.
///
/// ```
/// use mgmt::resource::{MergedDirs, ShippedFiles};
/// use std::path::Path;
///
/// let list = ["/etc/foo.conf", "/etc/foo.d/", "/etc/foo.d/a", "/usr/bin/foo"];
/// let managed = ["/etc/foo.conf", "/etc/foo.d", "/etc", "/usr"];
/// let mut shipped = ShippedFiles::new(list, &MergedDirs::default());
/// let found = shipped.found(|path| managed.iter().any(|other| Path::new(other) == path));
/// assert_eq!(found, ["/etc/foo.conf", "/etc/foo.d", "/usr"].map(Path::new));
/// ```
#[derive(Debug)]
pub struct ShippedFiles {
    merged: MergedDirs,
    /// The names of units that the package ships; emptied when they have been asked for.
    units: Vec<Unit>,
    tree: Tree,
    /// What the answer to the last batch is about.
    asked: Asked,
}

/// A batch that has not been answered.
#[derive(Debug)]
enum Asked {
    Nothing,
    Units(usize),
    /// How many spellings of each path of the tree's front were asked for.
    Files(Vec<usize>),
}

impl ShippedFiles {
    /// The inquiry about these paths, in any order. A slash at the end has no meaning. Paths that are not absolute, or
    /// have `..` in them, are left out.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, merged: &MergedDirs) -> ShippedFiles {
        let mut units = BTreeSet::new();
        let paths = paths.into_iter().filter_map(|path| normal_form(path.as_ref()).ok());
        let tree = Tree::of(paths.map(|path| {
            units.extend(unit(&path));
            if merged.0.is_empty() { path } else { merged.resolve(&path) }
        }));
        let units = units.into_iter().map(Unit::new).collect();
        ShippedFiles { merged: merged.clone(), units, tree, asked: Asked::Nothing }
    }

    /// The paths that are found if `is_managed` returns whether a resource owns a path, sorted. Units are left out.
    pub fn found(&mut self, mut is_managed: impl FnMut(&Path) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        while !self.tree.front.is_empty() {
            let mut met = Vec::with_capacity(self.tree.front.len());
            for node in &self.tree.front {
                let path = self.tree.path(*node);
                met.push(is_managed(&path));
                found.extend(met.last().is_some_and(|met| *met).then_some(path));
            }
            self.tree.answer(&met);
        }
        found.sort_unstable();
        found
    }
}

impl Inquiry for ShippedFiles {
    /// # Panics
    /// The last batch has not been answered.
    fn next(&mut self) -> Vec<Need> {
        assert!(matches!(self.asked, Asked::Nothing), "the last batch of a package's files has not been answered");
        if !self.units.is_empty() {
            self.asked = Asked::Units(self.units.len());
            let units = self.units.drain(..).map(Uid::of);
            return units.map(|unit| Need::before(unit).because("it ships the unit")).collect();
        }
        let (mut counts, mut batch) = (Vec::new(), Vec::new());
        for node in &self.tree.front {
            let spellings = self.merged.spellings(&self.tree.path(*node));
            counts.push(spellings.len());
            batch.extend(spellings.into_iter().map(|path| Need::before(Uid::Path(path)).because("it ships the file")));
        }
        self.asked = if batch.is_empty() { Asked::Nothing } else { Asked::Files(counts) };
        batch
    }

    /// # Panics
    /// There are more or fewer answers than questions.
    fn answer(&mut self, met: &[bool]) -> bool {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => assert!(met.is_empty(), "{} answers to no question", met.len()),
            Asked::Units(count) => assert!(met.len() == count, "{} answers to {count} questions", met.len()),
            Asked::Files(counts) => {
                let count: usize = counts.iter().sum();
                assert!(met.len() == count, "{} answers to {count} questions", met.len());
                let mut rest = met;
                let answers = counts.into_iter().map(|count| {
                    let (own, others) = rest.split_at(count);
                    rest = others;
                    own.contains(&true)
                });
                let answers: Vec<bool> = answers.collect();
                self.tree.answer(&answers);
            }
        }
        !self.tree.front.is_empty()
    }
}

/// The name of the unit at a path.
fn unit(path: &Path) -> Option<String> {
    let (dir, name) = (path.parent()?, path.file_name()?.to_str()?);
    let is_unit = UNIT_ENDS.iter().any(|end| name.ends_with(end) && name.len() > end.len());
    (is_unit && UNIT_DIRS.iter().any(|unit_dir| Path::new(unit_dir) == dir)).then(|| name.to_owned())
}

/// Paths and all directories above them, each once.
#[derive(Debug, Default)]
struct Tree {
    /// The paths one after the other, each `/` as a NUL byte: so they sort by their components.
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    /// The nodes to ask for next, in the order of their paths: no resource was found below them.
    front: Vec<u32>,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    /// The path within the bytes; empty: `/`.
    start: u32,
    len: u32,
    /// How many nodes directly below have not been decided.
    open: u32,
    /// A resource was found below.
    is_covered: bool,
}

const NONE: u32 = u32::MAX;

impl Tree {
    fn of(paths: impl Iterator<Item = PathBuf>) -> Tree {
        let mut tree = Tree::default();
        let mut spans: Vec<(u32, u32)> = Vec::new();
        for path in paths {
            let path = path.as_os_str().as_bytes();
            let path = if path == b"/" { &[][..] } else { path };
            let Ok(start) = u32::try_from(tree.bytes.len()) else { break };
            spans.push((start, path.len() as u32));
            tree.bytes.extend(path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }));
        }
        let text = |(start, len): (u32, u32)| &tree.bytes[start as usize..(start + len) as usize];
        // Lists of packages are mostly sorted, which costs the sort no more than a look at each.
        spans.sort_by(|one, other| text(*one).cmp(text(*other)));
        spans.dedup_by(|one, other| text(*one) == text(*other));
        let nodes = nodes(&spans, &tree.bytes);
        tree.front = (0u32..).zip(&nodes).filter(|(_, node)| node.open == 0).map(|(at, _)| at).collect();
        tree.nodes = nodes;
        tree
    }

    fn path(&self, at: u32) -> PathBuf {
        let Node { start, len, .. } = self.nodes[at as usize];
        if len == 0 {
            return PathBuf::from("/");
        }
        let text = &self.bytes[start as usize..(start + len) as usize];
        let text: Vec<u8> = text.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect();
        PathBuf::from(OsStr::from_bytes(&text))
    }

    /// Takes the answers for the front. The next front are the directories in which everything has been decided and
    /// nothing was found.
    fn answer(&mut self, met: &[bool]) {
        let front = std::mem::take(&mut self.front);
        for (at, met) in front.into_iter().zip(met) {
            let (mut at, mut is_covered) = (at, *met);
            loop {
                let parent = self.nodes[at as usize].parent;
                if parent == NONE {
                    break;
                }
                let node = &mut self.nodes[parent as usize];
                node.open -= 1;
                node.is_covered |= is_covered;
                if node.open > 0 {
                    break;
                }
                if !node.is_covered {
                    self.front.push(parent);
                    break;
                }
                (at, is_covered) = (parent, true);
            }
        }
        self.front.sort_unstable();
    }
}

/// The nodes of sorted paths, each after the one above it.
fn nodes(spans: &[(u32, u32)], bytes: &[u8]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::with_capacity(spans.len() * 2);
    // The nodes on the way to the last path.
    let mut way: Vec<u32> = Vec::new();
    for (start, len) in spans.iter().copied() {
        let path = &bytes[start as usize..(start + len) as usize];
        if nodes.is_empty() {
            nodes.push(Node { parent: NONE, start, len: 0, open: 0, is_covered: false });
            way.push(0);
        }
        while let Some(top) = way.last() {
            let Node { start, len, .. } = nodes[*top as usize];
            let above = &bytes[start as usize..(start + len) as usize];
            let is_above = path.starts_with(above) && path.get(above.len()).is_none_or(|next| *next == 0);
            if is_above {
                break;
            }
            way.pop();
        }
        let from = way.last().map_or(0, |top| nodes[*top as usize].len as usize);
        let ends = (from + 1..=path.len()).filter(|end| path.get(*end).is_none_or(|next| *next == 0));
        for end in ends {
            let parent = way.last().copied().unwrap_or(NONE);
            nodes[parent as usize].open += 1;
            way.push(nodes.len() as u32);
            nodes.push(Node { parent, start, len: end as u32, open: 0, is_covered: false });
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usual() -> MergedDirs {
        MergedDirs::of([("/lib", "/usr/lib"), ("/bin", "/usr/bin")])
    }

    fn paths(batch: &[Need]) -> Vec<String> {
        batch.iter().map(|need| need.uid.as_path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_worked_example_asks_the_deepest_first_and_nothing_above_a_match() {
        let list = ["/etc/foo.conf", "/etc/foo.d/", "/etc/foo.d/a", "/usr/bin/foo"];
        let managed = ["/etc/foo.conf", "/etc/foo.d", "/usr"];
        let mut shipped = ShippedFiles::new(list, &MergedDirs::default());
        let mut batches = Vec::new();
        loop {
            let batch = shipped.next();
            let met: Vec<bool> = paths(&batch).iter().map(|path| managed.contains(&path.as_str())).collect();
            batches.push(paths(&batch));
            if !shipped.answer(&met) {
                break;
            }
        }
        let expected: [&[&str]; 3] =
            [&["/etc/foo.conf", "/etc/foo.d/a", "/usr/bin/foo"], &["/etc/foo.d", "/usr/bin"], &["/usr"]];
        assert_eq!(batches, expected);
        assert!(shipped.next().is_empty() && !shipped.answer(&[]));
    }

    #[test]
    fn units_are_asked_for_first_and_by_name() {
        let list = [
            "/lib/systemd/system/a.service",
            "/usr/lib/systemd/system/a.service",
            "/etc/systemd/system/b.timer",
            "/usr/lib/systemd/system/c.socket",
            "/usr/lib/systemd/system/a.service.d/x.conf",
            "/usr/lib/systemd/system/a.path",
            "/usr/lib/systemd/system/.service",
            "/usr/lib/systemd/user/u.service",
        ];
        let mut shipped = ShippedFiles::new(list, &usual());
        let batch = shipped.next();
        let units: Vec<_> = batch.iter().map(|need| need.uid.key::<Unit>().unwrap().to_string()).collect();
        assert_eq!(units, ["a.service", "b.timer", "c.socket"]);
        assert!(batch.iter().all(|need| need.before) && shipped.answer(&[false; 3]));
        // Then the files, of which the two spellings of one are asked for together.
        let files = paths(&shipped.next());
        assert_eq!(files.iter().filter(|path| path.ends_with("/a.service")).count(), 2, "{files:?}");
    }

    #[test]
    fn a_merged_directory_has_two_spellings_of_one_path() {
        let mut shipped = ShippedFiles::new(["/lib/x/y", "/usr/lib/x/z"], &usual());
        assert_eq!(paths(&shipped.next()), ["/usr/lib/x/y", "/lib/x/y", "/usr/lib/x/z", "/lib/x/z"]);
        assert!(!shipped.answer(&[false, true, true, false]));
        assert!(
            MergedDirs::of_host(&ReadFs::new())
                .0
                .iter()
                .all(|(link, target)| target.ends_with(&link.to_string_lossy()[1..]))
        );
    }

    #[test]
    #[should_panic(expected = "has not been answered")]
    fn a_second_question_before_the_answer_is_a_mistake() {
        let mut shipped = ShippedFiles::new(["/a/b"], &MergedDirs::default());
        drop(shipped.next());
        drop(shipped.next());
    }

    #[test]
    #[should_panic(expected = "2 answers to 1 questions")]
    fn as_many_answers_as_questions_are_expected() {
        let mut shipped = ShippedFiles::new(["/a/b"], &MergedDirs::default());
        drop(shipped.next());
        shipped.answer(&[true, false]);
    }

    proptest! {
        /// Paths of few names, so that they share directories.
        #[test]
        fn what_is_found_is_minimal_and_complete(
            list in prop::collection::vec("(/[abc]){1,5}/?", 0..30),
            managed in prop::collection::btree_set("(/[abc]){1,4}", 0..12),
            shuffle in any::<u64>(),
        ) {
            let managed: BTreeSet<PathBuf> = managed.iter().map(PathBuf::from).chain([PathBuf::from("/")]).collect();
            let found = ShippedFiles::new(&list, &MergedDirs::default()).found(|path| managed.contains(path));
            for one in &found {
                // Each is managed, at or above a shipped path, and the nearest of that.
                prop_assert!(managed.contains(one));
                prop_assert!(list.iter().any(|path| Path::new(path).starts_with(one)));
                // Nothing above another one: no edge that the directories' own edges make unnecessary.
                prop_assert!(found.iter().all(|other| one == other || !other.starts_with(one)));
            }
            for path in &list {
                // The nearest managed directory is found, or something in it is.
                let nearest = Path::new(path).ancestors().find(|above| managed.contains(*above)).unwrap();
                prop_assert!(found.iter().any(|found| found.starts_with(nearest)), "{nearest:?} of {path}");
            }
            let mut other = list.clone();
            let count = other.len().max(1);
            other.rotate_left(shuffle as usize % count);
            other.reverse();
            prop_assert_eq!(&ShippedFiles::new(&other, &MergedDirs::default()).found(|path| managed.contains(path)), &found);
            // Step by step, as a pass asks.
            let mut shipped = ShippedFiles::new(&list, &MergedDirs::default());
            let mut asked = Vec::new();
            loop {
                let batch = shipped.next();
                let met: Vec<bool> = batch.iter().map(|need| managed.contains(need.uid.as_path().unwrap())).collect();
                let hits = batch.iter().zip(&met).filter(|(_, met)| **met).map(|(need, _)| need.uid.as_path().unwrap().to_owned());
                asked.extend(hits);
                if !shipped.answer(&met) {
                    break;
                }
            }
            asked.sort();
            prop_assert_eq!(asked, found);
        }
    }
}
