//! Hosts that run their servers themselves, with an authority of their own: a server dies for good, is cut off, leaves
//! or has no space, and hosts are cut off for so long that their certificates end, or that they are forgotten.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use crate::faults::cluster::Cluster;
use crate::faults::joined::CLIENT;
use crate::faults::net::{address, inside};

const SOON: Duration = Duration::from_secs(30);
/// How long a change of the servers may take, and what follows from it.
const CHANGED: Duration = Duration::from_secs(90);

fn hosts(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| format!("h{number}")).collect()
}

impl Cluster {
    fn until_members(&self, members: &[usize]) {
        let what = format!("{members:?} are the members instead of {:?}", self.members());
        self.until(&what, CHANGED, || self.members() == hosts(members));
        // A host that runs no server looks at them three times in a minute.
        let know =
            || self.all().into_iter().filter(|host| self.runs(*host)).all(|host| self.known(host) == members.len());
        self.until("all hosts know the servers", CHANGED, know);
    }

    /// All hosts but these.
    fn without(&self, hosts: &[usize]) -> Vec<usize> {
        self.all().into_iter().filter(|host| !hosts.contains(host)).collect()
    }
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn a_server_leaves_and_another_one_dies_for_good_and_others_take_their_places() {
    if !inside("elastic::a_server_leaves_and_another_one_dies_for_good_and_others_take_their_places") {
        return;
    }
    let mut cluster = Cluster::join(&[], &["--leave", "--missing-max", "5"]);
    cluster.until_members(&[1, 2, 3]);
    cluster.settled(CHANGED);
    // The host that is ready takes the place first.
    cluster.stop_host(2);
    assert!(!cluster.has_data(2));
    cluster.until_members(&[1, 3, 4]);
    cluster.change(5);
    cluster.settled(SOON);
    // It comes back with what it was given when it joined, and is ready.
    cluster.start_host(2);
    cluster.change(2);
    cluster.settled(SOON);
    cluster.kill_host(3);
    cluster.until("its etcd is gone too", SOON, || TcpStream::connect((address(3), 2379)).is_err());
    cluster.change(2);
    cluster.change(CLIENT);
    let (living, all) = (cluster.without(&[3]), cluster.all());
    // What the dead one exported stays.
    cluster.have(&living, &all, SOON);
    cluster.until_members(&[1, 2, 4]);
    cluster.settled(SOON);
    cluster.forget(3);
    cluster.change(4);
    cluster.settled(SOON);
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn servers_that_hosts_run_are_cut_off_and_die_and_what_was_owed_is_done() {
    if !inside("elastic::servers_that_hosts_run_are_cut_off_and_die_and_what_was_owed_is_done") {
        return;
    }
    let mut cluster = Cluster::join(&[], &[]);
    cluster.until_members(&[1, 2, 3]);
    cluster.settled(CHANGED);
    // The host of the leader is cut off; it does what it owed while it is.
    let leader = cluster.leader().expect("a leader");
    let debt = cluster.owe(leader, CLIENT);
    cluster.net.part(&[leader]);
    cluster.permit(&debt);
    cluster.is_paid(&debt);
    let rest = cluster.without(&[leader]);
    cluster.change(rest[0]);
    cluster.change(leader);
    cluster.have_from(&rest, &rest, SOON);
    cluster.net.heal();
    cluster.settled(CHANGED);
    // A minority of the servers, with a host that runs none.
    let parted = [2, CLIENT];
    cluster.net.part(&parted);
    cluster.change(1);
    cluster.change(2);
    cluster.have_from(&cluster.without(&parted), &cluster.without(&parted), SOON);
    cluster.have_from(&[2], &[2], SOON);
    cluster.net.heal();
    cluster.settled(CHANGED);
    // A majority of them: one server is left, and the hosts that run none.
    let parted = [2, 3];
    cluster.net.part(&parted);
    cluster.change(2);
    cluster.change(4);
    cluster.have_from(&parted, &parted, SOON);
    cluster.have_from(&[4], &[4], SOON);
    cluster.net.heal();
    cluster.settled(CHANGED);
    // The host with the authority dies, and owes something when it comes back.
    let debt = cluster.owe(1, 4);
    cluster.kill_host(1);
    cluster.permit(&debt);
    cluster.change(2);
    cluster.start_host(1);
    cluster.is_paid(&debt);
    cluster.settled(CHANGED);
    // No server was replaced: each one was back in time.
    cluster.until_members(&[1, 2, 3]);
    for host in cluster.all() {
        let reported = cluster.reported(host);
        assert!(!reported.contains("another engine has the name"), "{reported}");
    }
}

/// When the certificates of a host end.
fn expires(cluster: &Cluster, host: usize) -> Duration {
    let text = fs::read(cluster.path(&format!("h{host}.prefix/trust/identity/identity.json"))).unwrap();
    let kept: Json = serde_json::from_slice(&text).unwrap();
    Duration::from_millis(kept["expires"].as_u64().expect("milliseconds"))
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn certificates_end_while_hosts_are_cut_off_or_stopped_and_one_is_forgotten() {
    if !inside("elastic::certificates_end_while_hosts_are_cut_off_or_stopped_and_one_is_forgotten") {
        return;
    }
    let mut cluster = Cluster::join(&["--certificate-life", "16"], &[]);
    cluster.settled(CHANGED);
    // A server, one that is ready, and one that runs none. The authority stays, and most of the servers.
    let parted = [2, 4, CLIENT];
    cluster.net.part(&parted);
    cluster.change(1);
    cluster.change(4);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    cluster.until("their certificates end", SOON, || parted.iter().all(|host| expires(&cluster, *host) < now()));
    cluster.until("the authority has renewed its own", SOON, || expires(&cluster, 1) > now());
    cluster.net.heal();
    cluster.until("they are renewed", CHANGED, || parted.iter().all(|host| expires(&cluster, *host) > now()));
    // The certificate of the test has ended, too.
    cluster.observe();
    cluster.settled(CHANGED);
    // All hosts stop for so long: no server can look at the users until most of them have new certificates.
    cluster.all().into_iter().for_each(|host| cluster.kill_host(host));
    cluster.all().into_iter().for_each(|host| cluster.change(host));
    let all_end = || cluster.all().into_iter().all(|host| expires(&cluster, host) < now());
    cluster.until("all certificates end", SOON, all_end);
    cluster.all().into_iter().rev().for_each(|host| cluster.start_host(host));
    cluster
        .until("they are renewed", CHANGED, || cluster.all().into_iter().all(|host| expires(&cluster, host) > now()));
    assert!(cluster.reported(1).contains("as a server that is remembered"), "{}", cluster.reported(1));
    cluster.observe();
    cluster.settled(CHANGED);
    cluster.net.part(&[CLIENT]);
    cluster.change(CLIENT);
    cluster.forget(CLIENT);
    cluster.observe();
    cluster.settled(CHANGED);
    cluster.net.heal();
    cluster.until("it is refused", CHANGED, || cluster.reported(CLIENT).contains("was forgotten"));
    cluster.change(2);
    cluster.change(CLIENT);
    cluster.observe();
    cluster.settled(CHANGED);
    cluster.until("they are not renewed", SOON, || expires(&cluster, CLIENT) < now());
}

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn a_server_of_a_cluster_with_an_authority_makes_space() {
    if !inside("elastic::a_server_of_a_cluster_with_an_authority_makes_space") {
        return;
    }
    let mut cluster = Cluster::join(&[], &["--server-space", "5000000"]);
    cluster.settled(CHANGED);
    let large = cluster.path("large");
    fs::write(&large, "x".repeat(1 << 20)).unwrap();
    let is_full = (0..20).any(|_| {
        let put = cluster.etcdctl_reading(&["put", "/other"], &large);
        String::from_utf8_lossy(&put.stderr).contains("space exceeded")
    });
    assert!(is_full, "there is space for everything");
    cluster.change(1);
    cluster.change(CLIENT);
    cluster.settled(CHANGED);
    let reports = "has no space left: its history is forgotten";
    assert!((1..CLIENT).any(|host| cluster.reported(host).contains(reports)), "{}", cluster.reported(1));
    let alarms = cluster.etcdctl(&["alarm", "list"]);
    assert!(alarms.status.success() && alarms.stdout.is_empty(), "{alarms:?}");
}
