//! Tables of the kernel: those that can be waited for, since it reports each change (`/proc/swaps`), and how their
//! fields are written.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::if_simulated;
use super::pollable::register;

/// A table of the kernel.
#[derive(Debug)]
pub struct Table {
    /// `None`: the table is one of a simulated host, which does not change.
    fd: Option<AsyncFd<Arc<OwnedFd>>>,
}

impl Table {
    /// Opens the table. Changes from now on are reported.
    ///
    /// # Errors
    /// It does not exist, or the runtime can't wait for it.
    pub fn open(path: &str) -> io::Result<Table> {
        if_simulated!(_host => Ok(Table { fd: None }));
        let fd = Arc::new(OwnedFd::from(File::open(path)?));
        Ok(Table { fd: Some(register(fd, Interest::PRIORITY)?) })
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// The table can't be waited for.
    pub async fn changed(&mut self) -> io::Result<()> {
        match &self.fd {
            None => std::future::pending().await,
            Some(fd) => {
                fd.ready(Interest::PRIORITY).await?.clear_ready();
                Ok(())
            }
        }
    }
}

/// Decodes a field of the tables of mounts, or of fstab(5): blanks and some other characters are a backslash and three
/// octal digits there.
pub fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}
