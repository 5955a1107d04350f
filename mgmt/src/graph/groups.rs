//! The groups of a graph, checked.

use crate::dag::topo;
use crate::graph::cycle::story_of;
use crate::graph::grouping::{GroupGraph, Grouping};
use crate::graph::problem::{Problem, Problems};
use crate::graph::quotient::Quotient;
use crate::resource::{Origin, caught};

/// The groups of a graph: resources of one kind that belong together. Made by a [`Grouping`], and valid: each resource
/// is in at most one of them, and their graph has no cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Vec<Vec<u32>>);

impl Groups {
    /// The groups with at least two members, as indices of the graph's resources. The default grouping sorts the
    /// members by name.
    pub fn all(&self) -> &[Vec<u32>] {
        &self.0
    }

    /// Whether no resource is grouped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The groups that this grouping makes. Warnings are added to `warnings`.
    ///
    /// # Errors
    /// What is wrong with the groups.
    pub(super) fn of(
        grouping: &dyn Grouping,
        graph: &GroupGraph<'_>,
        warnings: &mut Vec<Problem>,
    ) -> Result<Groups, Problems> {
        let name = grouping.name();
        match caught(|| grouping.groups(graph)) {
            Err(panic) => {
                let message = format!("the grouping {name} {panic}: no resource is grouped");
                warnings.push(Problem::new(message, Origin::Unknown));
                Ok(Groups::default())
            }
            Ok(mut groups) => {
                groups.retain(|group| group.len() > 1);
                check(name, graph, &groups)?;
                Ok(Groups(groups))
            }
        }
    }
}

/// What is wrong with the groups of a grouping.
fn check(name: &str, graph: &GroupGraph<'_>, groups: &[Vec<u32>]) -> Result<(), Problems> {
    let vertices = graph.vertices();
    let mut problems = Vec::new();
    let mut seen = vec![false; vertices.len()];
    for group in groups {
        if let Some(at) = group.iter().find(|at| **at as usize >= vertices.len()) {
            let message = format!("the grouping {name} names the resource {at}: there are only {}", vertices.len());
            return Err(Problems(vec![Problem::new(message, Origin::Unknown)]));
        }
        let first = group[0];
        for (place, at) in group.iter().enumerate() {
            if std::mem::replace(&mut seen[*at as usize], true) {
                let other = group.iter().find(|other| *other != at).unwrap_or(at);
                problems.push(together(name, graph, *other, *at, "the second is in two groups, or twice in one"));
            } else if place > 0 && !graph.may_join(first, *at) {
                problems.push(together(name, graph, first, *at, &unlike(graph, first, *at)));
            } else if place > 0 {
                problems.extend(refused(name, graph, first, *at));
            }
        }
    }
    if problems.is_empty() {
        problems.extend(cycle(name, graph, groups));
    }
    Problems(problems).into_result()
}

/// Two resources that are in one group, and should not be.
fn together(name: &str, graph: &GroupGraph<'_>, first: u32, second: u32, why: &str) -> Problem {
    let [first, second] = [first, second].map(|at| &graph.vertices()[at as usize]);
    let message = format!("the grouping {name} can't put {} and {} into one group: {why}", first.id(), second.id());
    Problem::new(message, second.origin.clone()).also(first.id().to_string(), first.origin.clone())
}

fn unlike(graph: &GroupGraph<'_>, first: u32, second: u32) -> String {
    let vertex = |at: u32| &graph.vertices()[at as usize];
    if vertex(first).resource.spec().kind != vertex(second).resource.spec().kind {
        return "they are of different kinds".to_owned();
    }
    match (graph.key(first), graph.key(second)) {
        (Some(one), Some(other)) => format!("the first is grouped as `{one}`, the second as `{other}`"),
        (None, _) => format!("{} must stay alone", vertex(first).id()),
        (_, None) => format!("{} must stay alone", vertex(second).id()),
    }
}

/// The kind refuses one of the members.
fn refused(name: &str, graph: &GroupGraph<'_>, first: u32, second: u32) -> Option<Problem> {
    let [one, other] = [first, second].map(|at| &graph.vertices()[at as usize].resource);
    let joins = one.spec().abilities.group?.joins;
    let why = caught(|| joins(&**other, &**one)).unwrap_or_else(Err).err()?;
    let remedy = format!("{why}; `autogroup: false` keeps one of the two alone");
    Some(together(name, graph, first, second, &remedy))
}

/// Groups that would wait for each other.
fn cycle(name: &str, graph: &GroupGraph<'_>, groups: &[Vec<u32>]) -> Option<Problem> {
    let quotient = Quotient::of_pairs(graph.vertices().len(), graph.order(), groups);
    let edges: Vec<(u32, u32)> = quotient.edges().iter().map(|edge| (edge.from, edge.to)).collect();
    let inside = quotient.inside().first().copied();
    if let Some((from, to)) = inside {
        return Some(together(name, graph, from, to, "the first must run before the second"));
    }
    topo::order(quotient.nodes().len(), &edges).err()?;
    let cycle = topo::cycles(quotient.nodes().len(), &edges).into_iter().next()?;
    let members: Vec<u32> = cycle.iter().map(|node| quotient.nodes()[*node as usize][0]).collect();
    // Both ends of a group in the cycle: the edge that leads to it, and the one that leads away, are of two members.
    let ends = (0..cycle.len()).find_map(|n| {
        let [before, at, after] = [n + cycle.len() - 1, n, n + 1].map(|n| cycle[n % cycle.len()]);
        let of = |at: u32| quotient.node_of(at);
        let reached = graph.order().iter().find(|(from, to)| (of(*from), of(*to)) == (before, at))?.1;
        let left = graph.order().iter().find(|(from, to)| (of(*from), of(*to)) == (at, after))?.0;
        (reached != left).then_some((reached, left))
    });
    let (first, second) = ends.unwrap_or((members[0], members[0]));
    let story = story_of(graph.vertices(), &members);
    Some(together(name, graph, first, second, &format!("groups would wait for each other: {story}")))
}
