//! systemd: the state of units, and the jobs that change it. Over D-Bus, and on a simulated host.

mod door;
mod error;
mod jobs;
mod over_bus;
#[cfg(any(test, feature = "testing"))]
mod simulated;
mod traffic;
mod unit;

pub use door::{Job, Systemd};
pub use error::{Result, SystemdError};
pub use over_bus::{MANAGER, MANAGER_PATH, NAME, unit_path};
pub use traffic::Traffic;
pub use unit::{ActiveState, LastRun, Unit, UnitJob};
