//! Deploys whose publishing ends in the middle, and others that come in between.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mgmt::gapi::{DeployError, Deploys, Publish, builtin_kinds};
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use mgmt::resource::{
    BoxFuture, Keys, LeaseId, Limits, Member, Revision, Snapshot, Transaction, World as _, WorldError, WorldWatch,
    Write,
};
use mgmt::world::Embedded;

type Between = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An access that takes small transactions, and ends after some of them; or something happens before one of them.
struct Small {
    member: Arc<dyn Member>,
    /// How many transactions are carried out. After them the host is gone: it revokes no lease either.
    most: usize,
    done: AtomicUsize,
    between: Mutex<Option<(usize, Between)>>,
}

impl std::fmt::Debug for Small {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.member.fmt(f)
    }
}

impl Small {
    fn new(world: &Embedded, most: usize) -> Arc<Small> {
        Arc::new(Small { member: world.member("desk"), most, done: AtomicUsize::new(0), between: Mutex::default() })
    }

    fn is_gone(&self) -> bool {
        self.done.load(Ordering::SeqCst) >= self.most
    }
}

fn gone<T: Send + 'static>() -> BoxFuture<Result<T, WorldError>> {
    Box::pin(std::future::ready(Err(WorldError::Unreachable("this host has crashed".to_owned()))))
}

impl Member for Small {
    fn host(&self) -> &str {
        self.member.host()
    }

    fn limits(&self) -> Limits {
        // What lets a deploy count is one transaction of that size.
        Limits { operations: 6, bytes: 600 << 10 }
    }

    fn get(&self, keys: Vec<Keys>) -> BoxFuture<Result<Snapshot, WorldError>> {
        if self.is_gone() { gone() } else { self.member.get(keys) }
    }

