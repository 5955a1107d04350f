//! Standard input, read without a thread that could not be ended while it waits.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;

use super::pollable::register;

const PART_BYTES: usize = 1 << 16;

/// Reads standard input to its end, or until it has read more than `most` bytes.
///
/// # Errors
/// Standard input is closed, or can't be read.
pub async fn read(most: usize) -> io::Result<Vec<u8>> {
    let fd = io::stdin().as_fd().try_clone_to_owned()?;
    // A regular file can't be waited for, and is always ready.
    let ready = register(Arc::new(fd.try_clone()?), Interest::READABLE).ok();
    let (mut file, mut bytes, mut part) = (File::from(fd), Vec::new(), vec![0; PART_BYTES]);
    while bytes.len() <= most {
        if let Some(ready) = &ready
            && !would_read(&file)?
        {
            // This keeps what has become ready since the check.
            ready.readable().await?.clear_ready();
            continue;
        }
        match file.read(&mut part) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Whether a read would not wait.
fn would_read(fd: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(fd, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&Timespec::default()))? > 0)
}
