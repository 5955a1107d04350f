//! The connection to the kernel's tables: two sockets, one for requests and one for reports, and one task that takes
//! the reports, whatever the number of resources.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt};
use tokio::io::Interest;
use tokio::task::JoinHandle;

use super::dump::Tables;
use super::error::{NetlinkError, Result};
use super::heard::Heard;
use super::requests::Requests;
use super::subscription::{Subscription, Wanted};
use super::tables::Network;
use crate::sys::if_simulated;
use crate::sys::pollable::register;

/// The directory in which each interface has an entry.
pub const LINKS: &str = "/sys/class/net";
/// The groups of reports, by number: links, addresses, routes and settings, of IPv4 and IPv6.
const GROUPS: [u32; 7] = [1, 5, 7, 9, 11, 24, 25];
/// The size of the queue of reports that is asked for, in bytes; the system may allow less.
const QUEUE_BYTES: usize = 1 << 20;
/// The size of the largest report, in bytes.
const REPORT_BYTES_MAX: usize = 64 << 10;
/// How many reports are taken at a time.
const REPORTS_MAX: usize = 100_000;

/// The tables of the kernel, or those of a simulated host.
#[derive(Debug)]
pub struct Netlink(pub(super) Which);

#[derive(Debug)]
pub(super) enum Which {
    Kernel(Kernel),
    #[cfg(any(test, feature = "testing"))]
    Simulated(crate::sys::simulated::Host, crate::sys::simulated::Life),
}

/// The connection to the kernel.
pub(super) struct Kernel {
    shared: Arc<Shared>,
    /// Takes the reports.
    task: JoinHandle<()>,
}

struct Shared {
    reports: Arc<OwnedFd>,
    /// Held for a moment only; locked after `tables`, if both are.
    heard: Mutex<(Heard, Vec<u8>)>,
    /// Held while the kernel answers.
    tables: Mutex<Tables>,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // The protocol of number 0 is rtnetlink.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    // A larger queue is overrun later; an overrun is no loss, only more work.
    let _ = sockopt::set_socket_recv_buffer_size(&socket, QUEUE_BYTES);
    let groups = GROUPS.iter().fold(0, |all, group| all | 1 << (group - 1));
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

impl Shared {
    /// Takes all reports that the kernel has queued.
    fn hear(&self) -> MutexGuard<'_, (Heard, Vec<u8>)> {
        let mut locked = lock(&self.heard);
        let (heard, buffer) = &mut *locked;
        for _ in 0..REPORTS_MAX {
            match recv(self.reports.as_fd(), &mut buffer[..], RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Ok((_, length)) => match buffer.get(..length) {
                    Some(received) => heard.hear(received),
                    None => heard.lost(),
                },
                Err(Errno::AGAIN) => return locked,
                Err(Errno::INTR) => {}
                // The queue was full (ENOBUFS), or something is wrong with it: nothing is known.
                Err(Errno::NOBUFS) => heard.lost(),
                Err(_) => {
                    heard.lost();
                    heard.end();
                    return locked;
                }
            }
        }
        heard.lost();
        locked
    }
}

/// Ends the subscriptions when the task ends, or its runtime.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        lock(&self.0.heard).0.end();
    }
}

impl Kernel {
    fn open() -> Result<Kernel> {
        let reports = listen().map(Arc::new).map_err(NetlinkError::Connection)?;
        let tables = Mutex::new(Tables::new(Requests::open()?));
        let heard = Mutex::new((Heard::new(), vec![0; REPORT_BYTES_MAX]));
        let shared = Arc::new(Shared { reports, heard, tables });
        let readable = register(Arc::clone(&shared.reports), Interest::READABLE).map_err(NetlinkError::Connection)?;
        let ends = EndOnDrop(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            while let Ok(mut ready) = readable.readable().await {
                // Before the queue is read: what comes later is reported again.
                ready.clear_ready();
                if ends.0.hear().0.is_over {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        Ok(Kernel { shared, task })
    }

    /// The requests, for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Requests) -> Result<T>) -> Result<T> {
        change(&mut lock(&self.shared.tables).requests)
    }

    fn network(&self, name: &str, with_defaults: bool) -> Result<Network> {
        let mut tables = lock(&self.shared.tables);
        let dirty = self.shared.hear().0.dirty.take(with_defaults);
        match tables.refresh(&dirty) {
            Ok(true) => lock(&self.shared.heard).0.learn(tables.names()),
            Ok(false) => {}
            Err(error) => {
                lock(&self.shared.heard).0.dirty = super::dump::Dirty::all();
                return Err(error);
            }
        }
        Ok(tables.network(name, with_defaults))
    }

    /// How often all interfaces were read, a single one, and the routes, and how often reports were lost.
    #[cfg(test)]
    pub(super) fn counts(&self) -> ([u64; 3], u64) {
        let reads = lock(&self.shared.tables).reads;
        (reads, lock(&self.shared.heard).0.overruns)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Netlink {
    /// The tables of the simulated host that this thread is on, if it is on one.
    pub fn simulated() -> Option<Netlink> {
        if_simulated!(host => {
            let life = host.life();
            Some(Netlink(Which::Simulated(host, life)))
        });
        None
    }

    /// The file of a simulated host that changes with an interface, if the thread is on one: a real host has reports.
    pub fn state_file(name: &str) -> Option<PathBuf> {
        if_simulated!(_host => Some(PathBuf::from(LINKS).join(name)));
        let _ = name;
        None
    }

    /// Connects to the kernel. Must be called on a tokio runtime; when that has ended, the connection is lost.
    ///
    /// # Errors
    /// There is no netlink, or there are too many descriptors.
    pub fn open() -> Result<Netlink> {
        Kernel::open().map(|kernel| Netlink(Which::Kernel(kernel)))
    }

    /// Whether this thread is allowed to change interfaces.
    pub fn may_change() -> bool {
        use rustix::thread::{CapabilitySet, capabilities};
        if_simulated!(_host => true);
        // If that can't be found out, the change will show it.
        capabilities(None).map_or(true, |sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
    }

    /// Whether no reports come any more.
    pub fn is_lost(&self) -> bool {
        match &self.0 {
            Which::Kernel(kernel) => kernel.task.is_finished(),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(..) => false,
        }
    }

    /// What there is about the interface of this name, and all default routes if they are asked for. It is no older
    /// than this call: what the kernel has reported before is read again first, and no more than that. Blocks.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn network(&self, name: &str, with_defaults: bool) -> Result<Network> {
        match &self.0 {
            Which::Kernel(kernel) => kernel.network(name, with_defaults),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(host, _) => Ok(host.network(name)),
        }
    }

    /// Waits for reports about the interface of this name, which need not exist.
    ///
    /// # Errors
    /// A simulated host has a file instead ([`Netlink::state_file`]).
    pub fn subscribe(&self, name: &str, wanted: Wanted) -> io::Result<Subscription> {
        match &self.0 {
            Which::Kernel(kernel) => Ok(lock(&kernel.shared.heard).0.subscribe(name, wanted)),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(..) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
