//! Makes a deploy ready on a host: its documents and files are fetched if they are not there, checked by their hashes,
//! and kept; then its graph is read, with fields that name the files here.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::gapi::deploy::error::{DeployError, moment};
use crate::gapi::deploy::fetch::{Deploys, damaged, of_deploy, read_carried, read_graph, unread};
use crate::gapi::deploy::store::{Documents, Store};
use crate::gapi::failure::Failure;
use crate::graph::{
    Carried, CarriedEntry, CarriedTree, ContentRef, Deploy, GraphConfig, Head, Kinds, Relocation, validate,
};
use crate::id::in_one_line;
use crate::resource::{Why, WorldError};
use crate::sys::task::blocking;

/// A deploy that is ready on this host.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) head: Head,
    pub(super) documents: Documents,
    pub(super) config: GraphConfig,
    /// The deploy in words.
    pub(super) what: String,
}

/// Why a deploy is not ready.
#[derive(Debug)]
pub(super) enum LoadError {
    /// It may be later: the world is away, or the disk is full.
    Later(Why),
    /// The deploy itself is at fault, or this program is too old for it.
    Bad(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Later(why) => why.fmt(f),
            LoadError::Bad(why) => f.write_str(why),
        }
    }
}

impl From<DeployError> for LoadError {
    fn from(error: DeployError) -> LoadError {
        match error {
            DeployError::World(error) => LoadError::Later(Why::from(&error)),
            error => LoadError::Bad(error.to_string()),
        }
    }
}

impl From<Failure> for LoadError {
    fn from(failure: Failure) -> LoadError {
        LoadError::Later(Why::Own(failure.to_string()))
    }
}

/// Where deploys come from, and where they are kept.
#[derive(Clone, Debug)]
pub(super) struct Loader {
    pub(super) deploys: Deploys,
    pub(super) store: Arc<Store>,
    pub(super) kinds: Kinds,
    /// Whether nothing is kept.
    pub(super) looks: bool,
}

fn away() -> LoadError {
    let why = "a part of it is missing here, and the world is not asked".to_owned();
    LoadError::Later(Why::from(&WorldError::Unreachable(why)))
}

impl Loader {
    /// The deploy that came into force last on this host, from what is here alone. `None`: there was none.
    pub(super) async fn last(&self) -> Option<Result<Loaded, LoadError>> {
        let store = Arc::clone(&self.store);
        let head = blocking(move || store.last()).await?;
        Some(self.load(&head, false).await)
    }

    /// The deploy that this head names. `asks`: whether the world is asked for what is not here.
    pub(super) async fn load(&self, head: &Head, asks: bool) -> Result<Loaded, LoadError> {
        let store = Arc::clone(&self.store);
        let sha256 = head.sha256;
        let record = match blocking(move || store.document(&sha256)).await {
            Some(bytes) => bytes,
            None if !asks => return Err(away()),
            None => self.deploys.record(head).await?.1.to_vec(),
        };
        let deploy = Deploy::read(&record).map_err(|error| unread(&head.id, &error))?;
        let graph = self.document(head, &deploy.graph, asks).await?;
        let carried = match &deploy.carried {
            Some(content) => Some(self.document(head, content, asks).await?),
            None => None,
        };
        let (mut data, list) = (read_graph(&head.id, &graph)?, self.list(head, carried.as_deref())?);
        let documents = Documents { record, graph, carried };
        if !self.looks {
            let (store, documents) = (Arc::clone(&self.store), documents.clone());
            blocking(move || store.keep(&documents)).await?;
        }
        let root = self.trees(head, &list, asks).await?;
        list.relocate(&mut data, &Relocation { root: &root }).map_err(|why| damaged(&head.id, why))?;
        let by = in_one_line(&deploy.by);
        let what = format!("deploy {} by {by}, {}", head.id, moment(deploy.at));
        let config =
            data.bind(&self.kinds).and_then(|config| validate(&config).map(|()| config)).map_err(|problems| {
                LoadError::Bad(format!(
                    "{what} can't run here: {problems}; deploy a graph that fits this program, update the program, or \
                 `deploy revert`"
                ))
            })?;
        Ok(Loaded { head: head.clone(), documents, config, what })
    }

    fn list(&self, head: &Head, carried: Option<&[u8]>) -> Result<Carried, DeployError> {
        carried.map_or(Ok(Carried::default()), |bytes| read_carried(&head.id, bytes))
    }

    async fn document(&self, head: &Head, content: &ContentRef, asks: bool) -> Result<Vec<u8>, LoadError> {
        let (store, sha256) = (Arc::clone(&self.store), content.sha256);
        match blocking(move || store.document(&sha256)).await {
            Some(bytes) => Ok(bytes),
            None if !asks => Err(away()),
            None => Ok(self.deploys.content(content).await.map_err(|error| of_deploy(&head.id, error))?),
        }
    }

    /// The directory that has the trees of the deploy.
    async fn trees(&self, head: &Head, list: &Carried, asks: bool) -> Result<std::path::PathBuf, LoadError> {
        let (store, wanted) = (Arc::clone(&self.store), list.clone());
        let found = blocking(move || {
            store.find(&wanted).map_err(|lacking| {
                let known = store.known(&lacking);
                (lacking.into_iter().cloned().collect::<Vec<CarriedTree>>(), known)
            })
        });
        let (lacking, mut contents) = match found.await {
            Ok(root) => return Ok(root),
            Err(lacking) => lacking,
        };
        let files = lacking.iter().flat_map(|tree| &tree.entries).filter_map(|entry| match entry {
            CarriedEntry::File { content, .. } => Some(*content),
            _ => None,
        });
        let missing: BTreeSet<ContentRef> = files.filter(|content| !contents.contains_key(&content.sha256)).collect();
        if !missing.is_empty() {
            if !asks {
                return Err(away());
            }
            contents.extend(self.deploys.contents(&missing).await.map_err(|error| of_deploy(&head.id, error))?);
        }
        let store = Arc::clone(&self.store);
        let made = blocking(move || store.make_trees(&lacking.iter().collect::<Vec<_>>(), &contents));
        Ok(made.await?)
    }
}
