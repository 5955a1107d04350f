//! The near end of a conversation: starts the process there, sends it what it must do, and takes its reports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::gapi::Packed;
use crate::graph::{Carried, ContentId, ContentRef, DEPLOY_BYTES_MAX};
use crate::id::in_one_line;
use crate::plan::Plan;
use crate::remote::detached::Detached;
use crate::remote::error::{Note, RemoteError};
use crate::remote::job::{Job, Parcel};
use crate::remote::lines::{Cutter, Found, foreign};
use crate::remote::message::{Arriving, Begin, End, MARK, Part, SILENCE_MAX, Task, ToFar, ToNear, VERSION, line};
use crate::remote::near_begin::{add_early, no_form, offer, sent};
use crate::remote::near_world::NearStreams;
use crate::remote::queue::Queue;
use crate::remote::run::{Ended, HowEnded, Report, Run};
use crate::remote::streams::{Outgoing, READ_BYTES, log, write};
use crate::remote::transport::{Channel, Launch, Transport};
use crate::resource::BoxFuture;
use crate::runtime::Status;
use crate::sys::process::FAR_END_VARIABLE;
use crate::sys::rng;

/// How long the process there may take until it answers: the user may have to type a password for `sudo`.
const START_MAX: Duration = Duration::from_secs(60);
/// How many bytes may come before the process there answers.
const NOISE_BYTES_MAX: usize = 1 << 20;
/// How many lines of foreign output an error contains.
const PRINTED_MAX: usize = 10;
/// How long the process there may take to end after its last message, or after its streams have ended.
const EXIT_MAX: Duration = Duration::from_secs(5);
/// The most bytes of the files of a graph.
const PACKED_BYTES_MAX: u64 = 2 * DEPLOY_BYTES_MAX;
/// The most bytes of a plan, and of the problems of a graph.
const PLAN_BYTES_MAX: u64 = 256 << 20;
const PROBLEM_BYTES_MAX: usize = 4 << 20;

/// The end of the process there.
type Exit = BoxFuture<Result<String, String>>;

/// What the program wants of the run.
pub(super) enum Order {
    Send(Outgoing),
    Swap(Parcel, oneshot::Sender<Result<(), RemoteError>>),
    Status(oneshot::Sender<Status>),
}

/// Starts the process there and begins the conversation.
pub(super) async fn open(
    (name, transport): (&str, &dyn Transport),
    job: &Job,
    task: Task,
) -> Result<(Run, oneshot::Receiver<Yield>), RemoteError> {
    let nonce = rng::letters(32, "abcdefghijklmnopqrstuvwxyz0123456789")
        .map_err(|error| RemoteError::Start(format!("the system gives no random numbers: {error}")))?;
    let (graph, documents) = match &job.parcel {
        Some(parcel) => {
            let (graph, documents) = sent(1, parcel);
            (Some(graph), documents)
        }
        None => (None, Vec::new()),
    };
    let mut settings = job.settings.clone();
    settings.is_here = transport.is_here();
    if !settings.is_here {
        settings.trail = settings.trail.through_here();
    }
    let world = match (&job.world, &task) {
        (Some(world), Task::Plan | Task::Run | Task::Detach { .. }) => Some(world.clone()),
        _ => None,
    };
    let offer = offer(world.as_ref(), name, &mut settings).await?;
    let begin = Begin { version: VERSION, task: task.clone(), settings: settings.clone(), graph, world: offer };
    let mut early = line(&ToFar::Begin(Box::new(begin))).map_err(no_form("the settings"))?;
    let documents = add_early(&mut early, documents);
    let mut variables = vec![(FAR_END_VARIABLE.to_owned(), nonce.as_str().into())];
    variables.extend(job.vars.iter().cloned());
    let stays = matches!(task, Task::Detach { .. });
    let launch = Launch { arguments: job.arguments.clone(), variables, early, stays };
    let channel = transport.start(launch).await?;
    let (outgoing, wanted) = mpsc::unbounded_channel();
    let (orders, orders_in) = mpsc::unbounded_channel();
    let (end, ended) = watch::channel(None);
    let (yielding, yielded) = oneshot::channel();
    let queue = Arc::new(Queue::default());
    for document in documents {
        // The receiver is here.
        let _ = outgoing.send(document);
    }
    let Channel { stdin, stdout, stderr, ended: exit } = channel;
    let (world, frames) = NearStreams::begin(world, settings.hostname, &outgoing);
    tokio::spawn(write(stdin, wanted, frames));
    tokio::spawn(log(stderr, Arc::clone(&queue)));
    let mut near = Near::new(Arc::clone(&queue), outgoing, task, (yielding, world));
    near.offer(job.parcel.as_ref());
    tokio::spawn(async move {
        let outcome = near.converse(stdout, exit, orders_in, &nonce).await;
        // The replies that are still waited for end before the run does.
        drop((near.swaps, near.asked, near.yielding));
        near.queue.end();
        let _ = end.send(Some(outcome));
    });
    Ok((Run { orders, queue, ended }, yielded))
}

