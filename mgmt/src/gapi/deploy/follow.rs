//! Follows the deploy that a host must have, for as long as an engine runs.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::watch;

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::load::{LoadError, Loaded, Loader};
use crate::gapi::deploy::moving::Running;
use crate::gapi::hosts::WorldView;
use crate::graph::{ContentId, DeployState, Head};
use crate::id::{in_one_line, shortened};
use crate::resource::{Attempts, RefusedDeploy, Revision, Why, WorldEvent};

/// Another deploy, or why there is none.
pub(super) type News = Result<Loaded, String>;

/// The most characters of why a deploy can't run here.
const WHY_CHARS_MAX: usize = 500;

/// Follows the deploy that this host must have.
pub(super) struct Follower {
    pub(super) loader: Loader,
    /// The last one that was made ready, or was found to be bad: it is not reported again.
    pub(super) seen: Option<ContentId>,
    pub(super) news: watch::Sender<Option<Arc<News>>>,
    /// The rollout that is under way.
    pub(super) running: watch::Sender<Option<Running>>,
    pub(super) view: WorldView,
}

/// Why a watch ended.
pub(super) enum Ended {
    Changed,
    /// Changes may have been missed, for this reason.
    Lost(String),
}

/// Other hosts see that this deploy can't run here.
pub(super) fn note_refused(view: &WorldView, head: &Head, why: &str) {
    let (mut refused, why) = (RefusedDeploy::default(), shortened(&in_one_line(why), WHY_CHARS_MAX));
    (refused.deploy, refused.why) = (head.id.to_string(), why);
    view.note_followed(|followed| followed.refused = Some(refused));
}

impl Loader {
    /// Waits until this host may have to have another deploy than at that revision.
    pub(super) async fn changed(&self, after: Revision) -> Ended {
        let mut watch = self.deploys.member.watch(DeployState::rollout_keys(), after);
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
        let (mut attempts, mut is_gone, mut problem) = (Attempts::new("following deploys"), false, None);
        loop {
            let why = match self.loader.deploys.wanted().await {
                Ok(wanted) => {
                    let is_missing = wanted.target.is_none();
                    if is_missing && !std::mem::replace(&mut is_gone, is_missing) {
                        tracing::warn!(target: "mgmt", "the world has no deploy: the last one stays in force here");
                    }
                    is_gone = is_missing;
                    if let Some(why) = wanted.problem.as_ref().filter(|_| problem != wanted.problem) {
                        tracing::error!(target: "mgmt", "a deploy in waves does not count here: {why}");
                    }
                    problem = wanted.problem;
                    self.note_running(wanted.running);
                    match self.take(wanted.target.as_ref()).await {
                        Ok(true) => {
                            attempts.succeeded();
                            match self.loader.changed(wanted.revision).await {
                                Ended::Changed => continue,
                                Ended::Lost(why) => Why::Shared(why),
                            }
                        }
                        Ok(false) => continue,
                        Err(why) => why,
                    }
                }
                Err(error) => Why::from(&error),
            };
            tokio::time::sleep(attempts.failed(&why)).await;
        }
    }

    fn note_running(&self, written: Option<Revision>) {
        self.running.send_if_modified(|running| {
            let is_news = running.as_ref().map(|running| running.written) != written;
            if is_news {
                *running = written.map(Running::since_now);
            }
            is_news
        });
    }

    /// Makes the deploy ready. False: this host must have another one by now.
    async fn take(&mut self, head: Option<&Head>) -> Result<bool, Why> {
        let Some(head) = head.filter(|head| self.seen != Some(head.sha256)) else { return Ok(true) };
        let news = match self.loader.load(head, true).await {
            Ok(loaded) => Ok(loaded),
            Err(LoadError::Later(why)) => return Err(why),
            Err(LoadError::Bad(why)) => {
                // What was fetched may have been removed meanwhile, because newer deploys are there.
                let now = self.loader.deploys.wanted().await.map_err(|error: DeployError| Why::from(&error))?;
                if now.target.as_ref() != Some(head) {
                    return Ok(false);
                }
                note_refused(&self.view, head, &why);
                Err(why)
            }
        };
        self.seen = Some(head.sha256);
        self.news.send_replace(Some(Arc::new(news)));
        Ok(true)
    }
}
