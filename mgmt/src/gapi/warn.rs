//! Warnings about a graph: in the log, or collected for a command that prints them itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::graph::Problem;

/// The most warnings about one file or graph that are logged.
const WARNINGS_MAX: usize = 50;

/// The warnings so far, if this process collects them. A process collects them if it runs a command that only looks at
/// a graph.
static COLLECTED: Mutex<Option<Vec<Problem>>> = Mutex::new(None);

fn collected() -> MutexGuard<'static, Option<Vec<Problem>>> {
    COLLECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, warnings are not logged but collected for [`take_warnings`].
#[cfg(feature = "cli")]
pub(crate) fn collect_warnings() {
    collected().get_or_insert_default();
}

/// The warnings that were collected since the last call.
#[cfg(feature = "cli")]
pub(crate) fn take_warnings() -> Vec<Problem> {
    collected().as_mut().map(std::mem::take).unwrap_or_default()
}

/// Logs the parts of a file or graph that are not wrong but have no effect.
pub(crate) fn warn_of(source: &str, warnings: &[Problem]) {
    if let Some(all) = collected().as_mut() {
        return all.extend_from_slice(warnings);
    }
    for warning in warnings.iter().take(WARNINGS_MAX) {
        tracing::warn!(target: "mgmt", "{warning}");
    }
    if warnings.len() > WARNINGS_MAX {
        tracing::warn!(target: "mgmt", "{source}: … and {} more warnings", warnings.len() - WARNINGS_MAX);
    }
}
