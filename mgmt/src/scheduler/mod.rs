//! The engine's mind: decides what runs when, and nothing else does. Sans-IO: inputs go in, commands come out; nodes are numbers.

mod api;

pub use api::{
    ApplyOutcome, Backoff, CheckOutcome, Command, Config, EdgeSpec, Event, Input, JournalOp, NodeConfig, NodeSpec, Op,
    PortSet, State, StopStage, Swap,
};
