//! The kind `net`.

use std::fmt;

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, Drift, Error, FieldProblem, Known, Obstacle, ObstacleKind, Result, Uid, UidKey,
    Watch, WatchCx, every,
};
use crate::resources::net::door::{netlink, reports};
use crate::resources::net::fields::{NetAddress, NetGateway, NetState};
use crate::resources::net::look::look;
use crate::resources::net::repair::repair;
use crate::resources::net::wanted::{self, Wanted, declared};
use crate::sys::netlink::{Family, Netlink};
use mgmt_macros::Resource;

/// A network interface: whether it is up, its addresses, its gateway, and whether it forwards packets.
///
/// The name is that of the interface, such as `eth0`. One that does not exist is waited for: as soon as the kernel
/// reports it, it is set up. An interface is never made or removed by this kind.
///
/// The resource keeps the state of the running kernel, as long as mgmt runs; no file is written, so nothing of it is
/// left after a reboot until mgmt has started. A program that configures interfaces itself (systemd-networkd,
/// NetworkManager, a DHCP client) must leave this one alone, or the two undo each other's changes.
///
/// The addresses in `addrs` are added, each with the exact length of its prefix. Other addresses stay, unless `purge`
/// is set. What the kernel makes is never removed: link-local addresses of IPv6, those that a router announces,
/// and those of the loopback interface. A new address of IPv6 is waited for until the kernel has found that no other
/// machine on the link has it, at most 5 seconds; one that another machine has is an error, which names it.
///
/// A default route goes through each `gateway`; other default routes over this interface, of the same family, are
/// replaced, except those that a router announces. Over another interface, only one with the same `metric` is in the
/// way: then this resource names it, and waits. If all addresses of the family in `addrs` stand alone (`/32`, `/128`),
/// the gateway is taken as being on the link.
///
/// The order is: link, addresses, routes, forwarding.
///
/// Woken by: the kernel's reports about the interface, its addresses and settings and the routes over it (netlink). All
/// resources of an engine share one connection, and only what was reported is read again. There is no default `poll`.
///
/// ```
/// use mgmt::prelude::*;
///
/// let mut g = Graph::new("router");
/// g.add(Net::new("eth0").addrs(["192.0.2.1/24", "2001:db8::1/64"]).gateway("192.0.2.254").ip_forward(true));
/// g.add(Net::new("eth1").addrs(["198.51.100.1/24"]).purge(true).ip_forward(true));
/// g.add(Net::new("wlan0").down());
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "net", inline = watch)]
pub struct Net {
    /// The name of the interface: at most 15 bytes.
    #[resource(name)]
    name: String,
    /// Whether the interface is `up` or `down`. Default: `up`.
    #[resource(default)]
    state: NetState,
    /// The addresses that it must have, each with the length of its prefix: `192.0.2.1/24`. Default: none.
    #[resource(default)]
    addrs: Vec<NetAddress>,
    /// The gateway of the default route over this interface, or a list with one of each family. Default: none, and
    /// routes stay as they are.
    #[resource(default)]
    gateway: NetGateway,
    /// The metric of the default routes: the one with the smallest is used. Default: any; a new route gets 0 for IPv4,
    /// 1024 for IPv6.
    metric: Option<u32>,
    /// Whether the kernel forwards packets that this interface receives, of both families. Default: neither is changed.
    ip_forward: Option<bool>,
    /// Whether all other addresses are removed, except those that the kernel makes. Default: false.
    #[resource(default)]
    purge: bool,
}

impl NetBuilder {
    /// Declares that the interface is up. The default.
    pub fn up(self) -> Self {
        self.state(NetState::Up)
    }

    /// Declares that the interface is down.
    pub fn down(self) -> Self {
        self.state(NetState::Down)
    }
}

/// What is not as declared.
#[derive(Clone, Debug)]
pub struct NetDrift(Vec<Change>);

