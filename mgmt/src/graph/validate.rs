//! The checks of a graph: all mistakes that can be found before a part of it runs are found here.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::dag::topo;
use crate::graph::coming::{Coming, Doubts};
use crate::graph::config::{GraphConfig, Vertex};
use crate::graph::copies::check_copies;
use crate::graph::cycle::tell_cycle;
use crate::graph::data::two_types;
use crate::graph::exchange::with_exchange;
use crate::graph::former::Likeness;
use crate::graph::index::Index;
use crate::graph::problem::{Problem, Problems};
use crate::graph::secrets::check_secrets;
use crate::graph::twice::{declared_twice, merged};
use crate::resource::{FieldProblem, KindSpec, Origin, Provisions, Uid};

/// Checks a whole graph: identities, names, fields, metaparameters, owners, copies in a cycle, edges, cycles, sends. (A
/// graph that will be run, or whose plan is wanted, must be [prepared](crate::graph::prepare), which includes these
/// checks.)
///
/// # Errors
/// All mistakes.
pub fn validate(config: &GraphConfig) -> Result<(), Problems> {
    with_exchange(config, checked(config))
}

/// The same for what runs here.
fn checked(config: &GraphConfig) -> Result<(), Problems> {
    indexed(config, None, one_by_one).map(drop).or_else(|problems| match merged(config) {
        Some(merged) => indexed(&merged, None, one_by_one).map(drop),
        None => Err(problems),
    })
}

/// Like [`validate`], for a graph from a text with mistakes: reports only what is wrong whatever the doubtful fields
/// are.
#[cfg(feature = "yaml")]
pub(crate) fn validate_but(config: &GraphConfig, doubts: &Doubts) -> Result<(), Problems> {
    let checked = match indexed_but(config, Some(doubts), None, one_by_one) {
        // Doubts are about the resources as they were declared.
        Err(_) if doubts.is_empty() => checked(config),
        ended => ended.map(drop),
    };
    with_exchange(config, checked)
}

/// Does numbered pieces of work that don't depend on one another, possibly in parallel.
pub(crate) type Hands = fn(usize, &(dyn Fn(usize) + Sync));

/// Does the pieces one after the other.
pub(super) fn one_by_one(count: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..count).for_each(work);
}

/// The number of resources in a piece of work. After `PIECES` pieces their results are put together, which bounds the
/// memory for results.
pub(super) const PIECE: usize = 4096;
const PIECES: usize = 8;

/// The results for some resources, each by itself.
#[derive(Default)]
struct Found {
    /// The hash of each resource in the index.
    hashes: Vec<u64>,
    /// Whether one of them has a semaphore.
    has_semas: bool,
    /// The resources that may provide or need something.
    related: Vec<u32>,
    /// The UIDs that resources own, without the resources that own none.
    uids: Vec<(u32, Vec<Uid>)>,
    /// The paths that resources copy from, without the resources that copy nothing.
    copies: Vec<(u32, Vec<PathBuf>)>,
    /// The files of which resources keep a part.
    parts: Vec<(u32, PathBuf)>,
    /// The first resource of each type.
    types: Vec<u32>,
    problems: Vec<(u32, Problem)>,
    warnings: Vec<Problem>,
}

/// Like [`validate`]; also checks the needs of kinds, if the program's provisions are known. Returns the index and the
/// warnings.
pub(super) fn indexed(
    config: &GraphConfig,
    provisions: Option<&Provisions>,
    hands: Hands,
) -> Result<(Index, Vec<Problem>), Problems> {
    indexed_but(config, None, provisions, hands)
}

