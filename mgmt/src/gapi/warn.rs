//! Warnings about a graph, in the log.

use crate::graph::Problem;

/// Most warnings about one file or graph that are logged.
const WARNINGS_MAX: usize = 50;

/// Logs what is not wrong but has no effect in that file or graph.
pub(crate) fn warn_of(source: &str, warnings: &[Problem]) {
    for warning in warnings.iter().take(WARNINGS_MAX) {
        tracing::warn!(target: "mgmt", "{warning}");
    }
    if warnings.len() > WARNINGS_MAX {
        tracing::warn!(target: "mgmt", "{source}: … and {} more warnings", warnings.len() - WARNINGS_MAX);
    }
}
