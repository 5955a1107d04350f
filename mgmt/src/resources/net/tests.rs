//! Interfaces of a real kernel, in a network namespace of their own.

use std::fs;
use std::future::Future;
use std::process::Command;
use std::time::Instant;

use crate::resource::{Change, Error, ObstacleKind};
use crate::resources::net::{Net, NetBuilder};
use crate::sys::spaces;
use crate::testing::{Fake, Trial};

/// Runs a test of this file in a user and a network namespace, with the interface `d0`, which is down and has no
/// address.
fn inside<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Fake) -> F) {
    if spaces::inside(module_path!(), name, &["--net"]) {
        fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
        ip("link add d0 type veth peer name p0");
        ip("link set p0 up");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(test(Fake::new().unwrap()));
    }
}

fn ip(line: &str) -> String {
    let output = Command::new("ip").args(line.split(' ')).output().expect("the program ip");
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The addresses that programs have added to an interface, in the order of the kernel.
fn addresses(name: &str) -> Vec<String> {
    let all = ip(&format!("-o addr show dev {name}"));
    let words = all.lines().map(|line| line.split_whitespace().nth(3).unwrap().to_owned());
    words.filter(|address| !address.starts_with("fe80:")).collect()
}

fn defaults() -> Vec<String> {
    let all = ip("route show default") + &ip("-6 route show default");
    all.lines().map(|line| line.split_whitespace().take(5).collect::<Vec<_>>().join(" ")).collect()
}

fn d0() -> NetBuilder {
    Net::new("d0")
}

async fn changes(trial: &Trial) -> Vec<String> {
    let changes = trial.settle().await.unwrap().changes;
    assert!(trial.check().await.unwrap().in_sync(), "after {changes:?}");
    changes.iter().map(Change::to_string).collect()
}

async fn refused(trial: &Trial) -> Error {
    trial.settle().await.unwrap_err()
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn what_is_declared_is_made_and_other_addresses_stay() {
    inside("what_is_declared_is_made_and_other_addresses_stay", async |host| {
        ip("addr add 203.0.113.1/24 dev d0");
        let declared =
            || d0().addrs(["192.0.2.1/24", "2001:db8::1/64"]).gateway(["192.0.2.254", "2001:db8::9"]).ip_forward(true);
        let trial = host.put(declared());
        assert_eq!(
            changes(&trial).await,
            [
                "state: down → up",
                "addrs: 203.0.113.1/24 → 203.0.113.1/24, 192.0.2.1/24, 2001:db8::1/64",
                "gateway: none → 192.0.2.254",
                "gateway: none → 2001:db8::9",
                "ip_forward: false → true",
            ]
        );
        assert_eq!(addresses("d0"), ["203.0.113.1/24", "192.0.2.1/24", "2001:db8::1/64"]);
        assert!(ip("-o addr show dev d0").contains("192.0.2.1/24 brd 192.0.2.255"));
        assert_eq!(defaults(), ["default via 192.0.2.254 dev d0", "default via 2001:db8::9 dev d0"]);
        for family in ["ipv4", "ipv6"] {
            assert_eq!(fs::read_to_string(format!("/proc/sys/net/{family}/conf/d0/forwarding")).unwrap(), "1\n");
        }
        // What sets the link down takes addresses and routes with it.
        ip("link set d0 down");
        fs::write("/proc/sys/net/ipv6/conf/d0/forwarding", "0").unwrap();
        assert_eq!(
            changes(&trial).await,
            [
                "state: down → up",
                "addrs: 203.0.113.1/24, 192.0.2.1/24 → 203.0.113.1/24, 192.0.2.1/24, 2001:db8::1/64",
                "gateway: none → 192.0.2.254",
                "gateway: none → 2001:db8::9",
                "ip_forward: false for IPv6 → true",
            ]
        );
        assert_eq!(changes(&host.put(declared().purge(true))).await.len(), 1);
        assert_eq!(addresses("d0"), ["192.0.2.1/24", "2001:db8::1/64"]);
        assert!(ip("-o addr show dev d0").contains("fe80:"), "what the kernel makes stays");
        assert_eq!(changes(&host.put(d0().down())).await, ["state: up → down"]);
        assert_eq!(addresses("d0"), ["192.0.2.1/24"]);
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn another_prefix_is_corrected_and_secondary_addresses_survive() {
    inside("another_prefix_is_corrected_and_secondary_addresses_survive", async |host| {
        ip("addr add 192.0.2.1/25 dev d0");
        ip("addr add 192.0.2.7/25 dev d0 label d0:x");
        ip("addr add 192.0.2.8/25 dev d0");
        ip("-6 addr add 2001:db8::1/48 dev d0");
        let trial = host.put(d0().addrs(["192.0.2.1/24", "192.0.2.8/25", "2001:db8::1/64"]));
        let found = changes(&trial).await;
        assert!(found[1].ends_with("→ 192.0.2.7/25, 192.0.2.8/25, 192.0.2.1/24, 2001:db8::1/64"), "{found:?}");
        let mut all = addresses("d0");
        all.sort();
        assert_eq!(all, ["192.0.2.1/24", "192.0.2.7/25", "192.0.2.8/25", "2001:db8::1/64"]);
        assert!(ip("-o addr show dev d0").contains("d0:x"), "with its label");
        // Here the declared address is the secondary one, and goes with the other.
        ip("addr flush dev d0");
        ip("addr add 192.0.2.9/24 dev d0");
        ip("addr add 192.0.2.1/24 dev d0");
        let trial = host.put(d0().addrs(["192.0.2.1/24"]).gateway("192.0.2.254").purge(true));
        changes(&trial).await;
        assert_eq!((addresses("d0"), defaults().len()), (vec!["192.0.2.1/24".to_owned()], 1));
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn a_gateway_replaces_the_wrong_one_over_its_interface_only() {
    inside("a_gateway_replaces_the_wrong_one_over_its_interface_only", async |host| {
        ip("link add d1 type veth peer name p1");
        ip("link set p1 up");
        ip("link set d1 up");
        ip("addr add 198.51.100.1/24 dev d1");
        let declared = || d0().addrs(["192.0.2.1/24", "2001:db8::1/64"]);
        changes(&host.put(declared())).await;
        ip("route add default via 192.0.2.2 dev d0");
        ip("route add default via 192.0.2.3 dev d0 metric 7");
        ip("-6 route add default via 2001:db8::2 dev d0");
        ip("route add default via 198.51.100.9 dev d1 metric 50");
        let trial = host.put(declared().gateway(["192.0.2.254", "fe80::1"]));
        assert_eq!(
            changes(&trial).await,
            ["gateway: 192.0.2.2, 192.0.2.3 → 192.0.2.254", "gateway: 2001:db8::2 → fe80::1"]
        );
        let others = "default via 198.51.100.9 dev d1";
        assert_eq!(defaults(), ["default via 192.0.2.254 dev d0", others, "default via fe80::1 dev d0"]);
        let trial = host.put(declared().gateway("192.0.2.254").metric(7));
        assert_eq!(changes(&trial).await, ["gateway: 192.0.2.254 metric 0 → 192.0.2.254 metric 7"]);

        let trial = host.put(declared().gateway("192.0.2.254").metric(50));
        let error = refused(&trial).await;
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::InTheWay, "{error}");
        let words =
            "there is one of IPv4 over `d1` with the same metric, 50; remove that one, or give another `metric`";
        assert!(error.to_string().contains(words), "{error}");
        ip("route del default dev d1");
        changes(&trial).await;
        assert_eq!(defaults()[0], "default via 192.0.2.254 dev d0");

        let error = refused(&host.put(declared().gateway("203.0.113.9").metric(3))).await;
        assert!(error.to_string().contains("Nexthop has invalid gateway"), "what the kernel says: {error}");
        assert!(error.to_string().contains("give `d0` an address in `addrs` whose network contains"), "{error}");
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing, "{error}");
        ip("addr flush dev d0");
        let alone = host.put(d0().addrs(["192.0.2.1/32"]).gateway("203.0.113.9"));
        changes(&alone).await;
        assert!(ip("route show default").contains("via 203.0.113.9 dev d0 proto static onlink"));
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn an_interface_that_does_not_exist_is_waited_for() {
    inside("an_interface_that_does_not_exist_is_waited_for", async |host| {
        let trial = host.put(Net::new("later").addrs(["192.0.2.1/24"]));
        let error = refused(&trial).await;
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing, "{error}");
        assert!(error.to_string().starts_with("there is no network interface `later`"), "{error}");
        // The kernel reports another name only of a link that is up.
        ip("link set d0 up");
        ip("link property add dev d0 altname later");
        let error = refused(&trial).await;
        assert!(error.to_string().contains("is another name of the interface `d0`"), "{error}");
        ip("link property del dev d0 altname later");
        ip("link add later type bridge");
        assert_eq!(changes(&trial).await, ["state: down → up", "addrs: none → 192.0.2.1/24"]);
        ip("link set later down");
        ip("link set later name other");
        assert_eq!(refused(&trial).await.obstacle().unwrap().kind, ObstacleKind::Missing);
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn an_address_of_another_machine_is_found_and_one_of_its_own_is_usable_when_it_is_done() {
    inside("an_address_of_another_machine_is_found_and_one_of_its_own_is_usable_when_it_is_done", async |host| {
        fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "1").unwrap();
        ip("link add v0 type veth peer name v1");
        ip("link set v1 up");
        ip("addr add 2001:db8::2/64 dev v1 nodad");
        let trial = host.put(Net::new("v0").addrs(["2001:db8::1/64"]));
        let begun = Instant::now();
        changes(&trial).await;
        println!("usable after {:?}", begun.elapsed());
        assert!(!ip("-o addr show dev v0 to 2001:db8::1").contains("tentative"));

        let trial = host.put(Net::new("v0").addrs(["2001:db8::2/64"]));
        let error = refused(&trial).await;
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::InTheWay, "{error}");
        let words = "another machine on the link of `v0` has the address 2001:db8::2";
        assert!(error.to_string().contains(words), "{error}");
        assert!(trial.check().await.unwrap_err().to_string().contains(words), "it is not tried again and again");
        ip("addr del 2001:db8::2/64 dev v1");
        ip("addr del 2001:db8::2/64 dev v0");
        assert_eq!(changes(&trial).await, ["addrs: 2001:db8::1/64 → 2001:db8::1/64, 2001:db8::2/64"]);

        fs::write("/proc/sys/net/ipv6/conf/d0/disable_ipv6", "1").unwrap();
        let error = refused(&host.put(d0().addrs(["2001:db8:1::1/64"]))).await;
        assert!(error.to_string().contains("set the parameter `net.ipv6.conf.d0.disable_ipv6` to 0"), "{error}");
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn without_the_right_to_change_interfaces_it_waits() {
    inside("without_the_right_to_change_interfaces_it_waits", async |_| {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let without = std::thread::spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::NET_ADMIN);
            set_capabilities(None, sets).unwrap();
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let host = Fake::new().unwrap();
                let trial = host.put(d0().addrs(["192.0.2.1/24"]));
                assert!(!trial.check().await.unwrap().in_sync(), "it can be looked at");
                let error = refused(&trial).await;
                assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::NoPermission, "{error}");
                assert!(error.to_string().contains("setting `d0` up: Operation not permitted"), "{error}");
                assert!(
                    error.to_string().contains("run mgmt as root, or with the capability CAP_NET_ADMIN"),
                    "{error}"
                );
            });
        });
        without.join().unwrap();
    });
}

#[test]
fn what_describes_no_interface_is_refused() {
    let host = Fake::new().unwrap();
    for (net, problem) in [
        (Net::new(""), "`name` is empty"),
        (Net::new("a/b"), "`name` is no name of an interface"),
        (Net::new("a b"), "`name` is no name of an interface"),
        (Net::new("sixteen-bytes-xx"), "`name` is longer than the 15 bytes"),
        (d0().addrs(["192.0.2.1"]), "`addrs` `192.0.2.1` has no length of a prefix"),
        (d0().addrs(["192.0.2.1/33"]), "`addrs` `192.0.2.1/33` has a prefix of more than 32 bits"),
        (d0().addrs(["0.0.0.0/8"]), "`addrs` `0.0.0.0/8` is no address that one machine can have"),
        (d0().addrs(["ff02::1/64"]), "`addrs` `ff02::1/64` is no address that one machine can have"),
        (d0().addrs(["192.0.2.1/24", "192.0.2.1/25"]), "`addrs` 192.0.2.1 is there twice"),
        (d0().gateway("192.0.2.1/24"), "`gateway` `192.0.2.1/24` is no IP address"),
        (d0().gateway(["192.0.2.1", "192.0.2.2"]), "`gateway` 192.0.2.1 and 192.0.2.2 are both of IPv4"),
        (d0().gateway("127.0.0.1"), "`gateway` `127.0.0.1` is no address of another machine"),
        (d0().gateway("192.0.2.1").down(), "`gateway` has no effect"),
        (d0().metric(5), "`metric` has no effect without a `gateway`"),
        (d0().addrs(["192.0.2.1/24"]).gateway("192.0.2.1"), "`gateway` is 192.0.2.1, an address of the interface"),
    ] {
        let found = host.put(net).refusal();
        assert!(found.starts_with(problem) && found.lines().count() == 1, "{problem}: {found}");
    }
    assert!(host.put(d0().addrs(["192.0.2.1/24"]).gateway(["192.0.2.2", "fe80::1"])).refusal().is_empty());
    assert!(host.put(d0().addrs([(std::net::Ipv6Addr::LOCALHOST, 128)])).refusal().is_empty());
}
