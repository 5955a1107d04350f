//! Graphs that survive, and graphs that do not.

use super::*;
use crate::graph::Graph;
use crate::resource::{Declare as _, Result};
use crate::resources::{Exec, File};
use crate::sys::simulated::Host;

/// A service with its configuration. `notifies`: it is restarted when that has changed.
fn app(g: &mut Graph, notifies: bool) -> Result<()> {
    g.add(File::new("/etc/app/"));
    let conf = g.add(File::new("/etc/app/app.conf").content("workers = 4\n"));
    let start = g.add(Exec::new("start").cmd("systemctl start app").nifcmd("systemctl is-active app").after(&conf));
    if notifies {
        g.add(Exec::new("restart").cmd("systemctl restart app").refreshonly(true).subscribe(&conf).after(&start));
    }
    Ok(())
}

fn host() -> Host {
    let host = Host::new();
    host.service("app", ["/etc/app/app.conf"]);
    host
}

#[test]
fn a_graph_of_files_survives() {
    survives(|g: &mut Graph| {
        g.add(File::new("/srv/site/"));
        (0..5).for_each(|n| _ = g.add(File::new(format!("/srv/site/{n}")).content("hello\n").mode(0o600)));
        Ok(())
    });
}

#[test]
fn a_missing_notify_is_found() {
    let report = Survival::new(|g: &mut Graph| app(g, false)).host(host()).report().unwrap();
    let faults: Vec<&str> = report.broken.iter().map(|broken| broken.fault.as_str()).collect();
    assert_eq!(faults, ["drift file[/etc/app/app.conf]"], "{report}");
    let broken = &report.broken[0];
    assert_eq!(broken.invariant, Invariant::ReachesTheSameState);
    assert!(broken.seen.contains("with an old /etc/app/app.conf"), "{}", broken.seen);
}

#[test]
fn with_the_notify_the_graph_survives() {
    let report = Survival::new(|g: &mut Graph| app(g, true)).host(host()).report().unwrap();
    assert!(report.is_well() && report.faults > 10, "{report}");
}
