//! Receives graphs at the far end: first what they consist of, then the files that are not on this machine yet. What was
//! received is checked by its hash, and the files of the last two graphs stay.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::task::JoinHandle;

use crate::gapi::{Failure, Hold, Stowed};
use crate::graph::{
    Carried, ContentId, ContentRef, DEPLOY_BYTES_MAX, GraphConfig, GraphData, Kinds, Problems, Relocation,
    relocate_graph, validate,
};
use crate::remote::error::Note;
use crate::remote::far::Failed;
use crate::remote::far_link::{Inbound, Inbox, Outbox};
use crate::remote::message::{Arriving, HowEnded, Part, Sent, ToFar, ToNear};
use crate::sys::task::blocking;
use crate::sys::threads::in_background;

/// The most bytes that are on their way at once: the graph, the list of its files, and these.
const ARRIVING_BYTES_MAX: u64 = 2 * DEPLOY_BYTES_MAX;
/// The graphs whose files stay: the one in force and the one before, which may still be in use.
const KEPT_MAX: usize = 2;

/// The files of a graph that have travelled, at their places here.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    carried: Carried,
    root: PathBuf,
    on_hosts: Vec<PathBuf>,
}

impl Placed {
    /// Lets a graph that was made here name the files at their places here.
    pub(super) fn relocate(&self, config: &mut GraphConfig, kinds: &Kinds) -> Result<(), Problems> {
        relocate_graph(config, &self.carried, kinds, &Relocation { root: &self.root }, &self.on_hosts)
    }
}

/// A graph that has come, or files for those that the executable makes by itself.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) number: u64,
    pub(super) config: Option<GraphConfig>,
    pub(super) placed: Placed,
}

/// What has become of a graph that is sent.
#[derive(Debug)]
pub(super) enum Step {
    /// These contents are missing.
    Want(Vec<ContentId>),
    Ready(Box<Arrived>),
    Refused(u64, Vec<Note>),
}

/// The outcome of the work on a thread of its own.
#[derive(Debug)]
enum Worked {
    Lacking(Vec<ContentId>, BTreeMap<ContentId, Vec<u8>>),
    Ready(Box<Arrived>),
    Refused(Vec<Note>),
}

/// The graphs that are sent.
#[derive(Debug)]
pub(super) struct Receiving {
    kinds: Kinds,
    prefix: Option<PathBuf>,
    looks: bool,
    /// Opened when the first files come.
    hold: Arc<OnceLock<Hold>>,
    arriving: Arriving,
    /// The graph that is on its way.
    coming: Option<Coming>,
    /// The files of graphs that are ready but not in force yet, and those of the last ones in force.
    ready: BTreeMap<u64, Carried>,
    in_force: VecDeque<Carried>,
}

#[derive(Debug)]
struct Coming {
    sent: Sent,
    contents: BTreeMap<ContentId, Vec<u8>>,
    wanted: Vec<ContentId>,
    work: Option<JoinHandle<Worked>>,
}

impl Coming {
    fn lacks(&self) -> bool {
        let documents = [self.sent.graph, self.sent.carried].into_iter().flatten().map(|of: ContentRef| of.sha256);
        documents.chain(self.wanted.iter().copied()).any(|id| !self.contents.contains_key(&id))
    }
}

impl Receiving {
    pub(super) fn new(kinds: Kinds, prefix: Option<PathBuf>, looks: bool) -> Receiving {
        let (hold, arriving, coming) = (Arc::default(), Arriving::default(), None);
        let (ready, in_force) = (BTreeMap::new(), VecDeque::new());
        Receiving { kinds, prefix, looks, hold, arriving, coming, ready, in_force }
    }

    /// A graph will come. One that is on its way already is dropped: returns its number.
    pub(super) fn begin(&mut self, sent: Sent) -> Option<u64> {
        let coming = Coming { sent, contents: BTreeMap::new(), wanted: Vec::new(), work: None };
        let former = self.coming.replace(coming).map(|former| former.sent.number);
        // Parts of the former one that are still to come are of no use, and begin from nothing.
        self.arriving = Arriving::default();
        // A graph without a content of its own needs nothing.
        self.work();
        former
    }

    /// A part of a content has come.
    pub(super) fn part(&mut self, part: &Part) -> Result<(), String> {
        let Some(bytes) = self.arriving.add(part, ARRIVING_BYTES_MAX)? else { return Ok(()) };
        if let Some(coming) = &mut self.coming {
            coming.contents.insert(part.of.sha256, bytes);
        }
        self.work();
        Ok(())
    }

