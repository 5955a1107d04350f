//! Follows the deploy that a host must have, for as long as an engine runs.

use std::sync::Arc;

use tokio::sync::watch;

use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::fetch::Wanted;
use crate::gapi::deploy::load::{LoadError, Loaded, Loader};
use crate::gapi::deploy::moving::Running;
use crate::gapi::hosts::WorldView;
use crate::graph::{ContentId, DeployState, Head};
use crate::id::{in_one_line, shortened};
use crate::resource::{Attempts, Fed, Feed, Followed, Following, RefusedDeploy, Revision, Snapshot, Why};

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

/// Other hosts see that this deploy can't run here.
pub(super) fn note_refused(view: &WorldView, head: &Head, why: &str) {
    let (mut refused, why) = (RefusedDeploy::default(), shortened(&in_one_line(why), WHY_CHARS_MAX));
    (refused.deploy, refused.why) = (head.id.to_string(), why);
    view.note_followed(|followed| followed.refused = Some(refused));
}

impl Loader {
    /// Waits until this host may have to have another deploy than at that revision. False: changes may have been
    /// missed.
    pub(super) async fn changed(&self, after: Revision) -> bool {
        let member = Arc::clone(&self.deploys.member);
        let mut feed = Feed::new(member, DeployState::rollout_keys(), Attempts::unreported());
        feed.resume(after);
        !matches!(feed.next().await, Fed::Failed(_))
    }
}

impl Follower {
    /// Runs for ever. A world that is away is asked again until it answers.
    pub(super) async fn run(mut self) {
        let (member, keys) = (Arc::clone(&self.loader.deploys.member), DeployState::rollout_keys());
        let mut following = Following::new(member, keys, Attempts::new("following deploys"));
        let mut attempts = Attempts::new("making a deploy ready");
        let (mut is_gone, mut problem) = (false, None);
        loop {
            if let Followed::Failed(pause) = following.next().await {
                tokio::time::sleep(pause).await;
                continue;
            }
            // A deploy that can't be loaded now is loaded later, unless another one has come meanwhile.
            while let Err(why) = self.look(following.state(), &mut is_gone, &mut problem).await {
                let pause = attempts.failed(&why);
                match tokio::time::timeout(pause, following.next()).await {
                    Ok(Followed::Changed) | Err(_) => {}
                    Ok(Followed::Failed(pause)) => tokio::time::sleep(pause).await,
                }
            }
            attempts.succeeded();
        }
    }

    /// Makes the deploy ready that this host must have.
    async fn look(&mut self, state: &Snapshot, is_gone: &mut bool, problem: &mut Option<String>) -> Result<(), Why> {
        let host = self.loader.deploys.member.host();
        let wanted = Wanted::of(state, host).map_err(|error| Why::from(&error))?;
        let is_missing = wanted.target.is_none();
        if is_missing && !std::mem::replace(is_gone, is_missing) {
            tracing::warn!(target: "mgmt", "the world has no deploy: the last one stays in force here");
        }
        *is_gone = is_missing;
        if let Some(why) = wanted.problem.as_ref().filter(|_| *problem != wanted.problem) {
            tracing::error!(target: "mgmt", "a deploy in waves does not count here: {why}");
        }
        *problem = wanted.problem;
        self.note_running(wanted.running);
        self.take(wanted.target.as_ref()).await
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

    /// Makes the deploy ready. One that this host no longer must have by then is left out: the change comes.
    async fn take(&mut self, head: Option<&Head>) -> Result<(), Why> {
        let Some(head) = head.filter(|head| self.seen != Some(head.sha256)) else { return Ok(()) };
        let news = match self.loader.load(head, true).await {
            Ok(loaded) => Ok(loaded),
            Err(LoadError::Later(why)) => return Err(why),
            Err(LoadError::Bad(why)) => {
                // What was fetched may have been removed meanwhile, because newer deploys are there.
                let now = self.loader.deploys.wanted().await.map_err(|error: DeployError| Why::from(&error))?;
                if now.target.as_ref() != Some(head) {
                    return Ok(());
                }
                note_refused(&self.view, head, &why);
                Err(why)
            }
        };
        self.seen = Some(head.sha256);
        self.news.send_replace(Some(Arc::new(news)));
        Ok(())
    }
}
