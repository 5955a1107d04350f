//! How a run looks from outside, over time.

use std::time::{Duration, Instant};

use crate::kit::{Desk, Running, text};

#[test]
fn a_chain_of_commands_runs_each_of_them_once_and_in_order() {
    let desk = Desk::new();
    let mut graph = "graph: chain\nresources:\n  exec:\n".to_owned();
    for n in 0..6 {
        graph += &format!("  - {{name: e{n}, cmd: 'echo {n} >> $DIR/log; sleep 0.1', shell: /bin/sh}}\n");
    }
    graph += "edges:\n";
    for n in 1..6 {
        graph += &format!("- {{name: c{n}, from: {{kind: exec, name: e{}}}, to: {{kind: exec, name: e{n}}}}}\n", n - 1);
    }
    let output = desk.converge(&graph, "2");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(desk.read("log").unwrap(), "0\n1\n2\n3\n4\n5\n");
}

#[test]
fn independent_commands_run_side_by_side() {
    let desk = Desk::new();
    let mut graph = "graph: parallel\nresources:\n  exec:\n".to_owned();
    for n in 0..3 {
        graph += &format!("  - {{name: e{n}, cmd: sleep 10}}\n");
    }
    let began = Instant::now();
    let output = desk.converge(&graph, "0");
    let took = began.elapsed();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // One after the other they would take 30 seconds.
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn only_quiet_time_counts_for_the_converged_timeout() {
    let desk = Desk::new();
    let began = Instant::now();
    let output = desk.converge("graph: g\nresources:\n  exec:\n  - {name: e, cmd: sleep 3}\n", "2");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_purge_spares_the_graph_that_declares_it_and_what_the_program_writes() {
    let desk = Desk::new();
    let status = desk.path("status");
    desk.write("graph.yaml", "graph: g\nresources:\n  file:\n  - {name: $DIR/, purge: true}\n");
    // By its own path, by one with `..`, and through a link from elsewhere.
    let (name, links) = (desk.dir.path().file_name().unwrap(), tempfile::tempdir().unwrap());
    let link = links.path().join("link.yaml");
    std::os::unix::fs::symlink(desk.path("graph.yaml"), &link).unwrap();
    let above = desk.dir.path().join("..").join(name).join("graph.yaml");
    for graph in [desk.path("graph.yaml"), above, link] {
        desk.write("extra", "x");
        purges(&desk, graph.to_str().unwrap(), status.to_str().unwrap());
    }
}

fn purges(desk: &Desk, graph: &str, status: &str) {
    let running = Running::start(desk.mgmt(&["run", "--yaml", graph, "--converged-status-file", status]));
    running.wait("the purge", || desk.read("extra").is_none() && desk.read("status").is_some());
    running.wait_said("converged");
    desk.write("extra", "x");
    running.wait("another purge", || desk.read("extra").is_none());
    assert!(desk.read("graph.yaml").is_some() && desk.read("status").is_some());
}

const ONE: &str = "graph: one
resources:
  exec:
  - {name: once, cmd: echo once >> $DIR/log, shell: /bin/sh}
  file:
  - {name: $DIR/kept, content: kept}
  - {name: $DIR/changed, content: before}
";

#[test]
fn saving_the_file_switches_the_graph_and_keeps_what_is_equal() {
    let desk = Desk::new();
    let running = desk.run(ONE, &[]);
    running.wait("the first graph", || desk.read("changed").as_deref() == Some("before") && desk.read("log").is_some());
    desk.graph(&(ONE.replace("before", "after") + "  - {name: $DIR/new, content: new}\n"));
    running.wait("the second graph", || {
        desk.read("changed").as_deref() == Some("after") && desk.read("new").as_deref() == Some("new")
    });
    assert_eq!(desk.read("log").unwrap(), "once\n", "{}", running.said());
    // What is gone from the graph is no longer kept.
    desk.graph("graph: one\n");
    running.wait_said("4 removed");
    std::fs::remove_file(desk.path("kept")).unwrap();
    desk.graph(ONE);
    running.wait("the first graph again", || desk.read("kept").as_deref() == Some("kept"));
}

#[test]
fn a_bad_save_is_shown_and_the_old_graph_goes_on() {
    let desk = Desk::new();
    let running = desk.run(ONE, &[]);
    running.wait("the first graph", || desk.read("changed").as_deref() == Some("before"));
    desk.graph(&ONE.replace("content", "contnet"));
    running.wait_said("has no key `contnet`: did you mean `content`?");
    running.wait_said("graph.yaml:6:");
    std::fs::remove_file(desk.path("kept")).unwrap();
    running.wait("the repair by the old graph", || desk.read("kept").as_deref() == Some("kept"));
    desk.graph(&ONE.replace("before", "after"));
    running.wait("the good one", || desk.read("changed").as_deref() == Some("after"));
}

#[test]
fn without_watching_a_save_changes_nothing() {
    let desk = Desk::new();
    let running = desk.run(ONE, &["--no-watch"]);
    running.wait("the first graph", || desk.read("changed").as_deref() == Some("before"));
    desk.graph(&ONE.replace("before", "after"));
    std::fs::remove_file(desk.path("kept")).unwrap();
    running.wait("a repair", || desk.read("kept").as_deref() == Some("kept"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(desk.read("changed").as_deref(), Some("before"));
}

fn failing_watch(retry: i32) -> String {
    format!(
        "graph: g\nresources:\n  exec:\n  - {{name: w, cmd: 'true', watchcmd: date +%s%N >> $DIR/log; exit 1, watchshell: /bin/sh, meta: {{retry: {retry}, delay: 300}}}}\n  file:\n  - {{name: $DIR/other, content: other}}\n"
    )
}

#[test]
fn a_watch_command_that_fails_is_started_again_after_the_delay() {
    let desk = Desk::new();
    let running = desk.run(&failing_watch(-1), &[]);
    running.wait("four starts", || desk.read("log").unwrap_or_default().lines().count() >= 4);
    let starts: Vec<u64> = desk.read("log").unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 300_000_000), "{starts:?}");
    running.wait("the others", || desk.read("other").is_some());
}

#[test]
fn a_watch_command_without_retries_fails_for_good_and_alone() {
    let desk = Desk::new();
    let running = desk.run(&failing_watch(0), &[]);
    running.wait_said("no tries left");
    running.wait("the others", || desk.read("other").is_some());
    std::fs::remove_file(desk.path("other")).unwrap();
    running.wait("a repair of the others", || desk.read("other").is_some());
    assert_eq!(desk.read("log").unwrap().lines().count(), 1, "{}", running.said());
}

#[test]
fn a_watch_command_that_is_killed_is_started_again_and_its_lines_run_the_command() {
    let desk = Desk::new();
    let running = desk.run(
        "graph: g\nresources:\n  exec:\n  - {name: w, cmd: echo run >> $DIR/log, shell: /bin/sh, watchcmd: echo $$ >> $DIR/pids; exec tail -n 0 -F $DIR/lines, watchshell: /bin/sh, meta: {retry: -1, delay: 100}}\n",
        &[],
    );
    let pids = || desk.read("pids").unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    let runs = || desk.read("log").unwrap_or_default().lines().count();
    running.wait("the watch", || pids().len() == 1 && runs() > 0);
    let pid = rustix::process::Pid::from_raw(pids()[0].parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    running.wait("the second watch", || pids().len() == 2);
    let before = runs();
    running.wait("a run for a line", || {
        let lines = desk.read("lines").unwrap_or_default();
        std::fs::write(desk.path("lines"), lines + "line\n").unwrap();
        std::thread::sleep(Duration::from_millis(200));
        runs() > before
    });
}

#[test]
fn a_failed_command_is_tried_again_after_its_delay_and_blocks_what_follows() {
    let desk = Desk::new();
    let graph = "graph: g\nresources:\n  exec:\n  - {name: fails, cmd: date +%s%N >> $DIR/tries; exit 1, shell: /bin/sh, meta: {retry: 2, delay: 500}}\n  - {name: never, cmd: touch $DIR/never}\n  - {name: alone, cmd: touch $DIR/alone}\nedges:\n- {name: e, from: {kind: exec, name: fails}, to: {kind: exec, name: never}}\n";
    let output = desk.converge(graph, "1");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let tries: Vec<u64> = desk.read("tries").unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(tries.len(), 3);
    assert!(tries.windows(2).all(|pair| pair[1] - pair[0] >= 500_000_000), "{tries:?}");
    assert!(!desk.path("never").exists() && desk.path("alone").exists());
}

#[test]
fn a_watch_command_that_always_ends_at_once_is_started_as_often_as_it_may_be() {
    let desk = Desk::new();
    let running = desk.run(&failing_watch(2), &[]);
    running.wait_said("no tries left");
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(desk.read("log").unwrap().lines().count(), 3, "{}", running.said());
    running.wait("the others", || desk.read("other").is_some());
}

#[test]
fn work_that_comes_again_and_again_puts_convergence_off() {
    let desk = Desk::new();
    let graph = "graph: g\nresources:\n  file:\n  - {name: $DIR/a, content: kept}\n";
    let began = Instant::now();
    let mut running = desk.run(graph, &["-t", "1.5"]);
    running.wait("the file", || desk.read("a").as_deref() == Some("kept"));
    // It is never quiet for so long.
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(500));
        desk.write("a", "changed");
    }
    let last = began.elapsed();
    assert_eq!(running.ended(), Some(0), "{}", running.said());
    assert!(began.elapsed() >= last + Duration::from_millis(1000), "{:?} after {last:?}", began.elapsed());
    assert_eq!(desk.read("a").as_deref(), Some("kept"));
}

#[test]
fn files_are_followed_however_editors_save_them() {
    let desk = Desk::new();
    let text = |content: &str| format!("graph: g\nresources:\n  file:\n  - {{name: $DIR/a, content: {content}}}\n");
    let running = desk.run(&text("one"), &[]);
    let path = desk.graph(&text("one"));
    let there = |content: &str| running.wait(content, || desk.read("a").as_deref() == Some(content));
    there("one");
    let beside = |name: &str| path.with_file_name(name);
    let save = |name: &str, content: &str| {
        let filled = crate::kit::fill(&text(content), desk.dir.path());
        std::fs::write(beside(name), filled).unwrap();
    };
    // Another file in its place.
    save("new", "two");
    std::fs::rename(beside("new"), &path).unwrap();
    there("two");
    // The old one put aside, and a new one made.
    std::fs::rename(&path, beside("graph.yaml~")).unwrap();
    save("graph.yaml", "three");
    there("three");
    // The file is removed: the graph stays in force; then the file is there again.
    std::fs::remove_file(&path).unwrap();
    running.wait_said("can't be read");
    std::fs::remove_file(desk.path("a")).unwrap();
    there("three");
    save("graph.yaml", "four");
    there("four");
    // A symlink in its place, its target written, and the symlink replaced by another.
    save("target", "five");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(beside("target"), &path).unwrap();
    there("five");
    save("target", "six");
    there("six");
    save("other", "seven");
    std::os::unix::fs::symlink(beside("other"), beside("link")).unwrap();
    std::fs::rename(beside("link"), &path).unwrap();
    there("seven");
}

#[test]
fn a_refresh_that_was_owed_when_the_program_was_killed_is_paid_by_the_next() {
    let desk = Desk::new();
    let graph = |command: &str| {
        format!(
            "graph: g\nresources:\n  file:\n  - {{name: $DIR/conf, content: a}}\n  exec:\n  - {{name: reload, cmd: {command}, shell: /bin/sh, refreshonly: true}}\nedges:\n- {{name: e, from: {{kind: file, name: $DIR/conf}}, to: {{kind: exec, name: reload}}, notify: true}}\n"
        )
    };
    let mut running = desk.run(&graph("echo $$ > $DIR/pid; exec sleep 300"), &[]);
    let pid = || desk.read("pid").and_then(|pid| pid.trim().parse().ok()).and_then(rustix::process::Pid::from_raw);
    running.wait("the refresh", || pid().is_some());
    running.signal(rustix::process::Signal::KILL);
    assert_eq!(running.ended(), None);
    // No process is left to end it.
    let _ = rustix::process::kill_process(pid().unwrap(), rustix::process::Signal::KILL);
    let output = desk.converge(&graph("echo reloaded >> $DIR/log"), "0");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(desk.read("log").as_deref(), Some("reloaded\n"));
    // And not again.
    assert!(desk.converge(&graph("echo reloaded >> $DIR/log"), "0").status.success());
    assert_eq!(desk.read("log").as_deref(), Some("reloaded\n"));
}

#[test]
fn ticks_of_a_timer_refresh_what_it_notifies() {
    let desk = Desk::new();
    let running = desk.run(
        "graph: g\nresources:\n  timer:\n  - {name: t, interval: 0.2}\n  exec:\n  - {name: e, cmd: date +%s%N >> $DIR/log, shell: /bin/sh}\nedges:\n- {name: n, from: {kind: timer, name: t}, to: {kind: exec, name: e}, notify: true}\n",
        &[],
    );
    running.wait("four runs", || desk.read("log").unwrap_or_default().lines().count() >= 4);
}

#[test]
fn ticks_and_lines_of_which_nothing_comes_keep_no_run_from_ending() {
    let desk = Desk::new();
    let graph = "graph: g
resources:
  timer:
  - {name: lone, interval: 0.2}
  - {name: t, interval: 0.1}
  file:
  - {name: $DIR/after, content: a}
  exec:
  - name: declines
    cmd: touch $DIR/ran
    watchcmd: while :; do echo line; sleep 0.05; done
    watchshell: /bin/sh
    ifcmd: echo asked >> $DIR/log; exit 1
    ifshell: /bin/sh
edges:
- {name: e, from: {kind: timer, name: t}, to: {kind: file, name: $DIR/after}}
";
    let began = Instant::now();
    let output = desk.converge(graph, "1");
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("converged in"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60), "it ends by its timeout, and not by --max-runtime");
    assert_eq!(desk.read("after").as_deref(), Some("a"));
    assert_eq!(desk.read("ran"), None);
    let asked = desk.read("log").unwrap().lines().count();
    assert!(asked >= 3, "the guard was asked {asked} times");
}

