//! Where the warnings about graphs go: to the log, or to a command that prints them itself.

use std::sync::{Arc, Mutex};

use crate::graph::Problem;

/// The most warnings about one file or graph that are logged.
const WARNINGS_MAX: usize = 50;

/// Where the warnings about graphs go. Default: to the log. Clones lead to the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Option<Arc<Mutex<Vec<Problem>>>>);

impl Warnings {
    /// Keeps the warnings for [`Warnings::take`], and logs none.
    #[cfg(any(feature = "cli", feature = "ssh"))]
    pub(crate) fn kept() -> Warnings {
        Warnings(Some(Arc::default()))
    }

    /// The warnings that were kept since the last call.
    #[cfg(any(feature = "cli", feature = "ssh"))]
    pub(crate) fn take(&self) -> Vec<Problem> {
        let Some(kept) = &self.0 else { return Vec::new() };
        std::mem::take(&mut *kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Adds the parts of a file or graph that are not wrong but have no effect.
    pub(crate) fn add(&self, source: &str, warnings: &[Problem]) {
        if let Some(kept) = &self.0 {
            kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(warnings);
            return;
        }
        for warning in warnings.iter().take(WARNINGS_MAX) {
            tracing::warn!(target: "mgmt", "{warning}");
        }
        if warnings.len() > WARNINGS_MAX {
            tracing::warn!(target: "mgmt", "{source}: … and {} more warnings", warnings.len() - WARNINGS_MAX);
        }
    }
}
