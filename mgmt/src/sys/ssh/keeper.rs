//! The task that keeps the connection: the first call of ssh, which the others share. It passes short scripts to the
//! shell there, and knows when the connection is lost.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::den::Slot;
use super::desk::Desk;
use super::diagnosis::{Evidence, diagnose, last_lines};
use super::error::LinkProblem;
use super::session::{Heard, Session};

/// The shell there ends if nothing comes for this long.
pub(super) const LEASE: Duration = Duration::from_secs(60);
/// How often it gets a sign of life.
const ALIVE: Duration = Duration::from_secs(15);

/// What the shell there reports of a script.
pub(super) type Reports = Vec<(String, String)>;

#[derive(Debug)]
struct Request {
    line: Vec<u8>,
    reply: oneshot::Sender<Reports>,
}

/// The connection. When this is dropped, the connection is closed in the background.
#[derive(Debug)]
pub(super) struct Keeper {
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    lost: watch::Receiver<Option<LinkProblem>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the calls of ssh use here.
pub(super) type Used = (Slot, Desk);

/// What is needed as long as there is a connection.
pub(super) struct Kept {
    pub(super) session: Session,
    pub(super) used: Used,
    pub(super) user: String,
    pub(super) address: String,
}

impl Keeper {
    pub(super) fn start(kept: Kept) -> Keeper {
        let (sender, requests) = mpsc::channel(8);
        let (lost, receiver) = watch::channel(None);
        let task = tokio::spawn(work(kept, requests, lost));
        Keeper { requests: Mutex::new(Some(sender)), lost: receiver, task: Mutex::new(Some(task)) }
    }

    /// A connection whose first call is the executable itself: there is no shell there. What is returned notes its
    /// loss, and closes it.
    pub(super) fn without_shell() -> (Keeper, watch::Sender<Option<LinkProblem>>) {
        let (lost, receiver) = watch::channel(None);
        (Keeper { requests: Mutex::new(None), lost: receiver, task: Mutex::new(None) }, lost)
    }

    /// Runs a script in the shell there, which keeps its variables and functions.
    pub(super) async fn ask(&self, line: Vec<u8>) -> Result<Reports, LinkProblem> {
        let (reply, answer) = oneshot::channel();
        let sender = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sender) = sender
            && sender.send(Request { line, reply }).await.is_ok()
            && let Ok(reports) = answer.await
        {
            return Ok(reports);
        }
        // Without a shell there, it may be in use all the same.
        match self.has_shell() {
            true => Err(self.problem().await),
            false => Err(closed()),
        }
    }

    fn has_shell(&self) -> bool {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why the connection was lost, if it was.
    pub(super) fn lost(&self) -> Option<LinkProblem> {
        let noted = self.lost.borrow().clone();
        noted.or_else(|| self.lost.has_changed().is_err().then(closed))
    }

    /// Waits until the connection is lost or closed. Cancel safe.
    pub(super) async fn problem(&self) -> LinkProblem {
        let mut lost = self.lost.clone();
        let found = lost.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.unwrap_or_else(closed)
    }

    /// Closes the connection, and waits until nothing of it is left here.
    pub(super) async fn close(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A panic there has been reported.
            let _ = task.await;
        }
    }
}

fn closed() -> LinkProblem {
    LinkProblem::Lost { report: "it was closed here".to_owned() }
}

async fn work(mut kept: Kept, mut requests: mpsc::Receiver<Request>, lost: watch::Sender<Option<LinkProblem>>) {
    let mut alive = tokio::time::interval(ALIVE);
    alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = alive.tick() => kept.session.send(b"\n").await,
            request = requests.recv() => match request {
                None => break,
                Some(request) => match run(&mut kept.session, &request.line).await {
                    // Its caller may not be interested any more.
                    Some(reports) => drop(request.reply.send(reports)),
                    None => return lose(kept, &lost).await,
                },
            },
            heard = kept.session.next() => match heard {
                Heard::End => return lose(kept, &lost).await,
                // Reports that no one waits for, and what files of the login print later.
                Heard::Report(..) | Heard::Errors | Heard::TooMuchNoise => {}
            },
        }
    }
    kept.session.ended().await;
}

async fn run(session: &mut Session, line: &[u8]) -> Option<Reports> {
    session.send(line).await;
    let mut reports = Reports::new();
    loop {
        match session.next().await {
            Heard::Report(word, _) if word == "end" => return Some(reports),
            Heard::Report(word, rest) => reports.push((word, rest)),
            Heard::Errors | Heard::TooMuchNoise => {}
            Heard::End => return None,
        }
    }
}

async fn lose(mut kept: Kept, lost: &watch::Sender<Option<LinkProblem>>) {
    let status = kept.session.ended().await;
    let stderr = kept.session.errors();
    let evidence = Evidence { stderr: &stderr, user: &kept.user, address: &kept.address, was_in: true };
    let problem = diagnose(evidence).unwrap_or_else(|| {
        let status = status.map_or_else(|| "ssh does not end".to_owned(), |status| format!("ssh: {status}"));
        let report = last_lines(&stderr);
        LinkProblem::Lost { report: if report.is_empty() { status } else { format!("{report} ({status})") } }
    });
    tracing::debug!("{}: {problem}", kept.address);
    lost.send_replace(Some(problem));
    drop(kept.used);
}