#[test]
fn ticks_and_lines_of_which_something_comes_keep_a_run_from_ending() {
    let desk = Desk::new();
    let timer = "graph: g
resources:
  timer:
  - {name: t, interval: 0.3}
  exec:
  - {name: e, cmd: echo ran >> $DIR/log, shell: /bin/sh}
edges:
- {name: n, from: {kind: timer, name: t}, to: {kind: exec, name: e}, notify: true}
";
    let lines = "graph: g
resources:
  exec:
  - name: e
    cmd: echo ran >> $DIR/log
    shell: /bin/sh
    watchcmd: while :; do echo line; sleep 0.3; done
    watchshell: /bin/sh
    ifcmd: 'true'
";
    for graph in [timer, lines] {
        let graph = desk.graph(graph);
        let arguments = ["run", "--yaml", graph.to_str().unwrap(), "-t", "3", "--max-runtime", "6"];
        let output = desk.mgmt(&arguments).output().unwrap();
        let said = text(&output.stderr);
        assert!(!said.contains("converged in"), "{said}");
        let ran = desk.read("log").unwrap().lines().count();
        assert!(ran >= 3, "it ran {ran} times");
        std::fs::remove_file(desk.path("log")).unwrap();
    }
}

#[test]
fn own_exports_follow_the_file_too() {
    let desk = Desk::new();
    let graph = |exports: &str| {
        format!(
            "graph: g\nresources:\n  file:\n  - {{name: $DIR/here/}}\n{exports}edges:\n- {{from: {{kind: file, name: $DIR/here/}}, to: {{kind: file, name: /etc/a}}}}\ncollect:\n- {{kind: file, pattern: $DIR/here/}}\n"
        )
    };
    let running = desk.run(&graph("  - {name: '@@/etc/a', content: one}\n"), &[]);
    running.wait("the first", || desk.read("here/a").as_deref() == Some("one"));
    desk.graph(&graph("  - {name: '@@/etc/a', content: two}\n  - {name: '@@b', path: /etc/b, content: b}\n"));
    running.wait("the second", || {
        desk.read("here/a").as_deref() == Some("two") && desk.read("here/b").as_deref() == Some("b")
    });
    // What is not exported any more is not in the graph; the edge to it waits, with a warning.
    desk.graph(&graph(""));
    running.wait_said("which no host has exported yet: it is left out until then");
    running.wait_said("2 removed");
}

