//! The types of the fields: a state, an address with the length of its prefix, and gateways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Accepts, Format, TypeFacts};
use crate::sys::netlink::{Cidr, NotACidr};

/// Whether an interface is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetState {
    /// It is set up. Whether it has a link partner is another matter.
    #[default]
    Up,
    /// It is set down: nothing is sent or received.
    Down,
}

impl TypeFacts for NetState {
    const FORMAT: Format = Format::Choice;
}

/// An address with the length of the prefix of its network, such as `192.0.2.1/24`.
///
/// A text that is none is reported when the graph is made.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("addresses");
/// g.add(Net::new("eth0").addrs(["192.0.2.1/24", "2001:db8::1/64"]));
/// g.add(Net::new("eth1").addrs([(Ipv4Addr::new(192, 0, 2, 1), 24)]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NetAddress(String);

impl NetAddress {
    pub(super) fn parse(&self) -> Result<Cidr, NotACidr> {
        self.0.trim().parse()
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

macro_rules! accepts {
    ($($field:ident($from:ty, $name:pat) => $text:expr;)+) => {$(
        impl Accepts<$from> for $field {
            fn accept($name: $from) -> $field {
                $text
            }
        }
    )+};
}

accepts! {
    NetAddress(&str, text) => NetAddress(text.to_owned());
    NetAddress(String, text) => NetAddress(text);
    NetAddress(&String, text) => NetAddress(text.clone());
    NetAddress((IpAddr, u8), (ip, prefix)) => NetAddress(format!("{ip}/{prefix}"));
    NetAddress((Ipv4Addr, u8), (ip, prefix)) => NetAddress(format!("{ip}/{prefix}"));
    NetAddress((Ipv6Addr, u8), (ip, prefix)) => NetAddress(format!("{ip}/{prefix}"));
}

/// The gateways of default routes: one address, or a list with one of each family.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("gateways");
/// g.add(Net::new("eth0").addrs(["192.0.2.1/24"]).gateway("192.0.2.254"));
/// g.add(Net::new("eth1").addrs(["192.0.2.65/26"]).gateway(Ipv4Addr::new(192, 0, 2, 126)).metric(200));
/// g.add(Net::new("eth2").addrs(["198.51.100.1/24"]).gateway(["198.51.100.254", "fe80::1"]).metric(300));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NetGateway {
    /// One.
    One(String),
    /// One of each family, or none.
    Each(Vec<String>),
}

impl Default for NetGateway {
    fn default() -> NetGateway {
        NetGateway::Each(Vec::new())
    }
}

impl NetGateway {
    /// The addresses, as they were written.
    pub fn texts(&self) -> &[String] {
        match self {
            NetGateway::One(text) => std::slice::from_ref(text),
            NetGateway::Each(texts) => texts,
        }
    }
}

accepts! {
    NetGateway(&str, text) => NetGateway::One(text.to_owned());
    NetGateway(String, text) => NetGateway::One(text);
    NetGateway(&String, text) => NetGateway::One(text.clone());
    NetGateway(IpAddr, ip) => NetGateway::One(ip.to_string());
    NetGateway(Ipv4Addr, ip) => NetGateway::One(ip.to_string());
    NetGateway(Ipv6Addr, ip) => NetGateway::One(ip.to_string());
}

impl<V: Into<String>, const N: usize> Accepts<[V; N]> for NetGateway {
    fn accept(texts: [V; N]) -> NetGateway {
        NetGateway::Each(texts.into_iter().map(Into::into).collect())
    }
}

impl<V: Into<String>> Accepts<Vec<V>> for NetGateway {
    fn accept(texts: Vec<V>) -> NetGateway {
        NetGateway::Each(texts.into_iter().map(Into::into).collect())
    }
}
