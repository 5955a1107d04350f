//! The graphs of the far end: those that the near end sends, or those that the executable makes by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::gapi::{Channel, Gapi, GapiData, GapiError};
use crate::graph::{ContentId, ContentRef, DEPLOY_BYTES_MAX, GraphConfig, GraphData, Kinds, Problems, validate};
use crate::remote::error::Note;
use crate::remote::far::Failed;
use crate::remote::far_link::{Inbound, Inbox, Outbox};
use crate::remote::message::{Arriving, HowEnded, Part, Sent, ToFar, ToNear};

/// The source of graphs of the engine of a far end.
#[derive(Debug)]
pub(super) struct FarGraphs<G> {
    source: Source<G>,
    /// Whether each graph has come into force.
    accepted: mpsc::UnboundedSender<bool>,
}

#[derive(Debug)]
enum Source<G> {
    Own(G),
    Sent(Channel),
}

impl<G> FarGraphs<G> {
    pub(super) fn new(own: G, sent: Option<Channel>, accepted: mpsc::UnboundedSender<bool>) -> FarGraphs<G> {
        let source = match sent {
            Some(sent) => Source::Sent(sent),
            None => Source::Own(own),
        };
        FarGraphs { source, accepted }
    }
}

impl<G: Gapi> Gapi for FarGraphs<G> {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        match &mut self.source {
            Source::Own(own) => own.init(data).await,
            Source::Sent(sent) => sent.init(data).await,
        }
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        match &mut self.source {
            Source::Own(own) => own.graph().await,
            Source::Sent(sent) => sent.graph().await,
        }
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        match &mut self.source {
            Source::Own(own) => own.switched().await,
            Source::Sent(sent) => sent.switched().await,
        }
    }

    async fn accepted(&mut self, is_accepted: bool) {
        // An error means that the run ends.
        let _ = self.accepted.send(is_accepted);
        if let Source::Own(own) = &mut self.source {
            own.accepted(is_accepted).await;
        }
    }

    async fn reload(&mut self) -> bool {
        match &mut self.source {
            Source::Own(own) => own.reload().await,
            Source::Sent(_) => false,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Own(own) => own.files(),
            Source::Sent(_) => Vec::new(),
        }
    }

    async fn close(&mut self) {
        match &mut self.source {
            Source::Own(own) => own.close().await,
            Source::Sent(sent) => sent.close().await,
        }
    }
}

/// What has become of a graph that is sent.
#[derive(Debug)]
pub(super) enum Step {
    /// These contents are missing.
    Want(Vec<ContentId>),
    Ready(u64, GraphConfig),
    Refused(u64, Vec<Note>),
}

/// Receives graphs: first what they consist of, then the files that are not on this machine yet.
#[derive(Debug)]
pub(super) struct Receiving {
    kinds: Kinds,
    prefix: Option<PathBuf>,
    looks: bool,
    arriving: Arriving,
    /// The graph that is on its way.
    coming: Option<Coming>,
}

#[derive(Debug)]
struct Coming {
    sent: Sent,
    contents: BTreeMap<ContentId, Vec<u8>>,
    work: Option<JoinHandle<Result<GraphConfig, Vec<Note>>>>,
}

impl Coming {
    fn lacks(&self) -> bool {
        let documents = [Some(self.sent.graph), self.sent.carried];
        documents.into_iter().flatten().any(|of: ContentRef| !self.contents.contains_key(&of.sha256))
    }
}

impl Receiving {
    pub(super) fn new(kinds: Kinds, prefix: Option<PathBuf>, looks: bool) -> Receiving {
        Receiving { kinds, prefix, looks, arriving: Arriving::default(), coming: None }
    }

    /// A graph will come. One that is on its way already is dropped: returns its number.
    pub(super) fn begin(&mut self, sent: Sent) -> Option<u64> {
        let coming = Coming { sent, contents: BTreeMap::new(), work: None };
        self.coming.replace(coming).map(|former| former.sent.number)
    }

    /// A part of a content has come.
    pub(super) fn part(&mut self, part: &Part) -> Result<(), String> {
        let Some(bytes) = self.arriving.add(part, DEPLOY_BYTES_MAX)? else { return Ok(()) };
        let Some(coming) = &mut self.coming else { return Ok(()) };
        coming.contents.insert(part.of.sha256, bytes);
        if coming.work.is_none() && !coming.lacks() {
            let bytes = coming.contents.remove(&coming.sent.graph.sha256).unwrap_or_default();
            let kinds = self.kinds.clone();
            coming.work = Some(tokio::task::spawn_blocking(move || read(&bytes, &kinds)));
        }
        Ok(())
    }

    /// What becomes of the graph that is on its way. Cancel safe; never returns if there is none.
    pub(super) async fn next(&mut self) -> Step {
        let Some(Coming { sent, work: Some(work), .. }) = &mut self.coming else { return std::future::pending().await };
        let done = work.await;
        let number = sent.number;
        self.coming = None;
        match done {
            Ok(Ok(config)) => Step::Ready(number, config),
            Ok(Err(notes)) => Step::Refused(number, notes),
            Err(panic) => Step::Refused(number, vec![Note::new(format!("reading the graph failed: {panic}"))]),
        }
    }

    /// The first graph.
    pub(super) async fn first(&mut self, sent: Sent, inbox: &mut Inbox, out: &Outbox) -> Result<GraphConfig, Failed> {
        self.begin(sent);
        loop {
            tokio::select! {
                step = self.next() => match step {
                    Step::Ready(_, config) => return Ok(config),
                    Step::Refused(_, notes) => return Err(Failed::Problems(notes)),
                    Step::Want(wanted) => drop(out.send(&ToNear::Want(wanted)).await),
                },
                inbound = inbox.next() => match inbound {
                    Inbound::Message(ToFar::Part(part)) => self.part(&part).map_err(Failed::Other)?,
                    Inbound::Message(ToFar::Stop(_)) => return Err(Failed::Stopped(HowEnded::Stopped)),
                    Inbound::Message(_) => {}
                    Inbound::Lost(_) => return Err(Failed::Stopped(HowEnded::StoppedThere)),
                },
            }
        }
    }
}

/// The graph that these bytes are.
fn read(bytes: &[u8], kinds: &Kinds) -> Result<GraphConfig, Vec<Note>> {
    let data: GraphData =
        serde_json::from_slice(bytes).map_err(|error| vec![Note::new(format!("the graph can't be read: {error}"))])?;
    let config = data.bind(kinds).and_then(|config| validate(&config).map(|()| config));
    config.map_err(|Problems(problems)| Note::all(&problems))
}
