//! Network interfaces of a real kernel, in a network namespace of their own.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resources::NetBuilder;
use mgmt::testing::TempDir;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::spaces::inside;
use crate::kit::within;

/// The namespace has no link partner that could have the same addresses.
fn stage() {
    fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
}

/// Runs `ip` with these lines.
fn ip(lines: &str) -> String {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new("ip");
    let mut child = child.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ip");
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{lines}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `ip` prints, with these words.
fn show(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().expect("ip");
    String::from_utf8(output.stdout).unwrap()
}

/// Lines that add an interface and its link partner.
fn link(name: &str) -> String {
    format!("link add {name} type veth peer name p-{name}\nlink set p-{name} up\n")
}

/// Waits until this holds. Returns how long that took.
fn wait(what: &str, holds: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}\n{}", show("addr"));
        std::thread::sleep(Duration::from_millis(1));
    }
    begun.elapsed()
}

fn has(name: &str, words: &str) -> bool {
    show(&format!("-o addr show dev {name}")).contains(words)
}

fn net() -> NetBuilder {
    Net::new("e0")
        .addrs(["192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64"])
        .gateway(["192.0.2.254", "2001:db8::9"])
        .ip_forward(true)
        .purge(true)
}

/// The interface as it is, without numbers and times.
fn state() -> String {
    let all = show("-o addr show dev e0") + &show("route show dev e0") + &show("-6 route show dev e0");
    let lines = all.lines().filter(|line| !line.contains("fe80:"));
    let mut lines: Vec<_> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    let up = show("-o link show dev e0").contains(",UP");
    let forwards =
        ["ipv4", "ipv6"].map(|family| fs::read_to_string(format!("/proc/sys/net/{family}/conf/e0/forwarding")));
    format!("up: {up}\n{}\n{forwards:?}", lines.join("\n"))
}

fn reset() {
    ip("link set e0 down\naddr flush dev e0\naddr add 203.0.113.9/24 dev e0\nlink set e0 up\n\
        route add default via 203.0.113.254 dev e0\n");
    for family in ["ipv4", "ipv6"] {
        fs::write(format!("/proc/sys/net/{family}/conf/e0/forwarding"), "0").unwrap();
    }
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn the_laws_hold_for_an_interface() {
    if !inside("net::the_laws_hold_for_an_interface", &["--net"]) {
        return;
    }
    stage();
    ip(&link("e0"));
    let subject = Subject::new(|_| net())
        .prepare(|_| reset())
        .observe(|_| state())
        .break_it(|_| drop(ip("addr del 192.0.2.1/24 dev e0\n")))
        .break_it(|_| drop(ip("addr del 2001:db8::1/64 dev e0\n")))
        .break_it(|_| drop(ip("addr add 203.0.113.1/24 dev e0\n")))
        .break_it(|_| drop(ip("link set e0 down\n")))
        .break_it(|_| drop(ip("route del default dev e0\n")))
        .break_it(|_| drop(ip("route add default via 192.0.2.77 dev e0 metric 3\n")))
        .break_it(|_| fs::write("/proc/sys/net/ipv6/conf/e0/forwarding", "0").unwrap());
    let all: Vec<_> = Law::ALL.into_iter().chain([Law::UndoRestores]).collect();
    assert_eq!(laws::check(subject), all);
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn the_laws_hold_for_one_that_must_be_down() {
    if !inside("net::the_laws_hold_for_one_that_must_be_down", &["--net"]) {
        return;
    }
    stage();
    ip(&link("e0"));
    let subject = Subject::new(|_| Net::new("e0").down().addrs(["192.0.2.1/24"]))
        .prepare(|_| reset())
        .observe(|_| state())
        .break_it(|_| drop(ip("link set e0 up\n")))
        .break_it(|_| drop(ip("addr del 192.0.2.1/24 dev e0\n")));
    let all: Vec<_> = Law::ALL.into_iter().chain([Law::UndoRestores]).collect();
    assert_eq!(laws::check(subject), all);
}

async fn start(graph: Graph, dir: &TempDir) -> Engine {
    Engine::builder().graph(graph.finish().unwrap()).prefix(dir.path().join("prefix")).start().await.unwrap()
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn what_another_program_changes_is_undone_at_once_and_an_interface_may_come_and_go() {
    let name = "net::what_another_program_changes_is_undone_at_once_and_an_interface_may_come_and_go";
    if !inside(name, &["--net"]) {
        return;
    }
    stage();
    let dir = TempDir::new().unwrap();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let mut g = Graph::new("net");
        g.add(net());
        let engine = start(g, &dir).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        ip(&link("e0"));
        let came = wait("it is configured when it comes", || has("e0", "192.0.2.1/24"));
        within(engine.converged()).await.unwrap();
        for (change, words) in [
            ("addr del 192.0.2.1/24 dev e0\n", "192.0.2.1/24"),
            ("addr del 2001:db8::1/64 dev e0\n", "2001:db8::1/64"),
            ("link set e0 down\n", "2001:db8::1/64"),
        ] {
            ip(change);
            println!("{}: repaired after {:?}", change.trim(), wait(change, || has("e0", words)));
            within(engine.converged()).await.unwrap();
        }
        ip("addr add 203.0.113.1/24 dev e0\n");
        println!("a foreign address: removed after {:?}", wait("purge", || !has("e0", "203.0.113.1")));
        within(engine.converged()).await.unwrap();
        ip("route replace default via 192.0.2.77 dev e0\n");
        println!("another gateway: {:?}", wait("gateway", || show("route show default").contains("192.0.2.254")));
        within(engine.converged()).await.unwrap();
        let forwarding = "/proc/sys/net/ipv4/conf/e0/forwarding";
        fs::write(forwarding, "0").unwrap();
        println!("forwarding: {:?}", wait("forwarding", || fs::read_to_string(forwarding).unwrap() == "1\n"));
        within(engine.converged()).await.unwrap();
        // A repair of the first one before it has its other name would leave its gateway in the way.
        engine.pause().await.unwrap();
        ip("link set e0 down\nlink set e0 name other\nlink add e0 type veth peer name q-e0\nlink set q-e0 up\n");
        engine.resume().await.unwrap();
        println!("came after {came:?}, again after {:?}", wait("again", || has("e0", "192.0.2.1/24")));
        within(engine.converged()).await.unwrap();
        assert!(has("other", "192.0.2.1/24"), "the one that has another name now is left alone");
        engine.stop().await.unwrap();
    });
}

/// The user and system time of this process so far.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> = stat.rsplit(')').next().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
    // `utime` and `stime`, in hundredths of a second; the state, a letter, is left out.
    Duration::from_millis((fields[10] + fields[11]) * 10)
}

