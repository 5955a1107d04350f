//! One graph of a source, for what runs no engine: a plan, a check, a deploy.

use std::path::Path;

use crate::gapi::{Gapi, GapiData, Warnings};
use crate::graph::{GraphConfig, Prepared};
use crate::runtime::builder::Builder;
use crate::runtime::engine::has_runtime;
use crate::runtime::error::EngineError;
use crate::runtime::follow::{close, first_graph};

impl<G: Gapi> Builder<G> {
    /// The graph as its source has declared it, if an engine on some host could run it. This host is not examined.
    #[cfg(feature = "ssh")]
    pub(crate) async fn declared(mut self) -> Result<GraphConfig, EngineError> {
        let prefix = self.options.prefix()?;
        let config = self.only_graph(prefix.path()).await?;
        let prepared = self.options.preparing.anywhere(config.clone()).await?;
        tell_warnings(&prepared, &self.options.warnings);
        Ok(config)
    }

    /// The first graph of the source, which is closed: no further one will be asked for.
    pub(super) async fn only_graph(&mut self, prefix: &Path) -> Result<GraphConfig, EngineError> {
        has_runtime()?;
        let data = GapiData { no_watch: true, looks: true, ..self.options.for_source(prefix) };
        let config = first_graph(&mut self.gapi, data).await;
        self.options.spare(self.gapi.files());
        close(&mut self.gapi).await;
        config
    }
}

/// Reports the warnings: no engine runs that could send events.
pub(super) fn tell_warnings(prepared: &Prepared, warnings: &Warnings) {
    let config = prepared.config();
    warnings.add(&config.name, &[&config.warnings(), prepared.warnings()].concat());
}
