//! Core dumps of this process, which hold all that it has in memory.

use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Keeps the system from writing what is in this process's memory to a file if it crashes, and other processes of its
/// user from reading it, until it starts another program in its place.
///
/// # Errors
/// The system refuses.
pub fn forbid() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
