//! The graph in force: which resource has which slot, and what a new graph changes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::{GraphConfig, Link, Prepared, Vertex, is};
use crate::id::{Generation, Node, Place, ResourceId};
use crate::plan::After;
use crate::resource::{AnyResource, Origin, Uid};
use crate::runtime::grouped::Grouped;
use crate::runtime::numbers::Numbers;
use crate::runtime::seats::Seats;
use crate::runtime::settings::Settings;
use crate::runtime::values::Wiring;
use crate::scheduler::{EdgeSpec, NodeSpec, PortSet, Swap};

/// The graph in force.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The graph as it runs.
    pub(crate) config: Arc<GraphConfig>,
    /// The graph as it runs, with the graph that it was made of.
    prepared: Prepared,
    pub(crate) generation: Generation,
    seats: Seats,
    free: Vec<Node>,
    /// The resources that have left the graph but may still have an operation under way.
    ghosts: HashMap<Node, Ghost>,
    /// Numbers of semaphores: they keep their holders and waiters over a swap.
    semas: Numbers,
    /// Numbers of kinds that handle several resources in one call.
    together: Numbers,
    pub(crate) groups: Grouped,
}

/// A resource that has left the graph.
#[derive(Debug)]
struct Ghost {
    vertex: Vertex,
    /// The resource never had the values that it receives.
    is_blind: bool,
}

/// What a new graph changes.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) swap: Swap,
    /// Nodes whose resource differs from before.
    pub(crate) changed: Vec<Node>,
    /// Nodes that are new or have changed, if something whose place they could take is under way or has left.
    pub(crate) heirs: Vec<Node>,
    /// Nodes that are gone.
    pub(crate) removed: Vec<Node>,
    /// The wirings of the resources that receive.
    pub(crate) wirings: HashMap<Node, Vec<Wiring>>,
    /// The previous graph. Freeing a large one takes time.
    pub(crate) old: Prepared,
}

impl Difference {
    /// Marks the resource of a node that stays as changed, so that it is checked.
    pub(crate) fn change(&mut self, node: Node, place: Option<Place>) {
        let Some(spec) = place.and_then(|place| self.swap.nodes.get_mut(place.index())) else { return };
        if !std::mem::replace(&mut spec.changed, true) {
            self.changed.push(node);
        }
    }
}

impl Running {
    /// The vertex of a node.
    pub(crate) fn vertex(&self, node: Node) -> Option<&Vertex> {
        match self.place(node) {
            Some(place) => Some(&self.config.vertices[place.index()]),
            None => self.ghosts.get(&node).map(|ghost| &ghost.vertex),
        }
    }

    /// The resource of the node is never applied.
    pub(crate) fn is_noop(&self, node: Node) -> bool {
        self.vertex(node).is_some_and(|vertex| vertex.meta.as_ref().is_some_and(|meta| meta.is_only_checked()))
    }

    /// The resource is not run.
    pub(crate) fn is_hidden(&self, node: Node) -> bool {
        self.vertex(node).is_some_and(Vertex::is_hidden)
    }

    /// The drift of the resource is an alert.
    pub(crate) fn is_alert(&self, node: Node) -> bool {
        self.vertex(node).is_some_and(|vertex| vertex.meta.as_ref().is_some_and(|meta| meta.alert))
    }

    /// What the resource changes can be undone.
    pub(crate) fn can_reverse(&self, node: Node) -> bool {
        self.vertex(node).is_some_and(|vertex| vertex.resource.spec().abilities.reverse.is_some())
    }

    /// What the resource has changed is undone when it leaves the graph.
    pub(crate) fn is_reversed(&self, node: Node) -> bool {
        let is_declared = |vertex: &Vertex| vertex.meta.as_ref().is_some_and(|meta| meta.reverse);
        self.can_reverse(node) && self.vertex(node).is_some_and(is_declared)
    }

    /// The resources that come before each by edges of passes, with the reasons.
    pub(crate) fn placed_by_passes(&self) -> HashMap<Node, Vec<After>> {
        let vertices = &self.config.vertices;
        let mut after: HashMap<Node, Vec<After>> = HashMap::new();
        for edge in &self.config.edges {
            if let Origin::Pass(reason) = &edge.origin {
                let first = After::new(vertices[edge.from as usize].id(), reason.why.clone());
                after.entry(Node(edge.to)).or_default().push(first);
            }
        }
        after
    }

