//! Graphs that somebody sends.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::gapi::contract::{Begun, Gapi, GapiData, GapiError};
use crate::gapi::failure::Failure;
use crate::graph::GraphConfig;

/// Takes graphs from a [`GraphSender`].
#[derive(Debug)]
pub struct Channel {
    begun: Begun,
    receiver: mpsc::Receiver<Result<GraphConfig, Failure>>,
    next: Option<Result<GraphConfig, Failure>>,
}

/// Sends graphs to an engine.
#[derive(Clone, Debug)]
pub struct GraphSender {
    sender: mpsc::Sender<Result<GraphConfig, Failure>>,
    _alive: Arc<()>,
}

/// A source of graphs, and what sends them to it. The engine starts with the first one that is sent.
pub fn channel() -> (GraphSender, Channel) {
    let (sender, receiver) = mpsc::channel(1);
    (GraphSender { sender, _alive: Arc::new(()) }, Channel { begun: Begun::default(), receiver, next: None })
}

impl GraphSender {
    /// Sends a graph. Waits while the one before has not been taken.
    ///
    /// # Errors
    /// The graph itself, if the engine has ended.
    pub async fn send(&self, config: GraphConfig) -> Result<(), GraphConfig> {
        self.sender.send(Ok(config)).await.map_err(|error| error.0.unwrap_or_default())
    }

    /// Tells that there is no graph now, and why. The one that runs goes on.
    pub async fn fail(&self, why: impl Into<Failure>) {
        // If the engine has ended, nobody wants to know.
        let _ = self.sender.send(Err(why.into())).await;
    }
}

impl Gapi for Channel {
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
            None => Err(GapiError::Failed("the sender of graphs is gone".into())),
        }
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        if self.next.is_none() {
            self.next = Some(self.receiver.recv().await?);
        }
        Some(Ok(()))
    }
}
