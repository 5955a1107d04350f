//! All faults, one after the other, on as many threads as there are processors.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::gapi::Fixed;
use crate::graph::GraphConfig;
use crate::id::ResourceId;
use crate::runtime::Builder;
use crate::sys::simulated::Host;
use crate::sys::task::side_by_side;
use crate::testing::run::IntoGraph;
use crate::testing::survive::attempt::{Attempt, Failure, Normal, Outcome, Settings};
use crate::testing::survive::fault::{Fault, FaultOf};
use crate::testing::survive::report::{Broken, Report};

/// The most faults of a converged graph that happen one after the other in one run.
const LATER_MAX: usize = 16;

/// Runs the graph on a new simulated host against every single fault: each resource fails once, hangs once, is killed
/// after its repair and in the middle of it, drifts, and is lost. After each fault, the graph must converge again, and
/// the host must be as it is without the fault. For a graph that needs programs, accounts or files of its host, or
/// values of its program, see [`Survival`].
///
/// # Panics
/// The graph does not survive: the message names the faults, what they broke, and how to see each again.
#[track_caller]
pub fn survives(graph: impl IntoGraph) {
    Survival::new(graph).check();
}

/// A graph against every single fault, with settings. See [`survives`].
#[must_use = "`check` runs it"]
pub struct Survival {
    graph: Result<GraphConfig, String>,
    host: Host,
    settings: Box<Settings>,
    faults: Vec<Fault>,
    only: Option<Vec<FaultOf>>,
    repeated: BTreeSet<ResourceId>,
}

impl fmt::Debug for Survival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survival").field("host", &self.host).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Survival {
    /// All faults, on a new host.
    pub fn new(graph: impl IntoGraph) -> Survival {
        let host = Host::new();
        let graph = host.on(|| graph.into_graph());
        let (settings, faults) = (Box::new(|builder| builder), Fault::ALL.to_vec());
        Survival { graph, host, settings, faults, only: None, repeated: BTreeSet::new() }
    }

    /// The host as it is before the graph runs. Each fault gets a [fork](Host::fork) of it. Default: a new one.
    pub fn host(mut self, host: Host) -> Survival {
        self.host = host;
        self
    }

    /// Settings of the engines, such as values that the program provides to its kinds. Default: none.
    pub fn settings(mut self, set: impl Fn(Builder<Fixed>) -> Builder<Fixed> + Send + Sync + 'static) -> Survival {
        self.settings = Box::new(set);
        self
    }

    /// Tries these faults only. Default: all.
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Survival {
        self.faults = faults.into_iter().collect();
        self
    }

    /// Tries this fault only, as a report names it: `drift file[/etc/motd]`.
    ///
    /// # Panics
    /// This is no fault of a resource.
    #[track_caller]
    pub fn only(mut self, fault: &str) -> Survival {
        match fault.parse() {
            Ok(fault) => self.only.get_or_insert_default().push(fault),
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// This resource may be repaired by every engine that starts, whatever the host is like: a command without a guard,
    /// for example. Default: none may.
    ///
    /// # Panics
    /// This is no name of a resource.
    #[track_caller]
    pub fn may_repeat(mut self, resource: &str) -> Survival {
        let Ok(id) = resource.parse() else { panic!("`{resource}` is no name of a resource, such as `exec[reload]`") };
        self.repeated.insert(id);
        self
    }

    /// Tries the faults.
    ///
    /// # Panics
    /// The graph does not survive them.
    #[track_caller]
    pub fn check(self) {
        match self.report() {
            Ok(report) if report.is_well() => {}
            Ok(report) => panic!("{report}"),
            Err(error) => panic!("the graph does not run: {error}"),
        }
    }

    /// Tries the faults, and reports what they broke.
    ///
    /// # Errors
    /// The graph is wrong.
    pub fn report(self) -> Result<Report, String> {
        let config = self.graph.clone()?;
        // Whether it is right.
        drop(self.host.fork().try_start(config.clone(), |builder| (self.settings)(builder))?);
        let attempt =
            Attempt { config: &config, host: &self.host, settings: &*self.settings, repeated: &self.repeated };
        let normal = match attempt.undisturbed() {
            Ok(normal) => normal,
            Err(failure) => {
                let happens = "nothing goes wrong".to_owned();
                let broken = vec![broken(String::new(), happens, failure)];
                return Ok(Report { broken, ..Report::default() });
            }
        };
        let faults = self.only.clone().unwrap_or_else(|| self.all(&config, &normal));
        // The later ones share runs.
        let (later, first): (Vec<FaultOf>, Vec<FaultOf>) = faults.into_iter().partition(|fault| fault.fault.is_later());
        let pieces: Vec<&[FaultOf]> = later.chunks(LATER_MAX).chain(first.chunks(1)).collect();
        let outcomes: Vec<Mutex<Vec<Outcome>>> = pieces.iter().map(|_| Mutex::default()).collect();
        side_by_side(pieces.len(), &|at| {
            let outcome = match pieces[at] {
                [one] => vec![attempt.with(one, &normal)],
                several => attempt.later(several, &normal),
            };
            *outcomes[at].lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        });
        let ids = config.vertices.iter().map(|vertex| vertex.id());
        let untouched = ids.filter(|id| !normal.applied.contains(id)).map(|id| id.to_string()).collect();
        let mut report = Report { untouched, ..Report::default() };
        let outcomes =
            outcomes.into_iter().flat_map(|piece| piece.into_inner().unwrap_or_else(PoisonError::into_inner));
        for (fault, outcome) in later.iter().chain(&first).zip(outcomes) {
            match outcome {
                Ok(None) => report.unmet.push(fault.to_string()),
                Ok(Some(())) => report.faults += 1,
                Err(failure) => {
                    report.faults += 1;
                    report.broken.push(broken(fault.to_string(), fault.fault.describe(&fault.id), failure));
                }
            }
        }
        Ok(report)
    }

    /// All faults of all resources that they can meet.
    fn all(&self, config: &GraphConfig, normal: &Normal) -> Vec<FaultOf> {
        let ids: Vec<ResourceId> = config.vertices.iter().map(|vertex| vertex.id()).collect();
        let of = |fault: Fault| {
            let meets = move |id: &&ResourceId| match fault {
                Fault::Drift | Fault::Loss => true,
                Fault::Fail | Fault::Hang | Fault::Crash => normal.applied.contains(id),
                Fault::Torn => normal.changes.contains_key(id),
            };
            ids.iter().filter(meets).map(move |id| FaultOf { fault, id: id.clone() })
        };
        self.faults.iter().flat_map(|fault| of(*fault).collect::<Vec<_>>()).collect()
    }
}

fn broken(fault: String, happens: String, failure: Failure) -> Broken {
    let Failure { invariant, seen, story } = failure;
    Broken { fault, happens, invariant, seen, story }
}
