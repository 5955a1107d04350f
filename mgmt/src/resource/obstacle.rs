//! What an operation waits for: the sort of obstacle, and where it is.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::resource::world::WorldError;
#[cfg(feature = "dbus")]
use crate::sys::dbus::{BusError, CallError};
use crate::sys::fs::FsError;
#[cfg(feature = "virt")]
use crate::sys::libvirt::LibvirtError;
use crate::sys::netlink::NetlinkError;
pub use crate::sys::obstacle::ObstacleKind;
#[cfg(feature = "dbus")]
use crate::sys::packagekit::KitError;
use crate::sys::process::ProcessError;
#[cfg(feature = "dbus")]
use crate::sys::systemd::SystemdError;
use crate::sys::users::UserError;

/// The files in which users and groups are defined.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The reason for a failure that can disappear at any time without the resource: the resource waits for that, without a
/// limit, and uses up no try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Obstacle {
    /// The sort of obstacle.
    pub kind: ObstacleKind,
    /// The path that must change for the obstacle to disappear; `None` if it is not a path of this machine. The path is
    /// watched as long as the resource waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

impl Obstacle {
    /// An obstacle of this sort whose end no event reports.
    pub fn new(kind: ObstacleKind) -> Obstacle {
        Obstacle { kind, path: None }
    }

    /// The same obstacle at a path.
    #[must_use]
    pub fn at(self, path: impl Into<PathBuf>) -> Obstacle {
        Obstacle { path: Some(path.into()), ..self }
    }

    /// The path, if a watch of it reports the end of the obstacle.
    pub fn seen_at(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| path.is_absolute() && self.kind.is_seen())
    }

    /// The obstacle of an error or of its causes; `None` if it is not a temporary one.
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Option<Obstacle> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(known) = of_type(error) {
                return known;
            }
            next = error.source();
        }
        None
    }
}

/// The obstacle of one error without its causes. The outer `None`: the error is of another type.
fn of_type(error: &(dyn StdError + 'static)) -> Option<Option<Obstacle>> {
    if let Some(error) = error.downcast_ref::<FsError>() {
        return Some(error.obstacle().map(|kind| Obstacle::new(kind).at(error.path())));
    }
    if let Some(error) = error.downcast_ref::<ProcessError>() {
        return Some(error.obstacle().map(|(kind, path)| Obstacle { kind, path: path.map(Path::to_owned) }));
    }
    if let Some(error) = error.downcast_ref::<NetlinkError>() {
        return Some(error.obstacle().map(Obstacle::new));
    }
    if let Some(error) = error.downcast_ref::<UserError>() {
        let missing = Obstacle::new(ObstacleKind::Missing);
        return Some(match error {
            UserError::NoUser(_) => Some(missing.at(USERS)),
            UserError::NoGroup(_) => Some(missing.at(GROUPS)),
            UserError::NotAnId(_) => None,
        });
    }
    if let Some(error) = error.downcast_ref::<WorldError>() {
        return Some(match error {
            WorldError::Unreachable(_) => Some(Obstacle::new(ObstacleKind::NoComponent)),
            WorldError::Full(_) => Some(Obstacle::new(ObstacleKind::NoSpace)),
            WorldError::Denied(_) => Some(Obstacle::new(ObstacleKind::NoPermission)),
            WorldError::NoLease(_) => Some(Obstacle::new(ObstacleKind::Changing)),
            WorldError::TooLarge { .. } => None,
        });
    }
    #[cfg(feature = "virt")]
    if let Some(error) = error.downcast_ref::<LibvirtError>() {
        return Some(error.obstacle().map(|(kind, path)| Obstacle { kind, path }));
    }
    #[cfg(feature = "dbus")]
    if error.is::<BusError>() {
        return Some(Some(Obstacle::new(ObstacleKind::NoComponent)));
    }
    #[cfg(feature = "dbus")]
    if let Some(error) = error.downcast_ref::<CallError>() {
        return Some(error.obstacle().map(Obstacle::new));
    }
    #[cfg(feature = "dbus")]
    if let Some(error) = error.downcast_ref::<KitError>() {
        return Some(error.obstacle().map(Obstacle::new));
    }
    #[cfg(feature = "dbus")]
    if let Some(error) = error.downcast_ref::<SystemdError>() {
        return Some(error.obstacle().map(Obstacle::new));
    }
    error.downcast_ref::<io::Error>().map(|error| ObstacleKind::of(error).map(Obstacle::new))
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())
    }
}
