//! One graph that never changes.

use crate::gapi::contract::{Gapi, GapiData, GapiError};
use crate::graph::GraphConfig;

/// A graph that never changes.
#[derive(Clone, Debug)]
pub struct Fixed(GraphConfig);

/// The source of this one graph.
pub fn fixed(config: GraphConfig) -> Fixed {
    Fixed(config)
}

impl Gapi for Fixed {
    async fn init(&mut self, _: GapiData) -> Result<(), GapiError> {
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        // It is asked for once only: nothing signals a switch.
        Ok(std::mem::take(&mut self.0))
    }
}
