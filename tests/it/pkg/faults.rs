//! What can go wrong while packages are changed.

use std::fs;

use super::repository::{Deb, Machine};
use super::{OURS, SLOW};

fn slow() -> Machine {
    let machine = Machine::with(&[SLOW, Deb("mgt-a", "1", "")]);
    fs::write(machine.path("/srv/wait"), "").unwrap();
    machine.out("apt-get update");
    machine
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn it_waits_for_whoever_changes_packages_and_names_it() {
    let machine = slow();
    let other = machine.shell("exec apt-get --yes install mgt-slow").start();
    machine.wait("the other transaction", || machine.path("/srv/begun").exists());
    machine.graph(&format!("  - {{name: mgt-a, {OURS}}}\n"));
    let mut running = machine.command().start();
    running.says("(apt-get) is changing packages");
    assert_eq!(machine.version("mgt-a"), "");
    fs::remove_file(machine.path("/srv/wait")).unwrap();
    running.says("converged in");
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-slow")), ("1".into(), "1".into()));
    other.wait().code(0);
    machine.out("pkill -INT --exact mgmt");
    running.wait().code(0);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_transaction_outlives_the_engine_and_is_not_repeated() {
    let machine = slow();
    machine.graph(&format!("  - {{name: mgt-slow, {OURS}}}\n"));
    let first = machine.command().start();
    machine.wait("the transaction", || machine.path("/srv/begun").exists());
    machine.out("pkill -KILL --exact mgmt");
    first.kill_9();
    assert_eq!(machine.status("mgt-slow"), "iF 1");

    let mut second = machine.command().start();
    second.says("is changing packages");
    fs::remove_file(machine.path("/srv/wait")).unwrap();
    second.says("converged in");
    assert_eq!(machine.version("mgt-slow"), "1");
    let all = machine.transactions();
    assert_eq!(all.len(), 1, "{all:?}");
    machine.out("pkill -INT --exact mgmt");
    second.wait().code(0);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn an_interrupted_dpkg_is_told_and_ended_if_that_is_declared() {
    let machine = slow();
    let other = machine.shell("exec apt-get --yes install mgt-slow").start();
    machine.wait("the other transaction", || machine.path("/srv/begun").exists());
    machine.out("pkill -KILL --exact 'apt-get|dpkg|mgt-slow.postin'");
    drop(other.wait());
    assert_eq!(machine.status("mgt-slow"), "iF 1");
    fs::remove_file(machine.path("/srv/wait")).unwrap();

    machine.graph(&format!("  - {{name: mgt-a, {OURS}}}\n"));
    let mut running = machine.command().start();
    running.says("dpkg was interrupted: run `dpkg --configure -a`, or set `configure`");
    machine.graph(&format!("  - {{name: mgt-a, configure: true, {OURS}}}\n"));
    running.says("converged in");
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-slow")), ("1".into(), "1".into()));
    machine.out("pkill -INT --exact mgmt");
    running.wait().code(0);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_full_disk_and_a_repository_that_is_away_are_waited_for() {
    let machine = Machine::with(&[Deb("mgt-a", "1", "Depends: mgt-b\n"), Deb("mgt-b", "1", "")]);
    machine.out("mkdir /usr/share/mgt-b; mount -t tmpfs -o size=4k,nr_inodes=1 full /usr/share/mgt-b");
    machine.graph(&format!("  - {{name: mgt-a, {OURS}}}\n"));
    let mut running = machine.command().start();
    running.says("No space left on device");
    assert_eq!(machine.version("mgt-a"), "");
    machine.out("umount /usr/share/mgt-b");
    running.says("converged in");
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-b")), ("1".into(), "1".into()));
    machine.out("pkill -INT --exact mgmt");
    running.wait().code(0);

    machine.out("apt-get --yes remove mgt-a");
    machine.out(
        "mv /srv/repo/mgt-a_1.deb /srv/; sed -i s,file:/srv/repo,http://127.0.0.1:1, /etc/apt/sources.list.d/own.list",
    );
    machine.out("rm -rf /var/lib/apt/lists/*");
    machine.run().code(1).said("a repository does not answer: ").said("http://127.0.0.1:1");
    machine.out(
        "mv /srv/mgt-a_1.deb /srv/repo/; sed -i s,http://127.0.0.1:1,file:/srv/repo, /etc/apt/sources.list.d/own.list",
    );
    machine.run().code(0);
    assert_eq!(machine.version("mgt-a"), "1");
}
