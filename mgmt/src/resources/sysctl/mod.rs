//! `sysctl`: keeps the value of a parameter of the kernel, now and after the next boot.

mod boot;
mod capture;
mod key;
mod kind;
mod live;
mod reverse;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub use kind::{Sysctl, SysctlBuilder, SysctlDrift, SysctlHandle};
