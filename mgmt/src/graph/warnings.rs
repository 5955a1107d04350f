//! Warnings about a graph: declarations that are not wrong but have no effect.

use std::collections::HashSet;

use crate::graph::config::{Edge, GraphConfig};
use crate::graph::problem::Problem;
use crate::resource::Origin;

impl GraphConfig {
    /// Whether a change of the edge's sender refreshes its receiver: the edge notifies, and the receiver's kind can be
    /// refreshed.
    pub fn refreshes(&self, edge: &Edge) -> bool {
        edge.notify && self.vertices[edge.to as usize].resource.spec().abilities.refresh.is_some()
    }

    /// Declarations without an effect in a [valid](crate::graph::validate) graph: edges that notify a resource with
    /// nothing to refresh, each pair once.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut seen = HashSet::new();
        let idle = self.edges.iter().filter(|edge| edge.notify && !self.refreshes(edge));
        idle.filter(|edge| seen.insert((edge.from, edge.to))).map(|edge| self.nothing_to_refresh(edge)).collect()
    }

    fn nothing_to_refresh(&self, edge: &Edge) -> Problem {
        let [from, to] = [edge.from, edge.to].map(|end| self.vertices[end as usize].id());
        let remedy = match edge.origin {
            Origin::File(_) => "leave out `notify`",
            _ => "use `before`, `after` or `order`",
        };
        Problem::new(format!("{from} notifies {to}, which has nothing to refresh: {remedy}"), edge.origin.clone())
    }
}