/// The netlink sockets of this process.
fn sockets() -> usize {
    let table = fs::read_to_string("/proc/net/netlink").unwrap();
    let route = table.lines().filter(|line| line.split_whitespace().nth(1) == Some("0"));
    // The kernel has one of its own, without a port.
    route.filter(|line| line.split_whitespace().nth(2) != Some("0")).count()
}

#[test]
#[ignore = "needs user and network namespaces (unshare), ip"]
fn two_hundred_interfaces_share_one_connection_and_cost_nothing_when_idle() {
    if !inside("net::two_hundred_interfaces_share_one_connection_and_cost_nothing_when_idle", &["--net"]) {
        return;
    }
    stage();
    let dir = TempDir::new().unwrap();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let all: Vec<String> = (0..200).map(|n| format!("e{n}")).collect();
        ip(&all.iter().map(|name| link(name)).collect::<String>());
        let mut g = Graph::new("net");
        for (n, name) in all.iter().enumerate() {
            g.add(Net::new(name.clone()).addrs([format!("10.0.{n}.1/24"), format!("fd00:{n:x}::1/64")]));
        }
        let (begun, spent) = (Instant::now(), cpu());
        let engine = start(g, &dir).await;
        within(engine.converged()).await.unwrap();
        println!("200 interfaces configured after {:?}, {:?} of CPU", begun.elapsed(), cpu() - spent);
        assert_eq!(sockets(), 2, "one for requests, one for reports");
        // The kernel itself is not idle at once: it reports carriers and link-local addresses later.
        let mut idle = Duration::MAX;
        for _ in 0..10 {
            let spent = cpu();
            tokio::time::sleep(Duration::from_secs(3)).await;
            idle = cpu() - spent;
            if idle <= Duration::from_millis(30) {
                break;
            }
        }
        println!("idle for 3 s: {idle:?} of CPU");
        assert!(idle <= Duration::from_millis(30), "{idle:?}");
        // All of them at once.
        let (begun, spent) = (Instant::now(), cpu());
        ip(&(0..200).map(|n| format!("addr del 10.0.{n}.1/24 dev e{n}\n")).collect::<String>());
        let is_back = || show("-4 -o addr show").lines().filter(|line| line.contains("10.0.")).count() == 200;
        wait("all addresses are back", is_back);
        println!("200 addresses repaired after {:?}, {:?} of CPU", begun.elapsed(), cpu() - spent);
        engine.stop().await.unwrap();
    });
}
