//! The names of this host, through `systemd-hostnamed`.

use zbus::Connection;

use super::dbus::{CallError, Peer, text};
use super::if_simulated;

/// The name of the service on the system bus.
pub const NAME: &str = "org.freedesktop.hostname1";
/// Its only object.
pub const PATH: &str = "/org/freedesktop/hostname1";

/// The names of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNames {
    /// What the kernel has: the static name, if there is one.
    pub transient: String,
    /// That of `/etc/hostname`; empty if there is none.
    pub fixed: String,
    /// For people: any text; empty if there is none.
    pub pretty: String,
}

/// One of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The static one.
    Fixed,
    /// That of the kernel.
    Transient,
    /// The one for people.
    Pretty,
}

/// The service.
#[derive(Clone, Debug)]
pub struct Hostnamed(Reached);

#[derive(Clone, Debug)]
enum Reached {
    OverBus(Connection),
    #[cfg(any(test, feature = "testing"))]
    Simulated(super::simulated::Host),
}

const SERVICE: Peer<'static> = Peer { name: NAME, path: PATH, interface: NAME };

impl Hostnamed {
    /// The one of the simulated host that this thread is on, if it is on one.
    pub fn simulated() -> Option<Hostnamed> {
        if_simulated!(host => Some(Hostnamed(Reached::Simulated(host))));
        None
    }

    /// The one on the system bus, which starts it when it is called.
    pub fn new(system_bus: Connection) -> Hostnamed {
        Hostnamed(Reached::OverBus(system_bus))
    }

    /// The names as they are.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn names(&self) -> Result<HostNames, CallError> {
        match &self.0 {
            Reached::OverBus(bus) => {
                let all = SERVICE.properties(bus).await?;
                Ok(HostNames {
                    transient: text(&all, "Hostname"),
                    fixed: text(&all, "StaticHostname"),
                    pretty: text(&all, "PrettyHostname"),
                })
            }
            #[cfg(any(test, feature = "testing"))]
            Reached::Simulated(host) => Ok(simulated::names(host)),
        }
    }

    /// Sets one of the names.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn set(&self, which: Which, name: &str) -> Result<(), CallError> {
        match &self.0 {
            Reached::OverBus(bus) => {
                let method = match which {
                    Which::Fixed => "SetStaticHostname",
                    Which::Transient => "SetHostname",
                    Which::Pretty => "SetPrettyHostname",
                };
                let is_interactive = false;
                SERVICE.call(bus, method, (name.to_owned(), is_interactive)).await.map(drop)
            }
            #[cfg(any(test, feature = "testing"))]
            Reached::Simulated(host) => {
                simulated::set(host, which, name);
                Ok(())
            }
        }
    }
}

#[cfg(any(test, feature = "testing"))]
mod simulated {
    use super::{HostNames, Which};
    use crate::sys::simulated::Host;

    const FIXED: &str = "/etc/hostname";
    const PRETTY: &str = "/etc/machine-info";
    const KEY: &str = "PRETTY_HOSTNAME=";

    pub(super) fn names(host: &Host) -> HostNames {
        let fixed = host.read(FIXED).unwrap_or_default().trim().to_owned();
        let info = host.read(PRETTY).unwrap_or_default();
        let pretty = info.lines().find_map(|line| line.strip_prefix(KEY)?.strip_prefix('"')?.strip_suffix('"'));
        HostNames { transient: host.hostname(), fixed, pretty: pretty.unwrap_or_default().to_owned() }
    }

    pub(super) fn set(host: &Host, which: Which, name: &str) {
        match which {
            Which::Fixed => {
                host.write(FIXED, format!("{name}\n"));
                host.set_hostname(name);
            }
            Which::Transient => host.set_hostname(name),
            Which::Pretty => {
                let info = host.read(PRETTY).unwrap_or_default();
                let others = info.lines().filter(|line| !line.starts_with(KEY)).map(|line| format!("{line}\n"));
                let others: String = others.collect();
                host.write(PRETTY, format!("{others}{KEY}\"{name}\"\n"));
            }
        }
    }
}
