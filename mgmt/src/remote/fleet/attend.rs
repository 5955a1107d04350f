//! The run on one host: connects, passes its reports on, and carries out what it is asked.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::remote::error::RemoteError;
use crate::remote::fleet::host_order::HostOrder;
use crate::remote::fleet::packing::Packing;
use crate::remote::fleet::report::{FleetReport, HostReport};
use crate::remote::fleet::reports::Reports;
use crate::remote::host::Host;
use crate::remote::job::{Job, Parcel};
use crate::remote::message::HowEnded;
use crate::remote::run::{Ended, Report, Run, StopStep};
use crate::runtime::{EventKind, Status};

/// How long a host may take to answer with its state before it is stopped.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What the run of a host means for the run of all.
#[derive(Debug)]
pub(super) enum Turn {
    Converged(bool),
    Hopeless(bool),
    /// It has ended; the number is that of its alerts.
    Ended(Result<Ended, RemoteError>, usize),
}

/// The way to the run of all.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    pub(super) host: String,
    pub(super) reports: Reports,
    pub(super) turns: mpsc::UnboundedSender<(String, Turn)>,
}

impl Outbox {
    /// Passes a report on. Waits while the reader is slow.
    async fn report(&self, what: HostReport) {
        self.reports.add_in_turn(FleetReport::Host { host: self.host.clone(), what }).await;
    }

    fn turn(&self, turn: Turn) {
        let _ = self.turns.send((self.host.clone(), turn));
    }
}

/// Runs the job on the host until the run there has ended.
pub(super) async fn attend(
    host: Host,
    job: (Job, Packing),
    mut orders: mpsc::UnboundedReceiver<HostOrder>,
    out: Outbox,
) {
    out.report(HostReport::Connecting).await;
    let must_be_confirmed = job.0.must_be_confirmed();
    let (mut latest, packing) = (None, job.1.clone());
    let outcome = match connected(&host, job, &mut orders, &mut latest).await {
        Some(Ok((run, job))) => {
            let ((changes, changed), again) = (mpsc::channel(1), Arc::new(Notify::new()));
            // It ends when nothing receives the changes any more.
            tokio::spawn(packing.follow(job, host.name().to_owned(), changes, Arc::clone(&again)));
            followed(run, (latest, must_be_confirmed), &mut orders, (changed, again), &out).await
        }
        Some(Err(error)) => (Err(error), 0),
        None => (Ok(Ended { code: 0, how: HowEnded::Stopped }), 0),
    };
    out.turn(Turn::Ended(outcome.0, outcome.1));
}

/// Connects. `None`: the host was stopped meanwhile. `latest`: the graph that came meanwhile.
async fn connected(
    host: &Host,
    (job, packing): (Job, Packing),
    orders: &mut mpsc::UnboundedReceiver<HostOrder>,
    latest: &mut Option<Parcel>,
) -> Option<Result<(Run, Job), RemoteError>> {
    let mut run = std::pin::pin!(async {
        let job = packing.packed(job, host.name()).await?;
        Ok((host.run(&job).await?, job))
    });
    loop {
        tokio::select! {
            run = &mut run => return Some(run),
            order = orders.recv() => match order {
                Some(HostOrder::Swap(parcel)) => *latest = Some(parcel),
                Some(HostOrder::Reload) => {}
                Some(HostOrder::Stop(_) | HostOrder::StopWithStatus) | None => return None,
            },
        }
    }
}

type Swapping<'a> = Pin<Box<dyn Future<Output = Result<(), RemoteError>> + Send + 'a>>;
type Asking<'a> = Pin<Box<dyn Future<Output = Option<Status>> + Send + 'a>>;

/// What the end of an answer of the host leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Reports were missed, or the graph there can't converge: the state decides.
    Look,
    /// The run there is stopped then.
    Stop,
}

