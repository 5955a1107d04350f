//! What is wrong with the fields by themselves.

use std::collections::HashSet;

use crate::resource::{FieldProblem, Known, every};
use crate::resources::virt::fields::{VirtDisk, VirtFilesystem, VirtNetwork, VirtState};
use crate::resources::virt::kind::Virt;
use crate::sys::libvirt::{Driver, Place, is_text};

/// What is wrong with a name.
fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if [".", ".."].contains(&name) || name.contains('/') {
        Some("has a slash, or is a name of a directory")
    } else if name.chars().any(char::is_control) || !is_text(name) {
        Some("has a control character, which no definition can have")
    } else if name.trim() != name {
        Some("begins or ends with a blank")
    } else {
        None
    }
}

/// What is wrong with a path of a device.
fn path_problem(path: &str) -> Option<String> {
    if !path.starts_with('/') && !path.starts_with("~/") {
        Some(format!("`{path}` is not absolute"))
    } else if path.chars().any(char::is_control) || !is_text(path) {
        Some(format!("`{}` has a control character, which no definition can have", path.escape_debug()))
    } else {
        None
    }
}

fn twice<'a>(all: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut seen = HashSet::new();
    all.into_iter().find(|one| !seen.insert(*one)).map(|one| format!("has `{one}` twice"))
}

fn disks_problem(disks: &[VirtDisk]) -> Option<String> {
    let wrong = disks.iter().find_map(|disk| path_problem(&disk.source));
    wrong.or_else(|| twice(disks.iter().map(|disk| disk.source.as_str())))
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let is_byte = |part: &&str| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit());
    // An odd first byte is the address of a group.
    let is_single = parts.first().and_then(|part| u8::from_str_radix(part, 16).ok()).is_some_and(|byte| byte % 2 == 0);
    parts.len() == 6 && parts.iter().all(is_byte) && is_single
}

fn networks_problem(networks: &[VirtNetwork]) -> Option<String> {
    let unnamed =
        networks.iter().find_map(|its| Some(format!("has a network whose name {}", name_problem(&its.name)?)));
    let mac = || {
        let mut macs = networks.iter().filter_map(|its| its.mac.as_ref());
        macs.find(|mac| !is_mac(mac)).map(|mac| format!("has `{mac}`, which is no hardware address of one card"))
    };
    let lower: Vec<String> = networks.iter().filter_map(|its| its.mac.as_ref()).map(|mac| mac.to_lowercase()).collect();
    unnamed.or_else(mac).or_else(|| twice(lower.iter().map(String::as_str)))
}

fn filesystems_problem(all: &[VirtFilesystem], driver: Option<Driver>) -> Option<String> {
    let source = || all.iter().find_map(|its| path_problem(&its.source));
    let target = || {
        let of_container = all.iter().filter(|_| driver == Some(Driver::Lxc)).find_map(|its| path_problem(&its.target));
        let empty = all.iter().find(|its| its.target.is_empty() || !is_text(&its.target));
        of_container.or_else(|| empty.map(|_| "has an empty `target`, or one with a control character".to_owned()))
    };
    source().or_else(target).or_else(|| twice(all.iter().map(|its| its.target.as_str())))
}

impl Virt {
    pub(super) fn problems(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let place = Place::of(&self.uri);
        let uri = place.as_ref().err().map(|why| {
            let remedy =
                "give one of libvirt, such as `qemu:///system`, `qemu+ssh://root@host/system` or `lxc:///system`";
            FieldProblem::new("uri", why, remedy)
        });
        let name = name_problem(&self.name)
            .map(|why| FieldProblem::new("name", why, "give one that `virsh list --all` can show"));
        let driver = known.is_known("uri").then(|| place.ok().map(|place| place.driver)).flatten();
        let login = self.auth.as_ref().filter(|auth| auth.satisfies(|auth| auth.username.is_empty()));
        let login = login.map(|_| FieldProblem::new("auth", "has no `username`", "give the name of a user"));
        let mut problems = every([name, uri, login]);
        problems.extend(every(self.amounts(known)));
        problems.extend(every(self.devices(driver)));
        problems.extend(every(self.contradictions(known, driver)));
        problems
    }

    /// The memory and the processors.
    fn amounts(&self, known: &Known<'_>) -> [Option<FieldProblem>; 4] {
        let max = self.maxcpus.unwrap_or(u32::MAX);
        [
            known.require(
                "memory",
                self.memory.is_none_or(|memory| memory.as_kib() > 0),
                "is 0",
                "give the number of KiB",
            ),
            known.require("cpus", self.cpus != Some(0), "is 0", "give at least 1"),
            known.require("maxcpus", self.maxcpus != Some(0), "is 0", "give at least 1"),
            known.require(
                ["cpus", "maxcpus"],
                self.cpus.is_none_or(|cpus| cpus <= max || max == 0),
                "is more than `maxcpus`",
                "give at most that, or a larger `maxcpus`",
            ),
        ]
    }

    fn devices(&self, driver: Option<Driver>) -> [Option<FieldProblem>; 5] {
        let list = |field: &'static str, why: Option<String>, remedy: &str| {
            why.map(|why| FieldProblem::new(field, why, remedy))
        };
        let file = "give the absolute path of a file or block device, each once";
        let disk = self.disk.as_deref().and_then(disks_problem);
        let cdrom = self.cdrom.as_deref().and_then(disks_problem);
        let network = self.network.as_deref().and_then(networks_problem);
        let filesystem = self.filesystem.as_deref().and_then(|all| filesystems_problem(all, driver));
        let mut seen = HashSet::new();
        let boot =
            self.boot.iter().flatten().find(|boot| !seen.insert(**boot)).map(|boot| format!("has `{boot}` twice"));
        [
            list("disk", disk, file),
            list("cdrom", cdrom, file),
            list(
                "network",
                network,
                "give the `name` of a network, and a `mac` such as `52:54:00:12:34:56`, each once",
            ),
            list("filesystem", filesystem, "give a `source` that is absolute, and a `target`, each once"),
            list("boot", boot, "give each device once"),
        ]
    }

    fn contradictions(&self, known: &Known<'_>, driver: Option<Driver>) -> [Option<FieldProblem>; 6] {
        let is_container = driver == Some(Driver::Lxc);
        let is_machine = driver.is_some() && !is_container;
        [
            known.require(
                ["startup", "transient"],
                !(self.transient && self.startup == Some(true)),
                "is true, but nothing is left of a `transient` domain that could be started",
                "leave out one of them",
            ),
            known.require(
                ["osinit", "uri"],
                self.osinit.is_none() || !is_machine,
                "has no effect: only a container (`lxc:///system`) has a first program",
                "leave it out",
            ),
            known.require(
                "osinit",
                self.osinit.as_deref().is_none_or(|init| path_problem(init).is_none()),
                "is not an absolute path, or has control characters",
                "give the path of a program in the container, such as `/sbin/init`",
            ),
            known.require(
                ["boot", "uri"],
                self.boot.is_none() || !is_container,
                "has no effect: a container is not started from a device",
                "leave it out",
            ),
            known.require(
                ["cdrom", "uri"],
                self.cdrom.is_none() || !is_container,
                "has no effect: a container has no CD-ROMs",
                "leave it out",
            ),
            known.require(
                ["restartonrefresh", "state"],
                !(self.restartonrefresh && self.state == VirtState::Shutoff),
                "has no effect: a domain that is `shutoff` is never restarted",
                "leave it out",
            ),
        ]
    }
}