    /// The first number that no resource has or had.
    fn next_number(&self) -> u32 {
        // What an earlier run has left has a number and never a place; its number may be free again.
        let highest = self.ghosts.keys().chain(&self.free).map(|node| node.0 + 1).max().unwrap_or(0);
        self.seats.next().max(highest)
    }

    /// A number for a resource of an earlier run that is in no graph.
    pub(crate) fn add_remains(&mut self, vertex: Vertex) -> Node {
        let node = self.free.pop().unwrap_or_else(|| Node(self.next_number()));
        self.ghosts.insert(node, Ghost { vertex, is_blind: false });
        node
    }

    /// The identity of the resource in a slot.
    pub(crate) fn id(&self, node: Node) -> ResourceId {
        self.vertex(node).map_or_else(|| ResourceId::new("resource", format!("#{}", node.0)), Vertex::id)
    }

    /// The node of a resource of the graph.
    pub(crate) fn find(&self, id: &ResourceId) -> Option<Node> {
        self.prepared.find(id).map(|place| self.seats.node(place))
    }

    /// Whether a resource is in the graph.
    pub(crate) fn contains(&self, id: &ResourceId) -> bool {
        self.prepared.find(id).is_some()
    }

    /// The resource that owns this, as far as the fields of the graph name it.
    pub(crate) fn owner(&self, uid: &Uid) -> Option<Node> {
        self.prepared.index().owner(uid).map(|place| self.seats.node(place))
    }

    /// The place of a node of the graph.
    pub(crate) fn place(&self, node: Node) -> Option<Place> {
        self.seats.place(node)
    }

