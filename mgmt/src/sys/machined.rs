//! Containers and virtual machines that are registered on this host, through `systemd-machined`.

use zbus::{Connection, OwnedObjectPath};

use super::dbus::{CallError, Peer, text};
use super::if_simulated;

/// The name of the service on the system bus.
pub const NAME: &str = "org.freedesktop.machine1";
/// The object that manages all machines.
pub const PATH: &str = "/org/freedesktop/machine1";
/// Its interface.
pub const MANAGER: &str = "org.freedesktop.machine1.Manager";
const MACHINE: &str = "org.freedesktop.machine1.Machine";
const NO_SUCH_MACHINE: &str = "org.freedesktop.machine1.NoSuchMachine";
const NO_SUCH_IMAGE: &str = "org.freedesktop.machine1.NoSuchImage";
/// Where images are by themselves.
pub const IMAGES: &str = "/var/lib/machines";

/// The service.
#[derive(Clone, Debug)]
pub struct Machined(Reached);

#[derive(Clone, Debug)]
enum Reached {
    OverBus(Connection),
    #[cfg(any(test, feature = "testing"))]
    Simulated(super::simulated::Host),
}

/// A machine that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `opening`, `running` or `closing`.
    pub state: String,
    /// The unit in which it runs.
    pub unit: String,
}

impl Machined {
    /// The one of the simulated host that this thread is on, if it is on one. There, machines run only in their units.
    pub fn simulated() -> Option<Machined> {
        if_simulated!(host => Some(Machined(Reached::Simulated(host))));
        None
    }

    /// The one on the system bus, which starts it when it is called.
    pub fn new(system_bus: Connection) -> Machined {
        Machined(Reached::OverBus(system_bus))
    }

    /// The machine of this name; `None`: none is registered.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn machine(&self, name: &str) -> Result<Option<Machine>, CallError> {
        match &self.0 {
            Reached::OverBus(bus) => {
                let Some(path) = found(bus, "GetMachine", name, NO_SUCH_MACHINE).await? else { return Ok(None) };
                let all = Peer { name: NAME, path: &path, interface: MACHINE }.properties(bus).await;
                match all {
                    Ok(all) => Ok(Some(Machine { state: text(&all, "State"), unit: text(&all, "Unit") })),
                    // It has ended meanwhile.
                    Err(CallError::Refused { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            #[cfg(any(test, feature = "testing"))]
            Reached::Simulated(_) => Ok(None),
        }
    }

    /// Whether there is an image of this name.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn has_image(&self, name: &str) -> Result<bool, CallError> {
        match &self.0 {
            Reached::OverBus(bus) => Ok(found(bus, "GetImage", name, NO_SUCH_IMAGE).await?.is_some()),
            #[cfg(any(test, feature = "testing"))]
            Reached::Simulated(host) => {
                let dir = format!("{IMAGES}/{name}");
                Ok(host.exists(&dir) || host.exists(format!("{dir}.raw")))
            }
        }
    }

    /// Ends a machine at once, with all its processes. One that is gone has been ended.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn terminate(&self, name: &str) -> Result<(), CallError> {
        match &self.0 {
            Reached::OverBus(bus) => match MANAGED.call(bus, "TerminateMachine", name.to_owned()).await {
                Err(CallError::Refused { error, .. }) if error == NO_SUCH_MACHINE => Ok(()),
                other => other.map(drop),
            },
            #[cfg(any(test, feature = "testing"))]
            Reached::Simulated(_) => Ok(()),
        }
    }
}

const MANAGED: Peer<'static> = Peer { name: NAME, path: PATH, interface: MANAGER };

/// The object that a method finds by a name; `None` for this error.
async fn found(
    bus: &Connection,
    method: &'static str,
    name: &str,
    missing: &str,
) -> Result<Option<OwnedObjectPath>, CallError> {
    match MANAGED.call(bus, method, name.to_owned()).await {
        Ok(answer) => Ok(Some(answer.body().deserialize()?)),
        Err(CallError::Refused { error, .. }) if error == missing => Ok(None),
        Err(error) => Err(error),
    }
}
