//! The names of a simulated host; those of a real one are in `tests/it/hostname.rs`.

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::Hostname;
use crate::testing::{Host, Settled, Survival};

fn names(g: &mut Graph) -> Result<()> {
    g.add(Hostname::new("names").hostname("web1").pretty_hostname("Web \"one\"").reverse(true));
    Ok(())
}

/// The static, the transient and the pretty name.
fn of(host: &Host) -> [String; 3] {
    let read = |path: &str| host.read(path).unwrap_or_default().trim().to_owned();
    [read("/etc/hostname"), host.hostname(), read("/etc/machine-info")]
}

#[test]
fn all_names_are_set_kept_and_put_back() {
    let host = Host::new();
    host.write("/etc/hostname", "before\n");
    host.set_hostname("before");
    host.write("/etc/machine-info", "CHASSIS=vm\n");
    let mut run = host.start(names);
    run.converge();
    run.assert_applied(["hostname[names]"]);
    assert_eq!(of(&host), ["web1", "web1", "CHASSIS=vm\nPRETTY_HOSTNAME=\"Web \"one\"\""]);
    run.forget();
    host.write("/etc/hostname", "other\n");
    run.converge();
    run.assert_applied(["hostname[names]"]);
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(of(&host), ["before", "before", "CHASSIS=vm\nPRETTY_HOSTNAME=\"\""]);
}

#[test]
fn the_name_of_the_resource_is_the_host_name_if_there_is_no_other() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Hostname::new("web2"));
        Ok(())
    });
    run.converge();
    assert_eq!(of(&host), ["web2", "web2", "PRETTY_HOSTNAME=\"web2\""]);
}

#[test]
fn names_that_can_not_be_are_refused() {
    for (wrong, why) in [
        (Hostname::new("n").hostname("a b"), "holds ` `"),
        (Hostname::new("two words"), "holds ` `"),
        (Hostname::new("n").static_hostname("a").transient_hostname("b"), "has that one"),
        (Hostname::new("n").pretty_hostname("a\nb"), "control character"),
    ] {
        let graph = move |g: &mut Graph| {
            g.add(wrong.clone());
            Ok(())
        };
        let problems = Host::new().try_start(graph, |builder| builder).unwrap_err();
        assert!(problems.contains(why), "{problems}");
    }
}

#[test]
fn it_survives_every_single_fault() {
    let host = Host::new();
    host.on_drift("hostname[names]", |host| host.write("/etc/hostname", "other\n"));
    Survival::new(names).host(host).check();
    assert_ne!(Host::new().start(names).settle(), Settled::Hopeless);
}
