//! The messages of rtnetlink, as far as they are needed here. Only these attributes are read: one of a newer kernel
//! that this library does not know does no harm.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{
    DecodeError, NetlinkBuffer, NlasIterator, Parseable as _, parse_i32, parse_ip, parse_string, parse_u8, parse_u32,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressFlags, AddressHeader};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType, RouteVia,
};

use super::tables::{Cidr, DefaultRoute, Details, Family, Hop, Interface, InterfaceAddress, Made};

/// Kinds of messages.
pub(super) const NEW_LINK: u16 = 16;
pub(super) const DEL_LINK: u16 = 17;
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const DEL_ADDRESS: u16 = 21;
pub(super) const NEW_ROUTE: u16 = 24;
pub(super) const DEL_ROUTE: u16 = 25;
pub(super) const NEW_NETCONF: u16 = 80;
pub(super) const DEL_NETCONF: u16 = 81;

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const NETCONF_HEADER: usize = 4;

const LINK_NAME: u16 = 3;
const LINK_PROPERTIES: u16 = 52;
const LINK_OTHER_NAME: u16 = 53;

const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_LABEL: u16 = 3;
const ADDRESS_BROADCAST: u16 = 4;
const ADDRESS_TIMES: u16 = 6;
const ADDRESS_FLAGS: u16 = 8;
const ADDRESS_PROTOCOL: u16 = 11;
/// The protocols of addresses that the kernel makes: of the loopback interface, of a router, of a link.
const ADDRESS_PROTOCOLS_OF_KERNEL: std::ops::RangeInclusive<u8> = 1..=3;

const NETCONF_INDEX: u16 = 1;

/// A message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// The messages in what was received.
pub(super) fn messages(received: &[u8]) -> impl Iterator<Item = Result<Message<'_>, DecodeError>> {
    let mut rest = received;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let buffer = match NetlinkBuffer::new_checked(rest) {
            Ok(buffer) => buffer,
            Err(error) => {
                rest = &[];
                return Some(Err(error));
            }
        };
        let (kind, flags, sequence) = (buffer.message_type(), buffer.flags(), buffer.sequence_number());
        let message = Message { kind, flags, sequence, payload: buffer.payload() };
        let length = (buffer.length() as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        Some(Ok(message))
    })
}

/// The attributes after a header of this length.
pub(super) fn attributes(
    payload: &[u8],
    header: usize,
) -> impl Iterator<Item = Result<(u16, &[u8]), DecodeError>> + use<'_> {
    let rest = payload.get(header..).unwrap_or_default();
    NlasIterator::new(rest).map(|attribute| {
        let attribute = attribute?;
        let (kind, length) = (attribute.kind(), attribute.length() as usize);
        Ok((kind, attribute.into_inner().get(4..length).unwrap_or_default()))
    })
}

