//! What must be done with a domain that runs, so that it is as declared: at once where libvirt can, else by a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::resources::virt::definition::{Definition, Found};
use crate::resources::virt::devices::Difference;
use crate::resources::virt::fields::{VirtDisk, VirtFilesystem, VirtNetwork};
use crate::resources::virt::make;
use crate::sys::libvirt::{Action, Driver, Element};

/// What must be done about one field of a domain that runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Live {
    /// It is as declared.
    Same,
    /// These must be done.
    Hot(Vec<Action>),
    /// It needs a restart, for this reason.
    Restart(String),
}

/// What libvirt or the system of a domain has refused in its present run, with the reason.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<(u32, String), String>>);

impl Refused {
    /// Notes that it is refused. What was refused to earlier runs is forgotten.
    pub(super) fn note(&self, id: u32, action: &Action, why: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(its, _), _| *its == id);
        all.insert((id, format!("{action:?}")), why);
    }

    fn reason(&self, id: u32, action: &Action) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(id, format!("{action:?}"))).cloned()
    }
}

/// A domain that runs, and what it refuses.
pub(super) struct Run<'a> {
    pub(super) id: u32,
    pub(super) xml: &'a Element,
    pub(super) definition: Definition,
    pub(super) refused: &'a Refused,
}

impl Run<'_> {
    fn hot(&self, actions: Vec<Action>) -> Live {
        if actions.is_empty() {
            return Live::Same;
        }
        match actions.iter().find_map(|action| self.refused.reason(self.id, action)) {
            Some(why) => Live::Restart(why),
            None => Live::Hot(actions),
        }
    }

    pub(super) fn memory(&self, kib: u64) -> Live {
        // Hypervisors give whole MiB.
        let is_as_wanted = [kib, kib.next_multiple_of(1 << 10)].contains(&self.definition.memory);
        match is_as_wanted {
            true => Live::Same,
            false if kib <= self.definition.memory_max => self.hot(vec![Action::Memory(kib)]),
            false => Live::Restart("it was started with less memory".to_owned()),
        }
    }

    pub(super) fn cpus(&self, cpus: u32, is_hot: bool) -> Live {
        match cpus == self.definition.cpus {
            true => Live::Same,
            false if !is_hot => Live::Restart("`hotcpus` is false".to_owned()),
            false if cpus <= self.definition.maxcpus => self.hot(vec![Action::Cpus(cpus)]),
            false => Live::Restart(format!("it was started with at most {}", self.definition.maxcpus)),
        }
    }

    pub(super) fn disks(&self, driver: Driver, difference: &Difference<VirtDisk>) -> Live {
        let mut taken = make::taken(self.xml);
        self.devices(difference, |its| make::disk(its, driver, &mut taken))
    }

    /// A medium can be changed, a drive can't.
    pub(super) fn cdroms(&self, difference: &Difference<VirtDisk>) -> Live {
        let empty = self.definition.cdroms.iter().filter(|found| found.what.is_none()).map(|found| &found.xml);
        let drives: Vec<&Element> = difference.extra.iter().map(|found| &found.xml).chain(empty).collect();
        if difference.missing.len() > drives.len() {
            return Live::Restart("a drive must be added".to_owned());
        }
        let media = difference.missing.iter().map(Some).chain(std::iter::repeat(None));
        let changed = drives.iter().zip(media).take(difference.extra.len().max(difference.missing.len()));
        self.hot(changed.map(|(drive, medium)| Action::Update(make::with_medium(drive, medium))).collect())
    }

    /// Attaches what is missing, and detaches what is left over: a disk with its other format first.
    fn devices<T>(&self, difference: &Difference<T>, mut make: impl FnMut(&T) -> Element) -> Live {
        let detach = difference.extra.iter().map(|found: &Found<T>| Action::Detach(found.xml.clone()));
        let attach: Vec<Action> = difference.missing.iter().map(|its| Action::Attach(make(its))).collect();
        self.hot(detach.chain(attach).collect())
    }

    pub(super) fn networks(&self, driver: Driver, difference: &Difference<VirtNetwork>) -> Live {
        self.devices(difference, |its| make::network(its, driver))
    }

    pub(super) fn filesystems(&self, difference: &Difference<VirtFilesystem>) -> Live {
        match difference.is_none() {
            true => Live::Same,
            false => Live::Restart("directories can't be added or removed while it runs".to_owned()),
        }
    }
}