fn indexed_but(
    config: &GraphConfig,
    doubts: Option<&Doubts>,
    provisions: Option<&Provisions>,
    hands: Hands,
) -> Result<(Index, Vec<Problem>), Problems> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut index = Index::default();
    let mut hashes = Vec::with_capacity(config.vertices.len());
    let mut owners: HashMap<Uid, u32> = HashMap::new();
    let mut semas: HashMap<String, (u32, Origin)> = HashMap::new();
    let mut types: HashMap<&'static str, u32> = HashMap::new();
    let (mut copies, mut related, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let coming = Coming::of(config, doubts);
    let count = config.vertices.len();
    for block in (0..count).step_by(PIECE * PIECES) {
        let starts: Vec<usize> = (block..count.min(block + PIECE * PIECES)).step_by(PIECE).collect();
        let found: Vec<OnceLock<Found>> = starts.iter().map(|_| OnceLock::new()).collect();
        hands(starts.len(), &|piece| {
            let range = starts[piece]..count.min(starts[piece] + PIECE);
            found[piece].get_or_init(|| look(config, range, &coming, provisions, &index));
        });
        for (start, found) in starts.iter().zip(found.into_iter().filter_map(OnceLock::into_inner)) {
            if found.has_semas {
                for (n, vertex) in (*start as u32..).zip(&config.vertices[*start..]).take(PIECE) {
                    check_semas(n, vertex, &mut semas, &mut problems);
                }
            }
            hashes.extend(found.hashes);
            problems.extend(found.problems);
            warnings.extend(found.warnings);
            copies.extend(found.copies);
            related.extend(found.related);
            parts.extend(found.parts);
            found.types.into_iter().for_each(|n| check_type(config, n, &mut types, &mut problems));
            found.uids.into_iter().for_each(|(n, uids)| check_owner(config, n, uids, &mut owners, &mut problems));
        }
    }
    let mut problems = by_resource(problems);
    check_edges(config, &mut problems);
    let twice = index.fill(&config.vertices, &hashes).into_iter();
    drop(hashes);
    let vertex = |at: u32| &config.vertices[at as usize];
    let mut twice: Vec<Problem> = twice.map(|(first, second)| declared_twice(vertex(first), vertex(second))).collect();
    twice.append(&mut problems);
    index.set_owners(owners);
    index.set_related(related);
    index.set_grouped(types.values().any(|n| config.vertices[*n as usize].is_operated_in_groups()));
    twice.extend(check_copies(&config.vertices, &index, &copies));
    twice.extend(parts.iter().filter_map(|(n, path)| check_part(config, *n, path, &index, &coming)));
    index.set_parts(parts.into_iter().map(|(_, path)| path).collect());
    twice.extend(check_name(config));
    Problems(twice).into_result()?;
    Ok((index, warnings))
}

/// Like [`indexed`], for a graph that has the resources of the former graph at the same indices and owns the same: only
/// what has changed is checked. Returns the warnings.
pub(super) fn rechecked(
    config: &GraphConfig,
    likeness: &Likeness,
    provisions: Option<&Provisions>,
) -> Result<Vec<Problem>, Problems> {
    let (mut problems, mut warnings, mut copies) = (Vec::new(), Vec::new(), false);
    let mut semas: HashMap<String, (u32, Origin)> = HashMap::new();
    let coming = Coming::of(config, None);
    for place in likeness.changed.iter().map(|place| *place as usize) {
        let found = look(config, place..place + 1, &coming, provisions, &likeness.index);
        problems.extend(found.problems);
        warnings.extend(found.warnings);
        copies |= !found.copies.is_empty();
    }
    for (n, vertex) in (0u32..).zip(&config.vertices) {
        check_semas(n, vertex, &mut semas, &mut problems);
    }
    let mut problems = by_resource(problems);
    if !likeness.has_same_edges || !config.links.is_empty() {
        check_edges(config, &mut problems);
    }
    if copies {
        let all = (0u32..).zip(&config.vertices);
        let copies = all.map(|(n, vertex)| (n, vertex.resource.copies(&coming.known(n, vertex))));
        let copies: Vec<_> = copies.filter(|(_, paths)| !paths.is_empty()).collect();
        problems.extend(check_copies(&config.vertices, &likeness.index, &copies));
    }
    problems.extend(check_name(config));
    Problems(problems).into_result()?;
    Ok(warnings)
}

/// The problems in the order of the resources; those of one resource stay in the order in which they were found.
fn by_resource(mut problems: Vec<(u32, Problem)>) -> Vec<Problem> {
    problems.sort_by_key(|(n, _)| *n);
    problems.into_iter().map(|(_, problem)| problem).collect()
}

fn check_edges(config: &GraphConfig, problems: &mut Vec<Problem>) {
    if places_exist(config, problems) {
        check_receivers(config, problems);
        check_hidden_senders(config, problems);
        check_secrets(config, problems);
        check_cycles(config, problems);
    }
}