/// An interface, without its addresses.
pub(super) fn link(payload: &[u8]) -> Result<Option<Interface>, DecodeError> {
    let header = LinkHeader::parse(payload)?;
    // A bridge reports its ports once more, in its own family.
    if header.interface_family != AddressFamily::Unspec {
        return Ok(None);
    }
    let mut interface = Interface {
        index: header.index,
        is_up: header.flags.contains(LinkFlags::Up),
        has_carrier: header.flags.contains(LinkFlags::LowerUp),
        is_loopback: header.flags.contains(LinkFlags::Loopback),
        ..Interface::default()
    };
    for attribute in attributes(payload, LINK_HEADER) {
        match attribute? {
            (LINK_NAME, value) => interface.name = parse_string(value)?,
            (LINK_PROPERTIES, nested) => {
                for attribute in attributes(nested, 0) {
                    if let (LINK_OTHER_NAME, value) = attribute? {
                        interface.other_names.push(parse_string(value)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Some(interface))
}

/// The number of the interface of an address.
pub(super) fn address_index(payload: &[u8]) -> Result<u32, DecodeError> {
    Ok(AddressHeader::parse(payload)?.index)
}

/// An address, with the number of its interface; `None`: it is of another family.
pub(super) fn address(payload: &[u8]) -> Result<Option<(u32, InterfaceAddress)>, DecodeError> {
    let header = AddressHeader::parse(payload)?;
    if !matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return Ok(None);
    }
    let (mut address, mut local, mut protocol) = (None, None, 0);
    let mut details = Details { flags: header.flags.bits().into(), scope: header.scope.into(), ..Details::default() };
    (details.preferred_s, details.valid_s) = (u32::MAX, u32::MAX);
    for attribute in attributes(payload, ADDRESS_HEADER) {
        match attribute? {
            (ADDRESS_ADDRESS, value) => address = Some(parse_ip(value)?),
            (ADDRESS_LOCAL, value) => local = Some(parse_ip(value)?),
            (ADDRESS_LABEL, value) => details.label = Some(parse_string(value)?),
            (ADDRESS_BROADCAST, value) => {
                details.broadcast = <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
            }
            (ADDRESS_FLAGS, value) => details.flags = parse_u32(value)?,
            (ADDRESS_TIMES, value) if value.len() >= 8 => {
                (details.preferred_s, details.valid_s) = (parse_u32(&value[..4])?, parse_u32(&value[4..8])?);
            }
            (ADDRESS_PROTOCOL, value) => protocol = parse_u8(value)?,
            _ => {}
        }
    }
    let Some(ip) = local.or(address) else { return Ok(None) };
    details.peer = address.filter(|peer| *peer != ip);
    let flags = AddressFlags::from_bits_retain(details.flags);
    let is_permanent = flags.contains(AddressFlags::Permanent);
    let found = InterfaceAddress {
        cidr: Cidr { ip, prefix: header.prefix_len },
        made: maker(&ip, protocol, is_permanent),
        is_permanent,
        is_secondary: ip.is_ipv4() && flags.contains(AddressFlags::Secondary),
        is_tentative: ip.is_ipv6() && flags.contains(AddressFlags::Tentative),
        is_duplicate: ip.is_ipv6() && flags.contains(AddressFlags::Dadfailed),
        details,
    };
    Ok(Some((header.index, found)))
}

/// What has made an address. Kernels before 5.18 do not report it: then each address of IPv6 that was made for a time
/// counts as one that a router has announced.
fn maker(ip: &IpAddr, protocol: u8, is_permanent: bool) -> Made {
    let is_of_kernel = ADDRESS_PROTOCOLS_OF_KERNEL.contains(&protocol)
        || ip.is_loopback()
        || match ip {
            IpAddr::V4(_) => false,
            IpAddr::V6(ip) => ip.is_unicast_link_local() || !is_permanent,
        };
    if is_of_kernel { Made::ByKernel } else { Made::ByProgram }
}

/// A default route of the main table; `None`: it is another route.
pub(super) fn default_route(payload: &[u8]) -> Result<Option<DefaultRoute>, DecodeError> {
    let header = RouteHeader::parse(payload)?;
    let family = match header.address_family {
        AddressFamily::Inet => Family::V4,
        AddressFamily::Inet6 => Family::V6,
        _ => return Ok(None),
    };
    let is_default = header.destination_prefix_length == 0
        && header.source_prefix_length == 0
        && header.tos == 0
        && header.kind == RouteType::Unicast
        && header.table == RouteHeader::RT_TABLE_MAIN;
    if !is_default {
        return Ok(None);
    }
    let message = RouteMessage::parse(payload)?;
    let made = match header.protocol {
        RouteProtocol::Kernel | RouteProtocol::Ra => Made::ByKernel,
        _ => Made::ByProgram,
    };
    let on_link = header.flags.contains(RouteFlags::Onlink);
    let protocol = header.protocol.into();
    let mut route = DefaultRoute { family, metric: 0, made, protocol, on_link, hops: Vec::new() };
    let mut index = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Oif(number) => index = Some(*number),
            RouteAttribute::MultiPath(hops) => {
                let hop = |hop: &netlink_packet_route::route::RouteNextHop| Hop {
                    index: hop.interface_index,
                    gateway: gateway(&hop.attributes),
                };
                route.hops = hops.iter().map(hop).collect();
            }
            _ => {}
        }
    }
    if route.hops.is_empty() {
        route.hops.extend(index.map(|index| Hop { index, gateway: gateway(&message.attributes) }));
    }
    Ok(Some(route))
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) => Some((*ip).into()),
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) | RouteAttribute::Via(RouteVia::Inet6(ip)) => {
            Some((*ip).into())
        }
        _ => None,
    })
}

/// The number of the interface whose settings (forwarding, for example) have changed; `None`: it is about none.
pub(super) fn netconf_index(payload: &[u8]) -> Result<Option<u32>, DecodeError> {
    for attribute in attributes(payload, NETCONF_HEADER) {
        if let (NETCONF_INDEX, value) = attribute? {
            return Ok(u32::try_from(parse_i32(value)?).ok());
        }
    }
    Ok(None)
}
