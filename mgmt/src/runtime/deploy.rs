//! Publishes the graph of a source as a deploy.

use crate::gapi::{DeployError, Deployed, Deploys, Gapi, Publish};
use crate::graph::{Kinds, Problems};
use crate::runtime::builder::Builder;
use crate::runtime::error::EngineError;
use crate::runtime::once::tell_warnings;

impl<G: Gapi> Builder<G> {
    /// Publishes the graph to the [`world`](Builder::world), with the files that it reads. From then on it is in force
    /// for all hosts that follow deploys ([`deployed`](crate::gapi::deployed)). This host is not examined, and nothing
    /// runs here. `kinds`: those that the graph may use. In noop everything is checked, and nothing is published.
    ///
    /// # Errors
    /// There is no graph, it is wrong, or it can't travel; another deploy is in force than the one that this one is
    /// based on; or the world can't be reached.
    pub async fn deploy(mut self, kinds: &Kinds, publish: &Publish) -> Result<Deployed, EngineError> {
        let prefix = self.options.prefix()?;
        let member = self.options.preparing.site.member.clone().ok_or(DeployError::NoWorld)?;
        let config = self.only_graph(prefix.path()).await?;
        let prepared = self.options.preparing.anywhere(config.clone()).await?;
        tell_warnings(&prepared, &self.options.warnings);
        let mut publish = publish.clone();
        if self.options.preparing.settings.is_noop() {
            publish = publish.dry(true);
        }
        Ok(Deploys::of(member).publish(&config, kinds, &publish).await?)
    }
}

impl From<DeployError> for EngineError {
    fn from(error: DeployError) -> EngineError {
        match error {
            DeployError::Graph(Problems(problems)) => EngineError::Graph(Problems(problems)),
            error => EngineError::Deploy(error),
        }
    }
}
