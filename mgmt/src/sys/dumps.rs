//! Core dumps of this process, which contain everything in its memory.

use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Until this process starts another program in its place: keeps the system from writing the memory of this process to
/// a file after a crash, and other processes of its user from reading that memory.
///
/// # Errors
/// The system refuses.
pub fn forbid() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
