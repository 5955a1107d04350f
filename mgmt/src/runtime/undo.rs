//! Undo: what the runtime does about the records of resources that have left the graph, in this run or before it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::graph::{Prepared, Vertex};
use crate::id::{Node, ResourceId};
use crate::plan::PlanUndo;
use crate::resource::{
    AnyDrift, AnyResource, ApplyCx, BoxFuture, CheckCx, DataError, FieldValue, Found, Head, Identify, Kind, KindSpec,
    Known, Origin, Record, Recording, Records, Result, Uid, UndoSettings, Undone,
};
use crate::runtime::builder::Settings;
use crate::runtime::core::Core;
use crate::runtime::event::EventKind;
use crate::runtime::trial::Recorded;
use crate::runtime::tries::undo_settings;
use crate::scheduler::{Input, Op, Remains};
use crate::sys::fs::SavedBytes;
use crate::sys::task::blocking;

/// Why what is recorded is not undone during a trial.
const UNCONFIRMED: &str = "this run is not confirmed yet: the next one does it";

/// The kinds of this program: records of others can't be undone.
pub(crate) type KnownKinds = HashMap<&'static str, &'static KindSpec>;

/// How a leave has ended.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    /// What was undone, if there was anything to undo.
    pub(crate) undone: Option<Undone>,
    /// The resource that has taken the record over.
    pub(crate) heir: Option<ResourceId>,
}

impl Core {
    /// What the engine notes in the records of a resource; `None`: nothing is recorded.
    pub(crate) fn recording(&self, node: Node, resource: &Arc<dyn AnyResource>) -> Option<Box<Recording>> {
        let (meta, spec) = (self.running.vertex(node)?.meta.as_deref(), resource.spec());
        let (is_reversed, is_tried) = (meta.is_some_and(|meta| meta.reverse), self.is_tried());
        if !(is_reversed || is_tried) || spec.abilities.reverse.is_none() {
            return None;
        }
        let uids = resource.uids(&Known::all(spec));
        let owns: Vec<_> = uids.iter().filter_map(Uid::as_path).map(SavedBytes::path).collect();
        let settings = meta.map(UndoSettings::of).unwrap_or_default();
        let head = |after| Arc::new(Head { after, owns: owns.clone(), settings: settings.clone(), refreshed: false });
        Some(Box::new(Recording {
            reverse: is_reversed.then(|| head(self.recorded_above(node, |parent| self.running.is_reversed(parent)))),
            trial: is_tried.then(|| head(self.recorded_above(node, |parent| self.running.can_reverse(parent)))),
        }))
    }

    /// Whether the changes of this run may be put back.
    fn is_tried(&self) -> bool {
        self.services.trial.as_ref().is_some_and(|trial| trial.is_open())
    }

    /// Why the resource must not be changed: that could not be put back.
    pub(super) fn barred(&self, resource: &dyn AnyResource) -> Option<String> {
        self.services.trial.as_ref().filter(|trial| trial.is_open() && !trial.is_partial)?;
        let why = resource.irreversible()?;
        Some(format!("not changed, since the run is not confirmed yet, and this could not be put back: {why}"))
    }

    /// The nearest resources above a node that may have a record.
    fn recorded_above(&self, node: Node, may_have: impl Fn(Node) -> bool) -> Vec<ResourceId> {
        let (mut found, mut seen, mut stack) = (Vec::new(), HashSet::from([node]), vec![node]);
        while let Some(node) = stack.pop() {
            for parent in self.scheduler.parents(node) {
                if !seen.insert(parent) {
                    continue;
                }
                match may_have(parent) {
                    true => found.push(self.running.id(parent)),
                    false => stack.push(parent),
                }
            }
        }
        found
    }

