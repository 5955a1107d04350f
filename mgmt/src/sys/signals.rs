//! The signals of this process.

use std::io;

use nix::sys::signal::SigSet;

/// Lets every signal reach the calling thread, and the threads and commands that it starts: the program that started
/// this process may have blocked some, which is inherited. Call this before other threads are started.
///
/// # Errors
/// The system refuses.
pub fn unblock_all() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}
