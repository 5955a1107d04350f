//! What must be true of a domain: what a resource declares, or how a domain was before.

use std::time::Duration;

use crate::resources::virt::definition::Definition;
use crate::resources::virt::fields::{VirtBoot, VirtDisk, VirtFilesystem, VirtNetwork, VirtRestart, VirtState};
use crate::sys::libvirt::Place;

/// What must be true of a domain. `None`: it may be as it is.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) state: VirtState,
    pub(super) transient: bool,
    /// In KiB.
    pub(super) memory: Option<u64>,
    pub(super) cpus: Option<u32>,
    pub(super) maxcpus: Option<u32>,
    pub(super) hotcpus: bool,
    pub(super) osinit: Option<String>,
    pub(super) boot: Option<Vec<VirtBoot>>,
    pub(super) disks: Option<Vec<VirtDisk>>,
    pub(super) cdroms: Option<Vec<VirtDisk>>,
    pub(super) networks: Option<Vec<VirtNetwork>>,
    pub(super) filesystems: Option<Vec<VirtFilesystem>>,
    pub(super) startup: Option<bool>,
    pub(super) restart: VirtRestart,
    /// How long a system is given to shut down.
    pub(super) shutdown: Duration,
}

impl Wanted {
    /// Everything that a definition has, so that a domain becomes as it was.
    pub(super) fn as_was(name: &str, place: Place, definition: &Definition, state: VirtState) -> Wanted {
        Wanted {
            name: name.to_owned(),
            place,
            state,
            transient: false,
            memory: Some(definition.memory),
            cpus: Some(definition.cpus),
            maxcpus: Some(definition.maxcpus),
            hotcpus: true,
            osinit: definition.osinit.clone(),
            boot: None,
            disks: Some(definition.disks.iter().map(|disk| disk.what.clone()).collect()),
            cdroms: Some(definition.media()),
            networks: Some(definition.networks.iter().map(|network| network.what.clone()).collect()),
            filesystems: Some(definition.filesystems.iter().map(|its| its.what.clone()).collect()),
            startup: None,
            restart: VirtRestart::Ignore,
            shutdown: Duration::ZERO,
        }
    }

    /// That there is no such domain.
    pub(super) fn absent(name: &str, place: Place, nothing: &Definition, shutdown: Duration) -> Wanted {
        Wanted { transient: true, shutdown, ..Wanted::as_was(name, place, nothing, VirtState::Shutoff) }
    }

    /// It must be there, running or paused.
    pub(super) fn is_active(&self) -> bool {
        self.state != VirtState::Shutoff
    }

    /// It must not exist.
    pub(super) fn is_absent(&self) -> bool {
        self.transient && !self.is_active()
    }

    /// The paths of this host that it needs to run.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let disks = self.disks.iter().chain(&self.cdroms).flatten().map(|disk| disk.source.as_str());
        let dirs = self.filesystems.iter().flatten().map(|its| its.source.as_str());
        disks.chain(dirs)
    }
}
