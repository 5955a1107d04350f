//! The engine: its builder, its handle, its events, status and measurements. It runs graphs with tokio, and decides
//! nothing that the scheduler can decide.

mod ask_watch;
mod builder;
mod capture;
pub mod control;
mod core;
mod culprits;
mod departed;
mod deploy;
mod doors;
mod drive;
mod ended;
mod engine;
mod errand;
mod error;
mod event;
mod events;
mod exchange;
mod files;
mod follow;
#[cfg(all(feature = "cli", feature = "ssh"))]
mod for_others;
mod forget;
mod grouped;
mod guard;
mod handover;
mod history;
pub(crate) mod hosts;
mod inspect;
mod lane;
mod looks;
mod many;
mod measure;
mod numbers;
mod once;
mod operate;
mod outlet;
mod outlook;
mod overflow;
mod owned;
mod places;
mod plan_check;
mod planner;
mod prefix;
mod prepare;
mod publish;
mod reach;
#[cfg(test)]
mod read_back;
mod running;
mod seats;
mod settings;
#[cfg(all(feature = "dbus", any(test, feature = "testing")))]
mod signal_stream;
#[cfg(feature = "dbus")]
mod signals;
#[cfg(any(test, feature = "testing"))]
mod simulated;
mod slot;
mod slowness;
mod span;
mod staged;
mod status;
mod stay;
mod store;
mod stuck;
pub mod trial;
mod tries;
mod undo;
mod values;
mod waiting;
mod watches;

pub use crate::journal::JournalError;
pub use crate::scheduler::{Cause, Causes};
pub use crate::sys::culprit::Process;
pub use builder::Builder;
pub use doors::Doors;
pub use engine::Engine;
pub use error::EngineError;
pub use event::{Event, EventKind, Operation};
pub use events::Events;
#[cfg(all(feature = "cli", feature = "ssh"))]
pub(crate) use for_others::ForOthers;
pub use measure::{DURATION_CLASSES, Measure, Measures};
#[cfg(feature = "cli")]
pub(crate) use prefix::Prefix;
#[cfg(all(feature = "dbus", any(test, feature = "testing")))]
pub(crate) use signal_stream::stream_of;
#[cfg(any(test, feature = "testing"))]
pub(crate) use staged::{Act, Deed, Ended, Mishap, Stage};
pub use status::{Progress, ResourceStatus, RunningStatus, Standing, Status};
