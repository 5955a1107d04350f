//! A connection to a hypervisor, with the calls that are needed. All of them block.

use std::sync::Arc;
use std::thread;

use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::error::Error as VirtError;
use virt::sys;

use super::error::{LibvirtError, Result};
use super::events::{self, Registered};
use super::facts::{Action, Domain, DomainState, Hypervisor, Pause};
use super::heard::{Heard, Subscription};
use super::login::{self, Login};
use super::places::{Driver, Place};
use super::xml::Element;
use crate::sys::if_simulated;

/// How often a server on another host is asked whether it is still there, in seconds, and how often in vain.
const ALIVE_SECONDS: i32 = 20;
const ALIVE_MAX: u32 = 2;

/// A hypervisor, or that of a simulated host.
#[derive(Debug)]
pub struct Libvirt(Which);

#[derive(Debug)]
enum Which {
    Real(Arc<Open>),
    #[cfg(any(test, feature = "testing"))]
    Simulated(crate::sys::simulated::Host, crate::sys::simulated::Life),
}

/// An open connection.
#[derive(Debug)]
struct Open {
    connect: Connect,
    registered: Registered,
    heard: Arc<Heard>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.heard.end();
        events::unregister(&self.connect, &self.registered);
        // What is lost can't be closed in order.
        let _ = self.connect.close();
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        match &self.0 {
            Which::Real(open) => {
                let open = Arc::clone(open);
                // Closing waits for the server. If there is no thread, the clone is dropped here.
                drop(thread::Builder::new().name("libvirt end".to_owned()).spawn(move || drop(open)));
            }
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(..) => {}
        }
    }
}

fn state((state, reason): (u32, i32)) -> DomainState {
    match state {
        sys::VIR_DOMAIN_PAUSED => DomainState::Paused(pause(reason)),
        sys::VIR_DOMAIN_SHUTDOWN => DomainState::ShuttingDown,
        sys::VIR_DOMAIN_SHUTOFF => DomainState::Shutoff,
        sys::VIR_DOMAIN_CRASHED => DomainState::Crashed,
        sys::VIR_DOMAIN_PMSUSPENDED => DomainState::Suspended,
        // Also *blocked*, and *no state*: some hypervisors know no other.
        _ => DomainState::Running,
    }
}

fn pause(reason: i32) -> Pause {
    match u32::try_from(reason).unwrap_or_default() {
        sys::VIR_DOMAIN_PAUSED_IOERROR => Pause::DiskError,
        sys::VIR_DOMAIN_PAUSED_CRASHED => Pause::Crash,
        sys::VIR_DOMAIN_PAUSED_MIGRATION
        | sys::VIR_DOMAIN_PAUSED_SAVE
        | sys::VIR_DOMAIN_PAUSED_DUMP
        | sys::VIR_DOMAIN_PAUSED_FROM_SNAPSHOT
        | sys::VIR_DOMAIN_PAUSED_SHUTTING_DOWN
        | sys::VIR_DOMAIN_PAUSED_SNAPSHOT
        | sys::VIR_DOMAIN_PAUSED_STARTING_UP
        | sys::VIR_DOMAIN_PAUSED_POSTCOPY => Pause::Work,
        _ => Pause::Asked,
    }
}

impl Libvirt {
    /// The hypervisor of the simulated host that this thread is on, if it is on one.
    pub fn simulated() -> Option<Libvirt> {
        if_simulated!(host => {
            let life = host.life();
            Some(Libvirt(Which::Simulated(host, life)))
        });
        None
    }

    /// Connects to a hypervisor.
    ///
    /// # Errors
    /// There is none at this URI, it refuses the login, or it has no events.
    pub fn open(uri: &str, login: Option<&Login>) -> Result<Libvirt> {
        events::begin()?;
        let failed = |source| LibvirtError::Connection { uri: uri.to_owned(), source };
        let mut connect = login::open(uri, login).map_err(failed)?;
        let heard = Arc::new(Heard::default());
        let registered = match events::register(&connect, &heard) {
            Ok(registered) => registered,
            Err(error) => {
                let _ = connect.close();
                return Err(failed(error));
            }
        };
        if Place::of(uri).is_ok_and(|place| !place.is_local) {
            // A host that is gone closes nothing. A server that can't answer such questions is used without them.
            let _ = connect.set_keep_alive(ALIVE_SECONDS, ALIVE_MAX);
        }
        Ok(Libvirt(Which::Real(Arc::new(Open { connect, registered, heard }))))
    }

