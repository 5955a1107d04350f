//! Fields in YAML, at a real libvirt.

use std::fs;

use mgmt::Engine;
use mgmt::gapi::{YamlOptions, read_yaml};
use mgmt::testing::TempDir;

use crate::daemon::{Daemon, inside, state, virsh};
use crate::{on_runtime, within};

const GRAPH: &str = "
graph: g
resources:
  virt:
  - name: machine
    uri: qemu:///system
    state: paused
    transient: false
    cpus: 1
    maxcpus: 4
    hotcpus: true
    memory: 16384
    boot: [cdrom, hd]
    disk: [{source: /run/disk, type: raw}]
    cdrom: [{source: /run/cd.iso}]
    network: []
    filesystem: [{access: passthrough, source: /run/share, target: share, read_only: true}]
    startup: true
    restartondiverge: ifneeded
    restartonrefresh: true
    shutdown: 0
";

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn a_machine_with_every_field_is_made_from_yaml() {
    if !inside("yaml::a_machine_with_every_field_is_made_from_yaml") {
        return;
    }
    let _daemon = Daemon::start();
    let dir = TempDir::new().unwrap();
    for file in ["/run/disk", "/run/cd.iso"] {
        fs::File::create(file).unwrap().set_len(1 << 20).unwrap();
    }
    fs::create_dir("/run/share").unwrap();
    on_runtime(async {
        let read = read_yaml("g.yaml", GRAPH.as_bytes(), &YamlOptions::default()).unwrap();
        let engine = Engine::builder().graph(read.config).prefix(dir.path().join("prefix")).start().await.unwrap();
        within(engine.converged()).await.unwrap();
        assert_eq!(state("machine"), "paused");
        let xml = virsh(&["dumpxml", "machine"]);
        for words in [
            "<vcpu placement='static' current='1'>4</vcpu>",
            "<boot dev='cdrom'/>",
            "<source file='/run/disk' index=",
            "<source dir='/run/share'/>",
            "<readonly/>",
        ] {
            assert!(xml.contains(words), "{words}: {xml}");
        }
        assert!(virsh(&["dominfo", "machine"]).contains("Autostart:      enable"));
        engine.stop().await.unwrap();
    });
}

#[test]
fn what_is_no_field_is_found_with_its_place() {
    for (line, problem) in [
        ("    restartondiverge: sometimes\n", "restartondiverge"),
        ("    disk: [{source: /a, format: raw}]\n", "format"),
        ("    boot: [usb]\n", "usb"),
        ("    memory: lots\n", "memory"),
        ("    cpus: 5\n    maxcpus: 4\n", "is more than `maxcpus`"),
    ] {
        let text = format!("graph: g\nresources:\n  virt:\n  - name: m\n{line}");
        let found = match read_yaml("g.yaml", text.as_bytes(), &YamlOptions::default()) {
            Err(problems) => problems.to_string(),
            Ok(read) => mgmt::graph::validate(&read.config).unwrap_err().to_string(),
        };
        assert!(found.contains(problem) && found.contains("g.yaml:"), "{line}: {found}");
    }
    let container = "graph: g\nresources:\n  virt:\n  - {name: c, uri: 'lxc:///system', memory: 65536, osinit: /sbin/init, \
                     auth: {username: admin, password: canary}}\n";
    let read = read_yaml("g.yaml", container.as_bytes(), &YamlOptions::default()).unwrap();
    assert!(!format!("{:?}", read.config).contains("canary"));
}
