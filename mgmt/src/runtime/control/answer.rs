//! The answers to requests. What is large is asked of the loop in slices, each after the client has read the one
//! before, and is put together here, on no time of the loop.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::line::{In, Out};
use super::pattern::Pattern;
use super::protocol::{Ask, EdgeReport, Reply, ResourceReport, WhyReport};
use super::recall::{report, story};
use super::serve::{Quits, Reach, has_quit};
use crate::graph::GraphConfig;
use crate::id::ResourceId;
use crate::resource::PrivateDirs;
use crate::runtime::drive::Request;
use crate::runtime::error::EngineError;
use crate::runtime::events::Events;
use crate::runtime::history::{Remembered, shorten, shortened};
use crate::runtime::inspect::{OWED_MAX, Overview, since};
use crate::sys::task::blocking;

/// The loop reports on at most this many resources at a time.
const SLICE: usize = 256;
/// At most this many edges of each direction are listed.
const EDGES_MAX: usize = 200;
/// At most this many events of a resource are listed.
const STORY_MAX: usize = 50;

/// Why a request is not answered.
enum Failure {
    /// The client gets a text.
    Refused(String),
    /// The client does not read, or has gone.
    Gone(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Gone(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        let mut text = error.to_string();
        shortened(&mut text);
        Failure::Refused(text)
    }
}

/// Answers one request.
///
/// # Errors
/// The client does not read, or has gone.
pub(super) async fn answer<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reach: &Reach,
    ask: Ask,
    lines: &mut In<R>,
    out: &mut Out<W>,
    quits: &mut Quits,
) -> io::Result<()> {
    let answered = async {
        match ask {
            Ask::Status { names, kind, failed } => {
                status(reach, &Pattern::new(&names, kind.as_deref()), failed, out).await
            }
            Ask::Names { names, kind } => listed(reach, &Pattern::new(&names, kind.as_deref()), out).await,
            Ask::Why { id } => why(reach, &id, out).await,
            Ask::Events { names, kind, last, follow } => {
                let pattern = Pattern::new(&names, kind.as_deref());
                events(reach, &pattern, last, follow, (&mut *lines, &mut *out, &mut *quits)).await
            }
            Ask::Pause { idle } => pause(reach, idle, (&mut *lines, &mut *out, &mut *quits)).await,
            Ask::Resume => {
                reach.ask(Request::Resume).await?;
                Ok(Reply::Done { count: 0, paused: false })
            }
            Ask::Poke { names } => poke(reach, &names).await,
            Ask::Reload => {
                reach.reload().await?;
                let paused = reach.ask(Request::Overview).await?.report.paused;
                Ok(Reply::Done { count: 0, paused })
            }
        }
    };
    match answered.await {
        Ok(done) => out.line(&done).await,
        Err(Failure::Refused(error)) => out.line(&Reply::Refused { error }).await,
        Err(Failure::Gone(error)) => Err(error),
    }
}

/// The selected places of a graph. Comparing many names takes time.
async fn places(pattern: &Pattern, config: &Arc<GraphConfig>) -> Result<Vec<u32>, Failure> {
    let (pattern, config) = (pattern.clone(), Arc::clone(config));
    blocking(move || pattern.places(&config)).await.map_err(Failure::Refused)
}

fn ids(config: &GraphConfig, places: &[u32]) -> Vec<ResourceId> {
    places.iter().map(|at| config.vertices[*at as usize].id()).collect()
}

/// Completes a report of the loop with what is found outside of it.
struct Completion {
    now: Duration,
    events: Vec<Remembered>,
    /// The places of the events of each resource.
    of: HashMap<ResourceId, Vec<usize>>,
    dirs: PrivateDirs,
    existing: HashSet<PathBuf>,
}

impl Completion {
    async fn new(reach: &Reach, now: Duration) -> Result<Completion, Failure> {
        let events = reach.ask(|reply| Request::Recall { follow: false, reply }).await?.events;
        let mut of: HashMap<ResourceId, Vec<usize>> = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            if let Some(id) = event.kind.id() {
                of.entry(id.clone()).or_default().push(at);
            }
        }
        let prefix = reach.prefix.clone();
        let (dirs, existing) = blocking(move || PrivateDirs::open(&prefix, false)).await;
        Ok(Completion { now, events, of, dirs, existing: existing.into_iter().map(|dir| dir.path).collect() })
    }

    fn complete(&self, report: &mut ResourceReport) {
        let of = self.of.get(&report.id).map_or(&[][..], Vec::as_slice);
        if report.since.is_none() {
            report.since = since(&report.state, of.iter().map(|at| &self.events[*at]), self.now);
        }
        report.dir = self.dirs.find(&report.id, &self.existing);
    }
}