    /// What a node that has left the graph does about its record, in the order of its operations.
    pub(super) fn departure(
        &mut self,
        node: Node,
        resource: &Arc<dyn AnyResource>,
        cx: ApplyCx,
    ) -> impl Future<Output = Result<Departure>> + Send + use<> {
        let (id, spec) = (resource.id(), resource.spec());
        let is_due = self.running.is_reversed(node) && self.services.records.knows(&id);
        let waits = is_due && self.is_tried();
        let heir = if is_due && !waits { self.heir(node, resource) } else { None };
        let (records, fs) = (self.services.records.clone(), self.services.fs.clone());
        if is_due && !waits && heir.is_none() {
            self.emit(EventKind::Undoing { id: id.clone() });
        }
        async move {
            let Some(reversal) = spec.abilities.reverse.filter(|_| is_due) else { return Ok(Departure::default()) };
            if waits {
                return Ok(Departure { heir: None, undone: Some(Undone::default().kept(UNCONFIRMED)) });
            }
            if let Some(heir) = heir {
                let (records, to) = (records.clone(), heir.clone());
                return Ok(match blocking(move || records.hand_over(&id, &to, &fs)).await? {
                    true => Departure { heir: Some(heir), undone: None },
                    false => {
                        Departure { undone: Some(Undone::default().kept(format!("{heir} owns it now"))), heir: None }
                    }
                });
            }
            let (at, of) = (records.clone(), id.clone());
            let Some(record) = blocking(move || at.read(&of)).await? else { return Ok(Departure::default()) };
            let undone = (reversal.undo)(cx, record.data, records.dir(&id)).await?;
            if undone.kept.is_empty() {
                blocking(move || records.drop(&id, &fs)).await?;
            }
            Ok(Departure { undone: Some(undone), heir: None })
        }
    }

    /// The resource of the graph that owns what the one that has left owned.
    fn heir(&self, node: Node, resource: &Arc<dyn AnyResource>) -> Option<ResourceId> {
        let uids = resource.uids(&Known::all(resource.spec()));
        let mut owners = uids.iter().filter_map(|uid| self.owner(uid));
        owners.find(|owner| *owner != node).map(|owner| self.running.id(owner))
    }

    /// Reports what became of a record.
    pub(super) fn report_departure(&self, id: ResourceId, departure: Departure) {
        let Departure { undone, heir } = departure;
        if let Some(to) = heir {
            self.emit(EventKind::HandedOver { from: id.clone(), to });
        }
        let Some(Undone { done, kept }) = undone else { return };
        let record = self.services.records.dir(&id).display().to_string();
        if !kept.is_empty() {
            self.keep(id.clone(), &kept.join("; "), record);
        }
        if kept.is_empty() || !done.is_empty() {
            self.emit(EventKind::Undone { id, done });
        }
    }

    fn keep(&self, id: ResourceId, why: &str, record: String) {
        tracing::warn!(target: "mgmt", "{id}: not undone: {why} (what was there before is in {record})");
        self.emit(EventKind::Kept { id, why: why.to_owned(), record });
    }

    /// A node is about to be forgotten: a record that nothing will undo any more is given away, dropped or reported.
    pub(super) fn settle_record(&mut self, node: Node) {
        let Some(vertex) = self.running.vertex(node) else { return };
        let (id, resource) = (vertex.id(), Arc::clone(&vertex.resource));
        if !self.services.records.knows(&id) || self.running.contains(&id) {
            return;
        }
        if self.running.is_noop(node) {
            let record = self.services.records.dir(&id).display().to_string();
            return self.keep(id, "it is in noop", record);
        }
        if self.running.is_reversed(node) {
            return;
        }
        let (records, fs) = (&self.services.records, &self.services.fs);
        let heir = self.heir(node, &resource);
        let handed_over = heir.map(|to| records.hand_over(&id, &to, fs).map(|moved| (moved, to)));
        match handed_over {
            Some(Ok((true, to))) => self.emit(EventKind::HandedOver { from: id, to }),
            Some(Err(error)) => self.warn(format!("{id}: its record can't be handed over: {error}")),
            Some(Ok(_)) => {}
            // It was declared without `reverse` when it left.
            None => {
                if let Err(error) = records.drop(&id, fs) {
                    self.warn(format!("{id}: its record can't be removed: {error}"));
                }
            }
        }
    }

    /// Puts the first graph in force, and takes up the records of earlier runs.
    pub(crate) fn begin_graph(&mut self, graph: Prepared, recorded: Recorded, options: &Settings) {
        let Recorded { records, found, adopted, trial } = recorded;
        if let Some(services) = Arc::get_mut(&mut self.services) {
            (services.records, services.trial) = (records, trial);
        }
        self.warn_of_lost_journal();
        // Without a pause a graph without resources would have converged before anything is undone.
        let pauses = !found.is_empty();
        if pauses {
            self.handle(Input::Pause);
        }
        self.swap(graph);
        self.drop_adopted(&adopted);
        self.take_up_records(found, &options.kinds, options.preparing.settings.is_noop());
        if pauses {
            self.handle(Input::Resume);
        }
    }

