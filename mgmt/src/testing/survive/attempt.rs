//! One run of a graph with one fault, and what must hold after it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

/// After this time, what the journal of a simulated host has noted is on its disk.
const NOTED: Duration = Duration::from_secs(1);

/// The settings of each engine.
pub(super) type Settings = dyn Fn(Builder<Fixed>) -> Builder<Fixed> + Send + Sync;

/// How the graph runs without a fault.
#[derive(Debug, Default)]
pub(super) struct Normal {
    /// The state of the host in the end.
    state: Vec<String>,
    /// The resources that were repaired, in order.
    pub(super) applied: Vec<ResourceId>,
    /// The resources that every engine repairs, whatever the host is like.
    again: BTreeSet<ResourceId>,
    /// The number of changes of files in the first repair of each resource, where there are several.
    pub(super) changes: BTreeMap<ResourceId, u64>,
    /// The hosts on which a second engine has found nothing to do, by their fingerprints.
    quiet: Mutex<HashSet<u64>>,
}

impl Normal {
    fn quiet(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of a fault. `None`: it can't happen.
pub(super) type Outcome = Result<Option<()>, Failure>;

/// What follows when something else changes what a resource keeps.
enum Drifted {
    /// It is not known how.
    Not,
    /// The resource was looked at and found as declared: what has changed is not what it keeps.
    Unkept,
    Then(Settled),
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
        let mut normal = Normal { state: host.state(OWN), ..Normal::default() };
        for deed in run.deeds().iter().filter(|deed| deed.act == Act::Apply) {
            if !normal.applied.contains(&deed.id) {
                normal.applied.push(deed.id.clone());
                if deed.changes > 1 {
                    normal.changes.insert(deed.id.clone(), deed.changes);
                }
            }
        }
        self.rules(&run)?;
        run.stop();
        let before = fingerprint(&host);
        normal.again = self.second(&host, &normal)?;
        normal.quiet().insert(before);
        Ok(normal)
    }

    /// A second engine on the same host. Returns the resources that it has repaired.
    fn second(&self, host: &Host, normal: &Normal) -> Result<BTreeSet<ResourceId>, Failure> {
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

    /// Like [`Attempt::second`]. What an engine does follows from the host and its journal: on the same ones, it is not
    /// tried twice.
    fn second_if_new(&self, host: &Host, normal: &Normal) -> Result<(), Failure> {
        let before = fingerprint(host);
        if !normal.quiet().contains(&before) {
            self.second(host, normal)?;
            normal.quiet().insert(before);
        }
        Ok(())
    }

    /// Runs the graph with a fault. `None`: the fault can't happen to this resource.
    pub(super) fn with(&self, fault: &FaultOf, normal: &Normal) -> Outcome {
        let host = self.host.fork();
        let mishap = match fault.fault {
            Fault::Fail => Some(Mishap::Fail("a failure that a test has arranged".to_owned())),
            Fault::Hang => Some(Mishap::Hang),
            Fault::Crash => Some(Mishap::CrashAfter),
            Fault::Torn => match normal.changes.get(&fault.id) {
                Some(changes) => Some(Mishap::CrashAtChange(*changes)),
                None => return Ok(None),
            },
            Fault::Drift | Fault::Loss => None,
        };
        if let Some(mishap) = mishap {
            host.part::<Stage>().arrange(fault.id.clone(), Act::Apply, mishap);
        }
        let mut run = self.start(&host);
        let mut settled = run.settle();
        if fault.fault.is_later() {
            match self.drift(&mut run, fault, normal) {
                Drifted::Not | Drifted::Unkept => return Ok(None),
                Drifted::Then(then) => settled = then,
            }
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
        self.holds(fault, &run, normal)?;
        run.stop();
        self.second_if_new(&host, normal).map(Some)
    }

    /// Runs the graph with several faults that happen after it has converged, one after the other: as long as nothing
    /// is broken, each finds the host as the first one did. What breaks something is tried again by itself, so that the
    /// others have no part in what is reported.
    pub(super) fn later(&self, faults: &[FaultOf], normal: &Normal) -> Vec<Outcome> {
        let mut converged: Option<Run> = None;
        let each = faults.iter().map(|fault| {
            let mut run = converged.take().unwrap_or_else(|| {
                let mut run = self.start(&self.host.fork());
                run.settle();
                run
            });
            match self.drift(&mut run, fault, normal) {
                Drifted::Not => converged = Some(run),
                Drifted::Unkept => return Ok(None),
                Drifted::Then(Settled::Converged) if self.stays_well(fault, &mut run, normal) => {
                    converged = Some(run);
                    return Ok(Some(()));
                }
                Drifted::Then(_) => return self.with(fault, normal),
            }
            Ok(None)
        });
        each.collect()
    }

    /// Whether everything holds after a drift, here and for a second engine.
    fn stays_well(&self, fault: &FaultOf, run: &mut Run, normal: &Normal) -> bool {
        // What the journal has noted is on its disk then.
        run.pass(NOTED);
        let holds = self.rules(run).and_then(|()| self.holds(fault, run, normal));
        holds.and_then(|()| self.second_if_new(&run.host().fork(), normal)).is_ok()
    }

    /// Makes the resource drift or lose what it keeps, and waits.
    fn drift(&self, run: &mut Run, fault: &FaultOf, normal: &Normal) -> Drifted {
        let drift = if fault.fault == Fault::Loss { Drift::Removed } else { Drift::Changed };
        run.forget();
        let before = run.deeds().len();
        if !run.drift_by(&fault.id, drift) {
            return Drifted::Not;
        }
        let mut settled = run.settle();
        let did = |run: &Run, act| run.deeds()[before..].iter().any(|deed| deed.id == fault.id && deed.act == act);
        let poll = self.config.get(&fault.id).and_then(|vertex| vertex.meta().poll);
        if let Some(poll) = poll.filter(|_| !did(run, Act::Check)) {
            run.pass(poll * 2);
            settled = run.settle();
        }
        if did(run, Act::Check) && !did(run, Act::Apply) && self.same_state(run, normal).is_err() {
            return Drifted::Unkept;
        }
        Drifted::Then(settled)
    }

    /// What must hold when the graph has converged after a fault.
    fn holds(&self, fault: &FaultOf, run: &Run, normal: &Normal) -> Result<(), Failure> {
        self.same_state(run, normal)?;
        let owed = Journal::owed_on(run.host());
        let owed: Vec<String> = owed.iter().map(|(from, to, _)| format!("{from} owes {to} a refresh")).collect();
        if !owed.is_empty() {
            return Err(Failure::new(Invariant::PaysItsDebts, owed.join("\n"), run));
        }
        let left: Vec<String> = run.host().temporary_files().iter().map(|path| path.display().to_string()).collect();
        if !left.is_empty() {
            return Err(Failure::new(Invariant::LeavesNoRubbish, left.join("\n"), run));
        }
        match self.repeated(fault, run, normal) {
            Some(seen) => Err(Failure::new(Invariant::RepeatsNothing, seen, run)),
            None => Ok(()),
        }
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
    /// resource, a drift may reach those that come after it, and what a killed repair leaves may be removed by another
    /// resource.
    fn repeated(&self, fault: &FaultOf, run: &Run, normal: &Normal) -> Option<String> {
        if fault.fault.is_later() || fault.fault == Fault::Torn {
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

/// A number that stands for the files, the parts and the journal of a host.
fn fingerprint(host: &Host) -> u64 {
    let all = (host.state(&[]), Journal::lines_on(host));
    BuildHasherDefault::<DefaultHasher>::default().hash_one(all)
}

/// The operations of this sort that ended well.
fn well(deeds: &[Deed], act: Act) -> impl Iterator<Item = &Deed> {
    deeds.iter().filter(move |deed| deed.act == act && deed.ended == Ended::Well)
}
