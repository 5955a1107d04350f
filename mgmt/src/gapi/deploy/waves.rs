//! Begins deploys in waves, continues those that were stopped, and ends them.

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::fetch::{Deploys, unread};
use crate::gapi::deploy::options::Publish;
use crate::gapi::deploy::publish::{Deployed, user_at};
use crate::graph::{DeployId, DeployState, Head, Rollout, wrong_waves};
use crate::resource::{cluster_hosts, cluster_keys};

/// How often a step that another program has overtaken is made again.
const RACES_MAX: usize = 16;

impl Deploys {
    /// The rollout of a deploy, if it comes in waves.
    pub(super) async fn rollout_of(
        &self,
        state: &DeployState,
        to: &Head,
        publish: &Publish,
    ) -> Result<Option<Rollout>, DeployError> {
        let Some(waves) = &publish.waves else { return Ok(None) };
        let hosts = cluster_hosts(&self.member.get(cluster_keys()).await?.entries);
        match (wrong_waves(&waves.0, state.in_force(), &hosts), state.in_force()) {
            (None, Some(from)) => Ok(Some(Rollout::new(from.clone(), to.clone(), waves.0.clone(), &hosts))),
            (why, _) => Err(DeployError::Waves(why.unwrap_or_default())),
        }
    }

    /// Ends the rollout that is under way or was stopped: all hosts have the deploy before.
    pub(super) async fn end_rollout(&self, publish: &Publish) -> Result<Deployed, DeployError> {
        for _ in 0..RACES_MAX {
            let state = self.state().await?;
            let (Some(rollout), Some(head)) = (state.split(), state.in_force()) else { break };
            let next = rollout.reverted(&user_at(publish, &self.member));
            if publish.dry || self.put_rollout(&state, &next).await? {
                return there(&state, &head.id, next);
            }
        }
        Err(DeployError::Raced)
    }

    /// Continues the rollout that was stopped, with the wave in which it was. Hosts that have still failed stop it
    /// again. Nothing else of `publish` counts than [`dry`](Publish::dry).
    ///
    /// # Errors
    /// No rollout was stopped, another deploy has come into force since, or the world can't be reached.
    pub async fn resume(&self, publish: &Publish) -> Result<Deployed, DeployError> {
        for _ in 0..RACES_MAX {
            let state = self.state().await?;
            let Some((_, rollout)) = &state.rollout else {
                return Err(DeployError::Nothing("no deploy in waves was stopped".to_owned()));
            };
            let rollout = rollout.as_ref().map_err(|error| DeployError::NoRollout(error.to_string()))?;
            let next = rollout.resumed(state.in_force()).map_err(DeployError::Nothing)?;
            if publish.dry || self.put_rollout(&state, &next).await? {
                return there(&state, &rollout.to.id, next);
            }
        }
        Err(DeployError::Raced)
    }
}

/// A deploy that the world has already.
fn there(state: &DeployState, id: &DeployId, rollout: Rollout) -> Result<Deployed, DeployError> {
    let listed = state.list.get(id).ok_or_else(|| DeployError::NoSuch(id.to_string()))?;
    let deploy = listed.record.as_ref().map_err(|error| unread(id, error))?.clone();
    Ok(Deployed { id: id.clone(), deploy, is_new: false, carries: Vec::new(), rollout: Some(rollout) })
}