    /// Begins to work on the graph if all of it is there that was asked for.
    fn work(&mut self) {
        let Some(coming) = &mut self.coming else { return };
        if coming.work.is_some() || coming.lacks() {
            return;
        }
        let (sent, contents, kinds) = (coming.sent.clone(), std::mem::take(&mut coming.contents), self.kinds.clone());
        let (hold, prefix, looks) = (Arc::clone(&self.hold), self.prefix.clone(), self.looks);
        coming.work = Some(tokio::spawn(blocking(move || {
            let open = || Hold::open(prefix.as_deref(), looks);
            arrive(&hold, open, sent, contents, &kinds).unwrap_or_else(Worked::Refused)
        })));
    }

    /// What becomes of the graph that is on its way. Cancel safe; never returns if there is nothing to do for it.
    pub(super) async fn next(&mut self) -> Step {
        loop {
            let Some(coming) = &mut self.coming else { return std::future::pending().await };
            let Some(work) = &mut coming.work else { return std::future::pending().await };
            let worked = work.await;
            coming.work = None;
            let number = coming.sent.number;
            match worked {
                Ok(Worked::Lacking(wanted, contents)) => {
                    coming.contents.extend(contents);
                    coming.wanted = wanted;
                    // Some may have come meanwhile, for the graph before.
                    let missing = coming.wanted.iter().copied().filter(|id| !coming.contents.contains_key(id));
                    let missing: Vec<ContentId> = missing.collect();
                    if !missing.is_empty() {
                        return Step::Want(missing);
                    }
                    self.work();
                }
                Ok(Worked::Ready(arrived)) => {
                    self.coming = None;
                    self.ready.insert(number, arrived.placed.carried.clone());
                    return Step::Ready(arrived);
                }
                Ok(Worked::Refused(notes)) => {
                    self.coming = None;
                    return Step::Refused(number, notes);
                }
                Err(panic) => {
                    self.coming = None;
                    return Step::Refused(number, vec![Note::new(format!("reading the graph failed: {panic}"))]);
                }
            }
        }
    }

    /// The first graph.
    pub(super) async fn first(&mut self, sent: Sent, inbox: &mut Inbox, out: &Outbox) -> Result<Box<Arrived>, Failed> {
        self.begin(sent);
        loop {
            tokio::select! {
                step = self.next() => match step {
                    Step::Ready(arrived) => return Ok(arrived),
                    Step::Refused(_, notes) => return Err(Failed::Problems(notes)),
                    // The near end is gone if this fails, which the inbox reports.
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

    /// Whether the graph with this number has come into force: files that no graph needs any more are removed.
    pub(super) fn accepted(&mut self, number: u64, is_accepted: bool) {
        let carried = self.ready.remove(&number);
        // What has come before and was never in force is not needed either.
        self.ready.retain(|other, _| *other > number);
        if let (true, Some(carried)) = (is_accepted, carried) {
            self.in_force.push_front(carried);
            self.in_force.truncate(KEPT_MAX);
        }
        if self.looks || !self.ready.is_empty() || self.coming.is_some() || self.hold.get().is_none() {
            return;
        }
        let (hold, kept) = (Arc::clone(&self.hold), self.in_force.clone());
        in_background(move || {
            if let Some(hold) = hold.get() {
                hold.clean(&kept);
            }
        });
    }
}

/// Makes of the contents what can be made. Blocks.
fn arrive(
    hold: &OnceLock<Hold>,
    open: impl FnOnce() -> Result<Hold, Failure>,
    sent: Sent,
    mut contents: BTreeMap<ContentId, Vec<u8>>,
    kinds: &Kinds,
) -> Result<Worked, Vec<Note>> {
    let wrong = |why: String| vec![Note::new(why)];
    let Sent { number, graph, carried, on_hosts } = sent;
    let content = |of: Option<ContentRef>| of.and_then(|of| contents.get(&of.sha256));
    let carried = match content(carried) {
        Some(bytes) => Carried::read(bytes).map_err(wrong)?,
        None => Carried::default(),
    };
    let data = content(graph).map(|bytes| serde_json::from_slice::<GraphData>(bytes));
    let data = data.transpose().map_err(|error| wrong(format!("the graph can't be read: {error}")))?;
    let mut root = PathBuf::new();
    if !carried.trees.is_empty() {
        let hold = match hold.get() {
            Some(hold) => hold,
            None => {
                let new = open().map_err(|error| wrong(error.to_string()))?;
                hold.get_or_init(|| new)
            }
        };
        match hold.stow(&carried, &mut contents).map_err(|error| wrong(error.to_string()))? {
            Stowed::There(there) => root = there,
            Stowed::Lacking(wanted) => return Ok(Worked::Lacking(wanted, contents)),
        }
    }
    let config = match data {
        None => None,
        Some(mut data) => {
            carried.relocate(&mut data, &Relocation { root: &root }).map_err(wrong)?;
            let config = data.bind(kinds).and_then(|config| validate(&config).map(|()| config));
            Some(config.map_err(|Problems(problems)| Note::all(&problems))?)
        }
    };
    Ok(Worked::Ready(Box::new(Arrived { number, config, placed: Placed { carried, root, on_hosts } })))
}
