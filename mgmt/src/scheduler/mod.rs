//! The decisions of the engine: the only place that decides what runs when. Sans-IO: inputs go in, commands come out;
//! nodes are numbers.

mod api;
mod block;
mod cause;
mod converge;
mod edges;
mod flags;
mod gate;
mod group;
mod handover;
#[cfg(any(test, feature = "testing"))]
mod invariants;
mod late;
mod leave;
mod leave_order;
mod look;
mod mutants;
mod node;
mod places;
mod questions;
mod rare;
mod ready;
mod refresh;
mod retry;
mod run;
#[expect(clippy::module_inception, reason = "the type is the module's")]
mod scheduler;
mod send;
mod share;
mod stay;
mod stop;
mod swap;
#[cfg(test)]
mod tests;
mod timers;
mod together;
mod wait;
mod watch;

pub use crate::id::JournalOp;
pub use api::{
    ApplyOutcome, Backoff, CALL_MAX, CheckOutcome, Command, Config, EdgeSpec, Event, Failing, GoOn, Handover, Input,
    Lack, NodeConfig, NodeSpec, Op, PortSet, Remains, State, StopStage, Swap,
};
pub use cause::{Cause, Causes};
pub use late::LATE;
pub use leave_order::Tries;
#[doc(hidden)]
pub use mutants::Mutant;
pub use places::LONG;
pub use retry::WATCH_WELL;
pub use scheduler::Scheduler;
pub use share::{REST_MAX, SHARE, SHARE_BURST, SHARE_RUNS, WAITING_REST_MAX};
pub use wait::{ANNOUNCED, CONFIRMED, UNANNOUNCED};
