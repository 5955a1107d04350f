//! Graphs some resources of which are stand-ins.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mgmt_macros::Resource;

use super::*;
use crate::graph::Graph;
use crate::resource::{
    ApplyCx, ApplyItem, Change, CheckCx, CheckItem, Converge, ConvergeMany, Declare as _, Grouped, Known, Result,
    Secret,
};
use crate::resources::{Exec, File, Password};
use crate::sys::simulated::{Answer, Host};
use crate::testing::run::Settled;

fn differs() -> Change {
    Change::new("state", "stopped", "running")
}

/// What `assert_expected` reports.
fn complaint(host: &Host) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| host.assert_expected())).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

fn app(g: &mut Graph) -> Result<()> {
    let conf = g.add(File::new("/etc/app.conf").content("workers = 4\n"));
    let start = Exec::new("start").cmd("start app").retry(1).delay(Duration::from_secs(60));
    let start = g.add(start.after(&conf));
    g.add(Exec::new("reload").cmd("reload app").refreshonly(true).subscribe(&conf).after(&start));
    Ok(())
}

#[test]
fn a_stand_in_answers_as_expected_and_its_kind_does_nothing() {
    let host = Host::new();
    let start = Expect::new().finds(differs()).apply_fails("no such unit").finds(differs()).applies();
    host.stand_in("exec[start]", start);
    host.stand_in("exec[reload]", Expect::new().in_sync().refreshes());
    let mut run = host.start(app);
    run.converge();
    host.assert_expected();
    run.assert_applied(["file[/etc/app.conf]", "exec[start]", "refresh exec[reload]"]);
    assert!(run.story().contains("no such unit"), "{}", run.story());
    assert!(host.elapsed() >= Duration::from_secs(60), "{:?}", host.elapsed());
    assert!(host.commands_run().is_empty(), "{:?}", host.commands_run());
}

#[test]
fn what_has_not_come_and_what_has_come_instead_are_reported_for_each_resource() {
    let host = Host::new();
    host.stand_in("exec[start]", Expect::new().in_sync().refreshes());
    host.stand_in("exec[reload]", Expect::new().finds(differs()));
    host.start(app).converge();
    assert_eq!(
        complaint(&host),
        "stand-ins were asked for something else than expected:\n\
         exec[reload]:\n    check: finds state: stopped → running\n  + apply: succeeds\n\
         exec[start]:\n    check: in sync\n  - refresh: succeeds"
    );
    let host = Host::new();
    host.fail_next("file[/etc/app.conf]", "no space");
    host.stand_in("exec[start]", Expect::new());
    host.start(app).settle();
    host.assert_expected();
    host.stand_in("exec[start]", Expect::new().in_sync());
    assert!(complaint(&host).ends_with("exec[start]:\n  - check: in sync"), "{}", complaint(&host));
}

fn receiving(g: &mut Graph) -> Result<()> {
    let key = g.add(Exec::new("key").cmd("vault read key"));
    let secret = g.add(Password::new("secret"));
    g.add(File::new("/etc/key").content(key.stdout()));
    g.add(File::new("/etc/secret").content(secret.password()));
    Ok(())
}

#[test]
fn values_are_sent_and_those_that_are_received_are_compared() {
    let host = Host::new();
    let read = Expect::new().finds(differs()).applies().sends(Exec::STDOUT, "17".to_owned());
    host.stand_in("exec[key]", read);
    let made = Expect::new().in_sync().sends(Password::PASSWORD, Secret::new("hush".to_owned()));
    host.stand_in("password[secret]", made);
    let fork = host.fork();
    host.stand_in("file[/etc/key]", Expect::new().in_sync().receives("content", "17".to_owned()));
    let secret = |text: &str| Expect::new().in_sync().receives("content", Secret::new(text.to_owned()));
    host.stand_in("file[/etc/secret]", secret("hush"));
    host.start(receiving).converge();
    host.assert_expected();

    // The other host is asked by itself.
    fork.stand_in("file[/etc/key]", Expect::new().in_sync().receives("content", "18".to_owned()));
    fork.stand_in("file[/etc/secret]", secret("psst"));
    fork.start(receiving).converge();
    let complaint = complaint(&fork);
    let key = "file[/etc/key]:\n  - check with `content` \"18\": in sync\n  + check with `content` \"17\": in sync\n";
    assert!(complaint.contains(key), "{complaint}");
    assert!(complaint.contains("  + check with `content` another value: in sync"), "{complaint}");
    assert!(!complaint.contains("hush") && !complaint.contains("psst"), "{complaint}");
}

#[test]
fn a_stand_in_has_the_edges_and_the_values_of_its_resource() {
    let graph = |g: &mut Graph| {
        g.add(File::new("/srv/app/"));
        let list = g.add(Exec::new("list").cmd("list").cwd("/srv/app"));
        g.add(File::new("/srv/app/list").content(list.stdout()));
        Ok(())
    };
    let edges = |host: &Host| -> Vec<String> {
        let run = host.start(graph);
        let mut edges: Vec<String> = run.edges().iter().map(|(from, to)| format!("{from} {to}")).collect();
        edges.sort();
        edges
    };
    let host = Host::new();
    host.command("list", Answer::ok());
    let real = edges(&host);
    assert!(real.contains(&"file[/srv/app/] exec[list]".to_owned()), "{real:?}");
    for id in ["file[/srv/app/]", "exec[list]", "file[/srv/app/list]"] {
        host.stand_in(id, Expect::new());
    }
    assert_eq!(edges(&host), real);
}

