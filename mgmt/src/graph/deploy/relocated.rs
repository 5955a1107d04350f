//! A graph that is made on the host where it runs, and names files of the machine that has sent them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::graph::config::{GraphConfig, Vertex};
use crate::graph::data::Kinds;
use crate::graph::deploy::carried::{Carried, CarriedTree, Relocation, replace};
use crate::graph::deploy::travel::{Read, files_read};
use crate::graph::problem::{Problem, Problems};
use crate::id::ResourceId;
use crate::resource::{AnyResource, in_clear};

/// Lets the resources of a graph name the carried files, at their places on this host. Closures and secrets stay as
/// they are.
///
/// # Errors
/// A resource reads a file that was not carried and is not on every host (`on_hosts`), or is of a kind that is not in
/// `kinds`.
pub(crate) fn relocate_graph(
    config: &mut GraphConfig,
    carried: &Carried,
    kinds: &Kinds,
    places: &Relocation<'_>,
    on_hosts: &[PathBuf],
) -> Result<(), Problems> {
    let mut trees: BTreeMap<(&ResourceId, &str, &str), &CarriedTree> = BTreeMap::new();
    for used in &carried.uses {
        if let Some(tree) = carried.trees.get(used.tree) {
            trees.insert((&used.resource, &used.field, &tree.path), tree);
        }
    }
    let mut problems = Vec::new();
    let mut moved: BTreeMap<ResourceId, Vec<(&'static str, String, String)>> = BTreeMap::new();
    for Read { resource, origin, reading } in files_read(config, on_hosts) {
        let Some(tree) = trees.get(&(&resource, reading.field, reading.path.as_str())) else {
            let message = format!(
                "`{}` of {resource} reads {}, which did not travel here: a graph that is made here names the files of the \
                 machine that sent it, as they were when it was made there",
                reading.field, reading.path
            );
            problems.push(Problem::new(message, origin));
            continue;
        };
        let place = places.of(tree).into_os_string().into_string();
        match place {
            Ok(place) => {
                let place = if tree.is_dir() { format!("{place}/") } else { place };
                moved.entry(resource).or_default().push((reading.field, reading.path, place));
            }
            Err(_) => problems.push(Problem::new("the engine's working directory has no name in UTF-8", origin)),
        }
    }
    for n in 0..config.vertices.len() {
        let Some(fields) = moved.get(&config.vertices[n].id()) else { continue };
        let wired = config.wired(u32::try_from(n).unwrap_or(u32::MAX));
        match moved_vertex(&config.vertices[n], &wired, kinds, fields) {
            Ok(resource) => config.vertices[n].resource = resource,
            Err(message) => {
                let vertex = &config.vertices[n];
                problems.push(Problem::new(format!("{}: {message}", vertex.id()), vertex.origin.clone()));
            }
        }
    }
    Problems(problems).into_result()
}

/// The resource with other paths in these fields.
fn moved_vertex(
    vertex: &Vertex,
    wired: &[u8],
    kinds: &Kinds,
    fields: &[(&'static str, String, String)],
) -> Result<Arc<dyn AnyResource>, String> {
    let spec = vertex.resource.spec();
    let kind = kinds.get(spec.kind).filter(|kind| std::ptr::eq(kind.spec, spec));
    let kind = kind.ok_or_else(|| {
        format!(
            "it reads a file that has travelled here, and its kind `{}` is not one of the program's: add it with \
             `App::kind` or `FarEnd::kinds`",
            spec.kind
        )
    })?;
    // What is read here is what was written here: secrets are no placeholders.
    let (data, _) = in_clear(|| vertex.resource.to_data(wired));
    let mut data = data.map_err(|error| error.to_string())?;
    for (field, old, new) in fields {
        if !data.get_mut(*field).is_some_and(|value| replace(value, old, new)) {
            return Err(format!("`{field}` does not name {old}"));
        }
    }
    let mut problems = Vec::new();
    let moved = kind.read(vertex.resource.name(), &mut data, wired, &mut problems);
    let wrong = || problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    moved.filter(|_| problems.is_empty()).ok_or_else(wrong)
}