/// What a task has made.
#[derive(Debug)]
pub(super) enum Yield {
    Plan(Box<Plan>),
    Packed(Box<Packed>),
    Found(Option<Box<Detached>>),
}

struct Near {
    queue: Arc<Queue>,
    /// `None`: the run was dropped, and nothing more is sent.
    outgoing: Option<mpsc::UnboundedSender<Outgoing>>,
    /// The last lines of foreign output.
    printed: VecDeque<String>,
    /// The contents that the process there may ask for.
    contents: BTreeMap<ContentId, Arc<[u8]>>,
    /// The number of the last graph that was sent.
    number: u64,
    swaps: BTreeMap<u64, oneshot::Sender<Result<(), RemoteError>>>,
    asked: VecDeque<oneshot::Sender<Status>>,
    problems: Vec<Note>,
    problem_bytes: usize,
    arriving: Arriving,
    task: Task,
    /// The contents that were packed.
    packed: BTreeMap<ContentId, Arc<[u8]>>,
    yielding: Option<oneshot::Sender<Yield>>,
    /// The world that the process there uses.
    world: Option<NearStreams>,
}

impl Near {
    fn new(
        queue: Arc<Queue>,
        outgoing: mpsc::UnboundedSender<Outgoing>,
        task: Task,
        (yielding, world): (oneshot::Sender<Yield>, Option<NearStreams>),
    ) -> Near {
        Near {
            queue,
            outgoing: Some(outgoing),
            printed: VecDeque::new(),
            contents: BTreeMap::new(),
            number: 1,
            swaps: BTreeMap::new(),
            asked: VecDeque::new(),
            problems: Vec::new(),
            problem_bytes: 0,
            arriving: Arriving::default(),
            task,
            packed: BTreeMap::new(),
            yielding: Some(yielding),
            world,
        }
    }

    /// From now on the process there may ask for the contents of this parcel alone.
    fn offer(&mut self, parcel: Option<&Parcel>) {
        self.contents = parcel.map(|parcel| parcel.0.contents.clone()).unwrap_or_default();
    }

    fn send(&self, outgoing: Outgoing) {
        if let Some(sender) = &self.outgoing {
            // An error means that the stream has ended, which the reading side finds out.
            let _ = sender.send(outgoing);
        }
    }

    fn foreign(&mut self, bytes: &[u8]) {
        let text = foreign(bytes);
        if !text.is_empty() {
            self.printed.push_back(text.clone());
            if self.printed.len() > PRINTED_MAX {
                self.printed.pop_front();
            }
            self.queue.push(Report::Log(text), bytes.len());
        }
    }

    fn printed(&self) -> Vec<String> {
        self.printed.iter().cloned().collect()
    }

    async fn converse(
        &mut self,
        mut stdout: Box<dyn AsyncRead + Send + Unpin>,
        mut exit: Exit,
        mut orders: mpsc::UnboundedReceiver<Order>,
        nonce: &str,
    ) -> Result<Ended, RemoteError> {
        let mut cutter = Cutter::default();
        let marked = timeout(START_MAX, self.find_mark(&mut stdout, &mut cutter, nonce)).await;
        let end = match marked {
            Ok(Ok(())) => None,
            Ok(Err(Some(error))) => return Err(error),
            Ok(Err(None)) => Some(how(&mut exit).await),
            Err(_) => Some(Ok(format!("nothing came within {} s", START_MAX.as_secs()))),
        };
        if let Some(end) = end {
            self.foreign(cutter.rest());
            let printed = self.printed();
            return Err(match end {
                Ok(why) => RemoteError::NoFarEnd { why, printed },
                // Another try can succeed.
                Err(why) => RemoteError::Lost { why, printed },
            });
        }
        let (mut part, mut heard) = (vec![0; READ_BYTES], Instant::now());
        loop {
            while let Some(found) = cutter.next() {
                match found {
                    Found::TooLong(bytes) => {
                        let why = format!("a report of {bytes} bytes came, which is too long: it is left out");
                        self.queue.push(Report::Warning(Note::new(why)), 0);
                    }
                    Found::Line(line) => {
                        if let Some(end) = self.take(&line)? {
                            self.outgoing = None;
                            let _ = timeout(EXIT_MAX, &mut exit).await;
                            return end;
                        }
                    }
                }
            }
            tokio::select! {
                read = timeout_at(heard + SILENCE_MAX, stdout.read(&mut part)) => match read {
                    Ok(Ok(count)) if count > 0 => {
                        heard = Instant::now();
                        cutter.push(&part[..count]);
                    }
                    Ok(ended) => {
                        let why = match ended {
                            Err(error) => format!("the connection was lost: {error}"),
                            Ok(_) => {
                                let (Ok(how) | Err(how)) = how(&mut exit).await;
                                format!("the run there was cut off: {how}")
                            }
                        };
                        return Err(RemoteError::Lost { why, printed: self.printed() });
                    }
                    Err(_) => {
                        let why = format!("the connection was lost: nothing came for {} s", SILENCE_MAX.as_secs());
                        return Err(RemoteError::Lost { why, printed: self.printed() });
                    }
                },
                order = orders.recv(), if self.outgoing.is_some() => match order {
                    Some(order) => self.order(order),
                    // The run was dropped: its standard input ends.
                    None => self.outgoing = None,
                },
            }
        }
    }

