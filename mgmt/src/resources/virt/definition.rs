//! What a definition of libvirt has of what a resource can declare, and how it is changed: everything else in it stays.

use crate::resources::virt::fields::{VirtAccess, VirtBoot, VirtDisk, VirtFilesystem, VirtFormat, VirtNetwork};
use crate::sys::libvirt::Element;

/// A device of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<T> {
    pub(super) what: T,
    pub(super) xml: Element,
}

/// A definition, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    /// What the domain gets, in KiB.
    pub(super) memory: u64,
    /// What it can get, in KiB.
    pub(super) memory_max: u64,
    pub(super) cpus: u32,
    pub(super) maxcpus: u32,
    pub(super) osinit: Option<String>,
    pub(super) boot: Vec<String>,
    pub(super) disks: Vec<Found<VirtDisk>>,
    /// `None` inside: a drive without a medium.
    pub(super) cdroms: Vec<Found<Option<VirtDisk>>>,
    pub(super) networks: Vec<Found<VirtNetwork>>,
    pub(super) filesystems: Vec<Found<VirtFilesystem>>,
}

/// The units of memory that libvirt reads, in bytes.
const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("bytes", 1),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("k", 1 << 10),
    ("MiB", 1 << 20),
    ("M", 1 << 20),
    ("GiB", 1 << 30),
    ("G", 1 << 30),
];

