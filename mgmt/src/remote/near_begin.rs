//! What the near end sends first.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::graph::ContentRef;
use crate::remote::error::RemoteError;
use crate::remote::job::Parcel;
use crate::remote::message::{JobSettings, Part, Sent, ToFar, line};
use crate::remote::near_world::NearWorld;
use crate::remote::streams::Outgoing;
use crate::sys::ssh::EARLY_BYTES_MAX;

/// What a content of a parcel is as a message, and its documents, which are always sent.
pub(super) fn sent(number: u64, parcel: &Parcel) -> (Sent, Vec<Outgoing>) {
    let packed = &parcel.0;
    let documents = [packed.graph, packed.carried].into_iter().flatten();
    let content = |of: ContentRef| Some(Outgoing::Content(of, Arc::clone(packed.contents.get(&of.sha256)?)));
    let sent = Sent { number, graph: packed.graph, carried: packed.carried, on_hosts: packed.on_hosts.clone() };
    (sent, documents.filter_map(content).collect())
}

/// Adds the documents to what is sent with the start, if there is room for all of them, so that they cost no round
/// trip. Returns those that are still to be sent.
pub(super) fn add_early(early: &mut Vec<u8>, documents: Vec<Outgoing>) -> Vec<Outgoing> {
    match lines(&documents, EARLY_BYTES_MAX.saturating_sub(early.len())) {
        Some(added) => early.extend(added),
        None => return documents,
    }
    Vec::new()
}

/// The documents as messages; `None`: they have more bytes.
fn lines(documents: &[Outgoing], most: usize) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    for document in documents {
        let Outgoing::Content(of, bytes) = document else { return None };
        for part in Part::all(*of, bytes) {
            lines.extend(line(&ToFar::Part(part)).ok()?);
            if lines.len() > most {
                return None;
            }
        }
    }
    Some(lines)
}

pub(super) fn no_form(what: &str) -> impl Fn(serde_json::Error) -> RemoteError {
    move |error| RemoteError::Start(format!("{what} can't be written as data: {error}"))
}

/// What the host is offered of a world, under the name that the job gives it, or else under its own.
pub(super) async fn offer(
    world: Option<&NearWorld>,
    name: &str,
    settings: &mut JobSettings,
) -> Result<Option<Json>, RemoteError> {
    let Some(world) = world else { return Ok(None) };
    let host = settings.hostname.get_or_insert_with(|| name.to_owned());
    world.offer(host).await.map(Some).map_err(no_form("the world"))
}
