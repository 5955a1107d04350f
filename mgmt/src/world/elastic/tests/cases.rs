//! Single decisions.

use std::time::Duration;

use crate::world::elastic::decide::{CATCH_UP_MAX, FAILED_PAUSE, MISSING_MAX, Reason, START_MAX, Step, elastic};
use crate::world::elastic::snapshot::{Change, Memory, Server, Snapshot, Volunteer};

const NOW: Duration = Duration::from_secs(10_000);

fn peers(host: &str) -> Vec<String> {
    vec![format!("https://{host}:2380")]
}

fn host(n: u64) -> String {
    format!("web{n}")
}

/// Hosts 1 to `servers` run servers that answer, the others up to `hosts` volunteer; the first one decides.
fn cluster(servers: u64, hosts: u64, ideal: usize) -> Snapshot {
    let server =
        |n: u64| Server { id: n, host: Some(host(n)), peers: peers(&host(n)), is_learner: false, is_healthy: true };
    let volunteer = |n: u64| {
        let id = (n <= servers).then_some(n);
        (host(n), Volunteer { peers: peers(&host(n)), id, is_leaving: false })
    };
    Snapshot {
        me: host(1),
        is_elected: true,
        ideal,
        volunteers: (1..=hosts).map(volunteer).collect(),
        change: None,
        servers: (1..=servers).map(server).collect(),
        leader: Some(1),
        missing_max: MISSING_MAX,
        memory: Memory::default(),
    }
}

fn join(n: u64) -> Change {
    Change::Join { host: host(n), peers: peers(&host(n)) }
}

fn decide(snapshot: &Snapshot) -> Option<Step> {
    elastic(snapshot, NOW)
}

fn begins(snapshot: &Snapshot, change: Change) {
    assert_eq!(decide(snapshot), Some(Step::Begin(change)));
}

/// The change is under way for this long.
fn under_way(mut snapshot: Snapshot, change: Change, time: Duration) -> Snapshot {
    snapshot.change = Some(change.clone());
    snapshot.memory.change = Some((change, NOW - time));
    snapshot
}

fn dies(snapshot: &mut Snapshot, n: u64, ago: Duration) {
    snapshot.volunteers.remove(&host(n));
    snapshot.servers.iter_mut().filter(|server| server.id == n).for_each(|server| server.is_healthy = false);
    snapshot.memory.missing.insert(n, NOW - ago);
}

#[test]
fn a_host_that_is_not_elected_decides_nothing() {
    assert_eq!(decide(&Snapshot { is_elected: false, ..cluster(1, 5, 5) }), None);
}

#[test]
fn the_first_volunteer_by_name_is_nominated_until_there_are_enough() {
    begins(&cluster(1, 3, 3), join(2));
    begins(&cluster(2, 3, 3), join(3));
    assert_eq!(decide(&cluster(3, 5, 3)), None);
    assert_eq!(decide(&cluster(3, 3, 5)), None);
}

#[test]
fn a_nominated_host_is_added_without_a_vote_and_promoted_when_its_server_runs() {
    let mut seen = under_way(cluster(1, 3, 3), join(2), Duration::ZERO);
    assert_eq!(decide(&seen), Some(Step::Add { peers: peers("web2") }));
    seen.servers.push(Server { id: 7, peers: peers("web2"), is_learner: true, ..Server::default() });
    assert_eq!(decide(&seen), Some(Step::Wait(Reason::Joining { host: host(2) })));
    // It runs, and has not published which member it is.
    (seen.servers[1].host, seen.servers[1].is_healthy) = (Some(host(2)), true);
    assert_eq!(decide(&seen), Some(Step::Wait(Reason::Joining { host: host(2) })));
    seen.volunteers.get_mut("web2").unwrap().id = Some(7);
    assert_eq!(decide(&seen), Some(Step::Promote { id: 7 }));
    seen.servers[1].is_learner = false;
    assert_eq!(decide(&seen), Some(Step::End));
}

#[test]
fn a_nomination_has_a_time_limit_and_the_next_host_is_nominated_after_it() {
    let mut seen = under_way(cluster(1, 3, 3), join(2), START_MAX + Duration::from_secs(1));
    assert_eq!(decide(&seen), Some(Step::End));
    seen.servers.push(Server { id: 7, peers: peers("web2"), is_learner: true, ..Server::default() });
    begins(&seen, Change::Leave { id: 7 });
    // One that has started receives the data, which may take longer.
    let mut slow = seen.clone();
    (slow.servers[1].host, slow.volunteers.get_mut("web2").unwrap().id) = (Some(host(2)), Some(7));
    assert!(matches!(decide(&slow), Some(Step::Wait(Reason::Joining { .. }))));
    slow.memory.change = Some((join(2), NOW - CATCH_UP_MAX - Duration::from_secs(1)));
    begins(&slow, Change::Leave { id: 7 });
    // It has failed, and waits.
    let mut after = cluster(1, 3, 3);
    let mut memory = seen.memory.clone();
    memory.observe(&after, NOW);
    after.memory = memory;
    begins(&after, join(3));
    assert_eq!(elastic(&after, NOW + FAILED_PAUSE), Some(Step::Begin(join(2))));
}

