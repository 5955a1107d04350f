//! The first pass: everything that can be wrong with a graph is found before anything of it runs.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::dag::topo;
use crate::graph::config::{Edge, GraphConfig, Vertex};
use crate::graph::problem::{Problem, Problems};
use crate::id::ResourceId;
use crate::resource::{Origin, Uid, parse_sema};

/// Finds resources of a graph by kind and name.
#[derive(Debug, Default)]
pub struct Index {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    owned: Arc<Vec<PathBuf>>,
}

fn hash(hasher: &DefaultHashBuilder, kind: &str, name: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(kind.as_bytes());
    hasher.write_u8(b'[');
    hasher.write(name.as_bytes());
    hasher.finish()
}

impl Index {
    /// Of nothing, with room for so many.
    fn with_room(count: usize) -> Index {
        Index { table: HashTable::with_capacity(count), ..Index::default() }
    }

    /// Takes in the resource at place `n`. Or else says where one of the same identity is.
    fn insert(&mut self, vertices: &[Vertex], n: u32) -> Option<u32> {
        let hash_of = |at: u32| {
            let resource = &vertices[at as usize].resource;
            hash(&self.hasher, resource.spec().kind, resource.name())
        };
        let (resource, hash) = (&vertices[n as usize].resource, hash_of(n));
        let first = self.table.find(hash, |at| is(vertices, *at, resource.spec().kind, resource.name())).copied();
        if first.is_none() {
            self.table.insert_unique(hash, n, |at| hash_of(*at));
        }
        first
    }

    /// The place of that resource among the vertices that the index was made of.
    pub fn find(&self, vertices: &[Vertex], kind: &str, name: &str) -> Option<u32> {
        self.table.find(hash(&self.hasher, kind, name), |at| is(vertices, *at, kind, name)).copied()
    }

    /// The same by identity.
    pub fn find_id(&self, vertices: &[Vertex], id: &ResourceId) -> Option<u32> {
        self.find(vertices, id.kind.as_str(), &id.name)
    }

    /// The paths that resources of a [valid](validate) graph own, in order.
    pub fn owned(&self) -> &Arc<Vec<PathBuf>> {
        &self.owned
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.table.allocation_size()
            + self.owned.iter().map(|path| size_of::<PathBuf>() + path.capacity()).sum::<usize>()
    }
}

/// Whether that resource is at that place.
pub(crate) fn is(vertices: &[Vertex], at: u32, kind: &str, name: &str) -> bool {
    vertices
        .get(at as usize)
        .is_some_and(|vertex| vertex.resource.spec().kind == kind && vertex.resource.name() == name)
}

/// Checks a graph whole: identities, names, fields, metaparameters, what is owned twice, edges, cycles, sends.
///
/// # Errors
/// Everything that is wrong.
pub fn validate(config: &GraphConfig) -> Result<Index, Problems> {
    let (mut twice, mut problems) = (Vec::new(), Vec::new());
    let mut index = Index::with_room(config.vertices.len());
    let mut owners: HashMap<Uid, u32> = HashMap::new();
    let mut semas: HashMap<String, (u32, Origin)> = HashMap::new();
    // One pass: to fetch a resource from memory costs more than to look at it.
    for (n, vertex) in (0u32..).zip(&config.vertices) {
        if let Some(first) = index.insert(&config.vertices, n) {
            twice.push(declared_twice(&config.vertices[first as usize], vertex));
        }
        check_vertex(vertex, &mut problems);
        check_owner(config, n, &mut owners, &mut problems);
        check_semas(vertex, &mut semas, &mut problems);
    }
    if places_exist(config, &mut problems) {
        check_receivers(config, &mut problems);
        check_cycles(config, &mut problems);
    }
    twice.append(&mut problems);
    Problems(twice).into_result()?;
    index.owned = Arc::new(paths(owners));
    Ok(index)
}

fn declared_twice(first: &Vertex, second: &Vertex) -> Problem {
    let message =
        format!("{} is declared twice: kind and name are its identity; rename one, or make them one", second.id());
    Problem::new(message, second.origin.clone()).also("first", first.origin.clone())
}

fn paths(owners: HashMap<Uid, u32>) -> Vec<PathBuf> {
    let paths = owners.into_keys().filter_map(|uid| match uid {
        Uid::Path(path) => Some(path),
        Uid::Other { .. } => None,
    });
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort_unstable();
    paths
}

fn check_vertex(vertex: &Vertex, problems: &mut Vec<Problem>) {
    const NAME_BYTES_MAX: usize = 4096;
    let name = vertex.resource.name();
    let mut say = |message: String| problems.push(Problem::new(message, vertex.origin.clone()));
    if name.is_empty() {
        say(format!("a {} without a name: give it one", vertex.resource.spec().kind));
    } else if name.len() > NAME_BYTES_MAX {
        say(format!(
            "a {}'s name is {} bytes long: at most {NAME_BYTES_MAX} are allowed",
            vertex.resource.spec().kind,
            name.len()
        ));
    } else if name.contains('\0') {
        say(format!("{}: a name can't hold a NUL byte", vertex.id()));
    }
    if let Err(problems) = vertex.resource.validate() {
        problems.lines().for_each(|problem| say(format!("{}: {problem}", vertex.id())));
    }
    for problem in vertex.meta.iter().flat_map(|meta| meta.problems()) {
        say(format!("{}: {problem}", vertex.id()));
    }
}

