//! The deploys of a world: finds them, and reads their contents, each checked by its hash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::gapi::deploy::error::DeployError;
use crate::graph::{
    Carried, ContentId, ContentRef, Deploy, DeployId, DeployState, GraphData, Head, Listed, PART_BYTES, RecordError,
    Rollout, Stage, data_key, head_key, part_count, record_key, rollout_key, target,
};
use crate::resource::{Keys, Member, Revision, Snapshot, World};

/// The most bytes, and the most parts, that one question asks for.
const QUESTION_BYTES_MAX: usize = 2 * PART_BYTES;
const QUESTION_PARTS_MAX: usize = 64;

/// The deploys of a world, as a host has access to them.
///
/// ```
/// # use mgmt::prelude::*;
/// # use mgmt::gapi::{Deploys, Publish, builtin_kinds};
/// # use mgmt::world::Embedded;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let world = Embedded::new();
/// let deploys = Deploys::new(&world, "desk");
/// let mut g = Graph::new("web");
/// g.add(File::new("/etc/motd").content("hello\n"));
/// let first = deploys.publish(&g.finish()?, &builtin_kinds(), &Publish::new().message("the first")).await?;
/// assert_eq!(deploys.list().await?[0].id, first.id);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Deploys {
    pub(super) member: Arc<dyn Member>,
}

/// Which deploy a host must have.
#[derive(Debug)]
pub(super) struct Wanted {
    /// `None`: there is none yet.
    pub(super) target: Option<Head>,
    /// When a rollout was last moved on that is still under way.
    pub(super) running: Option<Revision>,
    /// Why the rollout can't be read, so that it does not count.
    pub(super) problem: Option<String>,
    pub(super) revision: Revision,
}

impl Wanted {
    /// What this host must have, as the world has it.
    pub(super) fn of(snapshot: &Snapshot, host: &str) -> Result<Wanted, DeployError> {
        let entry = |key: String| snapshot.entries.get(&key);
        let head = entry(head_key()).map(|entry| Head::read(&entry.value).ok_or(DeployError::NoHead)).transpose()?;
        let (mut rollout, mut problem) = (None, None);
        if let Some(entry) = entry(rollout_key()) {
            match Rollout::read(&entry.value) {
                Ok(read) => rollout = Some((entry.written, read)),
                Err(error) => problem = Some(error.to_string()),
            }
        }
        let of = rollout.as_ref().map(|(_, rollout)| rollout);
        let target = target(head.as_ref(), of, host).cloned();
        let running = rollout.filter(|(_, rollout)| rollout.stage == Stage::Running).map(|(written, _)| written);
        Ok(Wanted { target, running, problem, revision: snapshot.revision })
    }
}

/// The keys of parts that one question asks for.
fn question<'a>(parts: impl Iterator<Item = &'a (ContentId, usize)>) -> Vec<Keys> {
    parts.map(|(content, part)| Keys::One(data_key(content, *part))).collect()
}

impl Deploys {
    /// The deploys of this world, for the host of that name.
    pub fn new(world: &impl World, host: &str) -> Deploys {
        Deploys { member: world.member(host) }
    }

    /// The same through this access.
    pub fn of(member: Arc<dyn Member>) -> Deploys {
        Deploys { member }
    }

    pub(super) async fn state(&self) -> Result<DeployState, DeployError> {
        Ok(DeployState::of(&self.member.get(DeployState::keys()).await?))
    }

    /// What this host must have.
    pub(super) async fn wanted(&self) -> Result<Wanted, DeployError> {
        Wanted::of(&self.member.get(DeployState::rollout_keys()).await?, self.member.host())
    }

