//! The kernel's tables as they were last read, and what of them must be read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::{RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage, address::AddressMessage, route::RouteHeader};

use super::error::Result;
use super::requests::Requests;
use super::tables::{DefaultRoute, Family, Interface, InterfaceAddress, Network};
use super::wire;

/// The number of interfaces beyond which all are read at once, and not one by one.
const SINGLE_MAX: usize = 16;

/// What has changed since the tables were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty {
    pub(super) is_all: bool,
    /// Single interfaces.
    interfaces: BTreeSet<u32>,
    pub(super) defaults: bool,
}

impl Dirty {
    /// Everything.
    pub(super) fn all() -> Dirty {
        Dirty { is_all: true, interfaces: BTreeSet::new(), defaults: true }
    }

    pub(super) fn interface(&mut self, index: u32) {
        if !self.is_all {
            self.interfaces.insert(index);
            if self.interfaces.len() > SINGLE_MAX {
                (self.is_all, self.interfaces) = (true, BTreeSet::new());
            }
        }
    }

    /// Removes what is read next.
    pub(super) fn take(&mut self, with_defaults: bool) -> Dirty {
        let defaults = with_defaults && std::mem::take(&mut self.defaults);
        Dirty { is_all: std::mem::take(&mut self.is_all), interfaces: std::mem::take(&mut self.interfaces), defaults }
    }
}

/// The tables.
pub(super) struct Tables {
    pub(super) requests: Requests,
    interfaces: BTreeMap<u32, Interface>,
    numbers: HashMap<String, u32>,
    defaults: Vec<DefaultRoute>,
    /// How often all interfaces were read, a single one, and the routes.
    pub(super) reads: [u64; 3],
}

pub(super) fn kernel_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

impl Tables {
    pub(super) fn new(requests: Requests) -> Tables {
        let (interfaces, numbers) = (BTreeMap::new(), HashMap::new());
        Tables { requests, interfaces, numbers, defaults: Vec::new(), reads: [0; 3] }
    }

    /// Reads what has changed. Returns whether any interface was read.
    ///
    /// The interfaces come first. The kernel reports a link that is set down, or an address that goes, before it has
    /// removed the routes over it, and does not report these; but it answers about interfaces only when it has done so.
    pub(super) fn refresh(&mut self, dirty: &Dirty) -> Result<bool> {
        if dirty.is_all {
            self.read_all()?;
        } else {
            for index in &dirty.interfaces {
                self.read_one(*index)?;
            }
        }
        let has_read = dirty.is_all || !dirty.interfaces.is_empty();
        if has_read {
            let all = self.interfaces.values();
            self.numbers = all.map(|interface| (interface.name.clone(), interface.index)).collect();
        }
        if dirty.defaults {
            self.reads[2] += 1;
            let mut defaults = Vec::new();
            for family in Family::ALL {
                let request = RouteNetlinkMessage::GetRoute(routes(family));
                match self.requests.dump("routes", &request, wire::default_route) {
                    Ok(found) => defaults.extend(found),
                    // The main table is made with its first route.
                    Err(error) if error.is_no_table() => {}
                    Err(error) => return Err(error),
                }
            }
            self.defaults = defaults;
        }
        Ok(has_read)
    }

    fn read_all(&mut self) -> Result<()> {
        self.reads[0] += 1;
        let request = RouteNetlinkMessage::GetLink(link(0));
        let links = self.requests.dump("interfaces", &request, wire::link)?;
        let mut interfaces: BTreeMap<u32, Interface> = links.into_iter().map(|link| (link.index, link)).collect();
        for (index, address) in self.addresses(0)? {
            // One without an interface belongs to one that has just come: it will be reported.
            if let Some(interface) = interfaces.get_mut(&index) {
                interface.addresses.push(address);
            }
        }
        self.interfaces = interfaces;
        Ok(())
    }

    fn read_one(&mut self, index: u32) -> Result<()> {
        self.reads[1] += 1;
        match self.interface(index) {
            Ok(Some(interface)) => drop(self.interfaces.insert(index, interface)),
            Ok(None) => drop(self.interfaces.remove(&index)),
            Err(error) if error.is_gone() => drop(self.interfaces.remove(&index)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn interface(&mut self, index: u32) -> Result<Option<Interface>> {
        let request = RouteNetlinkMessage::GetLink(link(index));
        let found = self.requests.ask(request, 0, || format!("reading interface {index}"))?;
        let unreadable =
            |error: netlink_packet_core::DecodeError| super::NetlinkError::Unreadable("interfaces", error.to_string());
        let found = found.map(|payload| wire::link(&payload)).transpose().map_err(unreadable)?.flatten();
        let Some(mut interface) = found else { return Ok(None) };
        let addresses = self.addresses(index)?;
        // A kernel that knows no filter answers with all.
        interface.addresses = addresses.into_iter().filter(|(of, _)| *of == index).map(|(_, one)| one).collect();
        Ok(Some(interface))
    }

    /// The addresses of an interface; 0: of all.
    fn addresses(&mut self, index: u32) -> Result<Vec<(u32, InterfaceAddress)>> {
        let mut all = Vec::new();
        for family in Family::ALL {
            let mut request = AddressMessage::default();
            (request.header.family, request.header.index) = (kernel_family(family), index);
            let request = RouteNetlinkMessage::GetAddress(request);
            all.extend(self.requests.dump("addresses", &request, wire::address)?);
        }
        Ok(all)
    }

    /// The names of all interfaces, by number.
    pub(super) fn names(&self) -> HashMap<u32, String> {
        self.interfaces.values().map(|interface| (interface.index, interface.name.clone())).collect()
    }

    /// What there is about an interface.
    pub(super) fn network(&self, name: &str, with_defaults: bool) -> Network {
        let interface = self.numbers.get(name).and_then(|index| self.interfaces.get(index)).cloned();
        let has_it = |interface: &&Interface| interface.other_names.iter().any(|other| other == name);
        let other = if interface.is_none() { self.interfaces.values().find(has_it) } else { None };
        let other_name_of = other.map(|interface| interface.name.clone());
        let defaults = if with_defaults { self.defaults.clone() } else { Vec::new() };
        let hops = defaults.iter().flat_map(|route| &route.hops);
        let names = hops.filter_map(|hop| Some((hop.index, self.interfaces.get(&hop.index)?.name.clone()))).collect();
        Network { interface, other_name_of, defaults, names }
    }
}

fn link(index: u32) -> LinkMessage {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    request
}

/// Asks for the routes of the main table.
fn routes(family: Family) -> RouteMessage {
    let mut request = RouteMessage::default();
    request.header.address_family = kernel_family(family);
    (request.header.table, request.header.kind) = (RouteHeader::RT_TABLE_MAIN, RouteType::Unicast);
    request
}
