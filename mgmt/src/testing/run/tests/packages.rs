//! Packages of a simulated host; those of a real apt are in `tests/it/pkg.rs`.

use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{File, Pkg};
use crate::testing::{Deb, Host, Settled};

const CONF: &str = "/etc/app/app.conf";

fn host() -> Host {
    let host = Host::new();
    host.offer(Deb::new("app", "1.0").file("/usr/bin/app", "old"));
    host.offer(Deb::new("app", "2.0").file("/usr/bin/app", "new").file(CONF, "of the package\n"));
    host.offer(Deb::new("tool", "3").provides("any-tool"));
    host
}

fn own(name: &str) -> crate::resources::PkgBuilder {
    Pkg::new(name).allowunsupported(true)
}

#[test]
fn packages_are_installed_together_and_what_they_ship_is_there() {
    let host = host();
    let mut run = host.start(|g: &mut Graph| {
        g.add(own("app"));
        g.add(own("tool"));
        g.add(Pkg::new("none").uninstalled());
        Ok(())
    });
    run.converge();
    run.assert_applied(["pkg[app]", "pkg[tool]"]);
    assert_eq!((host.package("app").as_deref(), host.package("tool").as_deref()), (Some("2.0"), Some("3")));
    assert_eq!(host.read("/usr/bin/app").as_deref(), Some("new"));
    let ran: Vec<_> = host.commands_run().into_iter().filter(|line| line.starts_with("apt-get ")).collect();
    assert!(ran.len() == 1 && ran[0].ends_with("install -- app tool"), "{ran:?}");
    run.forget();
    run.drift("pkg[app]");
    run.converge();
    run.assert_applied(["pkg[app]"]);
}

#[test]
fn what_is_installed_and_what_is_removed_at_the_same_time_do_not_mix() {
    let host = host();
    host.install_package("tool");
    let mut run = host.start(|g: &mut Graph| {
        g.add(own("app"));
        g.add(own("tool").uninstalled());
        Ok(())
    });
    run.converge();
    run.assert_applied_in_any_order(["pkg[app]", "pkg[tool]"]);
    assert_eq!((host.package("app").as_deref(), host.package("tool")), (Some("2.0"), None));
}

#[test]
fn a_version_is_kept_until_a_newer_one_is_wanted() {
    let host = host();
    let exact = |version: &'static str, may: bool| {
        move |g: &mut Graph| -> Result<()> {
            g.add(own("app").version(version).allowdowngrade(may));
            Ok(())
        }
    };
    host.start(exact("1.0", false)).converge();
    assert_eq!(host.package("app").as_deref(), Some("1.0"));
    let newest = |g: &mut Graph| -> Result<()> {
        g.add(own("app").newest());
        Ok(())
    };
    host.start(newest).converge();
    assert_eq!(host.package("app").as_deref(), Some("2.0"));
    assert_eq!(host.start(exact("1.0", false)).settle(), Settled::Hopeless);
    assert_eq!(host.package("app").as_deref(), Some("2.0"));
    host.start(exact("1.0", true)).converge();
    assert_eq!(host.package("app").as_deref(), Some("1.0"));
}

#[test]
fn an_unknown_name_fails_alone_and_a_name_that_another_package_provides_is_installed() {
    let host = host();
    host.install_package("tool");
    let mut run = host.start(|g: &mut Graph| {
        g.add(own("app"));
        g.add(own("nowhere"));
        g.add(Pkg::new("any-tool"));
        Ok(())
    });
    assert_eq!(run.settle(), Settled::Hopeless);
    run.assert_applied(["pkg[app]"]);
    host.offer(Deb::new("nowhere", "1"));
    host.write("/var/lib/apt/lists/x_Packages", "");
    run.converge();
    assert_eq!(host.package("nowhere").as_deref(), Some("1"));
}

#[test]
fn a_package_that_has_left_the_graph_is_removed_again() {
    let host = host();
    let with = |g: &mut Graph| -> Result<()> {
        g.add(own("app").reverse(true));
        g.add(File::new("/etc/other").content("x"));
        Ok(())
    };
    let without = |g: &mut Graph| -> Result<()> {
        g.add(File::new("/etc/other").content("x"));
        Ok(())
    };
    host.start(with).converge();
    assert!(host.package("app").is_some());
    host.start(without).converge();
    assert_eq!(host.package("app"), None);
    assert_eq!(host.read(CONF).as_deref(), Some("of the package\n"), "settings stay");
}
