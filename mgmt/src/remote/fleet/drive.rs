//! The task of a run on many hosts: carries out what the roster decides.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::remote::error::RemoteError;
use crate::remote::fleet::attend::{Outbox, Turn, attend};
use crate::remote::fleet::host_order::HostOrder;
use crate::remote::fleet::packing::Packing;
use crate::remote::fleet::report::{FleetEnded, FleetReport, HostEnded, HostReport};
use crate::remote::fleet::reports::Reports;
use crate::remote::fleet::roster::{Ending, Roster, Step, Verdict};
use crate::remote::fleet::run::examined;
use crate::remote::fleet::settings::Fleet;
use crate::remote::host::Host;
use crate::remote::hosts::{Hosts as _, HostsBox, HostsError};
use crate::remote::job::{Job, Parcel};
use crate::remote::run::{Ended, StopStep};

/// What the program asks of the run on many hosts.
#[derive(Debug)]
pub(super) enum FleetOrder {
    Stop(StopStep),
    /// Another graph, for this host or for all that have no job of their own.
    Swap(Option<String>, Parcel),
    Reload,
}

/// The run on many hosts.
struct Drive {
    began: Instant,
    roster: Roster,
    hosts: BTreeMap<String, Host>,
    job: Job,
    own_jobs: BTreeMap<String, Job>,
    packing: Packing,
    /// The ways to the runs of hosts.
    running: BTreeMap<String, mpsc::UnboundedSender<HostOrder>>,
    tasks: JoinSet<()>,
    reports: Reports,
    turns: mpsc::UnboundedSender<(String, Turn)>,
    ended: FleetEnded,
}

/// Runs until all is over.
pub(super) async fn drive(
    mut fleet: Fleet,
    job: Job,
    reports: Reports,
    mut orders: mpsc::UnboundedReceiver<FleetOrder>,
) -> FleetEnded {
    let (turns, mut turned) = mpsc::unbounded_channel();
    let roster = Roster::new(fleet.until, fleet.parallel);
    let mut drive = Drive {
        began: Instant::now(),
        roster,
        hosts: BTreeMap::new(),
        job,
        own_jobs: std::mem::take(&mut fleet.own_jobs),
        packing: fleet.packing.clone().once(fleet.no_watch),
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
        reports,
        turns,
        ended: FleetEnded::default(),
    };
    {
        let mut listed = std::pin::pin!(listed(&mut fleet.hosts));
        loop {
            tokio::select! {
                listed = &mut listed => match listed {
                    Ok(hosts) => break drive.list(hosts),
                    Err(error) => return FleetEnded { error: Some(error), ..drive.ended },
                },
                // The list may come from a world that does not answer.
                order = orders.recv() => match order {
                    Some(FleetOrder::Stop(_)) | None => return drive.ended,
                    Some(order) => drive.order(order),
                },
            }
        }
    }
    let mut is_followed = !fleet.no_watch;
    if !is_followed {
        drive.roster.list_is_final();
    }
    loop {
        drive.steps();
        if drive.roster.is_over() {
            break;
        }
        let next_try = drive.roster.next_try().map(|at| drive.began + at);
        tokio::select! {
            Some((host, turn)) = turned.recv() => drive.turn(host, turn),
            changed = fleet.hosts.changed(), if is_followed => match changed {
                Some(()) => drive.list_again(&mut fleet.hosts).await,
                None => {
                    is_followed = false;
                    drive.roster.list_is_final();
                }
            },
            order = orders.recv() => match order {
                Some(FleetOrder::Reload) => {
                    drive.reload();
                    drive.list_again(&mut fleet.hosts).await;
                }
                Some(order) => drive.order(order),
                // The program has dropped the run: those of the hosts are dropped too, which ends them.
                None => break,
            },
            () = until(next_try) => {}
        }
    }
    drive.ended.waiting = drive.roster.waiting().map(str::to_owned).collect();
    drive.tasks.shutdown().await;
    drive.ended
}

