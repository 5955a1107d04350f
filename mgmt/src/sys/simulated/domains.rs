//! The domains of a simulated host. One that is started or stopped is so at once, and its system does as it is asked.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::host::{Host, Part, lock};
use crate::sys::libvirt::{Action, Domain, DomainState, Element, Pause};

/// Where each domain has a file that changes with it.
const STATES: &str = "/run/libvirt/qemu";

/// All domains, by name.
#[derive(Debug, Default)]
struct Domains(Mutex<All>);

#[derive(Clone, Debug, Default)]
struct All {
    by_name: BTreeMap<String, Simulated>,
    /// How many have been started.
    starts: u32,
}

#[derive(Clone, Debug, Default)]
struct Simulated {
    saved: Option<Element>,
    live: Option<Run>,
    autostart: bool,
}

#[derive(Clone, Debug)]
struct Run {
    id: u32,
    definition: Element,
    is_paused: bool,
}

impl Part for Domains {
    fn fork(&self) -> Domains {
        Domains(Mutex::new(lock(&self.0).clone()))
    }

    fn state(&self, _: &Host) -> Vec<String> {
        let all = lock(&self.0);
        all.by_name.iter().map(|(name, domain)| format!("domain {name}: {}", domain.describe())).collect()
    }
}

impl Simulated {
    fn describe(&self) -> String {
        let state = match &self.live {
            None => "shutoff",
            Some(run) if run.is_paused => "paused",
            Some(_) => "running",
        };
        let mut words = vec![state.to_owned()];
        if let Some(run) = &self.live {
            words.push(format!("with {}", resources(&run.definition)));
        }
        match &self.saved {
            Some(saved) => words.push(format!("defined with {}", resources(saved))),
            None => words.push("transient".to_owned()),
        }
        words.extend(self.autostart.then(|| "autostart".to_owned()));
        words.join(", ")
    }
}

/// The memory, processors and number of devices of a definition.
fn resources(definition: &Element) -> String {
    let memory = definition.child("currentMemory").or(definition.child("memory")).map(Element::text);
    let cpus =
        definition.child("vcpu").map(|vcpu| vcpu.attribute("current").map_or_else(|| vcpu.text(), str::to_owned));
    let devices = definition.child("devices");
    let count = |name| devices.map_or(0, |devices| devices.children(name).count());
    let parts = ["disk", "interface", "filesystem"].map(|name| (name, count(name)));
    let parts = parts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!(" {count} {name}"));
    format!("{} KiB {} cpus{}", memory.unwrap_or_default(), cpus.unwrap_or_default(), parts.collect::<String>())
}

/// The devices are the same, but for what a hypervisor adds to each.
fn is_same(one: &Element, other: &Element) -> bool {
    let source = |device: &Element| device.child("source").cloned();
    one.name() == other.name() && source(one) == source(other)
}

impl Host {
    /// Defines a domain of libvirt by its XML, and starts it, as another program would.
    ///
    /// # Panics
    /// The text is no definition with a name.
    pub fn add_domain(&self, xml: &str) {
        let definition = Element::parse(xml).unwrap_or_else(|why| panic!("`{xml}` {why}"));
        let name = definition.child("name").map(Element::text).unwrap_or_else(|| panic!("`{xml}` has no name"));
        self.define_domain(&name, &definition);
        self.act_on_domain(&name, &Action::Start(false));
    }

    /// Removes a domain of libvirt, also if it runs, as another program would.
    pub fn remove_domain(&self, name: &str) {
        self.act_on_domain(name, &Action::Destroy);
        self.act_on_domain(name, &Action::Undefine);
    }

    /// Ends a domain of libvirt, as another program would. One that is not defined is gone then.
    pub fn stop_domain(&self, name: &str) {
        self.act_on_domain(name, &Action::Destroy);
    }

    /// Pauses a domain of libvirt, as another program would.
    pub fn pause_domain(&self, name: &str) {
        self.act_on_domain(name, &Action::Suspend);
    }

