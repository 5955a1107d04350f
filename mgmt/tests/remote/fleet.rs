//! Many hosts at once, each a process on this machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::remote::{
    Addresses, Fleet, FleetReport, FleetRun, FleetUntil, Host, HostReport, Hosts as _, Job, Local, Report, StopStep,
    Verdict, hosts_of,
};
use mgmt::resource::World;
use mgmt::runtime::EventKind;
use mgmt::world::Embedded;

use crate::executable::program;
use crate::kit::{LONG, There, found, parcel};

fn host(name: &str) -> Host {
    Host::new(name, Local::program(program()))
}

/// A job whose hosts remember nothing.
async fn job(declare: impl FnOnce(&mut Graph)) -> Job {
    Job::graph(parcel(declare).await).arguments(["remote", "run", "there", "--tmp-prefix"])
}

/// Reads reports until one is as wanted.
async fn until(run: &mut FleetRun, is_wanted: impl Fn(&FleetReport) -> bool) -> FleetReport {
    let found = found(async || run.next().await, is_wanted).await;
    found.unwrap_or_else(|seen| panic!("the run has ended: {seen:#?}"))
}

fn is_of(report: &FleetReport, name: &str, is_wanted: impl Fn(&HostReport) -> bool) -> bool {
    matches!(report, FleetReport::Host { host, what, .. } if host == name && is_wanted(what))
}

fn is_event(what: &HostReport, is_wanted: impl Fn(&EventKind) -> bool) -> bool {
    matches!(what, HostReport::Report(Report::Event(event)) if is_wanted(&event.kind))
}

#[tokio::test]
async fn all_end_when_all_are_converged_at_the_same_time() {
    let there = There::new();
    let gate = there.text("gate");
    let slow = format!("while ! [ -e {gate} ]; do sleep 0.05; done");
    let quick = job(|g| {
        g.add(Noop::new("a"));
    });
    let waits = job(|g| {
        g.add(Exec::new("waits").cmd(slow).shell("/bin/sh"));
    });
    let timeout = std::time::Duration::from_millis(200);
    let (quick, waits) = (quick.await.converged_timeout(timeout), waits.await.converged_timeout(timeout));
    let fleet = Fleet::new(vec![host("quick"), host("waits")]).until(FleetUntil::AllConverge);
    let mut run = fleet.own_job("waits", waits.stays(true)).run(quick.stays(true));
    until(&mut run, |report| {
        is_of(report, "quick", |what| is_event(what, |kind| matches!(kind, EventKind::Converged)))
    })
    .await;
    // One alone does not end.
    tokio::time::sleep(4 * timeout).await;
    std::fs::write(&gate, "").unwrap();
    let report = until(&mut run, |report| matches!(report, FleetReport::Stopping(_))).await;
    assert!(matches!(report, FleetReport::Stopping(Verdict::Converged)));
    while run.next().await.is_some() {}
    let ended = run.ended().await;
    assert_eq!((ended.code(), ended.hosts.len(), ended.verdict), (0, 2, Some(Verdict::Converged)));
}

#[tokio::test]
async fn a_host_whose_process_is_killed_costs_itself_and_the_exit_code() {
    let there = There::new();
    let gate = there.text("gate");
    let waits = job(|g| {
        g.add(Exec::new("waits").cmd(format!("while ! [ -e {gate} ]; do sleep 0.05; done")).shell("/bin/sh"));
    });
    let waits = waits.await.converged_timeout(std::time::Duration::ZERO).stays(true);
    // What is killed leaves its temporary prefix.
    let waits = waits.variable("TMPDIR", there.dir.path());
    let mut run = Fleet::new(vec![host("a"), host("b")]).until(FleetUntil::AllConverge).run(waits);
    let hello =
        until(&mut run, |report| is_of(report, "a", |what| matches!(what, HostReport::Report(Report::Hello(_)))));
    let FleetReport::Host { what: HostReport::Report(Report::Hello(hello)), .. } = hello.await else {
        unreachable!("that was wanted")
    };
    let killed = std::process::Command::new("kill").args(["-9", &hello.pid.to_string()]).status().unwrap();
    assert!(killed.success());
    until(&mut run, |report| is_of(report, "a", |what| matches!(what, HostReport::Ended(_)))).await;
    // The other one is left to do its work.
    std::fs::write(&gate, "").unwrap();
    let report = until(&mut run, |report| matches!(report, FleetReport::Stopping(_))).await;
    assert!(matches!(report, FleetReport::Stopping(Verdict::Hopeless)));
    while run.next().await.is_some() {}
    let ended = run.ended().await;
    let codes: BTreeMap<_, _> = ended.hosts.iter().map(|(name, host)| (name.as_str(), host.code())).collect();
    assert_eq!((ended.code(), codes), (1, BTreeMap::from([("a", 1), ("b", 0)])), "{ended:?}");
}

