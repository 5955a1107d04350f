//! Publishes deploys. Contents come first, then the record; one transaction with the condition that the same deploy is
//! still in force lets it count. A crash at any point leaves the former deploy in force. What it has left is removed by
//! the next deploy: contents that no deploy refers to, as soon as the lease of the unfinished one has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::Serialize;

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::fetch::{Deploys, unread};
use crate::gapi::deploy::options::Publish;
use crate::gapi::deploy::pack::{Packed, PrivateTerms, Terms, pack};
use crate::graph::{
    ContentId, ContentRef, DEPLOY_BYTES_MAX, Deploy, DeployId, DeployState, GraphConfig, Head, Indexed, Kept, Kinds,
    MESSAGE_BYTES_MAX, Pending, RecordError, Rollout, Stage, Upload, head_key, index_key, index_keys, indexed,
    is_there, pending_key, record_key, removals, rollout_key, turn_key, uploads,
};
use crate::resource::{Condition, Keys, LeaseId, Member, Transaction, WorldError, Write};
use crate::sys::task::blocking;
use crate::sys::{clock, users};

/// How often a step that another program has overtaken is made again.
const RACES_MAX: usize = 16;
/// How long an unfinished deploy protects its contents after its last sign of life, and when it gives the next one.
const PENDING_TTL: Duration = Duration::from_secs(60);
const RENEWAL: Duration = Duration::from_secs(15);

/// A deploy that was published.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deployed {
    /// Its ID.
    pub id: DeployId,
    /// Its record.
    #[serde(flatten)]
    pub deploy: Deploy,
    /// False: the deploy in force has the same content already, and nothing was published; it is that one then.
    pub is_new: bool,
    /// The paths of the files and directories that it carries.
    pub carries: Vec<String>,
    /// If it comes in waves, or was ended in them: how far it has got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// What a deploy consists of.
#[derive(Clone)]
struct Parcel {
    record: Deploy,
    contents: BTreeMap<ContentId, Arc<[u8]>>,
    /// Contents that must be in the world already.
    required: BTreeSet<ContentRef>,
    carries: Vec<String>,
}

/// The graph and its files, or all reasons why they can't travel. Blocks.
fn packed(config: &GraphConfig, kinds: &Kinds, publish: &Publish) -> Result<Parcel, DeployError> {
    let private = PrivateTerms { files: publish.private, secrets: false };
    let terms = Terms { on_hosts: publish.on_hosts.clone(), private };
    let Packed { name, resources, graph, files, carried, contents, .. } = pack(config, kinds, &terms)?;
    let graph = graph.ok_or_else(|| DeployError::System("the graph has no content".to_owned()))?;
    let mut record = Deploy::new(graph);
    record.carried = carried;
    record.name = name;
    record.resources = resources as u64;
    record.files = files.files().count() as u64;
    record.bytes = contents.values().map(|bytes| bytes.len() as u64).sum();
    if record.bytes > DEPLOY_BYTES_MAX {
        return Err(DeployError::TooLarge(format!(
            "the deploy has {} bytes, and {DEPLOY_BYTES_MAX} is the limit: let the hosts fetch large contents from \
             elsewhere; nothing was published",
            record.bytes
        )));
    }
    let carries = files.trees.into_iter().map(|tree| tree.path).collect();
    Ok(Parcel { record, contents, required: BTreeSet::new(), carries })
}

/// An unfinished deploy, whose contents stay as long as its lease.
struct Unfinished {
    lease: LeaseId,
    condition: Condition,
    renewed: Instant,
}

/// The end of an attempt.
enum Attempt {
    Done(DeployId),
    /// Another program was faster, or the lease has ended.
    Raced,
}

impl Deploys {
    /// Publishes a graph, with the files that it reads; from then on it is in force for all hosts that follow deploys.
    /// `kinds`: those that the graph may use.
    ///
    /// # Errors
    /// The graph can't travel; another deploy is in force than the one that this one is based on; or the world can't be
    /// reached. The former deploy is in force then.
    pub async fn publish(
        &self,
        config: &GraphConfig,
        kinds: &Kinds,
        publish: &Publish,
    ) -> Result<Deployed, DeployError> {
        // First of all: what comes into force from now on is not what this deploy is based on.
        let begun = self.state().await?;
        let (config, kinds, how) = (config.clone(), kinds.clone(), publish.clone());
        let parcel = blocking(move || packed(&config, &kinds, &how)).await?;
        self.publish_on(&begun, parcel, publish).await
    }

