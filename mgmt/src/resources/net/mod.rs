//! `net`: keeps a network interface up or down, with its addresses, gateway and forwarding.

mod door;
mod fields;
mod forwarding;
mod gateways;
mod judge;
mod kind;
mod look;
mod repair;
mod reverse;
#[cfg(test)]
mod tests;
mod wanted;

pub use fields::{NetAddress, NetGateway, NetState};
pub use kind::{Net, NetBuilder, NetDrift, NetHandle};
