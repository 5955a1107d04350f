//! Each field of a domain that runs: changed at once where that is possible, else at the next start.

use std::fs;
use std::process::Command;

use mgmt::prelude::*;
use mgmt::resource::{Declare, ObstacleKind};
use mgmt::testing::{Fake, TempDir};

use crate::daemon::{Daemon, inside, state, virsh};
use crate::{on_runtime, start, tiny, wait, within};

/// A file that can be a disk.
fn disk(name: &str) -> String {
    let path = format!("/run/{name}");
    fs::File::create(&path).unwrap().set_len(1 << 20).unwrap();
    path
}

async fn changes(host: &Fake, vm: impl Declare) -> Vec<String> {
    let trial = host.put(vm);
    let changes = trial.settle().await.unwrap_or_else(|error| panic!("{error}\n{}", Daemon::log())).changes;
    assert!(trial.check().await.unwrap().in_sync(), "after {changes:?}");
    changes.iter().map(ToString::to_string).collect()
}

fn has(name: &str, words: &str) -> [bool; 2] {
    [virsh(&["dumpxml", name]), virsh(&["dumpxml", "--inactive", name])].map(|xml| xml.contains(words))
}

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn what_can_be_changed_while_it_runs_is_changed_then_and_the_rest_waits_or_restarts() {
    if !inside("changes::what_can_be_changed_while_it_runs_is_changed_then_and_the_rest_waits_or_restarts") {
        return;
    }
    let _daemon = Daemon::start();
    on_runtime(async {
        let host = Fake::new().unwrap();
        // What would break a definition that is pasted together.
        let name = "it's \"one\" & <two> ünï";
        let (root, data) = (disk("root's & <disk>.img"), disk("däta \"2\".img"));
        let vm = || tiny(name).maxcpus(3);
        assert_eq!(changes(&host, vm().disk([root.as_str()])).await, [r"state: absent → running"]);
        assert_eq!(state(name), "running");
        let run = || virsh(&["domid", name]);
        let first = run();

        // Processors and disks at once, in both definitions.
        let two = || vm().cpus(2).disk([root.as_str(), data.as_str()]);
        let found = changes(&host, two()).await;
        assert_eq!(found, ["cpus: 1 → 2".to_owned(), format!("disk: {root} (raw) → {root} (raw), {data} (raw)")]);
        assert_eq!((has(name, "däta"), run()), ([true, true], first.clone()));
        assert_eq!(virsh(&["vcpucount", name, "--live", "--active"]), "2");

        // No system is there to give back memory or a disk: that waits for the next start.
        let less = || vm().cpus(2).disk([root.as_str()]).memory(VirtMemory::mib(12));
        let found = changes(&host, less()).await;
        assert_eq!(found[0], "memory: 16 MiB → 12 MiB");
        assert_eq!((has(name, "däta"), has(name, "12288"), run()), ([true, false], [false, true], first.clone()));

        // More memory than at the start: the plan shows how it is done.
        let more = || vm().cpus(2).disk([root.as_str()]).memory(VirtMemory::mib(20)).boot([VirtBoot::Network]);
        let trial = host.put(more().restartondiverge(VirtRestart::Error));
        let error = trial.settle().await.unwrap_err();
        let words = "must be restarted: `memory` 16 MiB → 20 MiB: it was started with less memory; `boot`";
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Busy);
        assert_eq!((run(), has(name, "20480")), (first.clone(), [false, true]));
        let found = changes(&host, more().restartondiverge(VirtRestart::Ifneeded)).await;
        assert_eq!(found[0], "memory: 16 MiB → 20 MiB (by a restart)");
        assert!(found.contains(&"boot: hd → network (by a restart)".to_owned()), "{found:?}");
        assert_ne!(run(), first);
        assert_eq!((has(name, "däta"), has(name, "20480")), ([false; 2], [true; 2]));
        let found = changes(&host, vm().cpus(2).memory(VirtMemory::mib(24)).hotcpus(false).cpus(1)).await;
        assert_eq!(found, ["memory: 20 MiB → 24 MiB (at the next start)", "cpus: 2 → 1 (at the next start)"]);
    });
}

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn media_directories_and_networks_are_compared_and_files_are_waited_for() {
    if !inside("changes::media_directories_and_networks_are_compared_and_files_are_waited_for") {
        return;
    }
    let _daemon = Daemon::start();
    on_runtime(async {
        let host = Fake::new().unwrap();
        let (one, two) = (disk("one.iso"), disk("two & more.iso"));
        let share = || VirtFilesystem::new("/run/share", "share").access(VirtAccess::Mapped).read_only();
        let vm = || tiny("vm").cdrom([one.as_str()]).filesystem([share()]);
        let trial = host.put(vm());
        let error = trial.settle().await.unwrap_err();
        assert!(error.to_string().contains("`vm` needs /run/share, which does not exist"), "{error}");
        assert_eq!(error.obstacle().unwrap().path.unwrap().to_str(), Some("/run/share"));
        assert_eq!(state("vm"), "absent");
        fs::create_dir("/run/share").unwrap();
        changes(&host, vm()).await;
        assert_eq!((has("vm", "one.iso"), has("vm", "/run/share")), ([true; 2], [true; 2]));

        // A medium is changed and taken out at once, a directory at the next start.
        let found = changes(&host, vm().cdrom([two.as_str()])).await;
        assert_eq!(found, [format!("cdrom: {one} (raw) → {two} (raw)")]);
        assert_eq!((has("vm", "two &amp; more.iso"), has("vm", "one.iso")), ([true; 2], [false; 2]));
        let found = changes(&host, tiny("vm").cdrom(Vec::<VirtDisk>::new()).filesystem(Vec::new())).await;
        let all = ["cdrom: ", "filesystem: /run/share as share (mapped, read-only) → none (at the next start)"];
        assert!(found.len() == 2 && found.iter().zip(all).all(|(found, words)| found.starts_with(words)), "{found:?}");
        assert_eq!((has("vm", "two &amp; more.iso"), has("vm", "/run/share")), ([false; 2], [true, false]));

        // A network that does not exist is named.
        let card = VirtNetwork::new("nowhere").mac("52:54:00:00:00:0A");
        let error = host.put(tiny("net").network([card])).settle().await.unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing, "{error}");
        assert!(virsh(&["dumpxml", "net"]).contains("52:54:00:00:00:0a"), "it is defined, and waits for it");
    });
}

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn what_other_programs_do_is_undone_at_once() {
    if !inside("changes::what_other_programs_do_is_undone_at_once") {
        return;
    }
    let _daemon = Daemon::start();
    let dir = TempDir::new().unwrap();
    on_runtime(async {
        let (root, foreign) = (disk("root.img"), disk("foreign.img"));
        let mut g = Graph::new("virt");
        g.add(tiny("vm").maxcpus(2).startup(true).disk([root.as_str()]));
        // Another hypervisor at the same time.
        g.add(Virt::new("test").uri("test:///default").paused());
        let engine = start(g, &dir).await;
        within(engine.converged()).await.unwrap();
        let other = |words: &[&str]| {
            let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(words).output().unwrap();
            assert!(output.status.success(), "{words:?}: {output:?}");
        };
        let is_on = || virsh(&["dominfo", "vm"]).contains("Autostart:      enable");
        let cpus = |which| virsh(&["vcpucount", "vm", which, "--active"]) == "1";
        let steps: [(&[&str], &dyn Fn() -> bool); 6] = [
            (&["suspend", "vm"], &|| state("vm") == "running"),
            (&["destroy", "vm"], &|| state("vm") == "running"),
            (&["undefine", "vm"], &|| virsh(&["dominfo", "vm"]).contains("Persistent:     yes") && is_on()),
            // No event reports these; libvirt writes files.
            (&["autostart", "--disable", "vm"], &is_on),
            (&["setvcpus", "vm", "2", "--config"], &|| cpus("--config")),
            (&["attach-disk", "vm", &foreign, "vdx", "--config"], &|| !has("vm", "foreign")[1]),
        ];
        for (words, is_repaired) in steps {
            other(words);
            println!("{}: repaired after {:?}", words.join(" "), wait(&words.join(" "), is_repaired));
            within(engine.converged()).await.unwrap();
        }
        // The process of the machine is killed.
        let pid = fs::read_to_string("/run/libvirt/qemu/vm.pid").unwrap();
        let before = virsh(&["domid", "vm"]);
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        let after = wait("it is started again", || state("vm") == "running" && virsh(&["domid", "vm"]) != before);
        println!("killed: started again after {after:?}");
        within(engine.converged()).await.unwrap();
        engine.stop().await.unwrap();
    });
}
