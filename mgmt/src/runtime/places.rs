//! What `validate` can't see, since it looks at nothing outside: that two resources own one place of this host by different paths, through a symlink.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::graph::{GraphConfig, Prepared, Problem, Vertex};
use crate::resource::{Known, Uid};
use crate::sys::fs::{Links, ReadFs};

/// Each place of this host that two resources own. Each directory is looked up once.
pub(crate) fn owned_twice(prepared: &Prepared) -> Vec<Problem> {
    let (config, owned) = (prepared.config(), prepared.owned());
    let fs = ReadFs::new().links(Links::Follow);
    let mut elsewhere: Vec<(PathBuf, &PathBuf)> = Vec::new();
    let mut dirs: HashMap<&Path, Option<PathBuf>> = HashMap::new();
    for path in owned.iter() {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { continue };
        if let Some(real) = dirs.entry(dir).or_insert_with(|| real(&fs, dir)) {
            elsewhere.push((real.join(name), path));
        }
    }
    let mut first: HashMap<&Path, &PathBuf> = HashMap::new();
    let mut problems = Vec::new();
    for (place, path) in &elsewhere {
        let other =
            owned.binary_search(place).ok().map(|at| &owned[at]).or_else(|| first.get(place.as_path()).copied());
        match other {
            Some(other) => problems.extend(problem(config, other, path, place)),
            None => drop(first.insert(place, path)),
        }
    }
    problems
}

/// Where a directory really is, if that is elsewhere than its path says. What does not exist yet is below what does.
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
    let (one, other) = (owner(config, one)?, owner(config, other)?);
    let message = format!(
        "{} and {} both own the path {}, one of them through a symlink: they would undo each other's work; leave it to one of them",
        one.id(),
        other.id(),
        place.display()
    );
    Some(Problem::new(message, other.origin.clone()).also(one.id().to_string(), one.origin.clone()))
}

fn owner<'a>(config: &'a GraphConfig, path: &Path) -> Option<&'a Vertex> {
    let owns = |uid: Uid| matches!(uid, Uid::Path(owned) if owned == path);
    let is_owner = |(n, vertex): &(u32, &Vertex)| {
        let coming = config.wired(*n);
        vertex.resource.uids(&Known::all_but_numbers(vertex.resource.spec(), &coming)).into_iter().any(owns)
    };
    (0..).zip(&config.vertices).find(is_owner).map(|(_, vertex)| vertex)
}
