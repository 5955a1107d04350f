//! One run of a graph with one fault, and what must hold after it.

use std::collections::{BTreeMap, BTreeSet};

use crate::gapi::Fixed;
use crate::graph::GraphConfig;
use crate::id::ResourceId;
use crate::journal::Journal;
use crate::runtime::{Act, Builder, Deed, Ended, Mishap, Stage};
use crate::sys::simulated::Host;
use crate::testing::run::{Drift, Run, Settled, difference};
use crate::testing::survive::fault::{Fault, FaultOf};
use crate::testing::survive::report::Invariant;

/// Where the engine keeps its own files.
const OWN: &[&str] = &["/var/lib/mgmt"];
/// The most engines that one after the other try to converge after a fault.
const ENGINES_MAX: usize = 3;

/// The settings of each engine.
pub(super) type Settings = dyn Fn(Builder<Fixed>) -> Builder<Fixed> + Send + Sync;

/// How the graph runs without a fault.
#[derive(Debug)]
pub(super) struct Normal {
    /// The state of the host in the end.
    state: Vec<String>,
    /// The resources that were repaired, in order.
    pub(super) applied: Vec<ResourceId>,
    /// The resources that every engine repairs, whatever the host is like.
    again: BTreeSet<ResourceId>,
}

/// An invariant that was broken, what was seen, and what the engine did.
pub(super) struct Failure {
    pub(super) invariant: Invariant,
    pub(super) seen: String,
    pub(super) story: String,
}

impl Failure {
    fn new(invariant: Invariant, seen: impl Into<String>, run: &Run) -> Failure {
        Failure { invariant, seen: seen.into(), story: run.story() }
    }
}

/// Runs a graph again and again, each time on a host of its own.
pub(super) struct Attempt<'a> {
    pub(super) config: &'a GraphConfig,
    pub(super) host: &'a Host,
    pub(super) settings: &'a Settings,
    /// Resources that may be repaired by every engine.
    pub(super) repeated: &'a BTreeSet<ResourceId>,
}

