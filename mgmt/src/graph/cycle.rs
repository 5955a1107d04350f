//! Describes a cycle: which resource must run before which, and which line of the program or file asks for it.

use crate::graph::config::Vertex;
use crate::graph::problem::Problem;
use crate::resource::Origin;

/// At most this many steps of a cycle are written out.
const STEPS_MAX: usize = 20;

/// The problem of a cycle: each of these resources must run before the next one, and the last before the first.
pub(super) fn tell_cycle(vertices: &[Vertex], cycle: &[u32], origin_of: impl Fn(u32, u32) -> Origin) -> Problem {
    let id = |n: u32| vertices[n as usize].id();
    let steps: Vec<(u32, u32)> = (0..cycle.len()).map(|n| (cycle[n], cycle[(n + 1) % cycle.len()])).collect();
    let story = format!("a cycle of {} resources, so none of them could ever start: ", cycle.len());
    let story =
        if let [only] = cycle { format!("{} waits for itself", id(*only)) } else { story + &story_of(vertices, cycle) };
    let (first, rest) = steps.split_first().map_or((None, &steps[..]), |(first, rest)| (Some(*first), rest));
    let mut problem = Problem::new(story, first.map_or(Origin::Unknown, |(from, to)| origin_of(from, to)));
    for (from, to) in rest.iter().take(STEPS_MAX) {
        problem = problem.also(format!("{} before {}", id(*from), id(*to)), origin_of(*from, *to));
    }
    problem
}

/// `a must run before b, which must run before a`.
pub(super) fn story_of(vertices: &[Vertex], cycle: &[u32]) -> String {
    let id = |n: u32| vertices[n as usize].id();
    let mut story = format!("{} must run", id(cycle[0]));
    for n in 0..cycle.len().min(STEPS_MAX) {
        let next = id(cycle[(n + 1) % cycle.len()]);
        story.push_str(&format!("{} before {next}", if n == 0 { "" } else { ", which must run" }));
    }
    if cycle.len() > STEPS_MAX {
        story.push_str(&format!(", … and {} more", cycle.len() - STEPS_MAX));
    }
    story
}
