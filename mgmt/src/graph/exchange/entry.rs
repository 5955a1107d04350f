//! An export as bytes, which travel between hosts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::graph::bind::holds_secret;
use crate::graph::config::Vertex;
use crate::graph::exchange::collect::Collect;
use crate::graph::exchange::offers::OfferKey;
use crate::id::ResourceId;
use crate::resource::{AnyResource, Known, Meta, Offerer, Origin};

/// The most bytes of one export.
pub(super) const ENTRY_BYTES_MAX: usize = 1 << 20;

/// What to do about a secret.
pub(super) const SECRET_REMEDY: &str = "export what is not secret, or give the secret on the host that collects";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryData {
    #[serde(default)]
    fields: Map<String, Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

/// The resource as bytes without the fields that it receives, or why it can't travel.
pub(super) fn written(vertex: &Vertex, wired: &[u8]) -> Result<Arc<[u8]>, String> {
    let fields = vertex.resource.to_data(wired).map_err(|problem| problem.to_string())?;
    if let Some((key, _)) = fields.iter().find(|(_, value)| holds_secret(value)) {
        return Err(format!("`{key}` is a secret, which does not travel to other hosts: {SECRET_REMEDY}"));
    }
    let data = EntryData { fields, meta: vertex.meta.as_deref().cloned() };
    let bytes = serde_json::to_vec(&data).map_err(|problem| problem.to_string())?;
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(format!(
            "it has {} bytes: at most {ENTRY_BYTES_MAX} can be exported in one resource; give a large content by its \
             `source`, or in several",
            bytes.len()
        ));
    }
    Ok(bytes.into())
}

/// The resource that a rule makes of the bytes of another host, or what is wrong with them.
pub(super) fn read(offer: &OfferKey, bytes: &[u8], rule: &Collect) -> Result<Vertex, String> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(format!("it has {} bytes, and at most {ENTRY_BYTES_MAX} are read", bytes.len()));
    }
    let data: EntryData = serde_json::from_slice(bytes).map_err(|problem| format!("it can't be read: {problem}"))?;
    let EntryData { mut fields, meta } = data;
    if let Some((key, _)) = fields.iter().find(|(_, value)| holds_secret(value)) {
        return Err(format!("`{key}` was a secret, which does not travel"));
    }
    fields.extend(rule.fields.clone());
    let mut problems = Vec::new();
    let resource = rule.kind.read(&offer.name, &mut fields, &[], &mut problems);
    let resource = match (resource, problems.first()) {
        (Some(resource), None) => resource,
        (_, Some(problem)) => return Err(problem.to_string()),
        (None, None) => return Err("it can't be made".to_owned()),
    };
    let (resource, meta) = match &rule.change {
        Some(change) => (change.0)(resource, meta.unwrap_or_default())?,
        None => (resource, meta.unwrap_or_default()),
    };
    checked(&*resource, &meta)?;
    let origin = Origin::Host(Arc::new(Offerer {
        host: offer.host.clone(),
        id: ResourceId::new(&offer.kind, offer.name.clone()),
        collected: rule.origin.clone(),
    }));
    Ok(Vertex::new(resource, (meta != Meta::default()).then(|| Arc::new(meta)), origin))
}

/// What the resource alone shows. The graph as a whole is checked later.
fn checked(resource: &dyn AnyResource, meta: &Meta) -> Result<(), String> {
    let known = Known::all(resource.spec());
    // What is lenient counts only in a program.
    let problems = resource.validate(&known).into_iter().filter(|problem| !problem.advice && !problem.lenient);
    let problems = problems.map(|problem| problem.to_string()).chain(meta.problems());
    let problems: Vec<String> = problems.chain(meta.wrong_ignored(resource.spec(), &known)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}
