//! The source of graphs while an engine runs: asked for the first one, for another whenever it wants one, and closed in the end.

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

/// A source that takes longer to close is left to itself.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// The graph to start with. (Who fails here has been initialised, and is to be closed.)
pub(crate) async fn first_graph(gapi: &mut impl Gapi, data: GapiData) -> Result<GraphConfig, EngineError> {
    let made = caught_async(async {
        gapi.init(data).await?;
        gapi.graph().await
    });
    Ok(made.await.map_err(|panic| EngineError::Gapi(panic.into()))??)
}

/// Nobody will ask it for a graph any more.
pub(crate) async fn close(gapi: &mut impl Gapi) {
    match tokio::time::timeout(CLOSE_MAX, caught_async(gapi.close())).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => tracing::error!(target: "mgmt", "closing the source of graphs {panic}"),
        Err(_) => tracing::warn!(target: "mgmt", "the source of graphs does not close: it is left to itself"),
    }
}

/// How soon a source wants to be asked again that does not rest, and the pause that it then gets.
const RESTLESS: Duration = Duration::from_millis(20);
/// This many graphs may follow one another so soon.
const RESTLESS_MAX: u32 = 100;

/// Whether a source rests between its graphs.
#[derive(Debug, Default)]
struct Rest {
    /// Graphs in a row that came too soon.
    restless: u32,
}

impl Rest {
    /// It wants to be asked again, this long after its last graph came into force. Whether it must wait.
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

/// Who asked for a reload, and learns how it went.
pub(crate) type Reload = oneshot::Sender<Result<(), EngineError>>;

/// Brings new graphs to the loop.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) preparing: Preparing,
    pub(crate) no_watch: bool,
    pub(crate) reloads: mpsc::UnboundedReceiver<Reload>,
    /// Weak, so that the loop ends when nobody has a handle on the engine any more.
    pub(crate) requests: mpsc::WeakUnboundedSender<Request>,
}

impl Follow {
    /// Until the engine is `ending`. What the source failed with has ended the engine.
    pub(crate) async fn run(mut self, mut gapi: impl Gapi, ending: oneshot::Receiver<()>) -> Result<(), Failure> {
        let graphs = async {
            let outcome = caught_async(self.graphs(&mut gapi)).await;
            let outcome = outcome.unwrap_or_else(|panic| Err(format!("the source of graphs {panic}").into()));
            if let Err(error) = &outcome {
                tracing::error!(target: "mgmt", "no more graphs, so the engine ends: {error}");
                self.send(Request::Stop(StopStage::Drain));
                return outcome;
            }
            // It is closed when the engine ends, not before.
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = graphs => outcome,
            _ = ending => Ok(()),
        };
        close(&mut gapi).await;
        outcome
    }

    /// Asks the source for another graph whenever it wants one or a reload does, until neither ever will again.
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
            let outcome = if reload.is_some() && !gapi.reload().await { Ok(()) } else { self.swap(gapi).await };
            if let Some(reload) = reload {
                // The caller may not wait for it any more.
                let _ = reload.send(outcome);
            }
        }
    }

    /// Puts the next graph of the source in force. However fast the source is, there is one graph of it on its way, and
    /// the loop gets its turn.
    async fn swap(&self, gapi: &mut impl Gapi) -> Result<(), EngineError> {
        let prepared = async { Ok::<_, EngineError>(self.preparing.here(gapi.graph().await?).await?) };
        let (reply, done) = oneshot::channel();
        let (request, outcome) = match prepared.await {
            Ok(prepared) => (Request::Swap { prepared, reply }, Ok(())),
            Err(error) => {
                let painted = error.painted(Palette::Plain).to_string();
                tracing::error!(target: "mgmt", "the new graph is refused, the old one continues to run:\n{painted}");
                (Request::Rejected { problems: error.to_string(), reply }, Err(error))
            }
        };
        self.send(request);
        if done.await.is_err() {
            // The engine ends, and takes no more.
            return std::future::pending().await;
        }
        outcome
    }

    fn send(&self, request: Request) {
        if let Some(requests) = self.requests.upgrade() {
            // If the loop is gone, it has stopped already.
            let _ = requests.send(request);
        }
    }
}