    /// Of a resource that the graph has, what an earlier trial recorded is not needed: it is as the graph declares it.
    fn drop_adopted(&self, adopted: &[ResourceId]) {
        for id in adopted {
            let is_declared = self.running.find(id).is_some_and(|node| !self.running.is_reversed(node));
            if is_declared && let Err(error) = self.services.records.drop(id, &self.services.fs) {
                self.warn(format!("{id}: its record can't be removed: {error}"));
            }
        }
    }

    /// Only undoes what earlier operations of a node have recorded.
    pub(crate) fn undo(&mut self, op: Op) {
        self.depart(op, false);
    }

    /// Takes up the records of earlier runs, before anything runs: those of resources that are in no graph any more are
    /// undone.
    fn take_up_records(&mut self, found: Vec<Found>, kinds: &KnownKinds, noop: bool) {
        let mut remains = Vec::new();
        for found in found {
            let record = match found {
                Found::Whole(record) => record,
                Found::Damaged { dir, why } => {
                    let dir = dir.display();
                    self.warn(format!("the record in {dir} is kept, and not undone: {why}"));
                    continue;
                }
            };
            if self.running.contains(&record.id) {
                continue;
            }
            let dir = self.services.records.dir(&record.id).display().to_string();
            match self.reversible(&record.id, kinds) {
                None => self.keep(record.id, "this program has no such kind that can be undone", dir),
                Some(_) if noop => self.keep(record.id, "the engine is in noop", dir),
                Some(_) if self.is_tried() => self.keep(record.id, UNCONFIRMED, dir),
                Some(spec) => match self.heir_of(spec, &record) {
                    // Now: the first operation of that resource must find the record.
                    Some(to) => self.hand_over_at_start(record.id, to, dir),
                    None => remains.push((spec, record)),
                },
            }
        }
        if !remains.is_empty() {
            self.begin_remains(remains);
        }
    }

    /// The resource of the graph that owns what the resource of a record owned.
    fn heir_of(&self, spec: &KindSpec, record: &Record) -> Option<ResourceId> {
        owned(spec, record).iter().find_map(|uid| self.running.owner(uid)).map(|owner| self.running.id(owner))
    }

    fn hand_over_at_start(&self, from: ResourceId, to: ResourceId, dir: String) {
        match self.services.records.hand_over(&from, &to, &self.services.fs) {
            Ok(true) => self.emit(EventKind::HandedOver { from, to }),
            Ok(false) => self.keep(from, &format!("{to} owns it now"), dir),
            Err(error) => self.warn(format!("{from}: its record can't be handed over: {error}")),
        }
    }

    /// The kind of a resource of an earlier run, if this program has it and it can be undone.
    fn reversible(&self, id: &ResourceId, kinds: &KnownKinds) -> Option<&'static KindSpec> {
        let in_graph = || self.running.config.vertices.iter().map(|vertex| vertex.resource.spec());
        let spec = kinds.get(id.kind.as_str()).copied();
        let spec = spec.or_else(|| in_graph().find(|spec| spec.kind == id.kind.as_str()));
        spec.filter(|spec| spec.abilities.reverse.is_some())
    }

    /// What a prefix has recorded. Changes nothing.
    pub(crate) async fn recorded(records: Records) -> Vec<Found> {
        blocking(move || records.load(false)).await
    }

    /// What would be undone at a start, for a plan: what another resource of the graph owns is not.
    pub(crate) fn foresee_undo(&self, found: Vec<Found>, options: &Settings) -> Vec<PlanUndo> {
        if options.preparing.settings.is_noop() {
            return Vec::new();
        }
        let kinds = &options.kinds;
        let mut all: Vec<(ResourceId, Vec<ResourceId>, Vec<String>)> = Vec::new();
        for found in found {
            let Found::Whole(record) = found else { continue };
            let Some(spec) = self.reversible(&record.id, kinds) else { continue };
            let Some(reversal) = spec.abilities.reverse else { continue };
            let is_owned = owned(spec, &record).iter().any(|uid| self.running.owner(uid).is_some());
            if self.running.contains(&record.id) || is_owned {
                continue;
            }
            let what = (reversal.describe)(&record.data).unwrap_or_else(|error| vec![format!("can't: {error}")]);
            all.push((record.id, record.head.after, what));
        }
        // Those that depended on others first: with each step, those on which none of the rest depends.
        let mut ordered = Vec::with_capacity(all.len());
        while !all.is_empty() {
            let needed: HashSet<ResourceId> = all.iter().flat_map(|(_, after, _)| after.iter().cloned()).collect();
            let (later, now): (Vec<_>, Vec<_>) = all.into_iter().partition(|(id, ..)| needed.contains(id));
            let (later, now) = if now.is_empty() { (now, later) } else { (later, now) };
            ordered.extend(now.into_iter().map(|(id, _, what)| PlanUndo::new(id, what)));
            all = later;
        }
        ordered
    }

    fn begin_remains(&mut self, remains: Vec<(&'static KindSpec, Box<Record>)>) {
        let mut nodes = HashMap::new();
        for (spec, record) in &remains {
            let (Record { id, head, .. }, owns) = (&**record, owned(spec, record));
            let resource: Arc<dyn AnyResource> = Arc::new(Left { spec, name: id.name.clone(), owns });
            let meta = head.settings.to_meta();
            let (tries, timeout) = undo_settings(&meta);
            let vertex = Vertex { resource, meta: Some(Arc::new(meta)), origin: Origin::Unknown };
            let node = self.running.add_remains(vertex);
            nodes.insert(id.clone(), Remains { node, tries, timeout });
        }
        let mut order = Vec::new();
        for (_, record) in &remains {
            let Record { id, head, .. } = &**record;
            let parents = head.after.iter().filter_map(|parent| nodes.get(parent));
            let own = nodes[id].node;
            order.extend(parents.map(|parent| match head.refreshed {
                true => (parent.node, own),
                false => (own, parent.node),
            }));
        }
        let order = without_cycles(order);
        let mut nodes: Vec<Remains> = nodes.into_values().collect();
        nodes.sort_unstable_by_key(|remains| remains.node);
        self.handle(Input::Remains { nodes, order });
    }
}

