//! Exports and deploys of several hosts while members of etcd die and stand still: their history must be one that a
//! world without faults can have.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::gapi::{Deploys, Publish, builtin_kinds};
use mgmt::prelude::*;
use mgmt::resource::{Condition, Keys, Transaction, World, WorldError, Write};
use mgmt::world::Embedded;

use crate::files;
use crate::linear::checker::{What, check};
use crate::linear::recorder::{Answer, History, Question, Recorder};
use crate::linear::registers::registers;
use crate::linear::servers::Servers;
use crate::linear::views::problems;

/// The key that names the deploy in force.
const HEAD: &str = "/mgmt/deploys/head";
/// How long hosts and programs work, with faults.
const TIME: Duration = Duration::from_secs(14);

/// Fails if the history is not one of a world that does one thing after the other.
fn judge(history: &History, what: &str, fits: impl Fn(&str) -> bool) -> BTreeMap<String, usize> {
    let registers = registers(history, fits);
    let counts = registers.iter().map(|(key, ops)| (key.clone(), ops.len())).collect();
    for (key, ops) in registers {
        if let Err(why) = check(ops) {
            panic!("{what}: the history of {key} is not linearizable: {why}");
        }
    }
    assert_eq!(problems(history), Vec::<String>::new(), "{what}");
    counts
}

