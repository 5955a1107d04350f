//! Changes of interfaces, addresses and default routes. All of them block.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::door::{Netlink, Which};
use super::dump::kernel_family;
#[cfg(any(test, feature = "testing"))]
use super::error::NetlinkError;
use super::error::Result;
use super::requests::Requests;
use super::tables::{Cidr, DefaultRoute, Details, Family, Hop, Interface, InterfaceAddress};

/// The flags of an address that a program can set.
const SETTABLE: AddressFlags = AddressFlags::Nodad
    .union(AddressFlags::Homeaddress)
    .union(AddressFlags::Managetempaddr)
    .union(AddressFlags::Noprefixroute)
    .union(AddressFlags::Mcautojoin);
/// A time that never ends.
const FOREVER: u32 = u32::MAX;

/// A default route that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDefault {
    /// The gateway.
    pub gateway: IpAddr,
    /// The number of the interface.
    pub index: u32,
    /// The metric; `None`: that of the kernel, which is 0 for IPv4 and 1024 for IPv6.
    pub metric: Option<u32>,
    /// The gateway is taken as being on the link, although it is in the network of no address.
    pub on_link: bool,
    /// The number of the protocol, or program, that makes it.
    pub protocol: u8,
}

/// The protocol of routes that an administrator has declared.
pub const DECLARED: u8 = 4;

/// What becomes of a default route that has the same family and metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// There is none; if there is one, nothing is made.
    None,
    /// It stays.
    Stays,
    /// The new route takes its place.
    Goes,
}

impl Netlink {
    fn change(
        &self,
        kernel: impl FnOnce(&mut Requests) -> Result<()>,
        #[cfg(any(test, feature = "testing"))] simulated: impl FnOnce(&crate::sys::simulated::Host),
    ) -> Result<()> {
        match &self.0 {
            Which::Kernel(connection) => connection.change(kernel),
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated(host, life) => {
                life.change().map_err(|errno| NetlinkError::Connection(errno.into()))?;
                simulated(host);
                Ok(())
            }
        }
    }

