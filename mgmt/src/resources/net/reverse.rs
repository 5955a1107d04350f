//! How an interface was before a resource changed it, and putting that back when the resource has left the graph.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, Recorded, Recorder, Result, Reverse, Uid, Undone};
use crate::resources::net::door::netlink;
use crate::resources::net::forwarding;
use crate::resources::net::judge::Step;
use crate::resources::net::kind::{InterfaceName, Net};
use crate::resources::net::wanted::metric_of;
use crate::sys::fs::WriteFs;
use crate::sys::netlink::{
    Cidr, DefaultRoute, Details, Family, Hop, Interface, InterfaceAddress, Made, Netlink, NetlinkError, NewDefault,
    Rival,
};

/// What the resource has changed, each thing once.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NetRecord {
    name: String,
    /// Whether it was up; `None`: that was not changed.
    was_up: Option<bool>,
    added: Vec<String>,
    removed: Vec<AddressWas>,
    routes_added: Vec<RouteWas>,
    routes_removed: Vec<RouteWas>,
    /// Whether packets were forwarded, by family (`true`: IPv6).
    forward: Vec<ForwardWas>,
}

/// An address.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AddressWas {
    address: String,
    details: Details,
}

/// A default route.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct RouteWas {
    gateway: IpAddr,
    metric: u32,
    protocol: u8,
    on_link: bool,
}

impl PartialEq for AddressWas {
    fn eq(&self, other: &AddressWas) -> bool {
        self.address == other.address
    }
}

impl PartialEq for RouteWas {
    fn eq(&self, other: &RouteWas) -> bool {
        (self.gateway, self.metric) == (other.gateway, other.metric)
    }
}

/// The setting of one family.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct ForwardWas {
    is_ipv6: bool,
    was_on: bool,
}

impl RouteWas {
    /// `None`: it has no gateway, and can't be made again.
    fn of(route: &DefaultRoute) -> Option<RouteWas> {
        let gateway = route.hops.first()?.gateway?;
        Some(RouteWas { gateway, metric: route.metric, protocol: route.protocol, on_link: route.on_link })
    }
}

impl NetRecord {
    /// Notes that an address is added. What was there first counts.
    fn adds(&mut self, address: String) {
        if let Some(at) = self.removed.iter().position(|was| was.address == address) {
            self.removed.remove(at);
        } else if !self.added.contains(&address) {
            self.added.push(address);
        }
    }

    /// Notes that an address goes.
    fn removes(&mut self, found: &InterfaceAddress) {
        let was = AddressWas { address: found.cidr.to_string(), details: found.details.clone() };
        if let Some(at) = self.added.iter().position(|added| *added == was.address) {
            self.added.remove(at);
        } else if !self.removed.contains(&was) {
            self.removed.push(was);
        }
    }

    fn adds_route(&mut self, route: RouteWas) {
        if let Some(at) = self.routes_removed.iter().position(|was| *was == route) {
            self.routes_removed.remove(at);
        } else if !self.routes_added.contains(&route) {
            self.routes_added.push(route);
        }
    }

    /// Notes that a route goes, unless it was added by this resource.
    fn loses(&mut self, route: &DefaultRoute) {
        let was = RouteWas::of(route).filter(|_| route.made == Made::ByProgram);
        let was = was.filter(|was| !self.routes_added.contains(was) && !self.routes_removed.contains(was));
        self.routes_removed.extend(was);
    }
}

/// Records what a step will change, and what the kernel will remove with that.
pub(super) fn record(
    recorder: &Recorder<Net>,
    interface: &Interface,
    defaults: &[DefaultRoute],
    step: &Step,
) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    record.name.clone_from(&interface.name);
    let here = || defaults.iter().filter(|route| route.hops.iter().all(|hop| hop.index == interface.index));
    match step {
        Step::SetUp(is_up) => {
            record.was_up.get_or_insert(!is_up);
            if !is_up {
                here().for_each(|route| record.loses(route));
                let of_program = interface.addresses.iter().filter(|found| found.made == Made::ByProgram);
                let ipv6 = of_program.filter(|found| found.cidr.ip.is_ipv6());
                let theirs: Vec<_> = ipv6.filter(|found| !record.added.contains(&found.cidr.to_string())).collect();
                theirs.into_iter().for_each(|found| record.removes(found));
            }
        }
        Step::Add(cidr) => record.adds(cidr.to_string()),
        Step::Remove(address) => {
            record.removes(address);
            let is_reached = |hop: &Hop| hop.gateway.is_some_and(|gateway| address.cidr.contains(&gateway));
            here().filter(|route| route.hops.iter().any(is_reached)).for_each(|route| record.loses(route));
        }
        Step::AddRoute(new, _) => {
            let metric = metric_of(new.metric, Family::of(&new.gateway));
            let NewDefault { gateway, protocol, on_link, .. } = *new;
            record.adds_route(RouteWas { gateway, metric, protocol, on_link });
        }
        Step::RemoveRoute(route) => record.loses(route),
        Step::Forward(family, is_on) => {
            let is_ipv6 = *family == Family::V6;
            if !record.forward.iter().any(|was| was.is_ipv6 == is_ipv6) {
                record.forward.push(ForwardWas { is_ipv6, was_on: !is_on });
            }
        }
    }
    recorder.write(&record)
}

/// An undo, with what it has done so far.
struct Undo<'a> {
    netlink: &'a Netlink,
    fs: &'a WriteFs,
    record: &'a NetRecord,
    undone: Undone,
}

