//! Domains of the test hypervisor of libvirt, and what is refused.

mod judging;
mod laws;

use std::time::Duration;

use crate::resource::{Change, Secret};
use crate::resources::virt::fields::{
    VirtAccess, VirtAuth, VirtBoot, VirtDisk, VirtFilesystem, VirtMemory, VirtNetwork, VirtRestart,
};
use crate::resources::virt::kind::{Virt, VirtBuilder};
use crate::testing::{Fake, Trial};

/// A domain of a hypervisor that each connection shares, in the memory of this process.
fn virt(name: &str) -> VirtBuilder {
    Virt::new(name).uri("test:///default").memory(VirtMemory::mib(64)).shutdown(Duration::ZERO)
}

async fn changes(trial: &Trial) -> Vec<String> {
    let changes = trial.settle().await.unwrap().changes;
    assert!(trial.check().await.unwrap().in_sync(), "after {changes:?}");
    changes.iter().map(Change::to_string).collect()
}

#[tokio::test]
async fn a_domain_is_made_paused_stopped_and_removed() {
    let host = Fake::new().unwrap();
    let name = "a & <b> 'c' \"d\" ü";
    assert_eq!(changes(&host.put(virt(name).cpus(2))).await, ["state: absent → running"]);
    assert_eq!(changes(&host.put(virt(name).paused())).await, ["state: running → paused"]);
    assert_eq!(changes(&host.put(virt(name).running())).await, ["state: paused → running"]);
    let found = changes(&host.put(virt(name).cpus(3).startup(true))).await;
    assert_eq!(found, ["startup: false → true", "cpus: 2 → 3 (at the next start)"]);
    let more = virt(name).memory(VirtMemory::gib(1)).boot([VirtBoot::Network, VirtBoot::Hd]);
    let found = changes(&host.put(more.restartondiverge(VirtRestart::Ifneeded).cpus(3))).await;
    let by = "(by a restart)";
    let all =
        [format!("memory: 64 MiB → 1 GiB {by}"), format!("cpus: 2 → 3 {by}"), format!("boot: hd → network, hd {by}")];
    assert_eq!(found, all);
    assert_eq!(changes(&host.put(virt(name).off())).await, ["memory: 1 GiB → 64 MiB", "state: running → shutoff"]);
    assert_eq!(changes(&host.put(virt(name).off().transient(true))).await, ["state: shutoff → absent"]);
    assert!(host.put(virt(name).absent()).check().await.unwrap().in_sync());
}

#[tokio::test]
async fn a_transient_domain_becomes_persistent_and_back() {
    let host = Fake::new().unwrap();
    assert_eq!(changes(&host.put(virt("brief").transient(true))).await, ["state: absent → running"]);
    assert_eq!(changes(&host.put(virt("brief"))).await, ["transient: true → false"]);
    assert_eq!(changes(&host.put(virt("brief").transient(true))).await, ["transient: false → true"]);
    let restart = virt("brief").transient(true).memory(VirtMemory::mib(96)).restartondiverge(VirtRestart::Ifneeded);
    assert_eq!(changes(&host.put(restart)).await, ["memory: 64 MiB → 96 MiB (by a restart)"]);
    changes(&host.put(virt("brief").absent())).await;
}

#[tokio::test]
async fn a_refresh_restarts_only_what_asks_for_it() {
    let host = Fake::new().unwrap();
    changes(&host.put(virt("web"))).await;
    assert!(!host.put(virt("web")).refresh().await.unwrap().changed);
    assert!(host.put(virt("web").restartonrefresh(true)).refresh().await.unwrap().changed);
    changes(&host.put(virt("web").off())).await;
    assert!(!host.put(virt("web").restartonrefresh(true)).refresh().await.unwrap().changed, "it does not run");
    changes(&host.put(virt("web").absent())).await;
}

