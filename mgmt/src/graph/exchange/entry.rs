//! An export as bytes, which travel between hosts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::graph::bind::holds_secret;
use crate::graph::config::Vertex;
use crate::graph::exchange::collect::Collect;
use crate::graph::exchange::offers::OfferKey;
use crate::id::ResourceId;
use crate::resource::{AnyResource, Known, Meta, Offerer, Origin, in_clear};

/// The most bytes of one export.
pub(super) const ENTRY_BYTES_MAX: usize = 1 << 20;

/// The most bytes of one that is sealed, without its seal.
pub(super) const SEALED_BYTES_MAX: usize = ENTRY_BYTES_MAX - (64 << 10);
/// What an entry begins with that is sealed; then come the key that it is for, a line break, and the sealed bytes.
const SEAL: &[u8] = b"mgmt-sealed-1 ";

/// What to do about a secret.
pub(super) const SECRET_REMEDY: &str = "export what is not secret, give the secret on the host that collects, or seal \
                                        the export for certain hosts (`sealed_to`, `sealed: true`)";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryData {
    #[serde(default)]
    fields: Map<String, Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

/// The resource as bytes without the fields that it receives, or why it can't travel. What will be `sealed` holds its
/// secrets as they are.
pub(super) fn written(vertex: &Vertex, wired: &[u8], sealed: bool) -> Result<Arc<[u8]>, String> {
    let to_data = || vertex.resource.to_data(wired);
    let fields = if sealed { in_clear(to_data).0 } else { to_data() };
    let fields = fields.map_err(|problem| problem.to_string())?;
    match fields.iter().find(|(_, value)| holds_secret(value)) {
        Some((key, _)) if sealed => {
            return Err(format!("`{key}` has a secret among other values, which can't be sealed"));
        }
        Some((key, _)) => {
            return Err(format!("`{key}` is a secret, which does not travel to other hosts: {SECRET_REMEDY}"));
        }
        None => {}
    }
    let data = EntryData { fields, meta: vertex.meta.as_deref().cloned() };
    let bytes = serde_json::to_vec(&data).map_err(|problem| problem.to_string())?;
    let most = if sealed { SEALED_BYTES_MAX } else { ENTRY_BYTES_MAX };
    if bytes.len() > most {
        return Err(format!(
            "it has {} bytes: at most {most} can be exported in one resource; give a large content by its `source`, or \
             in several",
            bytes.len()
        ));
    }
    Ok(bytes.into())
}

/// An entry that is sealed for this key.
pub(crate) fn sealed_entry(key: &str, sealed: &[u8]) -> Arc<[u8]> {
    [SEAL, key.as_bytes(), b"\n", sealed].concat().into()
}

/// The key that an entry is sealed for, and the sealed bytes. `None`: it is not sealed.
pub(crate) fn sealed_parts(entry: &[u8]) -> Option<(&str, &[u8])> {
    let rest = entry.strip_prefix(SEAL)?;
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    Some((std::str::from_utf8(&rest[..end]).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default()))
}

/// The resource that a rule makes of the bytes of another host, or what is wrong with them.
pub(super) fn read(offer: &OfferKey, bytes: &[u8], rule: &Collect) -> Result<Vertex, String> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(format!("it has {} bytes, and at most {ENTRY_BYTES_MAX} are read", bytes.len()));
    }
    if sealed_parts(bytes).is_some() {
        return Err(
            "it is sealed, and this host has no key that opens it: the exporting host seals it again as soon as \
                    it sees the key of this one"
                .to_owned(),
        );
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
