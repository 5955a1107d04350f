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
    Own(Own<G>),
    Sent(Channel),
}

/// Graphs that the executable makes by itself.
#[derive(Debug)]
struct Own<G> {
    gapi: G,
    /// The files that have travelled for the last one. `None`: none do.
    placed: Option<Placed>,
    kinds: Kinds,
    /// Newer files.
    arriving: mpsc::UnboundedReceiver<Placed>,
    /// The source is not followed.
    no_watch: bool,
    /// The source makes no other graph.
    is_final: bool,
}

impl<G> FarGraphs<G> {
    /// Those that are sent.
    pub(super) fn sent(sent: Channel, accepted: mpsc::UnboundedSender<bool>, trail: Trail) -> FarGraphs<G> {
        FarGraphs { source: Source::Sent(sent), accepted, trail }
    }

    /// Those that the executable makes by itself, with the files that have travelled for them. `no_watch`: its source
    /// is not followed, other than the files.
    pub(super) fn own(
        (own, no_watch): (G, bool),
        placed: Option<Placed>,
        kinds: Kinds,
        arriving: mpsc::UnboundedReceiver<Placed>,
        accepted: mpsc::UnboundedSender<bool>,
        trail: Trail,
    ) -> FarGraphs<G> {
        let own = Own { gapi: own, placed, kinds, arriving, no_watch, is_final: no_watch };
        FarGraphs { source: Source::Own(own), accepted, trail }
    }
}

impl<G: Gapi> Own<G> {
    /// Returns when the graph must be made again: by its source, or since its files have changed. Cancel safe.
    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        loop {
            tokio::select! {
                switched = self.gapi.switched(), if !self.is_final => match switched {
                    None => self.is_final = true,
                    switched => return switched,
                },
                Some(placed) = self.arriving.recv() => {
                    self.placed = Some(placed);
                    return Some(Ok(()));
                }
                else => return None,
            }
        }
    }
}

impl<G: Gapi> Gapi for FarGraphs<G> {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        match &mut self.source {
            Source::Own(own) => own.gapi.init(GapiData { no_watch: own.no_watch || data.no_watch, ..data }).await,
            Source::Sent(sent) => sent.init(data).await,
        }
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        let config = match &mut self.source {
            Source::Own(own) => {
                let mut config = own.gapi.graph().await?;
                if let Some(placed) = &own.placed {
                    placed.relocate(&mut config, &own.kinds)?;
                }
                config
            }
            Source::Sent(sent) => sent.graph().await?,
        };
        self.trail.permitted(config)
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        match &mut self.source {
            Source::Own(own) => own.switched().await,
            Source::Sent(sent) => sent.switched().await,
        }
    }

    async fn accepted(&mut self, is_accepted: bool) {
        // An error means that the run ends.
        let _ = self.accepted.send(is_accepted);
        if let Source::Own(own) = &mut self.source {
            own.gapi.accepted(is_accepted).await;
        }
    }

    async fn reload(&mut self) -> bool {
        match &mut self.source {
            Source::Own(own) => own.gapi.reload().await,
            Source::Sent(_) => false,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Own(own) => own.gapi.files(),
            Source::Sent(_) => Vec::new(),
        }
    }

    async fn close(&mut self) {
        match &mut self.source {
            Source::Own(own) => own.gapi.close().await,
            Source::Sent(sent) => sent.close().await,
        }
    }
}