#[tokio::test]
async fn a_domain_without_memory_can_not_be_made() {
    let host = Fake::new().unwrap();
    let error = host.put(Virt::new("none").uri("test:///default")).check().await.unwrap_err();
    assert!(error.to_string().contains("can't be made without its `memory`: declare it"), "{error}");
}

#[test]
fn what_describes_no_domain_is_refused() {
    let host = Fake::new().unwrap();
    let lxc = || Virt::new("c").uri("lxc:///system");
    let auth = |user: &str| Secret::new(VirtAuth::new(user, "1234"));
    for (virt, problem) in [
        (virt(""), "`name` is empty"),
        (virt("a/b"), "`name` has a slash"),
        (virt("a\nb"), "`name` has a control character"),
        (virt(" a"), "`name` begins or ends with a blank"),
        (virt("a").uri("qemu:system"), "`uri` has no `://`"),
        (virt("a").uri("xen:///"), "`uri` is of the hypervisor `xen`, for which no definitions can be made"),
        (virt("a").memory(VirtMemory::kib(0)), "`memory` is 0"),
        (virt("a").cpus(0), "`cpus` is 0"),
        (virt("a").cpus(3).maxcpus(2), "`cpus` is more than `maxcpus`"),
        (virt("a").osinit("/sbin/init"), "`osinit` has no effect: only a container"),
        (lxc().osinit("init"), "`osinit` is not an absolute path"),
        (lxc().boot([VirtBoot::Hd]), "`boot` has no effect: a container"),
        (lxc().cdrom(["/a"]), "`cdrom` has no effect: a container"),
        (lxc().filesystem([VirtFilesystem::new("/a", "b")]), "`filesystem` `b` is not absolute"),
        (virt("a").boot([VirtBoot::Hd, VirtBoot::Hd]), "`boot` has `hd` twice"),
        (virt("a").disk(["a.img"]), "`disk` `a.img` is not absolute"),
        (virt("a").disk(["/a\u{1}"]), "`disk` `/a\\u{1}` has a control character"),
        (virt("a").disk(["/a", "/a"]), "`disk` has `/a` twice"),
        (virt("a").network([""]), "`network` has a network whose name is empty"),
        (virt("a").network([VirtNetwork::new("n").mac("5:54:00:00:00:01")]), "`network` has `5:54:00:00:00:01`"),
        (virt("a").network([VirtNetwork::new("n").mac("01:54:00:00:00:01")]), "`network` has `01:54:00:00:00:01`"),
        (virt("a").filesystem([VirtFilesystem::new("a", "b")]), "`filesystem` `a` is not absolute"),
        (virt("a").startup(true).transient(true), "`startup` is true, but nothing is left of a `transient` domain"),
        (virt("a").off().restartonrefresh(true), "`restartonrefresh` has no effect"),
        (virt("a").auth(auth("")), "`auth` has no `username`"),
    ] {
        let found = host.put(virt).refusal();
        assert!(found.starts_with(problem) && found.lines().count() == 1, "{problem}: {found}");
    }
    for right in [
        lxc().osinit("/bin/sh").filesystem([VirtFilesystem::new("/srv", "/mnt").access(VirtAccess::Squash)]),
        Virt::new("r").uri("qemu+ssh://root@host.example:22/system").disk([VirtDisk::new("/a"), VirtDisk::new("/b")]),
        Virt::new("r").uri("qemu+tls://host.example/system").auth(auth("admin")),
        virt("a").disk((0..40).map(|n| VirtDisk::new(format!("/{n}"))).collect::<Vec<_>>()),
    ] {
        assert_eq!(host.put(right).refusal(), "");
    }
}

#[test]
fn a_password_is_nowhere_to_be_seen() {
    let host = Fake::new().unwrap();
    let trial = host.put(virt("a").auth(("admin", Secret::new("canary".to_owned()))));
    let data = trial.data().map_or_else(|error| error.to_string(), |data| format!("{data:?}"));
    assert!(!data.contains("canary") && !format!("{trial:?}").contains("canary"), "{data}");
}