#[test]
fn a_watch_reports_on_demand_and_a_further_check_finds_nothing() {
    let host = Host::new();
    let graph = |g: &mut Graph| {
        g.add(File::new("/etc/app.conf").content("x\n"));
        Ok(())
    };
    let file = || Expect::new().finds(differs()).applies();
    host.stand_in("file[/etc/app.conf]", file());
    let mut run = host.start(graph);
    run.converge();
    host.wake("file[/etc/app.conf]");
    run.converge();
    host.assert_expected();
    host.stand_in("file[/etc/app.conf]", file());
    host.wake("file[/etc/app.conf]");
    run.converge();
    host.assert_expected();
    drop(run);
    let unheard = catch_unwind(AssertUnwindSafe(|| host.wake("file[/etc/app.conf]"))).unwrap_err();
    let unheard = unheard.downcast_ref::<String>().unwrap();
    assert_eq!(unheard, "file[/etc/app.conf] is no stand-in with a watch that listens");
}

#[test]
fn what_was_found_and_not_repaired_is_found_again() {
    let host = Host::new();
    host.stand_in("exec[start]", Expect::new().finds(differs()).applies());
    // The apply fails before it begins, so it is still to come.
    host.fail_next("exec[start]", "out of paper");
    host.stand_in("exec[reload]", Expect::new().in_sync().refreshes());
    let mut run = host.start(app);
    run.converge();
    host.assert_expected();
    run.assert_applied(["file[/etc/app.conf]", "exec[start]", "refresh exec[reload]"]);
}

#[test]
fn a_check_of_what_must_not_be_reached_counts() {
    let host = Host::new();
    host.command("start app", Answer::ok());
    host.stand_in("exec[reload]", Expect::new());
    host.start(app).converge();
    assert!(
        complaint(&host).contains("exec[reload]:\n  + check: in sync\n  + refresh: succeeds"),
        "{}",
        complaint(&host)
    );
}

#[test]
fn a_plan_asks_and_uses_nothing_up() {
    let host = Host::new();
    host.stand_in("exec[start]", Expect::new().finds(differs()).applies());
    let plan = host.plan(app).to_string();
    assert!(plan.contains("exec[start]") && plan.contains("stopped → running"), "{plan}");
    assert_eq!(host.plan(app).to_string(), plan);
    host.command("reload app", Answer::ok());
    host.start(app).converge();
    host.assert_expected();
}

#[test]
fn a_stand_in_without_a_resource_and_one_that_does_not_fit_are_refused() {
    let refused = |id: &str, expected: Expect| {
        let host = Host::new();
        host.stand_in(id, expected);
        host.try_start(app, |builder| builder).unwrap_err()
    };
    let error = refused("exec[stop]", Expect::new());
    assert_eq!(error, "there is a stand-in for exec[stop], which is not in the graph");
    let error = refused("exec[start]", Expect::new().in_sync().sends(File::FULL_PATH, String::new()));
    assert_eq!(error, "the stand-in for exec[start]: exec has no output `full_path` of this type");
    let error = refused("exec[start]", Expect::new().in_sync().receives("command", String::new()));
    assert_eq!(error, "the stand-in for exec[start]: exec has no field `command`");
    let error = refused("exec[start]", Expect::new().in_sync().receives("cmd", 17_u64));
    assert!(error.ends_with("`cmd` does not take a value of type u64"), "{error}");
}

/// Rows of a table that does not exist: a real one always fails.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:row", unwatched)]
struct Row {
    #[resource(name)]
    name: String,
}

impl Converge for Row {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(Some(differs()))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

impl ConvergeMany for Row {
    async fn check_many(items: Vec<CheckItem<Row>>) {
        items.into_iter().for_each(|item| item.answer(Ok(Some(differs()))));
    }

    async fn apply_many(items: Vec<ApplyItem<Row>>) {
        let names: Vec<String> = items.iter().map(|item| item.resource().name.clone()).collect();
        items.into_iter().for_each(|item| item.answer(Err(crate::resource::Error::new(names.join("+")))));
    }
}

impl Grouped for Row {
    fn group_key(&self, _: &Known<'_>) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed("all"))
    }
}

#[test]
fn a_stand_in_in_a_group_is_answered_apart_from_the_others() {
    let host = Host::new();
    for name in ["b", "c"] {
        host.stand_in(&format!("test:row[{name}]"), Expect::new().finds(differs()).applies());
    }
    let mut run = host.start(|g: &mut Graph| {
        ["a", "b", "c", "d"].iter().for_each(|name| _ = g.add(Row::new(*name)));
        Ok(())
    });
    assert_eq!(run.settle(), Settled::Hopeless);
    host.assert_expected();
    run.assert_applied_in_any_order(["test:row[b]", "test:row[c]"]);
    assert!(run.story().contains("a+d"), "{}", run.story());
}