    /// The deploy in the list whose ID begins like this.
    pub(super) fn find<'a>(state: &'a DeployState, begin: &str) -> Result<&'a Listed, DeployError> {
        let begin = begin.trim().to_ascii_lowercase();
        let alike = |listed: &&Listed| !begin.is_empty() && listed.id.as_str().starts_with(&begin);
        let found: Vec<&Listed> = state.list.values().filter(alike).collect();
        match found[..] {
            [] => Err(DeployError::NoSuch(begin)),
            [listed] => Ok(listed),
            _ => Err(DeployError::Ambiguous { begin, ids: found.iter().map(|listed| listed.id.clone()).collect() }),
        }
    }

    /// The record of the deploy that this head names, as bytes too.
    pub(super) async fn record(&self, head: &Head) -> Result<(Deploy, Arc<[u8]>), DeployError> {
        let key = record_key(&head.id);
        let snapshot = self.member.get(vec![Keys::One(key.clone())]).await?;
        let lacking = || damaged(&head.id, "its record is missing".to_owned());
        let bytes = Arc::clone(&snapshot.entries.get(&key).ok_or_else(lacking)?.value);
        if ContentId::of(&bytes) != head.sha256 {
            return Err(damaged(&head.id, "its record does not have the hash that it must have".to_owned()));
        }
        let deploy = Deploy::read(&bytes).map_err(|error| unread(&head.id, &error))?;
        Ok((deploy, bytes))
    }

    /// These contents, each checked by its hash.
    pub(super) async fn contents(
        &self,
        wanted: &BTreeSet<ContentRef>,
    ) -> Result<BTreeMap<ContentId, Vec<u8>>, DeployError> {
        let mut found: BTreeMap<ContentId, Vec<u8>> = BTreeMap::new();
        let mut parts = Vec::new();
        for content in wanted {
            found.insert(content.sha256, Vec::new());
            parts.extend((0..part_count(content.bytes)).map(|part| (content, part)));
        }
        let size = |(content, part): &(&ContentRef, usize)| {
            let left = content.bytes.saturating_sub((*part * PART_BYTES) as u64);
            usize::try_from(left).unwrap_or(PART_BYTES).min(PART_BYTES)
        };
        let mut rest = &parts[..];
        while !rest.is_empty() {
            let (mut count, mut bytes) = (0, 0);
            while let Some(part) = rest.get(count)
                && count < QUESTION_PARTS_MAX
                && (count == 0 || bytes + size(part) <= QUESTION_BYTES_MAX)
            {
                bytes += size(part);
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            rest = later;
            let keys: Vec<_> = now.iter().map(|(content, part)| (content.sha256, *part)).collect();
            let snapshot = self.member.get(question(keys.iter())).await?;
            for part @ (content, number) in now {
                let entry = snapshot.entries.get(&data_key(&content.sha256, *number));
                let value = &entry.ok_or(DeployError::Lacking(**content))?.value;
                if value.len() != size(part) {
                    return Err(DeployError::WrongContent(**content));
                }
                found.entry(content.sha256).or_default().extend_from_slice(value);
            }
        }
        let is_wrong =
            |content: &&ContentRef| found.get(&content.sha256).is_none_or(|bytes| ContentRef::of(bytes) != **content);
        match wanted.iter().find(is_wrong) {
            Some(content) => Err(DeployError::WrongContent(*content)),
            None => Ok(found),
        }
    }

    /// One content, checked by its hash.
    pub(super) async fn content(&self, content: &ContentRef) -> Result<Vec<u8>, DeployError> {
        Ok(self.contents(&BTreeSet::from([*content])).await?.into_values().next().unwrap_or_default())
    }

    /// The files that a deploy carries.
    pub(super) async fn carried(&self, id: &DeployId, deploy: &Deploy) -> Result<Carried, DeployError> {
        match &deploy.carried {
            Some(content) => read_carried(id, &self.content(content).await.map_err(|error| of_deploy(id, error))?),
            None => Ok(Carried::default()),
        }
    }

    /// The graph of a deploy.
    pub(super) async fn graph(&self, id: &DeployId, deploy: &Deploy) -> Result<GraphData, DeployError> {
        read_graph(id, &self.content(&deploy.graph).await.map_err(|error| of_deploy(id, error))?)
    }
}

/// The error of a content as that of its deploy. The world is not to blame on the deploy.
pub(super) fn of_deploy(id: &DeployId, error: DeployError) -> DeployError {
    match error {
        DeployError::Lacking(_) | DeployError::WrongContent(_) => damaged(id, error.to_string()),
        error => error,
    }
}

pub(super) fn damaged(id: &DeployId, why: String) -> DeployError {
    DeployError::Damaged { id: id.clone(), why }
}

pub(super) fn unread(id: &DeployId, error: &RecordError) -> DeployError {
    match error {
        RecordError::Newer(_) => DeployError::Newer { id: id.clone(), why: error.to_string() },
        RecordError::Damaged(why) => damaged(id, format!("its record: {why}")),
    }
}

pub(super) fn read_graph(id: &DeployId, bytes: &[u8]) -> Result<GraphData, DeployError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(id, format!("its graph can't be read: {error}")))
}

pub(super) fn read_carried(id: &DeployId, bytes: &[u8]) -> Result<Carried, DeployError> {
    Carried::read(bytes).map_err(|why| damaged(id, why))
}
