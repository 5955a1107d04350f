//! What is done in each state, and what is made for containers and other hosts, without a hypervisor.

use std::time::Duration;

use crate::resources::virt::definition::Definition;
use crate::resources::virt::fields::{VirtFilesystem, VirtNetwork, VirtRestart, VirtState};
use crate::resources::virt::judge::{Judged, Step, judge, missing};
use crate::resources::virt::live::Refused;
use crate::resources::virt::wanted::Wanted;
use crate::sys::libvirt::{Action, Domain, DomainState, Element, Hypervisor, Pause, Place};

const XML: &str = "<domain type='kvm'><name>d</name><memory>65536</memory><vcpu>1</vcpu>\
                   <os><type>hvm</type></os><devices/></domain>";

fn hypervisor(domain_type: &str) -> Hypervisor {
    Hypervisor { domain_type: domain_type.to_owned(), arch: "x86_64".to_owned() }
}

fn wanted(uri: &str, state: VirtState) -> Wanted {
    let definition = Definition::of(&Element::parse(XML).unwrap());
    Wanted::as_was("d", Place::of(uri).unwrap(), &definition, state)
}

fn domain(state: DomainState) -> Domain {
    let xml = Element::parse(XML).unwrap();
    let id = (state != DomainState::Shutoff).then_some(1);
    Domain {
        uuid: "u".to_owned(),
        id,
        state,
        is_persistent: true,
        autostart: false,
        live: id.map(|_| xml.clone()),
        saved: xml,
    }
}

fn compared(wanted: &Wanted, domain: &Domain) -> Judged {
    judge(wanted, domain, &Refused::default())
}

#[test]
fn each_state_has_its_reaction() {
    use DomainState::{Crashed, Paused, Running, Shutoff, ShuttingDown, Suspended};
    let act = Step::Act;
    let start = |is_paused| Step::Act(Action::Start(is_paused));
    let destroy = || Step::Act(Action::Destroy);
    // The steps for `running`, `paused` and `shutoff`; `None`: nothing is done.
    let table = [
        (Running, [None, Some(act(Action::Suspend)), Some(Step::Stop)]),
        (Paused(Pause::Asked), [Some(act(Action::Resume)), None, Some(Step::Stop)]),
        (Paused(Pause::DiskError), [Some(act(Action::Resume)), None, Some(Step::Stop)]),
        (Paused(Pause::Work), [None, None, None]),
        (Paused(Pause::Crash), [Some(destroy()), None, Some(destroy())]),
        (Suspended, [Some(act(Action::Wake)), Some(act(Action::Wake)), Some(Step::Stop)]),
        (Crashed, [Some(destroy()), Some(destroy()), Some(destroy())]),
        (ShuttingDown, [Some(Step::Stop), Some(Step::Stop), Some(Step::Stop)]),
        (Shutoff, [Some(start(false)), Some(start(true)), None]),
    ];
    for (state, steps) in table {
        for (declared, step) in [VirtState::Running, VirtState::Paused, VirtState::Shutoff].into_iter().zip(steps) {
            let judged = compared(&wanted("qemu:///system", declared), &domain(state));
            assert_eq!(judged.steps.into_iter().next(), step, "{state} → {declared}");
            let waits = state == Paused(Pause::Work) && declared != VirtState::Paused;
            assert_eq!(judged.problem.is_some(), waits, "{state} → {declared}");
        }
    }
}

#[test]
fn a_container_is_made_with_its_first_program_and_directories() {
    let mut wanted = wanted("lxc:///system", VirtState::Running);
    wanted.osinit = Some("/sbin/init \"x\" & <y>".to_owned());
    wanted.filesystems = Some(vec![VirtFilesystem::new("/srv/root", "/")]);
    wanted.networks = Some(vec![VirtNetwork::new("default")]);
    let judged = missing(&wanted, &hypervisor("lxc")).unwrap();
    let [Step::Define(made)] = judged.steps.as_slice() else { panic!("{:?}", judged.steps) };
    assert_eq!(made.attribute("type"), Some("lxc"));
    assert_eq!(made.at(&["os", "type"]).unwrap().text(), "exe");
    assert_eq!(made.at(&["os", "init"]).unwrap().text(), "/sbin/init \"x\" & <y>");
    assert_eq!(made.at(&["devices", "filesystem", "source"]).unwrap().attribute("dir"), Some("/srv/root"));
    assert!(made.child("features").is_none() && made.at(&["devices", "interface", "model"]).is_none());
    // The plan shows the definition.
    assert!(judged.changes[0].diff.as_ref().unwrap().contains("+  <name>d</name>"));

    // Another first program is read at the next start.
    let mut other = domain(DomainState::Running);
    other.saved.child_mut("os").push(Element::new("init").containing("/bin/sh"));
    other.live = Some(other.saved.clone());
    for (restart, steps) in [(VirtRestart::Ignore, 1), (VirtRestart::Ifneeded, 2), (VirtRestart::Error, 1)] {
        wanted.restart = restart;
        wanted.filesystems = None;
        wanted.networks = None;
        let judged = compared(&wanted, &other);
        assert_eq!((judged.steps.len(), judged.problem.is_some()), (steps, restart == VirtRestart::Error));
        assert!(judged.changes[0].to.starts_with("/sbin/init"), "{:?}", judged.changes);
    }
}

#[test]
fn a_machine_on_another_host_needs_no_files_of_this_one() {
    let there = Place::of("qemu+ssh://root@host.example/system").unwrap();
    assert!(!there.is_local && !there.has_path("/disk".as_ref()) && there.files("d").is_empty());
    let mut wanted = wanted("qemu+ssh://root@host.example/system", VirtState::Running);
    wanted.shutdown = Duration::from_secs(60);
    let judged = missing(&wanted, &hypervisor("kvm")).unwrap();
    assert!(matches!(judged.steps.as_slice(), [Step::Define(_)]));
}
