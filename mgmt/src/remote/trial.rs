//! A run on another machine whose changes are put back unless this end can confirm them, by a new connection: that it
//! can be made proves that the machine can still be reached.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::plan::Plan;
use crate::remote::error::{Note, RemoteError};
use crate::remote::host::Host;
use crate::remote::job::Job;
use crate::remote::message::{HowEnded, Task, ToFar};
use crate::remote::queue::Queue;
use crate::remote::run::{Ended, Report, Run};
use crate::remote::session::Order;
use crate::remote::streams::Outgoing;
use crate::runtime::EventKind;
use crate::sys::rng;

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the machine may take to notice that the connection was lost, in addition to the time for confirming.
const NOTICE_MAX: Duration = Duration::from_secs(10);

type Outcome = Result<Ended, RemoteError>;

/// Starts the run, unless it would make changes that can't be put back and that are not permitted.
pub(super) async fn tried(host: &Host, job: &Job) -> Result<Run, RemoteError> {
    let mut job = job.clone();
    let task = job.task();
    let Some(trial) = job.settings.trial.as_mut().filter(|_| task != Task::Attach && task != Task::Stop) else {
        return host.start(&job).await;
    };
    if task != Task::Run {
        let why = "a run that stays there can't be confirmed from here: leave out `--confirm` or `--detach`";
        return Err(RemoteError::Refused(why.to_owned()));
    }
    let letters = rng::letters(32, "abcdefghijklmnopqrstuvwxyz0123456789")
        .map_err(|error| RemoteError::Start(format!("the system gives no random numbers: {error}")))?;
    trial.id.clone_from(&letters);
    if !trial.is_partial {
        let planned = host.plan(&job).await?;
        if let Some(refusal) = refusal(&planned.plan) {
            return Err(refusal);
        }
    }
    let run = host.start(&job).await?;
    let (orders, orders_in) = mpsc::unbounded_channel();
    let (end, ended) = watch::channel(None);
    let queue = Arc::new(Queue::default());
    let supervised = Supervised { host: host.clone(), job, queue: Arc::clone(&queue), confirming: None };
    tokio::spawn(async move {
        let queue = Arc::clone(&supervised.queue);
        let outcome = supervised.follow(run, orders_in).await;
        queue.end();
        let _ = end.send(Some(outcome));
    });
    Ok(Run { orders, queue, ended })
}

/// The changes of the plan that could not be put back.
fn refusal(plan: &Plan) -> Option<RemoteError> {
    let notes = plan.resources.iter().filter_map(|entry| {
        let why = entry.irreversible.as_ref()?;
        Some(Note::new(format!("{}: can't be put back: {why}", entry.id)))
    });
    let mut notes: Vec<Note> = notes.collect();
    if notes.is_empty() {
        return None;
    }
    let remedy = "nothing was changed: permit what can't be put back (`--confirm-partial`), or leave it out";
    notes.push(Note::new(remedy));
    Some(RemoteError::Graph(notes))
}

/// A run that is not confirmed yet.
struct Supervised {
    host: Host,
    job: Job,
    queue: Arc<Queue>,
    confirming: Option<JoinHandle<Result<(), RemoteError>>>,
}

impl Supervised {
    /// Passes reports and orders on until the run has ended, and confirms it when it has converged.
    async fn follow(mut self, mut run: Run, mut orders: mpsc::UnboundedReceiver<Order>) -> Outcome {
        let mut is_confirmed = false;
        loop {
            tokio::select! {
                report = run.next() => {
                    let Some(report) = report else { break };
                    let is_converged = matches!(&report, Report::Event(event) if event.kind == EventKind::Converged);
                    let is_over = matches!(report, Report::PuttingBack);
                    self.queue.push(report, 0);
                    if is_converged && !is_confirmed {
                        self.begin();
                    }
                    if is_over && let Some(confirming) = self.confirming.take() {
                        confirming.abort();
                    }
                }
                confirmed = finished(&mut self.confirming) => {
                    self.confirming = None;
                    match confirmed {
                        Ok(()) => {
                            is_confirmed = true;
                            self.queue.push(Report::Confirmed, 0);
                            let _ = run.orders.send(Order::Send(Outgoing::Message(ToFar::Confirmed)));
                        }
                        Err(error) => self.queue.push(unconfirmed(&error), 0),
                    }
                }
                order = orders.recv() => match order {
                    Some(order) => drop(run.orders.send(order)),
                    // The run was dropped here, and ends there: it is not confirmed.
                    None => return Err(RemoteError::Ended),
                },
            }
        }
        match run.ended().await {
            Err(lost @ (RemoteError::Lost { .. } | RemoteError::NoFarEnd { .. })) if !is_confirmed => {
                self.after(lost).await
            }
            outcome => outcome,
        }
    }

    fn begin(&mut self) {
        if self.confirming.is_none() {
            self.confirming = Some(tokio::spawn(confirm(self.host.clone(), self.job.clone())));
        }
    }

    /// The connection was lost before the run was confirmed: it may be that the machine has a new address or another
    /// sshd, and can be reached all the same.
    async fn after(mut self, lost: RemoteError) -> Outcome {
        self.queue.push(Report::Warning(Note::new(format!("{lost}: connecting again to confirm the run"))), 0);
        self.begin();
        match finished(&mut self.confirming).await {
            Ok(()) => {
                self.queue.push(Report::Confirmed, 0);
                Ok(Ended { code: 0, how: HowEnded::Confirmed })
            }
            Err(error) => Err(RemoteError::Unconfirmed { lost: lost.to_string(), why: error.to_string() }),
        }
    }
}

fn unconfirmed(error: &RemoteError) -> Report {
    Report::Warning(Note::new(format!("the run can't be confirmed: {error}")))
}

async fn finished(confirming: &mut Option<JoinHandle<Result<(), RemoteError>>>) -> Result<(), RemoteError> {
    match confirming {
        Some(confirming) => confirming.await.unwrap_or(Err(RemoteError::Ended)),
        None => std::future::pending().await,
    }
}

/// Confirms the run, which has converged or will soon, by a connection of its own. Tries again and again, as long as it
/// can be confirmed.
async fn confirm(host: Host, job: Job) -> Result<(), RemoteError> {
    let Some(trial) = job.settings.trial.clone() else { return Ok(()) };
    let until = Instant::now() + trial.within.0 + NOTICE_MAX;
    let job = Job { parcel: None, ..job };
    let mut last = RemoteError::Failed(format!("it can't be reached by a new connection within {} s", trial.within));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(last);
        }
        // A connection that exists already proves nothing.
        let fresh = host.fresh();
        match timeout(left, fresh.ask(&job, Task::Confirm { id: trial.id.clone() })).await {
            Err(_) => return Err(last),
            Ok(Ok(())) => return Ok(()),
            // The machine has answered.
            Ok(Err(error @ (RemoteError::Failed(_) | RemoteError::Graph(_)))) => return Err(error),
            Ok(Err(error)) => last = error,
        }
        sleep(PAUSE).await;
    }
}
