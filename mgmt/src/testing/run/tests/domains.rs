//! The domains of a simulated host; those of a real libvirt are in `mgmt/tests/virt`.

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{File, Virt, VirtMemory, VirtNetwork, VirtRestart};
use crate::testing::{Host, Settled, Survival};

fn machines(g: &mut Graph) -> Result<()> {
    let disk = g.add(File::new("/srv/web.img").content("a disk\n"));
    let web = g.add(
        Virt::new("web")
            .memory(VirtMemory::gib(1))
            .cpus(2)
            .disk(["/srv/web.img"])
            .network([VirtNetwork::new("default")])
            .startup(true)
            .reverse(true)
            .after(&disk),
    );
    g.add(File::new("/etc/up").content("web runs\n").after(&web));
    g.add(Virt::new("old").memory(VirtMemory::mib(256)).paused().restartondiverge(VirtRestart::Ifneeded).reverse(true));
    Ok(())
}

const OLD: &str = "<domain type='kvm'><name>old</name><memory>524288</memory><vcpu>1</vcpu></domain>";

fn host() -> Host {
    let host = Host::new();
    host.add_domain(OLD);
    host
}

const WEB: &str = "running, with 1048576 KiB 2 cpus 1 disk 1 interface, defined with 1048576 KiB 2 cpus 1 disk 1 interface, \
                   autostart";

#[test]
fn domains_are_made_kept_and_put_back() {
    let host = host();
    let mut run = host.start(machines);
    run.converge();
    assert_eq!(host.domain("web").as_deref(), Some(WEB));
    let old = "paused, with 262144 KiB 1 cpus, defined with 262144 KiB 1 cpus";
    assert_eq!(host.domain("old").as_deref(), Some(old));

    // Other programs change them, one after the other.
    type Change = fn(&Host);
    let changes: [(&str, Change); 4] = [
        ("virt[web]", |host| host.stop_domain("web")),
        ("virt[web]", |host| host.pause_domain("web")),
        ("virt[web]", |host| host.set_domain_cpus("web", 1)),
        ("virt[old]", |host| host.stop_domain("old")),
    ];
    for (resource, change) in changes {
        run.forget();
        change(&host);
        run.converge();
        run.assert_applied([resource]);
    }
    assert_eq!(host.domain("web").as_deref(), Some(WEB));
    host.remove_domain("web");
    run.converge();
    assert_eq!(host.domain("web").as_deref(), Some(WEB));

    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(host.domain("web"), None);
    let before = "running, with 524288 KiB 1 cpus, defined with 524288 KiB 1 cpus";
    assert_eq!(host.domain("old").as_deref(), Some(before));
}

#[test]
fn a_disk_that_comes_later_is_waited_for() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Virt::new("vm").memory(VirtMemory::mib(64)).disk(["/mnt/disk.img"]));
        Ok(())
    });
    assert_eq!(run.settle(), Settled::Hopeless);
    run.assert_nothing_applied();
    host.make_dir("/mnt");
    host.write("/mnt/disk.img", "a disk");
    run.converge();
    run.assert_applied(["virt[vm]"]);
}

#[test]
fn it_survives_every_single_fault() {
    let host = host();
    host.on_drift("virt[web]", |host| host.stop_domain("web"));
    host.on_drift("virt[old]", |host| host.stop_domain("old"));
    Survival::new(machines).host(host).check();
}
