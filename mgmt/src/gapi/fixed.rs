//! One graph that never changes.

use crate::gapi::contract::{Begun, Gapi, GapiData, GapiError};
use crate::graph::GraphConfig;

/// A graph that never changes.
#[derive(Clone, Debug)]
pub struct Fixed {
    begun: Begun,
    /// `None`: it has been handed out.
    config: Option<GraphConfig>,
}

/// The source of this one graph.
pub fn fixed(config: GraphConfig) -> Fixed {
    Fixed { begun: Begun::default(), config: Some(config) }
}

impl Gapi for Fixed {
    async fn init(&mut self, _: GapiData) -> Result<(), GapiError> {
        self.begun.begin()
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        self.begun.has()?;
        // An engine asks once only, as nothing signals a switch; and a graph may be large, so it is not copied.
        self.config.take().ok_or_else(|| GapiError::Failed("a fixed graph is handed out once".into()))
    }
}
