//! Networks that are cut, that lose packets in one direction, and that are slow.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::faults::cluster::Cluster;
use crate::faults::net::{address, inside};

const SOON: Duration = Duration::from_secs(20);
const BACK: Duration = Duration::from_secs(30);

/// All numbers up to 5 but these.
fn others(parted: &[usize]) -> Vec<usize> {
    (1..=5).filter(|host| !parted.contains(host)).collect()
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn a_minority_of_five_is_cut_off_with_the_leader_and_then_a_majority_is() {
    if !inside("partitions::a_minority_of_five_is_cut_off_with_the_leader_and_then_a_majority_is") {
        return;
    }
    let mut cluster = Cluster::start(5, &[]);
    cluster.settled(BACK);
    let leader = cluster.leader().expect("a leader");
    // The test is on the side of the larger part.
    let parted = [leader, leader % 5 + 1];
    cluster.net.part(&parted);
    let rest = others(&parted);
    let known: Vec<_> = parted.iter().map(|host| cluster.exports(*host)).collect();
    cluster.change(rest[0]);
    cluster.change(rest[1]);
    // Those that are left go on, and have what the others exported before.
    cluster.have(&rest, &cluster.all(), SOON);
    // A host that is cut off keeps what it knows, repairs it, and follows its own graph.
    let spoiled = cluster.path(&format!("h{}.files/h{}-a", parted[0], parted[1]));
    fs::remove_file(&spoiled).unwrap();
    cluster.change(parted[0]);
    let (name, content) = cluster.exports(parted[0])[0].clone();
    let own = cluster.path(&format!("h{}.files/{name}", parted[0]));
    cluster.until("it is as it was", SOON, || {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        read(&spoiled) == known[1][0].1 && read(&own) == content
    });
    cluster.net.heal();
    cluster.settled(BACK);
    // Three of five: the two that are left, and the test, have no etcd.
    let parted = others(&[1, 2])[..3].to_vec();
    cluster.net.part(&parted);
    cluster.change(parted[0]);
    cluster.change(1);
    cluster.have_from(&parted, &parted, SOON);
    cluster.net.heal();
    cluster.settled(BACK);
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn packets_are_lost_in_one_direction_and_packets_are_late() {
    if !inside("partitions::packets_are_lost_in_one_direction_and_packets_are_late") {
        return;
    }
    let mut cluster = Cluster::of_members(3, &[]);
    // A renewal takes several ways there and back.
    cluster.alive_ttl = 15;
    cluster.start_all();
    cluster.settled(SOON);
    // What the leader sends to the others is lost, and what they send to it arrives.
    let leader = cluster.leader().expect("a leader");
    let rest: Vec<usize> = cluster.all().into_iter().filter(|host| *host != leader).collect();
    rest.iter().for_each(|host| cluster.net.lose(leader, *host));
    cluster.change(rest[0]);
    cluster.change(rest[1]);
    cluster.have(&rest, &cluster.all(), BACK);
    cluster.until("another one leads", SOON, || cluster.leader().is_some_and(|now| now != leader));
    cluster.change(leader);
    rest.iter().for_each(|host| cluster.net.find(leader, *host));
    cluster.settled(BACK);
    // The other way round: what the others send to a host is lost.
    rest.iter().for_each(|host| cluster.net.lose(*host, leader));
    cluster.change(rest[0]);
    cluster.have(&rest, &cluster.all(), BACK);
    cluster.change(leader);
    rest.iter().for_each(|host| cluster.net.find(*host, leader));
    cluster.settled(BACK);
    let slow = cluster.net.delay(200);
    let began = Instant::now();
    TcpStream::connect((address(1), 2379)).unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "there and back, each half of the way: {:?}",
        began.elapsed()
    );
    cluster.all().into_iter().for_each(|host| cluster.change(host));
    cluster.settled(BACK);
    cluster.change(2);
    cluster.settled(BACK);
    drop(slow);
}
