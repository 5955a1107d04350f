//! The pass that makes edges of what resources own, provide and need.

use std::any::TypeId;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::graph::config::Vertex;
use crate::graph::found::Candidate;
use crate::graph::pass::{Pass, PassGraph, known};
use crate::graph::places::{Claims, Places};
use crate::graph::problem::Problem;
use crate::resource::{Inquiry, Key, Need, Reach, Uid, caught};

/// The pass that adds the edges which follow from what resources are: a file comes after the nearest directory above it
/// that another resource owns, and a resource comes after those that own or provide what it
/// [needs](crate::resource::Converge::needs). Every engine runs it first, and [`Reduction`](crate::graph::Reduction)
/// after it; the metaparameter `autoedge` turns it off for a resource.
///
/// ```
/// use mgmt::graph::{AutoEdges, Settings, prepare};
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("demo");
/// g.add(File::new("/etc/app/app.conf").content("port = 80\n"));
/// g.add(File::new("/etc/app/"));
/// let prepared = prepare(g.finish().unwrap(), &Settings::default().pass(AutoEdges)).unwrap();
/// let [edge] = &prepared.config().edges[..] else { panic!() };
/// assert_eq!((edge.from, edge.to), (1, 0));
/// assert_eq!(edge.origin.to_string(), "autoedge: its directory");
/// ```
///
/// The edges do not depend on the order in which resources are declared. None of them refreshes, none takes the place
/// of a declared edge, and none closes a cycle: one that would is left out, with a warning.
#[derive(Clone, Copy, Debug, Default)]
pub struct AutoEdges;

/// The name of the pass.
pub(super) const NAME: &str = "autoedge";

impl Pass for AutoEdges {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(&self, graph: &mut PassGraph<'_>) {
        if !graph.is_open() || graph.index().is_unrelated() && graph.findings().is_empty() {
            return;
        }
        let mut search = Search::new(graph);
        search.directories();
        search.needs();
        let Search { found, reasons, warnings, doomed, .. } = search;
        let warnings: Vec<Problem> = warnings.into_iter().chain(doomed.into_values().map(Doomed::warning)).collect();
        graph.add_all(found, &reasons.texts);
        graph.warn(warnings);
    }
}

/// At most this many questions of one inquiry are answered.
const QUESTIONS_MAX: usize = 1_000_000;

/// The search for resources that own or provide what others need.
struct Search<'a, 'g> {
    graph: &'a PassGraph<'g>,
    vertices: &'g [Vertex],
    coming: &'a HashMap<u32, Vec<u8>>,
    places: Places<'g>,
    /// The providers of keys, by the type of the key.
    providers: HashMap<TypeId, Providers>,
    found: Vec<Candidate>,
    reasons: Reasons,
    warnings: Vec<Problem>,
    /// What lies in a directory that another resource removes, by that resource.
    doomed: BTreeMap<u32, Doomed>,
}

/// What resources provide, of one type of keys. Packages provide very many, for which few graphs ask.
#[derive(Default)]
struct Providers {
    all: Vec<(Key, u32)>,
    by_key: OnceCell<HashMap<Key, Vec<u32>>>,
}

