//! The command `remote run`, as seen from the host on which it is given.

use std::future::pending;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep, sleep_until};

use crate::cli::exit::{Ending, FAILED};
use crate::cli::logs::Screen;
use crate::cli::remote::graphs::Changed;
use crate::cli::remote::view::RemoteView;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, printed};
use crate::cli::signals::{Ladder, Wanted};
use crate::remote::{FleetReport, FleetRun, StopStep};
use crate::sys::task::blocking;

/// The period at which the lines of the hosts are drawn.
const LOOK: Duration = Duration::from_millis(100);
/// How long operations there may take to end if no second signal can be expected. Then they are cancelled.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait for the hosts after the third signal.
const GOODBYE: Duration = Duration::from_millis(500);

/// A run on many hosts, with all that it depends on here.
pub(crate) struct NearRun {
    pub(crate) fleet: FleetRun,
    /// The graphs that change here.
    pub(crate) graphs: mpsc::Receiver<Changed>,
    /// Asks for the graphs to be made again.
    pub(crate) reloads: watch::Sender<u64>,
    pub(crate) follows: Follows,
}

/// What the hosts are reached for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A plan: nothing is changed, here or there.
    Plan,
    /// Runs that end with this one.
    Run,
    /// Runs that continue there when this one has ended.
    Leave,
}

/// What the runs on the hosts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// They begin and end with this one.
    Run,
    /// They were left there, and stay when this one ends.
    Attach,
    /// They were left there, and are being stopped.
    Stop,
}

/// How far the ladder of the end has been climbed.
#[derive(Debug, Default)]
struct Stopping {
    first: Option<Ending>,
    steps: u32,
    /// When operations are cancelled.
    cancel_at: Option<Instant>,
    /// When the hosts are no longer waited for.
    leave_at: Option<Instant>,
}

impl NearRun {
    /// Follows the run to its end, and returns its exit code.
    pub(crate) async fn follow(
        mut self,
        session: &Session,
        screen: Screen,
        is_json: bool,
        mut ladder: Ladder,
    ) -> Result<ExitCode, CommandError> {
        let options = &session.options;
        let mut view = RemoteView::new(screen, options, is_json);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let max_runtime = options.max_runtime;
        let over = async { if max_runtime.is_zero() { pending().await } else { sleep(max_runtime).await } };
        let mut over = std::pin::pin!(over);
        let (mut stopping, mut is_over, mut is_read) = (Stopping::default(), false, true);
        loop {
            tokio::select! {
                report = self.fleet.next() => {
                    let Some(report) = report else { break };
                    if let Some(line) = view.report(&report).filter(|_| is_read) {
                        is_read = self.print(line, &mut view, &mut ladder, &mut stopping).await?;
                    }
                    if matches!(report, FleetReport::Stopping(_)) && stopping.cancel_at.is_none() {
                        stopping.cancel_at = Some(Instant::now() + GRACE);
                    }
                }
                Some(changed) = self.graphs.recv() => self.swap(changed, &view),
                _ = look.tick(), if view.is_drawn() => view.draw(),
                wanted = ladder.next() => self.signal(wanted, &mut view, &mut stopping),
                () = &mut over, if !is_over => {
                    is_over = true;
                    view.screen().tell(&format!("ending after {max_runtime:?} (--max-runtime)"));
                    view.stop();
                    self.fleet.stop(StopStep::Drain);
                    stopping.cancel_at = Some(Instant::now() + GRACE);
                }
                () = at(stopping.cancel_at) => {
                    stopping.cancel_at = None;
                    view.screen().tell(&format!("cancelling what still runs after {} s", GRACE.as_secs()));
                    self.fleet.stop(StopStep::Cancel);
                }
                () = at(stopping.leave_at) => {
                    view.screen().complain("exiting now; the hosts end by themselves");
                    view.screen().bar.finish_and_clear();
                    return Ok(stopping.first.unwrap_or(Ending::Interrupt).cut_short());
                }
            }
        }
        let ended = self.fleet.ended().await;
        view.sum(&ended);
        Ok(match stopping.first {
            // As for a run on this host, it is no failure to be stopped; a host that was lost is one.
            Some(ending) if ended.code() != FAILED => ending.code(),
            _ => ExitCode::from(ended.code()),
        })
    }

    /// Prints a line. Returns whether it was read. A signal is served although nothing reads what is printed.
    async fn print(
        &self,
        line: String,
        view: &mut RemoteView,
        ladder: &mut Ladder,
        stopping: &mut Stopping,
    ) -> Result<bool, CommandError> {
        let mut printing = std::pin::pin!(blocking(move || printed(&line)));
        loop {
            tokio::select! {
                printed = &mut printing => return printed,
                wanted = ladder.next() => {
                    self.signal(wanted, view, stopping);
                    if stopping.steps > 1 {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn swap(&self, (host, parcel): Changed, view: &RemoteView) {
        let host_name = host.clone();
        match (host, parcel) {
            (None, Ok(parcel)) => self.fleet.swap(parcel),
            (Some(host), Ok(parcel)) => self.fleet.swap_on(host, parcel),
            (_, Err(why)) => {
                let host = host_name.map(|host| format!("{}: ", crate::id::in_one_line(&host))).unwrap_or_default();
                view.screen().complain(&format!("{host}{why}"));
            }
        }
    }

    fn signal(&self, wanted: Wanted, view: &mut RemoteView, stopping: &mut Stopping) {
        let ending = match wanted {
            Wanted::Reload => {
                tracing::info!(target: "mgmt", "SIGHUP: reading the graph and the hosts again");
                self.reloads.send_modify(|count| *count += 1);
                return self.fleet.reload();
            }
            Wanted::End(ending) => ending,
        };
        stopping.steps += 1;
        let again = |what: &str| match ending {
            Ending::Interrupt => format!(" (^C again {what})"),
            _ => String::new(),
        };
        match stopping.steps {
            1 => {
                stopping.first = Some(ending);
                if view.screen().terminal {
                    // The terminal has echoed `^C`: begin a new line.
                    view.screen().say("");
                }
                view.stop();
                view.screen().tell(&match self.follows {
                    Follows::Run => format!("stopping all hosts{}", again("cancels what runs there")),
                    Follows::Attach => "leaving: the runs stay on their hosts".to_owned(),
                    Follows::Stop => format!("cancelling what runs there{}", again("ends the processes there at once")),
                });
                self.fleet.stop(StopStep::Drain);
                if ending == Ending::HangUp {
                    stopping.cancel_at = Some(Instant::now() + GRACE);
                }
            }
            2 => {
                view.screen().tell(&format!("cancelling what runs there{}", again("exits at once")));
                (stopping.cancel_at, _) = (None, self.fleet.stop(StopStep::Cancel));
            }
            _ => {
                self.fleet.stop(StopStep::Abandon);
                stopping.leave_at = stopping.leave_at.or(Some(Instant::now() + GOODBYE));
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
