//! The one loop of an engine: waits for the next message, and hands it to the core.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::graph::{Exchanged, Prepared};
use crate::id::{ResourceId, Ticket};
use crate::journal::CommitError;
use crate::resource::PrivateDir;
use crate::runtime::control::ResourceReport;
use crate::runtime::core::Core;
use crate::runtime::inspect::{Debts, Overview, Recalled};
use crate::runtime::measure::Measures;
use crate::runtime::operate::Answer;
use crate::runtime::outlook::{HostReport, Others};
use crate::runtime::status::{Progress, ResourceStatus, Status};
use crate::runtime::watches::Report;
use crate::scheduler::{Input, StopStage};
use crate::sys::clock;
use crate::sys::if_simulated;
use crate::sys::task::give_way;

/// The most commands that are executed before other tasks of the program get their turn.
const BUDGET: usize = 4096;

/// A request to the loop, from a handle or from another task of the engine.
#[derive(Debug)]
pub(crate) enum Request {
    Swap {
        prepared: Prepared,
        /// Only if this is still in force.
        over: Option<Arc<Exchanged>>,
        reply: oneshot::Sender<()>,
    },
    Rejected {
        problems: String,
        reply: oneshot::Sender<()>,
    },
    /// Count the resources that are not in the graph. These private directories exist.
    CountAbsent(Vec<PrivateDir>),
    Status(oneshot::Sender<Status>),
    /// The state of one resource.
    Resource(ResourceId, oneshot::Sender<Option<ResourceStatus>>),
    Progress(oneshot::Sender<Progress>),
    Overview(oneshot::Sender<Overview>),
    /// The states of these resources, or only of those among them that are in trouble.
    Inspect {
        ids: Vec<ResourceId>,
        failed: bool,
        reply: oneshot::Sender<Vec<ResourceReport>>,
    },
    /// The events that are remembered; if wanted, also those that follow.
    Recall {
        follow: bool,
        reply: oneshot::Sender<Recalled>,
    },
    Debts(ResourceId, oneshot::Sender<Debts>),
    /// Check these resources. Reply how many of them are in the graph.
    CheckAgain(Vec<ResourceId>, oneshot::Sender<usize>),
    /// Reply when no operation is under way.
    Idle(oneshot::Sender<()>),
    Measures(oneshot::Sender<Measures>),
    /// The state of this engine as other hosts see it.
    HostReport(oneshot::Sender<HostReport>),
    /// How far the other hosts have got.
    Others(Others),
    Pause(oneshot::Sender<()>),
    Resume(oneshot::Sender<()>),
    Stop(StopStage),
}

/// The channels on which the loop receives.
#[derive(Debug)]
pub(crate) struct Inboxes {
    pub(crate) requests: mpsc::UnboundedReceiver<Request>,
    pub(crate) answers: mpsc::UnboundedReceiver<Answer>,
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) committed: mpsc::UnboundedReceiver<(Ticket, Result<(), CommitError>)>,
}

/// Waits for the next message, and hands it to the core. In production, messages that wait at once are taken in a
/// random order, so that none waits for ever; on a simulated host, in the order that is given here (`biased`).
macro_rules! next_message {
    ($core:ident, $inboxes:ident, $abandoned:ident, $timeout:ident $(, $biased:ident)?) => {
        tokio::select! {
            $($biased;)?
            Some(answer) = $inboxes.answers.recv() => $core.answer(answer),
            () = $core.lane.answered() => {}
            notices = $core.watches.next() => $core.notice_all(notices),
            Some(report) = $inboxes.reports.recv() => receive(&mut $core, report),
            found = $core.culprits.found() => $core.report_culprit(found),
            Some((ticket, result)) = $inboxes.committed.recv() => $core.commit_ended(ticket, result),
            request = $inboxes.requests.recv(), if !$abandoned => match request {
                Some(request) => answer(&mut $core, request),
                // All handles are dropped, so that no caller can stop the engine: it stops itself.
                None => {
                    $abandoned = true;
                    $core.handle(Input::Stop(StopStage::Cancel));
                }
            },
            () = sleep_until($timeout) => $core.tick(),
        }
    };
}

