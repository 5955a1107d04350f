//! Groupings: functions from a graph to groups of resources that belong together.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::dag::Csr;
use crate::graph::coming::coming;
use crate::graph::config::{GraphConfig, Vertex};
use crate::graph::merging::{Merging, Pairs, Refusal, pairwise_in};
use crate::graph::pass::known;
use crate::graph::problem::Problem;
use crate::resource::caught;

/// A function from a graph to groups of resources. It is called for each graph, after the passes. Groups are data
/// besides the graph: the graph stays the same, and the next graph begins without groups.
///
/// [`AutoGroups`] is the grouping of every engine; [`Builder::grouping`](crate::runtime::Builder::grouping) replaces
/// it. One that merges pairs of resources is written with [`pairwise`](crate::graph::pairwise).
///
/// ```
/// use mgmt::graph::{GroupGraph, Grouping};
///
/// /// Only neighbours are grouped: a resource with the one declared after it.
/// #[derive(Debug)]
/// struct Couples;
///
/// impl Grouping for Couples {
///     fn name(&self) -> &'static str {
///         "couples"
///     }
///
///     fn groups(&self, graph: &GroupGraph<'_>) -> Vec<Vec<u32>> {
///         let pairs = (1..graph.vertices().len() as u32).step_by(2).map(|at| (at - 1, at));
///         mgmt::graph::pairwise(graph, &mut pairs.into_iter())
///     }
/// }
/// ```
pub trait Grouping: fmt::Debug + Send + Sync + 'static {
    /// The name of the grouping, a word for messages and drawings.
    fn name(&self) -> &'static str;

    /// The groups, as indices into [`GroupGraph::vertices`]; a resource in none of them is alone. Must be
    /// deterministic.
    ///
    /// The graph is refused, with both resources and the grouping in the message, if a group has resources that
    /// [may not be together](GroupGraph::may_join), if a resource is in two groups, or if groups would wait for each
    /// other. After a panic there are no groups, and a warning.
    fn groups(&self, graph: &GroupGraph<'_>) -> Vec<Vec<u32>>;
}

/// A graph as a grouping sees it: with the edges of the passes. Resources are identified by their index in
/// [`GroupGraph::vertices`].
#[derive(Debug)]
pub struct GroupGraph<'a> {
    config: &'a GraphConfig,
    /// The class of each resource, or `ALONE`.
    class_of: Vec<u32>,
    /// Kind and key of each class, sorted.
    classes: Vec<(&'static str, Cow<'static, str>)>,
    children: Csr,
    edges: Vec<(u32, u32)>,
}

/// The class of resources that can't be grouped.
const ALONE: u32 = u32::MAX;

impl<'a> GroupGraph<'a> {
    /// The graph, and a warning for each resource whose key can't be found out.
    pub(super) fn new(config: &'a GraphConfig) -> (GroupGraph<'a>, Vec<Problem>) {
        let (mut numbers, mut warnings) = (HashMap::<(&'static str, Cow<'static, str>), u32>::new(), Vec::new());
        let coming = coming(config);
        let mut class = |at: u32, vertex: &Vertex| {
            let Some(group) = vertex.resource.spec().abilities.group else { return ALONE };
            if !vertex.may_be_grouped() {
                return ALONE;
            }
            match caught(|| (group.key)(&*vertex.resource, &known(vertex, at, &coming))) {
                Ok(None) => ALONE,
                Ok(Some(key)) => {
                    let next = numbers.len() as u32;
                    *numbers.entry((vertex.resource.spec().kind, key)).or_insert(next)
                }
                Err(panic) => {
                    let message = format!("{}: its `group_key` {panic}: it is not grouped", vertex.id());
                    warnings.push(Problem::new(message, vertex.origin.clone()));
                    ALONE
                }
            }
        };
        let mut class_of: Vec<u32> = (0u32..).zip(&config.vertices).map(|(at, vertex)| class(at, vertex)).collect();
        // By kind and key, so that no order depends on that of the declarations.
        let mut sorted: Vec<_> = numbers.into_iter().collect();
        sorted.sort_unstable();
        let mut places = vec![0; sorted.len()];
        for (place, (_, number)) in (0u32..).zip(&sorted) {
            places[*number as usize] = place;
        }
        class_of.iter_mut().filter(|class| **class != ALONE).for_each(|class| *class = places[*class as usize]);
        let edges = order_of(config);
        let children = Csr::new(config.vertices.len(), edges.iter().copied());
        let classes = sorted.into_iter().map(|(class, _)| class).collect();
        (GroupGraph { config, class_of, classes, children, edges }, warnings)
    }