    /// Publishes the content of a former deploy again: of the one whose ID begins like this, or of the one before the
    /// one in force.
    ///
    /// # Errors
    /// There is no such deploy, or it is damaged; and as [`publish`](Deploys::publish).
    pub async fn revert(&self, id: Option<&str>, publish: &Publish) -> Result<Deployed, DeployError> {
        let begun = self.state().await?;
        let old = match id {
            Some(begin) => Deploys::find(&begun, begin)?,
            None if begun.split().is_some() => return self.end_rollout(publish).await,
            None => {
                let head = begun.in_force().ok_or_else(|| DeployError::Nothing("there is no deploy yet".to_owned()))?;
                let record = begun.list.get(&head.id).and_then(|listed| listed.record.as_ref().ok());
                let parent = record.and_then(|deploy| deploy.parent.as_ref());
                let none = || {
                    let why = "has no parent: name the one to return to, `deploy list` shows them";
                    DeployError::Nothing(format!("deploy {} {why}", head.id))
                };
                let parent = parent.ok_or_else(none)?;
                begun.list.get(parent).ok_or_else(|| DeployError::NoSuch(parent.to_string()))?
            }
        };
        let deploy = old.record.as_ref().map_err(|error| unread(&old.id, error))?;
        let carried = self.carried(&old.id, deploy).await?;
        let required = carried.files().copied().chain([deploy.graph]).chain(deploy.carried).collect();
        let mut record = deploy.again();
        record.reverts_to = Some(old.id.clone());
        let carries = carried.trees.iter().map(|tree| tree.path.clone()).collect();
        self.publish_on(&begun, Parcel { record, contents: BTreeMap::new(), required, carries }, publish).await
    }

    async fn publish_on(
        &self,
        begun: &DeployState,
        mut parcel: Parcel,
        publish: &Publish,
    ) -> Result<Deployed, DeployError> {
        let expected = match &publish.parent {
            Some(begin) => Some(Deploys::find(begun, begin)?.id.clone()),
            None => begun.in_force().map(|head| head.id.clone()),
        };
        if publish.message.len() > MESSAGE_BYTES_MAX {
            let bytes = publish.message.len();
            return Err(DeployError::TooLarge(format!(
                "the message has {bytes} bytes, and {MESSAGE_BYTES_MAX} is the limit"
            )));
        }
        parcel.record.by = user_at(publish, &self.member);
        parcel.record.message.clone_from(&publish.message);
        parcel.record.at = clock::wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for _ in 0..RACES_MAX {
            let state = self.state().await?;
            let record = based(parcel.record.clone(), &state, expected.as_ref(), publish.force)?;
            let deployed = |id: DeployId, deploy: Deploy, is_new: bool, rollout: Option<Rollout>| {
                Ok(Deployed { id, deploy, is_new, carries: parcel.carries.clone(), rollout })
            };
            let head = state.in_force().and_then(|head| state.list.get(&head.id));
            if let Some((head, there)) = head.and_then(|head| Some((head, head.record.as_ref().ok()?)))
                && there.has_content_of(&record)
                && !publish.force
                && state.split().is_none()
            {
                return deployed(head.id.clone(), there.clone(), false, None);
            }
            let head = Head::of(&record.bytes());
            let rollout = self.rollout_of(&state, &head, publish).await?;
            if publish.dry {
                return deployed(head.id, record, true, rollout);
            }
            if let Attempt::Done(id) = self.attempt(&state, &record, &parcel, rollout.as_ref()).await? {
                if let Err(error) = self.clean(publish.keep).await {
                    tracing::warn!(target: "mgmt", "what is no longer needed in the world stays until the next deploy: {error}");
                }
                return deployed(id, record, true, rollout);
            }
        }
        Err(DeployError::Raced)
    }

