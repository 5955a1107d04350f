//! Hosts in network namespaces, joined by a bridge. All of it is in namespaces of the test, which runs itself once more
//! there; with the last process of the test it is gone, however that ends.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::again::again;
use crate::running::Running;

/// Carries packets with a delay.
const DELAY: &str = include_str!("delay.py");
/// No device has this address: what is sent to it is lost.
const NO_DEVICE: &str = "02:00:00:00:00:ff";

/// Runs the test with this name in namespaces, in which it is root. Returns `true` inside.
pub(super) fn inside(name: &str) -> bool {
    // Two at a time: each of them is several hosts, which wait for most of the time.
    static TURNS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let turn = &TURNS[NEXT.fetch_add(1, Ordering::Relaxed) % TURNS.len()];
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    again(&format!("faults::{name}"), |unshare| {
        let spaces =
            ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        unshare.args(spaces);
    })
}

/// Runs a command of the network, which must succeed.
fn run(command: &mut Command) {
    let output = command.output().expect("a program of iproute2, util-linux or Python");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn here(line: &str) {
    let mut words = line.split(' ');
    run(Command::new(words.next().unwrap_or_default()).args(words));
}

/// A network of hosts 1, 2, 3 …, each with one address. The test itself is at the bridge `whole`.
pub(super) struct Net {
    pub(super) hosts: usize,
    /// Those that are cut off.
    parted: RefCell<BTreeSet<usize>>,
}

/// The address of a host.
pub(super) fn address(host: usize) -> String {
    format!("10.77.0.{}", 10 + host)
}

/// The address of the test.
pub(super) const TEST: &str = "10.77.0.1";

/// A program in the namespace of a host.
pub(super) fn on(host: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/h{host}")).arg(program);
    command
}

impl Net {
    pub(super) fn new(hosts: usize) -> Net {
        here("mount -t tmpfs tmpfs /run");
        here("ip link set lo up");
        for bridge in ["whole", "part"] {
            here(&format!("ip link add {bridge} type bridge"));
            here(&format!("ip link set {bridge} up"));
        }
        here(&format!("ip addr add {TEST}/24 dev whole"));
        send_whole(Command::new("python3"), "whole");
        for host in 1..=hosts {
            here(&format!("ip netns add h{host}"));
            here(&format!("ip link add v{host} type veth peer name eth0 netns h{host}"));
            here(&format!("ip link set v{host} master whole up"));
            for line in ["link set lo up", &format!("addr add {}/24 dev eth0", address(host)), "link set eth0 up"] {
                run(on(host, "ip").args(line.split(' ')));
            }
            send_whole(on(host, "python3"), "eth0");
        }
        Net { hosts, parted: RefCell::default() }
    }

    /// These hosts reach one another, and no others.
    pub(super) fn part(&self, hosts: &[usize]) {
        hosts.iter().for_each(|host| here(&format!("ip link set v{host} master part")));
        self.parted.borrow_mut().extend(hosts);
    }

    /// All hosts reach one another again.
    pub(super) fn heal(&self) {
        (1..=self.hosts).for_each(|host| here(&format!("ip link set v{host} master whole")));
        self.parted.borrow_mut().clear();
    }

    /// Whether this host does not reach the test.
    pub(super) fn is_parted(&self, host: usize) -> bool {
        self.parted.borrow().contains(&host)
    }

    /// Nothing can be written to this directory any more, not even by root; or it can again.
    pub(super) fn protect(&self, dir: &Path, is_protected: bool) {
        match is_protected {
            true => {
                run(Command::new("mount").arg("--bind").arg(dir).arg(dir));
                run(Command::new("mount").args(["-o", "remount,ro,bind"]).arg(dir));
            }
            // It may be in use at this moment.
            false => run(Command::new("umount").arg("--lazy").arg(dir)),
        }
    }

    /// What the first host sends to the second one is lost, and not the other way round.
    pub(super) fn lose(&self, from: usize, to: usize) {
        let to = address(to);
        run(on(from, "ip").args(["neigh", "replace", &to, "lladdr", NO_DEVICE, "dev", "eth0", "nud", "permanent"]));
    }

    /// What the first host sends to the second one arrives again.
    pub(super) fn find(&self, from: usize, to: usize) {
        run(on(from, "ip").args(["neigh", "del", &address(to), "dev", "eth0"]));
    }

    /// From now on each packet between two hosts comes later by this time, until all that is returned is dropped.
    pub(super) fn delay(&self, milliseconds: u32) -> Vec<Running> {
        let carried = |host: usize| {
            here(&format!("ip link add w{host} type veth peer name b{host}"));
            for line in [format!("w{host} up"), format!("b{host} master whole up"), format!("v{host} nomaster")] {
                here(&format!("ip link set {line}"));
            }
            // One way from host to host leads over two such devices.
            let (pause, ends) = ((milliseconds / 2).to_string(), [format!("v{host}"), format!("w{host}")]);
            let mut command = Command::new("python3");
            command.args(["-c", DELAY, &pause]).args(ends).stdout(Stdio::piped());
            let mut process = Running(command.spawn().expect("python3"));
            let out = process.0.stdout.take().expect("a pipe");
            let line = BufReader::new(out).lines().next().and_then(Result::ok);
            assert_eq!(line.as_deref(), Some("ready"));
            process
        };
        (1..=self.hosts).map(carried).collect()
    }
}

/// A device sends packets as they are on the wire, so that they can be carried on.
fn send_whole(mut python: Command, device: &str) {
    run(python.args(["-c", DELAY, "whole", device]));
}

/// Sends a signal to a process of this test.
pub(super) fn signal(signal: &str, process: &Running) {
    run(Command::new("kill").args([signal, &process.0.id().to_string()]));
}
