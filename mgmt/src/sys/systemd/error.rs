//! What systemd answers when it does not do what it is asked.

use super::unit::UnitJob;

/// Why systemd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// No systemd answers on this bus.
    #[error("systemd does not answer on the bus: {0}")]
    Absent(zbus::Error),
    /// It refuses.
    #[error("{message}")]
    Refused {
        /// The name of the error, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// The text of systemd.
        message: String,
    },
    /// A job did not end as it should.
    #[error("the job to {job} it ended as `{result}`")]
    Job {
        /// What the job was to do.
        job: UnitJob,
        /// How it ended: `failed`, `timeout`, `dependency`, `canceled`, `skipped` and so on.
        result: String,
    },
    /// The bus or its answer is not as expected.
    #[error("D-Bus: {0}")]
    Bus(zbus::Error),
}

impl From<zbus::Error> for SystemdError {
    fn from(error: zbus::Error) -> SystemdError {
        const GONE: [&str; 4] = [
            "org.freedesktop.DBus.Error.ServiceUnknown",
            "org.freedesktop.DBus.Error.NameHasNoOwner",
            "org.freedesktop.DBus.Error.Disconnected",
            "org.freedesktop.DBus.Error.NoReply",
        ];
        match error {
            zbus::Error::MethodError(ref name, ..) if GONE.contains(&name.as_str()) => SystemdError::Absent(error),
            zbus::Error::MethodError(name, message, _) => {
                SystemdError::Refused { message: message.unwrap_or_else(|| name.to_string()), name: name.to_string() }
            }
            error @ zbus::Error::InputOutput(_) => SystemdError::Absent(error),
            zbus::Error::FDO(error) => match *error {
                zbus::fdo::Error::ZBus(error) => error.into(),
                error => {
                    let name = zbus::DBusError::name(&error).to_string();
                    let message = zbus::DBusError::description(&error).unwrap_or(&name).to_owned();
                    match GONE.contains(&name.as_str()) {
                        true => SystemdError::Absent(zbus::Error::FDO(Box::new(error))),
                        false => SystemdError::Refused { name, message },
                    }
                }
            },
            error => SystemdError::Bus(error),
        }
    }
}

impl SystemdError {
    /// The connection has ended.
    pub(super) fn lost() -> SystemdError {
        SystemdError::Absent(zbus::Error::InputOutput(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()))
    }

    /// There is no such unit, or no file of it.
    pub(super) fn is_no_such_unit(&self) -> bool {
        const NAMES: [&str; 2] = ["org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.FileNotFound"];
        matches!(self, SystemdError::Refused { name, .. } if NAMES.contains(&name.as_str()))
    }
}

/// The result of a question to systemd.
pub type Result<T> = std::result::Result<T, SystemdError>;