impl Undo<'_> {
    fn interface(&self) -> Result<Option<Interface>> {
        Ok(self.netlink.network(&self.record.name, false)?.interface)
    }

    fn did(&mut self, what: impl FnOnce() -> String, outcome: std::result::Result<(), NetlinkError>) -> Result<()> {
        match outcome {
            Ok(()) => self.undone = std::mem::take(&mut self.undone).did(what()),
            // Another program has done it.
            Err(error) if error.is_there() || error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let name = &self.record.name;
        let Some(interface) = self.interface()? else { return Ok(()) };
        if self.record.was_up == Some(true) && !interface.is_up {
            self.did(|| format!("set `{name}` up"), self.netlink.set_up(&interface, true))?;
        }
        self.remove_routes(&interface)?;
        self.addresses(&interface)?;
        for route in &self.record.routes_removed {
            let RouteWas { gateway, metric, protocol, on_link } = *route;
            let new = NewDefault { gateway, index: interface.index, metric: Some(metric), on_link, protocol };
            let made = self.netlink.add_default(&interface, new, Rival::None);
            self.did(|| format!("make the default route through {} over `{name}`", route.gateway), made)?;
        }
        for was in &self.record.forward {
            let family = if was.is_ipv6 { Family::V6 } else { Family::V4 };
            let now = forwarding::read(self.fs, name)?;
            if now.contains(&(family, !was.was_on)) {
                forwarding::set(self.fs, name, family, was.was_on)?;
                let word = if was.was_on { "on" } else { "off" };
                self.undone =
                    std::mem::take(&mut self.undone).did(format!("turn forwarding of {family} on `{name}` {word}"));
            }
        }
        if self.record.was_up == Some(false) && interface.is_up {
            self.did(|| format!("set `{name}` down"), self.netlink.set_up(&interface, false))?;
        }
        Ok(())
    }

    fn remove_routes(&mut self, interface: &Interface) -> Result<()> {
        if self.record.routes_added.is_empty() {
            return Ok(());
        }
        let defaults = self.netlink.network(&self.record.name, true)?.defaults;
        let is_ours = |route: &&DefaultRoute| {
            route.hops.iter().all(|hop| hop.index == interface.index)
                && RouteWas::of(route).is_some_and(|route| self.record.routes_added.contains(&route))
        };
        let ours: Vec<_> = defaults.iter().filter(is_ours).cloned().collect();
        for route in ours {
            let gateway = RouteWas::of(&route).map(|route| route.gateway.to_string()).unwrap_or_default();
            let removed = self.netlink.remove_default(&route);
            self.did(|| format!("remove the default route through {gateway} over `{}`", interface.name), removed)?;
        }
        Ok(())
    }

    fn addresses(&mut self, interface: &Interface) -> Result<()> {
        let name = &interface.name;
        for text in &self.record.added {
            let found = interface.addresses.iter().find(|found| found.cidr.to_string() == *text);
            if let Some(found) = found {
                self.did(|| format!("remove {text} from `{name}`"), self.netlink.remove_address(interface, found))?;
            }
        }
        let now = self.interface()?.unwrap_or_default();
        for was in &self.record.removed {
            let Ok(cidr) = was.address.parse::<Cidr>() else { continue };
            if !now.addresses.iter().any(|found| found.cidr == cidr) {
                let added = self.netlink.restore_address(interface, cidr, &was.details);
                self.did(|| format!("add {cidr} to `{name}`"), added)?;
            }
        }
        // What another program has added since, and the kernel has removed with an address, stays.
        let is_lost =
            |found: &&InterfaceAddress| found.is_secondary && !self.record.added.contains(&found.cidr.to_string());
        let lost: Vec<_> = interface.addresses.iter().filter(is_lost).collect();
        for found in lost {
            match self.netlink.restore_address(interface, found.cidr, &found.details) {
                Err(error) if !error.is_there() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Reverse for Net {
    type Record = NetRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<NetRecord>) -> Result<Undone> {
        let netlink = netlink(cx).await?;
        let undone = cx.change(move |fs, _| {
            let mut undo = Undo { netlink: &netlink, fs, record: &record.data, undone: Undone::default() };
            undo.run().map(|()| undo.undone)
        });
        undone.await
    }

    fn describe(record: &NetRecord) -> Vec<String> {
        let name = &record.name;
        let routes_added = record.routes_added.iter();
        let mut all: Vec<String> = Vec::new();
        all.extend((record.was_up == Some(true)).then(|| format!("set `{name}` up")));
        all.extend(routes_added.map(|was| format!("remove the default route through {} over `{name}`", was.gateway)));
        all.extend(record.added.iter().map(|address| format!("remove {address} from `{name}`")));
        all.extend(record.removed.iter().map(|was| format!("add {} to `{name}`", was.address)));
        let routes_removed = record.routes_removed.iter();
        all.extend(routes_removed.map(|was| format!("make the default route through {} over `{name}`", was.gateway)));
        all.extend(record.forward.iter().map(|was| {
            let (family, word) =
                (if was.is_ipv6 { Family::V6 } else { Family::V4 }, if was.was_on { "on" } else { "off" });
            format!("turn forwarding of {family} on `{name}` {word}")
        }));
        all.extend((record.was_up == Some(false)).then(|| format!("set `{name}` down")));
        all
    }

    fn owns(record: &NetRecord) -> Vec<Uid> {
        vec![Uid::of(InterfaceName(record.name.clone()))]
    }
}
