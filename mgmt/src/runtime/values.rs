//! Values on their way: what was sent, and what receivers make of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::id::{Node, ResourceId};
use crate::resource::{AnyResource, Contained, Digest, FieldValue, Known, OutputSpec, Sent, Value, Wire};
use crate::runtime::slot::SlotTable;
use crate::runtime::store::Store;
use crate::scheduler::PortSet;
use crate::sys::task::caught;

/// A field that receives, by node and port.
#[derive(Clone, Debug)]
pub(crate) struct Wiring {
    /// The number of the field.
    pub(crate) field: u8,
    /// Senders and the numbers of their outputs, in the order of the wire.
    pub(crate) sources: Vec<(Node, u8)>,
    /// Makes the value of the field from the values of the sources.
    pub(crate) wire: Wire,
}

/// What one output sent last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// `None` although something was sent: only its digest is known, from an earlier run.
    value: Option<Contained<Value>>,
    digest: Digest,
    sent: bool,
}

impl Output {
    fn value(&self) -> Option<Value> {
        self.value.as_ref().map(|value| Value::clone(value.get()))
    }
}

/// What an operation has sent, by output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SentPorts {
    /// Outputs with a value that is new, or sent for the first time.
    pub(crate) new: PortSet,
    /// Outputs with the same value as before.
    pub(crate) again: PortSet,
}

/// The state of a receiver.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    wirings: Vec<Wiring>,
    /// The digests of the values in `effective`, by source.
    inputs: Vec<Digest>,
    effective: Option<Arc<dyn AnyResource>>,
    /// By field: the digests of what the resource had received when an operation last ended well.
    used: Vec<(u8, Vec<Digest>)>,
}

impl Receiver {
    /// By field: the digests of what the resource receives. Empty while the sources differ from those of the last
    /// resolve.
    fn by_field(&self) -> impl Iterator<Item = (u8, &[Digest])> {
        let sources = self.wirings.iter().map(|wiring| wiring.sources.len()).sum::<usize>();
        let mut rest = if sources == self.inputs.len() { &self.inputs[..] } else { &[] };
        self.wirings.iter().filter(move |_| sources == self.inputs.len()).map(move |wiring| {
            let (mine, others) = rest.split_at(wiring.sources.len());
            rest = others;
            (wiring.field, mine)
        })
    }
}

/// The resource that an operation works on.
#[derive(Debug)]
pub(crate) enum Resolved {
    /// The resource with what it received. `changed`: it differs from the one before.
    Ready { resource: Arc<dyn AnyResource>, changed: bool },
    /// These senders must make their values again.
    Missing(Vec<Node>),
    /// A value does not fit its field.
    Mismatch(String),
}

impl SlotTable {
    fn receiver(&self, node: Node) -> Option<&Receiver> {
        self.get(node)?.receiver.as_deref()
    }

    fn output(&self, (from, port): (Node, u8)) -> Option<&Output> {
        self.get(from)?.outputs.get(usize::from(port)).filter(|output| output.sent)
    }

    /// Whether the wires of a resource differ from before: other sources, other closures. (The same line of the program
    /// is the same closure; a difference in what it captured shows in the value that it makes.)
    pub(crate) fn is_rewired(&self, node: Node, wirings: &[Wiring]) -> bool {
        let old = self.receiver(node).map_or(&[][..], |receiver| &receiver.wirings);
        let same = |a: &Wiring, b: &Wiring| {
            let (one, other) = (&a.wire, &b.wire);
            let is_same = a.field == b.field && a.sources == b.sources && one.join == other.join;
            is_same && one.closure == other.closure && !one.closure
        };
        !(old.len() == wirings.len() && old.iter().zip(wirings).all(|(a, b)| same(a, b)))
    }

    /// Takes over the wires of a new graph. Returns the outputs that are received along a wire that is new.
    pub(crate) fn rewire(
        &mut self,
        wirings: HashMap<Node, Vec<Wiring>>,
        changed: &[Node],
        removed: &[Node],
    ) -> Vec<(Node, u8)> {
        let mut newly_received = Vec::new();
        for node in std::mem::take(&mut self.receivers) {
            if !wirings.contains_key(&node)
                && let Some(slot) = self.get_mut(node)
            {
                slot.receiver = None;
                self.tidy(node);
            }
        }
        for (node, wirings) in wirings {
            if self.is_rewired(node, &wirings) {
                newly_received.extend(wirings.iter().flat_map(|wiring| &wiring.sources));
            }
            self.make(node).receiver.get_or_insert_default().wirings = wirings;
            self.receivers.push(node);
        }
        for node in changed {
            if let Some(receiver) = self.get_mut(*node).and_then(|slot| slot.receiver.as_mut()) {
                receiver.inputs.clear();
            }
        }
        for node in removed {
            if let Some(slot) = self.get_mut(*node) {
                slot.outputs = Vec::new();
                self.tidy(*node);
            }
        }
        newly_received
    }