async fn status<W: AsyncWrite + Unpin>(
    reach: &Reach,
    pattern: &Pattern,
    failed: bool,
    out: &mut Out<W>,
) -> Result<Reply, Failure> {
    let Overview { report, config } = reach.ask(Request::Overview).await?;
    let (now, paused) = (report.up, report.paused);
    let places = places(pattern, &config).await?;
    let completion = Completion::new(reach, now).await?;
    out.line(&Reply::Engine(Box::new(report))).await?;
    let mut count = 0;
    for slice in places.chunks(SLICE) {
        let ids = ids(&config, slice);
        for mut report in reach.ask(|reply| Request::Inspect { ids, failed, reply }).await? {
            completion.complete(&mut report);
            out.line(&Reply::Resource(Box::new(report))).await?;
            count += 1;
        }
    }
    Ok(Reply::Done { count, paused })
}

async fn listed<W: AsyncWrite + Unpin>(reach: &Reach, pattern: &Pattern, out: &mut Out<W>) -> Result<Reply, Failure> {
    let Overview { report, config } = reach.ask(Request::Overview).await?;
    let places = places(pattern, &config).await?;
    for at in &places {
        out.line(&Reply::Name { id: config.vertices[*at as usize].id() }).await?;
    }
    Ok(Reply::Done { count: places.len() as u64, paused: report.paused })
}

async fn why<W: AsyncWrite + Unpin>(reach: &Reach, id: &ResourceId, out: &mut Out<W>) -> Result<Reply, Failure> {
    let Overview { report, config } = reach.ask(Request::Overview).await?;
    let (now, paused) = (report.up, report.paused);
    let completion = Completion::new(reach, now).await?;
    let wanted = vec![id.clone()];
    let found = reach.ask(|reply| Request::Inspect { ids: wanted, failed: false, reply }).await?.pop();
    let resource = match found {
        Some(mut found) => {
            completion.complete(&mut found);
            found
        }
        // It has left the graph, and is remembered.
        None if completion.of.contains_key(id) => ResourceReport::gone(id.clone()),
        None => {
            places(&Pattern::new(&[String::from(id.clone())], None), &config).await?;
            ResourceReport::gone(id.clone())
        }
    };
    let (of, edges) = (id.clone(), Arc::clone(&config));
    let (mut after, mut before) = blocking(move || Neighbours::of(&edges, &of)).await;
    let parents: HashSet<ResourceId> = after.edges.iter().map(|edge| edge.id.clone()).collect();
    for neighbours in [&mut after, &mut before] {
        neighbours.set_states(reach).await?;
    }
    let debts = reach.ask(|reply| Request::Debts(id.clone(), reply)).await?;
    let why = WhyReport {
        resource,
        events: story(&completion.events, id, &parents, now, STORY_MAX),
        after: after.edges,
        after_more: after.more,
        before: before.edges,
        before_more: before.more,
        owed_by: debts.by,
        owes: debts.to,
    };
    out.line(&Reply::Engine(Box::new(report))).await?;
    out.line(&Reply::Why(Box::new(why))).await?;
    Ok(Reply::Done { count: 1, paused })
}

impl ResourceReport {
    fn gone(id: ResourceId) -> ResourceReport {
        ResourceReport {
            id,
            state: "gone".to_owned(),
            by: Vec::new(),
            since: None,
            operation: None,
            changes: Vec::new(),
            error: None,
            waits_for: None,
            next_try: None,
            next_poll: None,
            dir: None,
            at: String::new(),
        }
    }
}

/// The edges of a resource in one direction.
#[derive(Default)]
struct Neighbours {
    edges: Vec<EdgeReport>,
    more: usize,
}

impl Neighbours {
    /// The edges to and from a resource.
    fn of(config: &GraphConfig, id: &ResourceId) -> (Neighbours, Neighbours) {
        let (mut after, mut before) = (Neighbours::default(), Neighbours::default());
        let is = |vertex: &&crate::graph::Vertex| {
            vertex.resource.spec().kind == id.kind.as_str() && vertex.resource.name() == id.name
        };
        let Some(place) = config.vertices.iter().position(|vertex| is(&vertex)) else { return (after, before) };
        let place = place as u32;
        let fields = |from: u32, to: u32| {
            let links = config.links.iter().filter(|link| link.to == to);
            let links = links.filter(|link| link.sources.iter().any(|(sender, _)| *sender == from));
            let spec = config.vertices[to as usize].resource.spec();
            links.map(|link| spec.fields[usize::from(link.field)].name.to_owned()).collect::<Vec<_>>()
        };
        for edge in config.edges.iter().filter(|edge| edge.to == place || edge.from == place) {
            let (side, other) = if edge.to == place { (&mut after, edge.from) } else { (&mut before, edge.to) };
            if side.edges.len() >= EDGES_MAX {
                side.more += 1;
                continue;
            }
            side.edges.push(EdgeReport {
                id: config.vertices[other as usize].id(),
                state: String::new(),
                notify: config.refreshes(edge),
                fields: fields(edge.from, edge.to),
                at: edge.origin.to_string(),
            });
        }
        (after, before)
    }

    async fn set_states(&mut self, reach: &Reach) -> Result<(), Failure> {
        let ids: Vec<ResourceId> = self.edges.iter().map(|edge| edge.id.clone()).collect();
        let reports = reach.ask(|reply| Request::Inspect { ids, failed: false, reply }).await?;
        let states: HashMap<ResourceId, String> = reports.into_iter().map(|report| (report.id, report.state)).collect();
        for edge in &mut self.edges {
            edge.state = states.get(&edge.id).cloned().unwrap_or_else(|| "gone".to_owned());
        }
        Ok(())
    }
}