#[test]
fn a_log_that_is_written_into_a_watched_directory_keeps_neither_a_signal_nor_the_time_from_ending_it() {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("source")).unwrap();
    std::fs::create_dir_all(desk.path("copy")).unwrap();
    desk.write("source/f", "x");
    let graph =
        desk.graph("graph: g\nresources:\n  file:\n  - {name: $DIR/copy/, source: $DIR/source/, recurse: true}\n");
    for more in [&["--max-runtime", "1"][..], &[]] {
        let log = std::fs::File::options().create(true).append(true).open(desk.path("copy/log")).unwrap();
        let mut command = desk.mgmt(&["run", "-vvv", "--yaml", graph.to_str().unwrap()]);
        let mut child = command.args(more).stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap();
        let began = Instant::now();
        if more.is_empty() {
            std::thread::sleep(Duration::from_secs(1));
            rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
                .unwrap();
        }
        let end = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if began.elapsed() > Duration::from_secs(30) => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        if end.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(end.is_some(), "it does not end: {more:?}");
    }
    assert_eq!(desk.read("copy/f").as_deref(), Some("x"));
}

/// How many processes run that were started with these words.
fn count(words: &[&str]) -> usize {
    let wanted: String = words.iter().map(|word| format!("{word}\0")).collect();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| std::fs::read_to_string(process.path().join("cmdline")).is_ok_and(|line| line == wanted))
        .count()
}

