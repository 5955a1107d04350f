//! Tables of the kernel that can be waited for: it reports each change of `/proc/swaps`.

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