    /// The digest of the value that an output sent last, in this run.
    pub(crate) fn sent_digest(&self, output: (Node, u8)) -> Option<Digest> {
        self.output(output).filter(|output| output.value.is_some()).map(|output| output.digest)
    }

    /// Keeps what an operation sent. Its digest is for receivers after a restart: the journal gets the digest of an
    /// output that is received (`is_received`) or was.
    pub(crate) fn sent(
        &mut self,
        node: Node,
        id: impl Fn() -> ResourceId,
        names: &[OutputSpec],
        sent: Vec<Sent>,
        (store, is_received): (&Store, bool),
    ) -> SentPorts {
        // A kind may send on a port of another kind: such a value is dropped.
        let name = |port: u8| names.get(usize::from(port)).map(|output| output.name);
        let (mut new, mut all) = (0, 0);
        for sent in sent {
            let outputs = &mut self.make(node).outputs;
            let (port, value, digest) = match sent {
                Sent::Value { port, value, digest } => (port, Some(value), digest),
                Sent::Unchanged { port } => {
                    let known = name(port).and_then(|name| store.sent(&id(), name));
                    (port, None, known.unwrap_or_default())
                }
            };
            if outputs.len() <= usize::from(port) {
                // For most kinds this is the only output: no room for more.
                outputs.reserve_exact(usize::from(port) + 1 - outputs.len());
                outputs.resize_with(usize::from(port) + 1, Output::default);
            }
            let output = &mut outputs[usize::from(port)];
            all |= 1u32 << port;
            if !output.sent || output.digest != digest || (output.value.is_none() && value.is_some()) {
                new |= 1u32 << port;
            }
            if let Some(name) = name(port).filter(|_| value.is_some()) {
                store.set_sent(&id(), name, digest, is_received);
            }
            // A value that is known stays known.
            if value.is_some() || output.digest != digest {
                output.value = value;
            }
            (output.digest, output.sent) = (digest, true);
        }
        SentPorts { new: PortSet(new), again: PortSet(all & !new) }
    }

    /// The resource has sent something of which only the digest is known.
    pub(crate) fn is_lost(&self, node: Node) -> bool {
        self.get(node).is_some_and(|slot| slot.outputs.iter().any(|output| output.sent && output.value.is_none()))
    }

    /// The numbers of the fields that receive something else than when an operation of this resource last ended well.
    pub(crate) fn changed_fields(&self, node: Node) -> Vec<u8> {
        let Some(receiver) = self.receiver(node) else { return Vec::new() };
        let is_used =
            |(field, digests): &(u8, &[Digest])| receiver.used.iter().any(|(of, used)| of == field && used == digests);
        receiver.by_field().filter(|now| !is_used(now)).map(|(field, _)| field).collect()
    }

    /// An operation of this resource has ended well: what it has received is no longer new.
    pub(crate) fn use_received(&mut self, node: Node) {
        if let Some(receiver) = self.get_mut(node).and_then(|slot| slot.receiver.as_mut())
            && !receiver.inputs.is_empty()
        {
            receiver.used = receiver.by_field().map(|(field, digests)| (field, digests.to_vec())).collect();
        }
    }

    /// Whether the resource receives values.
    pub(crate) fn receives(&self, node: Node) -> bool {
        self.receiver(node).is_some()
    }

    /// The resource as last made from what it receives; `None`: its values are still to come.
    pub(crate) fn current(&self, node: Node, base: &Arc<dyn AnyResource>) -> Option<Arc<dyn AnyResource>> {
        match self.receiver(node) {
            Some(receiver) => receiver.effective.clone(),
            None => Some(Arc::clone(base)),
        }
    }