impl Providers {
    /// The resources that provide the key.
    fn of(&self, key: &Key) -> &[u32] {
        let by_key = self.by_key.get_or_init(|| {
            let mut by_key: HashMap<Key, Vec<u32>> = HashMap::with_capacity(self.all.len());
            for (key, at) in &self.all {
                let providers = by_key.entry(key.clone()).or_default();
                if providers.last() != Some(at) {
                    providers.push(*at);
                }
            }
            by_key
        });
        by_key.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Texts, each once.
#[derive(Default)]
struct Reasons {
    texts: Vec<Cow<'static, str>>,
    numbers: HashMap<Cow<'static, str>, u32>,
}

impl Reasons {
    fn number(&mut self, why: Cow<'static, str>) -> u32 {
        if let Some(number) = self.numbers.get(&why) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(why.clone());
        self.numbers.insert(why, number);
        number
    }
}

/// Resources in a directory that another one removes.
struct Doomed {
    problem: Problem,
    more: usize,
}

impl Doomed {
    fn warning(mut self) -> Problem {
        if self.more > 0 {
            self.problem.message.push_str(&format!("; the same holds for {} more resources", self.more));
        }
        self.problem
    }
}

/// The order of edges of which only some can be added, because all would close a cycle: those of directories first.
const DIRECTORY: u8 = 0;
const NEED: u8 = 1;
const INQUIRY: u8 = 2;

impl<'a, 'g> Search<'a, 'g> {
    fn new(graph: &'a PassGraph<'g>) -> Search<'a, 'g> {
        let (vertices, coming, index) = (graph.vertices(), graph.coming(), graph.index());
        let mut providers: HashMap<TypeId, Providers> = HashMap::new();
        let mut others: Vec<(PathBuf, Claims)> = Vec::new();
        for at in graph.related() {
            for uid in graph.provided_by(at) {
                match uid {
                    Uid::Path(path) => others.push((path, Claims { owners: Vec::new(), providers: vec![at] })),
                    Uid::Key(key) => providers.entry(key.sort()).or_default().all.push((key, at)),
                }
            }
        }
        for (real, at) in graph.host().elsewhere() {
            let owners = vec![index.path_owner(*at as usize)];
            others.push((real.clone(), Claims { owners, providers: Vec::new() }));
        }
        let places = Places::new(index, others);
        let (found, reasons, warnings, doomed) = Default::default();
        Search { graph, vertices, coming, places, providers, found, reasons, warnings, doomed }
    }

    /// Whether the resource makes sure that what it owns does not exist.
    fn is_absent(&self, at: u32) -> Option<bool> {
        let vertex = &self.vertices[at as usize];
        vertex.resource.is_absent(&known(vertex, at, self.coming))
    }

    /// The resource makes what it owns, so that others can wait for it.
    fn makes(&self, at: u32) -> bool {
        self.graph.may_have_edges(at) && self.is_absent(at) == Some(false)
    }

    /// What owns a path comes after what owns or provides the nearest directory above.
    fn directories(&mut self) {
        let why = self.reasons.number("its directory".into());
        let (mut makers, mut owners) = (Vec::new(), Vec::new());
        for place in 0..self.places.len() {
            let Some(first) = self.places.above(place) else { continue };
            owners.clear();
            owners.extend(self.places.owners(place).filter(|owner| self.makes(*owner)));
            for owner in owners.iter().copied() {
                let mut above = Some(first);
                while let Some(dir) = above {
                    makers.clear();
                    self.makers(dir, owner, &mut makers);
                    self.found.extend(makers.iter().map(|maker| Candidate::new(*maker, owner, DIRECTORY, why)));
                    if !makers.is_empty() {
                        break;
                    }
                    self.notice_removal(place, dir, owner);
                    above = self.places.above(dir);
                }
            }
        }
    }

    /// The resources other than `at` that make what is at a place.
    fn makers(&self, place: u32, at: u32, makers: &mut Vec<u32>) {
        makers.extend(self.places.owners(place).filter(|owner| *owner != at && self.makes(*owner)));
        let providers = self.places.providers(place);
        makers.extend(providers.filter(|other| *other != at && self.graph.may_have_edges(*other)));
    }

    /// Warns if a directory above what a resource makes is removed by another one.
    fn notice_removal(&mut self, place: u32, dir: u32, owner: u32) {
        let Some(remover) = self.places.owners(dir).find(|at| *at != owner && self.is_absent(*at) == Some(true)) else {
            return;
        };
        if let Some(doomed) = self.doomed.get_mut(&remover) {
            doomed.more += 1;
            return;
        }
        let [vertex, other] = [owner, remover].map(|at| &self.vertices[at as usize]);
        let message = format!(
            "{} lies in {}, which {} removes: it can't stay there; remove one of the two declarations",
            vertex.id(),
            self.places.path(dir).display(),
            other.id()
        );
        debug_assert_ne!(place, dir);
        let problem = Problem::new(message, vertex.origin.clone()).also(other.id().to_string(), other.origin.clone());
        self.doomed.insert(remover, Doomed { problem, more: 0 });
    }

    /// What resources need, as their fields and their findings show.
    fn needs(&mut self) {
        for at in self.graph.related() {
            if !self.graph.may_have_edges(at) {
                continue;
            }
            let vertex = &self.vertices[at as usize];
            let findings = self.graph.findings().get(&at);
            for need in vertex.resource.needs(&known(vertex, at, self.coming)) {
                self.need(at, need, NEED);
            }
            for need in findings.into_iter().flat_map(|found| found.needs.iter().cloned()) {
                self.need(at, need, NEED);
            }
            match vertex.resource.inquiry(&known(vertex, at, self.coming)) {
                Ok(inquiry) => inquiry.into_iter().for_each(|inquiry| self.inquire(at, || inquiry)),
                Err(panic) => self.lost(at, &panic),
            }
            for asking in findings.into_iter().flat_map(|found| found.inquiries.iter()) {
                self.inquire(at, || asking.begin());
            }
        }
    }

    /// Answers an inquiry to its end. If it panics, its edges are dropped.
    fn inquire(&mut self, at: u32, begin: impl FnOnce() -> Box<dyn Inquiry>) {
        let before = self.found.len();
        let mut asked = 0;
        let ended = caught(|| {
            let mut inquiry = begin();
            loop {
                let batch = inquiry.next();
                if batch.is_empty() {
                    return true;
                }
                asked += batch.len();
                if asked > QUESTIONS_MAX {
                    return false;
                }
                let met: Vec<bool> = batch.into_iter().map(|need| self.need(at, need, INQUIRY)).collect();
                if !inquiry.answer(&met) {
                    return true;
                }
            }
        });
        let why = match ended {
            Ok(true) => return,
            Ok(false) => format!("asked for more than {QUESTIONS_MAX} things"),
            Err(panic) => panic,
        };
        self.found.truncate(before);
        self.lost(at, &why);
    }

    fn lost(&mut self, at: u32, why: &str) {
        let vertex = &self.vertices[at as usize];
        let message = format!("{}: its inquiry {why}: the edges that follow from it are missing", vertex.id());
        self.warnings.push(Problem::new(message, vertex.origin.clone()));
    }

    /// Adds the edges of a need. Returns whether there is a resource that it means.
    fn need(&mut self, at: u32, need: Need, rank: u8) -> bool {
        let mut others = Vec::new();
        match &need.uid {
            Uid::Key(key) => self.of_key(key, at, need.before, &mut others),
            // Of a package with many files, few have such a name. A path keeps its last component wherever it leads.
            Uid::Path(path) if need.reach == Reach::Exact && !self.places.has_name(path) => {}
            Uid::Path(path) => {
                // What is owned is known by its real path too.
                if let Some(real) = self.graph.host().real(path) {
                    self.of_path(&real, at, &need, &mut others);
                }
                if others.is_empty() || matches!(need.reach, Reach::Below | Reach::Inside) {
                    self.of_path(path, at, &need, &mut others);
                }
            }
        }
        if others.is_empty() {
            return false;
        }
        let why = if need.why.is_empty() { format!("it needs {}", need.uid).into() } else { need.why };
        let why = self.reasons.number(why);
        self.found.extend(others.into_iter().map(|other| match need.before {
            true => Candidate::new(at, other, rank, why),
            false => Candidate::new(other, at, rank, why),
        }));
        true
    }

    fn of_key(&self, key: &Key, at: u32, before: bool, others: &mut Vec<u32>) {
        // What must come later may also remove the thing.
        let counts = |other: &u32| if before { self.graph.may_have_edges(*other) } else { self.makes(*other) };
        others.extend(self.graph.index().key_owner(key).filter(|owner| *owner != at && counts(owner)));
        let providers = self.providers.get(&key.sort()).map_or(&[][..], |providers| providers.of(key));
        others.extend(providers.iter().copied().filter(|other| *other != at && self.graph.may_have_edges(*other)));
    }

    fn of_path(&self, path: &Path, at: u32, need: &Need, others: &mut Vec<u32>) {
        let any = |place: u32, others: &mut Vec<u32>| {
            let all = self.places.owners(place).chain(self.places.providers(place));
            others.extend(all.filter(|other| *other != at && self.graph.may_have_edges(*other)));
        };
        match need.reach {
            Reach::Exact if need.before => self.places.find(path).into_iter().for_each(|place| any(place, others)),
            Reach::Exact => self.places.find(path).into_iter().for_each(|place| self.makers(place, at, others)),
            Reach::Above | Reach::Below => {
                let mut place = self.places.nearest(path);
                while let Some(found) = place.filter(|_| others.is_empty()) {
                    self.makers(found, at, others);
                    place = self.places.above(found);
                }
            }
            Reach::Inside => {}
        }
        if matches!(need.reach, Reach::Below | Reach::Inside) {
            self.places.inside(path).for_each(|place| any(place, others));
        }
    }
}
