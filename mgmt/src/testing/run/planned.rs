//! The plan of a graph on a simulated host.

use crate::plan::Plan;
use crate::runtime::Engine;
use crate::sys::simulated::Host;
use crate::testing::run::engine::{IntoGraph, paused_runtime};

impl Host {
    /// What the graph would do now. Changes nothing. As text, it is the same each time, without times and random names:
    /// a test can compare it with a snapshot.
    ///
    /// # Panics
    /// The graph is wrong.
    #[track_caller]
    pub fn plan(&self, graph: impl IntoGraph) -> Plan {
        let planned = self.on(|| {
            let config = self.cast(graph.into_graph()?, true)?;
            let runtime = paused_runtime()?;
            let planned = runtime.block_on(Engine::builder().graph(config).plan());
            drop(runtime);
            planned.map_err(|error| error.to_string())
        });
        match planned {
            Ok(plan) => plan,
            Err(error) => panic!("the graph has no plan: {error}"),
        }
    }
}
