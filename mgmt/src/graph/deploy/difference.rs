//! What differs between the graphs of two deploys.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value as Json;

use crate::graph::data::{GraphData, VertexData};
use crate::graph::deploy::carried::Carried;
use crate::id::ResourceId;

/// A resource that differs between two deploys.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The resource.
    pub resource: ResourceId,
    /// How it differs.
    pub change: ResourceChange,
}

/// How a resource differs between two deploys.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceChange {
    /// Only the later deploy has it.
    Added,
    /// Only the earlier deploy has it.
    Removed,
    /// These fields, or metaparameters, are not the same.
    Changed(Vec<FieldChange>),
}

/// A field that differs between two deploys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// The name of the field; `meta`: the metaparameters.
    pub field: String,
    /// The earlier value. `None`: the default.
    pub from: Option<Json>,
    /// The later value. `None`: the default.
    pub to: Option<Json>,
    /// Whether what the value names, a file that the deploy carries, has another content.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub other_files: bool,
}

/// The carried files that each field names.
type Files = BTreeMap<(ResourceId, String), BTreeSet<crate::graph::deploy::content::ContentId>>;

fn files(carried: &Carried) -> Files {
    let mut files = Files::new();
    for used in &carried.uses {
        let digests = files.entry((used.resource.clone(), used.field.clone())).or_default();
        digests.extend(carried.trees.get(used.tree).map(|tree| tree.digest()));
    }
    files
}

/// The resources that differ, by kind and name.
pub(crate) fn differences(old: (&GraphData, &Carried), new: (&GraphData, &Carried)) -> Vec<Difference> {
    let by_id = |data: &'_ GraphData| -> BTreeMap<ResourceId, VertexData> {
        let id = |vertex: &VertexData| ResourceId::new(&vertex.kind, vertex.name.clone());
        data.resources.iter().map(|vertex| (id(vertex), vertex.clone())).collect()
    };
    let (before, after) = (by_id(old.0), by_id(new.0));
    let (files_before, files_after) = (files(old.1), files(new.1));
    let all: BTreeSet<&ResourceId> = before.keys().chain(after.keys()).collect();
    let change = |id: &ResourceId| match (before.get(id), after.get(id)) {
        (None, _) => Some(ResourceChange::Added),
        (_, None) => Some(ResourceChange::Removed),
        (Some(old), Some(new)) => {
            let fields = fields(id, (old, &files_before), (new, &files_after));
            (!fields.is_empty()).then_some(ResourceChange::Changed(fields))
        }
    };
    all.into_iter().filter_map(|id| Some(Difference { resource: id.clone(), change: change(id)? })).collect()
}

fn fields(id: &ResourceId, old: (&VertexData, &Files), new: (&VertexData, &Files)) -> Vec<FieldChange> {
    let names: BTreeSet<&String> = old.0.fields.keys().chain(new.0.fields.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let (from, to) = (old.0.fields.get(name), new.0.fields.get(name));
        let key = (id.clone(), name.clone());
        let other_files = old.1.get(&key) != new.1.get(&key);
        if from != to || other_files {
            changes.push(FieldChange { field: name.clone(), from: from.cloned(), to: to.cloned(), other_files });
        }
    }
    if old.0.meta != new.0.meta {
        let meta = |vertex: &VertexData| vertex.meta.as_ref().and_then(|meta| serde_json::to_value(meta).ok());
        let (from, to) = (meta(old.0), meta(new.0));
        changes.push(FieldChange { field: "meta".to_owned(), from, to, other_files: false });
    }
    changes
}
