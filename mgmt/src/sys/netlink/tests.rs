//! Interfaces of a real kernel, in a network namespace of their own; and messages that are wrong.

use std::future::Future;
use std::process::Command;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::door::Which;
use super::*;
use crate::sys::spaces;

/// Runs a test of this file in a user and a network namespace.
fn inside<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    if spaces::inside(module_path!(), name, &["--net"]) {
        std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    }
}

/// Runs `ip` with these lines.
fn ip(lines: &str) {
    use std::io::Write as _;
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(std::process::Stdio::piped()).spawn().expect("ip");
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{lines}");
}

fn counts(netlink: &Netlink) -> ([u64; 3], u64) {
    match &netlink.0 {
        Which::Kernel(kernel) => kernel.counts(),
        Which::Simulated(..) => unreachable!(),
    }
}

fn cidrs(netlink: &Netlink, name: &str) -> Vec<String> {
    let interface = netlink.network(name, false).unwrap().interface.unwrap();
    let made = interface.addresses.iter().filter(|found| found.made == Made::ByProgram);
    made.map(|found| found.cidr.to_string()).collect()
}

/// Waits until the kernel has ended what it does by itself after a change: link-local addresses, carriers. It reports
/// carriers at most once a second.
fn quiet() {
    let netlink = Netlink::open().unwrap();
    let reads = || {
        netlink.network("lo", false).unwrap();
        counts(&netlink).0
    };
    let mut before = reads();
    loop {
        std::thread::sleep(Duration::from_millis(1500));
        let now = reads();
        if now == before {
            return;
        }
        before = now;
    }
}

