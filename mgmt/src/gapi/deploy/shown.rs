//! The deploys of a world, for people.

use serde::Serialize;

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::fetch::{Deploys, unread};
use crate::graph::{Carried, Deploy, DeployId, Difference, GraphData, differences};

/// A deploy in the list of a world.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ListedDeploy {
    /// Its ID.
    pub id: DeployId,
    /// Whether it is in force.
    pub in_force: bool,
    /// Its record, if it can be read.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// Why its record can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A deploy with its contents.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeployDetails {
    /// Its ID.
    pub id: DeployId,
    /// Whether it is in force.
    pub in_force: bool,
    /// Its record.
    #[serde(flatten)]
    pub deploy: Deploy,
    /// The resources that differ from its parent. `None`: it has none, or that is no longer kept.
    pub changes: Option<Vec<Difference>>,
    /// Its graph.
    pub data: GraphData,
    /// The files that it carries.
    pub files: Carried,
}

impl Deploys {
    /// The deploys that the world keeps, the newest first, and after them those that can't be read.
    ///
    /// # Errors
    /// The world can't be reached.
    pub async fn list(&self) -> Result<Vec<ListedDeploy>, DeployError> {
        let state = self.state().await?;
        let in_force = |id: &DeployId| state.in_force().is_some_and(|head| head.id == *id);
        let readable = state.newest_first().into_iter().map(|(id, deploy)| ListedDeploy {
            id: id.clone(),
            in_force: in_force(id),
            deploy: Some(deploy.clone()),
            problem: None,
        });
        let unreadable = state.list.values().filter_map(|listed| {
            let problem = listed.record.as_ref().err()?.to_string();
            let (id, in_force) = (listed.id.clone(), in_force(&listed.id));
            Some(ListedDeploy { id, in_force, deploy: None, problem: Some(problem) })
        });
        Ok(readable.chain(unreadable).collect())
    }

    /// The deploy whose ID begins like this; `None`: the one in force.
    ///
    /// # Errors
    /// There is none, or several have such an ID; it is damaged; the world can't be reached.
    pub async fn show(&self, id: Option<&str>) -> Result<DeployDetails, DeployError> {
        let state = self.state().await?;
        let head = state.in_force().map(|head| &head.id);
        let listed = match id {
            Some(begin) => Deploys::find(&state, begin)?,
            None => {
                let head = head.ok_or_else(|| DeployError::Nothing("there is no deploy yet".to_owned()))?;
                state.list.get(head).ok_or_else(|| DeployError::NoSuch(head.to_string()))?
            }
        };
        let deploy = listed.record.as_ref().map_err(|error| unread(&listed.id, error))?;
        let data = self.graph(&listed.id, deploy).await?;
        let files = self.carried(&listed.id, deploy).await?;
        let parent = deploy.parent.as_ref().and_then(|parent| state.list.get(parent));
        let changes = match parent.and_then(|parent| Some((&parent.id, parent.record.as_ref().ok()?))) {
            Some((id, parent)) => {
                let (old, old_files) = (self.graph(id, parent).await, self.carried(id, parent).await);
                // A damaged parent is no reason not to show this one.
                old.ok().zip(old_files.ok()).map(|(old, old_files)| differences((&old, &old_files), (&data, &files)))
            }
            None => None,
        };
        let (id, in_force) = (listed.id.clone(), head == Some(&listed.id));
        Ok(DeployDetails { id, in_force, deploy: deploy.clone(), changes, data, files })
    }
}
