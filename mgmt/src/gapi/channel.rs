//! A source of graphs that other code of the program sends.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::gapi::contract::{Begun, Gapi, GapiData, GapiError};
use crate::gapi::failure::Failure;
use crate::graph::GraphConfig;

/// A source of graphs that takes them from a [`GraphSender`].
#[derive(Debug)]
pub struct Channel {
    begun: Begun,
    receiver: mpsc::Receiver<Result<GraphConfig, Failure>>,
    next: Option<Result<GraphConfig, Failure>>,
}

/// Sends graphs to the engine that has the [`Channel`]. Clones send to the same engine.
#[derive(Clone, Debug)]
pub struct GraphSender {
    sender: mpsc::Sender<Result<GraphConfig, Failure>>,
    _alive: Arc<()>,
}

/// A sender of graphs, and the source that receives them. The engine starts with the first graph that is sent.
pub fn channel() -> (GraphSender, Channel) {
    let (sender, receiver) = mpsc::channel(1);
    (GraphSender { sender, _alive: Arc::new(()) }, Channel { begun: Begun::default(), receiver, next: None })
}

impl GraphSender {
    /// Sends a graph. Waits until the engine has taken the graph before it.
    ///
    /// # Errors
    /// The graph itself, if the engine has ended.
    pub async fn send(&self, config: GraphConfig) -> Result<(), GraphConfig> {
        self.sender.send(Ok(config)).await.map_err(|error| error.0.unwrap_or_default())
    }

    /// Reports that there is no new graph, and why. The graph in force stays. The engine does not start if there is
    /// none yet.
    pub async fn fail(&self, why: impl Into<Failure>) {
        // An error means that the engine has ended: it needs no report.
        let _ = self.sender.send(Err(why.into())).await;
    }
}

impl Gapi for Channel {
    fn travels(&self) -> bool {
        true
    }

    async fn init(&mut self, _: GapiData) -> Result<(), GapiError> {
        self.begun.begin()
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        self.begun.has()?;
        let next = match self.next.take() {
            Some(next) => Some(next),
            None => self.receiver.recv().await,
        };
        match next {
            Some(graph) => graph.map_err(GapiError::Failed),
            None => Err(GapiError::Failed("the sender of graphs was dropped".into())),
        }
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        if self.next.is_none() {
            self.next = Some(self.receiver.recv().await?);
        }
        Some(Ok(()))
    }
}
