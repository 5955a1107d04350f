//! Which files of the declaring machine a graph reads: those that its resources read and that it does not make itself.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::graph::config::GraphConfig;
use crate::id::ResourceId;
use crate::resource::{Known, Origin, Reading, Uid};

/// A file or a directory that a resource of a graph reads.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) resource: ResourceId,
    pub(crate) origin: Origin,
    pub(crate) reading: Reading,
}

/// What a graph makes: the paths that its resources own, and those of them that are filled from elsewhere.
#[derive(Default)]
struct Made {
    owned: BTreeSet<PathBuf>,
    filled: BTreeSet<PathBuf>,
}

impl Made {
    fn of(config: &GraphConfig) -> Made {
        let mut made = Made::default();
        for (n, vertex) in (0u32..).zip(&config.vertices) {
            let wired = config.wired(n);
            let known = Known::all_but_numbers(vertex.resource.spec(), &wired);
            let owned = vertex.resource.uids(&known).into_iter().filter_map(|uid| match uid {
                Uid::Path(path) => Some(path),
                _ => None,
            });
            let is_filled = !vertex.resource.copies(&known).is_empty();
            for path in owned {
                if is_filled {
                    made.filled.insert(path.clone());
                }
                made.owned.insert(path);
            }
        }
        made
    }

    /// Whether the graph makes what is at the path, or a part of it.
    fn has(&self, path: &Path) -> bool {
        let is_below = self.owned.range(path.to_owned()..).next().is_some_and(|owned| owned.starts_with(path));
        is_below || path.ancestors().any(|above| self.filled.contains(above))
    }
}

/// The path without a slash at its end and without `.`; `None`: it is not absolute, or has `..`, which validation
/// reports.
fn normal(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let is_plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    is_plain.then(|| path.components().collect())
}

/// The files that the graph reads, in its order, without those that it makes, and without those at or below a path that
/// is on every host.
pub(crate) fn files_read(config: &GraphConfig, on_hosts: &[PathBuf]) -> Vec<Read> {
    let made = Made::of(config);
    let mut all = Vec::new();
    for (n, vertex) in (0u32..).zip(&config.vertices) {
        let wired = config.wired(n);
        let known = Known::all_but_numbers(vertex.resource.spec(), &wired);
        for reading in vertex.resource.reads(&known) {
            let Some(path) = normal(&reading.path) else { continue };
            if !made.has(&path) && !on_hosts.iter().any(|dir| path.starts_with(dir)) {
                all.push(Read { resource: vertex.id(), origin: vertex.origin.clone(), reading });
            }
        }
    }
    all
}
