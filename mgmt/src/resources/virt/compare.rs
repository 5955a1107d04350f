//! The fields of a domain, compared with those that are declared: in the definition of the next start, and in the
//! present run.

use crate::resources::virt::definition::{Definition, set_boot, set_cpus, set_memory};
use crate::resources::virt::devices::{self, Difference, Listed, diff, list};
use crate::resources::virt::fields::{VirtBoot, VirtMemory};
use crate::resources::virt::live::{Live, Refused, Run};
use crate::resources::virt::wanted::Wanted;
use crate::sys::libvirt::{Domain, DomainState, Element, Pause};

/// Changes a definition so that it has everything that is declared.
pub(super) fn edit(domain: &mut Element, wanted: &Wanted) {
    let definition = Definition::of(domain);
    if let Some(kib) = wanted.memory.filter(|kib| !is_memory(&definition, *kib)) {
        set_memory(domain, kib);
    }
    let (cpus, maxcpus) = processors(wanted, &definition);
    if (cpus, maxcpus) != (definition.cpus, definition.maxcpus) {
        set_cpus(domain, cpus, maxcpus);
    }
    if let Some(init) = wanted.osinit.as_ref().filter(|init| definition.osinit.as_ref() != Some(init)) {
        domain.child_mut("os").put(Element::new("init").containing(init));
    }
    if let Some(boot) = wanted.boot.as_ref().filter(|boot| !is_boot(boot, &definition)) {
        set_boot(domain, boot);
    }
    devices::edit(domain, wanted, &definition);
}

/// Whether a definition gives this memory, and no more. Hypervisors give whole MiB.
fn is_memory(definition: &Definition, kib: u64) -> bool {
    let allowed = [kib, kib.next_multiple_of(1 << 10)];
    allowed.contains(&definition.memory) && allowed.contains(&definition.memory_max)
}

/// The number of processors, and the highest number, that a definition must have.
fn processors(wanted: &Wanted, definition: &Definition) -> (u32, u32) {
    let cpus = wanted.cpus.unwrap_or(definition.cpus);
    let cpus = wanted.maxcpus.map_or(cpus, |max| cpus.min(max));
    (cpus, wanted.maxcpus.unwrap_or(definition.maxcpus).max(cpus))
}

fn is_boot(wanted: &[VirtBoot], definition: &Definition) -> bool {
    wanted.iter().map(|boot| boot.word()).eq(definition.boot.iter().map(String::as_str))
}

/// A field that is otherwise than declared.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) diff: String,
    /// The definition of the next start is otherwise.
    pub(super) saved: bool,
    /// What must be done about the present run.
    pub(super) live: Live,
}

/// The comparison of one domain.
pub(super) struct Fields<'a> {
    wanted: &'a Wanted,
    is_persistent: bool,
    saved: Definition,
    run: Option<Run<'a>>,
    found: Vec<Field>,
}

impl<'a> Fields<'a> {
    /// The fields that are otherwise than declared.
    pub(super) fn compare(wanted: &'a Wanted, domain: &'a Domain, refused: &'a Refused) -> Vec<Field> {
        // One that will not stay as it is need not be changed.
        let stays = match domain.state {
            DomainState::Running | DomainState::Suspended => true,
            DomainState::Paused(pause) => matches!(pause, Pause::Asked | Pause::DiskError),
            DomainState::ShuttingDown | DomainState::Shutoff | DomainState::Crashed => false,
        };
        let run = domain.id.filter(|_| wanted.is_active() && stays).zip(domain.live.as_ref());
        let mut fields = Fields {
            wanted,
            is_persistent: domain.is_persistent,
            saved: Definition::of(&domain.saved),
            run: run.map(|(id, xml)| Run { id, xml, definition: Definition::of(xml), refused }),
            found: Vec::new(),
        };
        fields.resources();
        fields.at_start();
        fields.devices();
        fields.found
    }

    /// The definition of the present run, or else of the next start.
    fn now(&self) -> &Definition {
        self.run.as_ref().map_or(&self.saved, |run| &run.definition)
    }

    fn push(&mut self, name: &'static str, from: String, to: String, is_saved: bool, live: Live) {
        let saved = self.is_persistent && !is_saved;
        if saved || live != Live::Same {
            self.found.push(Field { name, from, to, diff: String::new(), saved, live });
        }
    }

