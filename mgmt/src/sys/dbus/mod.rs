//! D-Bus: connections, and calls of services on a bus.

mod bus;
mod call;
mod own_task;
mod subscribe;

pub use bus::{Bus, BusError, RuntimeLife, connect};
pub use call::{CallError, PROPERTIES, Peer, text};
pub use subscribe::subscribe;
