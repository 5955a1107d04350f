//! Deploys that reach the hosts of a world in waves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use mgmt::Engine;
use mgmt::gapi::{Cluster, DeployError, Deployed, Deploys, Publish, Waves, builtin_kinds, deployed};
use mgmt::graph::{GraphConfig, Kinds, Stage, Wave};
use mgmt::prelude::*;
use mgmt::world::Embedded;

async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..2000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within twenty seconds: {what}");
}

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(1500)).await;
}

/// Hosts that follow deploys, with their working directories.
struct Site {
    world: Embedded,
    deploys: Deploys,
    dir: tempfile::TempDir,
    engines: BTreeMap<String, Engine>,
}

impl Site {
    /// All hosts have the first deploy.
    async fn new(hosts: usize) -> (Site, Deployed) {
        let world = Embedded::new();
        let (deploys, dir) = (Deploys::new(&world, "desk"), tempfile::tempdir().unwrap());
        let mut site = Site { world, deploys, dir, engines: BTreeMap::new() };
        let first = site.deploys.publish(&site.graph("first"), &builtin_kinds(), &Publish::new()).await.unwrap();
        for n in 1..=hosts {
            site.start(&format!("web{n}"), builtin_kinds()).await;
        }
        site.all_have(&first).await;
        (site, first)
    }

