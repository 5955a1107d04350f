//! What libvirt shows of a domain, and what can be done with one.

use std::fmt;

use super::xml::Element;

/// Why a domain is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// A program has paused it, or it was started so.
    Asked,
    /// Something works with it that will end: a migration, a snapshot, a dump.
    Work,
    /// The hypervisor could not read or write one of its disks.
    DiskError,
    /// Its system has crashed, and was kept as it was.
    Crash,
}

/// What a domain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// It runs, or waits for its devices (*blocked*).
    Running,
    /// Its processors stand still.
    Paused(Pause),
    /// It is being shut down.
    ShuttingDown,
    /// It does not run.
    Shutoff,
    /// It has crashed, and is still there.
    Crashed,
    /// Its system has suspended itself.
    Suspended,
}

impl fmt::Display for DomainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DomainState::Running => "running",
            DomainState::Paused(Pause::Asked) => "paused",
            DomainState::Paused(Pause::Work) => "paused by a migration, snapshot or dump",
            DomainState::Paused(Pause::DiskError) => "paused by a disk error",
            DomainState::Paused(Pause::Crash) => "paused by a crash of its system",
            DomainState::ShuttingDown => "shutting down",
            DomainState::Shutoff => "shutoff",
            DomainState::Crashed => "crashed",
            DomainState::Suspended => "suspended by its system",
        })
    }
}

/// A domain, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its identity, which it keeps.
    pub uuid: String,
    /// The number of this run; `None`: it does not run.
    pub id: Option<u32>,
    /// What it does.
    pub state: DomainState,
    /// It has a definition that stays when it does not run.
    pub is_persistent: bool,
    /// It is started with the host.
    pub autostart: bool,
    /// The definition of the next start. Of a domain that is not persistent: as it was created.
    pub saved: Element,
    /// The definition of this run.
    pub live: Option<Element>,
}

/// What is known of a hypervisor, to make a definition for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hypervisor {
    /// The type of its domains: `kvm`, `qemu`, `lxc`, `test`.
    pub domain_type: String,
    /// The architecture of the host, such as `x86_64`.
    pub arch: String,
}

/// What can be done with a domain that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts it; paused, if asked for.
    Start(bool),
    /// Lets it continue.
    Resume,
    /// Pauses it.
    Suspend,
    /// Wakes a system that has suspended itself.
    Wake,
    /// Asks its system to shut down.
    Shutdown,
    /// Ends it at once.
    Destroy,
    /// Removes the definition that stays.
    Undefine,
    /// Sets whether it is started with the host.
    Autostart(bool),
    /// Sets the memory of this run, in KiB.
    Memory(u64),
    /// Sets the number of processors of this run.
    Cpus(u32),
    /// Adds a device to this run.
    Attach(Element),
    /// Removes a device from this run.
    Detach(Element),
    /// Replaces the medium of a device of this run.
    Update(Element),
}

impl Action {
    /// It changes what a domain has while it runs; whether that is possible depends on the hypervisor and the system in
    /// the domain.
    pub fn is_live(&self) -> bool {
        matches!(self, Action::Memory(_) | Action::Cpus(_) | Action::Attach(_) | Action::Detach(_) | Action::Update(_))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Start(false) => f.write_str("starting"),
            Action::Start(true) => f.write_str("starting, paused,"),
            Action::Resume => f.write_str("resuming"),
            Action::Suspend => f.write_str("pausing"),
            Action::Wake => f.write_str("waking"),
            Action::Shutdown => f.write_str("shutting down"),
            Action::Destroy => f.write_str("ending"),
            Action::Undefine => f.write_str("undefining"),
            Action::Autostart(true) => f.write_str("setting the autostart of"),
            Action::Autostart(false) => f.write_str("clearing the autostart of"),
            Action::Memory(kib) => write!(f, "setting the memory to {kib} KiB of"),
            Action::Cpus(count) => write!(f, "setting the number of processors to {count} of"),
            Action::Attach(device) => write!(f, "attaching a {} to", device.name()),
            Action::Detach(device) => write!(f, "detaching a {} from", device.name()),
            Action::Update(device) => write!(f, "changing the medium of a {} of", device.name()),
        }
    }
}
