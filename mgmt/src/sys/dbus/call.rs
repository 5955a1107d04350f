//! Calls of a service on a bus.

use std::collections::HashMap;
use std::io;

use zbus::message::Message;
use zbus::{Connection, OwnedVariant};

use super::own_task::in_own_task;
use crate::sys::obstacle::ObstacleKind;

/// The interface of properties, which also has their signal.
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Why a service on a bus did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The service does not answer, or the bus is gone.
    #[error("{name} does not answer on the bus: {source}")]
    Absent {
        /// The name of the service, such as `org.freedesktop.systemd1`.
        name: &'static str,
        /// The error of D-Bus.
        source: zbus::Error,
    },
    /// It refuses.
    #[error("{message}{}", if is_denied(.error) { ": this user may not do that; run as root" } else { "" })]
    Refused {
        /// The name of the error, such as `org.freedesktop.systemd1.NoSuchUnit`.
        error: String,
        /// Its text.
        message: String,
    },
    /// The bus or the answer is not as expected.
    #[error("D-Bus: {0}")]
    Bus(#[from] zbus::Error),
}

fn is_denied(error: &str) -> bool {
    const DENIED: [&str; 2] =
        ["org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"];
    DENIED.contains(&error)
}

impl CallError {
    /// What the error waits for, if it can disappear by itself.
    pub fn obstacle(&self) -> Option<ObstacleKind> {
        match self {
            CallError::Absent { .. } => Some(ObstacleKind::NoComponent),
            CallError::Refused { error, .. } if is_denied(error) => Some(ObstacleKind::NoPermission),
            CallError::Refused { .. } | CallError::Bus(_) => None,
        }
    }

    /// The connection has ended.
    pub fn lost(name: &'static str) -> CallError {
        CallError::ended(name, "the connection has ended")
    }

    /// The service has ended in the middle, or what it was doing has.
    pub fn ended(name: &'static str, why: &'static str) -> CallError {
        let source = zbus::Error::InputOutput(io::Error::new(io::ErrorKind::BrokenPipe, why).into());
        CallError::Absent { name, source }
    }

    fn of(name: &'static str, error: zbus::Error) -> CallError {
        const GONE: [&str; 5] = [
            "org.freedesktop.DBus.Error.ServiceUnknown",
            "org.freedesktop.DBus.Error.NameHasNoOwner",
            "org.freedesktop.DBus.Error.Disconnected",
            "org.freedesktop.DBus.Error.NoReply",
            "org.freedesktop.DBus.Error.Spawn.ChildExited",
        ];
        // What systemd answers when the bus asks it to start another service.
        const STARTER: &str = "org.freedesktop.systemd1";
        let of_starter = |error: &str| name != STARTER && error.starts_with(STARTER);
        let is_gone = |error: &str| GONE.contains(&error) || of_starter(error);
        match error {
            zbus::Error::MethodError(ref error_name, ..) if is_gone(error_name) => {
                CallError::Absent { name, source: error }
            }
            zbus::Error::MethodError(error, message, _) => {
                CallError::Refused { message: message.unwrap_or_else(|| error.to_string()), error: error.to_string() }
            }
            zbus::Error::InputOutput(_) => CallError::Absent { name, source: error },
            zbus::Error::FDO(error) => match *error {
                zbus::fdo::Error::ZBus(error) => CallError::of(name, error),
                error => {
                    let word = zbus::DBusError::name(&error).to_string();
                    let message = zbus::DBusError::description(&error).unwrap_or(&word).to_owned();
                    match is_gone(&word) {
                        true => CallError::Absent { name, source: zbus::Error::FDO(Box::new(error)) },
                        false => CallError::Refused { error: word, message },
                    }
                }
            },
            error => CallError::Bus(error),
        }
    }
}

/// An interface of an object of a service.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The name of the service.
    pub name: &'static str,
    /// The path of the object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
}

impl Peer<'_> {
    /// Calls a method. If the future is dropped, the call is made all the same.
    ///
    /// # Errors
    /// The service is absent, refuses, or fails.
    pub async fn call<B>(&self, bus: &Connection, method: &'static str, body: B) -> Result<Message, CallError>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType + Send + Sync + 'static,
    {
        let (bus, name) = (bus.clone(), self.name);
        let (path, interface) = (self.path.to_owned(), self.interface.to_owned());
        let answer = in_own_task(async move {
            bus.call_method(Some(name), path.as_str(), Some(interface.as_str()), method, &body).await
        });
        answer.await.map_err(|error| CallError::of(name, error))
    }

    /// All properties of the interface.
    ///
    /// # Errors
    /// As those of [`call`](Peer::call).
    pub async fn properties(&self, bus: &Connection) -> Result<HashMap<String, OwnedVariant>, CallError> {
        let properties = Peer { interface: PROPERTIES, ..*self };
        Ok(properties.call(bus, "GetAll", self.interface.to_owned()).await?.body().deserialize()?)
    }
}

/// A property that is a text; empty if it is none.
pub fn text(properties: &HashMap<String, OwnedVariant>, key: &str) -> String {
    properties.get(key).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().to_owned()
}
