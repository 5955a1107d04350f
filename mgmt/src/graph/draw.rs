//! Pictures of a graph as text.

use crate::dag::{Cluster, Dag, EdgeLook, NodeId, NodeLook};
use crate::graph::config::{GraphConfig, Vertex};
use crate::graph::prepare::Prepared;
use crate::id::in_one_line;
use crate::resource::Origin;

/// An edge as drawn.
#[derive(Clone, Debug, Default)]
struct Drawn {
    notify: bool,
    automatic: bool,
    /// The names of the edge, and the fields that receive a value over it.
    words: Vec<String>,
    /// The reasons why passes added the edge.
    reasons: Vec<String>,
}

impl GraphConfig {
    /// The graph in the dot language, for Graphviz. Edges that refresh are bold. An edge that carries a value is
    /// labelled with the field that receives it, and an edge that was declared with a name with that. An edge that a
    /// pass added is dashed, and labelled with its reason.
    pub fn dot(&self) -> String {
        self.drawn().dot(&in_one_line(&self.name), &[], |_, vertex| node_look(vertex), edge_look)
    }

    /// The graph in the mermaid language, with the same labels.
    pub fn mermaid(&self) -> String {
        self.drawn().mermaid(&in_one_line(&self.name), &[], |_, vertex| node_look(vertex), edge_look)
    }

    fn drawn(&self) -> Dag<&Vertex, Drawn> {
        let mut dag = Dag::with_capacity(self.vertices.len(), self.edges.len());
        let nodes: Vec<_> = self.vertices.iter().map(|vertex| dag.add_node(vertex)).collect();
        for edge in &self.edges {
            let (from, to) = (nodes[edge.from as usize], nodes[edge.to as usize]);
            let mut drawn = dag.edge(from, to).cloned().unwrap_or(Drawn { automatic: true, ..Drawn::default() });
            drawn.notify |= edge.notify;
            drawn.words.extend(edge.name.as_deref().map(|name| in_one_line(name).into_owned()));
            match &edge.origin {
                Origin::Pass(_) => drawn.reasons.push(edge.origin.to_string()),
                _ => drawn.automatic = false,
            }
            dag.add_edge(from, to, drawn);
        }
        for link in &self.links {
            let field = self.vertices[link.to as usize].resource.spec().fields[usize::from(link.field)].name;
            for (from, _) in &link.sources {
                let (from, to) = (nodes[*from as usize], nodes[link.to as usize]);
                let mut drawn = dag.edge(from, to).cloned().unwrap_or_default();
                drawn.automatic = false;
                if !drawn.words.iter().any(|word| word == field) {
                    drawn.words.push(field.to_owned());
                }
                dag.add_edge(from, to, drawn);
            }
        }
        dag
    }
}

impl Prepared {
    /// The graph in the dot language, like [`GraphConfig::dot`], with a dotted box around each group.
    pub fn dot(&self) -> String {
        let (config, clusters) = (self.config(), self.clusters());
        config.drawn().dot(&in_one_line(&config.name), &clusters, |_, vertex| node_look(vertex), edge_look)
    }

    /// The graph in the mermaid language, with the same labels and boxes.
    pub fn mermaid(&self) -> String {
        let (config, clusters) = (self.config(), self.clusters());
        config.drawn().mermaid(&in_one_line(&config.name), &clusters, |_, vertex| node_look(vertex), edge_look)
    }

    fn clusters(&self) -> Vec<Cluster> {
        let label = |group: &[u32]| {
            let kind = self.config().vertices[group[0] as usize].resource.spec().kind;
            format!("{kind}, a group of {}", group.len())
        };
        let cluster =
            |group: &Vec<u32>| Cluster { label: label(group), nodes: group.iter().copied().map(NodeId).collect() };
        self.groups().all().iter().map(cluster).collect()
    }
}

fn node_look(vertex: &Vertex) -> NodeLook {
    let id = vertex.id().to_string();
    NodeLook { label: id.clone(), identity: id }
}

fn edge_look(edge: &Drawn) -> EdgeLook {
    let label = if edge.automatic { edge.reasons.join(", ") } else { edge.words.join(", ") };
    EdgeLook { label, notify: edge.notify, automatic: edge.automatic }
}