/// Runs until the engine has stopped. Returns the core, which holds what is left to close.
pub(crate) async fn drive(mut core: Core, mut inboxes: Inboxes) -> Core {
    let (mut abandoned, is_simulated) = (false, is_simulated());
    loop {
        let more = core.pump(BUDGET);
        if core.stopped {
            return core;
        }
        if more {
            // Take waiting messages first: a long start must not delay an answer.
            drain(&mut core, &mut inboxes);
            give_way().await;
            continue;
        }
        core.reply_if_idle();
        let timeout = core.next_timeout().map(|time| core.clock.instant(time));
        if is_simulated {
            next_message!(core, inboxes, abandoned, timeout, biased);
        } else {
            next_message!(core, inboxes, abandoned, timeout);
        }
        drain(&mut core, &mut inboxes);
    }
}

/// Whether the engine runs on a simulated host.
pub(super) fn is_simulated() -> bool {
    if_simulated!(_host => true);
    false
}

async fn sleep_until(timeout: Option<tokio::time::Instant>) {
    match timeout {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Takes the messages that wait already, at most [`BUDGET`].
fn drain(core: &mut Core, inboxes: &mut Inboxes) {
    core.lane.take_answers().into_iter().for_each(|answer| core.answer(answer));
    for _ in 0..BUDGET {
        if let Ok(answer) = inboxes.answers.try_recv() {
            core.answer(answer);
        } else if let Ok((ticket, result)) = inboxes.committed.try_recv() {
            core.commit_ended(ticket, result);
        } else if let Ok(report) = inboxes.reports.try_recv() {
            receive(core, report);
        } else if let Ok(request) = inboxes.requests.try_recv() {
            answer(core, request);
        } else {
            return;
        }
    }
}

fn receive(core: &mut Core, report: Report) {
    if let Some(notice) = core.watches.receive(&mut core.slots, report) {
        core.notice(notice);
    }
}

fn answer(core: &mut Core, request: Request) {
    // Errors of `send` mean that the caller no longer waits for the reply.
    match request {
        // The reply is dropped, which reports to the caller that the engine ends.
        Request::Swap { .. } if core.scheduler.is_stopping() => {}
        Request::Swap { prepared, over, reply } => {
            if over.is_none_or(|over| core.has_in_force(&over)) {
                core.swap(prepared);
                core.publish_convergence();
            }
            let _ = reply.send(());
        }
        Request::Rejected { problems, reply } => {
            core.rejected(problems);
            let _ = reply.send(());
        }
        Request::CountAbsent(dirs) => core.forget_absent(clock::today(), dirs),
        Request::Status(reply) => drop(reply.send(core.status())),
        Request::Resource(id, reply) => drop(reply.send(core.status_of(&id))),
        Request::Progress(reply) => drop(reply.send(core.progress())),
        Request::Overview(reply) => drop(reply.send(core.overview())),
        Request::Inspect { ids, failed, reply } => drop(reply.send(core.inspect(&ids, failed))),
        Request::Recall { follow, reply } => drop(reply.send(core.recall(follow))),
        Request::Debts(id, reply) => drop(reply.send(core.debts(&id))),
        Request::CheckAgain(ids, reply) => drop(reply.send(core.check_again(&ids))),
        Request::Idle(reply) => core.idle_wanted.push(reply),
        Request::Measures(reply) => drop(reply.send(core.measures())),
        Request::HostReport(reply) => drop(reply.send(core.host_report())),
        Request::Others(others) => core.set_others(others),
        Request::Pause(reply) => {
            core.handle(Input::Pause);
            let _ = reply.send(());
        }
        Request::Resume(reply) => {
            core.handle(Input::Resume);
            let _ = reply.send(());
        }
        Request::Stop(stage) => core.handle(Input::Stop(stage)),
    }
}
