//! The graphs that travel to other hosts: made here by their source, packed, and followed.

use std::path::Path;

use tokio::sync::{mpsc, watch};

use crate::cli::report::CommandError;
use crate::cli::session::Session;
use crate::gapi::Gapi;
use crate::graph::{GraphConfig, Kinds};
use crate::remote::Parcel;
use crate::runtime::{EngineError, ForOthers};

/// A graph that has changed here: for the host with this name, or for all.
pub(crate) type Changed = (Option<String>, Result<Parcel, String>);

/// The graphs of a source, ready to travel.
pub(crate) struct Travelling<G> {
    graphs: ForOthers<G>,
    kinds: Kinds,
}

impl<G: Gapi> Travelling<G> {
    /// The first graph, and what makes the next ones.
    pub(crate) async fn begin(
        session: &Session,
        prefix: &Path,
        gapi: G,
    ) -> Result<(Parcel, Travelling<G>), CommandError> {
        let (config, graphs) = session.builder(prefix, gapi)?.for_others().await?;
        let travelling = Travelling { graphs, kinds: session.kinds.clone() };
        match packed(&travelling.kinds, config).await {
            Ok(parcel) => Ok((parcel, travelling)),
            Err(error) => {
                travelling.close().await;
                Err(error)
            }
        }
    }

    /// Sends each further graph of the source. Ends when there will be none, or nothing receives them any more.
    pub(crate) async fn follow(
        mut self,
        host: Option<String>,
        changed: mpsc::Sender<Changed>,
        mut reloads: watch::Receiver<u64>,
    ) {
        let mut is_followed = true;
        loop {
            let is_reload = tokio::select! {
                () = changed.closed() => break,
                wanted = reloads.changed() => match wanted {
                    Ok(()) => true,
                    Err(_) => break,
                },
                switched = self.graphs.changed(), if is_followed => match switched {
                    Some(Ok(())) => false,
                    Some(Err(error)) => {
                        let why = format!("no more graphs: {error}");
                        is_followed = false;
                        if changed.send((host.clone(), Err(why))).await.is_err() {
                            break;
                        }
                        continue;
                    }
                    None => {
                        is_followed = false;
                        continue;
                    }
                },
            };
            let parcel = match self.graphs.again(is_reload).await {
                None => continue,
                Some(Ok(config)) => packed(&self.kinds, config).await.map_err(|error| error.to_string()),
                Some(Err(error)) => Err(refused(&error)),
            };
            if changed.send((host.clone(), parcel)).await.is_err() {
                break;
            }
        }
        self.close().await;
    }

    pub(crate) async fn close(self) {
        self.graphs.close().await;
    }
}

async fn packed(kinds: &Kinds, config: GraphConfig) -> Result<Parcel, CommandError> {
    Parcel::of(config, kinds, &[]).await.map_err(|error| CommandError::Other(error.to_string()))
}

fn refused(error: &EngineError) -> String {
    let painted = error.painted(crate::id::Palette::Plain).to_string();
    format!("the new graph is refused, the old one continues to run:\n{painted}")
}