    fn watch(&self, keys: Vec<Keys>, after: Revision) -> WorldWatch {
        self.member.watch(keys, after)
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<Result<Option<Revision>, WorldError>> {
        if self.is_gone() {
            return gone();
        }
        let size = transaction.size();
        assert!(size.operations <= self.limits().operations && size.bytes <= self.limits().bytes, "{size:?}");
        let n = self.done.fetch_add(1, Ordering::SeqCst);
        let between = self.between.lock().unwrap().take_if(|(at, _)| *at == n);
        let commit = self.member.commit(transaction);
        Box::pin(async move {
            if let Some((_, between)) = between {
                between.await;
            }
            commit.await
        })
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<Result<LeaseId, WorldError>> {
        if self.is_gone() { gone() } else { self.member.lease(ttl) }
    }

    fn renew(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        if self.is_gone() { gone() } else { self.member.renew(lease) }
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        if self.is_gone() { gone() } else { self.member.revoke(lease) }
    }
}

/// Files with these contents, one of which takes several transactions, and a graph that copies them.
fn copying(dir: &Path, files: &[(&str, &str)]) -> GraphConfig {
    let mut g = Graph::new("site");
    for (name, content) in files {
        let source = dir.join(format!("{name}.source"));
        std::fs::write(&source, content).unwrap();
        g.add(File::new(dir.join(name).to_str().unwrap()).source(source.to_str().unwrap()));
    }
    g.finish().unwrap()
}

async fn keys(world: &Embedded, prefix: &str) -> BTreeSet<String> {
    let all = world.member("reader").get(vec![Keys::Below(prefix.to_owned())]).await.unwrap();
    all.entries.into_keys().collect()
}

/// Ends the leases of crashed hosts, as their time does.
async fn expire(world: &Embedded) {
    let member = world.member("reader");
    let pending = member.get(vec![Keys::Below("/mgmt/deploys/pending/".to_owned())]).await.unwrap();
    for entry in pending.entries.values() {
        member.revoke(entry.lease.unwrap()).await.unwrap();
    }
}

/// Which contents the deploys that are there refer to.
async fn referred(deploys: &Deploys) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for listed in deploys.list().await.unwrap() {
        let details = deploys.show(Some(listed.id.as_str())).await.unwrap();
        let record = serde_json::to_value(&details.deploy).unwrap();
        all.insert(record["graph"]["sha256"].as_str().unwrap().to_owned());
        all.extend(record["carried"]["sha256"].as_str().map(str::to_owned));
        all.extend(details.files.contents().keys().map(ToString::to_string));
    }
    all
}

/// All contents that deploys refer to are there.
async fn all_is_there(world: &Embedded, deploys: &Deploys) {
    for content in referred(deploys).await {
        let member = world.member("reader");
        let (index, data) = (format!("/mgmt/blobs/index/{content}"), format!("/mgmt/blobs/data/{content}/"));
        let found = member.get(vec![Keys::One(index.clone()), Keys::Below(data)]).await.unwrap();
        let indexed: serde_json::Value = serde_json::from_slice(&found.entries[&index].value).unwrap();
        let bytes: usize = found.entries.values().map(|entry| entry.value.len()).sum();
        assert_eq!(indexed["complete"], true);
        assert_eq!(indexed["bytes"].as_u64(), Some((bytes - found.entries[&index].value.len()) as u64));
    }
}

/// Exactly the contents that deploys refer to are there.
async fn nothing_is_left(world: &Embedded, deploys: &Deploys) {
    all_is_there(world, deploys).await;
    let of = |keys: &BTreeSet<String>, prefix: &str| -> BTreeSet<String> {
        keys.iter().filter_map(|key| key.strip_prefix(prefix)?.split('/').next().map(str::to_owned)).collect()
    };
    let all = keys(world, "/mgmt/blobs/").await;
    let referred = referred(deploys).await;
    assert_eq!(of(&all, "/mgmt/blobs/index/"), referred);
    assert_eq!(of(&all, "/mgmt/blobs/data/"), referred);
    assert!(keys(world, "/mgmt/deploys/pending/").await.is_empty());
}

#[tokio::test]
async fn a_crash_leaves_the_old_deploy_or_the_new_one_and_the_next_one_cleans() {
    let large = "x".repeat(1_300_000);
    let (mut ends, mut n) = (BTreeSet::new(), 0);
    loop {
        let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
        let others = Deploys::new(&world, "other");
        let (kinds, how) = (builtin_kinds(), Publish::new().keep(2));
        let graphs = [
            copying(dir.path(), &[("a", "one"), ("b", "same")]),
            copying(dir.path(), &[("a", "one"), ("b", "same"), ("c", "two")]),
        ];
        let first = others.publish(&graphs[0], &kinds, &how).await.unwrap();
        let second = others.publish(&graphs[1], &kinds, &how).await.unwrap();
        let graph = copying(dir.path(), &[("a", "three"), ("b", "same"), ("large", &large), ("c", "four")]);
        let crashing = Deploys::of(Small::new(&world, n));
        let published = crashing.publish(&graph, &kinds, &how).await;
        let now = others.show(None).await.unwrap();
        let is_new = now.id != second.id;
        assert_eq!(now.data.resources.len(), if is_new { 4 } else { 3 }, "all of it can be read");
        if let Ok(done) = &published {
            assert!(done.id == now.id, "what is reported as done is in force");
        }
        ends.insert((published.is_ok(), is_new));
        // As long as it may still be alive, the next deploy leaves what it has written.
        let graph = copying(dir.path(), &[("a", "five"), ("b", "same")]);
        let before = keys(&world, "/mgmt/blobs/").await;
        let third = others.publish(&graph, &kinds, &Publish::new().keep(5)).await.unwrap();
        assert!(third.deploy.parent == Some(now.id));
        if !is_new {
            assert!(keys(&world, "/mgmt/blobs/").await.is_superset(&before));
        }
        expire(&world).await;
        let graph = copying(dir.path(), &[("a", "six"), ("b", "same")]);
        others.publish(&graph, &kinds, &how).await.unwrap();
        nothing_is_left(&world, &others).await;
        assert_eq!(others.list().await.unwrap().len(), 2);
        assert!(others.show(Some(first.id.as_str())).await.is_err());
        if published.is_ok() && crashing_is_whole(n) {
            break;
        }
        n += 1;
    }
    assert!(n > 8, "the publishing takes several transactions: {n}");
    assert!(ends.contains(&(false, false)) && ends.contains(&(true, true)), "{ends:?}");
}

/// After this number of transactions, the removal of old deploys is over too.
fn crashing_is_whole(n: usize) -> bool {
    n > 30
}

#[tokio::test]
async fn a_deploy_in_between_takes_nothing_away_from_another_one() {
    let large = "x".repeat(1_300_000);
    for at in 0..12 {
        let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
        let others = Deploys::new(&world, "other");
        let kinds = builtin_kinds();
        // The old deploy has contents that the new one needs too, and leaves in between.
        let old = copying(dir.path(), &[("a", "shared"), ("large", &large)]);
        others.publish(&old, &kinds, &Publish::new()).await.unwrap();
        let dir2 = tempfile::tempdir().unwrap();
        let between = copying(dir2.path(), &[("b", "other")]);
        let member = Small::new(&world, usize::MAX);
        let (in_between, kinds_in_between) = (others.clone(), kinds.clone());
        *member.between.lock().unwrap() = Some((
            at,
            Box::pin(async move {
                in_between.publish(&between, &kinds_in_between, &Publish::new().keep(1).force(true)).await.unwrap();
            }),
        ));
        let new = copying(dir.path(), &[("a", "shared"), ("large", &large), ("c", "more")]);
        // Forced, it continues; otherwise it is refused.
        for force in [true, false] {
            let how = Publish::new().keep(20).force(force);
            match Deploys::of(Arc::clone(&member) as Arc<dyn Member>).publish(&new, &kinds, &how).await {
                Ok(done) => {
                    let now = others.show(None).await.unwrap();
                    assert!(now.id == done.id && now.files.contents().len() == 3);
                }
                Err(DeployError::Overtaken { .. }) if !force => {}
                Err(error) => panic!("{error}"),
            }
            expire(&world).await;
            // All of what is in force is there.
            others.publish(&copying(dir.path(), &[("z", "last")]), &kinds, &Publish::new().keep(3)).await.unwrap();
            nothing_is_left(&world, &others).await;
        }
    }
}

#[tokio::test]
async fn a_removal_takes_nothing_away_that_a_deploy_in_between_needs() {
    let large = "x".repeat(1_300_000);
    let mut done = 0;
    for at in 0..12 {
        let (world, dir, dir2) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (others, kinds) = (Deploys::new(&world, "other"), builtin_kinds());
        let old = copying(dir.path(), &[("a", "shared"), ("large", &large)]);
        others.publish(&old, &kinds, &Publish::new()).await.unwrap();
        // While the old contents are being removed, another deploy refers to them again.
        let member = Small::new(&world, usize::MAX);
        let (in_between, kinds_in_between) = (others.clone(), kinds.clone());
        *member.between.lock().unwrap() = Some((
            at,
            Box::pin(async move {
                in_between.publish(&old, &kinds_in_between, &Publish::new().force(true)).await.unwrap();
            }),
        ));
        let other = copying(dir2.path(), &[("b", "other")]);
        let outcome = Deploys::of(member).publish(&other, &kinds, &Publish::new().keep(1)).await;
        done += usize::from(outcome.is_ok());
        all_is_there(&world, &others).await;
    }
    assert!(done > 2, "{done}");
}

#[tokio::test]
async fn one_that_was_overtaken_is_refused_and_leaves_nothing() {
    for at in 0.. {
        let (world, dir, dir2) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (others, kinds) = (Deploys::new(&world, "other"), builtin_kinds());
        others.publish(&copying(dir.path(), &[("a", "one")]), &kinds, &Publish::new()).await.unwrap();
        let between = copying(dir2.path(), &[("b", "between")]);
        let member = Small::new(&world, usize::MAX);
        let (in_between, kinds_in_between) = (others.clone(), kinds.clone());
        *member.between.lock().unwrap() = Some((
            at,
            Box::pin(async move {
                in_between.publish(&between, &kinds_in_between, &Publish::new()).await.unwrap();
            }),
        ));
        let new = copying(dir.path(), &[("a", "two"), ("large", &"y".repeat(900_000))]);
        let outcome = Deploys::of(member).publish(&new, &kinds, &Publish::new()).await;
        if outcome.is_ok() {
            assert!(at > 3, "it takes several transactions: {at}");
            break;
        }
        assert!(matches!(outcome, Err(DeployError::Overtaken { .. })), "{at}: {outcome:?}");
        others.publish(&copying(dir.path(), &[("z", "last")]), &kinds, &Publish::new()).await.unwrap();
        nothing_is_left(&world, &others).await;
    }
}

#[tokio::test]
async fn a_deploy_that_was_asleep_too_long_begins_again() {
    for at in 1..6 {
        let (world, dir, dir2) = (Embedded::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (others, kinds) = (Deploys::new(&world, "other"), builtin_kinds());
        let member = Small::new(&world, usize::MAX);
        let (asleep, kinds_in_between, in_between) = (world.clone(), kinds.clone(), others.clone());
        let between = copying(dir2.path(), &[("b", "between")]);
        *member.between.lock().unwrap() = Some((
            at,
            Box::pin(async move {
                // Its lease ends, and another deploy removes what it has written.
                expire(&asleep).await;
                in_between.publish(&between, &kinds_in_between, &Publish::new()).await.unwrap();
            }),
        ));
        let new = copying(dir.path(), &[("a", "two"), ("large", &"y".repeat(900_000))]);
        let done = Deploys::of(member).publish(&new, &kinds, &Publish::new().force(true)).await.unwrap();
        let now = others.show(None).await.unwrap();
        assert!(now.id == done.id && now.files.contents().len() == 2);
        nothing_is_left(&world, &others).await;
    }
}

#[tokio::test]
async fn a_deploy_whose_contents_were_removed_while_it_was_asleep_begins_again() {
    for at in 1..6 {
        let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
        let (others, member) = (Deploys::new(&world, "other"), Small::new(&world, usize::MAX));
        let asleep = world.clone();
        *member.between.lock().unwrap() = Some((
            at,
            Box::pin(async move {
                // Its lease ends, and another program, whose own deploy is in force already, still cleans.
                expire(&asleep).await;
                let writes = keys(&asleep, "/mgmt/blobs/").await.into_iter().map(|key| (key, Write::Remove)).collect();
                let removal = Transaction { conditions: Vec::new(), writes };
                asleep.member("other").commit(removal).await.unwrap();
            }),
        ));
        let new = copying(dir.path(), &[("a", "two"), ("large", &"y".repeat(900_000))]);
        let done = Deploys::of(member).publish(&new, &builtin_kinds(), &Publish::new()).await.unwrap();
        assert_eq!(others.show(None).await.unwrap().id, done.id, "{at}");
        all_is_there(&world, &others).await;
    }
}

#[tokio::test]
async fn only_as_many_as_wanted_are_kept() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let (deploys, kinds) = (Deploys::new(&world, "desk"), builtin_kinds());
    let mut ids = Vec::new();
    for n in 0..25 {
        let graph = copying(dir.path(), &[("a", &n.to_string())]);
        ids.push(deploys.publish(&graph, &kinds, &Publish::new()).await.unwrap().id);
    }
    assert_eq!(deploys.list().await.unwrap().len(), 20);
    nothing_is_left(&world, &deploys).await;
    // Of twenty IDs in sixteen digits, two begin alike.
    let begins: Vec<char> = ids[5..].iter().map(|id| id.as_str().chars().next().unwrap()).collect();
    let twice = begins.iter().find(|c| begins.iter().filter(|other| other == c).count() > 1).unwrap();
    let shown = deploys.show(Some(&twice.to_string())).await.unwrap_err().to_string();
    assert!(shown.contains("may be") && shown.contains("give more digits"), "{shown}");
    let alike = ids[5..].iter().filter(|id| id.as_str().starts_with(*twice));
    assert!(alike.clone().all(|id| shown.contains(id.as_str())) && alike.count() > 1, "{shown}");
    // One that is no longer kept is not there; one that is can come back.
    assert!(deploys.revert(Some(ids[0].as_str()), &Publish::new()).await.is_err());
    let back = deploys.revert(Some(ids[10].as_str()), &Publish::new().keep(3)).await.unwrap();
    let list = deploys.list().await.unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(back.deploy.reverts_to.as_ref(), Some(&ids[10]));
    assert_eq!(deploys.show(None).await.unwrap().files.contents().len(), 1);
    nothing_is_left(&world, &deploys).await;
}
