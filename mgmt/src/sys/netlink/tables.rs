//! What the kernel's tables contain: interfaces, their addresses, and default routes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The family of this address.
    pub fn of(ip: &IpAddr) -> Family {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The metric that the kernel gives a default route without one.
    pub fn usual_metric(self) -> u32 {
        match self {
            Family::V4 => 0,
            Family::V6 => 1024,
        }
    }

    /// The number of bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// An address with the length of the prefix of its network: `192.0.2.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// The address.
    pub ip: IpAddr,
    /// The length of the prefix, in bits.
    pub prefix: u8,
}

impl Cidr {
    /// The family of the address.
    pub fn family(&self) -> Family {
        Family::of(&self.ip)
    }

    /// Whether the network contains an address.
    pub fn contains(&self, ip: &IpAddr) -> bool {
        let cut = |ip: u128, bits: u8| ip.checked_shr(u32::from(bits - self.prefix.min(bits))).unwrap_or(0);
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => cut(own.to_bits().into(), 32) == cut(ip.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(ip)) => cut(own.to_bits(), 128) == cut(ip.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether the network has no other address.
    pub fn is_single(&self) -> bool {
        self.prefix == self.family().bits()
    }

    /// The address that all machines of an IPv4 network listen to; `None`: the network has none.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.ip {
            IpAddr::V4(ip) if self.prefix <= 30 => Some((ip | Ipv4Addr::from_bits(u32::MAX >> self.prefix)).to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// A text is no address with a prefix: what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotACidr(&'static str);

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Cidr, NotACidr> {
        let Some((ip, prefix)) = text.split_once('/') else {
            return Err(NotACidr("has no length of a prefix"));
        };
        let ip: IpAddr = ip.parse().map_err(|_| NotACidr("is no IP address"))?;
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| is_number).ok_or(NotACidr("has no number after the `/`"))?;
        match prefix <= Family::of(&ip).bits() {
            true => Ok(Cidr { ip, prefix }),
            false if ip.is_ipv4() => Err(NotACidr("has a prefix of more than 32 bits")),
            false => Err(NotACidr("has a prefix of more than 128 bits")),
        }
    }
}

/// A network interface, and its addresses in the order of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its number, which no other interface gets as long as the machine runs.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its alternative names.
    pub other_names: Vec<String>,
    /// Whether it is set up. Whether its cable is connected is another matter: `has_carrier`.
    pub is_up: bool,
    /// Whether it can send: it has a link partner.
    pub has_carrier: bool,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// What has made an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Made {
    /// A program.
    #[default]
    ByProgram,
    /// The kernel: for the loopback interface, for each link of IPv6, or from what a router announces.
    ByKernel,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub cidr: Cidr,
    /// What has made it.
    pub made: Made,
    /// It lasts until it is removed; otherwise it was made for a time.
    pub is_permanent: bool,
    /// IPv4: it is in the network of an earlier address, and may be removed with that one.
    pub is_secondary: bool,
    /// IPv6: whether another machine has it is not known yet.
    pub is_tentative: bool,
    /// IPv6: another machine on the link has it.
    pub is_duplicate: bool,
    /// The other details, with which it can be made again.
    pub details: Details,
}

/// Details of an address that this library does not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    pub(super) flags: u32,
    pub(super) scope: u8,
    pub(super) peer: Option<IpAddr>,
    pub(super) broadcast: Option<Ipv4Addr>,
    pub(super) label: Option<String>,
    pub(super) preferred_s: u32,
    pub(super) valid_s: u32,
}

/// A default route of the main table, in one of its families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The family.
    pub family: Family,
    /// Its metric: of several routes, the one with the smallest counts.
    pub metric: u32,
    /// What has made it.
    pub made: Made,
    /// The number of the protocol, or program, that has made it.
    pub protocol: u8,
    /// The gateway is taken as being on the link.
    pub on_link: bool,
    /// Its next hops: mostly one.
    pub hops: Vec<Hop>,
}

/// The next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The number of the interface.
    pub index: u32,
    /// The gateway; `None`: all addresses are on the link.
    pub gateway: Option<IpAddr>,
}

/// What the kernel has: an interface, and all default routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The interface of the name that was asked for.
    pub interface: Option<Interface>,
    /// The interface that has the name as an alternative one.
    pub other_name_of: Option<String>,
    /// All default routes; empty if they were not asked for.
    pub defaults: Vec<DefaultRoute>,
    /// The names of the interfaces of the routes, by number.
    pub names: Vec<(u32, String)>,
}

impl Network {
    /// The name of an interface.
    pub fn name_of(&self, index: u32) -> String {
        let found = self.names.iter().find(|(number, _)| *number == index);
        found.map_or_else(|| format!("interface {index}"), |(_, name)| name.clone())
    }
}
