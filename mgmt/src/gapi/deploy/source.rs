//! The deploy that a host must have as a source of graphs.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::gapi::contract::{Begun, Gapi, GapiData, GapiError};
use crate::gapi::deploy::error::DeployError;
use crate::gapi::deploy::fetch::Deploys;
use crate::gapi::deploy::follow::{Follower, News, note_refused};
use crate::gapi::deploy::load::{LoadError, Loaded, Loader};
use crate::gapi::deploy::moving::move_rollouts;
use crate::gapi::deploy::store::{Documents, Store};
use crate::gapi::failure::Failure;
use crate::graph::{ContentId, GraphConfig, Head, Kinds};
use crate::resource::{Attempts, READ_MAX, Revision, Why};
use crate::sys::task::blocking;

/// How many deploys of this host are kept: the one in force, and the one before, whose files may still be in use.
const KEPT_MAX: usize = 2;

/// The deploy in force in the world of the engine as a source of graphs. Made by [`deployed`].
#[derive(Debug)]
pub struct DeploySource {
    kinds: Kinds,
    begun: Begun,
    following: Option<Following>,
}

/// A source of the graph that was deployed last to the world of the engine
/// ([`Builder::world`](crate::runtime::Builder::world)). `kinds`: those that it may use.
///
/// Another deploy comes into force at once. One that is damaged, or can't run here, leaves the one before in force, and
/// is reported. If the world is away, also at a start, the deploy that came into force last here stays. Without any
/// deploy, a start waits for the first one.
pub fn deployed(kinds: Kinds) -> DeploySource {
    DeploySource { kinds, begun: Begun::default(), following: None }
}

