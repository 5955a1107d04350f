//! Edges that follow from what resources are: which, why, which not, and what an engine makes of them.

mod kinds;
mod laws;
mod run;

use mgmt::graph::{AutoEdges, GraphConfig, Prepared, Reduction, Settings, prepare};
use mgmt::prelude::*;
use mgmt::resource::Origin;

use kinds::{Account, Asks, Container, Pkg, Svc, Team};

fn graph(declare: impl FnOnce(&mut Graph)) -> GraphConfig {
    let mut g = Graph::new("g");
    declare(&mut g);
    g.finish().unwrap()
}

fn settings() -> Settings {
    Settings::default().pass(AutoEdges).pass(Reduction)
}

fn with_edges(declare: impl FnOnce(&mut Graph)) -> Prepared {
    prepare(graph(declare), &settings()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The edges that were added, as `second after first: why`, sorted.
fn added(prepared: &Prepared) -> Vec<String> {
    let id = |at: u32| prepared.config().vertices[at as usize].id();
    let automatic = prepared.config().edges.iter().filter_map(|edge| match &edge.origin {
        Origin::Pass(reason) => Some(format!("{} after {}: {}", id(edge.to), id(edge.from), reason.why)),
        _ => None,
    });
    let mut all: Vec<_> = automatic.collect();
    all.sort();
    all
}

/// The edges of a graph without warnings.
#[track_caller]
fn edges(declare: impl FnOnce(&mut Graph)) -> Vec<String> {
    let prepared = with_edges(declare);
    assert!(prepared.warnings().is_empty(), "{:?}", prepared.warnings());
    assert!(prepared.config().edges.iter().all(|edge| !edge.notify || !matches!(edge.origin, Origin::Pass(_))));
    added(&prepared)
}

#[test]
fn a_file_comes_after_the_nearest_directory_that_is_managed() {
    let found = edges(|g| {
        g.add(File::new("/a/b/c/d").content("x"));
        g.add(File::new("/a/b/"));
        g.add(File::new("/a/bc").content("x"));
        g.add(File::new("/a/b.d/x").content("x"));
        g.add(File::new("/a/"));
        g.add(File::new("other").path("/a/b//./e"));
    });
    assert_eq!(
        found,
        [
            "file[/a/b.d/x] after file[/a/]: its directory",
            "file[/a/b/] after file[/a/]: its directory",
            "file[/a/b/c/d] after file[/a/b/]: its directory",
            "file[/a/bc] after file[/a/]: its directory",
            "file[other] after file[/a/b/]: its directory",
        ]
    );
}

#[test]
fn a_file_comes_after_its_owner_its_group_and_the_originals_of_its_content() {
    let found = edges(|g| {
        g.add(File::new("/srv/x").content("x").owner("www").group("web"));
        g.add(File::new("/srv/y").source("/opt/y"));
        g.add(File::new("/srv/all").fragments(["/opt/head", "/opt/parts.d/"]));
        g.add(File::new("/srv/tree/").source("/opt/tree/"));
        g.add(File::new("/srv/link").symlink("/opt/y"));
        g.add(File::new("/srv/near").symlink("../opt/tree/leaf"));
        g.add(Account::new("www"));
        g.add(Team::new("web"));
        g.add(File::new("/opt/y").content("y"));
        g.add(File::new("/opt/head").content("head"));
        g.add(File::new("/opt/parts.d/1").content("1"));
        g.add(File::new("/opt/parts.d/2").absent());
        g.add(File::new("/opt/tree/leaf").content("leaf"));
    });
    assert_eq!(
        found,
        [
            "file[/srv/all] after file[/opt/head]: a fragment of it",
            "file[/srv/all] after file[/opt/parts.d/1]: a fragment of it",
            "file[/srv/all] after file[/opt/parts.d/2]: a fragment of it",
            "file[/srv/link] after file[/opt/y]: the target of the symlink",
            "file[/srv/near] after file[/opt/tree/leaf]: the target of the symlink",
            "file[/srv/tree/] after file[/opt/tree/leaf]: its source",
            "file[/srv/x] after team[web]: its group",
            "file[/srv/x] after user-account[www]: its owner",
            "file[/srv/y] after file[/opt/y]: its source",
        ]
    );
}

#[test]
fn what_must_be_absent_needs_nothing_and_is_waited_for_by_nothing() {
    let prepared = with_edges(|g| {
        g.add(File::new("/r/a/gone").absent());
        g.add(File::new("/r/a/"));
        g.add(File::new("/r/b/").absent());
        g.add(File::new("/r/b/x").content("x"));
        g.add(File::new("/r/b/y").content("y"));
        g.add(File::new("/r/"));
        g.add(File::new("/r/c").content("c").owner("old"));
        g.add(Account::new("old").absent(true));
    });
    // The directory that is removed is no directory of anything: the next one above is.
    let above = ["a/", "b/x", "b/y", "c"].map(|path| format!("file[/r/{path}] after file[/r/]: its directory"));
    assert_eq!(added(&prepared), above);
    let [warning] = prepared.warnings() else { panic!("{:?}", prepared.warnings()) };
    let text = warning.to_string();
    assert!(
        text.starts_with(
            "file[/r/b/x] lies in /r/b, which file[/r/b/] removes: it can't stay there; remove one of the two declarations; \
             the same holds for 1 more resources\n  at "
        ),
        "{text}"
    );
    assert!(text.contains("file[/r/b/] at ") && text.contains("autoedges.rs"), "{text}");
}

#[test]
fn a_command_comes_after_every_program_that_it_names() {
    let found = edges(|g| {
        g.add(
            Exec::new("all")
                .cmd("/opt/app/bin/run -x")
                .ifcmd(["/opt/if", "./other"])
                .ifcwd("/opt")
                .nifcmd("nif -x")
                .watchcmd("cat x | /opt/watch; relay")
                .watchshell("/opt/sh")
                .donecmd("/opt/x/../done"),
        );
        for path in
            ["/opt/if", "/opt/other", "/usr/local/bin/nif", "/opt/watch", "/opt/sh", "/opt/done", "/usr/bin/relay"]
        {
            g.add(File::new(path).mode(0o755));
        }
        // With everything in it.
        g.add(File::new("/opt/app/").source("/srv/app/").recurse(true));
        g.add(File::new("/usr/bin/x").mode(0o755));
        g.add(Pkg::new("app").files(["/opt/app/bin/run", "/usr/bin/nif"]));
    });
    let after = |other: &str, why: &str| format!("exec[all] after {other}: {why}");
    let program = |path: &str| after(&format!("file[{path}]"), "its program");
    let mut expected: Vec<String> =
        ["/opt/if", "/opt/other", "/usr/local/bin/nif", "/opt/watch", "/opt/sh", "/opt/done", "/usr/bin/relay"]
            .into_iter()
            .map(program)
            .collect();
    // The package comes before the directory that it ships into, so its own edge is not needed beside that.
    expected.push(program("/opt/app/"));
    expected.push(after("package[app]", "the package of its program"));
    expected.push("file[/opt/app/] after package[app]: it ships the file".to_owned());
    expected.retain(|edge| edge != &after("package[app]", "the package of its program"));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_command_comes_after_its_directories_its_files_and_its_user() {
    let found = edges(|g| {
        g.add(
            Exec::new("x")
                .cmd("true")
                .cwd("/run/in")
                .watchfiles(["/etc/watched"])
                .mtimes(["/opt/made"])
                .creates("/var/out/x")
                .user("www")
                .group("web"),
        );
        g.add(Exec::new("y").cmd("true").args(["/bin/no"]).creates("/opt/made"));
        g.add(File::new("/opt/made/in/it").content("x"));
        for path in ["/run/in/", "/var/out/"] {
            g.add(File::new(path));
        }
        g.add(File::new("/etc/watched").content("x"));
        g.add(Account::new("www"));
        g.add(Team::new("web"));
    });
    assert_eq!(
        found,
        [
            "exec[x] after exec[y]: a file that it compares",
            "exec[x] after file[/etc/watched]: a file that it watches",
            "exec[x] after file[/run/in/]: the directory it runs in",
            "exec[x] after file[/var/out/]: the directory of what it creates",
            "exec[x] after team[web]: its group",
            "exec[x] after user-account[www]: its user",
            "file[/opt/made/in/it] after exec[y]: its directory",
        ]
    );
}

#[test]
fn what_is_served_comes_after_its_server_and_its_file() {
    let found = edges(|g| {
        g.add(HttpFile::new("/x").source("/srv/x").server("a"));
        g.add(HttpFile::new("/any").data("any"));
        g.add(HttpServer::new("a").address("127.0.0.1:1").root("/srv"));
        g.add(File::new("/srv/"));
    });
    assert_eq!(
        found,
        [
            "http:file[/any] after http:server[a]: its server",
            "http:file[/x] after http:server[a]: its server",
            "http:server[a] after file[/srv/]: the directory that it serves",
        ]
    );
}

#[test]
fn what_needs_nothing_has_no_edges() {
    let found = edges(|g| {
        g.add(Noop::new("/a/n"));
        g.add(Timer::new("/a/t", Duration::from_secs(1)));
        g.add(Value::new("/a/v").value("/a/"));
        g.add(Password::new("/a/p"));
        g.add(Msg::new("/a/m").body("/a/"));
        g.add(File::new("/a/"));
    });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_is_received_is_not_guessed() {
    let found = edges(|g| {
        g.add(File::new("/srv/"));
        let text = g.add(Value::new("path").value("/srv/x"));
        let file = g.add(File::new("file").path(text.value()));
        g.add(File::new("/tmp/copy").source(file.full_path()));
        g.add(Exec::new("x").cmd(text.value()).cwd("/"));
    });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn services_come_after_their_unit_files_and_drop_ins() {
    let found = edges(|g| {
        g.add(Svc::new("web"));
        g.add(Svc::new("getty@tty1"));
        g.add(Svc::new("mail.timer").home("/home/me"));
        g.add(Container::new("box"));
        g.add(Svc::new("systemd-nspawn@box"));
        for path in [
            "/etc/systemd/system/web.service",
            "/usr/lib/systemd/system/web.service.d/10.conf",
            "/lib/systemd/system/getty@.service",
            "/home/me/.config/systemd/user/mail.timer",
            "/etc/systemd/system/webs.service",
            "/etc/systemd/system/mail.timer",
        ] {
            g.add(File::new(path).content("x"));
        }
        g.add(File::new("/etc/systemd/system/web.service.d/old.conf").absent());
    });
    assert_eq!(
        found,
        [
            "service[getty@tty1] after file[/lib/systemd/system/getty@.service]: its unit file",
            "service[mail.timer] after file[/home/me/.config/systemd/user/mail.timer]: its unit file",
            "service[web] after file[/etc/systemd/system/web.service.d/old.conf]: a drop-in of its unit",
            "service[web] after file[/etc/systemd/system/web.service]: its unit file",
            "service[web] after file[/usr/lib/systemd/system/web.service.d/10.conf]: a drop-in of its unit",
        ]
    );
}

#[test]
fn packages_come_before_what_they_ship_and_the_result_is_minimal() {
    let found = edges(|g| {
        g.add(File::new("/etc/foo.conf").content("x"));
        g.add(File::new("/etc/foo.d/"));
        g.add(File::new("/usr/"));
        g.add(File::new("/etc/"));
        g.add(Svc::new("foo"));
        g.add(Container::new("box"));
        g.add(Pkg::new("foo").files([
            "/etc/foo.conf",
            "/etc/foo.d/",
            "/etc/foo.d/a",
            "/usr/bin/foo",
            "/lib/systemd/system/foo.service",
            "/usr/lib/systemd/system/systemd-nspawn@box.service",
        ]));
    });
    assert_eq!(
        found,
        [
            "container[box] after package[foo]: it ships the unit",
            "file[/etc/foo.conf] after file[/etc/]: its directory",
            "file[/etc/foo.conf] after package[foo]: it ships the file",
            "file[/etc/foo.d/] after file[/etc/]: its directory",
            "file[/etc/foo.d/] after package[foo]: it ships the file",
            "file[/usr/] after package[foo]: it ships the file",
            "service[foo] after package[foo]: it ships the unit",
        ]
    );
}

#[test]
fn a_path_has_two_spellings_where_directories_are_merged() {
    let found = edges(|g| {
        g.add(File::new("/lib/x/").mode(0o755));
        g.add(Pkg::new("x").files(["/usr/lib/x/a", "/lib/x/b"]));
    });
    assert_eq!(found, ["file[/lib/x/] after package[x]: it ships the file"]);
}

#[test]
fn a_user_comes_after_its_groups_or_before_them_when_it_leaves() {
    let found = edges(|g| {
        g.add(Account::new("new").groups(["web", "old"]));
        g.add(Account::new("leaves").groups(["web", "old"]).absent(true));
        g.add(Team::new("web"));
        g.add(Team::new("old").absent(true));
    });
    assert_eq!(
        found,
        [
            "team[old] after user-account[leaves]: it is in the group",
            "team[web] after user-account[leaves]: it is in the group",
            "user-account[new] after team[web]: its group",
        ]
    );
}

#[test]
fn what_lies_in_the_directory_of_a_package_or_has_the_group_of_a_user_comes_after_it() {
    use mgmt::resources::{Pkg, User};
    let found = edges(|g| {
        g.add(File::new("/etc/web/own.conf").content("x").group("ann"));
        g.add(File::new("/etc/gone/own.conf").content("x").group("bob"));
        g.add(Pkg::new("web"));
        g.add(Pkg::new("gone").uninstalled());
        g.add(User::new("ann"));
        g.add(User::new("bob").group("ann"));
    });
    assert_eq!(
        found,
        [
            "file[/etc/web/own.conf] after pkg[web]: its directory",
            "file[/etc/web/own.conf] after user[ann]: its group",
            "user[bob] after user[ann]: its group",
        ]
    );
}

#[test]
fn both_resources_must_allow_an_edge() {
    let declare = |g: &mut Graph, off: &str| {
        for path in ["/a/", "/a/b/", "/a/b/c"] {
            g.add(File::new(path).autoedge(path != off));
        }
    };
    assert_eq!(edges(|g| declare(g, "/a/")), ["file[/a/b/c] after file[/a/b/]: its directory"]);
    // The next directory above still comes first.
    assert_eq!(edges(|g| declare(g, "/a/b/")), ["file[/a/b/c] after file[/a/]: its directory"]);
    assert_eq!(edges(|g| declare(g, "/a/b/c")), ["file[/a/b/] after file[/a/]: its directory"]);
    let off = prepare(graph(|g| declare(g, "")), &settings().autoedge(false)).unwrap();
    assert!(added(&off).is_empty() && off.warnings().is_empty());
}

#[test]
fn a_declared_edge_stays_as_it_is_and_no_second_one_is_added() {
    let prepared = with_edges(|g| {
        let a = g.add(File::new("/a/"));
        g.add(Exec::new("x").cmd("true").cwd("/a").subscribe(&a));
        let text = g.add(Exec::new("text").cmd("true").creates("/b"));
        g.add(File::new("/b/c").content(text.stdout()));
    });
    assert!(added(&prepared).is_empty());
    assert_eq!(prepared.config().edges.iter().map(|edge| edge.notify).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn an_edge_that_a_longer_way_implies_is_dropped_and_declared_ones_stay() {
    let found = edges(|g| {
        g.add(File::new("/a/"));
        g.add(File::new("/a/b/"));
        g.add(File::new("/a/b/run").content("#!/bin/sh\n"));
        // Its program lies in its working directory, which lies in that of what it creates.
        g.add(Exec::new("x").cmd("/a/b/run").cwd("/a/b").creates("/a/out"));
    });
    assert_eq!(
        found,
        [
            "exec[x] after file[/a/b/run]: its program",
            "file[/a/b/] after file[/a/]: its directory",
            "file[/a/b/run] after file[/a/b/]: its directory",
        ]
    );
    // A declared edge is never dropped, and makes automatic ones unnecessary.
    let prepared = with_edges(|g| {
        let a = g.add(File::new("/a/"));
        let b = g.add(File::new("/a/b").after(&a));
        let noop = g.add(Noop::new("between").after(&b));
        g.add(File::new("/a/c").after((&noop, &a)));
        g.add(File::new("/a/d").after(&noop));
    });
    assert!(added(&prepared).is_empty(), "{:?}", added(&prepared));
    assert_eq!(prepared.config().edges.len(), 5);
}

#[test]
fn an_edge_that_would_close_a_cycle_is_left_out_and_the_cycle_is_listed() {
    let prepared = with_edges(|g| {
        let unpack = g.add(Exec::new("unpack").cmd("tar xf /opt/app.tar").creates("/opt/app/bin"));
        g.add(File::new("/opt/app/").after(&unpack));
        g.add(File::new("/opt/app/conf").content("x"));
    });
    assert_eq!(added(&prepared), ["file[/opt/app/conf] after file[/opt/app/]: its directory"]);
    let [warning] = prepared.warnings() else { panic!("{:?}", prepared.warnings()) };
    let text = warning.to_string();
    assert!(
        text.starts_with(
            "the edge file[/opt/app/] before exec[unpack] is left out, since it would close a cycle: exec[unpack] must run \
             before file[/opt/app/], which must run before exec[unpack]\n  at autoedge: the directory of what it creates\n  \
             exec[unpack] before file[/opt/app/] at "
        ),
        "{text}"
    );
    assert!(text.contains("autoedges.rs:"), "{text}");
}

#[test]
fn an_inquiry_that_fails_costs_its_own_edges_and_a_warning() {
    for (how, why) in [
        ("panic", "asks[a]: its inquiry panicked: out of questions: the edges that follow from it are missing"),
        ("begin", "asks[a]: its inquiry panicked: can't begin: the edges that follow from it are missing"),
        (
            "endless",
            "asks[a]: its inquiry asked for more than 1000000 things: the edges that follow from it are missing",
        ),
    ] {
        let prepared = with_edges(|g| {
            g.add(Asks::new("a", how));
            g.add(Asks::new("b", "once"));
            g.add(File::new("/asked"));
        });
        assert_eq!(added(&prepared), ["asks[b] after file[/asked]: it needs the path /asked"], "{how}");
        let texts: Vec<_> = prepared.warnings().iter().map(|warning| warning.message.clone()).collect();
        assert_eq!(texts, [why]);
    }
}

#[test]
fn an_edge_has_the_name_with_which_it_was_declared() {
    let yaml = r#"{"graph": "g", "resources": [{"kind": "noop", "name": "a"}, {"kind": "noop", "name": "b"}],
        "edges": [{"from": "noop[a]", "to": "noop[b]", "name": "e1"}]}"#;
    let data: mgmt::graph::GraphData = serde_json::from_str(yaml).unwrap();
    let config = data.bind(&mgmt::graph::Kinds::none().with::<Noop>()).unwrap();
    assert_eq!(config.edges[0].name.as_deref().map(String::as_str), Some("e1"));
    assert_eq!(config.to_data().unwrap(), data);
    assert!(config.dot().contains("label=\"e1\"") && config.mermaid().contains("|\"e1\"|"), "{}", config.dot());
}

#[test]
fn pictures_show_automatic_edges_dashed_with_the_reason() {
    let prepared = with_edges(|g| {
        g.add(File::new("/a/b").content("x"));
        g.add(File::new("/a/"));
    });
    let dot = prepared.config().dot();
    let line =
        r#""file[/a/]" -> "file[/a/b]" [label="autoedge: its directory", style=dashed, color=gray, fontcolor=gray];"#;
    assert!(dot.contains(line), "{dot}");
    let data = prepared.config().to_data().unwrap();
    assert_eq!(data.edges[0].origin.as_deref(), Some("autoedge: its directory"));
    // Read again, the graph is as it was declared.
    assert!(data.edges[0].automatic);
    let again = data.bind(&mgmt::graph::Kinds::none().with::<File>()).unwrap();
    assert!(again.edges.is_empty() && again.vertices.len() == 2);
}