/// Everything that can be found out about each of these resources by itself. Fetching a resource from memory costs more
/// than examining it, so all checks are made at once.
fn look(
    config: &GraphConfig,
    range: Range<usize>,
    coming: &Coming<'_>,
    provisions: Option<&Provisions>,
    index: &Index,
) -> Found {
    let mut found = Found { hashes: Vec::with_capacity(range.len()), ..Found::default() };
    let mut last: Option<&KindSpec> = None;
    for (n, vertex) in (range.start as u32..).zip(&config.vertices[range]) {
        let spec = vertex.resource.spec();
        // There are few types, and resources of one type often follow one another.
        if last.is_none_or(|last| !std::ptr::eq(last, spec)) {
            let is_known = |of: &u32| std::ptr::eq(config.vertices[*of as usize].resource.spec(), spec);
            if !found.types.iter().any(is_known) {
                found.types.push(n);
            }
            last = Some(spec);
        }
        for lack in provisions.iter().flat_map(|provisions| provisions.lacking(spec)) {
            let problem = Problem::new(format!("{}: {lack}", vertex.id()), vertex.origin.clone());
            found.problems.push((n, problem));
        }
        let known = coming.known(n, vertex);
        found.hashes.push(index.hash_of(vertex));
        found.has_semas |= vertex.meta.as_ref().is_some_and(|meta| !meta.sema.is_empty());
        if let Some(meta) = vertex.meta.as_ref().filter(|meta| !meta.ignore.is_empty()) {
            let say = |wrong| Problem::new(format!("{}: {wrong}", vertex.id()), vertex.origin.clone());
            found.problems.extend(meta.wrong_ignored(spec, &known).into_iter().map(|wrong| (n, say(wrong))));
        }
        check_vertex(
            vertex,
            coming.problems(n, vertex),
            &mut |problem| found.problems.push((n, problem)),
            &mut found.warnings,
        );
        if !vertex.resource.stands_alone() {
            found.related.push(n);
        }
        found.parts.extend(vertex.resource.parts(&known).into_iter().map(|path| (n, path)));
        let uids = vertex.resource.uids(&known);
        if uids.is_empty() {
            continue;
        }
        // A resource that owns nothing has no path that another one could copy, so it is in no cycle of copies.
        found.uids.push((n, uids));
        let copies = vertex.resource.copies(&known);
        if !copies.is_empty() {
            found.copies.push((n, copies));
        }
    }
    found
}

/// The longest name of a resource or of a graph, in bytes.
const NAME_BYTES_MAX: usize = 4096;

fn check_name(config: &GraphConfig) -> Option<Problem> {
    let bytes = config.name.len();
    let message = || format!("the graph's name is {bytes} bytes long: at most {NAME_BYTES_MAX} are allowed");
    (bytes > NAME_BYTES_MAX).then(|| Problem::new(message(), Origin::Unknown))
}

fn check_vertex(
    vertex: &Vertex,
    problems: Vec<FieldProblem>,
    found: &mut dyn FnMut(Problem),
    warnings: &mut Vec<Problem>,
) {
    let name = vertex.resource.name();
    let mut say = |message: String| found(Problem::new(message, vertex.origin.clone()));
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
    for problem in problems {
        let message = format!("{}: {problem}", vertex.id());
        if problem.advice || problem.lenient && matches!(vertex.origin, Origin::File(_) | Origin::Host(_)) {
            warnings.push(Problem::new(message, vertex.origin.clone()));
        } else {
            say(message);
        }
    }
    for warning in vertex.meta.iter().flat_map(|meta| meta.warnings()) {
        warnings.push(Problem::new(format!("{}: {warning}", vertex.id()), vertex.origin.clone()));
    }
    let wrong = vertex.meta.iter().filter_map(|meta| meta.wrong_reverse(vertex.resource.spec()));
    for problem in vertex.meta.iter().flat_map(|meta| meta.problems()).chain(wrong) {
        say(format!("{}: {problem}", vertex.id()));
    }
}

fn check_owner(
    config: &GraphConfig,
    n: u32,
    uids: Vec<Uid>,
    owners: &mut HashMap<Uid, u32>,
    problems: &mut Vec<(u32, Problem)>,
) {
    let vertex = &config.vertices[n as usize];
    for uid in uids {
        let Some(first) = owners.get(&uid).copied().filter(|first| *first != n) else {
            owners.insert(uid, n);
            continue;
        };
        let first = &config.vertices[first as usize];
        // A duplicate identity has been reported already.
        if first.id() == vertex.id() {
            continue;
        }
        let message = format!(
            "{} and {} both own {uid}: they would undo each other's work; leave it to one of them",
            first.id(),
            vertex.id()
        );
        let problem = Problem::new(message, vertex.origin.clone());
        problems.push((n, problem.also(first.id().to_string(), first.origin.clone())));
    }
}

