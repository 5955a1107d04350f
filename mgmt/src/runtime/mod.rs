//! Hands and eyes: runs graphs with tokio. Decides nothing that the scheduler can decide.

mod core;
mod doors;
mod drive;
mod ended;
mod engine;
mod error;
mod event;
mod files;
mod follow;
mod forget;
mod measure;
mod operate;
mod outlet;
mod owned;
mod places;
mod planner;
mod prefix;
mod prepare;
mod publish;
mod running;
mod slot;
mod span;
mod status;
mod store;
mod stuck;
mod values;
mod watches;

pub use crate::journal::JournalError;
pub use crate::scheduler::{Cause, Causes};
pub use doors::Doors;
pub use engine::{Builder, Engine};
pub use error::EngineError;
pub use event::{Event, EventKind, Events};
pub use measure::{DURATION_CLASSES, Measure, Measures};
#[cfg(feature = "cli")]
pub(crate) use prefix::Prefix;
pub use status::{Progress, ResourceStatus, RunningStatus, Standing, Status};
