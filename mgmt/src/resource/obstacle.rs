//! What an operation waits for: the sort of cause, and where it is.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

#[cfg(feature = "dbus")]
use crate::sys::dbus::BusError;
use crate::sys::fs::FsError;
pub use crate::sys::obstacle::ObstacleKind;
use crate::sys::process::ProcessError;
use crate::sys::users::UserError;

/// Where users and groups are known from.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// A cause for which an operation failed and that the outside can take away at any time: the resource waits for that,
/// without a limit, and uses up no try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Obstacle {
    /// Which sort of cause.
    pub kind: ObstacleKind,
    /// What must change for it to be over, if that is a path of this machine. It is watched as long as the resource
    /// waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

impl Obstacle {
    /// A cause of this sort, of which no event reports the end.
    pub fn new(kind: ObstacleKind) -> Obstacle {
        Obstacle { kind, path: None }
    }

    /// The same, at a path.
    #[must_use]
    pub fn at(self, path: impl Into<PathBuf>) -> Obstacle {
        Obstacle { path: Some(path.into()), ..self }
    }

    /// Whether a watch of its path sees when it is over.
    pub fn seen_at(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| path.is_absolute() && self.kind.is_seen())
    }

    /// What an error, or what it was made of, waits for; none, if it is no passing one.
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

/// The same of one error alone; `None`: it is of another type.
fn of_type(error: &(dyn StdError + 'static)) -> Option<Option<Obstacle>> {
    if let Some(error) = error.downcast_ref::<FsError>() {
        return Some(error.obstacle().map(|kind| Obstacle::new(kind).at(error.path())));
    }
    if let Some(error) = error.downcast_ref::<ProcessError>() {
        return Some(error.obstacle().map(|(kind, path)| Obstacle { kind, path: path.map(Path::to_owned) }));
    }
    if let Some(error) = error.downcast_ref::<UserError>() {
        let missing = Obstacle::new(ObstacleKind::Missing);
        return Some(match error {
            UserError::NoUser(_) => Some(missing.at(USERS)),
            UserError::NoGroup(_) => Some(missing.at(GROUPS)),
            UserError::NotAnId(_) => None,
        });
    }
    #[cfg(feature = "dbus")]
    if error.is::<BusError>() {
        return Some(Some(Obstacle::new(ObstacleKind::NoComponent)));
    }
    error.downcast_ref::<io::Error>().map(|error| ObstacleKind::of(error).map(Obstacle::new))
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())
    }
}