async fn listed(hosts: &mut HostsBox) -> Result<Vec<Host>, HostsError> {
    examined(hosts.hosts().await?)
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

impl Drive {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn list(&mut self, hosts: Vec<Host>) {
        let names: Vec<String> = hosts.iter().map(|host| host.name().to_owned()).collect();
        self.ended.hosts.retain(|name, _| names.contains(name));
        self.hosts = hosts.into_iter().map(|host| (host.name().to_owned(), host)).collect();
        self.roster.list(names.clone());
        self.reports.add(FleetReport::Listed(names));
    }

    async fn list_again(&mut self, hosts: &mut HostsBox) {
        match listed(hosts).await {
            Ok(hosts) => self.list(hosts),
            Err(error) => self.reports.add(FleetReport::Unlisted(error)),
        }
    }

    /// Carries out what is due.
    fn steps(&mut self) {
        while let Some(step) = self.roster.step(self.now()) {
            match step {
                Step::Start(name) => self.start(name),
                Step::Stop(name) => {
                    self.send(&name, HostOrder::Stop(StopStep::Drain));
                    let what = HostReport::Leaving;
                    self.reports.add(FleetReport::Host { host: name, what });
                }
                Step::StopAll(verdict) => {
                    self.ended.verdict = Some(verdict);
                    self.reports.add(FleetReport::Stopping(verdict));
                    self.send_all(&HostOrder::StopWithStatus);
                }
            }
        }
    }

    fn start(&mut self, name: String) {
        let Some(host) = self.hosts.get(&name).cloned() else { return };
        let (order, orders) = mpsc::unbounded_channel();
        let job = Fleet::job(&self.own_jobs, &self.job, &name);
        let out = Outbox { host: name.clone(), reports: self.reports.clone(), turns: self.turns.clone() };
        self.running.insert(name, order);
        self.tasks.spawn(attend(host, (job, self.packing.clone()), orders, out));
    }

    fn send(&self, host: &str, order: HostOrder) {
        // An error means that the run of the host has ended, which it has reported.
        self.running.get(host).map(|orders| orders.send(order));
    }

    fn send_all(&self, order: &HostOrder) {
        for orders in self.running.values() {
            let _ = orders.send(order.clone());
        }
    }

    fn turn(&mut self, host: String, turn: Turn) {
        match turn {
            Turn::Converged(now) => self.roster.converged(&host, now),
            Turn::Hopeless(now) => self.roster.hopeless(&host, now),
            Turn::Ended(outcome, alerts) => {
                self.running.remove(&host);
                let again_in = self.roster.ended(&host, ending(&outcome), self.now());
                let is_converged = self.ended.verdict == Some(Verdict::Converged);
                let ended = HostEnded { outcome, alerts: if is_converged { alerts } else { 0 }, again_in };
                if self.hosts.contains_key(&host) {
                    self.ended.hosts.insert(host.clone(), ended.clone());
                }
                self.reports.add(FleetReport::Host { host, what: HostReport::Ended(ended) });
            }
        }
    }

    fn order(&mut self, order: FleetOrder) {
        match order {
            FleetOrder::Stop(step) => {
                self.roster.stop();
                self.send_all(&HostOrder::Stop(step));
            }
            FleetOrder::Swap(Some(host), parcel) => {
                if let Some(job) = self.own_jobs.get_mut(&host) {
                    job.parcel = Some(parcel.clone());
                    self.send(&host, HostOrder::Swap(parcel));
                    self.roster.try_again();
                }
            }
            FleetOrder::Swap(None, parcel) => {
                self.job.parcel = Some(parcel.clone());
                for (host, orders) in &self.running {
                    if !self.own_jobs.contains_key(host) {
                        let _ = orders.send(HostOrder::Swap(parcel.clone()));
                    }
                }
                self.roster.try_again();
            }
            FleetOrder::Reload => self.reload(),
        }
    }

    fn reload(&mut self) {
        self.send_all(&HostOrder::Reload);
        self.roster.try_again();
    }
}

/// What the end of a host means for the run of all.
fn ending(outcome: &Result<Ended, RemoteError>) -> Ending {
    match outcome {
        Ok(ended) => Ending::Code(ended.code),
        Err(RemoteError::Start(_) | RemoteError::Unreachable(_) | RemoteError::Lost { .. }) => Ending::Lost,
        Err(_) => Ending::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::error::Note;
    use crate::remote::run::HowEnded;

    #[test]
    fn a_host_is_tried_again_by_itself_only_if_what_went_wrong_can_pass() {
        let (why, printed) = (|| "why".to_owned(), Vec::new);
        let lost = [
            RemoteError::Start(why()),
            RemoteError::Unreachable(why()),
            RemoteError::Lost { why: why(), printed: printed() },
        ];
        let failed = [
            RemoteError::Refused(why()),
            RemoteError::NoFarEnd { why: why(), printed: printed() },
            RemoteError::Version { here: 1, there: 2 },
            RemoteError::Graph(vec![Note::new("why")]),
            RemoteError::Failed(why()),
            // It would cut itself off again.
            RemoteError::Unconfirmed { lost: why(), why: why() },
            RemoteError::Ended,
        ];
        for (errors, expected) in [(&lost[..], Ending::Lost), (&failed[..], Ending::Failed)] {
            for error in errors {
                assert_eq!(ending(&Err(error.clone())), expected, "{error:?}");
            }
        }
        assert_eq!(ending(&Ok(Ended { code: 2, how: HowEnded::Converged })), Ending::Code(2));
    }
}
