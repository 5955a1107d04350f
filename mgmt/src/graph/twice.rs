//! Resources that are declared more than once, of kinds that permit it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::graph::config::{GraphConfig, Vertex};
use crate::graph::problem::Problem;
use crate::id::ResourceId;
use crate::resource::AnyResource;

/// The graph in which declarations of one resource that agree are one; `None`: there are none. What contradicts each
/// other stays as it is.
pub(super) fn merged(config: &GraphConfig) -> Option<GraphConfig> {
    let receives: HashSet<u32> = config.links.iter().map(|link| link.to).collect();
    let mut first: HashMap<ResourceId, u32> = HashMap::new();
    let mut vertices: Vec<Vertex> = Vec::with_capacity(config.vertices.len());
    // The index of each in the new graph.
    let mut places: Vec<u32> = Vec::with_capacity(config.vertices.len());
    // For each of the new graph, whether it receives something.
    let mut receiving: Vec<bool> = Vec::new();
    for (n, vertex) in (0u32..).zip(&config.vertices) {
        let next = vertices.len() as u32;
        let is_receiving = receives.contains(&n);
        if vertex.resource.spec().abilities.merge.is_some() {
            let place = *first.entry(vertex.id()).or_insert(next);
            if place < next
                && !is_receiving
                && !receiving[place as usize]
                && let Ok(merged) = together(&vertices[place as usize], vertex)
            {
                vertices[place as usize].resource = merged;
                places.push(place);
                continue;
            }
        }
        vertices.push(vertex.clone());
        receiving.push(is_receiving);
        places.push(next);
    }
    if vertices.len() == config.vertices.len() {
        return None;
    }
    let place = |of: u32| places.get(of as usize).copied().unwrap_or(u32::MAX);
    let mut merged = GraphConfig { vertices, ..config.clone() };
    for edge in &mut merged.edges {
        (edge.from, edge.to) = (place(edge.from), place(edge.to));
    }
    for link in &mut merged.links {
        link.to = place(link.to);
        link.sources.iter_mut().for_each(|(from, _)| *from = place(*from));
    }
    Some(merged)
}

/// The resource that two declarations make together.
pub(super) fn together(first: &Vertex, second: &Vertex) -> Result<Arc<dyn AnyResource>, String> {
    let merge = first.resource.spec().abilities.merge.ok_or_else(String::new)?;
    if !std::ptr::eq(first.resource.spec(), second.resource.spec()) {
        return Err(String::new());
    }
    if first.meta() != second.meta() {
        return Err("their metaparameters differ".to_owned());
    }
    (merge.0)(&*first.resource, &*second.resource)
}

/// That a resource is declared twice, and may not be.
pub(super) fn declared_twice(first: &Vertex, second: &Vertex) -> Problem {
    let why = match together(first, second) {
        Err(why) if !why.is_empty() => format!("{why}; make them one"),
        // They would be one if none of them received anything.
        Ok(_) => "a field is received from another resource; make them one".to_owned(),
        Err(_) => "kind and name are its identity; rename one, or make them one".to_owned(),
    };
    let problem = Problem::new(format!("{} is declared twice: {why}", second.id()), second.origin.clone());
    problem.also("first", first.origin.clone())
}