    /// Whether the connection has ended.
    pub fn is_lost(&self) -> bool {
        match &self.0 {
            Which::Real(open) => open.heard.is_over(),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(..) => false,
        }
    }

    /// Waits for events of the domain of this name, which need not exist. `None`: a simulated host has a file instead.
    pub fn subscribe(&self, name: &str) -> Option<Subscription> {
        match &self.0 {
            Which::Real(open) => Some(open.heard.subscribe(name)),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(..) => None,
        }
    }

    /// The domain of this name, as it is now; `None`: there is none.
    ///
    /// # Errors
    /// libvirt does not answer.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        let found = match &self.0 {
            Which::Real(open) => open.look(name).map_err(|error| self.failed(format!("looking at `{name}`"), error)),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(host, _) => return Ok(host.domain_facts(name)),
        };
        let facts = match found {
            Ok(facts) => facts,
            // It has gone meanwhile.
            Err(error) if error.is_no_domain() => return Ok(None),
            Err(error) => return Err(error),
        };
        let read = |xml: &str| {
            let what = format!("`{name}`");
            Element::parse(xml).map_err(|why| LibvirtError::Unreadable { what, why })
        };
        Ok(Some(Domain {
            uuid: facts.uuid,
            id: facts.id,
            state: facts.state,
            is_persistent: facts.is_persistent,
            autostart: facts.autostart,
            saved: read(&facts.saved)?,
            live: facts.live.as_deref().map(read).transpose()?,
        }))
    }

    /// What is known of the hypervisor.
    ///
    /// # Errors
    /// libvirt does not answer.
    pub fn hypervisor(&self, driver: Driver) -> Result<Hypervisor> {
        let xml = match &self.0 {
            Which::Real(open) => open.connect.get_capabilities(),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(..) => {
                return Ok(Hypervisor { domain_type: "kvm".to_owned(), arch: "x86_64".to_owned() });
            }
        };
        let what = "what the hypervisor can do";
        let xml = xml.map_err(|error| self.failed(format!("asking {what}"), error))?;
        let unreadable = |why| LibvirtError::Unreadable { what: what.to_owned(), why };
        let all = Element::parse(&xml).map_err(unreadable)?;
        let arch = all.at(&["host", "cpu", "arch"]).map(Element::text).unwrap_or_default();
        let guests = all.children("guest").filter_map(|guest| guest.child("arch"));
        let of_host = guests.filter(|guest| guest.attribute("name") == Some(&arch));
        let mut types = of_host.flat_map(|guest| guest.children("domain")).filter_map(|its| its.attribute("type"));
        let domain_type = match driver {
            Driver::Lxc => "lxc",
            Driver::Test => "test",
            Driver::Qemu if types.any(|its| its == "kvm") => "kvm",
            Driver::Qemu => "qemu",
        };
        Ok(Hypervisor { domain_type: domain_type.to_owned(), arch })
    }

    /// Defines a domain that stays, or defines it otherwise.
    ///
    /// # Errors
    /// libvirt refuses the definition, or does not answer.
    pub fn define(&self, name: &str, definition: &Element) -> Result<()> {
        let doing = || format!("defining `{name}`");
        match &self.0 {
            Which::Real(open) => {
                let defined = VirtDomain::define_xml(&open.connect, &definition.to_string());
                defined.map(drop).map_err(|error| self.failed(doing(), error))
            }
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(host, life) => {
                if !life.is_over() {
                    host.define_domain(name, definition);
                }
                Ok(())
            }
        }
    }

    /// Creates a domain that is there as long as it runs.
    ///
    /// # Errors
    /// libvirt refuses the definition, or does not answer.
    pub fn create(&self, name: &str, definition: &Element, is_paused: bool) -> Result<()> {
        let doing = || format!("creating `{name}`");
        match &self.0 {
            Which::Real(open) => {
                let flags = if is_paused { sys::VIR_DOMAIN_START_PAUSED } else { 0 };
                let created = VirtDomain::create_xml(&open.connect, &definition.to_string(), flags);
                created.map(drop).map_err(|error| self.failed(doing(), error))
            }
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(host, life) => {
                if !life.is_over() {
                    host.create_domain(name, definition, is_paused);
                }
                Ok(())
            }
        }
    }

    /// Does something with a domain that is there.
    ///
    /// # Errors
    /// libvirt refuses it, or does not answer.
    pub fn act(&self, name: &str, action: &Action) -> Result<()> {
        match &self.0 {
            Which::Real(open) => {
                open.act(name, action).map_err(|error| self.failed(format!("{action} `{name}`"), error))
            }
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(host, life) => {
                if !life.is_over() {
                    host.act_on_domain(name, action);
                }
                Ok(())
            }
        }
    }

    fn failed(&self, doing: String, source: VirtError) -> LibvirtError {
        let of_connection =
            [sys::VIR_ERR_RPC, sys::VIR_ERR_INVALID_CONN, sys::VIR_ERR_SYSTEM_ERROR, sys::VIR_ERR_INTERNAL_ERROR];
        if of_connection.contains(&source.code().to_raw()) && !self.is_alive() {
            return LibvirtError::Lost { doing };
        }
        LibvirtError::Refused { doing, source }
    }

    fn is_alive(&self) -> bool {
        match &self.0 {
            Which::Real(open) => {
                let is_alive = !open.heard.is_over() && open.connect.is_alive().unwrap_or(false);
                if !is_alive {
                    // The call has noticed it before the event.
                    open.heard.end();
                }
                is_alive
            }
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(..) => true,
        }
    }
}

