//! An etcd whose space is used up: it raises an alarm and accepts no writes until that is disarmed.

use std::fs;
use std::time::Duration;

use crate::faults::cluster::{AWAY, Cluster};
use crate::faults::net::inside;

const SOON: Duration = Duration::from_secs(20);
const FULL: &str = "the world has no space left, and accepts no writes";

#[test]
#[ignore = "needs the program etcd, and namespaces"]
fn space_is_used_up_and_made_again_by_an_operator() {
    if !inside("space::space_is_used_up_and_made_again_by_an_operator") {
        return;
    }
    let mut cluster = Cluster::start(3, &["--quota-backend-bytes", "3000000"]);
    cluster.settled(SOON);
    let large = cluster.path("large");
    fs::write(&large, "x".repeat(1 << 20)).unwrap();
    for _ in 0..8 {
        let put = cluster.etcdctl_reading(&["put", "/other"], &large);
        if !put.status.success() {
            break;
        }
    }
    let alarms = || String::from_utf8_lossy(&cluster.etcdctl(&["alarm", "list"]).stdout).into_owned();
    assert!(alarms().contains("NOSPACE"), "{}", alarms());
    cluster.change(1);
    cluster.change(3);
    cluster.until("both report it", SOON, || [1, 3].iter().all(|host| cluster.reported(*host).contains(FULL)));
    std::thread::sleep(Duration::from_secs(2));
    // What is known stays, and each one follows its own graph.
    cluster.have_from(&[1], &[1, 2], SOON);
    for host in cluster.all() {
        let is_once = cluster.reports(host, FULL) <= 1 && cluster.reports(host, "the world: ") == 0;
        assert!(is_once && cluster.reports(host, AWAY) == 0, "{}", cluster.reported(host));
    }
    let revision = cluster.revision().expect("a revision").to_string();
    for arguments in [&["compact", &revision, "--physical"][..], &["defrag"], &["alarm", "disarm"]] {
        let done = cluster.etcdctl(arguments);
        assert!(done.status.success(), "{done:?}");
    }
    cluster.settled(SOON);
    assert!(cluster.reported(1).contains("the world accepts writes again"), "{}", cluster.reported(1));
}