impl Drift for NetDrift {
    fn changes(&self) -> Vec<Change> {
        self.0.clone()
    }
}

/// The name of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct InterfaceName(pub(super) String);

/// The default route of one family with one metric.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RouteOf(Family, u32);

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for InterfaceName {
    const WORD: &'static str = "network interface";
}

impl fmt::Display for RouteOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with the metric {}", self.0, self.1)
    }
}

impl UidKey for RouteOf {
    const WORD: &'static str = "default route of";
}

impl Converge for Net {
    type Drift = NetDrift;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let name = wanted::name_problem(&self.name)
            .map(|problem| FieldProblem::new("name", problem, "give one that `ip link` shows, such as `eth0`"));
        let addresses = wanted::addresses(&self.addrs);
        let wrong = addresses.as_ref().err().map(|why| {
            FieldProblem::new("addrs", why, "give each address once, with the length of its prefix: `192.0.2.1/24`")
        });
        let gateways = wanted::gateways(&self.gateway);
        let wrong_gateway = gateways.as_ref().err().map(|why| {
            FieldProblem::new("gateway", why, "give an address without a prefix, and at most one of each family")
        });
        let has_gateway = !self.gateway.texts().is_empty();
        let is_up = known.require(
            ["gateway", "state"],
            self.state == NetState::Up || !has_gateway,
            "has no effect: there is no route over an interface that is `down`",
            "leave it out",
        );
        let metric = known.require(
            ["metric", "gateway"],
            self.metric.is_none() || has_gateway,
            "has no effect without a `gateway`",
            "leave it out, or give one",
        );
        let own = addresses.iter().flatten().find(|cidr| gateways.iter().flatten().any(|gateway| *gateway == cidr.ip));
        let own = own.map(|cidr| {
            let problem = format!("is {}, an address of the interface itself", cidr.ip);
            FieldProblem::new(["gateway", "addrs"], problem, "give that of the router")
        });
        every([name, wrong, wrong_gateway, is_up, metric, own])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<NetDrift>> {
        let (wanted, netlink) = (self.wanted()?, netlink(cx).await?);
        let (_, judged) = cx.look(move |fs, _| look(&wanted, &netlink, fs)).await?;
        match judged.problem {
            Some(problem) if judged.steps.is_empty() => Err(problem),
            _ => Ok((!judged.changes.is_empty()).then_some(NetDrift(judged.changes))),
        }
    }

    async fn apply(&self, cx: &ApplyCx, _: NetDrift) -> Result<()> {
        let (wanted, netlink) = (self.wanted()?, netlink(cx).await?);
        if !repair(cx, netlink, wanted).await? {
            cx.unchanged();
        }
        Ok(())
    }

    async fn foresee(&self, _: &CheckCx, _: &NetDrift) -> Result<()> {
        match Netlink::may_change() {
            true => Ok(()),
            false => {
                let why =
                    format!("`{}` can't be changed: run mgmt as root, or with the capability CAP_NET_ADMIN", self.name);
                Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::NoPermission)))
            }
        }
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        reports(cx, &self.name, !self.gateway.texts().is_empty())
    }

    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        let mut uids = vec![Uid::of(InterfaceName(self.name.clone()))];
        if known.are_known(["gateway", "metric"]) {
            let families = wanted::gateways(&self.gateway).unwrap_or_default();
            let families = families.iter().map(Family::of);
            uids.extend(families.map(|family| Uid::of(RouteOf(family, wanted::metric_of(self.metric, family)))));
        }
        uids
    }
}

impl Net {
    fn wanted(&self) -> Result<Wanted> {
        Ok(Wanted {
            name: self.name.clone(),
            state: self.state,
            addresses: declared("addrs", wanted::addresses(&self.addrs))?,
            gateways: declared("gateway", wanted::gateways(&self.gateway))?,
            metric: self.metric,
            forward: self.ip_forward,
            purge: self.purge,
        })
    }
}
