//! Descriptors that the runtime can wait for.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor, so that the runtime can wait for it.
///
/// # Errors
/// The descriptor can't be waited for (a regular file), or there are too many.
#[expect(deprecated, reason = "the other way needs unsafe; an owned descriptor, never replaced, meets its conditions")]
pub fn register(fd: Arc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(fd, interest)
}
