//! The laws at the test hypervisor of libvirt, which is in the memory of this process.

use std::sync::OnceLock;
use std::time::Duration;

use crate::resources::virt::fields::{VirtBoot, VirtMemory, VirtRestart};
use crate::resources::virt::kind::{Virt, VirtBuilder};
use crate::sys::libvirt::{Action, Element, Libvirt};
use crate::testing::laws::{self, Law, Subject};

fn virt(name: &str) -> VirtBuilder {
    Virt::new(name).uri("test:///default").memory(VirtMemory::mib(64)).cpus(1).shutdown(Duration::ZERO)
}

/// The domains of this hypervisor are there as long as it has a connection.
fn test() -> &'static Libvirt {
    static KEPT: OnceLock<Libvirt> = OnceLock::new();
    KEPT.get_or_init(|| Libvirt::open("test:///default", None).unwrap())
}

fn act(name: &str, action: Action) {
    test().act(name, &action).unwrap();
}

fn reset(name: &str) {
    let libvirt = test();
    let Some(found) = libvirt.domain(name).unwrap() else { return };
    if found.id.is_some() {
        act(name, Action::Destroy);
    }
    if found.is_persistent {
        act(name, Action::Undefine);
    }
}

fn define(name: &str, memory: u32, starts: bool) {
    let number = |name: &str, count: u32| Element::new(name).containing(count);
    let definition = Element::new("domain")
        .with("type", "test")
        .holding(number("name", 0).containing(name))
        .holding(number("memory", memory << 10))
        .holding(number("vcpu", 2).with("current", 1))
        .holding(Element::new("os").holding(Element::new("type").containing("hvm")));
    test().define(name, &definition).unwrap();
    if starts {
        act(name, Action::Start(false));
    }
}

/// A change of the definition that stays.
fn edit(name: &str, does: impl FnOnce(&mut Element)) {
    let libvirt = test();
    let mut saved = libvirt.domain(name).unwrap().unwrap().saved;
    does(&mut saved);
    libvirt.define(name, &saved).unwrap();
}

/// A domain, without what libvirt counts up or chooses.
fn observed(name: &str) -> String {
    let Some(found) = test().domain(name).unwrap() else { return "absent".to_owned() };
    let facts = |xml: &Element| {
        let of = |name: &str| xml.child(name).map(Element::to_string).unwrap_or_default();
        let boot: Vec<_> = xml.child("os").into_iter().flat_map(|os| os.children("boot")).cloned().collect();
        format!("{}{}{}{boot:?}", of("memory"), of("currentMemory"), of("vcpu"))
    };
    let live = found.live.as_ref().map(facts);
    format!("{} {} {} {live:?} {}", found.state, found.is_persistent, found.autostart, facts(&found.saved))
}

fn all() -> Vec<Law> {
    Law::ALL.into_iter().chain([Law::UndoRestores]).collect()
}

#[test]
fn the_laws_hold_for_one_that_must_run() {
    let subject = Subject::new(|_| virt("law-run").maxcpus(2).startup(true).boot([VirtBoot::Network, VirtBoot::Hd]))
        .prepare(|_| reset("law-run"))
        .observe(|_| observed("law-run"))
        .break_it(|_| act("law-run", Action::Destroy))
        .break_it(|_| act("law-run", Action::Suspend))
        .break_it(|_| act("law-run", Action::Undefine))
        .break_it(|_| edit("law-run", |xml| xml.child_mut("vcpu").set("current", 2)))
        .break_it(|_| edit("law-run", |xml| xml.put(Element::new("currentMemory").containing(4096))));
    assert_eq!(laws::check(subject), all());
}

#[test]
fn the_laws_hold_for_one_that_is_restarted() {
    let subject = Subject::new(|_| virt("law-restart").maxcpus(2).restartondiverge(VirtRestart::Ifneeded))
        .prepare(|_| {
            reset("law-restart");
            define("law-restart", 96, true);
        })
        .observe(|_| observed("law-restart"))
        .break_it(|_| act("law-restart", Action::Suspend))
        .break_it(|_| edit("law-restart", |xml| xml.put(Element::new("memory").containing(1 << 20))));
    assert_eq!(laws::check(subject), all());
}

#[test]
fn the_laws_hold_for_one_that_is_transient_and_paused() {
    let subject = Subject::new(|_| virt("law-brief").paused().transient(true))
        .prepare(|_| reset("law-brief"))
        .observe(|_| observed("law-brief"))
        .break_it(|_| act("law-brief", Action::Destroy))
        .break_it(|_| act("law-brief", Action::Resume))
        .break_it(|_| edit("law-brief", |_| ()));
    assert_eq!(laws::check(subject), all());
}

#[test]
fn the_laws_hold_for_one_that_must_not_exist() {
    let subject = Subject::new(|_| Virt::new("law-gone").uri("test:///default").absent().shutdown(Duration::ZERO))
        .prepare(|_| {
            reset("law-gone");
            define("law-gone", 64, true);
        })
        .observe(|_| observed("law-gone"))
        .break_it(|_| define("law-gone", 64, true))
        .break_it(|_| define("law-gone", 64, false));
    assert_eq!(laws::check(subject), all());
}