    /// The resources, in the order in which they were declared, with the metaparameters that are in force.
    pub fn vertices(&self) -> &'a [Vertex] {
        &self.config.vertices
    }

    /// Which resource comes before which: by the declared edges, those of sends, and those of passes. A pair may occur
    /// several times.
    pub fn order(&self) -> &[(u32, u32)] {
        &self.edges
    }

    /// The resources that come directly after this one.
    pub fn children(&self, at: u32) -> &[u32] {
        self.children.of(at)
    }

    /// The [key](crate::resource::Grouped::group_key) of the resource; `None` if it can't be grouped, for itself or
    /// because its metaparameter `autogroup` is off.
    pub fn key(&self, at: u32) -> Option<&str> {
        self.class(at).map(|class| &*self.classes[class as usize].1)
    }

    /// Whether the two are different resources of one kind with equal keys.
    pub fn may_join(&self, first: u32, second: u32) -> bool {
        first != second && self.class(first).is_some() && self.class(first) == self.class(second)
    }

    /// The number of kind and key.
    pub(super) fn class(&self, at: u32) -> Option<u32> {
        self.class_of.get(at as usize).copied().filter(|class| *class != ALONE)
    }

    fn name(&self, at: u32) -> &'a str {
        self.config.vertices[at as usize].resource.name()
    }
}

/// Which resource comes before which.
pub(super) fn order_of(config: &GraphConfig) -> Vec<(u32, u32)> {
    let sends = config.links.iter().flat_map(|link| link.sources.iter().map(|(from, _)| (*from, link.to)));
    config.edges.iter().map(|edge| (edge.from, edge.to)).chain(sends).collect()
}

/// The grouping of every engine: it groups resources of one kind with equal keys (see
/// [`Grouped`](crate::resource::Grouped)) as long as none of them must run before another, directly or through other
/// groups.
///
/// It goes through the graph in the order of the edges, and puts off resources that may be grouped for as long as it
/// finds others; then it makes a group of all that wait and belong together. So of resources of one kind and key it
/// makes the fewest groups that there can be; between several, those of which none is still to come go first, then the
/// first by kind and key. The groups do not depend on the order of declaration, and their graph has no cycle. The cost
/// is that of looking at each resource and edge, and of sorting the members by name.
///
/// ```
/// # use std::borrow::Cow;
/// # use mgmt::resource::{ConvergeMany, Grouped, Known};
/// # #[derive(Resource, Clone, Debug, PartialEq)]
/// # #[resource(kind = "deb", unwatched)]
/// # struct Deb { #[resource(name)] name: String }
/// # impl Converge for Deb {
/// #     type Drift = Change;
/// #     async fn check(&self, _: &CheckCx) -> Result<Option<Change>> { Ok(None) }
/// #     async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> { Ok(()) }
/// # }
/// # impl ConvergeMany for Deb {}
/// # impl Grouped for Deb {
/// #     fn group_key(&self, _: &Known<'_>) -> Option<Cow<'static, str>> { Some("newest".into()) }
/// # }
/// use mgmt::graph::{AutoGroups, Settings, prepare};
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("demo");
/// let first = g.add(Deb::new("nginx"));
/// g.add(Deb::new("curl"));
/// g.add(Deb::new("nginx-extras").after(&first));
/// let prepared = prepare(g.finish().unwrap(), &Settings::default().grouping(AutoGroups)).unwrap();
/// assert_eq!(prepared.groups().all(), [[1, 0]]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AutoGroups;

