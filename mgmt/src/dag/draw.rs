//! Pictures as text: dot (for Graphviz) and mermaid.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::store::{Dag, NodeId};

/// How a node is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLook {
    /// The node's identifier in the text, such as `file[/etc/motd]`. If two nodes have the same identity, the later one
    /// gets a number: they stay two nodes.
    pub identity: String,
    /// The text on the node.
    pub label: String,
}

/// How an edge is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeLook {
    /// The text beside the edge; empty for none.
    pub label: String,
    /// The edge carries refreshes: it is bold.
    pub notify: bool,
    /// The engine added the edge: it is dashed, and grey.
    pub automatic: bool,
}

/// Nodes that are drawn in a box of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The text on the box.
    pub label: String,
    /// The nodes in it. No node is in two boxes.
    pub nodes: Vec<NodeId>,
}

impl<N, E> Dag<N, E> {
    /// The graph in the dot language. Titles, identities and labels may contain any text.
    pub fn dot(
        &self,
        title: &str,
        clusters: &[Cluster],
        mut node: impl FnMut(NodeId, &N) -> NodeLook,
        mut edge: impl FnMut(&E) -> EdgeLook,
    ) -> String {
        let mut out =
            format!("digraph \"{}\" {{\n  label={};\n  node [shape=box];\n", dot_text(title, false), dot_label(title));
        let mut ids = Identities::default();
        let mut names = vec![String::new(); self.node_bound()];
        for (id, weight) in self.nodes() {
            let look = node(id, weight);
            let name = format!("\"{}\"", ids.unique(dot_text(&look.identity, false)));
            writeln!(out, "  {name} [label={}];", dot_label(&look.label)).expect("a String takes any text");
            names[id.index()] = name;
        }
        for (number, cluster) in clusters.iter().enumerate() {
            let label = dot_label(&cluster.label);
            let nodes: Vec<&str> = cluster.nodes.iter().map(|id| &*names[id.index()]).collect();
            let nodes = nodes.join("; ");
            writeln!(out, "  subgraph cluster_{number} {{ label={label}; style=dotted; {nodes}; }}")
                .expect("a String takes any text");
        }
        for (from, to, weight) in self.edges() {
            let look = edge(weight);
            let mut attributes = vec![];
            if !look.label.is_empty() {
                attributes.push(format!("label={}", dot_label(&look.label)));
            }
            match (look.notify, look.automatic) {
                (false, false) => {}
                (true, false) => attributes.push("style=bold".to_owned()),
                (false, true) => attributes.push("style=dashed, color=gray, fontcolor=gray".to_owned()),
                (true, true) => attributes.push("style=\"bold,dashed\", color=gray, fontcolor=gray".to_owned()),
            }
            let attributes =
                if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
            writeln!(out, "  {} -> {}{attributes};", names[from.index()], names[to.index()])
                .expect("a String takes any text");
        }
        out.push_str("}\n");
        out
    }

    /// The graph in the mermaid language, as a flowchart from top to bottom. Titles and labels may contain any text.
    /// Mermaid takes only plain words as identities, so the nodes are called `n0`, `n1` and so on.
    pub fn mermaid(
        &self,
        title: &str,
        clusters: &[Cluster],
        mut node: impl FnMut(NodeId, &N) -> NodeLook,
        mut edge: impl FnMut(&E) -> EdgeLook,
    ) -> String {
        let mut out = String::new();
        if !title.is_empty() {
            write!(out, "---\ntitle: {}\n---\n", yaml_text(title)).expect("a String takes any text");
        }
        out.push_str("flowchart TD\n");
        for (id, weight) in self.nodes() {
            writeln!(out, "  n{}[{}]", id.0, mermaid_text(&node(id, weight).label)).expect("a String takes any text");
        }
        for (number, cluster) in clusters.iter().enumerate() {
            let nodes: String = cluster.nodes.iter().map(|id| format!("    n{}\n", id.0)).collect();
            write!(out, "  subgraph g{number}[{}]\n{nodes}  end\n", mermaid_text(&cluster.label))
                .expect("a String takes any text");
        }
        let mut automatic = vec![];
        for (number, (from, to, weight)) in self.edges().enumerate() {
            let look = edge(weight);
            let arrow = match (look.notify, look.automatic) {
                (true, _) => "==>",
                (false, true) => "-.->",
                (false, false) => "-->",
            };
            let label = if look.label.is_empty() { String::new() } else { format!("|{}|", mermaid_text(&look.label)) };
            writeln!(out, "  n{} {arrow}{label} n{}", from.0, to.0).expect("a String takes any text");
            if look.automatic {
                automatic.push(number.to_string());
            }
        }
        if !automatic.is_empty() {
            writeln!(out, "  linkStyle {} stroke:gray,color:gray", automatic.join(","))
                .expect("a String takes any text");
        }
        out
    }
}

/// Keeps nodes with the same identity apart.
#[derive(Default)]
struct Identities {
    /// How many nodes asked for an identity.
    used: HashMap<String, usize>,
}

impl Identities {
    fn unique(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
        loop {
            if !self.used.contains_key(&name) {
                self.used.insert(name.clone(), 1);
                return name;
            }
            let times = self.used.entry(wanted.clone()).or_default();
            *times += 1;
            name = format!("{wanted} #{times}");
        }
    }
}

/// A quoted label.
fn dot_label(text: &str) -> String {
    format!("\"{}\"", dot_text(text, true))
}

/// The text between quotes. In names, dot unescapes only `\"`; in labels, `\n`, `\\` and entities such as `&amp;` too.
fn dot_text(text: &str, is_label: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '&' if is_label => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

/// A quoted label. Characters with a meaning in mermaid, in its markdown or in the page around it are written as
/// numbers.
fn mermaid_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in visible(text).chars() {
        match c {
            '\n' => out.push_str("<br/>"),
            '"' | '#' | '&' | '<' | '>' | '\\' | '`' | '%' | '*' | '_' | '~' | '{' | '}' | '|' => {
                write!(out, "#{};", c as u32).expect("a String takes any text");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text with its control characters, except ends of lines, written as escapes.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A double-quoted YAML scalar.
fn yaml_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => write!(out, "\\u{:04x}", c as u32).expect("a String takes any text"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
