//! Makes graphs ready for this host: the one way to what an engine runs, plans, or draws.

use std::fmt;
use std::sync::Arc;

use crate::graph::{self, GraphConfig, Prepared, Problems};
use crate::resource::BoxFuture;
use crate::runtime::places::owned_twice;
use crate::sys::task::caught_async;

/// What the program wants to do with each graph before it is put in force.
type Inspect = Arc<dyn Fn(Prepared) -> BoxFuture<()> + Send + Sync>;

/// How an engine makes graphs ready.
#[derive(Clone, Default)]
pub(crate) struct Preparing {
    pub(crate) settings: graph::Settings,
    pub(crate) inspect: Option<Inspect>,
}

impl fmt::Debug for Preparing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Preparing {
    /// The graph, ready for this host.
    ///
    /// # Errors
    /// Everything that is wrong as far as the graph tells; or else each place of this host that it owns twice.
    pub(crate) async fn here(&self, config: GraphConfig) -> Result<Prepared, Problems> {
        let prepared = graph::prepare(config, &self.settings)?;
        Problems(owned_twice(&prepared)).into_result()?;
        self.inspected(&prepared).await;
        Ok(prepared)
    }

    /// The graph, ready for a host that is not looked at: it may be another one.
    ///
    /// # Errors
    /// Everything that is wrong as far as the graph tells.
    pub(crate) async fn anywhere(&self, config: GraphConfig) -> Result<Prepared, Problems> {
        let prepared = graph::prepare(config, &self.settings)?;
        self.inspected(&prepared).await;
        Ok(prepared)
    }

    async fn inspected(&self, prepared: &Prepared) {
        let Some(inspect) = &self.inspect else { return };
        if let Err(panic) = caught_async(async { inspect(prepared.clone()).await }).await {
            tracing::error!(target: "mgmt", "looking at a graph before it is put in force {panic}");
        }
    }
}
