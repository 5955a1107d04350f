//! `svc`: services of systemd.

mod judge;
mod kind;
mod state;

pub use kind::{Svc, SvcBuilder, SvcHandle};
pub use state::{SvcStartup, SvcState};