#[test]
fn a_program_that_is_killed_while_it_starts_commands_leaves_none_of_them() {
    const COMMANDS: usize = 60;
    let desk = Desk::new();
    // No other process sleeps for so long.
    let seconds = format!("9000.{}", std::process::id());
    let words = ["sleep", &seconds];
    let mut graph = "graph: many\nresources:\n  exec:\n".to_owned();
    (0..COMMANDS).for_each(|n| graph += &format!("  - {{name: e{n}, cmd: sleep {seconds}}}\n"));
    let began = Instant::now();
    let mut first = None;
    const ROUNDS: u32 = 20;
    let mut window = Duration::ZERO;
    for round in 0..=ROUNDS {
        let running = desk.run(&graph, &[]);
        match first {
            // How long it takes until some run, and until all that may run at once do, on this machine.
            None => {
                running.wait("a command", || count(&words) > 0);
                first = Some(began.elapsed());
                running.wait("commands", || count(&words) >= 8);
                window = began.elapsed() - first.unwrap() + Duration::from_millis(20);
            }
            Some(first) => std::thread::sleep((first + window * round / ROUNDS).saturating_sub(window / 2)),
        }
        running.signal(rustix::process::Signal::KILL);
        running.wait(&format!("nothing is left in round {round}"), || count(&words) == 0);
    }
}

