//! The contract of a source of graphs: init, graph, switched, reload, close.

use std::future::Future;
use std::path::PathBuf;

use crate::gapi::failure::Failure;
use crate::gapi::hosts::WorldView;
use crate::gapi::warn::Warnings;
use crate::graph::{GraphConfig, Problems};

/// The data that a source of graphs gets before the engine asks it for a graph.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GapiData {
    /// The name for a graph that has no name of its own: the program's name. Empty: the program has given none.
    pub name: String,
    /// The name of this host.
    pub hostname: String,
    /// The engine's working directory.
    pub prefix: PathBuf,
    /// Whether all resources run in noop.
    pub noop: bool,
    /// If true, [`Gapi::switched`] is never called: there is no need to watch anything for it.
    pub no_watch: bool,
    /// Whether the graph is only looked at, by [`plan`](crate::runtime::Builder::plan) and
    /// [`check`](crate::runtime::Builder::check), and nothing may be changed below the prefix.
    pub looks: bool,
    /// Where warnings about the graph go.
    #[cfg_attr(not(feature = "yaml"), expect(dead_code, reason = "only files have warnings before there is a graph"))]
    pub(crate) warnings: Warnings,
    pub(crate) world: WorldView,
}

impl GapiData {
    /// What the source can read of the world that this host shares with others.
    pub fn world(&self) -> &WorldView {
        &self.world
    }
}

/// Why a source of graphs made no graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GapiError {
    /// There is a graph, but it is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The graph could not be made.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Whether a source of graphs has been initialised: exactly once, before it is asked for a graph.
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

/// A source of graphs: a closure, a file, a channel, or your own. It does not depend on the engine that runs them.
///
/// An engine calls `init` once, then `graph`, then `graph` again each time `switched` or `reload` asks for it, after
/// each graph `accepted`, and at the end `close`.
pub trait Gapi: Send + 'static {
    /// Called once, before all other methods.
    ///
    /// # Errors
    /// With an error, the engine does not start.
    fn init(&mut self, data: GapiData) -> impl Future<Output = Result<(), GapiError>> + Send;

    /// Returns the graph as it should be now.
    ///
    /// # Errors
    /// If the first call fails, the engine does not start. If a later one fails, the graph in force stays, and the
    /// engine reports the error.
    fn graph(&mut self) -> impl Future<Output = Result<GraphConfig, GapiError>> + Send;

    /// Returns when there is another graph, for which the engine then calls `graph`. `None`, the default: there will be
    /// none. An error ends the engine. Must be cancel safe.
    fn switched(&mut self) -> impl Future<Output = Option<Result<(), GapiError>>> + Send {
        async { None }
    }

    /// Called after each graph that the source has made for an engine: whether it has come into force. If not, the
    /// graph before stays in force. Default: nothing.
    fn accepted(&mut self, is_accepted: bool) -> impl Future<Output = ()> + Send {
        let _ = is_accepted;
        async {}
    }

    /// Called when the user asks for the graph to be made again, although the source has noticed no change: by
    /// [`Engine::reload`](crate::runtime::Engine::reload), or by SIGHUP. True: the engine calls `graph` now, which must
    /// read everything again that the graph depends on. False, the default: there is nothing to read again, and the
    /// graph in force stays.
    fn reload(&mut self) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// The files of this host that the graph is read from. A purge of a directory that holds them spares them. Called
    /// after the first graph. Default: none.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether the graphs are made on this host even when they run on another one, and travel there as data. False, the
    /// default: they are made where they run, by the same program with what it finds there.
    fn travels(&self) -> bool {
        false
    }

    /// Called once, when the engine ends.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