fn kib(element: &Element) -> Option<u64> {
    let unit = element.attribute("unit").unwrap_or("KiB");
    let bytes = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let count: u64 = element.text().trim().parse().ok()?;
    Some(count.saturating_mul(bytes) >> 10)
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

impl Definition {
    pub(super) fn of(domain: &Element) -> Definition {
        let memory_max = domain.child("memory").and_then(kib).unwrap_or_default();
        let vcpu = domain.child("vcpu");
        let maxcpus = vcpu.and_then(|vcpu| number(&vcpu.text())).unwrap_or(1);
        let devices = domain.child("devices");
        let all = |name: &'static str| devices.into_iter().flat_map(move |devices| devices.children(name));
        let is_cdrom = |disk: &&Element| disk.attribute("device") == Some("cdrom");
        let is_disk = |disk: &&Element| disk.attribute("device").is_none_or(|device| device == "disk");
        let keep = |xml: &Element| xml.clone();
        Definition {
            memory: domain.child("currentMemory").and_then(kib).unwrap_or(memory_max),
            memory_max,
            cpus: vcpu.and_then(|vcpu| number(vcpu.attribute("current")?)).unwrap_or(maxcpus),
            maxcpus,
            osinit: domain.at(&["os", "init"]).map(Element::text),
            boot: boot(domain),
            disks: all("disk").filter(is_disk).map(|xml| Found { what: disk(xml), xml: keep(xml) }).collect(),
            cdroms: all("disk").filter(is_cdrom).map(|xml| Found { what: medium(xml), xml: keep(xml) }).collect(),
            networks: all("interface").map(|xml| Found { what: network(xml), xml: keep(xml) }).collect(),
            filesystems: all("filesystem").map(|xml| Found { what: filesystem(xml), xml: keep(xml) }).collect(),
        }
    }

    /// Whether it gives a domain the same, whatever else is in it.
    pub(super) fn is_like(&self, other: &Definition) -> bool {
        fn whats<T>(all: &[Found<T>]) -> impl Iterator<Item = &T> {
            all.iter().map(|found| &found.what)
        }
        let numbers = |its: &Definition| (its.memory, its.memory_max, its.cpus, its.maxcpus);
        numbers(self) == numbers(other)
            && (&self.osinit, &self.boot) == (&other.osinit, &other.boot)
            && whats(&self.disks).eq(whats(&other.disks))
            && whats(&self.cdroms).eq(whats(&other.cdroms))
            && whats(&self.networks).eq(whats(&other.networks))
            && whats(&self.filesystems).eq(whats(&other.filesystems))
    }

    /// The media of the CD-ROMs.
    pub(super) fn media(&self) -> Vec<VirtDisk> {
        self.cdroms.iter().filter_map(|cdrom| cdrom.what.clone()).collect()
    }

    /// The names of devices that are taken, such as `vda`.
    pub(super) fn targets(domain: &Element) -> Vec<String> {
        let devices = domain.child("devices");
        let disks = devices.into_iter().flat_map(|devices| devices.children("disk"));
        disks.filter_map(|disk| Some(disk.child("target")?.attribute("dev")?.to_owned())).collect()
    }
}

/// The sorts of devices from which it is started, in order: those of `<os>`, or those of the devices with an order.
fn boot(domain: &Element) -> Vec<String> {
    let of_os = domain.child("os").into_iter().flat_map(|os| os.children("boot"));
    let of_os: Vec<String> = of_os.filter_map(|boot| boot.attribute("dev").map(str::to_owned)).collect();
    if !of_os.is_empty() {
        return of_os;
    }
    let devices = domain.child("devices").into_iter().flat_map(Element::all);
    let mut ordered: Vec<(u32, String)> = devices
        .filter_map(|device| {
            let order = number(device.child("boot")?.attribute("order")?)?;
            let word = match (device.name(), device.attribute("device")) {
                ("interface", _) => "network",
                (_, Some("cdrom")) => "cdrom",
                (_, Some("floppy")) => "fd",
                _ => "hd",
            };
            Some((order, word.to_owned()))
        })
        .collect();
    ordered.sort();
    ordered.into_iter().map(|(_, word)| word).collect()
}

fn disk(xml: &Element) -> VirtDisk {
    medium(xml).unwrap_or_else(|| VirtDisk::new(""))
}

fn medium(xml: &Element) -> Option<VirtDisk> {
    const FORMATS: [VirtFormat; 8] = [
        VirtFormat::Raw,
        VirtFormat::Qcow2,
        VirtFormat::Qcow,
        VirtFormat::Qed,
        VirtFormat::Vdi,
        VirtFormat::Vmdk,
        VirtFormat::Vpc,
        VirtFormat::Vhdx,
    ];
    let source = xml.child("source")?;
    let source = ["file", "dev", "dir", "name"].iter().find_map(|name| source.attribute(name))?;
    let word = xml.child("driver").and_then(|driver| driver.attribute("type")).unwrap_or("raw");
    let format = FORMATS.into_iter().find(|format| format.word() == word).unwrap_or_default();
    Some(VirtDisk { source: source.to_owned(), format })
}

fn network(xml: &Element) -> VirtNetwork {
    let source = xml.child("source");
    let name = ["network", "bridge", "dev"].iter().find_map(|name| source?.attribute(name)).unwrap_or_default();
    let mac = xml.child("mac").and_then(|mac| mac.attribute("address")).map(str::to_lowercase);
    VirtNetwork { name: name.to_owned(), mac }
}

fn filesystem(xml: &Element) -> VirtFilesystem {
    let of = |name: &str| xml.child(name).and_then(|its| its.attribute("dir")).unwrap_or_default().to_owned();
    let access = match xml.attribute("accessmode") {
        Some("mapped") => VirtAccess::Mapped,
        Some("squash") => VirtAccess::Squash,
        _ => VirtAccess::Passthrough,
    };
    VirtFilesystem { access, source: of("source"), target: of("target"), read_only: xml.child("readonly").is_some() }
}

/// Sets the memory, what it can get included.
pub(super) fn set_memory(domain: &mut Element, kib: u64) {
    let memory = |name: &str| Element::new(name).with("unit", "KiB").containing(kib);
    domain.put(memory("memory"));
    domain.put(memory("currentMemory"));
}

/// Sets the number of processors, and the highest number.
pub(super) fn set_cpus(domain: &mut Element, cpus: u32, maxcpus: u32) {
    let vcpu = domain.child_mut("vcpu");
    let mut set = vcpu.clone().containing(maxcpus);
    match cpus == maxcpus {
        true => set.unset("current"),
        false => set.set("current", cpus),
    }
    *vcpu = set;
    // The states of single processors would contradict that.
    domain.remove(|child| child.name() == "vcpus");
}

/// Sets the order of the devices from which it is started.
pub(super) fn set_boot(domain: &mut Element, boot: &[VirtBoot]) {
    let os = domain.child_mut("os");
    os.remove(|child| child.name() == "boot");
    boot.iter().for_each(|its| os.push(Element::new("boot").with("dev", its)));
    // The two ways exclude one another.
    for device in domain.child_mut("devices").all_mut() {
        device.remove(|child| child.name() == "boot");
    }
}