/// Lines that add interfaces with an address of each family.
fn links(count: u32) -> String {
    let one = |n: u32| {
        format!(
            "link add d{n} type veth peer name p{n}\nlink set p{n} up\nlink set d{n} up\naddr add 10.{}.{}.1/24 dev d{n}\naddr add fd00:{n:x}::1/64 dev d{n}\n",
            n / 250,
            n % 250
        )
    };
    (0..count).map(one).collect()
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn a_change_is_seen_at_once_and_only_what_has_changed_is_read_again() {
    inside("a_change_is_seen_at_once_and_only_what_has_changed_is_read_again", async || {
        ip(&links(200));
        quiet();
        let netlink = Netlink::open().unwrap();
        let begun = Instant::now();
        for n in 0..200 {
            assert_eq!(cidrs(&netlink, &format!("d{n}")).len(), 2);
        }
        println!("200 interfaces looked at in {:?}", begun.elapsed());
        assert_eq!(counts(&netlink).0, [1, 0, 0]);
        for round in 0..50 {
            // No task has had its turn in between: the look itself takes what was reported.
            ip("addr add 192.0.2.7/32 dev d7\n");
            assert_eq!(cidrs(&netlink, "d7").len(), 3, "{round}");
            ip("addr del 192.0.2.7/32 dev d7\n");
            assert_eq!(cidrs(&netlink, "d7").len(), 2, "{round}");
        }
        assert_eq!(counts(&netlink).0, [1, 100, 0]);
        ip("link del d9\nlink set d8 down\nlink set d8 name d9\n");
        assert_eq!(netlink.network("d8", false).unwrap().interface, None);
        assert!(!netlink.network("d9", false).unwrap().interface.unwrap().is_up);
        // The kernel reports another name only of a link that is up.
        ip("link set d9 up\nlink property add dev d9 altname other\n");
        assert_eq!(netlink.network("other", false).unwrap().other_name_of.as_deref(), Some("d9"));
        assert_eq!(counts(&netlink).1, 0);
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn many_addresses_come_in_several_parts_and_a_table_that_changes_is_read_again() {
    inside("many_addresses_come_in_several_parts_and_a_table_that_changes_is_read_again", async || {
        let many: String = (0..5000).map(|n| format!("addr add 10.1.{}.{}/32 dev d0\n", n / 250, n % 250)).collect();
        ip(&format!("link add d0 type veth peer name p0\n{many}"));
        let netlink = Netlink::open().unwrap();
        assert_eq!(cidrs(&netlink, "d0").len(), 5000);
        // Another program changes the table all the time.
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                ip("addr add 192.0.2.1/32 dev d0\naddr del 192.0.2.1/32 dev d0\n");
            }
        });
        for _ in 0..50 {
            let found = cidrs(&netlink, "d0").len();
            assert!((5000..=5001).contains(&found), "{found}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
        assert_eq!(cidrs(&netlink, "d0").len(), 5000);
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn what_was_lost_in_a_full_queue_is_looked_at_again() {
    inside("what_was_lost_in_a_full_queue_is_looked_at_again", async || {
        ip(&links(3));
        let netlink = Netlink::open().unwrap();
        assert_eq!(cidrs(&netlink, "d1").len(), 2);
        let mut waits = netlink.subscribe("d1", Wanted::Interface).unwrap();
        // The task that takes the reports gets no turn: the queue is overrun, and the last report is among the lost.
        let flood = |word: &str| -> String {
            (0..5000).map(|n| format!("addr {word} 10.9.{}.{}/32 dev d0\n", n / 250, n % 250)).collect()
        };
        ip(&flood("add"));
        ip("addr del 10.0.1.1/24 dev d1\n");
        tokio::time::timeout(Duration::from_secs(60), waits.changed()).await.expect("all are woken").unwrap();
        assert!(counts(&netlink).1 > 0, "{:?}", counts(&netlink));
        assert_eq!(cidrs(&netlink, "d1"), ["fd00:1::1/64"]);
        assert_eq!(cidrs(&netlink, "d0").len(), 5002);
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn reports_reach_those_that_wait_for_the_name_and_no_others() {
    inside("reports_reach_those_that_wait_for_the_name_and_no_others", async || {
        ip(&links(2));
        quiet();
        let netlink = Netlink::open().unwrap();
        netlink.network("d0", false).unwrap();
        let subscribe = |name: &str, wanted| netlink.subscribe(name, wanted).unwrap();
        let (mut one, mut other) = (subscribe("d0", Wanted::Interface), subscribe("d1", Wanted::Interface));
        let (mut later, mut routes) = (subscribe("later", Wanted::Interface), subscribe("none", Wanted::WithDefaults));
        let wakes = async |subscription: &mut Subscription| {
            let is_woken = tokio::time::timeout(Duration::from_millis(200), subscription.changed()).await.is_ok();
            // More than one report may be on its way.
            while tokio::time::timeout(Duration::from_millis(20), subscription.changed()).await.is_ok() {}
            is_woken
        };
        for (change, wanted) in [
            ("addr add 192.0.2.1/24 dev d0\n", [true, false, false, false]),
            ("addr del 192.0.2.1/24 dev d0\n", [true, false, false, false]),
            ("link set d1 mtu 1400\n", [false, true, false, false]),
            ("route add default via 10.0.0.9 dev d0\n", [true, false, false, true]),
            ("route add 203.0.113.0/24 via 10.0.0.9 dev d0\n", [false; 4]),
            ("route del default\n", [true, false, false, true]),
            ("link add later type bridge\n", [false, false, true, false]),
            ("link set later name final\n", [false, false, true, false]),
            ("link del final\n", [false; 4]),
            ("link set d0 down\n", [true, false, false, false]),
        ] {
            ip(change);
            let woken =
                [wakes(&mut one).await, wakes(&mut other).await, wakes(&mut later).await, wakes(&mut routes).await];
            assert_eq!(woken, wanted, "{change}");
        }
        std::fs::write("/proc/sys/net/ipv4/conf/d1/forwarding", "1").unwrap();
        assert!(wakes(&mut other).await, "a setting of IPv4");
        std::fs::write("/proc/sys/net/ipv6/conf/d1/forwarding", "1").unwrap();
        assert!(wakes(&mut other).await, "a setting of IPv6");
        drop(netlink);
        assert!(one.changed().await.is_err(), "a lost connection ends the wait");
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn default_routes_are_seen_with_their_gateways_and_their_silent_end() {
    inside("default_routes_are_seen_with_their_gateways_and_their_silent_end", async || {
        let none = Netlink::open().unwrap().network("lo", true).unwrap().defaults;
        assert!(none.is_empty(), "the table does not even exist: {none:?}");
        ip(&links(2));
        ip("route add default via 10.0.0.9 dev d0 metric 5\nroute add default via fd00:1::9 dev d1\n\
            route add default metric 9 nexthop via 10.0.0.8 dev d0 nexthop via 10.0.1.8 dev d1\n\
            route add default via 10.0.0.9 dev d0 table 77\nroute add 10.77.0.0/16 via 10.0.0.9\n");
        let netlink = Netlink::open().unwrap();
        let shown = || {
            let network = netlink.network("d0", true).unwrap();
            let hop = |hop: &Hop| format!("{} over {}", hop.gateway.unwrap(), network.name_of(hop.index));
            let route = |route: &DefaultRoute| {
                let hops = route.hops.iter().map(hop).collect::<Vec<_>>().join(" and ");
                format!("{} {}: {hops}", route.family, route.metric)
            };
            network.defaults.iter().map(route).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(),
            [
                "IPv4 5: 10.0.0.9 over d0",
                "IPv4 9: 10.0.0.8 over d0 and 10.0.1.8 over d1",
                "IPv6 1024: fd00:1::9 over d1"
            ]
        );
        // The kernel removes such routes without a report.
        ip("route del default metric 9\nlink set d0 down\n");
        assert_eq!(shown(), ["IPv6 1024: fd00:1::9 over d1"]);
        ip("link set d0 up\nroute add default via 10.0.0.9 dev d0\n");
        assert_eq!(shown().len(), 2);
        ip("addr del 10.0.0.1/24 dev d0\n");
        assert_eq!(shown(), ["IPv6 1024: fd00:1::9 over d1"]);
    });
}

#[test]
fn texts_of_addresses_are_read_exactly() {
    for text in ["192.0.2.1/24", "10.0.0.0/0", "2001:db8::1/64", "::1/128"] {
        assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
    }
    for (text, why) in [
        ("192.0.2.1", "has no length of a prefix"),
        ("192.0.2.1/", "has no number after the `/`"),
        ("192.0.2.1/+4", "has no number after the `/`"),
        ("192.0.2.1/33", "has a prefix of more than 32 bits"),
        ("192.0.2.256/24", "is no IP address"),
        ("192.0.02.1/24", "is no IP address"),
        ("2001:db8::1/129", "has a prefix of more than 128 bits"),
        ("eth0/24", "is no IP address"),
        ("", "has no length of a prefix"),
    ] {
        assert_eq!(text.parse::<Cidr>().unwrap_err().to_string(), why, "{text}");
    }
    let net = |text: &str| text.parse::<Cidr>().unwrap();
    for (network, ip, is_in) in [
        ("192.0.2.1/24", "192.0.2.254", true),
        ("192.0.2.1/24", "192.0.3.1", false),
        ("192.0.2.1/32", "192.0.2.1", true),
        ("192.0.2.1/32", "192.0.2.2", false),
        ("192.0.2.1/0", "8.8.8.8", true),
        ("2001:db8::1/64", "2001:db8::ffff", true),
        ("2001:db8::1/64", "2001:db9::1", false),
        ("::/0", "2001:db9::1", true),
        ("::/0", "192.0.2.1", false),
    ] {
        assert_eq!(net(network).contains(&ip.parse().unwrap()), is_in, "{network} {ip}");
    }
    assert_eq!(net("192.0.2.1/24").broadcast(), Some("192.0.2.255".parse().unwrap()));
    assert_eq!((net("192.0.2.1/31").broadcast(), net("fd00::1/64").broadcast()), (None, None));
    assert_eq!(net("192.0.2.1/0").broadcast(), Some("255.255.255.255".parse().unwrap()));
}

proptest! {
    #[test]
    fn no_message_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 16u16..90) {
        let mut heard = super::heard::Heard::new();
        heard.hear(&bytes);
        let length = u32::try_from(bytes.len() + 16).unwrap();
        let header = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        heard.hear(&[header, bytes.clone()].concat());
        let _ = (wire::link(&bytes), wire::address(&bytes), wire::default_route(&bytes), wire::netconf_index(&bytes));
    }
}
