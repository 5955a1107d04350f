//! Tests any kind for the laws that every kind must keep, in a few lines.
//!
//! ```
//! use std::fs;
//! use mgmt::prelude::*;
//! use mgmt::testing::laws::{self, Subject};
//!
//! let motd = Subject::new(|dir| File::new(dir.join("motd").to_str().unwrap()).content("hello\n"))
//!     .break_it(|dir| fs::write(dir.join("motd"), "good bye\n").unwrap())
//!     .break_it(|dir| fs::remove_file(dir.join("motd")).unwrap());
//! laws::check(motd);
//! ```

mod cancelled;
mod in_sync;
mod law;
mod listen;
mod looks;
mod noop;
mod once;
mod run;
mod snapshot;
mod stage;
mod subject;
#[cfg(test)]
mod tests;
mod undone;
mod watched;

pub use law::{Broken, Law, Report};
pub use run::{check, report};
pub use subject::Subject;