    /// Publishes a record with its contents.
    async fn attempt(
        &self,
        state: &DeployState,
        record: &Deploy,
        parcel: &Parcel,
        rollout: Option<&Rollout>,
    ) -> Result<Attempt, DeployError> {
        let mut unfinished = self.begin(parcel).await?;
        let outcome = self.finish(&mut unfinished, state, (record, rollout), parcel).await;
        // If this fails, the lease ends by itself.
        let _ = self.member.revoke(unfinished.lease).await;
        outcome
    }

    /// Registers the contents as needed: from now on no other program removes them.
    async fn begin(&self, parcel: &Parcel) -> Result<Unfinished, DeployError> {
        let lease = self.member.lease(PENDING_TTL).await?;
        let renewed = Instant::now();
        let name = format!("{:x}", lease.0);
        let required = parcel.required.iter().map(|content| content.sha256);
        let pending = Pending { contents: parcel.contents.keys().copied().chain(required).collect() };
        let pending = serde_json::to_vec(&pending).map_err(|error| DeployError::System(error.to_string()))?;
        let key = pending_key(&name);
        let writes = BTreeMap::from([
            (key.clone(), Write::Put(pending.into(), Some(lease))),
            (turn_key(), Write::Put(name.into_bytes().into(), None)),
        ]);
        let written = self.member.commit(Transaction { conditions: Vec::new(), writes }).await?;
        Ok(Unfinished { lease, condition: Condition { key, written }, renewed })
    }

