//! `svc`: services of systemd.

mod judge;
mod kind;
mod state;

pub use kind::{Svc, SvcBuilder, SvcDrift, SvcHandle};
pub use state::{SvcStartup, SvcState};
