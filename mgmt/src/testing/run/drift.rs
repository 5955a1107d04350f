//! Changes of a host by something else than the engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::ResourceId;
use crate::resource::{Known, Package, Uid, Unit};
use crate::sys::simulated::{Host, Part};
use crate::testing::run::engine::Run;
use crate::testing::run::mishaps::id_of;

/// The content of a file that something else has written.
const FOREIGN: &str = "something else than the engine has written this\n";

type Does = Arc<dyn Fn(&Host) + Send + Sync>;

/// How resources drift that own no path.
#[derive(Clone, Default)]
struct Drifts(Arc<Mutex<Vec<(ResourceId, Does)>>>);

impl Part for Drifts {
    fn fork(&self) -> Drifts {
        self.clone()
    }

    fn state(&self, _: &Host) -> Vec<String> {
        Vec::new()
    }
}

impl Drifts {
    fn get(&self, id: &ResourceId) -> Option<Does> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|(of, _)| of == id).map(|(_, does)| Arc::clone(does))
    }
}

/// What happens to what a resource keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testing) enum Drift {
    /// It is changed.
    Changed,
    /// It is removed.
    Removed,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Drift::Changed => "drift",
            Drift::Removed => "loss",
        })
    }
}

impl Host {
    /// Sets how this resource drifts, for [`Run::drift`] and [`survives`](crate::testing::survives). Needed for kinds
    /// that own no path, and useful for those whose drift is more than another content. Only a resource that owns a
    /// path can be lost ([`Run::lose`]).
    ///
    /// # Panics
    /// This is no name of a resource.
    #[track_caller]
    pub fn on_drift(&self, resource: &str, does: impl Fn(&Host) + Send + Sync + 'static) {
        let drifts = self.part::<Drifts>();
        let mut all = drifts.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((id_of(resource), Arc::new(does)));
    }
}

impl Run {
    /// Something else than the engine changes what this resource keeps: it writes another content to its files, lets
    /// its symlinks lead elsewhere, stops its service or starts one that does not run, or does what [`Host::on_drift`]
    /// has set; directories stay as they are. Services that read one of these files when they start are restarted, so
    /// that they run with the changed content until they are restarted again.
    ///
    /// # Panics
    /// The resource is not in the graph, or it is not known how it drifts.
    #[track_caller]
    pub fn drift(&self, resource: &str) {
        let id = id_of(resource);
        if !self.drift_by(&id, Drift::Changed) {
            panic!("it is not known how {id} drifts: it owns no path. Set it by `Host::on_drift`");
        }
    }

    /// Like [`Run::drift`], but what the resource keeps is removed.
    ///
    /// # Panics
    /// As [`Run::drift`].
    #[track_caller]
    pub fn lose(&self, resource: &str) {
        let id = id_of(resource);
        if !self.drift_by(&id, Drift::Removed) {
            panic!("it is not known how {id} drifts: it owns no path. Set it by `Host::on_drift`");
        }
    }

    /// Makes the resource drift. Returns `false` if it is not known how.
    #[track_caller]
    pub(in crate::testing) fn drift_by(&self, id: &ResourceId, drift: Drift) -> bool {
        let Some(vertex) = self.graph().get(id) else { panic!("{id} is not in the graph") };
        let host = self.host();
        if drift == Drift::Changed
            && let Some(does) = host.part::<Drifts>().get(id)
        {
            does(host);
            return true;
        }
        let (resource, known) = (&vertex.resource, Known::all(vertex.resource.spec()));
        let owned = resource.uids(&known).into_iter().chain(resource.provides(&known));
        let owned = owned.filter_map(|uid| match uid {
            Uid::Path(path) => Some(path),
            _ => None,
        });
        let paths: Vec<PathBuf> = owned.chain(resource.parts(&known)).collect();
        let units: Vec<String> =
            resource.uids(&known).iter().filter_map(|uid| uid.key::<Unit>()).map(Unit::to_string).collect();
        // Those that follow belong to the first.
        if drift == Drift::Changed && units.first().is_some_and(|unit| turn_over(host, unit)) {
            return true;
        }
        let mut packages =
            resource.uids(&known).into_iter().filter_map(|uid| uid.key::<Package>().map(|key| key.0.clone()));
        if drift == Drift::Changed
            && packages.next().is_some_and(|name| host.remove_package(&name) || host.install_package(&name))
        {
            return true;
        }
        let changed: Vec<PathBuf> = paths.into_iter().filter(|path| change(host, path, drift)).collect();
        host.restart_readers_of(&changed);
        !changed.is_empty()
    }
}

/// Stops a service that runs, and starts one that does not. Returns `false` if there is none of this name.
fn turn_over(host: &Host, unit: &str) -> bool {
    if host.runs(unit) { host.stop_service(unit) } else { host.start_service(unit) }
}

/// Changes what is at a path. Returns `false` if there is nothing to change in this way.
fn change(host: &Host, path: &Path, drift: Drift) -> bool {
    match drift {
        Drift::Removed => host.remove(path),
        // What is in a directory belongs to other resources.
        Drift::Changed if host.is_dir(path) && host.link(path).is_none() => false,
        Drift::Changed => {
            if host.link(path).is_some() {
                host.symlink(path, "/nowhere");
            } else {
                host.write(path, FOREIGN);
            }
            true
        }
    }
}