/// Both ends of a connection, and the end of the engine.
type Ends<'a, R, W> = (&'a mut In<R>, &'a mut Out<W>, &'a mut Quits);

async fn events<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reach: &Reach,
    pattern: &Pattern,
    last: Option<usize>,
    follows: bool,
    ends: Ends<'_, R, W>,
) -> Result<Reply, Failure> {
    let Overview { report: engine, config } = reach.ask(Request::Overview).await?;
    let recalled = reach.ask(|reply| Request::Recall { follow: follows, reply }).await?;
    let fits = |event: &Remembered| is_wanted(pattern, event);
    let found: Vec<&Remembered> = recalled.events.iter().filter(|event| fits(event)).collect();
    if found.is_empty() {
        // A name that selects nothing is a mistake.
        places(pattern, &config).await?;
    }
    let first = found.len().saturating_sub(last.unwrap_or(usize::MAX));
    let (now, paused) = (engine.up, engine.paused);
    let (lines, out, quits) = ends;
    out.line(&Reply::Engine(Box::new(engine))).await?;
    for event in &found[first..] {
        out.line(&Reply::Event(Box::new(report(event, now)))).await?;
    }
    let mut count = (found.len() - first) as u64;
    if let Some(more) = recalled.more {
        out.flush().await?;
        count += follow(more, pattern, (lines, out, quits)).await?;
    }
    Ok(Reply::Done { count, paused })
}

fn is_wanted(pattern: &Pattern, event: &Remembered) -> bool {
    use crate::runtime::event::EventKind;
    match &*event.kind {
        _ if pattern.is_all() => true,
        EventKind::Owed { from, to } | EventKind::Sent { from, to } => pattern.fits(from) || pattern.fits(to),
        kind => kind.id().is_some_and(|id| pattern.fits(id)),
    }
}

/// Sends the events that come, until the client closes or the engine ends. Returns how many were sent.
async fn follow<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut events: Events,
    pattern: &Pattern,
    (lines, out, quits): Ends<'_, R, W>,
) -> Result<u64, Failure> {
    let (mut count, mut missed) = (0, 0);
    loop {
        let event = match events.try_next() {
            Some(event) => Some(event),
            None => {
                tokio::select! {
                    written = out.flush_slowly() => written?,
                    () = lines.stirred() => return Err(gone()),
                    () = has_quit(quits) => {}
                }
                tokio::select! {
                    biased;
                    event = events.next() => event,
                    () = lines.stirred() => return Err(gone()),
                    () = has_quit(quits) => None,
                }
            }
        };
        let Some(event) = event else { return Ok(count) };
        let mut replies = Vec::new();
        if events.missed() > missed {
            replies.push(Reply::Missed { events: events.missed() - missed });
            missed = events.missed();
        }
        let mut kind = event.kind;
        shorten(&mut kind);
        let event = Remembered { number: 0, at: event.at, kind: Arc::new(kind) };
        if is_wanted(pattern, &event) {
            count += 1;
            replies.push(Reply::Event(Box::new(report(&event, event.at))));
        }
        for reply in &replies {
            tokio::select! {
                written = out.send(reply) => written?,
                () = lines.stirred() => return Err(gone()),
                // What has been written so far is a part of a line: nothing can follow it.
                () = has_quit_for_long(quits) => return Err(gone()),
            }
        }
    }
}

fn gone() -> Failure {
    Failure::Gone(io::ErrorKind::BrokenPipe.into())
}

/// Completes when the engine has ended, and the client has had time to read the last events.
async fn has_quit_for_long(quits: &mut Quits) {
    has_quit(quits).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn pause<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reach: &Reach,
    idle: bool,
    (lines, _, quits): Ends<'_, R, W>,
) -> Result<Reply, Failure> {
    reach.ask(Request::Pause).await?;
    if idle {
        tokio::select! {
            idle = reach.ask(Request::Idle) => idle?,
            () = lines.stirred() => return Err(gone()),
            () = has_quit(quits) => return Err(EngineError::Ended.into()),
        }
    }
    Ok(Reply::Done { count: 0, paused: true })
}

async fn poke(reach: &Reach, names: &[String]) -> Result<Reply, Failure> {
    if names.is_empty() {
        return Err(Failure::Refused("which resources? Give names or patterns, `*` for all".to_owned()));
    }
    let Overview { report, config } = reach.ask(Request::Overview).await?;
    let places = places(&Pattern::new(names, None), &config).await?;
    let mut count = 0;
    for slice in places.chunks(SLICE) {
        let ids = ids(&config, slice);
        count += reach.ask(|reply| Request::CheckAgain(ids, reply)).await?;
    }
    Ok(Reply::Done { count: count as u64, paused: report.paused })
}

/// Names at most as many as a report has.
const _: () = assert!(OWED_MAX <= EDGES_MAX);
