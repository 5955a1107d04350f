//! Hosts that stand still, or are cut off, for so long that others forget them or that history is forgotten.

use std::time::Duration;

use crate::faults::cluster::Cluster;
use crate::faults::net::{inside, signal};

const SOON: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn a_host_stands_still_until_its_leases_have_ended() {
    if !inside("pauses::a_host_stands_still_until_its_leases_have_ended") {
        return;
    }
    let mut cluster = Cluster::of_members(3, &[]);
    cluster.export_ttl = 4;
    cluster.start_all();
    cluster.settled(SOON);
    signal("-STOP", cluster.host(2));
    cluster.change(1);
    // The others take back what it exported.
    cluster.have(&[1, 3], &[1, 3], SOON);
    cluster.until("it is not alive", SOON, || cluster.status().is_ok_and(|(alive, _)| alive == ["h1", "h3"]));
    cluster.change(2);
    signal("-CONT", cluster.host(2));
    cluster.settled(SOON);
    // A member that stands still is one that is away.
    let leader = cluster.leader().expect("a leader");
    signal("-STOP", cluster.member(leader));
    cluster.all().into_iter().for_each(|host| cluster.change(host));
    let all = cluster.all();
    cluster.have(&all, &all, SOON);
    signal("-CONT", cluster.member(leader));
    cluster.settled(SOON);
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn history_is_forgotten_while_a_host_is_cut_off() {
    if !inside("pauses::history_is_forgotten_while_a_host_is_cut_off") {
        return;
    }
    let mut cluster = Cluster::start(3, &[]);
    cluster.settled(SOON);
    let parted = cluster.all().into_iter().find(|host| cluster.leader() != Some(*host)).expect("a follower");
    let rest: Vec<usize> = cluster.all().into_iter().filter(|host| *host != parted).collect();
    cluster.net.part(&[parted]);
    for _ in 0..3 {
        cluster.change(rest[0]);
        cluster.change(rest[1]);
        cluster.have(&rest, &cluster.all(), SOON);
    }
    let revision = cluster.revision().expect("a revision").to_string();
    let compacted = cluster.etcdctl(&["compact", &revision, "--physical"]);
    assert!(compacted.status.success(), "{compacted:?}");
    cluster.change(parted);
    cluster.net.heal();
    cluster.settled(SOON);
    // The same for those that are not cut off, all the time.
    for _ in 0..10 {
        let revision = cluster.revision().expect("a revision").to_string();
        cluster.change(1);
        cluster.etcdctl(&["compact", &revision]);
    }
    cluster.settled(SOON);
}
