//! What systemd answers when it does not do what it is asked.

use super::over_bus::NAME;
use super::unit::UnitJob;
use crate::sys::dbus::CallError;
use crate::sys::obstacle::ObstacleKind;

/// Why systemd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// The call has failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A job did not end as it should.
    #[error("the job to {job} it ended as `{result}`")]
    Job {
        /// What the job was to do.
        job: UnitJob,
        /// How it ended: `failed`, `timeout`, `dependency`, `canceled`, `skipped` and so on.
        result: String,
    },
}

impl From<zbus::Error> for SystemdError {
    fn from(error: zbus::Error) -> SystemdError {
        SystemdError::Call(error.into())
    }
}

impl SystemdError {
    /// What the error waits for, if it can disappear by itself.
    pub fn obstacle(&self) -> Option<ObstacleKind> {
        match self {
            SystemdError::Call(error) => error.obstacle(),
            SystemdError::Job { .. } => None,
        }
    }

    /// Another job for the unit has taken the place of this one.
    pub fn is_canceled(&self) -> bool {
        matches!(self, SystemdError::Job { result, .. } if result == "canceled")
    }

    /// The connection has ended.
    pub(super) fn lost() -> SystemdError {
        SystemdError::Call(CallError::lost(NAME))
    }

    /// There is no such unit, or no file of it.
    pub(super) fn is_no_such_unit(&self) -> bool {
        const NAMES: [&str; 2] = ["org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.FileNotFound"];
        matches!(self, SystemdError::Call(CallError::Refused { error, .. }) if NAMES.contains(&error.as_str()))
    }
}

/// The result of a question to systemd.
pub type Result<T> = std::result::Result<T, SystemdError>;