    /// The memory and the processors.
    fn resources(&mut self) {
        if let Some(kib) = self.wanted.memory {
            let live = self.run.as_ref().map_or(Live::Same, |run| run.memory(kib));
            let from = if live == Live::Same { self.saved.memory } else { self.now().memory };
            let shown = |kib| VirtMemory::kib(kib).to_string();
            self.push("memory", shown(from), shown(kib), is_memory(&self.saved, kib), live);
        }
        let (cpus, maxcpus) = processors(self.wanted, &self.saved);
        if self.wanted.cpus.is_some() || cpus != self.saved.cpus {
            let live = self.run.as_ref().map_or(Live::Same, |run| run.cpus(cpus, self.wanted.hotcpus));
            let from = if live == Live::Same { self.saved.cpus } else { self.now().cpus };
            self.push("cpus", from.to_string(), cpus.to_string(), cpus == self.saved.cpus, live);
        }
        if self.wanted.maxcpus.is_some() {
            let (from, is_saved) = (self.now().maxcpus, self.saved.maxcpus == maxcpus);
            let live = self.read_at_start(from == maxcpus);
            self.push("maxcpus", from.to_string(), maxcpus.to_string(), is_saved, live);
        }
    }

    fn read_at_start(&self, is_same: bool) -> Live {
        match is_same || self.run.is_none() {
            true => Live::Same,
            false => Live::Restart("it is read at the start".to_owned()),
        }
    }

    /// What is read at a start only.
    fn at_start(&mut self) {
        if let Some(init) = &self.wanted.osinit {
            let from = self.now().osinit.clone().unwrap_or_else(|| "none".to_owned());
            let (is_live, is_saved) = (from == *init, self.saved.osinit.as_ref() == Some(init));
            self.push("osinit", from, init.clone(), is_saved, self.read_at_start(is_live));
        }
        if let Some(boot) = &self.wanted.boot {
            let words = |all: &[String]| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            let to: Vec<String> = boot.iter().map(ToString::to_string).collect();
            let (from, is_live) = (words(&self.now().boot), is_boot(boot, self.now()));
            self.push("boot", from, words(&to), is_boot(boot, &self.saved), self.read_at_start(is_live));
        }
    }

    fn devices(&mut self) {
        let wanted = self.wanted;
        let driver = wanted.place.driver;
        if let Some(all) = &wanted.disks {
            let of = |its: &Definition| devices::disks(all, &its.disks);
            let live = self.run.as_ref().map(|run| run.disks(driver, &of(&run.definition)));
            self.device("disk", of, |its| list(its.disks.iter().map(|found| &found.what)), list(all), live);
        }
        if let Some(all) = &wanted.cdroms {
            let of = |its: &Definition| devices::cdroms(all, its);
            let live = self.run.as_ref().map(|run| run.cdroms(&of(&run.definition)));
            self.device("cdrom", of, |its| list(&its.media()), list(all), live);
        }
        if let Some(all) = &wanted.networks {
            let of = |its: &Definition| devices::networks(all, &its.networks);
            let live = self.run.as_ref().map(|run| run.networks(driver, &of(&run.definition)));
            self.device("network", of, |its| list(its.networks.iter().map(|found| &found.what)), list(all), live);
        }
        if let Some(all) = &wanted.filesystems {
            let of = |its: &Definition| devices::filesystems(all, &its.filesystems);
            let live = self.run.as_ref().map(|run| run.filesystems(&of(&run.definition)));
            self.device("filesystem", of, |its| list(its.filesystems.iter().map(|found| &found.what)), list(all), live);
        }
    }

    /// One list of devices.
    fn device<T: Listed>(
        &mut self,
        name: &'static str,
        of: impl Fn(&Definition) -> Difference<T>,
        found: impl Fn(&Definition) -> String,
        to: String,
        live: Option<Live>,
    ) {
        let (live, of_saved) = (live.unwrap_or(Live::Same), of(&self.saved));
        let saved = self.is_persistent && !of_saved.is_none();
        if saved || live != Live::Same {
            let shows = if live == Live::Same { &self.saved } else { self.now() };
            let diff = diff(&of(shows));
            self.found.push(Field { name, from: found(shows), to, diff, saved, live });
        }
    }
}
