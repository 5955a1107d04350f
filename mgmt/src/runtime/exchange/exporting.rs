//! Exporting as part of the graph that runs: a resource for each export of which fields receive their values, and one
//! that is settled when the world has all exports. So what is not published yet is no convergence, and its reason is
//! reported like any other.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::graph::{Edge, Export, GraphConfig, Link, Vertex};
use crate::id::{ResourceId, shortened};
use crate::resource::{
    AnyDrift, AnyResource, ApplyCx, BoxFuture, Change, CheckCx, DataError, Error, FieldProblem, FieldValue, Identify,
    KindSpec, Known, Obstacle, ObstacleKind, Origin, Result, Watch, WatchCx, WatchEvent,
};
use crate::runtime::exchange::publications::{Publications, Stand, export_name};

/// The kind of the resource that is settled when all exports are published.
static ALL: KindSpec = KindSpec {
    kind: "exports",
    doc: "The exports of this host, as other hosts see them.",
    watched: true,
    name_field: "host",
    ..KindSpec::BARE
};

/// Adds what stands for the exports of the graph of that number to the graph that runs here. `publishes`: there is a
/// world.
pub(super) fn add_exporting(
    config: &mut GraphConfig,
    declared: &Arc<GraphConfig>,
    publications: &Publications,
    (host, graph, publishes): (&str, u64, bool),
) {
    let received = declared.exports.iter().filter(|export| !export.links.is_empty());
    let receivers: Vec<u32> = received.map(|export| add_receiver(config, export, publications)).collect();
    let follows = !receivers.is_empty() && !declared.collects.is_empty();
    let Some(first) = declared.exports.first().filter(|_| publishes || follows) else { return };
    let task = Task::Publish { declared: Arc::clone(declared), graph: publishes.then_some(graph), follows };
    let origin = first.vertex.origin.clone();
    let publish = Exporting { spec: &ALL, name: host.to_owned(), task, publications: publications.clone() };
    let to = add(config, publish, origin.clone());
    config.edges.extend(receivers.into_iter().map(|from| edge(from, to, origin.clone())));
}

fn add(config: &mut GraphConfig, resource: Exporting, origin: Origin) -> u32 {
    let place = u32::try_from(config.vertices.len()).unwrap_or(u32::MAX);
    config.vertices.push(Vertex::new(Arc::new(resource), None, origin));
    place
}

fn edge(from: u32, to: u32, origin: Origin) -> Edge {
    Edge { from, to, notify: false, name: None, origin }
}

fn add_receiver(config: &mut GraphConfig, export: &Export, publications: &Publications) -> u32 {
    let resource = &export.vertex.resource;
    let receiver = Exporting {
        spec: resource.spec().stand_in("export", "An export of which fields receive their values."),
        name: export_name(export),
        task: Task::Receive(Arc::clone(resource), export.sealed),
        publications: publications.clone(),
    };
    let to = add(config, receiver, export.vertex.origin.clone());
    for link in &export.links {
        // A stand-in for a value of an earlier run can't be published.
        let wire = link.wire.clone().without_recall();
        let from = link.sources.iter().map(|(from, _)| edge(*from, to, wire.origin.clone()));
        config.edges.extend(from);
        config.links.push(Link { to, wire, ..link.clone() });
    }
    to
}

/// A resource that stands for exports. It owns nothing, and no pass relates it to others.
struct Exporting {
    spec: &'static KindSpec,
    name: String,
    task: Task,
    publications: Publications,
}

enum Task {
    /// To receive the fields of this resource, which is exported; and whether it is sealed.
    Receive(Arc<dyn AnyResource>, bool),
    /// To see that the exports of the graph of that number are published, and collected if this host does that.
    Publish { declared: Arc<GraphConfig>, graph: Option<u64>, follows: bool },
}

impl Exporting {
    /// The fields that differ from what was received last, or everything.
    fn news(&self, resource: &Arc<dyn AnyResource>) -> Option<Change> {
        let before = self.publications.received(&self.name);
        if before.as_ref().is_some_and(|before| before.same(&**resource)) {
            return None;
        }
        let fields = |resource: &Arc<dyn AnyResource>| resource.to_data(&[]).unwrap_or_default();
        let (old, new) = (before.as_ref().map(fields).unwrap_or_default(), fields(resource));
        let differs = |(field, value): &(&String, &Json)| old.get(field.as_str()) != Some(value);
        let shown = |value: Option<&Json>| value.map_or("none".to_owned(), |value| shortened(&value.to_string(), 100));
        let change = new.iter().find(differs).map(|(field, value)| {
            let (from, to) = (shown(old.get(field)), shown(Some(value)));
            Change::new(field.as_str(), from, to)
        });
        Some(change.unwrap_or_else(|| Change::new("fields", "others", "received")))
    }
}

