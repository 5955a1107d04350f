//! The graphs that travel to other hosts: made here by their source, packed, and followed.

use std::fmt;
use std::path::Path;

use tokio::sync::{mpsc, watch};

use crate::cli::remote::latest::Latest;
use crate::cli::report::CommandError;
use crate::cli::session::Session;
use crate::gapi::Gapi;
use crate::id::Palette;
use crate::remote::{Parcel, RemoteError};
use crate::runtime::ForOthers;

/// A graph that has changed here: for the host with this name, or for all.
pub(crate) type Changed = (Option<String>, Result<Parcel, String>);

/// The graphs of a source, ready to travel.
pub(crate) struct Travelling<G> {
    graphs: ForOthers<G>,
    latest: Latest,
}

impl<G: Gapi> Travelling<G> {
    /// The first graph, and what makes the next ones. `follows`: also when only a file that it reads here changes.
    pub(crate) async fn begin(
        session: &Session,
        prefix: &Path,
        gapi: G,
        follows: bool,
    ) -> Result<(Parcel, Travelling<G>), CommandError> {
        let (config, graphs) = session.builder(prefix, gapi)?.for_others().await?;
        let mut travelling = Travelling { graphs, latest: Latest::new(config, session.kinds.clone(), follows) };
        match travelling.latest.packed().await {
            Ok(parcel) => Ok((parcel, travelling)),
            Err(error) => {
                travelling.close().await;
                Err(CommandError::Other(error.to_string()))
            }
        }
    }

    /// Sends each further graph of the source, and each change of the files. Ends when there will be none, or nothing
    /// receives them any more.
    pub(crate) async fn follow(
        mut self,
        host: Option<String>,
        changed: mpsc::Sender<Changed>,
        mut reloads: watch::Receiver<u64>,
    ) {
        let mut is_followed = true;
        loop {
            // A graph that has changed too decides which files are read.
            let next = tokio::select! {
                biased;
                () = changed.closed() => break,
                wanted = reloads.changed() => match wanted {
                    Ok(()) => self.again(true).await,
                    Err(_) => break,
                },
                switched = self.graphs.changed(), if is_followed => match switched {
                    Some(Ok(())) => self.again(false).await,
                    Some(Err(error)) => {
                        is_followed = false;
                        Some(Err(format!("no more graphs: {error}")))
                    }
                    None => {
                        is_followed = false;
                        None
                    }
                },
                () = self.latest.changed() => self.with_other_files().await,
            };
            if let Some(next) = next
                && changed.send((host.clone(), next)).await.is_err()
            {
                break;
            }
        }
        self.close().await;
    }

    /// The graph as the source makes it now. `None`: it is the one before, with the same files.
    async fn again(&mut self, is_reload: bool) -> Option<Result<Parcel, String>> {
        match self.graphs.again(is_reload).await {
            None => self.with_other_files().await,
            Some(Ok(config)) => {
                self.latest.replace(config);
                Some(self.latest.packed().await.map_err(|error| refused(&error)))
            }
            Some(Err(error)) => Some(Err(refused(&error.painted(Palette::Plain)))),
        }
    }

    /// The graph with the files as they are now. `None`: nothing must be sent.
    async fn with_other_files(&mut self) -> Option<Result<Parcel, String>> {
        let kept =
            |error: RemoteError| format!("the files of the graph are not sent, the old ones stay there: {error}");
        Some(self.latest.packed_again().await?.map_err(kept))
    }

    pub(crate) async fn close(self) {
        self.graphs.close().await;
    }
}

fn refused(error: &dyn fmt::Display) -> String {
    format!("the new graph is refused, the old one continues to run:\n{error}")
}
