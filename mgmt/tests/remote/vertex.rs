//! The kind `remote`: resources that run a graph in another process, as on another host.

use std::path::PathBuf;
use std::time::Duration;

use mgmt::gapi::channel;
use mgmt::plan::Outcome;
use mgmt::prelude::*;
use mgmt::remote::{Depth, RemoteBuilder, RemoteGraph};
use mgmt::runtime::{EventKind, Events, Operation, Standing};
use mgmt::{Engine, graph::GraphConfig};

use crate::executable::program;
use crate::kit::{LONG, There, files, graph, is_alive, wait};

/// The resource `remote[NAME]`, on a process of its own.
fn remote(name: &str, there: &There) -> RemoteBuilder {
    Remote::new(name).host(format!("local:{name}")).program(program()).prefix(there.prefix())
}

/// Writes the number of the engine's process there to the file `pid`.
fn pid_of(there: &There) -> impl Fn(&mut Graph) + use<> {
    let path = there.text("pid");
    move |g| {
        g.add(Exec::new("pid").cmd(format!("echo $PPID >{path}.new; mv {path}.new {path}")).shell("/bin/sh"));
    }
}

fn read_pid(there: &There) -> Option<u32> {
    there.read("pid").and_then(|text| text.trim().parse().ok())
}

/// The number of the process there, which differs from this one.
async fn next_pid(there: &There, former: Option<u32>) -> u32 {
    wait("it runs there", || read_pid(there).is_some_and(|pid| Some(pid) != former && is_alive(pid))).await;
    read_pid(there).unwrap()
}

