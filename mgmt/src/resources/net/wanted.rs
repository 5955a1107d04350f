//! What a resource declares, with its texts read, and what is wrong with them.

use std::net::IpAddr;

use crate::resource::{Error, Result};
use crate::resources::net::fields::{NetAddress, NetGateway, NetState};
use crate::sys::netlink::{Cidr, Family};

/// The longest name of an interface, in bytes.
const NAME_BYTES_MAX: usize = 15;

/// What must be true of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) state: NetState,
    pub(super) addresses: Vec<Cidr>,
    pub(super) gateways: Vec<IpAddr>,
    pub(super) metric: Option<u32>,
    pub(super) forward: Option<bool>,
    pub(super) purge: bool,
}

impl Wanted {
    pub(super) fn is_up(&self) -> bool {
        self.state == NetState::Up
    }

    /// The metric of the default route of this family.
    pub(super) fn metric_of(&self, family: Family) -> u32 {
        metric_of(self.metric, family)
    }

    /// The gateway is taken as being on the link: the interface has its addresses alone, without a network.
    pub(super) fn is_on_link(&self, gateway: &IpAddr) -> bool {
        let family = Family::of(gateway);
        let mut own = self.addresses.iter().filter(|cidr| cidr.family() == family).peekable();
        own.peek().is_some() && own.all(Cidr::is_single)
    }
}

/// The metric of a default route: 0 is the smallest of IPv4, and means the usual one of IPv6.
pub(super) fn metric_of(declared: Option<u32>, family: Family) -> u32 {
    declared.filter(|metric| *metric != 0).unwrap_or(family.usual_metric())
}

/// What is wrong with the name of an interface.
pub(super) fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("is longer than the 15 bytes that the kernel allows")
    } else if [".", ".."].contains(&name) || name.contains(['/', ':', '\0']) || name.contains(char::is_whitespace) {
        Some("is no name of an interface")
    } else {
        None
    }
}

/// The addresses.
///
/// # Errors
/// What is wrong with the first wrong one.
pub(super) fn addresses(texts: &[NetAddress]) -> std::result::Result<Vec<Cidr>, String> {
    let mut all: Vec<Cidr> = Vec::new();
    for text in texts {
        let shown = text.text();
        let cidr = text.parse().map_err(|why| format!("`{shown}` {why}"))?;
        if cidr.ip.is_unspecified() || cidr.ip.is_multicast() {
            return Err(format!("`{shown}` is no address that one machine can have"));
        }
        if all.iter().any(|other| other.ip == cidr.ip) {
            return Err(format!("{} is there twice", cidr.ip));
        }
        all.push(cidr);
    }
    Ok(all)
}

/// The gateways.
///
/// # Errors
/// What is wrong with the first wrong one.
pub(super) fn gateways(field: &NetGateway) -> std::result::Result<Vec<IpAddr>, String> {
    let mut all: Vec<IpAddr> = Vec::new();
    for text in field.texts() {
        let ip: IpAddr = text.trim().parse().map_err(|_| format!("`{text}` is no IP address"))?;
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return Err(format!("`{text}` is no address of another machine"));
        }
        if let Some(other) = all.iter().find(|other| Family::of(other) == Family::of(&ip)) {
            return Err(format!("{other} and {ip} are both of {}", Family::of(&ip)));
        }
        all.push(ip);
    }
    Ok(all)
}

/// What was received may be wrong: then the resource fails with the field.
pub(super) fn declared<T>(field: &str, value: std::result::Result<T, String>) -> Result<T> {
    value.map_err(|why| Error::new(format!("`{field}`: {why}")))
}
