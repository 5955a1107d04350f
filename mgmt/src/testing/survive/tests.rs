//! Graphs that survive, and graphs that do not.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use mgmt_macros::Resource;

use super::*;
use crate::graph::Graph;
use crate::resource::{ApplyCx, Change, CheckCx, Converge, Declare as _, Result};
use crate::resources::{Exec, File};
use crate::sys::fs::WriteOptions;
use crate::sys::simulated::{Answer, Host, Part, here};

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
        g.add(File::new("/srv/site/owned/").owner("www-data"));
        g.add(File::new("/srv/site/closed/").mode(0o2750).owner("www-data").group("adm"));
        (0..5).for_each(|n| _ = g.add(File::new(format!("/srv/site/{n}")).content("hello\n").mode(0o600)));
        Ok(())
    });
}

#[test]
fn a_missing_notify_is_found() {
    let report = Survival::new(|g: &mut Graph| app(g, false)).host(host()).report().unwrap();
    assert_eq!(faults(&report), ["drift file[/etc/app/app.conf]"], "{report}");
    let broken = &report.broken[0];
    assert_eq!(broken.invariant, Invariant::ReachesTheSameState);
    assert!(broken.seen.contains("with an old /etc/app/app.conf"), "{}", broken.seen);
}

#[test]
fn with_the_notify_the_graph_survives() {
    let report = Survival::new(|g: &mut Graph| app(g, true)).host(host()).report().unwrap();
    assert!(report.is_well() && report.faults > 10, "{report}");
}

/// The faults that broke something.
fn faults(report: &Report) -> Vec<&str> {
    report.broken.iter().map(|broken| broken.fault.as_str()).collect()
}

/// A program that adds a line to a file each time it runs.
fn appends(host: &Host) {
    host.program("append *", |called| {
        let path = &called.args()[0];
        let old = called.host.read(path).unwrap_or_default();
        called.host.write(path, old + "one more\n");
        Answer::ok()
    });
}

#[test]
fn a_command_that_every_engine_repeats_is_found_without_a_fault() {
    let host = Host::new();
    appends(&host);
    let graph = |g: &mut Graph| {
        g.add(Exec::new("append").cmd("append /etc/list"));
        Ok(())
    };
    let report = Survival::new(graph).host(host.fork()).report().unwrap();
    assert_eq!((faults(&report), report.broken[0].invariant), (vec![""], Invariant::IsIdempotent), "{report}");
    let report = Survival::new(graph).host(host).may_repeat("exec[append]").report().unwrap();
    // It may repeat, but it must leave the host as it was.
    assert_eq!(report.broken[0].invariant, Invariant::ReachesTheSameState, "{report}");
}

#[test]
fn a_repair_that_is_done_twice_after_a_kill_is_found() {
    let host = Host::new();
    appends(&host);
    let graph = |g: &mut Graph| {
        // The mistake: whether the first has run is known only when the second has.
        let append = g.add(Exec::new("append").cmd("append /etc/list").nifcmd("test -e /etc/appended"));
        g.add(Exec::new("note").cmd("touch /etc/appended").creates("/etc/appended").after(&append));
        Ok(())
    };
    let report = Survival::new(graph).host(host).report().unwrap();
    let found = faults(&report);
    for fault in ["fail exec[note]", "crash exec[append]"] {
        assert!(found.contains(&fault), "{report}");
    }
    let twice =
        report.broken.iter().all(|broken| broken.seen.contains("+ /etc/list file 0644 root:root “one more\\none more"));
    assert!(twice, "{report}");
}

/// Keeps a key in a file. The mistake: its repair uses a file of its own beside it, and no check looks for that.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:careless", unwatched)]
struct Careless {
    #[resource(name)]
    path: String,
}

impl Converge for Careless {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let is_there = cx.fs().stat(&self.path)?.is_some();
        Ok((!is_there).then(|| Change::new("key", "none", "a key")))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        let draft = format!("{}.draft", self.path);
        cx.fs_mut().write_file(&draft, "the secret key", &WriteOptions::default())?;
        cx.fs_mut().write_file(&self.path, "the secret key", &WriteOptions::default())?;
        cx.fs_mut().remove_file(&draft)?;
        Ok(())
    }
}

