//! `pkg`: packages of the distribution.

mod answers;
mod apt;
mod apt_host;
mod judge;
mod kind;
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
pub use state::{PkgConffiles, PkgState};