/// Whether the exports of two graphs are the same. What they receive is compared by the resources that do.
fn are_same(one: &[Export], other: &[Export]) -> bool {
    let is_same = |(one, other): (&Export, &Export)| {
        let same = one.vertex.is_same(&other.vertex) && one.vertex.meta == other.vertex.meta;
        same && one.to == other.to && one.sealed == other.sealed && one.wired() == other.wired()
    };
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}

/// Waits until the exports of the graph of that number are published with all that has been received, or that has
/// failed; and until the host has collected its own, if it `follows`.
async fn published(publications: Publications, graph: Option<u64>, follows: bool) -> Result<Option<AnyDrift>> {
    let version = publications.version();
    // The engine has ended if nothing can be waited for.
    if follows {
        let _ = publications.followed().wait_for(|followed| *followed >= version).await;
    }
    let Some(graph) = graph else { return Ok(None) };
    let (mut published, stand) = (publications.published(), Stand { graph, version });
    let last = published.wait_for(|last| last.of.covers(stand)).await;
    match last.ok().and_then(|last| last.failure.clone()) {
        None => Ok(None),
        Some(why) => {
            let why = format!("what this host exports is not published: {why}");
            Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoComponent)))
        }
    }
}

/// Reports each time that something has been published, or could not be.
fn changes(publications: &Publications) -> Watch {
    let mut published = publications.published();
    published.mark_unchanged();
    Watch::unfold((false, published), |(is_ready, mut published)| async move {
        if !is_ready {
            return Ok((WatchEvent::Ready, (true, published)));
        }
        match published.changed().await {
            Ok(()) => Ok((WatchEvent::Changed, (true, published))),
            Err(_) => std::future::pending().await,
        }
    })
}

impl Identify for Exporting {
    fn kind(&self) -> &'static KindSpec {
        self.spec
    }

    fn id(&self) -> ResourceId {
        ResourceId::new(self.spec.kind, &self.name)
    }
}

impl AnyResource for Exporting {
    fn spec(&self) -> &'static KindSpec {
        self.spec
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        match &self.task {
            Task::Receive(resource, _) => resource.validate(known),
            Task::Publish { .. } => Vec::new(),
        }
    }

    fn same(&self, other: &dyn AnyResource) -> bool {
        let Some(other) = other.as_any().downcast_ref::<Exporting>() else { return false };
        let is_same = match (&self.task, &other.task) {
            (Task::Receive(one, seals), Task::Receive(two, sealed)) => seals == sealed && one.same(&**two),
            (Task::Publish { declared: one, .. }, Task::Publish { declared: two, .. }) => {
                Arc::ptr_eq(one, two) || are_same(&one.exports, &two.exports)
            }
            _ => false,
        };
        is_same && self.name == other.name
    }

    fn check(self: Arc<Self>, _: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>> {
        match &self.task {
            Task::Receive(resource, _) => Box::pin(std::future::ready(Ok(self.news(resource).map(AnyDrift::new)))),
            Task::Publish { graph, follows, .. } => Box::pin(published(self.publications.clone(), *graph, *follows)),
        }
    }

    fn apply(self: Arc<Self>, _: ApplyCx, _: AnyDrift) -> BoxFuture<Result<()>> {
        let Task::Receive(resource, sealed) = &self.task else { return Box::pin(std::future::ready(Ok(()))) };
        let vertex = Vertex::new(Arc::clone(resource), None, Origin::Unknown);
        let export = Export { sealed: *sealed, ..Export::new(vertex, None) };
        let end = export.bytes().map(|_| self.publications.receive(&self.name, Arc::clone(resource)));
        Box::pin(std::future::ready(end.map_err(Error::new)))
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        changes(&self.publications)
    }

    fn with_received(&self, values: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>> {
        let Task::Receive(resource, sealed) = &self.task else { return None };
        let task = Task::Receive(resource.with_received(values)?, *sealed);
        let (name, publications) = (self.name.clone(), self.publications.clone());
        Some(Arc::new(Exporting { spec: self.spec, name, task, publications }))
    }

    fn to_data(&self, wired: &[u8]) -> Result<Map<String, Json>, DataError> {
        match &self.task {
            Task::Receive(resource, _) => resource.to_data(wired),
            Task::Publish { .. } => Ok(Map::new()),
        }
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
