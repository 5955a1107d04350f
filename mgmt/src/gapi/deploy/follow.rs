//! Follows the deploy in force in a world, for as long as an engine runs.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::watch;

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::load::{LoadError, Loaded, Loader};
use crate::graph::{ContentId, Head, head_key};
use crate::resource::{Attempts, Keys, Revision, WorldEvent};

/// Another deploy, or why there is none.
pub(super) type News = Result<Loaded, String>;

/// Follows the deploy in force.
pub(super) struct Follower {
    pub(super) loader: Loader,
    /// The last one that was made ready, or was found to be bad: it is not reported again.
    pub(super) seen: Option<ContentId>,
    pub(super) news: watch::Sender<Option<Arc<News>>>,
}

/// Why a watch ended.
pub(super) enum Ended {
    Changed,
    /// Changes may have been missed, for this reason.
    Lost(String),
}

impl Loader {
    /// Waits until another deploy is in force than at that revision.
    pub(super) async fn changed(&self, after: Revision) -> Ended {
        let mut watch = self.deploys.member.watch(vec![Keys::One(head_key())], after);
        match poll_fn(|cx| watch.as_mut().poll_next(cx)).await {
            Some(WorldEvent::Changed(_)) => Ended::Changed,
            Some(WorldEvent::Lost(why)) => Ended::Lost(why),
            None => Ended::Lost("the watch has ended".to_owned()),
        }
    }
}

impl Follower {
    /// Runs for ever. A world that is away is asked again until it answers.
    pub(super) async fn run(mut self) {
        let (mut attempts, mut is_gone) = (Attempts::new("following deploys"), false);
        loop {
            let why = match self.loader.deploys.head().await {
                Ok((head, snapshot)) => {
                    if head.is_none() && !std::mem::replace(&mut is_gone, head.is_none()) {
                        tracing::warn!(target: "mgmt", "the world has no deploy: the last one stays in force here");
                    }
                    is_gone = head.is_none();
                    match self.take(head.as_ref()).await {
                        Ok(true) => {
                            attempts.succeeded();
                            match self.loader.changed(snapshot.revision).await {
                                Ended::Changed => continue,
                                Ended::Lost(why) => why,
                            }
                        }
                        Ok(false) => continue,
                        Err(why) => why,
                    }
                }
                Err(error) => error.to_string(),
            };
            tokio::time::sleep(attempts.failed(&why)).await;
        }
    }

    /// Makes the deploy ready. False: another one is in force by now.
    async fn take(&mut self, head: Option<&Head>) -> Result<bool, String> {
        let Some(head) = head.filter(|head| self.seen != Some(head.sha256)) else { return Ok(true) };
        let news = match self.loader.load(head, true).await {
            Ok(loaded) => Ok(loaded),
            Err(LoadError::Later(why)) => return Err(why),
            Err(LoadError::Bad(why)) => {
                // What was fetched may have been removed meanwhile, because newer deploys are there.
                let now = self.loader.deploys.head().await.map_err(|error: DeployError| error.to_string())?.0;
                if now.as_ref() != Some(head) {
                    return Ok(false);
                }
                Err(why)
            }
        };
        self.seen = Some(head.sha256);
        self.news.send_replace(Some(Arc::new(news)));
        Ok(true)
    }
}
