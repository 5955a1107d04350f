//! Moves a deploy in waves on: each host that follows deploys does, one after the other at random times, so that about
//! two look in a second, however many hosts there are, and no death of a host stops it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::fetch::Deploys;
use crate::graph::{DeployState, Fate, Head, Rollout, Stage, head_key, rollout_key};
use crate::resource::{
    Attempts, ClusterHost, Revision, Snapshot, Transaction, WorldError, Write, cluster_hosts, cluster_keys,
};
use crate::sys::rng;

/// The shortest pause of a host, and how much longer it is on average for each other host.
const PAUSE: Duration = Duration::from_millis(300);
const PAUSE_OF_EACH: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// How long a host that may not deploy leaves it to others.
const DENIED: Duration = Duration::from_secs(60);

/// A rollout that is under way, as a host has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// When it was last moved on.
    pub(super) written: Revision,
    /// When this host has seen that.
    seen: Instant,
}

impl Running {
    pub(super) fn since_now(written: Revision) -> Running {
        Running { written, seen: Instant::now() }
    }
}

/// A rollout with what has become of its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RolloutView {
    /// The rollout.
    pub rollout: Rollout,
    /// The hosts that count in the present wave, and the living ones of earlier waves.
    pub hosts: BTreeMap<String, Fate>,
}

/// What there is to know for a step.
struct Look {
    state: DeployState,
    hosts: Vec<ClusterHost>,
}

impl Look {
    fn of(snapshot: &Snapshot) -> Look {
        Look { state: DeployState::of(snapshot), hosts: cluster_hosts(&snapshot.entries) }
    }
}

impl Deploys {
    async fn look(&self) -> Result<Look, DeployError> {
        let mut keys = DeployState::rollout_keys();
        keys.extend(cluster_keys());
        Ok(Look::of(&self.member.get(keys).await?))
    }

    /// The deploy in waves: the one that is under way, or the last one, until another deploy is published.
    ///
    /// # Errors
    /// The world can't be reached.
    pub async fn rollout(&self) -> Result<Option<RolloutView>, DeployError> {
        let look = self.look().await?;
        let view = |rollout: &Rollout| RolloutView { rollout: rollout.clone(), hosts: rollout.fates(&look.hosts) };
        Ok(look.state.rollout().map(view))
    }

    /// Moves a rollout on, if it must be. Returns how many hosts are alive.
    async fn move_on(&self, running: &Running) -> Result<usize, DeployError> {
        let Look { state, hosts } = self.look().await?;
        let Some((written, Ok(rollout))) = &state.rollout else { return Ok(hosts.len()) };
        // The time that counts is that of another rollout.
        let waited = if *written == running.written { running.seen.elapsed() } else { Duration::ZERO };
        let Some(next) = rollout.next(state.in_force(), &hosts, waited) else { return Ok(hosts.len()) };
        let is_done = self.put_rollout(&state, &next).await?;
        if is_done {
            tell(&next);
        }
        Ok(hosts.len())
    }

    /// Replaces the rollout of that state. False: another program was faster.
    pub(super) async fn put_rollout(&self, state: &DeployState, next: &Rollout) -> Result<bool, DeployError> {
        let mut writes = BTreeMap::from([(rollout_key(), Write::Put(next.bytes().into(), None))]);
        if next.stage == Stage::Done {
            let head: &Head = &next.to;
            writes.insert(head_key(), Write::Put(head.bytes().into(), None));
        }
        let conditions = vec![state.same_head(), state.same_rollout()];
        Ok(self.member.commit(Transaction { conditions, writes }).await?.is_some())
    }
}

fn tell(rollout: &Rollout) {
    let (id, count) = (rollout.deploy(), rollout.waves().len());
    match rollout.stage {
        Stage::Running => {
            let (number, wave) = (rollout.wave + 1, &rollout.waves()[rollout.wave]);
            tracing::info!(target: "mgmt", "deploy {id}: wave {number} of {count} ({wave}) begins");
        }
        Stage::Done => tracing::info!(target: "mgmt", "deploy {id} is in force on all hosts"),
        Stage::Stopped => tracing::error!(target: "mgmt", "deploy {id} is stopped: {}", rollout.why),
        Stage::Reverted => tracing::error!(target: "mgmt", "deploy {id} is reverted: {}", rollout.why),
    }
}

/// How long this host waits before its next look, with this many hosts alive.
fn pause(hosts: usize) -> Duration {
    let others = u32::try_from(hosts.saturating_sub(1)).unwrap_or(u32::MAX);
    // Without random numbers all hosts wait for the same time, which only costs load.
    let part = u32::try_from(rng::number().unwrap_or(1024) % 2048).unwrap_or(1024);
    (PAUSE + PAUSE_OF_EACH.saturating_mul(others).min(PAUSE_MAX) * part / 1024).min(PAUSE_MAX)
}

/// Moves rollouts on as long as the source of graphs runs.
pub(super) async fn move_rollouts(deploys: Deploys, mut running: watch::Receiver<Option<Running>>) {
    let (mut attempts, mut hosts) = (Attempts::new("moving a deploy in waves on"), 1);
    loop {
        let now = match running.wait_for(Option::is_some).await {
            Ok(now) => now.clone(),
            Err(_) => return,
        };
        let Some(now) = now else { continue };
        match deploys.move_on(&now).await {
            Ok(count) => {
                attempts.succeeded();
                hosts = count;
                sleep(pause(hosts)).await;
            }
            // Another host moves it on, one that may deploy.
            Err(DeployError::World(WorldError::Denied(_))) => sleep(DENIED).await,
            Err(error) => {
                let least = attempts.failed(&error);
                sleep(least.max(pause(hosts))).await;
            }
        }
    }
}
