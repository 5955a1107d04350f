//! Plans and runs on many hosts at once.

mod attend;
mod drive;
mod host_order;
mod packing;
mod plan;
mod report;
mod reports;
mod roster;
mod run;
mod settings;

pub use plan::{HostPlanned, PlansOfHosts};
pub use report::{FleetEnded, FleetReport, HostEnded, HostReport, Verdict};
pub use run::FleetRun;
pub use settings::{Fleet, FleetUntil};