#[test]
fn a_nominated_host_that_dies_leaves_no_member() {
    let mut seen = under_way(cluster(1, 3, 3), join(2), Duration::ZERO);
    seen.volunteers.remove("web2");
    assert_eq!(decide(&seen), Some(Step::End));
    seen.servers.push(Server { id: 7, peers: peers("web2"), is_learner: true, ..Server::default() });
    begins(&seen, Change::Leave { id: 7 });
    // Also if the record is gone, or the request to add it came late.
    begins(&Snapshot { change: None, ..seen }, Change::Leave { id: 7 });
}

#[test]
fn a_host_has_the_time_of_a_restart_before_it_is_replaced() {
    let mut seen = cluster(3, 4, 3);
    dies(&mut seen, 3, MISSING_MAX);
    assert_eq!(decide(&seen), None);
    dies(&mut seen, 3, MISSING_MAX + Duration::from_secs(1));
    begins(&seen, Change::Leave { id: 3 });
    // Or the time that was set.
    assert_eq!(decide(&Snapshot { missing_max: MISSING_MAX * 2, ..seen.clone() }), None);
    begins(&Snapshot { missing_max: MISSING_MAX / 2, ..seen.clone() }, Change::Leave { id: 3 });
    let mut seen = under_way(seen, Change::Leave { id: 3 }, Duration::ZERO);
    assert_eq!(decide(&seen), Some(Step::Remove { id: 3 }));
    seen.servers.pop();
    assert_eq!(decide(&seen), Some(Step::End));
    begins(&Snapshot { change: None, ..seen }, join(4));
}

#[test]
fn a_host_that_has_lost_its_data_is_replaced_at_once_and_may_be_the_replacement() {
    let mut seen = cluster(3, 3, 3);
    seen.volunteers.get_mut("web3").unwrap().id = None;
    seen.servers[2].is_healthy = false;
    seen.memory.missing.insert(3, NOW);
    begins(&seen, Change::Leave { id: 3 });
    seen.servers.pop();
    begins(&seen, join(3));
}

#[test]
fn no_step_loses_the_quorum() {
    // Two of four answer: nothing at all.
    let mut seen = cluster(4, 4, 2);
    seen.servers[2].is_healthy = false;
    seen.servers[3].is_healthy = false;
    assert_eq!(decide(&seen), Some(Step::Wait(Reason::NoQuorum { healthy: 2, voters: 4 })));
    // Two of three answer, and one of them wants to leave.
    let mut seen = cluster(3, 3, 3);
    seen.servers[2].is_healthy = false;
    seen.volunteers.get_mut("web2").unwrap().is_leaving = true;
    let refused = Reason::WouldLoseQuorum { id: 2, host: Some(host(2)), healthy: 1, voters: 2 };
    assert_eq!(decide(&seen), Some(Step::Wait(refused.clone())));
    assert!(refused.to_string().starts_with("server web2 stays: without it, 1 of 2 servers would answer"));
    let seen = under_way(seen, Change::Leave { id: 2 }, Duration::ZERO);
    assert_eq!(decide(&seen), Some(Step::Wait(refused)));
    // When the dead one can leave, it leaves first.
    let mut seen = seen;
    dies(&mut seen, 3, MISSING_MAX * 2);
    begins(&seen, Change::Leave { id: 3 });
}

#[test]
fn no_server_joins_while_another_one_does_not_answer() {
    let mut seen = cluster(3, 4, 5);
    seen.servers[1].is_healthy = false;
    assert_eq!(decide(&seen), Some(Step::Wait(Reason::Unhealthy { id: 2, host: Some(host(2)) })));
}

#[test]
fn another_server_joins_before_one_leaves_and_leads_before_it_goes() {
    let mut seen = Snapshot { me: host(2), ..cluster(3, 4, 3) };
    seen.volunteers.get_mut("web1").unwrap().is_leaving = true;
    begins(&seen, join(4));
    let mut seen = Snapshot { me: host(2), ..cluster(4, 4, 3) };
    seen.volunteers.get_mut("web1").unwrap().is_leaving = true;
    begins(&seen, Change::Leave { id: 1 });
    let mut seen = under_way(seen, Change::Leave { id: 1 }, Duration::ZERO);
    assert_eq!(decide(&seen), Some(Step::Lead { id: 2 }));
    seen.leader = Some(2);
    assert_eq!(decide(&seen), Some(Step::Remove { id: 1 }));
}

