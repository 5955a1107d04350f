//! The living hosts of a world, and how far each of them has got.

use std::sync::Arc;

use serde::Serialize;

use crate::graph::{DeployId, DeployState, Rollout, target};
use crate::id::in_one_line;
use crate::resource::{ClusterHost, Member, World, WorldError, cluster_hosts, cluster_keys};

/// The hosts of a world.
///
/// ```
/// # use mgmt::gapi::Cluster;
/// # use mgmt::world::Embedded;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let status = Cluster::new(&Embedded::new(), "desk").status().await?;
/// // No host is alive.
/// assert!(status.hosts.is_empty() && !status.is_converged());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Cluster {
    member: Arc<dyn Member>,
}

/// The state of all hosts of a world at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// The living hosts, in the order of their names.
    pub hosts: Vec<ClusterHost>,
    /// The deploy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<DeployId>,
    /// The deploy in waves that is under way, or the last one, if no other deploy was published since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Why the cluster has not converged: one line for each host. Empty: it has.
    pub obstacles: Vec<String>,
}

impl ClusterStatus {
    /// Whether there are hosts, and all have converged on the deploy that they must have, if they follow deploys.
    pub fn is_converged(&self) -> bool {
        self.obstacles.is_empty()
    }
}

impl Cluster {
    /// The hosts of this world, as the host of that name sees them.
    pub fn new(world: &impl World, host: &str) -> Cluster {
        Cluster { member: world.member(host) }
    }

    /// The same through this access.
    pub fn of(member: Arc<dyn Member>) -> Cluster {
        Cluster { member }
    }

    /// The state of all hosts.
    ///
    /// # Errors
    /// The world can't be reached, or does not permit it.
    pub async fn status(&self) -> Result<ClusterStatus, WorldError> {
        let mut keys = DeployState::rollout_keys();
        keys.extend(cluster_keys());
        let snapshot = self.member.get(keys).await?;
        let (state, hosts) = (DeployState::of(&snapshot), cluster_hosts(&snapshot.entries));
        let obstacle = |host: &ClusterHost| host.obstacle().or_else(|| outdated(&state, host));
        let mut obstacles: Vec<String> = hosts.iter().filter_map(obstacle).collect();
        if hosts.is_empty() {
            obstacles.push("no host is alive".to_owned());
        }
        let deploy = state.in_force().map(|head| head.id.clone());
        Ok(ClusterStatus { hosts, deploy, rollout: state.rollout().cloned(), obstacles })
    }
}

/// Why a host that follows deploys does not have the one that it must have.
fn outdated(state: &DeployState, host: &ClusterHost) -> Option<String> {
    let follows = host.state.as_ref()?.follows.as_ref()?;
    let wanted = target(state.in_force(), state.rollout(), &host.name)?.id.as_str();
    let name = in_one_line(&host.name);
    if let Some(refused) = follows.refused.as_ref().filter(|refused| refused.deploy == wanted) {
        return Some(format!("{name} refuses deploy {wanted}: {}", in_one_line(&refused.why)));
    }
    let has = follows.deploy.as_deref();
    let has_words = || has.map_or("none".to_owned(), |has| in_one_line(has).into_owned());
    (has != Some(wanted)).then(|| format!("{name} must have deploy {wanted}, and has {}", has_words()))
}
