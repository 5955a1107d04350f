//! Running commands: each in a process group of its own, with limits for time and output, with a shell only if asked
//! for, and with no process left behind.

mod account;
mod capture;
mod child;
mod command;
#[cfg(any(feature = "etcd", feature = "ssh"))]
mod earlier;
mod error;
mod escape;
mod group;
mod guard;
mod lines;
mod outlive;
#[cfg(feature = "ssh")]
mod piped;
mod reaper;
mod resolve;
mod run;
#[cfg(any(test, feature = "testing"))]
mod simulated;
mod spawn;
mod status;
#[cfg(feature = "ssh")]
mod talk;

#[cfg(test)]
mod tests;

pub use account::Account;
pub use capture::Captured;
pub use command::{Command, Env, InheritEnv, LINGER, Leftovers, OUTPUT_BYTES_MAX};
#[cfg(any(feature = "etcd", feature = "ssh"))]
pub use earlier::Earlier;
pub use error::ProcessError;
pub use escape::{escape_lossless, escape_text};
pub use lines::{LINE_BYTES_MAX, Line, LineEvent, LineStream, spawn_lines};
pub use outlive::{run_to_its_end, to_its_end};
#[cfg(feature = "ssh")]
pub use piped::{Piped, PipedEnd, own_session, spawn_alone, spawn_piped};
pub use run::{Output, run, run_guarded, run_until};
pub use rustix::process::Signal;
pub use spawn::FAR_END_VARIABLE;
pub use spawn::examine;
pub use status::{Status, signal_by_name};
#[cfg(feature = "ssh")]
pub use talk::{Talk, Talker, spawn_talk};