    /// All nodes, in the order of the graph.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.seats.nodes()
    }

    /// How many resources the graph has.
    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    /// The resources that have left the graph, while something of them is under way.
    pub(crate) fn ghosts(&self) -> impl Iterator<Item = (Node, &Arc<dyn AnyResource>)> {
        let seeing = self.ghosts.iter().filter(|(_, ghost)| !ghost.is_blind);
        seeing.map(|(node, ghost)| (*node, &ghost.vertex.resource))
    }

    /// The resource that has left never had the values that it receives: it never ran, and its fields have no meaning.
    pub(crate) fn is_blind(&self, node: Node) -> bool {
        self.ghosts.get(&node).is_some_and(|ghost| ghost.is_blind)
    }

    /// Sets the resource that has left, with what it received; `None`: it never received its values.
    pub(crate) fn set_ghost(&mut self, node: Node, resource: Option<Arc<dyn AnyResource>>) {
        match (self.ghosts.get_mut(&node), resource) {
            (Some(ghost), Some(resource)) => ghost.vertex.resource = resource,
            (Some(ghost), None) => ghost.is_blind = true,
            (None, _) => {}
        }
    }

    /// A resource has left the graph whose number is not free yet.
    pub(crate) fn has_ghosts(&self) -> bool {
        !self.ghosts.is_empty()
    }

    /// The resource of the node has left the graph, and its number is not free yet.
    pub(crate) fn is_ghost(&self, node: Node) -> bool {
        self.ghosts.contains_key(&node)
    }

    /// The number is free for another resource, unless the one that left has come back to it.
    pub(crate) fn release(&mut self, node: Node) {
        if self.ghosts.remove(&node).is_some() {
            self.free.push(node);
        }
    }

    /// Bytes held, without the graph itself.
    pub(crate) fn memory(&self) -> usize {
        self.prepared.index().memory() + self.seats.memory() + 4 * self.free.capacity() + self.groups.memory()
    }

    /// Replaces the graph in force. `owed` returns whether the journal holds a refresh from one resource to another.
    pub(crate) fn replace(
        &mut self,
        mut prepared: Prepared,
        rewired: &dyn Fn(Node, &[Wiring]) -> bool,
        owed: &dyn Fn(&ResourceId, &ResourceId) -> bool,
        is_busy: bool,
    ) -> Difference {
        self.generation.0 += 1;
        let config = Arc::clone(prepared.config());
        let Assigned { nodes, same, mut removed } = self.assign(&mut prepared);
        let wirings = by_receiver(&config.links, &nodes);
        let (semas, together) = (std::mem::take(&mut self.semas), std::mem::take(&mut self.together));
        let mut settings = Settings::new(semas, together);
        let mut difference = Difference {
            swap: Swap { generation: self.generation, ..Swap::default() },
            changed: Vec::new(),
            heirs: Vec::new(),
            removed: Vec::new(),
            wirings,
            old: Prepared::default(),
        };
        difference.swap.nodes.reserve_exact(config.vertices.len());
        let inherits = is_busy || !removed.is_empty() || !self.ghosts.is_empty();
        for ((vertex, node), same) in config.vertices.iter().zip(&nodes).zip(same) {
            let node = *node;
            let is_rewired = || rewired(node, difference.wirings.get(&node).map_or(&[][..], Vec::as_slice));
            let is_new = same.is_none();
            let changed = same.is_some_and(|same| !same || is_rewired());
            if changed {
                difference.changed.push(node);
            }
            // A resource that comes back had left: others may have taken its place meanwhile.
            if inherits && (changed || is_new || self.ghosts.contains_key(&node)) {
                difference.heirs.push(node);
            }
            difference.swap.nodes.push(NodeSpec { node, config: settings.of(vertex), changed });
        }
        difference.swap.configs = settings.configs;
        (self.semas, self.together) = (settings.semas, settings.together);
        self.semas.end_graph(is_busy);
        self.together.end_graph(is_busy);
        difference.swap.edges = edges(&config, &nodes, owed);
        difference.swap.groups = self.groups.replace(&prepared, &nodes);
        removed.sort_unstable();
        for node in &removed {
            let Some(place) = self.seats.place(*node) else { continue };
            let vertex = self.config.vertices[place.index()].clone();
            self.ghosts.insert(*node, Ghost { vertex, is_blind: false });
        }
        difference.removed = removed;
        if !self.ghosts.is_empty() {
            nodes.iter().for_each(|node| drop(self.ghosts.remove(node)));
        }
        self.seats.set(nodes);
        self.config = config;
        difference.old = std::mem::replace(&mut self.prepared, prepared);
        difference
    }

    /// Numbers for the vertices of a new graph: resources that were there before keep theirs. Also the numbers that
    /// fall vacant. Compares the declared graphs, not what settings and passes made of them.
    fn assign(&mut self, prepared: &mut Prepared) -> Assigned {
        let same = prepared.take_same();
        if let Some(same) = same.as_ref().and_then(|same| same.as_in(self.prepared.source())) {
            let same = same.iter().copied().map(Some).collect();
            return Assigned { nodes: self.seats.nodes().collect(), same, removed: Vec::new() };
        }
        let config = prepared.source();
        let count = config.vertices.len();
        if self.config.vertices.is_empty() && self.ghosts.is_empty() {
            self.free.clear();
            self.seats = Seats::default();
            let nodes = (0..u32::try_from(count).unwrap_or(u32::MAX)).map(Node).collect();
            return Assigned { nodes, same: vec![None; count], removed: Vec::new() };
        }
        let (mut nodes, mut same) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let named = |(node, ghost): (&Node, &Ghost)| {
            let old = &ghost.vertex.resource;
            ((old.spec().kind, old.name().to_owned()), *node)
        };
        let mut ghosts: HashMap<(&str, String), Node> = self.ghosts.iter().map(named).collect();
        let mut kept = vec![false; self.seats.len()];
        let mut next = self.next_number();
        // Most resources have the same neighbour as before, and need no search in the index.
        let mut neighbour = 0;
        for vertex in &config.vertices {
            let (kind, name) = (vertex.resource.spec().kind, vertex.resource.name());
            let olds = &self.prepared.source().vertices;
            let old = if is(olds, neighbour, kind, name) {
                Some(neighbour)
            } else {
                self.prepared.index().find(olds, kind, name)
            };
            neighbour = old.map_or(neighbour, |at| at + 1);
            let mut ghost = || if ghosts.is_empty() { None } else { ghosts.remove(&(kind, name.to_owned())) };
            if let Some(at) = old {
                kept[at as usize] = true;
                nodes.push(self.seats.node(at));
                same.push(Some(olds[at as usize].is_same(vertex)));
            } else if let Some(node) = ghost() {
                nodes.push(node);
                same.push(self.ghosts.get(&node).map(|ghost| ghost.vertex.is_same(vertex)));
            } else {
                nodes.push(self.free.pop().unwrap_or_else(|| {
                    next += 1;
                    Node(next - 1)
                }));
                same.push(None);
            }
        }
        let removed = kept.iter().zip(self.seats.nodes()).filter(|(kept, _)| !**kept).map(|(_, node)| node).collect();
        Assigned { nodes, same, removed }
    }
}