#[test]
fn a_secret_that_a_killed_repair_leaves_behind_is_found() {
    let graph = |g: &mut Graph| {
        g.add(Careless::new("/etc/key"));
        Ok(())
    };
    let report = Survival::new(graph).report().unwrap();
    assert_eq!(faults(&report), ["torn test:careless[/etc/key]"], "{report}");
    assert!(report.broken[0].seen.contains("+ /etc/key.draft file"), "{report}");
}

#[test]
fn what_a_resource_does_not_keep_is_no_fault_and_is_reported() {
    let graph = |g: &mut Graph| {
        g.add(File::new("/etc/any").mode(0o600));
        g.add(File::new("/etc/kept").content("x\n"));
        g.add(Exec::new("true").cmd("true").creates("/etc/any"));
        Ok(())
    };
    let host = Host::new();
    host.write("/etc/any", "what a person has written\n");
    let report = Survival::new(graph).host(host).faults([Fault::Drift]).report().unwrap();
    assert!(report.is_well() && report.faults == 1, "{report}");
    assert!(report.unmet.contains(&"drift file[/etc/any]".to_owned()), "{:?}", report.unmet);
    assert!(report.unmet.contains(&"drift exec[true]".to_owned()), "{:?}", report.unmet);
}

/// The knobs of a simulated host: a door of another program.
#[derive(Debug, Default)]
struct Knobs(Mutex<BTreeMap<String, u32>>);

impl Part for Knobs {
    fn fork(&self) -> Knobs {
        Knobs(Mutex::new(self.0.lock().unwrap().clone()))
    }

    fn state(&self, _: &Host) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(name, value)| format!("knob {name}: {value}")).collect()
    }
}

/// Keeps a knob at a value. It has no path and no watch.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:knob", unwatched)]
struct Knob {
    #[resource(name)]
    name: String,
    value: u32,
}

impl Converge for Knob {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        let knobs = here().expect("the test runs on a simulated host").part::<Knobs>();
        let found = knobs.0.lock().unwrap().get(&self.name).copied();
        Ok((found != Some(self.value)).then(|| Change::new("value", format!("{found:?}"), self.value.to_string())))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        let knobs = here().expect("the test runs on a simulated host").part::<Knobs>();
        knobs.0.lock().unwrap().insert(self.name.clone(), self.value);
        Ok(())
    }
}

#[test]
fn a_resource_without_a_path_drifts_as_its_test_sets() {
    let host = Host::new();
    host.on_drift("test:knob[volume]", |host| _ = host.part::<Knobs>().0.lock().unwrap().insert("volume".into(), 11));
    let knob = |poll: Option<Duration>| {
        move |g: &mut Graph| {
            let knob = Knob::new("volume", 3_u32);
            g.add(match poll {
                Some(poll) => knob.poll(poll),
                None => knob,
            });
            Ok(())
        }
    };
    let report = Survival::new(knob(Some(Duration::from_secs(60)))).host(host.fork()).report().unwrap();
    assert!(report.is_well() && report.faults == 4, "{report}");
    assert_eq!(report.unmet, ["loss test:knob[volume]"]);
    // The mistake: nothing looks at the knob again.
    let report = Survival::new(knob(None)).host(host).report().unwrap();
    assert_eq!(faults(&report), ["drift test:knob[volume]"], "{report}");
    assert!(report.broken[0].seen.contains("- knob volume: 3\n+ knob volume: 11"), "{report}");
}

#[test]
fn drifts_one_after_the_other_are_found_like_each_alone() {
    let graph = |g: &mut Graph| {
        let start = g.add(Exec::new("start").cmd("systemctl start app").nifcmd("systemctl is-active app"));
        (0..20).for_each(|n| _ = g.add(File::new(format!("/etc/{n}")).content("x\n").before(&start)));
        Ok(())
    };
    let host = Host::new();
    host.service("app", ["/etc/3", "/etc/17"]);
    let report = Survival::new(graph).host(host).faults([Fault::Drift]).report().unwrap();
    assert_eq!(faults(&report), ["drift file[/etc/3]", "drift file[/etc/17]"], "{report}");
    assert_eq!(report.faults, 20);
}
