//! From a graph that exports and collects to the graph that runs on this host.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::graph::config::{Edge, GraphConfig, Vertex};
use crate::graph::exchange::awaited::Awaited;
use crate::graph::exchange::collect::{AwaitedEdge, End};
use crate::graph::exchange::entry::read;
use crate::graph::exchange::offers::{OfferKey, Offers, Taken};
use crate::graph::problem::{Problem, Problems};
use crate::graph::twice::together;
use crate::id::{ResourceId, in_one_line};
use crate::resource::{Offerer, Origin};

/// The graph that runs on this host.
#[derive(Debug)]
pub(crate) struct Resolution {
    /// The graph with what was collected, and without rules.
    pub(crate) config: GraphConfig,
    /// What the rules have taken, whether it can be used or not.
    pub(crate) taken: Taken,
    pub(crate) warnings: Vec<Problem>,
}

/// The graph with what its rules take of these offers. `spoilt`: offers that this graph can't have, and why. No offer
/// can make the graph wrong: what is wrong with one is a warning, and it is left out.
pub(crate) fn resolve(declared: &GraphConfig, offers: &Offers, spoilt: &BTreeMap<OfferKey, String>) -> Resolution {
    let mut config = declared.clone();
    let (rules, awaited) = (std::mem::take(&mut config.collects), std::mem::take(&mut config.awaited));
    let (taken, twice) = offers.taken(&rules);
    let mut warnings = Vec::new();
    for key in &offers.senseless {
        warnings.push(Problem::new(
            format!("the key {key:?} of the world has no meaning: it is left out"),
            Origin::Unknown,
        ));
    }
    for (rule, (first, more)) in &twice {
        let more = if *more > 0 { format!(" and {more} more are") } else { " is".to_owned() };
        let id = ResourceId::new(&first.kind, first.name.clone());
        let message = format!("{id}{more} collected twice: the first rule holds");
        warnings.push(Problem::new(message, rules[*rule as usize].origin.clone()));
    }
    let mut made: Vec<(u32, &OfferKey, Vertex)> = Vec::new();
    for (rule, offer, bytes) in &taken {
        let declared = &rules[*rule as usize];
        let read = match spoilt.get(offer) {
            Some(why) => Err(why.clone()),
            None => read(offer, bytes, declared),
        };
        match read {
            Ok(vertex) => made.push((*rule, offer, vertex)),
            Err(why) => warnings.push(left_out(offer, &why, &declared.origin)),
        }
    }
    let mut places = Places::of(&config, rules.len());
    for (rules_of, mut vertices) in by_identity(made) {
        let first = vertices.remove(0);
        match one_of(&places, &config, first, vertices) {
            Ok(One::New(vertex)) => places.add(&mut config, vertex, &rules_of),
            Ok(One::There(place)) => {
                places.redirect(&mut config, place);
                places.belongs(place, &rules_of);
            }
            Err(conflict) => warnings.push(conflict),
        }
    }
    for edge in awaited {
        places.edge(&mut config, &edge, &mut warnings);
    }
    Resolution { config, taken, warnings }
}

fn left_out(offer: &OfferKey, why: &str, origin: &Origin) -> Problem {
    let id = ResourceId::new(&offer.kind, offer.name.clone());
    Problem::new(format!("{id}, which {} exports, is left out: {why}", shown(&offer.host)), origin.clone())
}

/// The name of a host for people. It is empty for this one, if a graph is made ready for no certain host.
fn shown(host: &str) -> Cow<'_, str> {
    if host.is_empty() { "this host".into() } else { in_one_line(host) }
}

/// The resources with one identity, and the rules that took them.
type OfOne = (Vec<u32>, Vec<(String, Vertex)>);

/// In the order of the first of each.
fn by_identity(made: Vec<(u32, &OfferKey, Vertex)>) -> Vec<OfOne> {
    let mut all: Vec<OfOne> = Vec::new();
    let mut places: HashMap<ResourceId, usize> = HashMap::new();
    for (rule, offer, vertex) in made {
        let place = *places.entry(vertex.id()).or_insert(all.len());
        if place == all.len() {
            all.push(OfOne::default());
        }
        all[place].0.push(rule);
        all[place].1.push((offer.host.clone(), vertex));
    }
    all
}

/// A resource of which several declarations are one.
enum One {
    New(Vertex),
    /// The graph has it already, at this index.
    There(u32),
}

/// What the declarations of one resource make together. An error: they contradict each other.
fn one_of(
    places: &Places,
    config: &GraphConfig,
    (first, mut one): (String, Vertex),
    more: Vec<(String, Vertex)>,
) -> Result<One, Problem> {
    let hosts: Vec<String> = [first.clone()].into_iter().chain(more.iter().map(|(host, _)| host.clone())).collect();
    for (_, vertex) in more {
        if is_equal(&one, &vertex) {
            continue;
        }
        let message = |why: &str| {
            let (id, hosts) = (vertex.id(), all_of(&hosts));
            format!("{hosts} export {id}, and not the same{why}: it is left out until one is left")
        };
        match together(&one, &vertex) {
            Ok(merged) => one.resource = merged,
            Err(why) if why.is_empty() => return Err(Problem::new(message(""), vertex.origin.clone())),
            Err(why) => return Err(Problem::new(message(&format!(" ({why})")), vertex.origin.clone())),
        }
    }
    let Some(place) = places.named.get(&one.id()).copied() else { return Ok(One::New(one)) };
    match &config.vertices[place as usize] {
        own if is_equal(own, &one) => Ok(One::There(place)),
        // The engine makes them one when it makes the graph ready.
        own if together(own, &one).is_ok() => Ok(One::New(one)),
        own => {
            let message = format!(
                "{} exports {}, which this graph declares itself, and not the same: that of the graph holds",
                shown(&first),
                one.id()
            );
            Err(Problem::new(message, one.origin.clone()).also("declared", own.origin.clone()))
        }
    }
}