    async fn finish(
        &self,
        unfinished: &mut Unfinished,
        state: &DeployState,
        (record, rollout): (&Deploy, Option<&Rollout>),
        parcel: &Parcel,
    ) -> Result<Attempt, DeployError> {
        // Read after the registration: what is there now stays.
        let index = self.index(parcel).await?;
        if let Some(lacking) = parcel.required.iter().find(|content| !is_there(&index, content)) {
            return Err(DeployError::Lacking(*lacking));
        }
        let sizes =
            parcel.contents.iter().map(|(sha256, bytes)| ContentRef { sha256: *sha256, bytes: bytes.len() as u64 });
        let complete = sizes.filter(|content| is_there(&index, content)).map(|content| content.sha256).collect();
        let conditions = vec![unfinished.condition.clone()];
        let limits = self.member.limits();
        let upload = Upload { contents: &parcel.contents, complete: &complete };
        for writes in uploads(&upload, limits, &conditions) {
            if !self.renew(unfinished).await? {
                return Ok(Attempt::Raced);
            }
            let transaction = Transaction { conditions: conditions.clone(), writes };
            if self.member.commit(transaction).await?.is_none() {
                return Ok(Attempt::Raced);
            }
        }
        let bytes = record.bytes();
        let head = Head::of(&bytes);
        let mut writes = BTreeMap::from([
            (record_key(&head.id), Write::Put(bytes.into(), None)),
            (unfinished.condition.key.clone(), Write::Remove),
        ]);
        match rollout {
            Some(rollout) => _ = writes.insert(rollout_key(), Write::Put(rollout.bytes().into(), None)),
            None => {
                writes.insert(head_key(), Write::Put(head.bytes().into(), None));
                writes.extend(state.rollout.as_ref().map(|_| (rollout_key(), Write::Remove)));
            }
        }
        let conditions = vec![unfinished.condition.clone(), state.same_head(), state.same_rollout()];
        match self.member.commit(Transaction { conditions, writes }).await {
            Ok(Some(_)) => Ok(Attempt::Done(head.id)),
            Ok(None) => Ok(Attempt::Raced),
            Err(error @ WorldError::Unreachable(_)) => match self.state().await {
                // The record comes with what lets it count.
                Ok(now) if now.list.contains_key(&head.id) => Ok(Attempt::Done(head.id)),
                // It may still be on its way.
                _ => Err(DeployError::Unknown { id: head.id, error }),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The index of the contents of a parcel.
    async fn index(&self, parcel: &Parcel) -> Result<BTreeMap<ContentId, Indexed>, DeployError> {
        let required = parcel.required.iter().map(|content| &content.sha256);
        let keys = parcel.contents.keys().chain(required).map(|content| Keys::One(index_key(content)));
        Ok(indexed(&self.member.get(keys.collect()).await?))
    }

    /// Gives a sign of life, if it is time. False: the lease has ended.
    async fn renew(&self, unfinished: &mut Unfinished) -> Result<bool, DeployError> {
        if unfinished.renewed.elapsed() < RENEWAL {
            return Ok(true);
        }
        unfinished.renewed = Instant::now();
        match self.member.renew(unfinished.lease).await {
            Ok(()) => Ok(true),
            Err(WorldError::NoLease(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes deploys beyond this number, and all contents that no deploy refers to.
    async fn clean(&self, keep: usize) -> Result<(), DeployError> {
        for _ in 0..RACES_MAX {
            let mut keys = DeployState::keys();
            keys.push(index_keys());
            let snapshot = self.member.get(keys).await?;
            let (state, index) = (DeployState::of(&snapshot), indexed(&snapshot));
            let kept = Kept::of(&state, keep);
            let needed = self.needed(&state, &kept).await?;
            let condition = state.same_turn();
            let limits = self.member.limits();
            if self.remove(removals(&kept.leaving, &index, needed.as_ref(), limits, &condition), &condition).await? {
                return Ok(());
            }
        }
        Err(DeployError::Raced)
    }

    /// The contents that deploys refer to; `None`: not all of them are known.
    async fn needed(&self, state: &DeployState, kept: &Kept<'_>) -> Result<Option<BTreeSet<ContentId>>, DeployError> {
        let Some(mut needed) = state.pending.clone().filter(|_| !kept.has_unknown) else { return Ok(None) };
        for (id, deploy) in &kept.deploys {
            needed.extend([Some(deploy.graph), deploy.carried].into_iter().flatten().map(|content| content.sha256));
            match self.carried(id, deploy).await {
                Ok(carried) => needed.extend(carried.files().map(|content| content.sha256)),
                // What it refers to is not known.
                Err(DeployError::Damaged { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(needed))
    }

    async fn remove(&self, all: Vec<BTreeMap<String, Write>>, condition: &Condition) -> Result<bool, DeployError> {
        for writes in all {
            let transaction = Transaction { conditions: vec![condition.clone()], writes };
            if self.member.commit(transaction).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The most characters of who makes a deploy.
const BY_CHARS_MAX: usize = 200;

/// The user who publishes, and the host.
pub(super) fn user_at(publish: &Publish, member: &Arc<dyn Member>) -> String {
    let user = || format!("{}@{}", users::user_name(users::us()), member.host());
    publish.by.clone().unwrap_or_else(user).chars().take(BY_CHARS_MAX).collect()
}

/// The record as the successor of the one in force.
fn based(
    mut record: Deploy,
    state: &DeployState,
    expected: Option<&DeployId>,
    force: bool,
) -> Result<Deploy, DeployError> {
    if matches!(state.head, Some((_, None))) && !force {
        return Err(DeployError::NoHead);
    }
    if let Some((_, Err(error))) = &state.rollout
        && !force
    {
        return Err(DeployError::NoRollout(error.to_string()));
    }
    if let Some(rollout) = state.split().filter(|rollout| rollout.stage == Stage::Running && !force) {
        let (to, wave, waves) = (rollout.deploy().clone(), rollout.wave + 1, rollout.waves().len());
        return Err(DeployError::UnderWay { to, wave, waves });
    }
    let head = state.in_force().map(|head| &head.id);
    let listed = head.and_then(|head| state.list.get(head));
    if let Some((listed, Err(error @ RecordError::Newer(_)))) = listed.map(|listed| (listed, &listed.record))
        && !force
    {
        return Err(unread(&listed.id, error));
    }
    let there = listed.and_then(|listed| listed.record.as_ref().ok());
    if head != expected && !force {
        let (expected, head) = (expected.cloned(), head.cloned());
        return Err(DeployError::Overtaken { expected, head, record: there.cloned().map(Box::new) });
    }
    let last = state.newest_first().first().map_or(0, |(_, deploy)| deploy.number);
    record.number = last.saturating_add(1);
    record.parent = head.cloned();
    Ok(record)
}
