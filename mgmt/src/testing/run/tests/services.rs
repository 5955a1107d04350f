//! Services of a simulated host; those of a real systemd are in `tests/it/units.rs`.

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{File, Svc};
use crate::sys::systemd::{Systemd, UnitJob};
use crate::testing::{Host, Settled, Survival};

const CONF: &str = "/etc/app.conf";
const UNIT: &str = "/etc/systemd/system/app.service";

/// A service with its unit file and its configuration.
fn app(g: &mut Graph) -> Result<()> {
    let conf = g.add(File::new(CONF).content("workers = 4\n"));
    g.add(Svc::new("app").running().enabled().subscribe(&conf));
    Ok(())
}

fn host() -> Host {
    let host = Host::new();
    host.service("app", [CONF]);
    host
}

fn state(host: &Host) -> String {
    host.state(&[]).into_iter().filter(|line| line.starts_with("service app")).collect()
}

/// Changes the service as a person would.
fn by_hand(host: &Host, verb: &str) {
    host.on(|| {
        let systemd = Systemd::simulated().expect("the thread is on a simulated host");
        let done = async {
            match verb {
                "disable" => systemd.disable("app").await,
                "mask" => systemd.mask("app").await,
                "stop" => systemd.begin(UnitJob::Stop, "app").await?.ended().await,
                _ => panic!("{verb}"),
            }
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(done).unwrap();
    });
}

#[test]
fn a_service_is_started_and_enabled_and_reloaded_when_its_configuration_changes() {
    let host = host();
    let mut run = host.start(app);
    run.converge();
    run.assert_applied(["file[/etc/app.conf]", "svc[app]"]);
    assert_eq!(state(&host), format!("service app: enabled, runs with the present {CONF}"));
    run.forget();
    run.drift("file[/etc/app.conf]");
    run.converge();
    run.assert_applied(["file[/etc/app.conf]", "refresh svc[app]"]);
    assert!(host.runs_with_present_files("app"));
}

#[test]
fn a_service_that_drifts_is_repaired() {
    let host = host();
    let mut run = host.start(app);
    run.converge();
    for drift in ["stop", "disable", "mask"] {
        run.forget();
        by_hand(&host, drift);
        run.converge();
        run.assert_applied(["svc[app]"]);
        assert_eq!(state(&host), format!("service app: enabled, runs with the present {CONF}"), "{drift}");
    }
}

#[test]
fn a_unit_is_waited_for_until_a_file_brings_it_and_read_again_when_that_changes() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Svc::new("app").running());
        Ok(())
    });
    assert_eq!(run.settle(), Settled::Hopeless);
    host.write(UNIT, "[Service]\nExecStart=/usr/bin/app\n");
    run.converge();
    run.assert_applied(["svc[app]"]);
    assert_eq!(state(&host), "service app: static, runs");
    run.forget();
    host.write(UNIT, "[Service]\nExecStart=/usr/bin/app --fast\n");
    run.converge();
    run.assert_applied(["svc[app]"]);
}

#[test]
fn its_unit_file_comes_first_without_an_edge() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Svc::new("app").running().enabled());
        g.add(File::new(UNIT).content("[Service]\nExecStart=/usr/bin/app\n[Install]\nWantedBy=multi-user.target\n"));
        Ok(())
    });
    run.converge();
    run.assert_applied([&format!("file[{UNIT}]")[..], "svc[app]"]);
}

#[test]
fn it_survives_every_single_fault() {
    Survival::new(app).host(host()).check();
}

#[test]
fn what_has_left_the_graph_is_put_back() {
    let host = host();
    host.write(CONF, "workers = 1\n");
    let graph = |g: &mut Graph| {
        g.add(Svc::new("app").running().enabled().reverse(true));
        Ok(())
    };
    let mut run = host.start(graph);
    run.converge();
    assert_eq!(state(&host), format!("service app: enabled, runs with the present {CONF}"));
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(state(&host), "service app: disabled, does not run");
}

#[test]
fn what_another_program_has_changed_since_stays() {
    let host = host();
    host.write(CONF, "workers = 1\n");
    let mut run = host.start(|g: &mut Graph| {
        g.add(Svc::new("app").enabled().reverse(true));
        Ok(())
    });
    run.converge();
    let host = run.stop();
    by_hand(&host, "mask");
    let mut run = host.start(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(state(&host), "service app: masked, does not run");
}
