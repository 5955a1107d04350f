//! The command `remote` with what people get wrong, and ended at any moment.

use std::fmt::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::desk::{Desk, signal, silent_session, text, wait};
use crate::kit::{LONG, is_alive};

/// The exit code, and what was printed.
fn ran(desk: &Desk, words: &[&str]) -> (Option<i32>, String, String) {
    let output = desk.run(words);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn lists_of_hosts_come_from_any_editor_and_their_mistakes_have_their_places() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("x"));
    let plan = |list: &[u8]| {
        std::fs::write(desk.path("hosts"), list).unwrap();
        ran(&desk, &["remote", "plan", "--yaml", "g.yaml", "--hosts", "hosts", "-q"])
    };
    let (code, shown, log) = plan("\u{feff}local:a # one\r\n\r\nlocal:höst\r\n".as_bytes());
    assert_eq!((code, shown.as_str()), (Some(2), "a: 1 to repair\nhöst: 1 to repair\n"), "{log}");
    for (list, part) in [
        (&b"local:a\nlocal:b\nlocal:a\n"[..], "two hosts have the name `a`"),
        (b"local:a\nlocal:\n", "hosts:2: `local:` names no host"),
        (b"local:a\n-oProxyCommand=x\n", "hosts:2: `-oProxyCommand=x` names no host: a name does not begin with `-`"),
        (b"x=-oProxyCommand=x\n", "hosts:1: `x=-oProxyCommand=x` names no host: a host does not begin with `-`"),
        (b"local:a\0b\n", "hosts:1: "),
        (b"local:a\n\xff\n", "not UTF-8 at byte 8"),
    ] {
        let (code, shown, log) = plan(list);
        assert!(code == Some(1) && log.contains(part) && shown.is_empty(), "{part}: {log}");
    }
    // An empty list is no mistake, but is not passed over in silence.
    for words in [&["remote", "plan"][..], &["remote", "run"], &["remote", "run", "-t", "1"]] {
        std::fs::write(desk.path("hosts"), "# none yet\n").unwrap();
        let (code, _, log) = ran(&desk, &[words, &["--yaml", "g.yaml", "--hosts", "hosts"]].concat());
        assert!(code == Some(0) && log.contains("the list of hosts is empty"), "{words:?}: {log}");
    }
    assert!(desk.read("out").is_none());
}

#[test]
fn ten_thousand_hosts_are_read_examined_and_left_at_a_signal() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("x"));
    let mut list = String::new();
    for n in 0..10_000 {
        writeln!(list, "local:h{n}").unwrap();
    }
    desk.write("hosts", &list);
    let words = ["remote", "run", "--yaml", "g.yaml", "--hosts", "hosts", "--parallel", "2"];
    let mut command = desk.mgmt(&words);
    let mut run = command.stderr(std::fs::File::create(desk.path("log")).unwrap()).spawn().unwrap();
    wait(&mut run, "the first ones", || desk.read("log").is_some_and(|log| log.matches("converged").count() > 3));
    signal(&run, "-INT");
    assert_eq!(ends(&mut run), Some(0), "to be stopped is no failure");
    let log = desk.read("log").unwrap();
    let waiting = log.lines().last().unwrap();
    assert!(waiting.contains("had no turn: h") && waiting.ends_with(" more") && waiting.len() < 400, "{waiting}");
    // A mistake in the last line is found before anything is started.
    desk.write("hosts", &format!("{list}local:h17\n"));
    let (code, _, log) = ran(&desk, &words);
    assert!(code == Some(1) && log.contains("two hosts have the name `h17`"), "{log}");
}

#[test]
fn an_error_of_a_single_host_is_shown_once() {
    let desk = Desk::new();
    for words in [["remote", "attach", "local:a"], ["remote", "stop", "local:a"]] {
        let output = desk.program(&[&words[..], &["--prefix", "p"]].concat()).output().unwrap();
        let log = text(&output.stderr);
        assert_eq!((output.status.code(), log.matches("no run that was left here").count()), (Some(1), 1), "{log}");
    }
}

#[test]
fn options_for_other_hosts_are_refused_where_there_are_none() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("x"));
    for option in [&["--become"][..], &["--confirm", "5"], &["--ssh-config", "c"], &["--no-world"]] {
        for command in ["run", "plan"] {
            let (code, _, log) = ran(&desk, &[&[command, "--yaml", "g.yaml"], option].concat());
            assert!(code == Some(1) && log.contains("is for runs on other hosts"), "{command} {option:?}: {log}");
        }
    }
    assert!(desk.read("out").is_none());
    // Go mgmt takes these.
    let (code, _, log) = ran(&desk, &["run", "--yaml", "g.yaml", "--no-caching", "--cconns", "3", "-t", "0"]);
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_graph_file_that_vanishes_leaves_the_graph_in_force() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("one"));
    let mut command = desk.mgmt(&["remote", "run", "--yaml", "g.yaml", "local:a", "--watch"]);
    let mut run = command.stderr(std::fs::File::create(desk.path("log")).unwrap()).spawn().unwrap();
    wait(&mut run, "one", || desk.read("out").as_deref() == Some("one"));
    std::fs::rename(desk.path("g.yaml"), desk.path("away")).unwrap();
    std::fs::remove_file(desk.path("out")).unwrap();
    wait(&mut run, "it is kept", || desk.read("out").as_deref() == Some("one"));
    desk.write("g.yaml", &desk.graph("two"));
    wait(&mut run, "two", || desk.read("out").as_deref() == Some("two"));
    signal(&run, "-INT");
    assert_eq!(ends(&mut run), Some(0), "{:?}", desk.read("log"));
}

/// Waits for the end of a process. Returns its exit code.
fn ends(run: &mut Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = run.try_wait().unwrap() {
            return status.code();
        }
        assert!(began.elapsed() < LONG, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_signal_at_any_moment_ends_all_and_leaves_nothing() {
    let desk = Desk::new();
    let pid = desk.path("pid");
    let graph = format!(
        "graph: g\nresources:\n  exec:\n  - name: slow\n    cmd: echo $$ >>{}; exec sleep 1000\n    shell: /bin/sh\n",
        pid.display()
    );
    desk.write("g.yaml", &graph);
    let pids = || -> Vec<u32> {
        desk.read("pid").unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok()).collect()
    };
    for name in ["-INT", "-TERM", "-KILL"] {
        for moment in [0, 30, 100, 300, 1000] {
            let words = ["remote", "run", "--yaml", "g.yaml", "local:a", "local:b", "--watch"];
            let mut run = silent_session(&desk.mgmt(&words)).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(moment));
            // The second one cancels what the first one lets end.
            signal(&run, name);
            std::thread::sleep(Duration::from_millis(100));
            if run.try_wait().unwrap().is_none() {
                signal(&run, name);
            }
            ends(&mut run);
            let began = Instant::now();
            while pids().into_iter().any(is_alive) {
                assert!(began.elapsed() < LONG, "{name} after {moment} ms: a command is left");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}
