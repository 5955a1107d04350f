//! The network interfaces of a simulated host, as netlink shows them. An address is usable at once, and a gateway
//! always answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use super::host::{Host, Part, lock};
use crate::sys::netlink::{
    Cidr, DECLARED, DefaultRoute, Details, Family, Hop, Interface, InterfaceAddress, LINKS, Made, Network,
};

/// All interfaces, by name.
#[derive(Debug, Default)]
struct Interfaces(Mutex<All>);

#[derive(Clone, Debug, Default)]
struct All {
    by_name: BTreeMap<String, Simulated>,
    /// How many there have been.
    count: u32,
}

#[derive(Clone, Debug, Default)]
struct Simulated {
    index: u32,
    is_up: bool,
    addresses: Vec<Cidr>,
    /// The gateways, with the metric of the route.
    routes: Vec<(IpAddr, u32)>,
}

impl Part for Interfaces {
    fn fork(&self) -> Interfaces {
        Interfaces(Mutex::new(lock(&self.0).clone()))
    }

    fn state(&self, _: &Host) -> Vec<String> {
        let all = lock(&self.0);
        all.by_name.iter().map(|(name, one)| format!("interface {name}: {}", one.describe())).collect()
    }
}

impl Simulated {
    fn describe(&self) -> String {
        let mut words = vec![if self.is_up { "up" } else { "down" }.to_owned()];
        words.extend(self.addresses.iter().map(Cidr::to_string));
        words.extend(self.routes.iter().map(|(gateway, metric)| format!("via {gateway} metric {metric}")));
        words.join(" ")
    }

    /// Routes over a link that is down, and to gateways that no address reaches, go.
    fn settle(&mut self) {
        let Simulated { is_up, addresses, routes, .. } = self;
        if !*is_up {
            addresses.retain(|cidr| cidr.ip.is_ipv4());
        }
        routes.retain(|(gateway, _)| *is_up && addresses.iter().any(|cidr| cidr.family() == Family::of(gateway)));
    }

    fn shown(&self, name: &str) -> Interface {
        let address = |cidr: &Cidr| InterfaceAddress {
            cidr: *cidr,
            made: if cidr.ip.is_loopback() { Made::ByKernel } else { Made::ByProgram },
            is_permanent: true,
            is_secondary: false,
            is_tentative: false,
            is_duplicate: false,
            details: Details::default(),
        };
        Interface {
            index: self.index,
            name: name.to_owned(),
            other_names: Vec::new(),
            is_up: self.is_up,
            has_carrier: self.is_up,
            is_loopback: name == "lo",
            addresses: self.addresses.iter().map(address).collect(),
        }
    }
}

/// The files with the settings of an interface for forwarding.
fn forwarding(name: &str) -> [String; 2] {
    ["ipv4", "ipv6"].map(|family| format!("/proc/sys/net/{family}/conf/{name}/forwarding"))
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap_or_else(|why| panic!("`{text}` {why}"))
}

impl Host {
    /// Adds a network interface, which is down and has no address.
    pub fn add_interface(&self, name: &str) {
        {
            let part = self.part::<Interfaces>();
            let mut all = lock(&part.0);
            all.count += 1;
            let index = all.count;
            all.by_name.insert(name.to_owned(), Simulated { index, ..Simulated::default() });
        }
        for file in forwarding(name) {
            self.write(file, "0\n");
        }
        self.with_interface(name, |_| {});
    }

    /// Removes a network interface, with its addresses and routes.
    pub fn remove_interface(&self, name: &str) {
        lock(&self.part::<Interfaces>().0).by_name.remove(name);
        for file in forwarding(name) {
            self.remove(&file);
        }
        self.remove(format!("{LINKS}/{name}"));
    }

    /// Sets a network interface up or down, as another program would. Its routes go with a link that is down, and its
    /// addresses of IPv6.
    pub fn set_link(&self, name: &str, is_up: bool) {
        self.with_interface(name, |interface| interface.is_up = is_up);
    }

    /// Adds an address such as `192.0.2.1/24` to a network interface, as another program would.
    ///
    /// # Panics
    /// The text is no address with the length of its prefix.
    pub fn add_address(&self, name: &str, address: &str) {
        self.add_cidr(name, cidr(address));
    }

    /// Removes an address such as `192.0.2.1/24` from a network interface, as another program would.
    ///
    /// # Panics
    /// The text is no address with the length of its prefix.
    pub fn remove_address(&self, name: &str, address: &str) {
        self.remove_cidr(name, cidr(address));
    }

    /// The state of a network interface: `up` or `down`, its addresses, and its default routes (`via 192.0.2.254 metric
    /// 0`), separated by blanks. `None`: there is no such interface.
    pub fn interface(&self, name: &str) -> Option<String> {
        lock(&self.part::<Interfaces>().0).by_name.get(name).map(Simulated::describe)
    }

    pub(in crate::sys) fn add_cidr(&self, name: &str, cidr: Cidr) {
        self.with_interface(name, |interface| {
            if !interface.addresses.contains(&cidr) {
                interface.addresses.push(cidr);
            }
        });
    }

    pub(in crate::sys) fn remove_cidr(&self, name: &str, cidr: Cidr) {
        self.with_interface(name, |interface| interface.addresses.retain(|found| *found != cidr));
    }

    pub(in crate::sys) fn add_route(&self, name: &str, gateway: IpAddr, metric: Option<u32>, replaces: bool) {
        let metric = metric.unwrap_or(Family::of(&gateway).usual_metric());
        self.with_interface(name, |interface| {
            let is_rival = |(found, its): &(IpAddr, u32)| found.is_ipv4() == gateway.is_ipv4() && *its == metric;
            interface.routes.retain(|found| !(replaces && is_rival(found)));
            interface.routes.push((gateway, metric));
        });
    }

    pub(in crate::sys) fn remove_route(&self, index: u32, gateway: Option<IpAddr>, metric: u32) {
        let part = self.part::<Interfaces>();
        let name = lock(&part.0).by_name.iter().find(|(_, one)| one.index == index).map(|(name, _)| name.clone());
        if let (Some(name), Some(gateway)) = (name, gateway) {
            self.with_interface(&name, |interface| interface.routes.retain(|found| *found != (gateway, metric)));
        }
    }

    pub(in crate::sys) fn network(&self, name: &str) -> Network {
        let part = self.part::<Interfaces>();
        let all = lock(&part.0);
        let routes = all.by_name.values().flat_map(|one| one.routes.iter().map(|route| (one.index, *route)));
        let defaults = routes.map(|(index, (gateway, metric))| DefaultRoute {
            family: Family::of(&gateway),
            metric,
            made: Made::ByProgram,
            protocol: DECLARED,
            on_link: false,
            hops: vec![Hop { index, gateway: Some(gateway) }],
        });
        Network {
            interface: all.by_name.get(name).map(|one| one.shown(name)),
            other_name_of: None,
            defaults: defaults.collect(),
            names: all.by_name.iter().map(|(name, one)| (one.index, name.clone())).collect(),
        }
    }

    /// Does something with an interface, if there is one of this name, and makes its state known.
    fn with_interface(&self, name: &str, does: impl FnOnce(&mut Simulated)) {
        let part = self.part::<Interfaces>();
        let described = lock(&part.0).by_name.get_mut(name).map(|interface| {
            does(interface);
            interface.settle();
            interface.describe()
        });
        if let Some(described) = described {
            self.write(format!("{LINKS}/{name}"), described + "\n");
        }
    }
}