    /// The resource with what it receives.
    pub(crate) fn resolve(&mut self, node: Node, base: &Arc<dyn AnyResource>, store: &Store) -> Resolved {
        let Some(receiver) = self.receiver(node) else {
            return Resolved::Ready { resource: Arc::clone(base), changed: false };
        };
        let (mut inputs, mut lost) = (Vec::new(), Vec::new());
        for source in receiver.wirings.iter().flat_map(|wiring| &wiring.sources) {
            let Some(output) = self.output(*source) else { return Resolved::Missing(vec![source.0]) };
            inputs.push(output.digest);
            if output.value.is_none() && !lost.contains(&source.0) {
                lost.push(source.0);
            }
        }
        if let Some(effective) = receiver.effective.as_ref().filter(|_| receiver.inputs == inputs) {
            return Resolved::Ready { resource: Arc::clone(effective), changed: false };
        }
        let id = ResourceId::new(base.spec().kind, base.name());
        let (mut fields, mut problems): (Vec<(u8, FieldValue)>, Vec<String>) = Default::default();
        for wiring in &receiver.wirings {
            let name = base.spec().fields[usize::from(wiring.field)].name;
            match self.field(wiring, &id, name, store) {
                Some(Ok(value)) => fields.push((wiring.field, value)),
                Some(Err(problem)) => problems.push(problem),
                None => return Resolved::Missing(lost),
            }
        }
        if !problems.is_empty() {
            return Resolved::Mismatch(problems.join("; "));
        }
        let resource = match caught(|| base.with_received(fields)) {
            Ok(Some(resource)) => resource,
            Ok(None) => return Resolved::Mismatch(format!("{id}: a received value is not of its field's type")),
            Err(panic) => return Resolved::Mismatch(format!("to copy it {panic}")),
        };
        let mut problems = resource.validate(&Known::all(resource.spec()));
        problems.retain(|problem| !problem.lenient && !problem.advice);
        if !problems.is_empty() {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Resolved::Mismatch(format!("with what it received: {}", problems.join("; ")));
        }
        let changed = receiver.effective.as_ref().is_none_or(|old| !old.same(&*resource));
        if let Some(receiver) = self.get_mut(node).and_then(|slot| slot.receiver.as_mut()) {
            (receiver.inputs, receiver.effective) = (inputs, Some(Arc::clone(&resource)));
        }
        Resolved::Ready { resource, changed }
    }

    /// What a resource receives differs from what it was last made from, or it was never made.
    pub(crate) fn is_outdated(&self, node: Node) -> bool {
        let Some(receiver) = self.receiver(node) else { return false };
        let sources = receiver.wirings.iter().flat_map(|wiring| &wiring.sources);
        let now = sources.map(|source| self.output(*source).map(|output| output.digest));
        receiver.effective.is_none() || !now.eq(receiver.inputs.iter().copied().map(Some))
    }

    /// The resource must not work with what it was just made from: it is the former one again until the next resolve.
    pub(crate) fn restore(&mut self, node: Node, former: Option<Arc<dyn AnyResource>>) {
        if let Some(receiver) = self.get_mut(node).and_then(|slot| slot.receiver.as_mut()) {
            receiver.inputs.clear();
            receiver.effective = former;
        }
    }

    /// Forgets the stand-ins that a resource works with, so that the next resolve uses real values. Returns the senders
    /// of which no value is known.
    pub(crate) fn forget(&mut self, node: Node) -> Vec<Node> {
        let Some(receiver) = self.get_mut(node).and_then(|slot| slot.receiver.as_mut()) else { return Vec::new() };
        receiver.inputs.clear();
        receiver.effective = None;
        let mut lost: Vec<Node> = Vec::new();
        let sources = self.receiver(node).into_iter().flat_map(|receiver| &receiver.wirings).flat_map(|w| &w.sources);
        for source in sources {
            let known = self.output(*source).is_some_and(|output| output.value.is_some());
            if !known && !lost.contains(&source.0) {
                lost.push(source.0);
            }
        }
        lost
    }

    /// The value of one field: made from the values of its sources; or recalled by its digest, if the digests of the
    /// sources are the same as in the earlier run and so is what is made from them.
    fn field(&self, wiring: &Wiring, id: &ResourceId, name: &str, store: &Store) -> Option<Result<FieldValue, String>> {
        let sources: Vec<&Output> = wiring.sources.iter().filter_map(|source| self.output(*source)).collect();
        let inputs = || inputs_of(&wiring.wire, &sources);
        let failed = |problem: &dyn fmt::Display| {
            Some(Err(format!("`{name}`, set at {}, has no value: {problem}", wiring.wire.origin)))
        };
        let values: Option<Vec<Value>> = sources.iter().map(|output| output.value()).collect();
        match values {
            Some(values) => match caught(|| wiring.wire.receive(&values)) {
                Ok(Ok(received)) => {
                    if let Some((inputs, digest)) = received.digest.and_then(|digest| Some((inputs()?, digest))) {
                        store.set_received(id, name, inputs, digest);
                    }
                    Some(Ok(received.value))
                }
                Ok(Err(problem)) => failed(&problem),
                Err(panic) => failed(&panic),
            },
            None => {
                let digest = store.received(id, name, inputs()?)?;
                match caught(|| wiring.wire.recall(digest)) {
                    Ok(recalled) => recalled.map(Ok),
                    Err(panic) => failed(&panic),
                }
            }
        }
    }
}

/// Identifies a value received in an earlier run: by what was sent, and what is made from it. `None`: such a value is
/// never recalled.
fn inputs_of(wire: &Wire, sources: &[&Output]) -> Option<Digest> {
    let mut hasher = Sha256::new();
    sources.iter().for_each(|output| hasher.update(output.digest));
    if wire.closure {
        let values: Vec<Option<Value>> = sources.iter().map(|output| output.value()).collect();
        hasher.update(caught(|| wire.fingerprint(&values)).ok()??);
    }
    Some(hasher.finalize().into())
}
