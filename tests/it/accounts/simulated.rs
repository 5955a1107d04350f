//! Graphs with accounts on a simulated host.

use mgmt::prelude::*;
use mgmt::testing::Host;

fn lines(text: Option<String>) -> Vec<String> {
    let mut lines: Vec<String> = text.unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn groups_are_made_changed_and_removed() {
    let host = Host::new();
    host.add_group("old", 1001);
    let mut run = host.start(|g: &mut Graph| {
        g.add(Group::new("app").system(true));
        g.add(Group::new("media").gid(2001u32));
        g.add(Group::new("old").absent());
        Ok(())
    });
    run.converge();
    let groups = host.read("/etc/group").unwrap();
    assert!(groups.contains("\napp:x:100:\n") && groups.contains("\nmedia:x:2001:\n"), "{groups}");
    assert!(!groups.contains("old:"), "{groups}");
    run.forget();
    // Another program changes one, and removes one.
    host.write("/etc/group", groups.replace(":2001:", ":2002:").replace("app:x:100:\n", ""));
    run.converge();
    run.assert_applied_in_any_order(["group[app]", "group[media]"]);
    assert_eq!(lines(host.read("/etc/group")), lines(Some(groups)));
}

#[test]
fn a_group_that_leaves_the_graph_is_as_it_was_before() {
    let host = Host::new();
    host.add_group("media", 1001);
    host.add_user("ann", 1000);
    let groups = host.read("/etc/group").unwrap().replace("media:x:1001:", "media:x:1001:ann");
    host.write("/etc/group", &groups);
    let mut run = host.start(|g: &mut Graph| {
        g.add(Group::new("app").reverse(true));
        g.add(Group::new("media").absent().reverse(true));
        g.add(Group::new("staff").gid(77u32).reverse(true));
        Ok(())
    });
    run.converge();
    assert!(host.read("/etc/group").unwrap().contains("\nstaff:x:77:\n"));
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(lines(host.read("/etc/group")), lines(Some(groups)));
}

#[test]
fn what_got_users_meanwhile_stays_when_it_leaves_the_graph() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Group::new("app").gid(70u32).reverse(true));
        Ok(())
    });
    run.converge();
    let groups = host.read("/etc/group").unwrap().replace("app:x:70:", "app:x:70:root");
    host.write("/etc/group", &groups);
    run.swap(|_: &mut Graph| Ok(()));
    run.converge();
    assert_eq!(host.read("/etc/group"), Some(groups));
    assert!(run.story().contains("the group `app` has got a user since, `root`"), "{}", run.story());
}

#[test]
fn a_plan_shows_each_field_and_why_something_would_fail() {
    let plan = Host::new().plan(|g: &mut Graph| {
        g.add(Group::new("app").gid(70u32));
        g.add(Group::new("adm").gid(50u32));
        g.add(Group::new("tty").gid(5u32));
        g.add(Group::new("root").absent());
        Ok(())
    });
    let text = plan.to_string();
    assert!(text.contains("state: absent → exists\n    gid: none → 70"), "{text}");
    assert!(text.contains("gid: 4 → 50") && text.contains("that of the group `staff`"), "{text}");
    assert!(text.contains("is the main group of the user `root`"), "{text}");
}

#[test]
fn a_gid_that_is_taken_is_waited_for() {
    let host = Host::new();
    let mut run = host.start(|g: &mut Graph| {
        g.add(Group::new("app").gid(50u32));
        Ok(())
    });
    run.pass(Duration::from_secs(60));
    assert!(!host.read("/etc/group").unwrap().contains("app"));
    let groups = host.read("/etc/group").unwrap().replace("staff:x:50:\n", "");
    host.write("/etc/group", groups);
    run.converge();
    assert!(host.read("/etc/group").unwrap().contains("\napp:x:50:\n"));
}

#[test]
fn a_missing_tool_is_named_with_its_package_and_waited_for() {
    let host = Host::new();
    host.remove_program("groupadd *");
    let mut run = host.start(|g: &mut Graph| {
        g.add(Group::new("app"));
        Ok(())
    });
    run.pass(Duration::from_secs(5));
    let story = run.story();
    assert!(
        story.contains("the program `groupadd` is not installed: install the package `passwd` (Debian)"),
        "{story}"
    );
}

#[test]
fn a_name_that_a_tool_would_take_as_something_else_is_refused() {
    for name in ["", "-r", "a b", "a:b", "a,b", "1000", "a\n", "a-name-that-is-longer-than-32-bytes"] {
        let mut g = Graph::new("wrong");
        g.add(Group::new(name));
        let problems = g.finish().and_then(|config| mgmt::graph::validate(&config).map(drop)).unwrap_err();
        assert!(problems.to_string().contains("`name`"), "{name:?}: {problems}");
    }
}
