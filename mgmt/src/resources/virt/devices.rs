//! The devices of a definition, compared with those that are declared.

use crate::resources::virt::definition::{Definition, Found};
use crate::resources::virt::fields::{VirtDisk, VirtFilesystem, VirtNetwork};
use crate::resources::virt::make;
use crate::resources::virt::wanted::Wanted;
use crate::sys::libvirt::Element;

/// The devices of one sort that are missing in a definition, and those that are in it without being declared.
#[derive(Debug)]
pub(super) struct Difference<T> {
    pub(super) missing: Vec<T>,
    pub(super) extra: Vec<Found<T>>,
}

impl<T> Difference<T> {
    pub(super) fn is_none(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty()
    }
}

/// Each declared device takes one that is there; the most specific ones choose first.
fn compare<T: Clone>(
    wanted: &[T],
    found: &[Found<T>],
    is_same: impl Fn(&T, &T) -> bool,
    is_specific: impl Fn(&T) -> bool,
) -> Difference<T> {
    let mut extra = found.to_vec();
    let mut is_missing = vec![false; wanted.len()];
    for specific in [true, false] {
        for (at, its) in wanted.iter().enumerate().filter(|(_, its)| is_specific(its) == specific) {
            match extra.iter().position(|found| is_same(its, &found.what)) {
                Some(place) => drop(extra.remove(place)),
                None => is_missing[at] = true,
            }
        }
    }
    let missing = wanted.iter().zip(is_missing).filter(|(_, is_missing)| *is_missing).map(|(its, _)| its.clone());
    Difference { missing: missing.collect(), extra }
}

pub(super) fn disks(wanted: &[VirtDisk], found: &[Found<VirtDisk>]) -> Difference<VirtDisk> {
    compare(wanted, found, |its, found| its == found, |_| true)
}

/// Drives without a medium count as not there.
pub(super) fn cdroms(wanted: &[VirtDisk], definition: &Definition) -> Difference<VirtDisk> {
    let with_medium = definition.cdroms.iter().filter_map(|found| {
        let what = found.what.clone()?;
        Some(Found { what, xml: found.xml.clone() })
    });
    compare(wanted, &with_medium.collect::<Vec<_>>(), |its, found| its == found, |_| true)
}

pub(super) fn networks(wanted: &[VirtNetwork], found: &[Found<VirtNetwork>]) -> Difference<VirtNetwork> {
    let is_same = |its: &VirtNetwork, found: &VirtNetwork| {
        its.name == found.name && its.mac.as_ref().is_none_or(|mac| Some(mac.to_lowercase()) == found.mac)
    };
    compare(wanted, found, is_same, |its| its.mac.is_some())
}

pub(super) fn filesystems(wanted: &[VirtFilesystem], found: &[Found<VirtFilesystem>]) -> Difference<VirtFilesystem> {
    compare(wanted, found, |its, found| its == found, |_| true)
}

/// A text for a list of devices.
pub(super) trait Listed {
    fn listed(&self) -> String;
}

impl Listed for VirtDisk {
    fn listed(&self) -> String {
        format!("{} ({})", self.source, self.format)
    }
}

impl Listed for VirtNetwork {
    fn listed(&self) -> String {
        match &self.mac {
            Some(mac) => format!("{} {mac}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Listed for VirtFilesystem {
    fn listed(&self) -> String {
        let rights = if self.read_only { ", read-only" } else { "" };
        format!("{} as {} ({}{rights})", self.source, self.target, self.access)
    }
}

pub(super) fn list<'a, T: Listed + 'a>(all: impl IntoIterator<Item = &'a T>) -> String {
    let all: Vec<String> = all.into_iter().map(Listed::listed).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The lines of a diff.
pub(super) fn diff<T: Listed>(difference: &Difference<T>) -> String {
    let extra = difference.extra.iter().map(|found| format!("-{}\n", found.what.listed()));
    extra.chain(difference.missing.iter().map(|its| format!("+{}\n", its.listed()))).collect()
}

/// Changes the devices of a definition as declared.
pub(super) fn edit(domain: &mut Element, wanted: &Wanted, definition: &Definition) {
    let driver = wanted.place.driver;
    if let Some(wanted) = &wanted.disks {
        let Difference { missing, extra } = disks(wanted, &definition.disks);
        replace(domain, &extra, missing, |its, taken| make::disk(its, driver, taken));
    }
    if let Some(wanted) = &wanted.cdroms {
        let Difference { missing, extra } = cdroms(wanted, definition);
        let empty = definition.cdroms.iter().filter(|found| found.what.is_none());
        let drives: Vec<Element> =
            extra.iter().map(|found| &found.xml).chain(empty.map(|found| &found.xml)).cloned().collect();
        change_media(domain, &drives, &missing);
    }
    if let Some(wanted) = &wanted.networks {
        let Difference { missing, extra } = networks(wanted, &definition.networks);
        replace(domain, &extra, missing, |its, _| make::network(its, driver));
    }
    if let Some(wanted) = &wanted.filesystems {
        let Difference { missing, extra } = filesystems(wanted, &definition.filesystems);
        replace(domain, &extra, missing, |its, _| make::filesystem(its));
    }
}

fn replace<T>(
    domain: &mut Element,
    extra: &[Found<T>],
    missing: Vec<T>,
    make: impl Fn(&T, &mut Vec<String>) -> Element,
) {
    let devices = domain.child_mut("devices");
    for gone in extra {
        remove_one(devices, &gone.xml);
    }
    let mut taken = make::taken(domain);
    let made: Vec<Element> = missing.iter().map(|its| make(its, &mut taken)).collect();
    let devices = domain.child_mut("devices");
    made.into_iter().for_each(|xml| devices.push(xml));
}

/// Two devices may be equal, before libvirt has given them names.
fn remove_one(devices: &mut Element, xml: &Element) {
    let is_first = std::cell::Cell::new(true);
    devices.remove(|child| child == xml && is_first.replace(false));
}

/// Puts media into drives that are free for them, adds drives for the others, and removes drives that are left over.
fn change_media(domain: &mut Element, drives: &[Element], media: &[VirtDisk]) {
    let mut left = drives.iter();
    let mut taken = make::taken(domain);
    for medium in media {
        let xml = match left.next() {
            Some(drive) => {
                remove_one(domain.child_mut("devices"), drive);
                make::with_medium(drive, Some(medium))
            }
            None => make::cdrom(medium, &mut taken),
        };
        domain.child_mut("devices").push(xml);
    }
    left.for_each(|drive| remove_one(domain.child_mut("devices"), drive));
}
