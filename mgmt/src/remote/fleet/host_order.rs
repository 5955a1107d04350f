//! What the run on one host is asked to do.

use crate::remote::job::Parcel;
use crate::remote::run::StopStep;

/// What the run on one host is asked to do.
#[derive(Clone, Debug)]
pub(super) enum HostOrder {
    /// Stop, with this step.
    Stop(StopStep),
    /// Report the state there, then stop as soon as possible.
    StopWithStatus,
    /// Put this graph in force.
    Swap(Parcel),
    /// Make the graph again.
    Reload,
}
