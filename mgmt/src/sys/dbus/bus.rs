//! Connections to D-Bus buses.

use std::time::Duration;

use tokio::sync::watch;
use zbus::Connection;
use zbus::connection::Builder;

/// How long connecting may take, including the handshake.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A message bus.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Bus {
    /// The bus of the machine: `DBUS_SYSTEM_BUS_ADDRESS`, otherwise its well-known socket.
    System,
    /// The bus of the user's session: `DBUS_SESSION_BUS_ADDRESS`, otherwise the socket in `XDG_RUNTIME_DIR`.
    Session,
    /// The bus at this D-Bus address, for example `unix:path=/run/example/bus`.
    Address(String),
}

impl Bus {
    /// The bus at this D-Bus address.
    pub fn address(address: impl Into<String>) -> Bus {
        Bus::Address(address.into())
    }
}

impl std::fmt::Display for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bus::System => f.write_str("the system bus"),
            Bus::Session => f.write_str("the session bus"),
            Bus::Address(address) => write!(f, "the bus {address}"),
        }
    }
}

/// Why a bus cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The connection cannot be made.
    #[error("cannot connect to {bus}: {source}")]
    Connect {
        /// The bus.
        bus: Bus,
        /// The error of D-Bus.
        source: zbus::Error,
    },
    /// The bus accepted the connection but does not answer.
    #[error("cannot connect to {bus}: no answer within {} s", CONNECT_MAX.as_secs())]
    Silent {
        /// The bus.
        bus: Bus,
    },
}

/// Whether the runtime on which this was made has ended.
#[derive(Debug)]
pub struct RuntimeLife(watch::Receiver<()>);

impl RuntimeLife {
    /// The life of the runtime that this is called on.
    pub fn here() -> RuntimeLife {
        let (alive, life) = watch::channel(());
        tokio::spawn(async move { alive.closed().await });
        RuntimeLife(life)
    }

    /// Whether the runtime has ended.
    pub fn is_over(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits until the runtime has ended.
    pub async fn over(&self) {
        // An error means that the task with the other end has been dropped.
        let _ = self.0.clone().wait_for(|()| false).await;
    }
}

/// Connects to a bus.
///
/// # Errors
/// The bus can't be reached, refuses, or does not answer within ten seconds.
pub async fn connect(bus: &Bus) -> Result<Connection, BusError> {
    let builder = match bus {
        Bus::System => Builder::system(),
        Bus::Session => Builder::session(),
        Bus::Address(address) => Builder::address(address.as_str()),
    };
    match tokio::time::timeout(CONNECT_MAX, builder.build()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(source)) => Err(BusError::Connect { bus: bus.clone(), source }),
        Err(_) => Err(BusError::Silent { bus: bus.clone() }),
    }
}