    /// Skips what comes before the process there answers. `Err(None)`: its output has ended.
    async fn find_mark(
        &mut self,
        stdout: &mut (impl AsyncRead + Unpin),
        cutter: &mut Cutter,
        nonce: &str,
    ) -> Result<(), Option<RemoteError>> {
        let (mut part, mut noise) = (vec![0; READ_BYTES], 0);
        loop {
            while let Some(found) = cutter.next() {
                let Found::Line(line) = found else { continue };
                let text = String::from_utf8_lossy(&line);
                let marked = text.rfind(MARK).map(|at| text[at + MARK.len()..].trim_end());
                match marked.and_then(|rest| rest.split_once(' ')) {
                    Some((version, found)) if found == nonce => {
                        return match version.parse() {
                            Ok(VERSION) => Ok(()),
                            there => {
                                Err(Some(RemoteError::Version { here: VERSION, there: there.unwrap_or_default() }))
                            }
                        };
                    }
                    _ => self.foreign(&line),
                }
            }
            if noise > NOISE_BYTES_MAX {
                let why = format!("more than {NOISE_BYTES_MAX} bytes of other output came first");
                return Err(Some(RemoteError::NoFarEnd { why, printed: self.printed() }));
            }
            match stdout.read(&mut part).await {
                Ok(count) if count > 0 => {
                    noise += count;
                    cutter.push(&part[..count]);
                }
                _ => return Err(None),
            }
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Send(outgoing) => self.send(outgoing),
            Order::Status(reply) => {
                self.asked.push_back(reply);
                self.send(Outgoing::Message(ToFar::Status));
            }
            Order::Swap(parcel, reply) => {
                self.number += 1;
                self.swaps.insert(self.number, reply);
                self.offer(Some(&parcel));
                let (graph, documents) = sent(self.number, &parcel);
                self.send(Outgoing::Message(ToFar::Graph(graph)));
                documents.into_iter().for_each(|content| self.send(content));
            }
        }
    }

