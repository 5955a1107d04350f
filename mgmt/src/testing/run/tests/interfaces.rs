//! The network interfaces of a simulated host; those of a real kernel are in `tests/it/net.rs`.

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{File, Net};
use crate::testing::{Host, Settled, Survival};

fn router(g: &mut Graph) -> Result<()> {
    let outside = g.add(
        Net::new("eth0")
            .addrs(["192.0.2.1/24", "2001:db8::1/64"])
            .gateway("192.0.2.254")
            .ip_forward(true)
            .reverse(true),
    );
    g.add(Net::new("eth1").addrs(["198.51.100.1/24"]).purge(true).after(&outside));
    g.add(File::new("/etc/up").content("eth1 is configured\n").after(&outside));
    Ok(())
}

fn host() -> Host {
    let host = Host::new();
    host.add_interface("eth0");
    host.add_interface("eth1");
    host.add_address("eth1", "203.0.113.9/24");
    host
}

#[test]
fn interfaces_are_configured_kept_and_put_back() {
    let host = host();
    let mut run = host.start(router);
    run.converge();
    run.assert_applied_in_any_order(["net[eth0]", "net[eth1]", "file[/etc/up]"]);
    let eth0 = "up 192.0.2.1/24 2001:db8::1/64 via 192.0.2.254 metric 0";
    assert_eq!(host.interface("eth0").as_deref(), Some(eth0));
    assert_eq!(host.interface("eth1").as_deref(), Some("up 198.51.100.1/24"));
    let forwarding = || host.read("/proc/sys/net/ipv4/conf/eth0/forwarding");
    assert_eq!(forwarding().as_deref(), Some("1\n"));

    // Other programs change them, one after the other.
    type Change = fn(&Host);
    let changes: [(&str, Change); 5] = [
        ("net[eth0]", |host| host.remove_address("eth0", "192.0.2.1/24")),
        ("net[eth0]", |host| host.set_link("eth0", false)),
        ("net[eth1]", |host| host.add_address("eth1", "203.0.113.9/24")),
        ("net[eth1]", |host| host.set_link("eth1", false)),
        ("net[eth0]", |host| host.write("/proc/sys/net/ipv4/conf/eth0/forwarding", "0\n")),
    ];
    for (resource, change) in changes {
        run.forget();
        change(&host);
        run.converge();
        run.assert_applied([resource]);
    }
    let state = host.interface("eth0").unwrap();
    assert!(state.contains("192.0.2.1/24") && state.ends_with("via 192.0.2.254 metric 0"), "{state}");
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(host.interface("eth0").as_deref(), Some("down"));
    assert_eq!(forwarding().as_deref(), Some("0\n"));
}

#[test]
fn an_interface_that_comes_later_is_configured_then() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        let net = g.add(Net::new("usb0").addrs(["192.0.2.1/24"]));
        g.add(File::new("/etc/up").content("up\n").after(&net));
        Ok(())
    });
    assert_eq!(run.settle(), Settled::Hopeless);
    run.assert_nothing_applied();
    host.add_interface("usb0");
    run.converge();
    run.assert_applied(["net[usb0]", "file[/etc/up]"]);
    host.remove_interface("usb0");
    host.add_interface("usb0");
    run.forget();
    run.converge();
    run.assert_applied(["net[usb0]"]);
    assert_eq!(host.interface("usb0").as_deref(), Some("up 192.0.2.1/24"));
}

#[test]
fn two_routes_of_one_metric_are_refused_and_two_metrics_are_not() {
    let graph = |metric: u32| {
        move |g: &mut Graph| {
            g.add(Net::new("eth0").addrs(["192.0.2.1/24"]).gateway("192.0.2.254"));
            g.add(Net::new("eth1").addrs(["198.51.100.1/24"]).gateway("198.51.100.254").metric(metric));
            Ok(())
        }
    };
    let problems = host().try_start(graph(0), |builder| builder).unwrap_err();
    assert!(problems.contains("default route of `IPv4 with the metric 0`"), "{problems}");
    let host = host();
    host.start(graph(9)).converge();
    assert_eq!(
        host.interface("eth1").as_deref(),
        Some("up 203.0.113.9/24 198.51.100.1/24 via 198.51.100.254 metric 9")
    );
}

#[test]
fn it_survives_every_single_fault() {
    let host = host();
    host.on_drift("net[eth0]", |host| host.set_link("eth0", false));
    host.on_drift("net[eth1]", |host| host.add_address("eth1", "203.0.113.8/24"));
    Survival::new(router).host(host).check();
}