#[tokio::test]
async fn hosts_follow_a_value_that_changes_and_a_lost_one_is_connected_to_again() {
    let (names, receiver) = tokio::sync::watch::channel(vec!["a".to_owned()]);
    let source = hosts_of(&receiver, |names: &Vec<String>| Ok(names.iter().map(|name| host(name)).collect()));
    let calm = job(|g| {
        g.add(Noop::new("a"));
    });
    // What is killed leaves its temporary prefix.
    let there = There::new();
    let calm = calm.await.variable("TMPDIR", there.dir.path());
    let mut run = Fleet::new(source).until(FleetUntil::Stopped).run(calm);
    let is_hello = |what: &HostReport| matches!(what, HostReport::Report(Report::Hello(_)));
    let hello = until(&mut run, |report| is_of(report, "a", is_hello)).await;
    let FleetReport::Host { what: HostReport::Report(Report::Hello(hello)), .. } = hello else {
        unreachable!("that was wanted")
    };
    std::process::Command::new("kill").args(["-9", &hello.pid.to_string()]).status().unwrap();
    let lost = |what: &HostReport| matches!(what, HostReport::Ended(ended) if ended.again_in.is_some());
    until(&mut run, |report| is_of(report, "a", lost)).await;
    until(&mut run, |report| is_of(report, "a", is_hello)).await;
    names.send(vec!["a".to_owned(), "b".to_owned(), "b".to_owned()]).unwrap();
    until(&mut run, |report| matches!(report, FleetReport::Unlisted(_))).await;
    names.send(vec!["b".to_owned()]).unwrap();
    until(&mut run, |report| is_of(report, "a", |what| matches!(what, HostReport::Leaving))).await;
    until(&mut run, |report| is_of(report, "a", |what| matches!(what, HostReport::Ended(_)))).await;
    // It starts in the same moment as the other one is stopped, so it may have been passed already.
    run.stop(StopStep::Drain);
    while run.next().await.is_some() {}
    let ended = run.ended().await;
    assert_eq!(ended.hosts.keys().collect::<Vec<_>>(), ["b"], "{ended:?}");
    assert_eq!(ended.code(), 0, "{ended:?}");
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_nothing_running() {
    let there = There::new();
    let pid = there.text("pid");
    let long = job(|g| {
        g.add(Exec::new("long").cmd(format!("echo $$ > {pid}; exec sleep 1000")).shell("/bin/sh"));
    });
    let mut run = Fleet::new(vec![host("a")]).until(FleetUntil::Stopped).run(long.await);
    until(&mut run, |report| is_of(report, "a", |what| matches!(what, HostReport::Report(Report::Started)))).await;
    crate::kit::wait("it runs", || there.read("pid").is_some_and(|text| text.ends_with('\n'))).await;
    drop(run);
    let pid: u32 = there.read("pid").unwrap().trim().parse().unwrap();
    crate::kit::wait("it was ended", || !crate::kit::is_alive(pid)).await;
}

#[tokio::test]
async fn the_living_hosts_of_a_world_are_at_their_labels_or_names_and_are_followed() {
    let world = Embedded::new();
    let dirs = [There::new(), There::new()];
    let engine = |name: &str, there: &There| {
        Engine::builder().world(world.clone()).hostname(name).prefix(there.prefix()).graph(crate::kit::graph(|_| {}))
    };
    let web1 = engine("web1", &dirs[0]).label("ssh", "root@10.0.0.7").start().await.unwrap();
    let shared: Arc<dyn World> = Arc::new(world.clone());
    let reach = |endpoint: mgmt::sys::ssh::Endpoint| Host::new(endpoint.to_string(), Local::new());
    let mut source = Addresses::new(reach).world(&shared, "desk");
    let names = |hosts: Vec<Host>| hosts.iter().map(|host| host.name().to_owned()).collect::<Vec<_>>();
    let until = async |source: &mut Addresses, wanted: &[&str]| {
        let found = tokio::time::timeout(LONG, async {
            while names(source.hosts().await.unwrap()) != wanted {
                source.changed().await.unwrap();
            }
        });
        found.await.unwrap_or_else(|_| panic!("not listed: {wanted:?}"));
    };
    until(&mut source, &["web1=root@10.0.0.7"]).await;
    let web2 = engine("web2", &dirs[1]).start().await.unwrap();
    until(&mut source, &["web1=root@10.0.0.7", "web2"]).await;
    web1.stop().await.unwrap();
    until(&mut source, &["web2"]).await;
    web2.stop().await.unwrap();
}
