//! Containers of a simulated host; those of a real systemd are in `tests/it/nspawn.rs`.

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{File, Nspawn};
use crate::testing::{Host, Settled, Survival};

const UNIT: &str = "systemd-nspawn@web.service";
const IMAGE: &str = "/var/lib/machines/web/";

fn host() -> Host {
    let host = Host::new();
    host.service(UNIT, Vec::<String>::new());
    host
}

fn state(host: &Host) -> String {
    host.state(&[]).into_iter().filter(|line| line.starts_with("service systemd-nspawn@web")).collect()
}

#[test]
fn a_container_waits_for_its_image_and_is_started() {
    let host = host();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Nspawn::new("web").enabled());
        Ok(())
    });
    assert_eq!(run.settle(), Settled::Hopeless);
    host.write(format!("{IMAGE}etc/os-release"), "ID=x\n");
    run.converge();
    run.assert_applied(["nspawn[web]"]);
    assert!(state(&host).contains("enabled, runs"), "{}", state(&host));
}

#[test]
fn its_image_and_its_settings_come_first_and_it_survives_every_single_fault() {
    let host = host();
    let declare = |g: &mut Graph| -> Result<()> {
        g.add(Nspawn::new("web"));
        g.add(File::new("/etc/systemd/nspawn/web.nspawn").content("[Exec]\nBoot=no\n"));
        g.add(File::new(IMAGE));
        Ok(())
    };
    host.write("/etc/systemd/nspawn/other.nspawn", "");
    host.write("/var/lib/machines/.keep", "");
    let mut run = host.start(declare);
    run.converge();
    assert_eq!(run.applied().last().map(String::as_str), Some("nspawn[web]"));
    Survival::new(declare).host(host).check();
}

#[test]
fn one_that_has_left_the_graph_is_stopped_again() {
    let host = host();
    host.write(format!("{IMAGE}etc/os-release"), "ID=x\n");
    let mut run = host.start(|g: &mut Graph| {
        g.add(Nspawn::new("web").reverse(true));
        Ok(())
    });
    run.converge();
    assert!(state(&host).contains("runs"), "{}", state(&host));
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert!(!state(&host).contains("runs"), "{}", state(&host));
}
