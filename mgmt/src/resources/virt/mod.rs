//! `virt`: keeps a domain of libvirt, a virtual machine or a container, defined, running, paused or off.

mod compare;
mod definition;
mod devices;
mod door;
mod fields;
mod judge;
mod kind;
mod live;
mod make;
mod repair;
mod reverse;
#[cfg(test)]
mod tests;
mod validate;
mod wait;
mod wanted;

pub use fields::{
    VirtAccess, VirtAuth, VirtBoot, VirtDisk, VirtFilesystem, VirtFormat, VirtMemory, VirtNetwork, VirtRestart,
    VirtState,
};
pub use kind::{Virt, VirtBuilder, VirtDrift, VirtHandle};
