//! Warnings about a graph, in the log.

use crate::graph::Problem;

/// The most warnings about one file or graph that are logged.
const WARNINGS_MAX: usize = 50;

/// Logs the parts of a file or graph that are not wrong but have no effect.
pub(crate) fn warn_of(source: &str, warnings: &[Problem]) {
    for warning in warnings.iter().take(WARNINGS_MAX) {
        tracing::warn!(target: "mgmt", "{warning}");
    }
    if warnings.len() > WARNINGS_MAX {
        tracing::warn!(target: "mgmt", "{source}: … and {} more warnings", warnings.len() - WARNINGS_MAX);
    }
}
