//! `svc` and `cron`: units of systemd.

mod cron;
mod cron_text;
mod judge;
mod state;
mod steps;
mod svc;
mod svc_reverse;
mod target;

pub use cron::{Cron, CronBase, CronBuilder, CronHandle, CronState};
pub use state::{SvcStartup, SvcState};
pub use svc::{Svc, SvcBuilder, SvcDrift, SvcHandle};
