//! `svc`: services of systemd.

mod judge;
mod kind;
mod reverse;
mod state;
mod steps;

pub use kind::{Svc, SvcBuilder, SvcDrift, SvcHandle};
pub use state::{SvcStartup, SvcState};