impl Attempt<'_> {
    fn start(&self, host: &Host) -> Run {
        // That the graph is right was found out before.
        host.start_with(self.config.clone(), |builder| (self.settings)(builder))
    }

    /// Runs the graph without a fault.
    pub(super) fn undisturbed(&self) -> Result<Normal, Failure> {
        let host = self.host.fork();
        let mut run = self.start(&host);
        let settled = run.settle();
        if settled != Settled::Converged {
            return Err(Failure::new(Invariant::Converges, run.complaint(&settled), &run));
        }
        let mut normal = Normal { state: host.state(OWN), applied: Vec::new(), again: BTreeSet::new() };
        for deed in run.deeds().iter().filter(|deed| deed.act == Act::Apply) {
            if !normal.applied.contains(&deed.id) {
                normal.applied.push(deed.id.clone());
            }
        }
        self.rules(&run)?;
        normal.again = self.second(&host, run, &normal)?;
        Ok(normal)
    }

    /// A second engine on the same host. Returns the resources that it has repaired.
    fn second(&self, host: &Host, run: Run, normal: &Normal) -> Result<BTreeSet<ResourceId>, Failure> {
        run.stop();
        let mut run = self.start(host);
        let settled = run.settle();
        if settled != Settled::Converged {
            return Err(Failure::new(Invariant::Converges, run.complaint(&settled), &run));
        }
        let process = host.lives();
        let applied: BTreeSet<ResourceId> =
            well(&run.deeds(), Act::Apply).filter(|deed| deed.process == process).map(|deed| deed.id.clone()).collect();
        let more: Vec<String> = applied.difference(self.repeated).map(ToString::to_string).collect();
        if !more.is_empty() {
            let seen = format!("it repairs {}", more.join(", "));
            return Err(Failure::new(Invariant::IsIdempotent, seen, &run));
        }
        self.same_state(&run, normal)?;
        Ok(applied)
    }

    /// Runs the graph with a fault. `None`: the fault can't happen to this resource.
    pub(super) fn with(&self, fault: &FaultOf, normal: &Normal) -> Result<Option<()>, Failure> {
        let host = self.host.fork();
        let stage = host.part::<Stage>();
        let mishap = match fault.fault {
            Fault::Fail => Some(Mishap::Fail("a failure that a test has arranged".to_owned())),
            Fault::Hang => Some(Mishap::Hang),
            Fault::Crash => Some(Mishap::CrashAfter),
            Fault::Drift | Fault::Loss => None,
        };
        if let Some(mishap) = mishap {
            stage.arrange(fault.id.clone(), Act::Apply, mishap);
        }
        let mut run = self.start(&host);
        let mut settled = run.settle();
        let drift = match fault.fault {
            Fault::Drift => Some(Drift::Changed),
            Fault::Loss => Some(Drift::Removed),
            _ => None,
        };
        if let Some(drift) = drift {
            run.forget();
            if !run.drift_by(&fault.id, drift) {
                return Ok(None);
            }
            settled = run.settle();
        }
        self.rules(&run)?;
        for _ in 1..ENGINES_MAX {
            if settled == Settled::Converged {
                break;
            }
            run.kill();
            run = self.start(&host);
            settled = run.settle();
            self.rules(&run)?;
        }
        if settled != Settled::Converged {
            return Err(Failure::new(Invariant::Converges, run.complaint(&settled), &run));
        }
        self.after(fault, &host, run, normal).map(Some)
    }

    /// What must hold when the graph has converged after a fault.
    fn after(&self, fault: &FaultOf, host: &Host, run: Run, normal: &Normal) -> Result<(), Failure> {
        self.same_state(&run, normal)?;
        let owed: Vec<String> =
            Journal::owed_on(host).iter().map(|(from, to, _)| format!("{from} owes {to} a refresh")).collect();
        if !owed.is_empty() {
            return Err(Failure::new(Invariant::PaysItsDebts, owed.join("\n"), &run));
        }
        let left: Vec<String> = host.temporary_files().iter().map(|path| path.display().to_string()).collect();
        if !left.is_empty() {
            return Err(Failure::new(Invariant::LeavesNoRubbish, left.join("\n"), &run));
        }
        if let Some(seen) = self.repeated(fault, &run, normal) {
            return Err(Failure::new(Invariant::RepeatsNothing, seen, &run));
        }
        self.second(host, run, normal).map(drop)
    }

    /// The rules that the engine keeps at any time.
    fn rules(&self, run: &Run) -> Result<(), Failure> {
        match run.breach_of_order() {
            Some(seen) => Err(Failure::new(Invariant::KeepsOrder, seen, run)),
            None => Ok(()),
        }
    }

    fn same_state(&self, run: &Run, normal: &Normal) -> Result<(), Failure> {
        let now = run.host().state(OWN);
        if now == normal.state {
            return Ok(());
        }
        let all = difference(&normal.state, &now);
        let lines: Vec<&str> = all.lines().filter(|line| !line.starts_with("    ")).map(str::trim_start).collect();
        Err(Failure::new(Invariant::ReachesTheSameState, lines.join("\n"), run))
    }

    /// A resource that was repaired more often than the fault explains: the fault itself costs a repair of its
    /// resource, and a drift may reach those that come after it.
    fn repeated(&self, fault: &FaultOf, run: &Run, normal: &Normal) -> Option<String> {
        if matches!(fault.fault, Fault::Drift | Fault::Loss) {
            return None;
        }
        let mut times: BTreeMap<ResourceId, usize> = BTreeMap::new();
        for deed in well(&run.deeds(), Act::Apply) {
            *times.entry(deed.id.clone()).or_default() += 1;
        }
        let is_excused = |id: &ResourceId| *id == fault.id || normal.again.contains(id) || self.repeated.contains(id);
        let often = times.into_iter().find(|(id, times)| *times > 1 && !is_excused(id));
        often.map(|(id, times)| format!("{id} was repaired {times} times"))
    }
}

/// The operations of this sort that ended well.
fn well(deeds: &[Deed], act: Act) -> impl Iterator<Item = &Deed> {
    deeds.iter().filter(move |deed| deed.act == act && deed.ended == Ended::Well)
}
