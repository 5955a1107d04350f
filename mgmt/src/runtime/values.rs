//! Values on their way: what was sent, and what receivers make of it.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::graph::Link;
use crate::id::{Node, ResourceId};
use crate::resource::{AnyResource, Digest, FieldValue, Sent, Value};
use crate::runtime::store::Store;
use crate::scheduler::PortSet;
use crate::sys::task::caught;

/// What one output has sent last.
#[derive(Clone, Debug, Default)]
struct Output {
    /// `None` after something was sent: only its digest is known, from an earlier run.
    value: Option<Value>,
    digest: Digest,
    sent: bool,
}

/// What a receiver is made of.
#[derive(Debug, Default)]
struct Receiver {
    links: Vec<Link>,
    /// The digests of the values in `effective`, by source.
    inputs: Vec<Digest>,
    effective: Option<Arc<dyn AnyResource>>,
}

/// The resource that an operation works on.
#[derive(Debug)]
pub(crate) enum Resolved {
    /// It, with what it received. `changed`: it differs from the one before.
    Ready { resource: Arc<dyn AnyResource>, changed: bool },
    /// These senders must make their values again.
    Missing(Vec<Node>),
    /// Something does not fit.
    Mismatch(String),
}

/// All values of an engine.
#[derive(Debug, Default)]
pub(crate) struct Values {
    outputs: HashMap<u32, Vec<Output>>,
    receivers: HashMap<u32, Receiver>,
}

impl Values {
    /// Whether what a resource receives is wired in another way than before: other sources, other closures. (The same line of the program is
    /// the same closure; what it captured shows in the value that it makes.)
    pub(crate) fn rewired(&self, node: Node, links: &[Link]) -> bool {
        let old = self.receivers.get(&node.0).map_or(&[][..], |receiver| &receiver.links);
        let same = |a: &Link, b: &Link| {
            a.field == b.field && a.sources == b.sources && a.wire.closure == b.wire.closure && !a.wire.closure
        };
        !(old.len() == links.len() && old.iter().zip(links).all(|(a, b)| same(a, b)))
    }

    /// Takes over the wires of a new graph.
    pub(crate) fn rewire(&mut self, links: HashMap<u32, Vec<Link>>, changed: &[Node], removed: &[Node]) {
        self.receivers.retain(|slot, _| links.contains_key(slot));
        for (slot, links) in links {
            self.receivers.entry(slot).or_default().links = links;
        }
        for node in changed {
            if let Some(receiver) = self.receivers.get_mut(&node.0) {
                receiver.inputs.clear();
            }
        }
        for node in removed {
            self.outputs.remove(&node.0);
        }
    }

    /// Keeps what an operation sent; returns the outputs with a value that is new, or sent for the first time.
    pub(crate) fn sent(&mut self, node: Node, id: impl Fn() -> ResourceId, sent: Vec<Sent>, store: &Store) -> PortSet {
        let mut new = 0;
        for sent in sent {
            let outputs = self.outputs.entry(node.0).or_default();
            let (port, value, digest) = match sent {
                Sent::Value { port, value, digest } => (port, Some(value), digest),
                Sent::Unchanged { port } => (port, None, store.sent(&id(), port).unwrap_or_default()),
            };
            if outputs.len() <= usize::from(port) {
                outputs.resize_with(usize::from(port) + 1, Output::default);
            }
            let output = &mut outputs[usize::from(port)];
            if !output.sent || output.digest != digest || (output.value.is_none() && value.is_some()) {
                new |= 1u32 << port;
            }
            if value.is_some() {
                store.set_sent(&id(), port, digest);
            }
            // A value that is known stays known.
            if value.is_some() || output.digest != digest {
                output.value = value;
            }
            (output.digest, output.sent) = (digest, true);
        }
        PortSet(new)
    }

    /// A resource has sent something of which only the digest is known.
    pub(crate) fn is_lost(&self, node: Node) -> bool {
        self.outputs.get(&node.0).is_some_and(|outputs| outputs.iter().any(|o| o.sent && o.value.is_none()))
    }

    /// Whatever the last operation of a resource that has left the graph sent: whoever gets its slot has sent nothing.
    pub(crate) fn vacate(&mut self, node: Node) {
        self.outputs.remove(&node.0);
    }

