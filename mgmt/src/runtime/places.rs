//! Conflicts that `validate` cannot see, since it looks at nothing outside: two resources that own one place of this
//! host by different paths, through a symlink; and places of the engine itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::graph::{GraphConfig, Host, Prepared, Problem, Vertex};
use crate::resource::{Known, PathList, Uid, is_engines};
use crate::sys::fs::{Links, ReadFs};

/// The places of this host to which paths lead through symlinks. Each directory is looked up once.
pub(crate) struct RealPlaces {
    fs: ReadFs,
    /// The real path of each directory that was looked up, if it differs.
    dirs: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
    /// The real paths of the owned paths that differ from these, with their numbers.
    elsewhere: Vec<(PathBuf, u32)>,
}

impl RealPlaces {
    /// The places of these paths.
    pub(crate) fn of(owned: &PathList) -> RealPlaces {
        let fs = ReadFs::new().links(Links::Follow);
        let mut places = RealPlaces { fs, dirs: RefCell::default(), elsewhere: Vec::new() };
        places.elsewhere = (0u32..).zip(owned.iter()).filter_map(|(at, path)| Some((places.real(path)?, at))).collect();
        places
    }
}

impl Host for RealPlaces {
    fn elsewhere(&self) -> &[(PathBuf, u32)] {
        &self.elsewhere
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        let (dir, name) = (path.parent()?, path.file_name()?);
        let mut dirs = self.dirs.borrow_mut();
        if let Some(real) = dirs.get(dir) {
            return Some(real.as_ref()?.join(name));
        }
        let found = real(&self.fs, dir);
        let path = found.as_ref().map(|real| real.join(name));
        dirs.insert(dir.to_owned(), found);
        path
    }
}

/// Each place of this host that two resources own, or that belongs to the engine.
pub(crate) fn misplaced(prepared: &Prepared, places: &RealPlaces, prefix: Option<&Path>) -> Vec<Problem> {
    let (config, owned) = (prepared.config(), prepared.owned());
    let path = |at: u32| owned.get(at as usize).unwrap_or(Path::new("/"));
    let elsewhere: Vec<(&Path, &Path)> =
        places.elsewhere.iter().map(|(real, at)| (real.as_path(), path(*at))).collect();
    let mut first: HashMap<&Path, &Path> = HashMap::new();
    let mut problems = Vec::new();
    for (place, path) in elsewhere.iter().copied() {
        let other = owned.find(place).and_then(|at| owned.get(at)).or_else(|| first.get(place).copied());
        match other {
            Some(other) => problems.extend(problem(config, other, path, place)),
            None => drop(first.insert(place, path)),
        }
    }
    if let Some(prefix) = prefix {
        let real = real(&places.fs, prefix);
        problems.extend(own_places(prepared, prefix, &elsewhere));
        problems.extend(real.into_iter().flat_map(|real| own_places(prepared, &real, &elsewhere)));
    }
    problems
}

/// The resources that own the prefix or what the engine keeps in it, or would remove it with a directory above it.
fn own_places(prepared: &Prepared, prefix: &Path, elsewhere: &[(&Path, &Path)]) -> Vec<Problem> {
    let (config, owned) = (prepared.config(), prepared.owned());
    let spelled = |place: &Path| {
        let by_its_name = owned.find(place).and_then(|at| owned.get(at));
        by_its_name.or_else(|| elsewhere.iter().find(|(real, _)| *real == place).map(|(_, path)| *path))
    };
    let below = owned.from(owned.partition_point(|path| path <= prefix)).take_while(|path| path.starts_with(prefix));
    let real_below = elsewhere.iter().map(|(real, _)| *real);
    let below = below.chain(real_below).filter(|path| is_engines(path, prefix)).map(|path| (path.to_owned(), false));
    let above = prefix.ancestors().skip(1).map(|place| (place.to_owned(), true));
    let mut problems = Vec::new();
    for (place, if_cleared) in above.chain([(prefix.to_owned(), false)]).chain(below) {
        let Some((at, vertex)) = spelled(&place).and_then(|path| owner(config, path)) else { continue };
        let clears = clears(config, at, vertex);
        if if_cleared && !clears {
            continue;
        }
        let (id, place, prefix) = (vertex.id(), place.display(), prefix.display());
        let (what, remedy) = match clears {
            true => ("may remove what is at", "leave that out, or let the engine work elsewhere"),
            false => ("owns", "choose another path"),
        };
        let text = format!("{id} {what} {place}: the engine keeps its own state in {prefix}; {remedy}");
        problems.push(Problem::new(text, vertex.origin.clone()));
    }
    problems
}

fn clears(config: &GraphConfig, at: u32, vertex: &Vertex) -> bool {
    let coming = config.wired(at);
    !vertex.resource.clears(&Known::all_but_numbers(vertex.resource.spec(), &coming)).is_empty()
}

/// The real path of a directory, if it differs from the given one. A directory that does not exist is taken to be below
/// its nearest ancestor that does.
fn real(fs: &ReadFs, dir: &Path) -> Option<PathBuf> {
    for above in dir.ancestors() {
        if let Ok(real) = fs.real_path(above) {
            let rest = dir.strip_prefix(above).ok()?;
            return (real != above).then(|| real.join(rest));
        }
    }
    None
}

fn problem(config: &GraphConfig, one: &Path, other: &Path, place: &Path) -> Option<Problem> {
    let ((_, one), (_, other)) = (owner(config, one)?, owner(config, other)?);
    let message = format!(
        "{} and {} both own the path {}, one of them through a symlink: they would undo each other's work; leave it to one of them",
        one.id(),
        other.id(),
        place.display()
    );
    Some(Problem::new(message, other.origin.clone()).also(one.id().to_string(), one.origin.clone()))
}

fn owner<'a>(config: &'a GraphConfig, path: &Path) -> Option<(u32, &'a Vertex)> {
    let owns = |uid: Uid| matches!(uid, Uid::Path(owned) if owned == path);
    let is_owner = |(n, vertex): &(u32, &Vertex)| {
        let coming = config.wired(*n);
        vertex.resource.uids(&Known::all_but_numbers(vertex.resource.spec(), &coming)).into_iter().any(owns)
    };
    (0..).zip(&config.vertices).find(is_owner)
}
