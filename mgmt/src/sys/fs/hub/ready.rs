//! Waiting for a descriptor without a thread or a task.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::pollable::register;

/// A descriptor that wakes the task when there is something to read. It is registered at the first wait, so that it can
/// be made outside of a runtime.
#[derive(Debug)]
pub(super) struct Ready {
    fd: Arc<OwnedFd>,
    interest: Interest,
    registered: Option<AsyncFd<Arc<OwnedFd>>>,
}

impl Ready {
    pub(super) fn new(fd: OwnedFd, interest: Interest) -> Self {
        Self { fd: Arc::new(fd), interest, registered: None }
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn shared(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Waits until `read` returns a value. `read` must also return whether it has read all that there was.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&OwnedFd) -> io::Result<Read<T>>,
    ) -> Poll<io::Result<T>> {
        let registered = match &mut self.registered {
            Some(registered) => registered,
            none => none.insert(register(Arc::clone(&self.fd), self.interest)?),
        };
        loop {
            let mut guard = ready!(registered.poll_read_ready(cx))?;
            let Read { value, is_drained } = read(&self.fd)?;
            if is_drained {
                // This keeps what became ready since the guard was made.
                guard.clear_ready();
            }
            if let Some(value) = value {
                return Poll::Ready(Ok(value));
            }
        }
    }
}

/// The outcome of a read.
#[derive(Clone, Debug)]
pub(super) struct Read<T> {
    /// `None`: there was nothing to read.
    pub(super) value: Option<T>,
    /// Whether nothing is left for now.
    pub(super) is_drained: bool,
}
