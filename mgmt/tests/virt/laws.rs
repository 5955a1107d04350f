//! What every kind must keep, at a real libvirt.

use std::fs;

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};

use crate::daemon::{Daemon, attempt, inside, virsh};
use crate::tiny;

fn all() -> Vec<Law> {
    Law::ALL.into_iter().chain([Law::UndoRestores]).collect()
}

/// A domain as it is, without what libvirt counts up.
fn observed(name: &str) -> String {
    let all = attempt(&format!("domstate {name}; dominfo {name}; dumpxml {name}; dumpxml {name} --inactive"));
    let (state, rest) = all.split_once('\n').unwrap_or_default();
    if state.starts_with("error:") {
        return "absent".to_owned();
    }
    let keep = ["Autostart", "Persistent", "<memory", "<currentMemory", "<vcpu ", "<source", "<boot"];
    let kept = rest.lines().map(str::trim).filter(|line| keep.iter().any(|start| line.starts_with(start)));
    std::iter::once(state).chain(kept).collect::<Vec<_>>().join(" ")
}

fn reset(name: &str) {
    attempt(&format!("destroy {name}; undefine {name}"));
}

fn define(name: &str, memory: u32) {
    let xml = format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu current='1'>2</vcpu>\
         <os><type>hvm</type></os><features><acpi/></features></domain>"
    );
    fs::write("/run/domain.xml", xml).unwrap();
    virsh(&["define", "/run/domain.xml"]);
}

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn the_laws_hold_for_a_domain_that_must_run() {
    if !inside("laws::the_laws_hold_for_a_domain_that_must_run") {
        return;
    }
    let _daemon = Daemon::start();
    let subject = Subject::new(|_| tiny("runs").maxcpus(2).startup(true).boot([VirtBoot::Network, VirtBoot::Hd]))
        // Each cancelled apply is one more start of a machine.
        .cancels(12)
        .prepare(|_| reset("runs"))
        .observe(|_| observed("runs"))
        .break_it(|_| drop(virsh(&["destroy", "runs"])))
        .break_it(|_| drop(virsh(&["autostart", "--disable", "runs"])))
        .break_it(|_| drop(virsh(&["setvcpus", "runs", "2", "--config"])));
    assert_eq!(laws::check(subject), all());
}

#[test]
#[ignore = "needs root, libvirtd and QEMU"]
fn the_laws_hold_for_one_that_must_be_off_or_gone() {
    if !inside("laws::the_laws_hold_for_one_that_must_be_off_or_gone") {
        return;
    }
    let _daemon = Daemon::start();
    let off = Subject::new(|_| tiny("off").maxcpus(2).off())
        .prepare(|_| {
            reset("off");
            define("off", 24);
        })
        .observe(|_| observed("off"))
        .break_it(|_| drop(virsh(&["start", "off"])))
        .break_it(|_| drop(virsh(&["setvcpus", "off", "2", "--config"])))
        .break_it(|_| drop(virsh(&["setmaxmem", "off", "20M", "--config"])));
    assert_eq!(laws::check(off), all());
    let gone = Subject::new(|_| Virt::new("gone").absent())
        .prepare(|_| {
            reset("gone");
            define("gone", 16);
        })
        .observe(|_| observed("gone"))
        .break_it(|_| define("gone", 20));
    assert_eq!(laws::check(gone), all());
}