    /// Sets an interface up or down.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_up(&self, interface: &Interface, is_up: bool) -> Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = interface.index;
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if is_up { LinkFlags::Up } else { LinkFlags::empty() };
        let doing = || format!("setting `{}` {}", interface.name, if is_up { "up" } else { "down" });
        self.change(
            |requests| requests.ask(RouteNetlinkMessage::SetLink(message), 0, doing).map(drop),
            #[cfg(any(test, feature = "testing"))]
            |host| host.set_link(&interface.name, is_up),
        )
    }

    /// Adds an address.
    ///
    /// # Errors
    /// The kernel refuses, or the address is there.
    pub fn add_address(&self, interface: &Interface, cidr: Cidr) -> Result<()> {
        let broadcast = cidr.broadcast().filter(|_| !interface.is_loopback);
        let details = Details { broadcast, preferred_s: FOREVER, valid_s: FOREVER, ..Details::default() };
        self.restore_address(interface, cidr, &details)
    }

    /// Adds an address again, as it was.
    ///
    /// # Errors
    /// The kernel refuses, or the address is there.
    pub fn restore_address(&self, interface: &Interface, cidr: Cidr, details: &Details) -> Result<()> {
        let mut message = address(interface.index, cidr, details);
        message.header.scope = details.scope.into();
        let flags = AddressFlags::from_bits_retain(details.flags).intersection(SETTABLE);
        message.attributes.extend(details.broadcast.map(AddressAttribute::Broadcast));
        if !flags.is_empty() {
            message.attributes.push(AddressAttribute::Flags(flags));
        }
        if (details.preferred_s, details.valid_s) != (FOREVER, FOREVER) {
            let mut times = CacheInfo::default();
            (times.ifa_preferred, times.ifa_valid) = (details.preferred_s, details.valid_s);
            message.attributes.push(AddressAttribute::CacheInfo(times));
        }
        let doing = || format!("adding {cidr} to `{}`", interface.name);
        let message = RouteNetlinkMessage::NewAddress(message);
        self.change(
            |requests| requests.ask(message, NLM_F_CREATE | NLM_F_EXCL, doing).map(drop),
            #[cfg(any(test, feature = "testing"))]
            |host| host.add_cidr(&interface.name, cidr),
        )
    }

    /// Removes an address. Others of its network may go with it (`is_secondary`).
    ///
    /// # Errors
    /// The kernel refuses, or the address is not there.
    pub fn remove_address(&self, interface: &Interface, found: &InterfaceAddress) -> Result<()> {
        let message = RouteNetlinkMessage::DelAddress(address(interface.index, found.cidr, &found.details));
        let doing = || format!("removing {} from `{}`", found.cidr, interface.name);
        self.change(
            |requests| requests.ask(message, 0, doing).map(drop),
            #[cfg(any(test, feature = "testing"))]
            |host| host.remove_cidr(&interface.name, found.cidr),
        )
    }

    /// Makes a default route.
    ///
    /// # Errors
    /// The kernel refuses: the gateway can't be reached, for example.
    pub fn add_default(&self, interface: &Interface, new: NewDefault, rival: Rival) -> Result<()> {
        let family = Family::of(&new.gateway);
        let mut message = route(family, new.metric, &Hop { index: new.index, gateway: Some(new.gateway) });
        (message.header.protocol, message.header.scope) = (new.protocol.into(), RouteScope::Universe);
        if new.on_link {
            message.header.flags = RouteFlags::Onlink;
        }
        let flags = match rival {
            Rival::None => NLM_F_CREATE | NLM_F_EXCL,
            Rival::Stays => NLM_F_CREATE,
            Rival::Goes => NLM_F_CREATE | NLM_F_REPLACE,
        };
        let doing = || format!("making a default route through {} over `{}`", new.gateway, interface.name);
        let message = RouteNetlinkMessage::NewRoute(message);
        self.change(
            |requests| requests.ask(message, flags, doing).map(drop),
            #[cfg(any(test, feature = "testing"))]
            |host| host.add_route(&interface.name, new.gateway, new.metric, rival == Rival::Goes),
        )
    }

    /// Removes a default route.
    ///
    /// # Errors
    /// The kernel refuses, or the route is not there.
    pub fn remove_default(&self, found: &DefaultRoute) -> Result<()> {
        let Some(hop) = found.hops.first() else { return Ok(()) };
        let mut message = route(found.family, Some(found.metric), hop);
        // Whatever they are.
        (message.header.protocol, message.header.scope) = (RouteProtocol::Unspec, RouteScope::NoWhere);
        let doing = || match hop.gateway {
            Some(gateway) => format!("removing the default route through {gateway}"),
            None => "removing the default route".to_owned(),
        };
        let message = RouteNetlinkMessage::DelRoute(message);
        self.change(
            |requests| requests.ask(message, 0, doing).map(drop),
            #[cfg(any(test, feature = "testing"))]
            |host| host.remove_route(hop.index, hop.gateway, found.metric),
        )
    }
}

fn address(index: u32, cidr: Cidr, details: &Details) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = kernel_family(cidr.family());
    (message.header.prefix_len, message.header.index) = (cidr.prefix, index);
    message.attributes.push(AddressAttribute::Local(cidr.ip));
    message.attributes.push(AddressAttribute::Address(details.peer.unwrap_or(cidr.ip)));
    message.attributes.extend(details.label.clone().map(AddressAttribute::Label));
    message
}

fn route(family: Family, metric: Option<u32>, hop: &Hop) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = kernel_family(family);
    (message.header.table, message.header.kind) = (RouteHeader::RT_TABLE_MAIN, RouteType::Unicast);
    message.attributes.push(RouteAttribute::Oif(hop.index));
    message.attributes.extend(hop.gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
    message.attributes.extend(metric.map(RouteAttribute::Priority));
    message
}