async fn until(events: &mut Events, is_wanted: impl Fn(&EventKind) -> bool) -> EventKind {
    let mut seen = Vec::new();
    let found = tokio::time::timeout(LONG, async {
        loop {
            let event = events.next().await.expect("the engine runs");
            if is_wanted(&event.kind) {
                return event.kind;
            }
            seen.push(event.kind);
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => panic!("no such event, but {seen:#?}"),
    }
}

fn is_of(kind: &EventKind, id: &str) -> bool {
    kind.id().is_some_and(|of| of.to_string() == id)
}

async fn start(config: GraphConfig) -> (Engine, Events) {
    let builder = Engine::builder().graph(config);
    let events = builder.events();
    (builder.start().await.unwrap(), events)
}

#[tokio::test]
async fn it_is_settled_when_the_graph_there_has_converged_and_what_comes_after_waits_for_that() {
    let (here, there) = (There::new(), There::new());
    let (one, slow) = (there.text("one"), there.text("slow"));
    let (engine, mut events) = start(graph(|g| {
        let web = g.add(remote("web", &there).declare(|g| {
            let slow = g.add(Exec::new("slow").cmd(format!("sleep 1; echo done >{slow}")).shell("/bin/sh"));
            g.add(File::new(&one).content("one\n").after(&slow));
        }));
        g.add(Exec::new("behind").cmd(format!("cp {one} {}", here.text("copy"))).shell("/bin/sh").after(&web));
        g.add(File::new(here.text("changed")).content(web.changed().map(|changed| format!("{changed}\n"))));
        g.add(File::new(here.text("name")).content(web.nodename()));
    }))
    .await;
    engine.converged().await.unwrap();
    assert_eq!(here.read("copy").as_deref(), Some("one\n"));
    // Two resources were repaired there.
    assert_eq!(here.read("changed").as_deref(), Some("2\n"));
    assert!(!here.read("name").unwrap().is_empty());
    let applied =
        until(&mut events, |kind| matches!(kind, EventKind::Applied { .. }) && is_of(kind, "remote[web]")).await;
    let EventKind::Applied { changed, changes, .. } = applied else { panic!() };
    assert!(changed && changes[0].to_string() == "run: not running → running on web", "{changes:?}");
    engine.stop().await.unwrap();
    // Where nothing has to be done, it changes nothing, so that nothing is refreshed.
    let (engine, mut events) =
        start(graph(|g| _ = g.add(remote("web", &there).declare(|g| _ = g.add(File::new(&one).content("one\n"))))))
            .await;
    engine.converged().await.unwrap();
    let applied = until(&mut events, |kind| matches!(kind, EventKind::Applied { .. })).await;
    assert!(matches!(applied, EventKind::Applied { changed: false, .. }), "{applied}");
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn what_drifts_there_is_repaired_there_and_reported_here_and_refreshes_what_subscribes() {
    let (here, there) = (There::new(), There::new());
    let one = there.text("one");
    let (engine, mut events) = start(graph(|g| {
        let web = g.add(remote("web", &there).declare(|g| _ = g.add(File::new(&one).content("one\n"))));
        let log = here.text("log");
        g.add(Exec::new("log").cmd(format!("echo ran >>{log}")).shell("/bin/sh").subscribe(&web));
    }))
    .await;
    engine.converged().await.unwrap();
    let runs = || here.read("log").unwrap_or_default().lines().count();
    assert_eq!(runs(), 1);
    std::fs::write(&one, "other\n").unwrap();
    let reported = |kind: &EventKind| match kind {
        EventKind::Applied { changed: true, changes, .. } if is_of(kind, "remote[web]") => {
            changes.iter().any(|change| change.field.starts_with(&format!("file[{one}] content")))
        }
        _ => false,
    };
    until(&mut events, reported).await;
    assert_eq!(there.read("one").as_deref(), Some("one\n"));
    wait("the subscriber is refreshed", || runs() == 2).await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_failure_there_is_its_failure_and_each_try_begins_the_run_again() {
    let (here, there) = (There::new(), There::new());
    let (good, pid) = (there.text("good"), pid_of(&there));
    let (engine, mut events) = start(graph(|g| {
        let web = g.add(
            remote("web", &there)
                .declare(|g| {
                    pid(g);
                    g.add(Exec::new("bad").cmd(format!("test -e {good}")).shell("/bin/sh"));
                })
                .retry(1)
                .delay(Duration::from_millis(500)),
        );
        g.add(File::new(here.text("behind")).content("x").after(&web));
    }))
    .await;
    let failed = |kind: &EventKind| matches!(kind, EventKind::Failed { .. }) && is_of(kind, "remote[web]");
    let event = until(&mut events, failed).await;
    let EventKind::Failed { error, operation, retry_in, .. } = event else { panic!() };
    assert!(error.contains("web: the graph there can't converge: exec[bad]: "), "{error}");
    assert!(operation == Operation::Apply && retry_in.is_some(), "{operation} {retry_in:?}");
    let first = next_pid(&there, None).await;
    let status = engine.status().await.unwrap();
    assert!(status.notable.iter().any(|r| r.id.to_string().contains("behind") && r.standing != Standing::Settled));
    assert!(here.read("behind").is_none());
    std::fs::write(&good, "").unwrap();
    engine.converged().await.unwrap();
    assert!(here.read("behind").is_some());
    assert_ne!(read_pid(&there), Some(first));
    assert!(!is_alive(first), "the run that had failed has ended");
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_killed_there_is_begun_again_without_a_try() {
    let there = There::new();
    let (one, pid) = (there.text("one"), pid_of(&there));
    let (engine, mut events) = start(graph(|g| {
        g.add(remote("web", &there).declare(|g| {
            pid(g);
            g.add(File::new(&one).content("one\n"));
        }));
    }))
    .await;
    engine.converged().await.unwrap();
    let first = next_pid(&there, None).await;
    std::fs::write(&one, "while nothing watches\n").unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap();
    assert!(killed.success());
    until(&mut events, |kind| matches!(kind, EventKind::Waiting { .. }) && is_of(kind, "remote[web]")).await;
    let second = next_pid(&there, Some(first)).await;
    wait("it is repaired again", || there.read("one").as_deref() == Some("one\n")).await;
    engine.stop().await.unwrap();
    wait("nothing is left", || !is_alive(second)).await;
}

#[tokio::test]
async fn another_graph_is_swapped_there_and_a_resource_that_leaves_ends_its_run() {
    let there = There::new();
    let (one, two, pid) = (there.text("one"), there.text("two"), pid_of(&there));
    let with = |path: &str| {
        graph(|g| {
            g.add(remote("web", &there).declare(|g| {
                pid(g);
                g.add(File::new(path).content("here\n"));
            }));
        })
    };
    let (sender, graphs) = channel();
    sender.send(with(&one)).await.unwrap();
    let builder = Engine::builder().gapi(graphs);
    let mut events = builder.events();
    let engine = builder.start().await.unwrap();
    engine.converged().await.unwrap();
    let first = next_pid(&there, None).await;
    engine.swap(with(&two)).await.unwrap();
    wait("the second graph is in force", || there.read("two").is_some()).await;
    engine.converged().await.unwrap();
    assert!(is_alive(first) && read_pid(&there) == Some(first), "it runs on");
    std::fs::remove_file(&one).unwrap();
    std::fs::remove_file(&two).unwrap();
    wait("the second graph is kept", || there.read("two").is_some()).await;
    assert!(there.read("one").is_none(), "what is no longer in the graph is left alone");
    engine.swap(graph(|_| ())).await.unwrap();
    until(&mut events, |kind| matches!(kind, EventKind::Left { error: None, .. })).await;
    assert!(!is_alive(first), "it has left when its process has ended");
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_graph_that_has_failed_there_is_replaced_by_the_next_one_in_place() {
    let there = There::new();
    let (one, pid) = (there.text("one"), pid_of(&there));
    let with = |command: &str| {
        graph(|g| {
            g.add(remote("web", &there).declare(|g| {
                pid(g);
                let first = g.add(Exec::new("first").cmd(command).shell("/bin/sh"));
                g.add(File::new(&one).content("one\n").after(&first));
            }));
        })
    };
    let (engine, mut events) = start(with("exit 3")).await;
    until(&mut events, |kind| matches!(kind, EventKind::Failed { retry_in: None, .. })).await;
    let first = next_pid(&there, None).await;
    engine.swap(with("exit 0")).await.unwrap();
    engine.converged().await.unwrap();
    assert_eq!((there.read("one").as_deref(), read_pid(&there)), (Some("one\n"), Some(first)));
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn other_settings_begin_another_run_when_the_former_has_ended() {
    let there = There::new();
    let (names, pid) = (there.text("names"), pid_of(&there));
    let named = |hostname: &str| {
        graph(|g| {
            g.add(remote("web", &there).hostname(hostname).declare(|g| {
                pid(g);
                g.add(Exec::new("name").cmd(format!("echo ran >>{names}")).shell("/bin/sh"));
            }));
        })
    };
    let (engine, _) = start(named("a")).await;
    engine.converged().await.unwrap();
    let first = next_pid(&there, None).await;
    engine.swap(named("b")).await.unwrap();
    // The working directory there can be used by one engine alone.
    let second = next_pid(&there, Some(first)).await;
    engine.converged().await.unwrap();
    assert!(!is_alive(first) && is_alive(second));
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_plan_and_noop_show_what_would_be_done_there_and_do_nothing() {
    let there = There::new();
    std::fs::write(there.path("one"), "old\n").unwrap();
    let one = there.text("one");
    let declare = || remote("web", &there).declare(|g| _ = g.add(File::new(&one).content("new\n")));
    let before = files(there.dir.path());
    let plan = Engine::builder().graph(graph(|g| _ = g.add(declare()))).plan().await.unwrap();
    let entry = plan.get("remote[web]").unwrap();
    let Outcome::Drifted { changes, noop: false, .. } = &entry.outcome else { panic!("{entry:?}") };
    assert_eq!(changes[0].field, format!("file[{one}] content"));
    assert!(changes[0].diff.as_deref().unwrap().contains("-old\n+new"), "{changes:?}");
    assert_eq!(files(there.dir.path()), before);
    let (engine, mut events) = start(graph(|g| _ = g.add(declare().noop(true)))).await;
    let drifted = until(&mut events, |kind| matches!(kind, EventKind::Drifted { noop: true, .. })).await;
    assert!(drifted.to_string().contains(&format!("file[{one}] content")), "{drifted}");
    engine.stop().await.unwrap();
    assert_eq!(files(there.dir.path()), before);
    std::fs::write(there.path("one"), "new\n").unwrap();
    let plan = Engine::builder().graph(graph(|g| _ = g.add(declare()))).plan().await.unwrap();
    assert!(plan.is_empty(), "{plan}");
}

#[tokio::test]
async fn a_resource_that_is_put_in_noop_stops_its_run() {
    let there = There::new();
    let (one, pid) = (there.text("one"), pid_of(&there));
    let with = |noop: bool| {
        graph(|g| {
            let run = remote("web", &there).declare(|g| {
                pid(g);
                g.add(File::new(&one).content("one\n"));
            });
            g.add(run.noop(noop));
        })
    };
    let (engine, _) = start(with(false)).await;
    engine.converged().await.unwrap();
    let first = next_pid(&there, None).await;
    engine.swap(with(true)).await.unwrap();
    wait("it has ended", || !is_alive(first)).await;
    std::fs::remove_file(&one).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(there.read("one").is_none());
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn two_runs_in_one_place_are_refused_and_so_is_what_makes_no_sense() {
    let (there, other) = (There::new(), There::new());
    let refused = async |config: GraphConfig| Engine::builder().graph(config).start().await.unwrap_err().to_string();
    let twice = refused(graph(|g| {
        g.add(Remote::new("a").host("root@web1"));
        g.add(Remote::new("b").host("B=root@WEB1"));
    }))
    .await;
    assert!(twice.contains("both own the engine on the host `root@web1`"), "{twice}");
    // In two working directories they can be on one host.
    Engine::builder()
        .graph(graph(|g| {
            g.add(remote("a", &there).host("local:one"));
            g.add(remote("b", &other).host("local:one"));
        }))
        .check()
        .await
        .unwrap();
    let password = refused(graph(|g| _ = g.add(Remote::new("web1").host("root:canary@web1")))).await;
    assert!(password.contains("has a password") && !password.contains("canary"), "{password}");
    let local = refused(graph(|g| _ = g.add(Remote::new("web1").host("local:a").r#become("root")))).await;
    assert!(local.contains("`become` has no meaning for a process of its own"), "{local}");
    let two = refused(graph(|g| _ = g.add(Remote::new("web1").yaml("/x.yaml").declare(|_| ())))).await;
    assert!(two.contains("two graphs"), "{two}");
    let wrong = refused(graph(|g| _ = g.add(Remote::new("web1").declare(|g| _ = g.add(File::new("relative")))))).await;
    assert!(wrong.contains("`graph`") && wrong.contains("relative"), "{wrong}");
    let reversed = refused(graph(|g| _ = g.add(Remote::new("web1").reverse(true)))).await;
    assert!(reversed.contains("reverse"), "{reversed}");
}

#[tokio::test]
async fn secrets_travel_in_the_channel_alone() {
    let there = There::new();
    let (key, pid) = (there.text("key"), pid_of(&there));
    let declared = graph(|g| {
        g.add(remote("web", &there).declare(|g| {
            pid(g);
            g.add(File::new(&key).content(Secret::new("canary".to_owned())).mode(0o600));
        }));
    });
    assert!(!format!("{declared:?}").contains("canary"));
    let (engine, _) = start(declared).await;
    engine.converged().await.unwrap();
    assert_eq!(there.read("key").as_deref(), Some("canary"));
    let far = next_pid(&there, None).await;
    for file in ["cmdline", "environ"] {
        let seen = std::fs::read(format!("/proc/{far}/{file}")).unwrap();
        assert!(!seen.is_empty() && !String::from_utf8_lossy(&seen).contains("canary"), "{file}");
    }
    let holds = |(path, bytes): &(PathBuf, Vec<u8>)| {
        *path != there.path("key") && String::from_utf8_lossy(bytes).contains("canary")
    };
    assert_eq!(files(there.dir.path()).iter().filter(|file| holds(file)).count(), 0);
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_graph_file_is_followed_with_the_files_that_it_names() {
    let (here, there) = (There::new(), There::new());
    let (out, source, yaml) = (there.text("out"), here.text("source"), here.path("web.yaml"));
    std::fs::write(&source, "one\n").unwrap();
    let write = |extra: &str| {
        let text = format!("graph: web\nresources:\n  file:\n  - name: {out}\n    source: {source}\n{extra}");
        std::fs::write(here.path("new"), text).unwrap();
        std::fs::rename(here.path("new"), &yaml).unwrap();
    };
    write("");
    let (engine, mut events) = start(graph(|g| _ = g.add(remote("web", &there).yaml(&yaml).retry(0)))).await;
    engine.converged().await.unwrap();
    assert_eq!(there.read("out").as_deref(), Some("one\n"));
    let more = there.text("more");
    write(&format!("  - name: {more}\n    content: more\n"));
    wait("the graph was sent", || there.read("more").is_some()).await;
    engine.converged().await.unwrap();
    // A graph with a mistake leaves the one before in force there.
    write("  nothing: []\n");
    let failed = until(&mut events, |kind| matches!(kind, EventKind::Failed { .. })).await;
    assert!(failed.to_string().contains("there is no kind `nothing`"), "{failed}");
    std::fs::remove_file(&more).unwrap();
    wait("the graph before is in force", || there.read("more").is_some()).await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_refresh_begins_the_run_again() {
    let (here, there) = (There::new(), There::new());
    let (conf, pid) = (here.text("conf"), pid_of(&there));
    let with = |content: &str| {
        graph(|g| {
            let conf = g.add(File::new(&conf).content(content));
            g.add(remote("web", &there).declare(&pid).subscribe(&conf));
        })
    };
    let (engine, _) = start(with("one\n")).await;
    engine.converged().await.unwrap();
    let first = next_pid(&there, None).await;
    engine.swap(with("two\n")).await.unwrap();
    let second = next_pid(&there, Some(first)).await;
    engine.converged().await.unwrap();
    assert!(!is_alive(first) && is_alive(second));
    engine.stop().await.unwrap();
    wait("nothing is left", || !is_alive(second)).await;
}

#[tokio::test]
async fn hosts_of_hosts_need_depth_and_nothing_runs_without_it() {
    let (outer, inner) = (There::new(), There::new());
    let (one, two) = (outer.text("one"), inner.text("two"));
    let leaf = RemoteGraph::declare(|g| _ = g.add(File::new(&two).content("two\n")));
    let tree = || {
        graph(|g| {
            g.add(remote("outer", &outer).declare(|g| {
                let one = g.add(File::new(&one).content("one\n"));
                // The program there is the one that was sent.
                let inner = Remote::new("inner").host("local:inner").prefix(inner.prefix());
                g.add(inner.graph(leaf.clone()).after(&one));
            }));
        })
    };
    let (engine, mut events) = start(tree()).await;
    let failed = until(&mut events, |kind| matches!(kind, EventKind::Failed { .. })).await;
    assert!(failed.to_string().contains("remote[inner]: its host would be one level deeper"), "{failed}");
    engine.stop().await.unwrap();
    assert!(outer.read("one").is_none() && inner.read("two").is_none());
    let engine = Engine::builder().graph(tree()).provide(Depth(2)).start().await.unwrap();
    engine.converged().await.unwrap();
    assert_eq!((outer.read("one").is_some(), inner.read("two").is_some()), (true, true));
    engine.stop().await.unwrap();
}

#[test]
fn a_program_that_is_killed_leaves_nothing_there_and_its_graph_can_be_a_text() {
    let (here, there) = (There::new(), There::new());
    let (yaml, sleeper) = (here.path("site.yaml"), there.text("sleeper"));
    let pid = there.text("pid");
    let text = format!(
        "graph: site\nresources:\n  remote:\n  - name: web\n    host: local:web\n    prefix: {}\n    graph: |\n      \
         graph: web\n      resources:\n        exec:\n        - name: sleeps\n          shell: /bin/sh\n          \
         cmd: 'echo $PPID >{pid}; echo $$ >{sleeper}; exec sleep 1000'\n",
        there.prefix().display()
    );
    std::fs::write(&yaml, text).unwrap();
    let mut near = std::process::Command::new(program())
        .args(["run", "--tmp-prefix", "--yaml"])
        .arg(&yaml)
        .env("TMPDIR", here.dir.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let read = |name: &str| there.read(name).and_then(|text| text.trim().parse::<u32>().ok());
    let so = |what: &str, is_so: &dyn Fn() -> bool| {
        let began = std::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed() < LONG, "not so yet: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    so("it runs", &|| read("sleeper").is_some_and(is_alive) && read("pid").is_some_and(is_alive));
    let (far, command) = (read("pid").unwrap(), read("sleeper").unwrap());
    near.kill().unwrap();
    near.wait().unwrap();
    so("nothing is left", &|| !is_alive(far) && !is_alive(command));
}

/// The directory of the program below.
const DIR: &str = "MGMT_TEST_VERTEX_DIR";
const ITSELF: [&str; 4] = ["--exact", "vertex::program_of_these_tests", "--nocapture", "--test-threads=1"];

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    mgmt: mgmt::cli::Options,
}

/// The program of the test below: without its variable, it has nothing to do.
#[test]
fn program_of_these_tests() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let words = match std::env::var_os("MGMT_FAR_END") {
        Some(_) => "site remote run leaf --tmp-prefix",
        None => "site run --hostname hub --tmp-prefix -t 1",
    };
    let cli = <Cli as clap::Parser>::parse_from(words.split(' '));
    let code = mgmt::App::new("site").run(
        cli.mgmt,
        mgmt::native(move |g, cx| {
            if cx.hostname() == "hub" {
                g.add(Remote::new("leaf").host("local:leaf").arguments(ITSELF.map(str::to_owned)));
            } else {
                g.add(File::new(format!("{dir}/{}", cx.hostname())).source(format!("{dir}/source")));
            }
            Ok(())
        }),
    );
    std::process::exit(if code == mgmt::ExitCode::SUCCESS { 0 } else { 1 });
}

#[test]
fn without_a_graph_the_closure_runs_there_with_the_files_that_it_names_here() {
    let there = There::new();
    std::fs::write(there.path("source"), "carried\n").unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(ITSELF).env(DIR, there.dir.path()).env_remove("RUST_LOG").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), there.read("leaf").as_deref()), (Some(0), Some("carried\n")), "{log}");
    assert!(log.contains(&format!("leaf: file[{}]: repaired", there.text("leaf"))), "{log}");
}

#[tokio::test]
async fn a_graph_that_shares_something_is_refused_on_a_host_to_which_the_world_does_not_lead() {
    let (here, there) = (There::new(), There::new());
    let one = there.text("one");
    let declare = |shares: bool| {
        graph(|g| {
            _ = g.add(remote("web", &there).declare(|g| {
                g.add(File::new(&one).content("one\n"));
                if shares {
                    g.export(File::new("/x/shared").content("shared\n"));
                }
            }));
        })
    };
    let builder = |shares: bool| Engine::builder().graph(declare(shares)).hostname("here").prefix(here.prefix());
    let plan = builder(true).world(mgmt::world::Embedded::new()).plan().await.unwrap();
    let Outcome::Failed { error, .. } = &plan.resources[0].outcome else { panic!("{plan}") };
    for part in ["web: ", "nothing would be shared", "--join", "`--seeds`"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // What shares nothing runs there; and without a world, a graph collects from itself, as on any host.
    for builder in [builder(false).world(mgmt::world::Embedded::new()), builder(true)] {
        let engine = builder.start().await.unwrap();
        engine.converged().await.unwrap();
        engine.stop().await.unwrap();
        assert_eq!(there.read("one").as_deref(), Some("one\n"));
        std::fs::remove_file(&one).unwrap();
    }
}