fn check_owner(config: &GraphConfig, n: u32, owners: &mut HashMap<Uid, u32>, problems: &mut Vec<Problem>) {
    let vertex = &config.vertices[n as usize];
    for uid in vertex.resource.uids() {
        let Some(first) = owners.get(&uid).copied().filter(|first| *first != n) else {
            owners.insert(uid, n);
            continue;
        };
        let first = &config.vertices[first as usize];
        // The same identity twice has been said already.
        if first.id() == vertex.id() {
            continue;
        }
        let what = match &uid {
            Uid::Path(path) => format!("the path {}", path.display()),
            Uid::Other { space, key } => format!("the {space} `{key}`"),
        };
        let message = format!(
            "{} and {} both own {what}: they would undo each other's work; leave it to one of them",
            first.id(),
            vertex.id()
        );
        problems.push(Problem::new(message, vertex.origin.clone()).also(first.id().to_string(), first.origin.clone()));
    }
}

fn check_semas(vertex: &Vertex, semas: &mut HashMap<String, (u32, Origin)>, problems: &mut Vec<Problem>) {
    for text in vertex.meta.iter().flat_map(|meta| &meta.sema) {
        let Ok((name, size)) = parse_sema(text) else { continue };
        let (first, origin) = semas.entry(name.to_owned()).or_insert_with(|| (size, vertex.origin.clone()));
        if *first != size {
            let message = format!(
                "{}: the semaphore `{name}` has size {size} here and {first} elsewhere: give it one size",
                vertex.id()
            );
            problems.push(Problem::new(message, vertex.origin.clone()).also(format!("size {first}"), origin.clone()));
        }
    }
}

/// Whether all edges and sends have both ends; says which have not.
pub(crate) fn places_exist(config: &GraphConfig, problems: &mut Vec<Problem>) -> bool {
    let before = problems.len();
    let is_there = |place: u32| (place as usize) < config.vertices.len();
    for edge in &config.edges {
        for (side, end) in [("from", edge.from), ("to", edge.to)] {
            if !is_there(end) {
                let message = format!("an edge whose `{side}` end is not in the graph");
                problems.push(Problem::new(message, edge.origin.clone()));
            }
        }
    }
    for link in &config.links {
        let mut say = |message: String| problems.push(Problem::new(message, link.wire.origin.clone()));
        let Some(receiver) = config.vertices.get(link.to as usize) else {
            say("a send to a resource that is not in the graph".to_owned());
            continue;
        };
        if usize::from(link.field) >= receiver.resource.spec().fields.len() {
            say(format!("a send to field number {} of {}, which has no such field", link.field, receiver.id()));
        }
        for (from, port) in &link.sources {
            match config.vertices.get(*from as usize) {
                None => say(format!("{} receives from a resource that is not in the graph", receiver.id())),
                Some(sender) if usize::from(*port) >= sender.resource.spec().outputs.len() => {
                    say(format!("{} has no output number {port}", sender.id()));
                }
                Some(_) => {}
            }
        }
    }
    problems.len() == before
}

/// A field receives from one wire.
fn check_receivers(config: &GraphConfig, problems: &mut Vec<Problem>) {
    let mut first: HashMap<(u32, u8), &Origin> = HashMap::new();
    for link in &config.links {
        let origin = &link.wire.origin;
        if let Some(first) = first.insert((link.to, link.field), origin) {
            let receiver = &config.vertices[link.to as usize];
            let field = receiver.resource.spec().fields[usize::from(link.field)].name;
            let message = format!("{}: `{field}` receives twice: leave it to one sender", receiver.id());
            problems.push(Problem::new(message, origin.clone()).also("first", first.clone()));
        }
    }
}

fn check_cycles(config: &GraphConfig, problems: &mut Vec<Problem>) {
    let edges: Vec<(u32, u32)> = config.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let Err(cycles) = topo::order(config.vertices.len(), &edges) else { return };
    for cycle in cycles.paths {
        problems.push(tell_cycle(config, &cycle));
    }
}

/// A cycle as a story: who must run before whom, and which line says so.
fn tell_cycle(config: &GraphConfig, cycle: &[u32]) -> Problem {
    const TOLD_MAX: usize = 20;
    let id = |n: u32| config.vertices[n as usize].id();
    let edge_of = |from: u32, to: u32| config.edges.iter().find(|edge| edge.from == from && edge.to == to);
    let steps: Vec<(u32, u32)> = (0..cycle.len()).map(|n| (cycle[n], cycle[(n + 1) % cycle.len()])).collect();
    let mut story =
        format!("a cycle of {} resources, so none of them could ever start: {} must run", cycle.len(), id(cycle[0]));
    if let [only] = cycle {
        story = format!("{} waits for itself", id(*only));
    } else {
        for (n, (_, to)) in steps.iter().enumerate().take(TOLD_MAX) {
            story.push_str(&format!("{} before {}", if n == 0 { "" } else { ", which must run" }, id(*to)));
        }
        if steps.len() > TOLD_MAX {
            story.push_str(&format!(", … and {} more", steps.len() - TOLD_MAX));
        }
    }
    let origin_of = |edge: Option<&Edge>| edge.map_or(Origin::Unknown, |edge| edge.origin.clone());
    let (first, rest) = steps.split_first().map_or((None, &steps[..]), |(first, rest)| (Some(*first), rest));
    let mut problem = Problem::new(story, origin_of(first.and_then(|(from, to)| edge_of(from, to))));
    for (from, to) in rest.iter().take(TOLD_MAX) {
        problem = problem.also(format!("{} before {}", id(*from), id(*to)), origin_of(edge_of(*from, *to)));
    }
    problem
}
