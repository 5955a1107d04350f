//! A source of one graph that never changes.

use crate::gapi::contract::{Begun, Gapi, GapiData, GapiError};
use crate::graph::GraphConfig;

/// A source of one graph that never changes.
#[derive(Clone, Debug)]
pub struct Fixed {
    begun: Begun,
    /// `None`: the engine has taken the graph.
    config: Option<GraphConfig>,
}

/// A source that has only this graph.
pub fn fixed(config: GraphConfig) -> Fixed {
    Fixed { begun: Begun::default(), config: Some(config) }
}

impl Gapi for Fixed {
    fn travels(&self) -> bool {
        true
    }

    async fn init(&mut self, _: GapiData) -> Result<(), GapiError> {
        self.begun.begin()
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        self.begun.has()?;
        // An engine asks only once, since nothing signals a switch. A graph can be large, so it is moved, not copied.
        self.config.take().ok_or_else(|| GapiError::Failed("a fixed graph is handed out once".into()))
    }
}