/// What the resource of a record owned.
fn owned(spec: &KindSpec, record: &Record) -> Vec<Uid> {
    let paths = record.head.owns.iter().map(|path| Uid::Path(path.to_path()));
    let others = spec.abilities.reverse.map(|reversal| (reversal.owns)(&record.data)).unwrap_or_default();
    paths.chain(others).collect()
}

/// The pairs without those that would close a cycle with the ones before: records of different graphs may contradict
/// one another.
fn without_cycles(pairs: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    let mut kept: Vec<(Node, Node)> = Vec::with_capacity(pairs.len());
    let mut after: HashMap<Node, Vec<Node>> = HashMap::new();
    for (first, then) in pairs {
        let (mut seen, mut stack) = (HashSet::from([then]), vec![then]);
        while let Some(node) = stack.pop() {
            stack.extend(after.get(&node).into_iter().flatten().copied().filter(|next| seen.insert(*next)));
        }
        if !seen.contains(&first) {
            after.entry(first).or_default().push(then);
            kept.push((first, then));
        }
    }
    kept
}

/// The kinds of a program, by name.
pub(crate) fn kinds_by_name(kinds: impl IntoIterator<Item = Kind>) -> KnownKinds {
    kinds.into_iter().map(|kind| (kind.spec.kind, kind.spec)).collect()
}

/// A resource of an earlier run that is in no graph: only its record is known.
struct Left {
    spec: &'static KindSpec,
    name: String,
    owns: Vec<Uid>,
}

impl Identify for Left {
    fn kind(&self) -> &'static KindSpec {
        self.spec
    }

    fn id(&self) -> ResourceId {
        ResourceId::new(self.spec.kind, &self.name)
    }
}

impl AnyResource for Left {
    fn spec(&self) -> &'static KindSpec {
        self.spec
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn uids(&self, _: &Known<'_>) -> Vec<Uid> {
        self.owns.clone()
    }

    fn same(&self, _: &dyn AnyResource) -> bool {
        false
    }

    fn check(self: Arc<Self>, _: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn apply(self: Arc<Self>, _: ApplyCx, _: AnyDrift) -> BoxFuture<Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn with_received(&self, _: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>> {
        None
    }

    fn to_data(&self, _: &[u8]) -> Result<Map<String, Json>, DataError> {
        Ok(Map::new())
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_contradict_one_another_wait_for_one_another_in_one_direction_only() {
        let [a, b, c] = [0, 1, 2].map(Node);
        assert_eq!(without_cycles(vec![(a, b), (b, c), (c, a), (a, c)]), [(a, b), (b, c), (a, c)]);
        assert_eq!(without_cycles(vec![(a, a)]), []);
    }
}