/// Several hosts, for people.
fn all_of(hosts: &[String]) -> String {
    const NAMED_MAX: usize = 10;
    let mut named: Vec<Cow<'_, str>> = hosts.iter().take(NAMED_MAX).map(|host| shown(host)).collect();
    if hosts.len() > NAMED_MAX {
        named.push(format!("{} more", hosts.len() - NAMED_MAX).into());
    }
    let last = named.pop().unwrap_or_default();
    let all = if hosts.len() == 2 { "both" } else { "all" };
    format!("{} and {last} {all}", named.join(", "))
}

fn is_equal(one: &Vertex, other: &Vertex) -> bool {
    one.resource.same(&*other.resource) && one.meta() == other.meta()
}

/// Where resources are in the graph.
struct Places {
    named: HashMap<ResourceId, u32>,
    /// Where something stands for what is collected.
    awaited: HashMap<ResourceId, u32>,
    /// For each rule what it has collected.
    collected: Vec<Vec<u32>>,
}

impl Places {
    fn of(config: &GraphConfig, rules: usize) -> Places {
        let all = (0u32..).zip(&config.vertices);
        let (mut named, mut awaited) = (HashMap::new(), HashMap::new());
        for (n, vertex) in all {
            match Awaited::of(vertex) {
                Some(id) => awaited.insert(id.clone(), n),
                None => named.insert(vertex.id(), n),
            };
        }
        Places { named, awaited, collected: vec![Vec::new(); rules] }
    }

    fn add(&mut self, config: &mut GraphConfig, vertex: Vertex, rules: &[u32]) {
        let place = match self.awaited.get(&vertex.id()) {
            Some(place) => *place,
            None => u32::try_from(config.vertices.len()).unwrap_or(u32::MAX),
        };
        self.named.entry(vertex.id()).or_insert(place);
        match config.vertices.get_mut(place as usize) {
            Some(awaited) => *awaited = vertex,
            None => config.vertices.push(vertex),
        }
        self.belongs(place, rules);
    }

    /// The graph has a resource itself that is also awaited: what receives from that receives from this one.
    fn redirect(&self, config: &mut GraphConfig, to: u32) {
        let Some(from) = self.awaited.get(&config.vertices[to as usize].id()).copied() else { return };
        if let Some(satisfied) = Awaited::is_there(&config.vertices[from as usize]) {
            config.vertices[from as usize] = satisfied;
        }
        let sources = config.links.iter_mut().chain(config.exports.iter_mut().flat_map(|export| &mut export.links));
        let ends = config.edges.iter_mut().map(|edge| &mut edge.from);
        let sources = sources.flat_map(|link| &mut link.sources).map(|(from, _)| from);
        sources.chain(ends).filter(|place| **place == from).for_each(|place| *place = to);
    }

    /// The resource is one of those that these rules have collected.
    fn belongs(&mut self, place: u32, rules: &[u32]) {
        for rule in rules {
            let of_rule = &mut self.collected[*rule as usize];
            if !of_rule.contains(&place) {
                of_rule.push(place);
            }
        }
    }

    fn ends(&self, end: &End) -> Option<Vec<u32>> {
        match end {
            End::Vertex(place) => Some(vec![*place]),
            End::Collected(rule) => Some(self.collected.get(*rule as usize).cloned().unwrap_or_default()),
            End::Named(id) => self.named.get(id).map(|place| vec![*place]),
        }
    }

    fn edge(&self, config: &mut GraphConfig, edge: &AwaitedEdge, warnings: &mut Vec<Problem>) {
        let mut complete = true;
        for (what, end) in [("an edge from", &edge.from), ("an edge to", &edge.to)] {
            if let (None, End::Named(id)) = (self.ends(end), end) {
                complete = false;
                let message = format!("{what} {id}, which no host has exported yet: it is left out until then");
                warnings.push(Problem::new(message, edge.origin.clone()));
            }
        }
        let (Some(from), Some(to), true) = (self.ends(&edge.from), self.ends(&edge.to), complete) else { return };
        for from in &from {
            for to in to.iter().filter(|to| *to != from) {
                let (notify, name, origin) = (edge.notify, edge.name.clone(), edge.origin.clone());
                config.edges.push(Edge { from: *from, to: *to, notify, name, origin });
            }
        }
    }
}

/// The offers that problems of a graph are about, each with the problem: without them, the graph may be right.
pub(crate) fn spoilers(problems: &Problems) -> BTreeMap<OfferKey, String> {
    let mut found = BTreeMap::new();
    for problem in &problems.0 {
        let origins = std::iter::once(&problem.origin).chain(problem.also.iter().map(|(_, origin)| origin));
        for origin in origins {
            if let Origin::Host(offerer) = origin {
                found.entry(offer_of(offerer)).or_insert_with(|| problem.message.clone());
            }
        }
    }
    found
}

fn offer_of(offerer: &Arc<Offerer>) -> OfferKey {
    let (kind, name) = (offerer.id.kind.as_str().to_owned(), offerer.id.name.clone());
    OfferKey { kind, host: offerer.host.clone(), name }
}