#[test]
fn one_that_leaves_lets_another_one_decide_and_the_last_one_just_stops() {
    let mut seen = cluster(2, 2, 3);
    seen.volunteers.get_mut("web1").unwrap().is_leaving = true;
    assert_eq!(decide(&seen), Some(Step::Resign));
    assert!(!seen.may_decide("web1") && seen.may_decide("web2"));
    // Both leave: one removes the other, and is the last one.
    seen.volunteers.get_mut("web2").unwrap().is_leaving = true;
    assert!(seen.may_decide("web1") && seen.may_decide("web2"));
    begins(&seen, Change::Leave { id: 2 });
    let mut last = cluster(1, 1, 3);
    last.volunteers.get_mut("web1").unwrap().is_leaving = true;
    assert_eq!(decide(&last), None);
}

#[test]
fn a_cluster_that_is_too_large_shrinks_by_the_last_by_name_but_not_by_the_one_that_decides_or_leads() {
    begins(&cluster(5, 5, 3), Change::Leave { id: 5 });
    begins(&Snapshot { me: host(5), ..cluster(5, 5, 3) }, Change::Leave { id: 4 });
    begins(&Snapshot { leader: Some(5), ..cluster(5, 5, 3) }, Change::Leave { id: 4 });
    let mut seen = cluster(5, 5, 3);
    seen.servers[1].is_healthy = false;
    begins(&seen, Change::Leave { id: 2 });
}

#[test]
fn others_learn_the_new_addresses_of_a_server_before_another_one_leaves() {
    let moves = |n: u64, to: &str| Change::Move { id: n, peers: peers(to) };
    let mut seen = cluster(3, 3, 3);
    seen.volunteers.get_mut("web2").unwrap().peers = peers("other");
    begins(&seen, moves(2, "other"));
    let update = Step::Update { id: 2, peers: peers("other") };
    assert_eq!(decide(&under_way(seen.clone(), moves(2, "other"), Duration::ZERO)), Some(update.clone()));
    // It is there, has moved once more, or is gone: the change has ended.
    let mut there = under_way(seen.clone(), moves(2, "other"), Duration::ZERO);
    there.servers[1].peers = peers("other");
    assert_eq!(decide(&there), Some(Step::End));
    assert_eq!(decide(&under_way(seen.clone(), moves(2, "third"), Duration::ZERO)), Some(Step::End));
    assert_eq!(decide(&under_way(seen.clone(), moves(9, "other"), Duration::ZERO)), Some(Step::End));
    // Addresses of another member are not taken, and the order of several does not matter.
    let mut taken = seen.clone();
    taken.volunteers.get_mut("web2").unwrap().peers = peers("web3");
    assert_eq!(decide(&taken), None);
    assert_eq!(decide(&under_way(taken, moves(2, "web3"), Duration::ZERO)), Some(Step::End));
    let mut several = cluster(3, 3, 3);
    several.servers[1].peers = [peers("a"), peers("b")].concat();
    several.volunteers.get_mut("web2").unwrap().peers = [peers("b"), peers("a")].concat();
    assert_eq!(decide(&several), None);
    // If etcd refuses for long, other changes have their turn, and it is tried again later.
    let late = under_way(seen.clone(), moves(2, "other"), START_MAX + Duration::from_secs(1));
    assert_eq!(decide(&late), Some(Step::End));
    let mut after = seen.clone();
    after.memory = late.memory.clone();
    let mut memory = after.memory.clone();
    memory.observe(&after, NOW);
    after.memory = memory;
    assert_eq!(decide(&after), None);
    assert_eq!(elastic(&after, NOW + FAILED_PAUSE), Some(Step::Begin(moves(2, "other"))));
    // Two that have moved find one another by the third one, which therefore stays until one of them is known.
    seen.volunteers.get_mut("web3").unwrap().peers = peers("fourth");
    let leaves = under_way(seen.clone(), Change::Leave { id: 1 }, Duration::ZERO);
    begins(&leaves, moves(2, "other"));
    seen.servers[1].peers = peers("other");
    assert_eq!(
        decide(&under_way(seen, Change::Leave { id: 1 }, Duration::ZERO)),
        Some(Step::Lead { id: 2 }),
        "one is enough"
    );
}
