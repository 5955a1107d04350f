//! Reports the state of this host to others, whenever it changes, but not all the time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::gapi::WorldView;
use crate::resource::{FollowedDeploy, HostState, Member, state_key};
use crate::runtime::drive::Request;
use crate::runtime::hosts::alive::Living;
use crate::runtime::hosts::hold::Hold;
use crate::runtime::hosts::lease::Lease;
use crate::runtime::hosts::pace::Pace;
use crate::runtime::outlook::HostReport;
use crate::sys::clock::{rfc3339, wall};

/// The loop is not asked more often than this.
const PAUSE: Duration = Duration::from_millis(100);

/// What is reported, and where to.
pub(crate) struct Reporting {
    pub(crate) member: Arc<dyn Member>,
    pub(crate) living: Living,
    /// That of the entry which shows that the host is alive.
    pub(crate) lease: Lease,
    /// Knows which deploy is in force here.
    pub(crate) view: WorldView,
    /// Wakes when the state may have changed.
    pub(crate) news: watch::Receiver<u64>,
    /// Weak, so that the loop ends when the last handle on the engine is dropped.
    pub(crate) requests: mpsc::WeakUnboundedSender<Request>,
}

impl Reporting {
    /// Runs until the engine `quits`, and then removes the report.
    pub(crate) async fn run(mut self, mut quits: watch::Receiver<Option<()>>) {
        let first = HostState { run: self.living.run, since: rfc3339(wall()), ..HostState::default() };
        let state = watch::Sender::new(bytes(&first));
        let key = state_key(self.member.host());
        let hold = Hold::new(Arc::clone(&self.member), key, self.lease.clone(), "reporting the state of this host");
        let ends = async {
            // An error means that the engine has ended.
            let _ = quits.wait_for(Option::is_some).await;
            true
        };
        tokio::select! {
            () = hold.run(state.subscribe(), ends) => {}
            () = self.follow(first, &state) => {}
        }
    }

    /// Never returns.
    async fn follow(&mut self, mut last: HostState, state: &watch::Sender<Arc<[u8]>>) {
        let (mut pace, mut deploys, mut turns) = (Pace::new(Instant::now()), self.view.followed(), 0);
        loop {
            self.news.mark_unchanged();
            let Some((report, follows)) = self.look(&mut deploys).await else { return std::future::pending().await };
            let mut next = stated(&report, follows);
            next.run = last.run;
            // How often it has turned matters, not whether it is what it was.
            let is_same = turns == report.turns && next.converged == last.converged;
            next.since = if is_same { last.since.clone() } else { rfc3339(wall()) };
            let mut write_at = None;
            if next != last {
                let at = pace.next(next.converged);
                if at <= Instant::now() {
                    pace.write(Instant::now());
                    state.send_replace(bytes(&next));
                    (last, turns) = (next, report.turns);
                } else {
                    write_at = Some(at);
                }
            }
            let later = async {
                match write_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.news.changed() => if changed.is_err() { return std::future::pending().await },
                changed = deploys.changed() => if changed.is_err() { return std::future::pending().await },
                () = later => {}
            }
            sleep(PAUSE).await;
        }
    }

    /// The report of the engine, and the deploy that it is about. `None`: the engine has ended.
    async fn look(
        &self,
        deploys: &mut watch::Receiver<Option<FollowedDeploy>>,
    ) -> Option<(HostReport, Option<FollowedDeploy>)> {
        loop {
            let before = deploys.borrow_and_update().clone();
            let (reply, answer) = oneshot::channel();
            self.requests.upgrade()?.send(Request::HostReport(reply)).ok()?;
            let report = answer.await.ok()?;
            // Otherwise the graph of one deploy would be reported as that of another one.
            if *deploys.borrow() == before {
                return Some((report, before));
            }
        }
    }
}

fn stated(report: &HostReport, follows: Option<FollowedDeploy>) -> HostState {
    let HostReport { graph, generation, converged, hopeless, turns: _, resources, failed, waiting, troubles } = report;
    HostState {
        graph: graph.clone(),
        generation: *generation,
        follows,
        converged: *converged,
        hopeless: *hopeless,
        resources: *resources,
        failed: *failed,
        waiting: *waiting,
        troubles: troubles.clone(),
        ..HostState::default()
    }
}

fn bytes(state: &HostState) -> Arc<[u8]> {
    // Numbers and texts have a form as JSON.
    serde_json::to_vec(state).unwrap_or_default().into()
}