/// Two types must not have the same kind. `types`: the first resource of each kind.
fn check_type(
    config: &GraphConfig,
    n: u32,
    types: &mut HashMap<&'static str, u32>,
    problems: &mut Vec<(u32, Problem)>,
) {
    let vertex = &config.vertices[n as usize];
    let spec = vertex.resource.spec();
    let first = &config.vertices[*types.entry(spec.kind).or_insert(n) as usize];
    let type_of = |vertex: &Vertex| vertex.resource.derived().type_id();
    if std::ptr::eq(first.resource.spec(), spec) || type_of(first) == type_of(vertex) {
        return;
    }
    let message = two_types(spec.kind, first.resource.type_name(), vertex.resource.type_name());
    let problem = Problem::new(message, vertex.origin.clone());
    problems.push((n, problem.also(first.id().to_string(), first.origin.clone())));
}

/// A resource keeps a part of a file that another one keeps as a whole.
fn check_part(config: &GraphConfig, n: u32, path: &Path, index: &Index, coming: &Coming<'_>) -> Option<Problem> {
    let at = index.owner(&Uid::Path(path.to_owned())).filter(|at| *at != n)?;
    let (vertex, owner) = (&config.vertices[n as usize], &config.vertices[at as usize]);
    if !owner.resource.is_whole(&coming.known(at, owner)) {
        return None;
    }
    let message = format!(
        "{} keeps a part of {}, and {} all of it: they would undo each other's work; leave it to one of them",
        vertex.id(),
        path.display(),
        owner.id()
    );
    Some(Problem::new(message, vertex.origin.clone()).also(owner.id().to_string(), owner.origin.clone()))
}

fn check_semas(
    n: u32,
    vertex: &Vertex,
    semas: &mut HashMap<String, (u32, Origin)>,
    problems: &mut Vec<(u32, Problem)>,
) {
    for sema in vertex.meta.iter().flat_map(|meta| &meta.sema).filter(|sema| sema.problem().is_none()) {
        let (name, size) = (sema.name(), sema.size());
        let (first, origin) = semas.entry(name.to_owned()).or_insert_with(|| (size, vertex.origin.clone()));
        if *first != size {
            let message = format!(
                "{}: the semaphore `{name}` has size {size} here and {first} elsewhere: give it one size",
                vertex.id()
            );
            let problem = Problem::new(message, vertex.origin.clone());
            problems.push((n, problem.also(format!("size {first}"), origin.clone())));
        }
    }
}

/// Whether all edges and sends have both ends; reports those that lack one.
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
    for (link, receiver) in config.all_links() {
        let mut say = |message: String| problems.push(Problem::new(message, link.wire.origin.clone()));
        let Some(receiver) = receiver else {
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

/// Checks that a field receives from one wire only.
fn check_receivers(config: &GraphConfig, problems: &mut Vec<Problem>) {
    let mut first: HashMap<(*const Vertex, u8), &Origin> = HashMap::new();
    for (link, receiver) in config.all_links() {
        let (Some(receiver), origin) = (receiver, &link.wire.origin) else { continue };
        if let Some(first) = first.insert((std::ptr::from_ref(receiver), link.field), origin) {
            let field = receiver.resource.spec().fields[usize::from(link.field)].name;
            let message = format!("{}: `{field}` receives twice: leave it to one sender", receiver.id());
            problems.push(Problem::new(message, origin.clone()).also("first", first.clone()));
        }
    }
}

/// Checks that nothing receives from a hidden resource, which never sends.
fn check_hidden_senders(config: &GraphConfig, problems: &mut Vec<Problem>) {
    for (link, receiver) in config.all_links() {
        let Some(receiver) = receiver else { continue };
        let senders = link.sources.iter().map(|(from, _)| &config.vertices[*from as usize]);
        for sender in senders.filter(|sender| sender.is_hidden()) {
            let field = receiver.resource.spec().fields[usize::from(link.field)].name;
            let message = format!(
                "{}: `{field}` receives from {}, which is hidden and sends nothing: give `{field}` a value, or hide {} too",
                receiver.id(),
                sender.id(),
                receiver.id()
            );
            if !receiver.is_hidden() {
                problems.push(Problem::new(message, link.wire.origin.clone()).also("hidden", sender.origin.clone()));
            }
        }
    }
}

fn check_cycles(config: &GraphConfig, problems: &mut Vec<Problem>) {
    // Most large graphs are declared in their order.
    if config.edges.iter().all(|edge| edge.from < edge.to) {
        return;
    }
    let edges: Vec<(u32, u32)> = config.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let Err(cycles) = topo::order(config.vertices.len(), &edges) else { return };
    for cycle in cycles.paths {
        let edge_of = |from: u32, to: u32| config.edges.iter().find(|edge| edge.from == from && edge.to == to);
        problems.push(tell_cycle(&config.vertices, &cycle, |from, to| {
            edge_of(from, to).map_or(Origin::Unknown, |edge| edge.origin.clone())
        }));
    }
}
