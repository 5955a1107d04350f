//! Begins deploys in waves, and ends them.

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::fetch::{Deploys, unread};
use crate::gapi::deploy::options::Publish;
use crate::gapi::deploy::publish::{Deployed, user_at};
use crate::graph::{DeployState, Head, Rollout, wrong_waves};
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
                let listed = state.list.get(&head.id).ok_or_else(|| DeployError::NoSuch(head.id.to_string()))?;
                let deploy = listed.record.as_ref().map_err(|error| unread(&head.id, error))?.clone();
                let (id, carries) = (head.id.clone(), Vec::new());
                return Ok(Deployed { id, deploy, is_new: false, carries, rollout: Some(next) });
            }
        }
        Err(DeployError::Raced)
    }
}
