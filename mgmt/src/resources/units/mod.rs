//! `svc` and `cron`: units of systemd.

mod capture;
mod cron;
mod cron_text;
mod judge;
mod nspawn;
mod state;
mod steps;
mod svc;
mod svc_reverse;
mod target;

pub use cron::{Cron, CronBase, CronBuilder, CronHandle, CronState};
pub use nspawn::{Nspawn, NspawnBuilder, NspawnDrift, NspawnHandle};
pub use state::{SvcStartup, SvcState};
pub use svc::{Svc, SvcBuilder, SvcDrift, SvcHandle};
