//! Why a call of libvirt failed.

use std::path::PathBuf;

use virt::error::Error as VirtError;
use virt::sys;

use crate::sys::obstacle::ObstacleKind;

/// What libvirt answers if something can't be done while a domain runs, or not by this hypervisor.
const UNSUPPORTED: [sys::virErrorNumber; 8] = [
    sys::VIR_ERR_NO_SUPPORT,
    sys::VIR_ERR_INTERNAL_ERROR,
    sys::VIR_ERR_OPERATION_FAILED,
    sys::VIR_ERR_OPERATION_TIMEOUT,
    sys::VIR_ERR_CONFIG_UNSUPPORTED,
    sys::VIR_ERR_ARGUMENT_UNSUPPORTED,
    sys::VIR_ERR_OPERATION_UNSUPPORTED,
    sys::VIR_ERR_DEVICE_MISSING,
];

/// A failed call of libvirt.
#[derive(Debug, thiserror::Error)]
pub enum LibvirtError {
    /// There is no connection.
    #[error("no connection to libvirt at {uri}: {}{}", .source.message(), remedy(.source))]
    Connection {
        /// The hypervisor.
        uri: String,
        /// What libvirt reports.
        source: VirtError,
    },
    /// The connection has ended.
    #[error("the connection to libvirt was lost while {doing}; this waits until libvirt is back")]
    Lost {
        /// What was asked for.
        doing: String,
    },
    /// The call was refused, or has failed.
    #[error("{doing}: {}", .source.message())]
    Refused {
        /// What was asked for.
        doing: String,
        /// What libvirt reports.
        source: VirtError,
    },
    /// The thread for events can't be started.
    #[error("the thread for the events of libvirt can't be started: {0}")]
    NoThread(#[source] std::io::Error),
    /// The XML has another form than it should.
    #[error("the XML of libvirt about {what} can't be read: {why}")]
    Unreadable {
        /// What it is about.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A result of this module.
pub(super) type Result<T> = std::result::Result<T, LibvirtError>;

fn number(error: &VirtError) -> sys::virErrorNumber {
    error.code().to_raw()
}

fn remedy(error: &VirtError) -> &'static str {
    match number(error) {
        sys::VIR_ERR_SYSTEM_ERROR if socket(error).is_some() => {
            "; install and start it (Debian: `libvirt-daemon-system`); until then this waits"
        }
        sys::VIR_ERR_AUTH_FAILED | sys::VIR_ERR_AUTH_CANCELLED | sys::VIR_ERR_AUTH_UNAVAILABLE => {
            "; give a username and a password in `auth`, or run mgmt as a user that may use it"
        }
        sys::VIR_ERR_NO_CONNECT => "; install what libvirt needs for this hypervisor, or give another `uri`",
        _ => "",
    }
}

/// The socket that nothing listens at, from the text of the error: libvirt itself chooses among several.
fn socket(error: &VirtError) -> Option<PathBuf> {
    let mut parts = error.message().split('\'').skip(1).step_by(2);
    parts.find(|part| part.starts_with('/')).map(PathBuf::from)
}

impl LibvirtError {
    /// The number of the error, if libvirt has refused.
    fn refusal(&self) -> Option<sys::virErrorNumber> {
        match self {
            LibvirtError::Refused { source, .. } => Some(number(source)),
            _ => None,
        }
    }

    /// There is no such domain (any more).
    pub fn is_no_domain(&self) -> bool {
        self.refusal() == Some(sys::VIR_ERR_NO_DOMAIN)
    }

    /// The domain is in another state than that call needs.
    pub fn is_outdated(&self) -> bool {
        matches!(self.refusal(), Some(sys::VIR_ERR_OPERATION_INVALID | sys::VIR_ERR_DOM_EXIST))
    }

    /// It can't be done while the domain runs.
    pub fn is_unsupported(&self) -> bool {
        self.refusal().is_some_and(|number| UNSUPPORTED.contains(&number))
    }

    /// The cause that can disappear without the caller, and its path; `None`: there is none.
    pub fn obstacle(&self) -> Option<(ObstacleKind, Option<PathBuf>)> {
        match self {
            LibvirtError::Connection { source, .. } => match number(source) {
                sys::VIR_ERR_SYSTEM_ERROR => {
                    let socket = socket(source);
                    let is_missing = socket.as_ref().is_some_and(|socket| !socket.exists());
                    Some((if is_missing { ObstacleKind::Missing } else { ObstacleKind::NoComponent }, socket))
                }
                sys::VIR_ERR_AUTH_FAILED
                | sys::VIR_ERR_AUTH_CANCELLED
                | sys::VIR_ERR_AUTH_UNAVAILABLE
                | sys::VIR_ERR_OPERATION_DENIED
                | sys::VIR_ERR_ACCESS_DENIED => Some((ObstacleKind::NoPermission, None)),
                _ => Some((ObstacleKind::NoComponent, None)),
            },
            LibvirtError::Lost { .. } => Some((ObstacleKind::NoComponent, None)),
            LibvirtError::NoThread(_) => Some((ObstacleKind::NoDescriptors, None)),
            LibvirtError::Refused { source, .. } => match number(source) {
                sys::VIR_ERR_OPERATION_DENIED | sys::VIR_ERR_ACCESS_DENIED => Some((ObstacleKind::NoPermission, None)),
                sys::VIR_ERR_NO_NETWORK => Some((ObstacleKind::Missing, None)),
                sys::VIR_ERR_RESOURCE_BUSY => Some((ObstacleKind::Busy, None)),
                sys::VIR_ERR_NO_MEMORY => Some((ObstacleKind::NoDescriptors, None)),
                _ => None,
            },
            LibvirtError::Unreadable { .. } => None,
        }
    }
}
