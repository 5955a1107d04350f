//! What every source of graphs does: init, graph, switched, close.

use std::future::Future;
use std::path::PathBuf;

use crate::gapi::failure::Failure;
use crate::graph::{GraphConfig, Problems};

/// What a source of graphs is told before it is asked for one.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GapiData {
    /// What a graph is called that has no name of its own: the program's name. Empty: nobody said.
    pub name: String,
    /// The name of this host.
    pub hostname: String,
    /// The engine's working directory.
    pub prefix: PathBuf,
    /// Everything runs in noop.
    pub noop: bool,
    /// Nobody listens to [`Gapi::switched`]: there is no need to watch anything for it.
    pub no_watch: bool,
}

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GapiError {
    /// There is one, but it is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// It could not be made.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Whether a source of graphs has been initialised: once, and before it is asked for anything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Begun(bool);

impl Begun {
    pub(crate) fn begin(&mut self) -> Result<(), GapiError> {
        if std::mem::replace(&mut self.0, true) {
            let why = "a source of graphs is good for one engine: it was initialised before";
            return Err(GapiError::Failed(why.into()));
        }
        Ok(())
    }

    pub(crate) fn has(self) -> Result<(), GapiError> {
        if self.0 { Ok(()) } else { Err(GapiError::Failed("asked for a graph before it was initialised".into())) }
    }
}

/// A source of graphs: a closure, a file, a channel, anything. It knows nothing of the engine that runs them.
///
/// An engine calls `init` once, then `graph`, then `graph` again each time `switched` or `reload` asks for it, and in the
/// end `close`.
pub trait Gapi: Send + 'static {
    /// Called once, before anything else.
    ///
    /// # Errors
    /// The engine does not start.
    fn init(&mut self, data: GapiData) -> impl Future<Output = Result<(), GapiError>> + Send;

    /// The graph as it should be now.
    ///
    /// # Errors
    /// The first time, the engine does not start. Later, the graph that runs goes on, and the engine tells why.
    fn graph(&mut self) -> impl Future<Output = Result<GraphConfig, GapiError>> + Send;

    /// Returns when another graph is wanted; `None`: never again. Must be cancel safe. By default, never.
    fn switched(&mut self) -> impl Future<Output = Option<Result<(), GapiError>>> + Send {
        async { None }
    }

    /// Called when the user asks for the graph to be made again, though nothing has changed that the source knows of:
    /// by [`Engine::reload`](crate::runtime::Engine::reload), or by SIGHUP. True: the source is asked for its `graph`
    /// now, and must read again whatever that depends on. False, the default: there is nothing to read again, and the
    /// graph in force stays.
    fn reload(&mut self) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// Called once, when the engine ends.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