#[test]
fn a_resource_that_waits_is_a_warning_and_its_recovery_is_reported() {
    let desk = Desk::new();
    desk.write("graph.yaml", "graph: g\nresources:\n  file:\n  - {name: $DIR/d/f, content: x}\n");
    let graph = desk.path("graph.yaml");
    let running = Running::start(desk.mgmt(&["run", "--tmp-prefix", "--yaml", graph.to_str().unwrap()]));
    running.wait_said("WARN file[");
    running.wait_said("apply waits: ");
    // The file as declared appears together with its directory, so there is nothing to repair.
    std::fs::create_dir(desk.path("new")).unwrap();
    desk.write("new/f", "x");
    std::fs::rename(desk.path("new"), desk.path("d")).unwrap();
    running.wait_said("/d/f]: in sync\n");
    running.wait_said("converged");
    assert!(!running.said().contains("ERROR"), "{}", running.said());
}

#[test]
fn a_lock_file_that_is_deleted_alone_is_made_again_and_nothing_else_is_reported_lost() {
    let desk = Desk::new();
    desk.write("graph.yaml", "graph: g\nresources:\n  password:\n  - name: p\n");
    let (graph, prefix) = (desk.path("graph.yaml"), desk.path("prefix"));
    let args = ["run", "--yaml", graph.to_str().unwrap(), "--prefix", prefix.to_str().unwrap()];
    let running = Running::start(desk.mgmt(&args));
    running.wait_said("converged");
    std::fs::remove_file(prefix.join("journal.lock")).unwrap();
    running.wait_said("the lock file in the prefix");
    assert!(prefix.join("journal.lock").exists());
    assert!(!running.said().contains("moved away"), "{}", running.said());
}

#[test]
fn a_run_that_only_alerts_repairs_nothing_and_ends_with_2_as_long_as_something_has_drifted() {
    let desk = Desk::new();
    desk.write(
        "graph.yaml",
        "graph: g\nresources:\n  file:\n  - {name: $DIR/f, content: x, mode: 0600, meta: {ignore: mode}}\n",
    );
    let graph = desk.path("graph.yaml");
    let run = |command: &str, more: &[&str]| {
        let args = [&[command, "--tmp-prefix", "--yaml", graph.to_str().unwrap(), "--alert-only"], more].concat();
        let output = desk.mgmt(&args).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = run("run", &["-t", "0"]);
    assert_eq!((code, desk.read("f")), (Some(2), None), "{said}");
    assert!(said.contains("WARN file[") && said.contains("alert: drifted: ") && said.contains(", 1 alert"), "{said}");
    let (code, said) = run("plan", &[]);
    assert!(code == Some(2) && said.contains("(alert: would not be repaired)") && said.contains("1 alert"), "{said}");
    desk.write("f", "x");
    let (code, said) = run("run", &["-t", "0"]);
    assert!(code == Some(0) && !said.contains("alert"), "{said}");
    let (code, said) = run("plan", &[]);
    assert!(code == Some(0) && said.contains("not compared and not repaired: mode"), "{said}");
}