/// A domain as it was found, with its definitions as text.
struct Facts {
    uuid: String,
    id: Option<u32>,
    state: DomainState,
    is_persistent: bool,
    autostart: bool,
    saved: String,
    live: Option<String>,
}

impl Open {
    fn look(&self, name: &str) -> std::result::Result<Facts, VirtError> {
        let domain = VirtDomain::lookup_by_name(&self.connect, name)?;
        let is_active = domain.is_active()?;
        let is_persistent = domain.is_persistent()?;
        Ok(Facts {
            uuid: domain.get_uuid_string()?,
            id: domain.get_id().filter(|_| is_active),
            state: state(domain.get_state()?),
            is_persistent,
            autostart: is_persistent && domain.get_autostart()?,
            // What is kept of it must be complete, with its passwords.
            saved: domain.get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE)?,
            live: if is_active { Some(domain.get_xml_desc(0)?) } else { None },
        })
    }

    fn act(&self, name: &str, action: &Action) -> std::result::Result<(), VirtError> {
        let domain = VirtDomain::lookup_by_name(&self.connect, name)?;
        let live = sys::VIR_DOMAIN_AFFECT_LIVE;
        match action {
            Action::Start(is_paused) => {
                domain.create_with_flags(if *is_paused { sys::VIR_DOMAIN_START_PAUSED } else { 0 }).map(drop)
            }
            Action::Resume => domain.resume().map(drop),
            Action::Suspend => domain.suspend().map(drop),
            Action::Wake => domain.pm_wakeup(0).map(drop),
            Action::Shutdown => domain.shutdown().map(drop),
            Action::Destroy => domain.destroy(),
            Action::Undefine => undefine(&domain),
            Action::Autostart(is_on) => domain.set_autostart(*is_on).map(drop),
            Action::Memory(kib) => domain.set_memory_flags(*kib, live).map(drop),
            Action::Cpus(count) => domain.set_vcpus_flags(*count, live).map(drop),
            Action::Attach(device) => domain.attach_device_flags(&device.to_string(), live).map(drop),
            Action::Detach(device) => domain.detach_device_flags(&device.to_string(), live).map(drop),
            Action::Update(device) => domain.update_device_flags(&device.to_string(), live).map(drop),
        }
    }
}

/// Also one with a saved memory or snapshots. What a firmware has stored stays.
fn undefine(domain: &VirtDomain) -> std::result::Result<(), VirtError> {
    match domain.undefine() {
        Err(error) if error.code().to_raw() == sys::VIR_ERR_OPERATION_INVALID => {
            let all = sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
                | sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
            domain.undefine_flags(all)
        }
        other => other,
    }
}