/// The numbers of the resources.
struct Assigned {
    /// The node of each vertex.
    nodes: Vec<Node>,
    /// Whether each vertex is the same resource as before; `None`: it is new.
    same: Vec<Option<bool>>,
    /// Numbers that fall vacant.
    removed: Vec<Node>,
}

fn by_receiver(links: &[Link], nodes: &[Node]) -> HashMap<Node, Vec<Wiring>> {
    let mut receivers: HashMap<Node, Vec<Wiring>> = HashMap::new();
    for link in links {
        let sources = link.sources.iter().map(|(from, port)| (nodes[*from as usize], *port)).collect();
        let wiring = Wiring { field: link.field, sources, wire: link.wire.clone() };
        receivers.entry(nodes[link.to as usize]).or_default().push(wiring);
    }
    receivers
}

/// At most one edge for each pair: refreshes and sends of several edges are joined in it. A notify edge to a resource
/// with nothing to refresh is only an order.
fn edges(config: &GraphConfig, nodes: &[Node], owed: &dyn Fn(&ResourceId, &ResourceId) -> bool) -> Vec<EdgeSpec> {
    let mut pairs: Vec<Pair> = Vec::with_capacity(config.edges.len());
    pairs.extend(config.edges.iter().map(|edge| (edge.from, edge.to, config.refreshes(edge), 0)));
    for link in &config.links {
        pairs.extend(link.sources.iter().map(|(from, port)| (*from, link.to, false, 1u32 << port)));
    }
    let mut pairs = sorted(pairs, nodes.len());
    pairs.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            kept.2 |= next.2;
            kept.3 |= next.3;
        }
        same
    });
    let id = |at: u32| config.vertices[at as usize].id();
    pairs
        .into_iter()
        .map(|(from, to, notify, sends)| EdgeSpec {
            from: nodes[from as usize],
            to: nodes[to as usize],
            notify,
            sends: PortSet(sends),
            owed: notify && owed(&id(from), &id(to)),
        })
        .collect()
}

/// Both ends of an edge, whether it notifies, and the ports that it carries.
type Pair = (u32, u32, bool, u32);

/// Sorts the edges by parent and child: by counting, since those of a large graph come in the order of their children.
fn sorted(mut pairs: Vec<Pair>, count: usize) -> Vec<Pair> {
    let ends = |pair: &Pair| (pair.0, pair.1);
    if pairs.is_sorted_by_key(ends) {
        return pairs;
    }
    if pairs.len() < count / 8 {
        pairs.sort_unstable_by_key(ends);
        return pairs;
    }
    let mut starts = vec![0u32; count + 1];
    for (from, ..) in &pairs {
        starts[*from as usize + 1] += 1;
    }
    for at in 0..count {
        starts[at + 1] += starts[at];
    }
    let mut placed = vec![(0, 0, false, 0); pairs.len()];
    for pair in &pairs {
        let at = &mut starts[pair.0 as usize];
        placed[*at as usize] = *pair;
        *at += 1;
    }
    drop(pairs);
    // Each start has become the end of its parent's edges.
    let mut start = 0;
    for end in starts.into_iter().take(count) {
        let children = &mut placed[start as usize..end as usize];
        if !children.is_sorted_by_key(ends) {
            children.sort_unstable_by_key(ends);
        }
        start = end;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_sorted_by_parent_and_child_whatever_their_number_and_order() {
        let (mut seed, count) = (1u32, 100);
        let mut draw = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % below
        };
        for length in [0, 1, 5, 50, 100, 1000] {
            let pairs: Vec<Pair> = (0..length).map(|n| (draw(count), draw(count), n % 3 == 0, 0)).collect();
            let mut expected = pairs.clone();
            expected.sort_by_key(|pair| (pair.0, pair.1));
            let ends = |pairs: &[Pair]| pairs.iter().map(|pair| (pair.0, pair.1)).collect::<Vec<_>>();
            let all = |mut pairs: Vec<Pair>| {
                pairs.sort_unstable();
                pairs
            };
            let found = sorted(pairs, count as usize);
            assert_eq!(ends(&found), ends(&expected));
            assert_eq!(all(found), all(expected), "none is lost or changed");
        }
    }
}
