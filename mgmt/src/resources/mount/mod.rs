//! `mount`: keeps an entry of fstab(5), and what it describes mounted or not.

mod active;
mod commands;
mod device;
mod flags;
mod fstab;
mod holders;
mod kind;
mod look;
mod options;
mod repair;
mod reverse;
mod state;
#[cfg(test)]
mod tests;
mod wanted;

pub use kind::{Mount, MountBuilder, MountDrift, MountHandle};
pub use options::MountOptions;
pub use state::MountState;
