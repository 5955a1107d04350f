//! Why a request to the kernel failed.

use std::io;

use rustix::io::Errno;

use crate::sys::obstacle::ObstacleKind;

/// What helps against a lack of permission.
const REMEDY: &str = "; run mgmt as root, or with the capability CAP_NET_ADMIN";

/// A failed request about network interfaces.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// There is no connection to the kernel, or it does not answer.
    #[error("no connection to the kernel's network tables (netlink): {0}")]
    Connection(#[source] io::Error),
    /// The kernel refuses.
    #[error("{doing}: {}", reason(source, said.as_deref()))]
    Refused {
        /// What was asked for.
        doing: String,
        /// The number of the error.
        source: io::Error,
        /// The text of the kernel besides the number.
        said: Option<String>,
    },
    /// What the kernel sent has another form than it should.
    #[error("the kernel's answer about {0} can't be read: {1}")]
    Unreadable(&'static str, String),
    /// The tables have changed each time while they were read.
    #[error("the kernel's table of {0} changes all the time while it is read")]
    Changing(&'static str),
}

/// A result of this module.
pub(super) type Result<T> = std::result::Result<T, NetlinkError>;

fn reason(source: &io::Error, said: Option<&str>) -> String {
    let is_forbidden = source.raw_os_error() == Some(Errno::PERM.raw_os_error());
    let remedy = if is_forbidden { REMEDY } else { "" };
    match said {
        Some(said) => format!("{source} ({said}){remedy}"),
        None => format!("{source}{remedy}"),
    }
}

impl NetlinkError {
    /// The number of the error, if the kernel has refused.
    fn errno(&self) -> Option<Errno> {
        let NetlinkError::Refused { source, .. } = self else { return None };
        source.raw_os_error().map(Errno::from_raw_os_error)
    }

    /// The kernel knows no interface of that index, or no such address or route (any more).
    pub fn is_gone(&self) -> bool {
        matches!(self.errno(), Some(Errno::NODEV | Errno::ADDRNOTAVAIL | Errno::SRCH | Errno::NXIO))
    }

    /// There is no table of that number.
    pub(super) fn is_no_table(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// The gateway of a route is in no network of its interface, or is no gateway.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.errno(), Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::INVAL))
    }

    /// The interface takes no addresses of the family: IPv6 is off there.
    pub fn is_family_off(&self) -> bool {
        self.errno() == Some(Errno::ACCESS)
    }

    /// What was to be made is there already.
    pub fn is_there(&self) -> bool {
        self.errno() == Some(Errno::EXIST)
    }

    /// The cause that can disappear without the caller; `None`: there is none.
    pub fn obstacle(&self) -> Option<ObstacleKind> {
        match self {
            NetlinkError::Connection(source) => Some(ObstacleKind::of(source).unwrap_or(ObstacleKind::NoComponent)),
            NetlinkError::Refused { source, .. } => ObstacleKind::of(source),
            NetlinkError::Unreadable(..) => None,
            NetlinkError::Changing(_) => Some(ObstacleKind::Changing),
        }
    }
}
