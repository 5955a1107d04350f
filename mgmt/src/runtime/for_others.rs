//! The graphs of a source that run on other hosts: made and checked here, one after the other.

use crate::gapi::{Failure, Gapi, GapiData, GapiError, Warnings};
use crate::graph::GraphConfig;
use crate::runtime::builder::Builder;
use crate::runtime::engine::has_runtime;
use crate::runtime::error::EngineError;
use crate::runtime::follow::{close, first_graph};
use crate::runtime::once::tell_warnings;
use crate::runtime::prepare::Preparing;
use crate::sys::task::caught_async;

/// The graphs of a source, for other hosts.
#[derive(Debug)]
pub(crate) struct ForOthers<G> {
    gapi: G,
    preparing: Preparing,
    warnings: Warnings,
    no_watch: bool,
}

impl<G: Gapi> Builder<G> {
    /// The first graph of the source for other hosts, and what makes the next ones. This host is not examined, and
    /// nothing is changed here.
    ///
    /// # Errors
    /// There is no graph, or it is wrong.
    pub(crate) async fn for_others(mut self) -> Result<(GraphConfig, ForOthers<G>), EngineError> {
        has_runtime()?;
        let prefix = self.options.prefix()?;
        let data = GapiData { looks: true, ..self.options.for_source(prefix.path()) };
        let (preparing, warnings) = (self.options.preparing.clone(), self.options.warnings.clone());
        let no_watch = self.options.no_watch;
        let first = first_graph(&mut self.gapi, data).await;
        let graphs = ForOthers { gapi: self.gapi, preparing, warnings, no_watch };
        let first = match first {
            Ok(config) => examined(&graphs.preparing, &graphs.warnings, config).await,
            Err(error) => Err(error),
        };
        match first {
            Ok(config) => Ok((config, graphs)),
            Err(error) => {
                graphs.close().await;
                Err(error)
            }
        }
    }
}

impl<G: Gapi> ForOthers<G> {
    /// Returns when the source has another graph. `None`: it will have none. Cancel safe.
    pub(crate) async fn changed(&mut self) -> Option<Result<(), EngineError>> {
        if self.no_watch {
            return None;
        }
        let changed = caught_async(self.gapi.switched()).await;
        let changed = changed
            .unwrap_or_else(|panic| Some(Err(GapiError::Failed(format!("the source of graphs {panic}").into()))));
        changed.map(|changed| changed.map_err(EngineError::from))
    }

    /// Asks the source for its graph as it is now. With `is_reload`, the source has noticed no change; `None`: it has
    /// nothing to read again.
    pub(crate) async fn again(&mut self, is_reload: bool) -> Option<Result<GraphConfig, EngineError>> {
        let made = caught_async(async {
            if is_reload && !self.gapi.reload().await {
                return None;
            }
            Some(self.gapi.graph().await)
        });
        let made = made.await.unwrap_or_else(|panic| {
            let failure: Failure = format!("the source of graphs {panic}").into();
            Some(Err(GapiError::Failed(failure)))
        })?;
        let outcome = match made {
            Ok(config) => examined(&self.preparing, &self.warnings, config).await,
            Err(error) => Err(error.into()),
        };
        self.gapi.accepted(outcome.is_ok()).await;
        Some(outcome)
    }

    /// Closes the source.
    pub(crate) async fn close(mut self) {
        close(&mut self.gapi).await;
    }
}

/// Refuses a wrong graph. Returns it as its source made it.
async fn examined(preparing: &Preparing, warnings: &Warnings, config: GraphConfig) -> Result<GraphConfig, EngineError> {
    let prepared = preparing.anywhere(config.clone()).await?;
    tell_warnings(&prepared, warnings);
    Ok(config)
}
