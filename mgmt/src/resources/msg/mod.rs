//! `msg`: writes a message to the log, the journal and syslog.

mod deliver;
mod kind;
mod priority;
#[cfg(all(test, feature = "cli"))]
mod tests;

pub use kind::{Msg, MsgBuilder, MsgHandle};
pub use priority::Priority;