/// One fault after the other, always of a minority: a member dies and comes back, or stands still for a while.
async fn faults(mut servers: Servers) -> Servers {
    let began = Instant::now();
    for turn in 0.. {
        let member = turn % 3;
        tokio::time::sleep(Duration::from_millis(600)).await;
        if turn % 2 == 0 {
            servers.kill(member);
            tokio::time::sleep(Duration::from_millis(900)).await;
            servers.start_one(member);
        } else {
            servers.signal(member, "-STOP");
            tokio::time::sleep(Duration::from_millis(1200)).await;
            servers.signal(member, "-CONT");
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        if began.elapsed() > TIME {
            break;
        }
    }
    servers
}

/// What a host exports: two files with one content, and collects into its directory.
fn exporting(host: &str, content: u32, dir: &Path) -> GraphConfig {
    let mut g = Graph::new(host);
    for name in ["a", "b"] {
        g.export(File::new(format!("/x/{host}-{name}")).content(content.to_string()));
    }
    let into = format!("{}/", dir.display());
    g.collect::<File>().map(move |file| file.dirname(into.as_str()));
    g.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the program etcd"]
async fn what_hosts_export_and_collect_is_linearizable_while_members_die_and_stand_still() {
    let servers = Servers::start().await;
    let recorder = Recorder::new(servers.world(0));
    let hosts = ["web1", "web2", "web3"];
    let dirs = hosts.map(|_| tempfile::tempdir().unwrap());
    let mut engines = Vec::new();
    for (n, host) in hosts.into_iter().enumerate() {
        let (world, graph) = (recorder.with(servers.world(n)), exporting(host, 0, dirs[n].path()));
        engines.push(Engine::builder().world(world).hostname(host).graph(graph).start().await.unwrap());
    }
    let faults = tokio::spawn(faults(servers));
    let mut content = 0;
    while !faults.is_finished() {
        content += 1;
        for (n, host) in hosts.into_iter().enumerate() {
            engines[n].swap(exporting(host, content, dirs[n].path())).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let servers = faults.await.unwrap();
    let expected: Vec<(String, String)> =
        hosts.iter().flat_map(|host| ["a", "b"].map(|name| (format!("{host}-{name}"), content.to_string()))).collect();
    let began = Instant::now();
    for dir in &dirs {
        while files(dir.path()) != expected {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?} instead of {expected:?}", files(dir.path()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for engine in engines {
        engine.stop().await.unwrap();
    }
    drop(servers);
    let history = recorder.history();
    let counts = judge(&history, "exports", |key| key.starts_with("/mgmt/export"));
    let exporters = counts.iter().filter(|(key, _)| key.starts_with("/mgmt/exporters/"));
    assert!(exporters.clone().count() == 3 && exporters.clone().all(|(_, count)| *count > 50), "{counts:?}");
    assert!(history.watched.iter().any(|watched| watched.changes.len() > 10), "collectors have seen changes");
}

/// A deploy with this content.
fn deployed(content: &str, dir: &Path) -> GraphConfig {
    let mut g = Graph::new("site");
    g.add(File::new(dir.join("deployed").to_str().unwrap()).content(content));
    g.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the program etcd"]
async fn deploys_of_several_people_are_linearizable_while_members_die_and_stand_still() {
    let servers = Servers::start().await;
    let recorder = Recorder::new(servers.world(0));
    let (dir, prefix) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let deploys = |n: usize| Deploys::new(&recorder.with(servers.world(n)), &format!("desk{n}"));
    deploys(0).publish(&deployed("first", dir.path()), &builtin_kinds(), &Publish::new()).await.unwrap();
    let follower = Engine::builder().world(recorder.with(servers.world(1))).hostname("web1").prefix(prefix.path());
    let follower = follower.gapi(mgmt::gapi::deployed(builtin_kinds())).start().await.unwrap();
    let people: Vec<_> = (0..3)
        .map(|n| {
            let (deploys, path) = (deploys(n), dir.path().to_owned());
            tokio::spawn(async move {
                let began = Instant::now();
                let mut done = Vec::new();
                for number in 0.. {
                    let config = deployed(&format!("{n} {number}"), &path);
                    let deployed = deploys.publish(&config, &builtin_kinds(), &Publish::new()).await;
                    done.extend(deployed.ok().map(|deployed| deployed.id.to_string()));
                    tokio::time::sleep(Duration::from_millis(30 * (n as u64 + 1))).await;
                    if began.elapsed() > TIME {
                        break;
                    }
                }
                done
            })
        })
        .collect();
    let servers = faults(servers).await;
    let mut deployed = Vec::new();
    for one in people {
        let by_one = one.await.unwrap();
        assert!(by_one.len() > 3, "each one has deployed");
        deployed.extend(by_one);
    }
    // The follower ends with what is in force.
    let member = World::member(&servers.world(2), "test");
    let began = Instant::now();
    let in_force = loop {
        if let Ok(found) = member.get(vec![Keys::One(HEAD.to_owned())]).await {
            break String::from_utf8_lossy(&found.entries[HEAD].value).into_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(30));
    };
    while !follower_has(&recorder, &in_force).await {
        assert!(began.elapsed() < Duration::from_secs(30), "the follower does not have {in_force}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    follower.stop().await.unwrap();
    drop(servers);
    // What is below `pending` also ends with its lease.
    let fits = |key: &str| key.starts_with("/mgmt/deploys/") && !key.starts_with("/mgmt/deploys/pending/");
    let history = recorder.history();
    let counts = judge(&history, "deploys", fits);
    let heads = heads(&history);
    let lost = deployed.iter().find(|id| !heads.iter().any(|head| head.contains(id.as_str())));
    assert_eq!(lost, None, "who was answered that a deploy is in force was answered right");
    assert!(counts[HEAD] > 50, "{counts:?}");
}

/// All that was written, or may have been, to name the deploy in force. Each requires what was in force before.
fn heads(history: &History) -> Vec<String> {
    let mut heads = Vec::new();
    for asked in &history.asked {
        if let Question::Commit(transaction) = &asked.question
            && let Some(Write::Put(value, _)) = transaction.writes.get(HEAD)
        {
            assert!(transaction.conditions.iter().any(|condition| condition.key == HEAD), "{transaction:?}");
            heads.push(String::from_utf8_lossy(value).into_owned());
        }
    }
    heads
}

/// Whether the host that follows deploys reports the one in force.
async fn follower_has(world: &Recorder, head: &str) -> bool {
    let Ok(status) = mgmt::gapi::Cluster::new(world, "test").status().await else { return false };
    let follows = |host: &mgmt::resource::ClusterHost| host.state.as_ref()?.follows.as_ref()?.deploy.clone();
    status.hosts.iter().filter_map(follows).any(|id| head.contains(&id))
}

/// A world in which this goes wrong once.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Nothing,
    /// A condition that does not hold is ignored.
    Condition,
    /// A read returns what was there before.
    Stale,
    /// A transaction is carried out and forgotten.
    Forgotten,
    /// A watch leaves out a transaction.
    Gap,
}

/// The history of two writers who count together, in a world that is wrong in this way.
async fn counted(wrong: Wrong) -> History {
    let recorder = Recorder::new(Embedded::new());
    let member = World::member(&recorder, "web1");
    let key = || "/mgmt/count".to_owned();
    let watch = member.watch(vec![Keys::One(key())], mgmt::resource::Revision(0));
    let mut last = None;
    for count in 0..10u8 {
        member.get(vec![Keys::One(key())]).await.unwrap();
        let conditions = vec![Condition { key: key(), written: last }];
        let writes = [(key(), Write::Put(vec![count].into(), None))].into();
        last = member.commit(Transaction { conditions, writes }).await.unwrap();
    }
    let mut watch = watch;
    for _ in 0..10 {
        futures_util::StreamExt::next(&mut watch).await.unwrap();
    }
    let mut history = recorder.history();
    match wrong {
        Wrong::Nothing => {}
        Wrong::Condition => {
            let Question::Commit(transaction) = &mut history.asked[9].question else { panic!() };
            transaction.conditions[0].written = Some(mgmt::resource::Revision(1));
        }
        Wrong::Stale => {
            let before = history.asked[10].answered.as_ref().unwrap().1.clone();
            history.asked[12].answered.as_mut().unwrap().1 = before;
        }
        Wrong::Forgotten => drop(history.asked.remove(9)),
        Wrong::Gap => drop(history.watched[0].changes.remove(4)),
    }
    history
}

#[tokio::test]
async fn a_world_that_is_wrong_is_noticed() {
    for wrong in [Wrong::Nothing, Wrong::Condition, Wrong::Stale, Wrong::Forgotten, Wrong::Gap] {
        let history = counted(wrong).await;
        let checks = registers(&history, |_| true).into_values().map(check).collect::<Result<Vec<()>, _>>();
        let is_right = checks.is_ok() && problems(&history).is_empty();
        assert_eq!(is_right, matches!(wrong, Wrong::Nothing), "{wrong:?}: {checks:?} {:?}", problems(&history));
    }
}

#[tokio::test]
async fn what_is_not_answered_may_be_carried_out() {
    let recorder = Recorder::new(Embedded::new());
    let member = World::member(&recorder, "web1");
    let writes = [("/mgmt/x".to_owned(), Write::Put((*b"x").into(), None))].into();
    member.commit(Transaction { conditions: Vec::new(), writes }).await.unwrap();
    member.get(vec![Keys::One("/mgmt/x".to_owned())]).await.unwrap();
    let mut history = recorder.history();
    for lost in [None, Some((5, Answer::Failed(WorldError::Unreachable("cut".to_owned()))))] {
        history.asked[0].answered = lost;
        let ops = registers(&history, |_| true).remove("/mgmt/x").unwrap();
        assert!(matches!(ops[0].what, What::MayWrite { .. }) && ops[0].end == u64::MAX, "{ops:?}");
        assert_eq!(check(ops), Ok(()));
    }
}