/// The state of the source after `init`.
#[derive(Debug)]
struct Following {
    data: GapiData,
    loader: Loader,
    /// `None`: not begun.
    news: Option<watch::Receiver<Option<Arc<News>>>>,
    tasks: Vec<JoinHandle<()>>,
    next: Option<Arc<News>>,
    /// The deploy whose graph was handed out last, in words too.
    coming: Option<(Head, Documents, String)>,
    /// Those that have come into force, the last one first.
    in_force: Vec<(Head, Documents)>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the world has, as a start finds it.
enum Found {
    Deploy(Head),
    /// None, as of this revision.
    None(Revision),
    /// Not readable, for this reason.
    Unread(Why),
}

impl Following {
    fn end(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    async fn found(&self) -> Found {
        match tokio::time::timeout(READ_MAX, self.loader.deploys.wanted()).await {
            Err(_) => Found::Unread(Why::Shared(format!("no answer within {READ_MAX:?}"))),
            Ok(Ok(wanted)) => wanted.target.map_or(Found::None(wanted.revision), Found::Deploy),
            Ok(Err(error)) => Found::Unread(Why::from(&error)),
        }
    }

    /// The last deploy of this host, if it is there as a whole. Reports why it is used.
    async fn last(&self, why: &str) -> Option<Loaded> {
        match self.loader.last().await? {
            Ok(loaded) => {
                tracing::warn!(target: "mgmt", "{why}: {}, the last one here, is in force", loaded.what);
                Some(loaded)
            }
            Err(error) => {
                tracing::error!(target: "mgmt", "the last deploy of this host can't be used: {error}");
                None
            }
        }
    }

    /// The first graph, and the deploy that need not be looked at again.
    async fn first(&self) -> Result<(Loaded, ContentId), Failure> {
        let mut attempts = Attempts::new("reading the deploy in force");
        let mut is_reported = false;
        loop {
            let why = match self.found().await {
                Found::Deploy(head) => match self.loader.load(&head, true).await {
                    Ok(loaded) => return Ok((loaded, head.sha256)),
                    Err(LoadError::Bad(why)) => {
                        note_refused(self.data.world(), &head, &why);
                        let last = self.last(&why).await.ok_or(why)?;
                        return Ok((last, head.sha256));
                    }
                    Err(LoadError::Later(why)) => why,
                },
                Found::None(revision) => {
                    if let Some(loaded) = self.last("the world has no deploy").await {
                        let seen = loaded.head.sha256;
                        return Ok((loaded, seen));
                    }
                    if self.data.looks {
                        return Err("there is no deploy yet: publish one with `deploy`".into());
                    }
                    if !std::mem::replace(&mut is_reported, true) {
                        tracing::info!(target: "mgmt", "there is no deploy yet: waiting for the first one");
                    }
                    match self.loader.changed(revision).await {
                        true => continue,
                        false => Why::Shared("changes of it may have been missed".to_owned()),
                    }
                }
                Found::Unread(why) => why,
            };
            if let Some(loaded) = self.last(&format!("the deploy in force can't be read: {why}")).await {
                let seen = loaded.head.sha256;
                return Ok((loaded, seen));
            }
            if self.data.looks {
                return Err(format!("the deploy in force can't be read: {why}").into());
            }
            tokio::time::sleep(attempts.failed(&why)).await;
        }
    }

    /// Begins to follow the world.
    fn follow(&mut self, seen: ContentId) {
        let (news, receiver) = watch::channel(None);
        self.news = Some(receiver);
        if !self.data.no_watch {
            let (running, rollouts) = watch::channel(None);
            let view = self.data.world().clone();
            let follower = Follower { loader: self.loader.clone(), seen: Some(seen), news, running, view };
            self.tasks.push(tokio::spawn(follower.run()));
            // In noop nothing is written to the world.
            if !self.data.noop {
                self.tasks.push(tokio::spawn(move_rollouts(self.loader.deploys.clone(), rollouts)));
            }
        }
    }

    /// The deploy in force in the world, read now.
    async fn now(&self) -> Result<Loaded, Failure> {
        match self.found().await {
            Found::Deploy(head) => self.loader.load(&head, true).await.map_err(|error| error.to_string().into()),
            Found::None(_) => Err("the world has no deploy".into()),
            Found::Unread(why) => Err(format!("the deploy in force can't be read: {why}").into()),
        }
    }

    fn hand_out(&mut self, loaded: &Loaded) -> GraphConfig {
        self.coming = Some((loaded.head.clone(), loaded.documents.clone(), loaded.what.clone()));
        loaded.config.clone()
    }
}

impl Gapi for DeploySource {
    fn travels(&self) -> bool {
        true
    }

    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        self.begun.begin()?;
        let member = data.world().member().cloned().ok_or_else(|| Failure::from_error(DeployError::NoWorld))?;
        let (prefix, looks) = (data.prefix.clone(), data.looks);
        let opened = blocking(move || if looks { Store::looking(&prefix) } else { Store::open(&prefix) });
        let (store, kinds) = (Arc::new(opened.await?), self.kinds.clone());
        let loader = Loader { deploys: Deploys::of(member), store, kinds, looks };
        let (news, tasks, next, coming, in_force) = (None, Vec::new(), None, None, Vec::new());
        self.following = Some(Following { data, loader, news, tasks, next, coming, in_force });
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        self.begun.has()?;
        let Some(following) = &mut self.following else {
            return Err(GapiError::Failed("asked for a graph before it was initialised".into()));
        };
        following.coming = None;
        if following.news.is_none() {
            let (loaded, seen) = following.first().await?;
            following.follow(seen);
            return Ok(following.hand_out(&loaded));
        }
        match following.next.take() {
            Some(news) => match &*news {
                Ok(loaded) => Ok(following.hand_out(loaded)),
                Err(why) => Err(GapiError::Failed(why.clone().into())),
            },
            None => {
                let loaded = following.now().await?;
                Ok(following.hand_out(&loaded))
            }
        }
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        let following = self.following.as_mut()?;
        let news = following.news.as_mut()?;
        // An error means that nothing is followed.
        news.changed().await.ok()?;
        following.next = news.borrow_and_update().clone();
        Some(Ok(()))
    }

    async fn accepted(&mut self, is_accepted: bool) {
        let Some(following) = &mut self.following else { return };
        let Some((head, documents, what)) = following.coming.take() else { return };
        if !is_accepted {
            note_refused(
                following.data.world(),
                &head,
                "its graph is refused there: the log of that host has the reasons",
            );
            tracing::error!(target: "mgmt", "{what} is refused here, and the one before stays in force: deploy another graph, or `deploy revert`");
            return;
        }
        following.data.world().note_followed(|followed| {
            followed.deploy = Some(head.id.to_string());
            followed.refused = None;
        });
        following.in_force.retain(|(other, _)| *other != head);
        following.in_force.insert(0, (head.clone(), documents));
        following.in_force.truncate(KEPT_MAX);
        let (store, kept) = (Arc::clone(&following.loader.store), following.in_force.clone());
        let noted = blocking(move || {
            store.note(&head)?;
            store.clean(&kept);
            Ok::<_, Failure>(())
        });
        if let Err(error) = noted.await {
            tracing::error!(target: "mgmt", "{error}: without the world, this host will start with an earlier deploy");
        }
    }

    /// Always true: the deploy in force is read again.
    async fn reload(&mut self) -> bool {
        true
    }

    async fn close(&mut self) {
        if let Some(following) = &mut self.following {
            following.end();
        }
    }
}
