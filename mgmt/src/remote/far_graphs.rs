//! The graphs of the far end: those that the near end sends, or those that the executable makes by itself.

use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::gapi::{Channel, Gapi, GapiData, GapiError};
use crate::graph::{GraphConfig, Kinds};
use crate::remote::receiving::Placed;
use crate::remote::trail::Trail;

/// The source of graphs of the engine of a far end.
#[derive(Debug)]
pub(super) struct FarGraphs<G> {
    source: Source<G>,
    /// Whether each graph has come into force.
    accepted: mpsc::UnboundedSender<bool>,
    trail: Trail,
}

#[derive(Debug)]
enum Source<G> {
    Own(G, Option<(Placed, Kinds)>),
    Sent(Channel),
}

impl<G> FarGraphs<G> {
    /// Those that are sent.
    pub(super) fn sent(sent: Channel, accepted: mpsc::UnboundedSender<bool>, trail: Trail) -> FarGraphs<G> {
        FarGraphs { source: Source::Sent(sent), accepted, trail }
    }

    /// Those that the executable makes by itself, with the files that have travelled for them.
    pub(super) fn own(
        own: G,
        placed: Option<Placed>,
        kinds: Kinds,
        accepted: mpsc::UnboundedSender<bool>,
        trail: Trail,
    ) -> FarGraphs<G> {
        FarGraphs { source: Source::Own(own, placed.map(|placed| (placed, kinds))), accepted, trail }
    }
}

impl<G: Gapi> Gapi for FarGraphs<G> {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        match &mut self.source {
            Source::Own(own, _) => own.init(data).await,
            Source::Sent(sent) => sent.init(data).await,
        }
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        let config = match &mut self.source {
            Source::Own(own, None) => own.graph().await?,
            Source::Own(own, Some((placed, kinds))) => {
                let mut config = own.graph().await?;
                placed.relocate(&mut config, kinds)?;
                config
            }
            Source::Sent(sent) => sent.graph().await?,
        };
        self.trail.permitted(config)
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        match &mut self.source {
            Source::Own(own, _) => own.switched().await,
            Source::Sent(sent) => sent.switched().await,
        }
    }

    async fn accepted(&mut self, is_accepted: bool) {
        // An error means that the run ends.
        let _ = self.accepted.send(is_accepted);
        if let Source::Own(own, _) = &mut self.source {
            own.accepted(is_accepted).await;
        }
    }

    async fn reload(&mut self) -> bool {
        match &mut self.source {
            Source::Own(own, _) => own.reload().await,
            Source::Sent(_) => false,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Own(own, _) => own.files(),
            Source::Sent(_) => Vec::new(),
        }
    }

    async fn close(&mut self) {
        match &mut self.source {
            Source::Own(own, _) => own.close().await,
            Source::Sent(sent) => sent.close().await,
        }
    }
}