/// Follows the run to its end. Returns that, and the number of alerts.
async fn followed(
    run: Run,
    (mut latest, mut is_unconfirmed): (Option<Parcel>, bool),
    orders: &mut mpsc::UnboundedReceiver<HostOrder>,
    (mut files, again): (mpsc::Receiver<Result<Parcel, RemoteError>>, Arc<Notify>),
    out: &Outbox,
) -> (Result<Ended, RemoteError>, usize) {
    let (reports, run) = (Arc::clone(&run.queue), &run);
    let (mut swapping, mut asking): (Option<Swapping<'_>>, Option<(Why, Asking<'_>)>) = (None, None);
    let (mut alerts, mut is_open, mut is_in_doubt) = (0, true, false);
    loop {
        if is_in_doubt && asking.is_none() {
            is_in_doubt = false;
            asking = Some((Why::Look, asked(run)));
        }
        if swapping.is_none()
            && let Some(parcel) = latest.take()
        {
            swapping = Some(Box::pin(async move { run.swap(&parcel).await }));
        }
        tokio::select! {
            report = reports.next() => {
                let Some(report) = report else { break };
                // An answer that is on its way may be older than this event.
                if report == Report::Confirmed {
                    // Until now it has not counted as converged.
                    (is_unconfirmed, is_in_doubt) = (false, true);
                }
                is_in_doubt |= noted(&report, is_unconfirmed, out) || asking.is_some() && is_about_all(&report);
                out.report(HostReport::Report(report)).await;
            }
            outcome = ready(&mut swapping) => {
                swapping = None;
                out.report(HostReport::Swapped(outcome)).await;
            }
            (why, status) = answered(&mut asking) => {
                asking = None;
                if let Some(status) = status {
                    alerts = status.alerts;
                    out.turn(Turn::Converged(status.converged && !is_unconfirmed));
                    out.turn(Turn::Hopeless(status.hopeless));
                    out.report(HostReport::Status(Box::new(status))).await;
                }
                if why == Why::Stop {
                    run.stop(StopStep::Drain);
                }
            }
            Some(changed) = files.recv() => match changed {
                Ok(parcel) => latest = Some(parcel),
                Err(error) => out.report(HostReport::Swapped(Err(error))).await,
            },
            order = orders.recv(), if is_open => match order {
                Some(HostOrder::Swap(parcel)) => latest = Some(parcel),
                Some(HostOrder::Reload) => {
                    run.reload();
                    again.notify_one();
                }
                Some(HostOrder::StopWithStatus) => asking = Some((Why::Stop, asked(run))),
                Some(HostOrder::Stop(step)) => run.stop(step),
                None => {
                    is_open = false;
                    run.stop(StopStep::Drain);
                }
            },
        }
    }
    (run.ended().await, alerts)
}

/// Notes what a report means for the run of all. True: only the state of the host tells.
fn noted(report: &Report, is_unconfirmed: bool, out: &Outbox) -> bool {
    let event = match report {
        Report::Event(event) => &event.kind,
        Report::Missed(_) => return true,
        _ => return false,
    };
    match event {
        EventKind::Converged => out.turn(Turn::Converged(!is_unconfirmed)),
        EventKind::Unconverged => out.turn(Turn::Converged(false)),
        EventKind::Hopeful => out.turn(Turn::Hopeless(false)),
        EventKind::Hopeless => return true,
        _ => {}
    }
    false
}

/// Whether the report is an event about the whole graph there.
fn is_about_all(report: &Report) -> bool {
    use EventKind::{Converged, Hopeful, Unconverged};
    matches!(report, Report::Event(event) if matches!(event.kind, Converged | Unconverged | Hopeful))
}

fn asked(run: &Run) -> Asking<'_> {
    Box::pin(async move {
        let answer = tokio::time::timeout(ANSWER_MAX, run.status()).await;
        answer.ok().and_then(Result::ok)
    })
}

async fn ready(swapping: &mut Option<Swapping<'_>>) -> Result<(), RemoteError> {
    match swapping {
        Some(swapping) => swapping.await,
        None => pending().await,
    }
}

async fn answered(asking: &mut Option<(Why, Asking<'_>)>) -> (Why, Option<Status>) {
    match asking {
        Some((why, asking)) => (*why, asking.await),
        None => pending().await,
    }
}
