//! Members of etcd that die.

use std::time::Duration;

use crate::faults::cluster::{AWAY, Cluster};
use crate::faults::net::inside;

const SOON: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn each_member_dies_in_turn_and_so_does_the_leader() {
    if !inside("deaths::each_member_dies_in_turn_and_so_does_the_leader") {
        return;
    }
    let mut cluster = Cluster::start(3, &[]);
    cluster.settled(SOON);
    for host in 1..=3 {
        cluster.kill_member(host);
        // Also on the host whose own member is dead.
        cluster.change(host);
        cluster.change(host % 3 + 1);
        cluster.settled(SOON);
        cluster.start_member(host);
        cluster.change(host);
    }
    cluster.settled(SOON);
    let leader = cluster.leader().expect("a leader");
    cluster.kill_member(leader);
    cluster.all().into_iter().for_each(|host| cluster.change(host));
    cluster.settled(SOON);
    cluster.start_member(leader);
    cluster.change(leader);
    cluster.settled(SOON);
    // Another member has answered each time: the world was never away. (A resource that wrote at that moment waits.)
    for host in cluster.all() {
        let reports = cluster.reports(host, AWAY) + cluster.reports(host, "the world: ");
        assert_eq!(reports, 0, "{}", cluster.reported(host));
    }
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn all_stop_and_start_in_another_order() {
    if !inside("deaths::all_stop_and_start_in_another_order") {
        return;
    }
    // The hosts come first: etcd is away when they start.
    let mut cluster = Cluster::of_members(3, &[]);
    cluster.all().into_iter().for_each(|host| cluster.start_host(host));
    std::thread::sleep(Duration::from_secs(6));
    // Each one has its own files by then, and the others not yet.
    for host in cluster.all() {
        cluster.have(&[host], &[host], Duration::from_secs(10));
    }
    cluster.start_members();
    cluster.observe();
    cluster.settled(SOON);
    // All die, and come back: a host before its member, a member before its host.
    for host in cluster.all() {
        cluster.kill_member(host);
        cluster.kill_host(host);
        cluster.change(host);
    }
    cluster.start_host(3);
    cluster.start_member(2);
    cluster.start_host(1);
    cluster.start_member(3);
    cluster.start_host(2);
    cluster.change(2);
    cluster.settled(SOON);
    cluster.start_member(1);
    cluster.settled(SOON);
    // All members die at once, and their hosts do not.
    let reports = |cluster: &Cluster, host| cluster.reports(host, AWAY) + cluster.reports(host, "the world: ");
    let before: Vec<usize> = cluster.all().into_iter().map(|host| reports(&cluster, host)).collect();
    cluster.all().into_iter().for_each(|host| cluster.kill_member(host));
    cluster.change(1);
    cluster.until("each host reports it", SOON, || {
        cluster.all().into_iter().all(|host| reports(&cluster, host) > before[host - 1])
    });
    std::thread::sleep(Duration::from_secs(4));
    cluster.have(&[1], &[1, 2, 3], Duration::ZERO);
    cluster.all().into_iter().for_each(|host| cluster.start_member(host));
    cluster.settled(Duration::from_secs(30));
    for host in cluster.all() {
        assert_eq!(reports(&cluster, host), before[host - 1] + 1, "{}", cluster.reported(host));
    }
}
