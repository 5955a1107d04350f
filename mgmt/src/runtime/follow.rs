//! The source of graphs of a running engine: asks it for the first graph and for each further one, and closes it.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::gapi::{Failure, Gapi, GapiData, GapiError};
use crate::graph::GraphConfig;
use crate::id::Palette;
use crate::runtime::drive::Request;
use crate::runtime::error::EngineError;
use crate::runtime::prepare::Preparing;
use crate::scheduler::StopStage;
use crate::sys::task::caught_async;

/// How long to wait until a source has closed. A source that takes longer is abandoned.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// Initialises the source and asks it for its first graph. Also after an error, the caller must close the source.
pub(crate) async fn first_graph(gapi: &mut impl Gapi, data: GapiData) -> Result<GraphConfig, EngineError> {
    let made = caught_async(async {
        gapi.init(data).await?;
        gapi.graph().await
    });
    Ok(made.await.map_err(|panic| EngineError::Gapi(panic.into()))??)
}

/// Closes the source. It is not asked for a graph again.
pub(crate) async fn close(gapi: &mut impl Gapi) {
    match tokio::time::timeout(CLOSE_MAX, caught_async(gapi.close())).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => tracing::error!(target: "mgmt", "closing the source of graphs {panic}"),
        Err(_) => tracing::warn!(target: "mgmt", "the source of graphs does not close: the engine ends without it"),
    }
}

/// A source is restless if its next graph comes sooner than this after the one before. A source that stays restless
/// gets a pause of this length before each graph.
const RESTLESS: Duration = Duration::from_millis(20);
/// The number of such graphs in a row after which the source gets pauses.
const RESTLESS_MAX: u32 = 100;

/// Counts how often a source is restless.
#[derive(Debug, Default)]
struct Rest {
    /// The number of graphs in a row that came too soon.
    restless: u32,
}

impl Rest {
    /// Whether the source gets a pause before its next graph. `after` is the time since its last graph came into force.
    fn is_needed(&mut self, after: Duration) -> bool {
        if after >= RESTLESS {
            self.restless = 0;
            return false;
        }
        self.restless = self.restless.saturating_add(1);
        if self.restless == RESTLESS_MAX {
            tracing::warn!(
                target: "mgmt",
                "the source of graphs does not rest: {RESTLESS_MAX} graphs have followed one another at once, from now \
                 on it is asked every {RESTLESS:?}",
            );
        }
        self.restless >= RESTLESS_MAX
    }
}

/// The way to answer a request for a reload.
pub(crate) type Reload = oneshot::Sender<Result<(), EngineError>>;

/// Takes new graphs from the source to the loop.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) preparing: Preparing,
    pub(crate) no_watch: bool,
    pub(crate) reloads: mpsc::UnboundedReceiver<Reload>,
    /// Weak, so that the loop ends when the last handle on the engine is dropped.
    pub(crate) requests: mpsc::WeakUnboundedSender<Request>,
}

impl Follow {
    /// Runs until the engine is `ending`, then closes the source. If the source fails before, that ends the engine.
    pub(crate) async fn run(mut self, mut gapi: impl Gapi, ending: oneshot::Receiver<()>) -> Result<(), Failure> {
        let graphs = async {
            if let Err(panic) = caught_async(gapi.accepted(true)).await {
                return Err(format!("the source of graphs {panic}").into());
            }
            let outcome = caught_async(self.graphs(&mut gapi)).await;
            let outcome = outcome.unwrap_or_else(|panic| Err(format!("the source of graphs {panic}").into()));
            if let Err(error) = &outcome {
                tracing::error!(target: "mgmt", "no more graphs, so the engine ends: {error}");
                self.send(Request::Stop(StopStage::Drain));
                return outcome;
            }
            // The source has no more graphs. Wait for the engine to end: the source must not be closed before.
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = graphs => outcome,
            _ = ending => Ok(()),
        };
        close(&mut gapi).await;
        outcome
    }

    /// Takes a graph from the source whenever the source has another one, or a reload asks for it. Returns when
    /// neither can happen any more.
    async fn graphs(&mut self, gapi: &mut impl Gapi) -> Result<(), Failure> {
        let (mut rest, mut follows) = (Rest::default(), !self.no_watch);
        loop {
            let asked = Instant::now();
            let reload = tokio::select! {
                biased;
                Some(reload) = self.reloads.recv() => Some(reload),
                switched = gapi.switched(), if follows => {
                    let Some(switched) = switched else {
                        follows = false;
                        continue;
                    };
                    if rest.is_needed(asked.elapsed()) {
                        tokio::time::sleep(RESTLESS).await;
                    }
                    switched.map_err(|error| match error {
                        GapiError::Failed(failure) => failure,
                        GapiError::Problems(problems) => Failure::from_error(problems),
                    })?;
                    None
                }
                else => return Ok(()),
            };
            let outcome = match reload.is_some() && !gapi.reload().await {
                true => Ok(()),
                false => {
                    let outcome = self.swap(gapi).await;
                    gapi.accepted(outcome.is_ok()).await;
                    outcome
                }
            };
            if let Some(reload) = reload {
                // An error means that the caller no longer waits for the outcome.
                let _ = reload.send(outcome);
            }
        }
    }

    /// Puts the next graph of the source in force, and waits until it is. So a fast source has only one graph on its
    /// way, and the loop gets its turn.
    async fn swap(&self, gapi: &mut impl Gapi) -> Result<(), EngineError> {
        let prepared = async { Ok::<_, EngineError>(self.preparing.here(gapi.graph().await?).await?) };
        let (reply, done) = oneshot::channel();
        let (request, outcome) = match prepared.await {
            Ok(prepared) => (Request::Swap { prepared, over: None, reply }, Ok(())),
            Err(error) => {
                let painted = error.painted(Palette::Plain).to_string();
                tracing::error!(target: "mgmt", "the new graph is refused, the old one continues to run:\n{painted}");
                (Request::Rejected { problems: error.to_string(), reply }, Err(error))
            }
        };
        self.send(request);
        if done.await.is_err() {
            // The engine ends, and takes no more graphs: wait until `run` drops this future.
            return std::future::pending().await;
        }
        outcome
    }

    fn send(&self, request: Request) {
        if let Some(requests) = self.requests.upgrade() {
            // An error means that the loop has ended already.
            let _ = requests.send(request);
        }
    }
}