    /// The resource with what it receives.
    pub(crate) fn resolve(&mut self, node: Node, base: &Arc<dyn AnyResource>, store: &Store) -> Resolved {
        let Some(receiver) = self.receivers.get_mut(&node.0) else {
            return Resolved::Ready { resource: Arc::clone(base), changed: false };
        };
        let (mut inputs, mut lost) = (Vec::new(), Vec::new());
        for (from, port) in receiver.links.iter().flat_map(|link| &link.sources) {
            match self
                .outputs
                .get(from)
                .and_then(|outputs| outputs.get(usize::from(*port)))
                .filter(|output| output.sent)
            {
                Some(output) => {
                    inputs.push(output.digest);
                    if output.value.is_none() && !lost.contains(&Node(*from)) {
                        lost.push(Node(*from));
                    }
                }
                None => return Resolved::Missing(vec![Node(*from)]),
            }
        }
        if let Some(effective) = receiver.effective.as_ref().filter(|_| receiver.inputs == inputs) {
            return Resolved::Ready { resource: Arc::clone(effective), changed: false };
        }
        let id = ResourceId::new(base.spec().kind, base.name());
        let mut fields: Vec<(u8, FieldValue)> = Vec::new();
        for link in &receiver.links {
            let name = base.spec().fields[usize::from(link.field)].name;
            match field(&self.outputs, link, &id, name, store) {
                Some(Ok(value)) => fields.push((link.field, value)),
                Some(Err(problem)) => return Resolved::Mismatch(problem),
                None => return Resolved::Missing(lost),
            }
        }
        let Some(resource) = base.with_received(fields) else {
            return Resolved::Mismatch(format!("{id}: a received value is not of its field's type"));
        };
        if let Err(problem) = resource.validate() {
            return Resolved::Mismatch(format!("with what it received: {}", problem.replace('\n', "; ")));
        }
        let changed = receiver.effective.as_ref().is_none_or(|old| !old.same(&*resource));
        (receiver.inputs, receiver.effective) = (inputs, Some(Arc::clone(&resource)));
        Resolved::Ready { resource, changed }
    }

    /// Forgets the stand-ins that a resource works with, so that the next resolve makes them of real values.
    pub(crate) fn forget(&mut self, node: Node) -> Vec<Node> {
        let Some(receiver) = self.receivers.get_mut(&node.0) else { return Vec::new() };
        receiver.inputs.clear();
        receiver.effective = None;
        let mut lost: Vec<Node> = Vec::new();
        for (from, port) in receiver.links.iter().flat_map(|link| &link.sources) {
            let known = self
                .outputs
                .get(from)
                .and_then(|outputs| outputs.get(usize::from(*port)))
                .is_some_and(|output| output.value.is_some());
            if !known && !lost.contains(&Node(*from)) {
                lost.push(Node(*from));
            }
        }
        lost
    }
}

/// The value of one field: of its sources' values, or recalled by its digest if the sources say that they are the same as in the run before.
fn field(
    outputs: &HashMap<u32, Vec<Output>>,
    link: &Link,
    id: &ResourceId,
    name: &str,
    store: &Store,
) -> Option<Result<FieldValue, String>> {
    let sources: Vec<&Output> =
        link.sources.iter().filter_map(|(from, port)| outputs.get(from)?.get(usize::from(*port))).collect();
    let mut hasher = Sha256::new();
    sources.iter().for_each(|output| hasher.update(output.digest));
    let inputs: Digest = hasher.finalize().into();
    let values: Option<Vec<Value>> = sources.iter().map(|output| output.value.clone()).collect();
    match values {
        Some(values) => {
            let received = match caught(|| link.wire.receive(&values)) {
                Ok(received) => received,
                Err(panic) => return Some(Err(format!("making the value of `{name}` {panic}"))),
            };
            let Some(received) = received else {
                return Some(Err(format!("what `{name}` receives is of another type than its sender promised")));
            };
            if let Some(digest) = received.digest {
                store.set_received(id, link.field, inputs, digest);
            }
            Some(Ok(received.value))
        }
        None => {
            let digest = store.received(id, link.field, inputs)?;
            match caught(|| link.wire.recall(digest)) {
                Ok(recalled) => recalled.map(Ok),
                Err(panic) => Some(Err(format!("recalling the value of `{name}` {panic}"))),
            }
        }
    }
}
