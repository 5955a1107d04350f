//! Conflicts that `validate` cannot see, since it looks at nothing outside: two resources that own one place of this
//! host by different paths, through a symlink; and places of the engine itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::graph::{GraphConfig, Prepared, Problem, Vertex};
use crate::resource::{Known, Uid, is_engines};
use crate::sys::fs::{Links, ReadFs};

/// Each place of this host that two resources own, or that belongs to the engine. Each directory is looked up once.
pub(crate) fn misplaced(prepared: &Prepared, prefix: Option<&Path>) -> Vec<Problem> {
    let (config, owned) = (prepared.config(), prepared.owned());
    let fs = ReadFs::new().links(Links::Follow);
    let mut elsewhere: Vec<(PathBuf, &Path)> = Vec::new();
    let mut dirs: HashMap<&Path, Option<PathBuf>> = HashMap::new();
    for path in owned.iter() {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { continue };
        if let Some(real) = dirs.entry(dir).or_insert_with(|| real(&fs, dir)) {
            elsewhere.push((real.join(name), path));
        }
    }
    let mut first: HashMap<&Path, &Path> = HashMap::new();
    let mut problems = Vec::new();
    for (place, path) in &elsewhere {
        let other = owned.find(place).and_then(|at| owned.get(at)).or_else(|| first.get(place.as_path()).copied());
        match other {
            Some(other) => problems.extend(problem(config, other, path, place)),
            None => drop(first.insert(place, path)),
        }
    }
    if let Some(prefix) = prefix {
        let real = real(&fs, prefix);
        problems.extend(own_places(prepared, prefix, &elsewhere));
        problems.extend(real.into_iter().flat_map(|real| own_places(prepared, &real, &elsewhere)));
    }
    problems
}

/// The resources that own the prefix or what the engine keeps in it, or would remove it with a directory above it.
fn own_places(prepared: &Prepared, prefix: &Path, elsewhere: &[(PathBuf, &Path)]) -> Vec<Problem> {
    let (config, owned) = (prepared.config(), prepared.owned());
    let spelled = |place: &Path| {
        let by_its_name = owned.find(place).and_then(|at| owned.get(at));
        by_its_name.or_else(|| elsewhere.iter().find(|(real, _)| real == place).map(|(_, path)| *path))
    };
    let below = owned.from(owned.partition_point(|path| path <= prefix)).take_while(|path| path.starts_with(prefix));
    let real_below = elsewhere.iter().map(|(real, _)| real.as_path());
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