impl Grouping for AutoGroups {
    fn name(&self) -> &'static str {
        "autogroup"
    }

    fn groups(&self, graph: &GroupGraph<'_>) -> Vec<Vec<u32>> {
        let found = Stages::of(graph);
        let mut pairs = Candidates { groups: found.groups.iter(), group: &[], next: 0 };
        pairwise_in(Merging::ranked(graph, found.ranks), &mut pairs)
    }
}

/// The pairs of the default: the first of each group with each of the others.
struct Candidates<'a> {
    groups: std::slice::Iter<'a, Vec<u32>>,
    group: &'a [u32],
    next: usize,
}

impl Pairs for Candidates<'_> {
    fn next(&mut self, _: &mut Merging<'_>) -> Option<(u32, u32)> {
        while self.next >= self.group.len() {
            (self.group, self.next) = (self.groups.next()?, 1);
        }
        self.next += 1;
        Some((self.group[0], self.group[self.next - 1]))
    }

    fn merged(&mut self, _: u32, _: u32, merged: Result<(), Refusal>) -> bool {
        debug_assert!(merged.is_ok(), "they are of one stage");
        true
    }
}

/// The graph, in stages: each edge leads to a later one. A stage is one resource, or resources that may be together.
struct Stages {
    /// The stage of each resource.
    ranks: Vec<u32>,
    /// The stages with several resources, each sorted by name.
    groups: Vec<Vec<u32>>,
}

/// What has no earlier resource left, while the stages are made.
struct Waiting<'a> {
    graph: &'a GroupGraph<'a>,
    /// How many earlier resources of each are left.
    left: Vec<u32>,
    alone: Vec<u32>,
    by_class: Vec<Vec<u32>>,
    /// How many of each class have no stage.
    to_come: Vec<usize>,
    /// The classes of which some wait, and those of which all that are left do.
    some: BTreeSet<u32>,
    all: BTreeSet<u32>,
}

impl Waiting<'_> {
    fn add(&mut self, at: u32) {
        let Some(class) = self.graph.class(at) else { return self.alone.push(at) };
        let waiting = &mut self.by_class[class as usize];
        waiting.push(at);
        if waiting.len() == 1 {
            self.some.insert(class);
        }
        if waiting.len() == self.to_come[class as usize] {
            self.all.insert(class);
        }
    }

    /// The next class of which all that wait make a stage.
    fn take(&mut self) -> Option<Vec<u32>> {
        let class = self.all.pop_first().or_else(|| self.some.first().copied())?;
        self.some.remove(&class);
        let stage = std::mem::take(&mut self.by_class[class as usize]);
        self.to_come[class as usize] -= stage.len();
        Some(stage)
    }

    fn pass(&mut self, at: u32) {
        let graph = self.graph;
        for child in graph.children(at) {
            self.left[*child as usize] -= 1;
            if self.left[*child as usize] == 0 {
                self.add(*child);
            }
        }
    }
}

impl Stages {
    fn of(graph: &GroupGraph<'_>) -> Stages {
        let (count, classes) = (graph.vertices().len(), graph.classes.len());
        let mut left = vec![0u32; count];
        graph.edges.iter().for_each(|(_, to)| left[*to as usize] += 1);
        let mut to_come = vec![0; classes];
        (0..count as u32).filter_map(|at| graph.class(at)).for_each(|class| to_come[class as usize] += 1);
        let (alone, some, all) = Default::default();
        let mut waiting = Waiting { graph, left, alone, by_class: vec![Vec::new(); classes], to_come, some, all };
        (0..count as u32)
            .filter(|at| waiting.left[*at as usize] == 0)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|at| waiting.add(at));
        let (mut stages, mut stage) = (Stages { ranks: vec![0; count], groups: Vec::new() }, 0);
        loop {
            while let Some(at) = waiting.alone.pop() {
                stages.ranks[at as usize] = stage;
                stage += 1;
                waiting.pass(at);
            }
            let Some(mut members) = waiting.take() else { return stages };
            members.iter().for_each(|at| stages.ranks[*at as usize] = stage);
            stage += 1;
            members.iter().for_each(|at| waiting.pass(*at));
            if members.len() > 1 {
                members.sort_unstable_by_key(|at| graph.name(*at));
                stages.groups.push(members);
            }
        }
    }
}
