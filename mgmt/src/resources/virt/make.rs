//! Definitions of devices, and of domains that are made.

use crate::resource::{Error, Result};
use crate::resources::virt::definition::{Definition, set_boot, set_cpus, set_memory};
use crate::resources::virt::fields::{VirtDisk, VirtFilesystem, VirtNetwork};
use crate::resources::virt::wanted::Wanted;
use crate::sys::libvirt::{Driver, Element, Hypervisor};

/// The first program of a container, if none is declared.
const INIT: &str = "/sbin/init";

/// The n-th name of a device, counted from 0: `vda` to `vdz`, then `vdaa`.
fn target(prefix: &str, mut n: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + (n % 26) as u8));
        if n < 26 {
            break;
        }
        n = n / 26 - 1;
    }
    letters.into_iter().rev().fold(prefix.to_owned(), |name, letter| name + &letter.to_string())
}

/// A name that no device has yet.
fn free_target(prefix: &str, taken: &mut Vec<String>) -> String {
    let name = (0..).map(|n| target(prefix, n)).find(|name| !taken.contains(name)).unwrap_or_default();
    taken.push(name.clone());
    name
}

/// The source of a disk or a medium, a file or a block device.
fn source(xml: &mut Element, disk: &VirtDisk) {
    let is_device = disk.source.starts_with("/dev/");
    xml.set("type", if is_device { "block" } else { "file" });
    xml.put(Element::new("driver").with("type", disk.format));
    xml.put(Element::new("source").with(if is_device { "dev" } else { "file" }, &disk.source));
}

/// A disk.
pub(super) fn disk(disk: &VirtDisk, driver: Driver, taken: &mut Vec<String>) -> Element {
    let mut xml = Element::new("disk").with("device", "disk");
    source(&mut xml, disk);
    let (bus, prefix) = if driver == Driver::Lxc { ("lxc", "sd") } else { ("virtio", "vd") };
    xml.holding(Element::new("target").with("dev", free_target(prefix, taken)).with("bus", bus))
}

/// A CD-ROM with its medium.
pub(super) fn cdrom(medium: &VirtDisk, taken: &mut Vec<String>) -> Element {
    let mut xml = Element::new("disk").with("device", "cdrom");
    source(&mut xml, medium);
    let target = Element::new("target").with("dev", free_target("sd", taken)).with("bus", "sata");
    xml.holding(target).holding(Element::new("readonly"))
}

/// The same drive with another medium, or without one.
pub(super) fn with_medium(drive: &Element, medium: Option<&VirtDisk>) -> Element {
    let mut xml = drive.clone();
    // What libvirt has found out about the old one.
    xml.remove(|child| ["source", "backingStore"].contains(&child.name()));
    if let Some(medium) = medium {
        source(&mut xml, medium);
    }
    xml
}

/// A network card.
pub(super) fn network(network: &VirtNetwork, driver: Driver) -> Element {
    let mut xml = Element::new("interface").with("type", "network");
    if let Some(mac) = &network.mac {
        xml.push(Element::new("mac").with("address", mac.to_lowercase()));
    }
    xml.push(Element::new("source").with("network", &network.name));
    if driver == Driver::Qemu {
        xml.push(Element::new("model").with("type", "virtio"));
    }
    xml
}

/// A directory of the host.
pub(super) fn filesystem(its: &VirtFilesystem) -> Element {
    let mut xml = Element::new("filesystem")
        .with("type", "mount")
        .with("accessmode", its.access)
        .holding(Element::new("source").with("dir", &its.source))
        .holding(Element::new("target").with("dir", &its.target));
    if its.read_only {
        xml.push(Element::new("readonly"));
    }
    xml
}

/// A definition of everything that is declared.
///
/// # Errors
/// The memory is not declared.
pub(super) fn domain(wanted: &Wanted, hypervisor: &Hypervisor) -> Result<Element> {
    let Some(memory) = wanted.memory else {
        let why =
            format!("there is no domain `{}`, and one can't be made without its `memory`: declare it", wanted.name);
        return Err(Error::new(why));
    };
    let driver = wanted.place.driver;
    let mut domain = Element::new("domain")
        .with("type", &hypervisor.domain_type)
        .holding(Element::new("name").containing(&wanted.name));
    set_memory(&mut domain, memory);
    let cpus = wanted.cpus.unwrap_or(1);
    set_cpus(&mut domain, cpus, wanted.maxcpus.unwrap_or(cpus).max(cpus));
    let os = match driver {
        Driver::Lxc => {
            let init = wanted.osinit.as_deref().unwrap_or(INIT);
            Element::new("os")
                .holding(Element::new("type").containing("exe"))
                .holding(Element::new("init").containing(init))
        }
        Driver::Qemu | Driver::Test => Element::new("os").holding(Element::new("type").containing("hvm")),
    };
    domain.push(os);
    if driver == Driver::Qemu && ["x86_64", "i686"].contains(&hypervisor.arch.as_str()) {
        // Without them, it can be shut down by force only, and gets no device while it runs.
        domain.push(Element::new("features").holding(Element::new("acpi")).holding(Element::new("apic")));
    }
    let devices = domain.child_mut("devices");
    let mut taken = Vec::new();
    wanted.disks.iter().flatten().for_each(|its| devices.push(disk(its, driver, &mut taken)));
    wanted.cdroms.iter().flatten().for_each(|its| devices.push(cdrom(its, &mut taken)));
    wanted.networks.iter().flatten().for_each(|its| devices.push(network(its, driver)));
    wanted.filesystems.iter().flatten().for_each(|its| devices.push(filesystem(its)));
    devices.push(Element::new("console").with("type", "pty"));
    if let Some(boot) = wanted.boot.as_ref().filter(|boot| !boot.is_empty()) {
        set_boot(&mut domain, boot);
    }
    Ok(domain)
}

/// The names of devices that a definition has.
pub(super) fn taken(domain: &Element) -> Vec<String> {
    Definition::targets(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_names_for_any_number_of_disks() {
        let names = [0, 1, 25, 26, 27, 51, 52, 701, 702].map(|n| target("vd", n));
        assert_eq!(names, ["vda", "vdb", "vdz", "vdaa", "vdab", "vdaz", "vdba", "vdzz", "vdaaa"]);
        let mut taken = vec!["vda".to_owned(), "vdc".to_owned()];
        assert_eq!([0, 1].map(|_| free_target("vd", &mut taken)), ["vdb", "vdd"]);
    }
}
