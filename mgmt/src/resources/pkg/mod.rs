//! `pkg`: packages of the distribution.

mod answers;
mod apt;
mod apt_host;
mod backend;
mod capture;
mod installer;
mod judge;
mod kind;
#[cfg(feature = "dbus")]
mod kit_host;
mod name;
mod policy;
mod reverse;
mod shipped;
mod state;
mod status;
mod transact;
mod version;

pub use kind::{Pkg, PkgBuilder, PkgDrift, PkgHandle};
pub use reverse::PkgRecord;
pub use state::{PkgBackend, PkgConffiles, PkgState};
