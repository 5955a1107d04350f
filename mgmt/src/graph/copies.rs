//! Checks what resources copy from one another: a cycle of copies never settles, and is refused.

use std::path::{Path, PathBuf};

use crate::dag::topo;
use crate::graph::config::Vertex;
use crate::graph::index::Index;
use crate::graph::problem::Problem;
use crate::resource::{Origin, Uid};

/// At most this many steps of a cycle are written out.
const STEPS_MAX: usize = 20;

/// The problem of each cycle among these resources, given by their indices, with the paths that they copy from.
pub(super) fn check_copies(vertices: &[Vertex], index: &Index, copies: &[(u32, Vec<PathBuf>)]) -> Vec<Problem> {
    // Only a resource that copies can be in a cycle: in large graphs, few do.
    let place = |at: u32| copies.binary_search_by_key(&at, |(place, _)| *place).ok();
    let is_made = |path: &Path| {
        let above = owner_of(index, path).map(|(_, owner)| owner);
        above.into_iter().chain(index.owners_below(path)).any(|owner| place(owner).is_some())
    };
    let mut edges = Vec::new();
    for (to, (_, paths)) in (0u32..).zip(copies) {
        for path in paths {
            // What is copied with a directory comes from its place in the source of that: if no copy is there, it is an
            // original.
            let above = owner_of(index, path).filter(|(dir, owner)| {
                let sources = place(*owner).map_or(&[][..], |from| &copies[from].1);
                let rest = path.strip_prefix(dir).unwrap_or(path);
                *dir == path || sources.iter().any(|source| is_made(&source.join(rest)))
            });
            // What is below a directory is copied with it.
            for owner in above.map(|(_, owner)| owner).into_iter().chain(index.owners_below(path)) {
                if let Some(from) = place(owner).map(|from| from as u32).filter(|from| *from != to) {
                    edges.push((from, to));
                }
            }
        }
    }
    edges.sort_unstable();
    edges.dedup();
    let cycles = topo::order(copies.len(), &edges).err().map(|cycles| cycles.paths).unwrap_or_default();
    let vertex = |at: u32| &vertices[copies[at as usize].0 as usize];
    cycles.iter().map(|cycle| tell(&cycle.iter().map(|at| vertex(*at)).collect::<Vec<_>>())).collect()
}

/// The resource that owns a path, or the nearest directory above it, and what it owns of these.
fn owner_of<'a>(index: &Index, path: &'a Path) -> Option<(&'a Path, u32)> {
    path.ancestors().find_map(|path| Some((path, index.owner(&Uid::path(path))?)))
}

/// The problem of a cycle: each of these resources is copied to the next one, and the last to the first.
fn tell(cycle: &[&Vertex]) -> Problem {
    let next = |n: usize| cycle[(n + 1) % cycle.len()];
    let mut story = format!("a cycle of {} resources, so that their contents would change for ever: ", cycle.len());
    for n in 0..cycle.len().min(STEPS_MAX) {
        let step = if n == 0 { format!("{} is copied to ", cycle[0].id()) } else { ", which is copied to ".to_owned() };
        story.push_str(&format!("{step}{}", next(n).id()));
    }
    if cycle.len() > STEPS_MAX {
        story.push_str(&format!(", … and {} more", cycle.len() - STEPS_MAX));
    }
    story.push_str("; let one of them be the original");
    let mut problem = Problem::new(story, cycle.first().map_or(Origin::Unknown, |first| first.origin.clone()));
    for vertex in cycle.iter().skip(1).take(STEPS_MAX) {
        problem = problem.also(vertex.id().to_string(), vertex.origin.clone());
    }
    problem
}