    /// Takes a message. Returns the end of the run if that is it.
    fn take(&mut self, line: &[u8]) -> Result<Option<Result<Ended, RemoteError>>, RemoteError> {
        let Ok(message) = serde_json::from_slice::<ToNear>(line) else {
            self.foreign(line);
            return Ok(None);
        };
        let report = |report| self.queue.push(report, line.len());
        match message {
            ToNear::Alive => {}
            ToNear::Hello(hello) => report(Report::Hello(hello)),
            ToNear::Begun => {
                report(Report::Started);
                if matches!(self.task, Task::Detach { .. }) {
                    self.send(Outgoing::Message(ToFar::Detach));
                }
            }
            ToNear::Upto(number) => self.send(Outgoing::Message(ToFar::Seen(number))),
            ToNear::Left(run) => report(Report::Left(run)),
            ToNear::Attached(run) => report(Report::Attached(run)),
            ToNear::Found(found) => self.give(Yield::Found(found)),
            ToNear::Event(event) => report(Report::Event(event)),
            ToNear::Missed(count) => report(Report::Missed(count)),
            ToNear::Progress(progress) => report(Report::Progress(progress)),
            ToNear::Warning(note) => report(Report::Warning(note)),
            ToNear::Hopeless(status) => report(Report::Hopeless(status)),
            ToNear::PuttingBack => report(Report::PuttingBack),
            ToNear::Problem(note) if self.problem_bytes < PROBLEM_BYTES_MAX => {
                self.problem_bytes += line.len();
                self.problems.push(note);
            }
            ToNear::Problem(_) => {}
            ToNear::Status(status) => {
                if let Some(reply) = self.asked.pop_front() {
                    let _ = reply.send(*status);
                }
            }
            ToNear::Want(wanted) => self.supply(wanted),
            ToNear::Graph { number, refused } => {
                if let Some(reply) = self.swaps.remove(&number) {
                    let _ = reply.send(refused.map_or(Ok(()), |notes| Err(RemoteError::Graph(notes))));
                }
            }
            ToNear::Plan(part) if self.task == Task::Plan => self.planned(&part)?,
            ToNear::Packed(part) if self.is_packing() => {
                let whole = self.arriving.add(&part, PACKED_BYTES_MAX).map_err(RemoteError::Failed)?;
                if let Some(bytes) = whole {
                    self.packed.insert(part.of.sha256, bytes.into());
                }
            }
            ToNear::Cargo { name, resources, carried } if self.is_packing() => self.cargo(name, resources, carried)?,
            // What was not asked for is not kept.
            ToNear::Plan(_) | ToNear::Packed(_) | ToNear::Cargo { .. } => {}
            ToNear::Stream(frame) => {
                if let Some(world) = &self.world {
                    world.take(frame).map_err(RemoteError::Failed)?;
                }
            }
            ToNear::Certify(request) => {
                if let (Some(world), Some(sender)) = (&self.world, &self.outgoing) {
                    world.certify(request, sender.clone()).map_err(RemoteError::Failed)?;
                }
            }
            ToNear::End(end) => return Ok(Some(self.ended(end))),
        }
        Ok(None)
    }

    /// Nothing but what was offered leaves this machine, and nothing of it twice.
    fn supply(&mut self, wanted: Vec<ContentId>) {
        let wanted: BTreeSet<ContentId> = wanted.into_iter().collect();
        for id in wanted {
            if let Some(bytes) = self.contents.remove(&id) {
                self.send(Outgoing::Content(ContentRef { sha256: id, bytes: bytes.len() as u64 }, bytes));
            }
        }
    }

    fn planned(&mut self, part: &Part) -> Result<(), RemoteError> {
        let whole = self.arriving.add(part, PLAN_BYTES_MAX).map_err(RemoteError::Failed)?;
        if let Some(bytes) = whole {
            let plan = serde_json::from_slice(&bytes)
                .map_err(|error| RemoteError::Failed(format!("the plan can't be read: {error}")))?;
            self.give(Yield::Plan(Box::new(plan)));
        }
        Ok(())
    }

    fn is_packing(&self) -> bool {
        matches!(self.task, Task::Pack { .. })
    }

    fn give(&mut self, yielded: Yield) {
        if let Some(yielding) = self.yielding.take() {
            // The program may not wait for it any more.
            let _ = yielding.send(yielded);
        }
    }

    fn cargo(&mut self, name: String, resources: usize, carried: Option<ContentRef>) -> Result<(), RemoteError> {
        let Task::Pack { on_hosts } = &self.task else { return Ok(()) };
        let (contents, on_hosts) = (std::mem::take(&mut self.packed), on_hosts.clone());
        let files = match carried {
            None => Ok(Carried::default()),
            Some(of) => {
                contents.get(&of.sha256).ok_or_else(|| "it did not arrive".to_owned()).and_then(|b| Carried::read(b))
            }
        };
        let files = files.map_err(|why| RemoteError::Failed(format!("the list of files: {why}")))?;
        self.give(Yield::Packed(Box::new(Packed { name, resources, graph: None, files, carried, contents, on_hosts })));
        Ok(())
    }

    fn ended(&mut self, End { code, error, how }: End) -> Result<Ended, RemoteError> {
        match error {
            _ if !self.problems.is_empty() => Err(RemoteError::Graph(std::mem::take(&mut self.problems))),
            Some(error) => Err(RemoteError::Failed(error)),
            None if how == HowEnded::Failed => Err(RemoteError::Failed("the run there has failed".to_owned())),
            None => Ok(Ended { code, how }),
        }
    }
}

/// How the process has ended; an error: why the connection was lost.
async fn how(exit: &mut Exit) -> Result<String, String> {
    let shown = |text: String| in_one_line(&text).into_owned();
    match timeout(EXIT_MAX, exit).await {
        Ok(how) => how.map(shown).map_err(shown),
        Err(_) => Ok("its output has ended, but it has not".to_owned()),
    }
}