    async fn start(&mut self, host: &str, kinds: Kinds) {
        let (world, prefix) = (self.world.clone(), self.dir.path().join("prefix").join(host));
        fs::create_dir_all(&prefix).unwrap();
        let builder = Engine::builder().world(world).hostname(host).prefix(prefix).alive_ttl(Duration::from_secs(1));
        let engine = builder.gapi(deployed(kinds)).start().await.unwrap();
        self.engines.insert(host.to_owned(), engine);
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// A graph without work.
    fn graph(&self, name: &str) -> GraphConfig {
        let mut g = Graph::new(name);
        g.add(File::new(self.file(name)).content(name));
        g.finish().unwrap()
    }

    /// A graph that converges on a host when this file is there.
    fn gated(&self, gate: &str) -> GraphConfig {
        let mut g = Graph::new(gate);
        g.add(
            Exec::new(gate).cmd(format!("while ! test -e {}; do sleep 0.05; done", self.file(gate))).shell("/bin/sh"),
        );
        g.finish().unwrap()
    }

    fn open(&self, gate: &str) {
        fs::write(self.file(gate), "").unwrap();
    }

    async fn publish(&self, graph: &GraphConfig, waves: Waves) -> Result<Deployed, DeployError> {
        self.deploys.publish(graph, &builtin_kinds(), &Publish::new().waves(waves)).await
    }

    /// Which deploy each living host has.
    async fn has(&self) -> BTreeMap<String, String> {
        let hosts = Cluster::new(&self.world, "desk").status().await.unwrap().hosts;
        let deploy = |host: mgmt::resource::ClusterHost| Some((host.name, host.state?.follows?.deploy?));
        hosts.into_iter().filter_map(deploy).collect()
    }

    async fn count(&self, deploy: &Deployed) -> usize {
        self.has().await.values().filter(|id| *id == deploy.id.as_str()).count()
    }

    async fn all_have(&self, deploy: &Deployed) {
        until("all have it", || async { self.count(deploy).await == self.engines.len() }).await;
    }

    async fn stage(&self) -> Option<Stage> {
        self.deploys.rollout().await.unwrap().map(|view| view.rollout.stage)
    }

    async fn wave(&self) -> usize {
        self.deploys.rollout().await.unwrap().unwrap().rollout.wave
    }

    async fn in_force(&self) -> String {
        let list = self.deploys.list().await.unwrap();
        list.iter().find(|deploy| deploy.in_force).unwrap().id.to_string()
    }

    /// Ends a host, also if it waits for a gate.
    async fn stop(&mut self, host: &str) {
        let engine = self.engines.remove(host).unwrap();
        engine.cancel();
        engine.ended().await.unwrap();
    }

    async fn end(mut self) {
        while let Some(host) = self.engines.keys().next().cloned() {
            self.stop(&host).await;
        }
    }
}

fn canary(host: &str) -> Waves {
    Waves::new().then(Wave::Hosts(vec![host.to_owned()]))
}

#[tokio::test]
async fn each_wave_waits_until_the_one_before_has_converged() {
    let (mut site, first) = Site::new(4).await;
    let waves = canary("web2").then(Wave::Percent(50)).then(Wave::All);
    let second = site.publish(&site.gated("gate"), waves).await.unwrap();
    assert!(second.is_new && second.rollout.is_some());
    until("the canary has it", || async { site.has().await["web2"] == second.id.as_str() }).await;
    a_while().await;
    assert_eq!((site.count(&second).await, site.wave().await), (1, 0), "it has not converged");
    assert_eq!(site.in_force().await, first.id.as_str());
    let view = site.deploys.rollout().await.unwrap().unwrap();
    assert_eq!(view.hosts.len(), 1);
    // A further deploy would go to all hosts at once.
    let refused = site.deploys.publish(&site.graph("other"), &builtin_kinds(), &Publish::new()).await.unwrap_err();
    assert!(matches!(&refused, DeployError::UnderWay { to, wave: 1, waves: 3 } if *to == second.id), "{refused}");
    // A host that starts again keeps what it has, and one that comes later gets the one before.
    site.stop("web2").await;
    site.start("web2", builtin_kinds()).await;
    site.start("web5", builtin_kinds()).await;
    until("all are back", || async { site.has().await.len() == 5 }).await;
    a_while().await;
    let has = site.has().await;
    assert_eq!((has["web2"].as_str(), has["web5"].as_str()), (second.id.as_str(), first.id.as_str()));
    site.open("gate");
    site.all_have(&second).await;
    until("it is in force", || async { site.stage().await == Some(Stage::Done) }).await;
    assert_eq!(site.in_force().await, second.id.as_str());
    let rollout = site.deploys.rollout().await.unwrap().unwrap().rollout;
    // Half of five is three, and one of them was the canary.
    assert_eq!(rollout.hosts.iter().map(|hosts| hosts.len()).collect::<Vec<_>>(), [1, 2, 0]);
    // The next deploy is one of all hosts again.
    let third = site.deploys.publish(&site.graph("third"), &builtin_kinds(), &Publish::new()).await.unwrap();
    assert_eq!(third.deploy.parent, Some(second.id));
    site.all_have(&third).await;
    assert_eq!(site.stage().await, None);
    site.end().await;
}

#[tokio::test]
async fn a_wave_that_fails_ends_the_rollout_and_goes_back_if_it_shall() {
    let (site, first) = Site::new(3).await;
    let mut g = Graph::new("bad");
    g.add(Exec::new("bad").cmd("false"));
    let bad = g.finish().unwrap();
    let second = site.publish(&bad, canary("web1").then(Wave::All)).await.unwrap();
    until("it is stopped", || async { site.stage().await == Some(Stage::Stopped) }).await;
    a_while().await;
    let has = site.has().await;
    assert_eq!((has["web1"].as_str(), site.count(&first).await), (second.id.as_str(), 2));
    let rollout = site.deploys.rollout().await.unwrap().unwrap().rollout;
    assert!(rollout.why.contains("web1 has failed") && rollout.why.contains("exec[bad]"), "{}", rollout.why);
    assert!(rollout.failed.contains_key("web1"));
    // The canary returns if it is asked to.
    let back = site.deploys.revert(None, &Publish::new().by("ann@desk")).await.unwrap();
    assert_eq!((back.id.clone(), back.is_new), (first.id.clone(), false));
    site.all_have(&first).await;
    assert_eq!(site.stage().await, Some(Stage::Reverted));
    // The next one goes back by itself.
    let third = site.publish(&bad, canary("web3").then(Wave::All).revert(true)).await.unwrap();
    assert_ne!(third.id, second.id);
    until("it is reverted", || async { site.stage().await == Some(Stage::Reverted) }).await;
    site.all_have(&first).await;
    assert_eq!(site.in_force().await, first.id.as_str());
    // With one failed host more, the waves go on.
    let waves = canary("web1").then(Wave::All).stop_after_failed(4);
    let fourth = site.publish(&bad, waves).await.unwrap();
    site.all_have(&fourth).await;
    until("it is in force", || async { site.stage().await == Some(Stage::Done) }).await;
    site.end().await;
}

#[tokio::test]
async fn a_rollout_that_was_stopped_continues_with_its_wave_if_a_user_resumes_it() {
    let (mut site, first) = Site::new(3).await;
    let refusal = |error: DeployError| error.to_string();
    let none = refusal(site.deploys.resume(&Publish::new()).await.unwrap_err());
    assert!(none.contains("no deploy in waves"), "{none}");
    let mut g = Graph::new("needy");
    g.add(Exec::new("needy").cmd(format!("test -e {}", site.file("gate"))).shell("/bin/sh"));
    let second = site.publish(&g.finish().unwrap(), canary("web1").then(Wave::All)).await.unwrap();
    until("it is stopped", || async { site.stage().await == Some(Stage::Stopped) }).await;
    // In noop it stays.
    let would = site.deploys.resume(&Publish::new().dry(true)).await.unwrap();
    assert_eq!(would.rollout.map(|rollout| rollout.stage), Some(Stage::Running));
    assert_eq!(site.stage().await, Some(Stage::Stopped));
    // The cause is still there: it is stopped again.
    let resumed = site.deploys.resume(&Publish::new()).await.unwrap();
    assert_eq!((&resumed.id, resumed.is_new), (&second.id, false));
    until("it is stopped again", || async { site.stage().await == Some(Stage::Stopped) }).await;
    assert_eq!(site.count(&first).await, 2);
    site.open("gate");
    site.stop("web1").await;
    site.start("web1", builtin_kinds()).await;
    until("it is well", || async {
        let all = Cluster::new(&site.world, "desk").status().await.unwrap().hosts;
        all.iter().any(|host| host.name == "web1" && host.state.as_ref().is_some_and(|state| state.converged))
    })
    .await;
    site.deploys.resume(&Publish::new()).await.unwrap();
    site.all_have(&second).await;
    until("it is in force", || async { site.stage().await == Some(Stage::Done) }).await;
    assert_eq!(site.in_force().await, second.id.as_str());
    let over = refusal(site.deploys.resume(&Publish::new()).await.unwrap_err());
    assert!(over.contains("has reached all hosts"), "{over}");
    site.end().await;
}

#[tokio::test]
async fn a_canary_that_refuses_the_deploy_or_dies_ends_the_rollout() {
    let (mut site, first) = Site::new(2).await;
    site.start("web3", Kinds::none().with::<File>()).await;
    site.all_have(&first).await;
    let second = site.publish(&site.gated("never"), canary("web3").then(Wave::All)).await.unwrap();
    until("it is stopped", || async { site.stage().await == Some(Stage::Stopped) }).await;
    let why = site.deploys.rollout().await.unwrap().unwrap().rollout.why;
    assert!(why.contains("web3 has failed") && why.contains("exec"), "{why}");
    assert_eq!((site.count(&first).await, site.count(&second).await), (3, 0));
    let status = Cluster::new(&site.world, "desk").status().await.unwrap();
    assert!(status.obstacles.iter().any(|why| why.contains("web3 refuses deploy")), "{:?}", status.obstacles);
    site.deploys.revert(None, &Publish::new()).await.unwrap();
    // This one dies, and is waited for in vain.
    let waves = canary("web2").then(Wave::All).revert(true).timeout(Duration::from_secs(3));
    site.publish(&site.gated("never"), waves).await.unwrap();
    until("the canary has it", || async { site.has().await["web2"] != first.id.as_str() }).await;
    site.world.cut("web2");
    until("it is reverted", || async { site.stage().await == Some(Stage::Reverted) }).await;
    let why = site.deploys.rollout().await.unwrap().unwrap().rollout.why;
    assert!(why.contains("web2 has failed: after 3 s"), "{why}");
    site.world.mend("web2");
    site.all_have(&first).await;
    site.end().await;
}

#[tokio::test]
async fn waves_that_can_t_be_are_refused_and_nothing_is_written() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let deploys = Deploys::new(&world, "desk");
    let mut g = Graph::new("site");
    g.add(File::new(dir.path().join("f").to_str().unwrap()).content("x"));
    let graph = g.finish().unwrap();
    let refused = async |waves: Waves| {
        let how = Publish::new().waves(waves);
        deploys.publish(&graph, &builtin_kinds(), &how).await.unwrap_err().to_string()
    };
    let why = refused(Waves::new().then(Wave::All)).await;
    assert!(why.contains("first deploy"), "{why}");
    assert!(deploys.list().await.unwrap().is_empty());
    let (site, first) = Site::new(1).await;
    let refused = async |waves: Waves| site.publish(&site.graph("next"), waves).await.unwrap_err().to_string();
    let why = refused(canary("web7").then(Wave::All)).await;
    assert!(why.contains("web7 is no living host") && why.contains("web1"), "{why}");
    let why = refused(canary("web1")).await;
    assert!(why.contains("--then all"), "{why}");
    assert_eq!(site.in_force().await, first.id.as_str());
    // A dry one is checked and shown, and not begun.
    let how = Publish::new().waves(canary("web1").then(Wave::All)).dry(true);
    let would = site.deploys.publish(&site.graph("next"), &builtin_kinds(), &how).await.unwrap();
    assert!(would.rollout.is_some() && site.stage().await.is_none());
    // By force, another one takes the place of one that is under way.
    site.publish(&site.gated("never"), canary("web1").then(Wave::All)).await.unwrap();
    let how = Publish::new().force(true);
    let third = site.deploys.publish(&site.graph("third"), &builtin_kinds(), &how).await.unwrap();
    site.all_have(&third).await;
    assert!(Path::new(&site.file("third")).exists() && site.stage().await.is_none());
    site.end().await;
}