    /// Sets the number of processors of a domain of libvirt that runs, as another program would.
    pub fn set_domain_cpus(&self, name: &str, count: u32) {
        self.act_on_domain(name, &Action::Cpus(count));
    }

    /// The state of a domain of libvirt: `running`, `paused` or `shutoff`, what it has while it runs, and whether it is
    /// defined. `None`: there is no such domain.
    pub fn domain(&self, name: &str) -> Option<String> {
        lock(&self.part::<Domains>().0).by_name.get(name).map(Simulated::describe)
    }

    pub(in crate::sys) fn domain_facts(&self, name: &str) -> Option<Domain> {
        let part = self.part::<Domains>();
        let all = lock(&part.0);
        let domain = all.by_name.get(name)?;
        Some(Domain {
            uuid: format!("{:016x}", self.random_of(name)),
            id: domain.live.as_ref().map(|run| run.id),
            state: match &domain.live {
                None => DomainState::Shutoff,
                Some(run) if run.is_paused => DomainState::Paused(Pause::Asked),
                Some(_) => DomainState::Running,
            },
            is_persistent: domain.saved.is_some(),
            autostart: domain.autostart,
            saved: domain.saved.clone().or_else(|| domain.live.as_ref().map(|run| run.definition.clone()))?,
            live: domain.live.as_ref().map(|run| run.definition.clone()),
        })
    }

    pub(in crate::sys) fn define_domain(&self, name: &str, definition: &Element) {
        self.with_domains(name, |all| {
            all.by_name.entry(name.to_owned()).or_default().saved = Some(definition.clone());
        });
    }

    pub(in crate::sys) fn create_domain(&self, name: &str, definition: &Element, is_paused: bool) {
        self.with_domains(name, |all| {
            all.starts += 1;
            let run = Run { id: all.starts, definition: definition.clone(), is_paused };
            all.by_name.entry(name.to_owned()).or_default().live.get_or_insert(run);
        });
    }

    pub(in crate::sys) fn act_on_domain(&self, name: &str, action: &Action) {
        self.with_domains(name, |all| {
            let starts = all.starts + 1;
            let Some(domain) = all.by_name.get_mut(name) else { return };
            match action {
                Action::Start(is_paused) => {
                    let run =
                        domain.saved.clone().map(|definition| Run { id: starts, definition, is_paused: *is_paused });
                    domain.live = domain.live.take().or(run);
                    all.starts = starts;
                }
                Action::Destroy | Action::Shutdown => domain.live = None,
                Action::Undefine => (domain.saved, domain.autostart) = (None, false),
                Action::Autostart(is_on) => domain.autostart = *is_on,
                other => {
                    if let Some(run) = &mut domain.live {
                        run.change(other);
                    }
                }
            }
            if domain.saved.is_none() && domain.live.is_none() {
                all.by_name.remove(name);
            }
        });
    }

    /// Does something with the domains, and makes the state of this one known.
    fn with_domains(&self, name: &str, does: impl FnOnce(&mut All)) {
        let part = self.part::<Domains>();
        let described = {
            let mut all = lock(&part.0);
            does(&mut all);
            all.by_name.get(name).map(Simulated::describe)
        };
        self.make_dir(STATES);
        let file = format!("{STATES}/{name}.xml");
        match described {
            Some(described) => self.write(file, described + "\n"),
            None => drop(self.remove(file)),
        }
    }
}

impl Run {
    fn change(&mut self, action: &Action) {
        let devices = self.definition.child_mut("devices");
        match action {
            Action::Attach(device) => devices.push(device.clone()),
            Action::Detach(device) => devices.remove(|its| is_same(its, device)),
            Action::Update(device) => {
                let target = |device: &Element| device.child("target").cloned();
                devices.remove(|its| its.name() == device.name() && target(its) == target(device));
                devices.push(device.clone());
            }
            Action::Memory(kib) => {
                let memory = Element::new("currentMemory").with("unit", "KiB").containing(kib);
                self.definition.put(memory);
            }
            Action::Cpus(count) => self.definition.child_mut("vcpu").set("current", count),
            Action::Suspend => self.is_paused = true,
            _ => self.is_paused = false,
        }
    }
}
