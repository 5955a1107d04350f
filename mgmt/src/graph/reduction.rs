//! The pass that drops automatic edges which a longer way makes unnecessary.

use crate::dag::spare_edges;
use crate::graph::autoedge;
use crate::graph::config::Edge;
use crate::graph::pass::{Pass, PassGraph};
use crate::resource::Origin;

/// The pass that drops the edges of [`AutoEdges`](crate::graph::AutoEdges) which follow from others: if a comes before
/// b, and b before c, then a comes before c without an edge of its own. No other edge is dropped. Which resource comes
/// before which stays the same.
///
/// The work is bounded in proportion to the size of the graph; in an unusual graph in which it would take more, some
/// such edges stay, always the same ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reduction;

impl Pass for Reduction {
    fn name(&self) -> &'static str {
        "reduction"
    }

    fn run(&self, graph: &mut PassGraph<'_>) {
        let may_go = |edge: &Edge| matches!(&edge.origin, Origin::Pass(reason) if reason.pass == autoedge::NAME);
        let automatic: Vec<(u32, u32)> =
            graph.grown_edges().iter().filter(|edge| may_go(edge)).map(|edge| (edge.from, edge.to)).collect();
        if automatic.is_empty() {
            return;
        }
        let sends = graph.links().iter().flat_map(|link| link.sources.iter().map(|(from, _)| (*from, link.to)));
        let all: Vec<(u32, u32)> = graph.edges().map(|edge| (edge.from, edge.to)).chain(sends).collect();
        let vertices = graph.vertices();
        let key = |node: u32| vertices[node as usize].id();
        let spare = spare_edges(vertices.len(), &all, &automatic, key);
        let mut spare = spare.into_iter();
        graph.retain(|edge| !may_go(edge) || !spare.next().unwrap_or(false));
    }
}
