//! The command `remote` on several hosts, each a process on this machine.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::desk::{Desk, StopAtEnd, is_there, signal, text, wait};
use crate::executable::program;
use crate::kit::LONG;

#[test]
fn a_plan_of_several_hosts_shows_what_they_have_in_common_once_and_changes_nothing() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("hello\\n"));
    let output = desk.run(&["remote", "plan", "--yaml", "g.yaml", "local:a", "local:b"]);
    let out = desk.path("out");
    assert_eq!(
        text(&output.stdout),
        format!(
            "a, b:\n  ~ file[{}]\n      state: absent → regular file\n      content: nothing → 6 bytes\n        \
             @@ -0,0 +1 @@\n        +hello\n\na: 1 to repair\nb: 1 to repair\n",
            out.display()
        )
    );
    assert_eq!((output.status.code(), is_there(&out)), (Some(2), false), "{}", text(&output.stderr));
    let output = desk.run(&["remote", "plan", "--yaml", "g.yaml", "local:a", "local:b", "--json"]);
    let data: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(data["hosts"][1]["host"], "b");
    assert_eq!(data["hosts"][1]["summary"]["drifted"], 1);
}

#[test]
fn a_run_repairs_on_each_host_and_ends_when_each_has_converged() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("hello\\n"));
    let output = desk.run(&["remote", "run", "--yaml", "g.yaml", "local:a", "local:b", "--parallel", "1"]);
    let log = text(&output.stderr);
    assert_eq!((output.status.code(), desk.read("out").as_deref()), (Some(0), Some("hello\n")), "{log}");
    assert!(log.contains("INFO a: file[") && log.contains("INFO a: converged, 1 changed"), "{log}");
    assert!(log.contains("INFO b: converged, 0 changed"), "{log}");
    let output = desk.run(&["remote", "plan", "--yaml", "g.yaml", "local:a", "-q"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "a: 1 in sync\n"));
}

#[test]
fn events_are_lines_of_json_with_the_host() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("hello\\n"));
    let output = desk.run(&["remote", "run", "--yaml", "g.yaml", "local:a", "--json", "-t", "0"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["host"] == "a"), "{lines:#?}");
    let words: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    for word in ["connecting", "started", "applied", "converged", "host_ended"] {
        assert!(words.contains(&word), "{words:?}");
    }
    let last = lines.last().unwrap();
    assert_eq!((last["event"].as_str(), last["code"].as_u64()), (Some("host_ended"), Some(0)));
}

#[test]
fn all_hosts_end_together_and_a_host_that_fails_keeps_the_others_from_nothing() {
    let desk = Desk::new();
    let (good, bad) = (desk.path("good"), desk.path("bad"));
    // The two differ by what is there: the first to come makes the directory, and each has its own file.
    desk.write(
        "g.yaml",
        &format!(
            "graph: g\nresources:\n  file:\n  - name: {}\n    content: x\n  exec:\n  - name: fails\n    cmd: \"false\"\n    meta: {{retry: 0}}\n",
            good.display()
        ),
    );
    let output = desk.run(&["remote", "run", "--yaml", "g.yaml", "local:a", "local:b", "-t", "1"]);
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(good.exists() && !bad.exists());
    assert!(log.contains("a: the graph can't converge:") && log.contains("b:   exec[fails] failed"), "{log}");
    // Without the failure, both end, with 0.
    desk.write("g.yaml", &desk.graph("x"));
    let output = desk.run(&["remote", "run", "--yaml", "g.yaml", "local:a", "local:b", "-t", "1"]);
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("all hosts have converged"), "{log}");
}

#[test]
fn a_graph_and_a_list_of_hosts_that_change_are_followed() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("one"));
    desk.write("hosts.txt", "local:a # the first\n\n# and no more\n");
    let mut run = desk
        .mgmt(&["remote", "run", "--yaml", "g.yaml", "--hosts", "hosts.txt", "--watch", "--json"])
        .stdout(std::fs::File::create(desk.path("events")).unwrap())
        .stderr(std::fs::File::create(desk.path("log")).unwrap())
        .spawn()
        .unwrap();
    wait(&mut run, "one", || desk.read("out").as_deref() == Some("one"));
    desk.write("g.yaml", &desk.graph("two"));
    wait(&mut run, "two", || desk.read("out").as_deref() == Some("two"));
    // A wrong graph, and a wrong list, leave all as it is.
    desk.write("g.yaml", "graph: g\nresources: {fil: []}\n");
    wait(&mut run, "refused", || desk.read("log").is_some_and(|log| log.contains("the new graph is refused")));
    desk.write("hosts.txt", "local:a\nlocal:b\nlocal:a\n");
    wait(&mut run, "refused", || desk.read("log").is_some_and(|log| log.contains("the new list of hosts is refused")));
    // The drift is still repaired.
    std::fs::remove_file(desk.path("out")).unwrap();
    wait(&mut run, "repaired", || desk.read("out").as_deref() == Some("two"));
    desk.write("hosts.txt", "local:b\n");
    let has = |host: &str, word: &str| {
        let line = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line)
                .is_ok_and(|data| data["host"] == host && data["event"] == word)
        };
        desk.read("events").unwrap_or_default().lines().any(line)
    };
    wait(&mut run, "b", || has("b", "started"));
    wait(&mut run, "a", || has("a", "host_ended"));
    signal(&run, "-INT");
    let status = run.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", desk.read("log").unwrap());
    assert!(has("b", "host_ended"));
}

#[test]
fn wrong_options_are_refused_before_anything_starts() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("x"));
    let error = |words: &[&str]| {
        let output = desk.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output.stderr));
        text(&output.stderr)
    };
    let g = ["remote", "run", "--yaml", "g.yaml"];
    let with = |more: &[&'static str]| error(&[&g[..], more].concat());
    assert!(with(&[]).contains("no hosts: name them, or give --hosts FILE or --world-hosts"));
    assert!(with(&["local:a", "local:a"]).contains("two hosts have the name `a`"));
    let few = with(&["local:a", "local:b", "--parallel", "1", "-t", "1"]);
    assert!(few.contains("--parallel 1 is less than the 2 hosts"), "{few}");
    assert!(with(&["local:a", "--watch", "-t", "1"]).contains("leave one of them out"));
    // What is not confirmed must be put back later: by a program, and from records, that are still there then.
    assert!(with(&["local:a", "--confirm", "5"]).contains("a working directory there that lasts"));
    for more in ["--detach", "--no-caching"] {
        assert!(with(&["local:a", "--confirm", "5", more]).contains("cannot be used with"), "{more}");
    }
    desk.write("hosts.txt", "local:a\nroot@\n");
    assert!(with(&["--hosts", "hosts.txt"]).contains("hosts.txt:2: `root@` names no host"));
    assert!(with(&["--hosts", "none.txt"]).contains("none.txt"));
    desk.write("locals.txt", "local:a\n");
    for hosts in [&["local:a"][..], &["--hosts", "locals.txt"]] {
        for option in ["--become", "--become=bob", "--remote-binary=/bin/true"] {
            let error = with(&[hosts, &[option][..]].concat());
            let name = option.split('=').next().unwrap();
            assert!(error.contains(&format!("{name} does not hold for `local:a`")), "{error}");
        }
    }
    for address in ["ssh://root:canary@web1", "root:canary@web1", "x=root:canary@web1:22"] {
        let error = with(&[address]);
        assert!(!error.contains("canary") && error.contains("root:(secret)@web1"), "{error}");
    }
    assert!(error(&["remote", "plan", "local:a"]).contains("no graph"));
    assert!(!desk.path("out").exists());
}

#[test]
fn old_files_name_their_hosts_and_show_no_password() {
    let desk = Desk::new();
    let error = |words: &[&str]| {
        let output = desk.run(words);
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.code() == Some(1) && !all.contains("canary"), "{words:?}: {all}");
        all
    };
    desk.write("none.yaml", &desk.graph("x"));
    assert!(error(&["run", "--remote", "none.yaml"]).contains("the graph names no host"));
    desk.write("wrong.yaml", &format!("remote: http://root:canary@h\n{}", desk.graph("x")));
    let wrong = error(&["run", "--remote", "wrong.yaml"]);
    assert!(wrong.contains("the scheme `http` is not known") && wrong.contains("wrong.yaml:1:"), "{wrong}");
    // The scheme may be left out. The host does not exist, also where names of DNS are known.
    desk.write("plain.yaml", &format!("remote: root:canary@no-such-host.invalid:22\n{}", desk.graph("x")));
    let plain = error(&["run", "--remote", "plain.yaml", "-t", "0"]);
    assert!(plain.contains("the password in `remote`") && plain.contains("ERROR no-such-host.invalid:"), "{plain}");
    for name in ["a", "b"] {
        desk.write(&format!("{name}.yaml"), &format!("remote: ssh://root:canary@h\n{}", desk.graph("x")));
    }
    let twice = error(&["run", "--remote", "a.yaml", "--remote", "b.yaml"]);
    assert!(twice.contains("two hosts have the name `h`"), "{twice}");
    assert!(error(&["plan", "--remote", "a.yaml"]).contains("`run`"));
    assert!(error(&["run", "--remote", "a.yaml", "--yaml", "a.yaml"]).contains("cannot be used with"));
}

#[test]
fn what_was_changed_stays_if_it_is_confirmed_and_is_put_back_at_a_stop() {
    let desk = Desk::new();
    desk.write("out", "before\n");
    desk.write("g.yaml", &desk.graph("hello\\n"));
    let confirm = ["remote", "run", "--yaml", "g.yaml", "local:a", "--prefix", "p", "--confirm", "60s"];
    let output = desk.program(&confirm).output().unwrap();
    let log = text(&output.stderr);
    assert_eq!((output.status.code(), desk.read("out").as_deref()), (Some(0), Some("hello\n")), "{log}");
    assert!(log.contains("a: confirmed: what was changed stays") && log.contains("a: converged in "), "{log}");

    desk.write("out", "before\n");
    let slow = "  exec:\n  - name: slow\n    cmd: sleep 1000\n    undo: \"true\"\n";
    desk.write("g.yaml", &format!("{}{slow}", desk.graph("hello\\n")));
    let mut command = desk.program(&confirm);
    command.stderr(std::fs::File::create(desk.path("log")).unwrap());
    let mut child = command.spawn().unwrap();
    wait(&mut child, "the change", || desk.read("out").as_deref() == Some("hello\n"));
    for _ in 0..2 {
        signal(&child, "-INT");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log = desk.read("log").unwrap();
    assert_eq!(desk.read("out").as_deref(), Some("before\n"), "{log}");
    assert!(log.contains("a: not confirmed: putting back what was changed"), "{log}");
    assert!(log.contains("a: stopped, what was changed is put back"), "{log}");
}

#[test]
fn a_run_that_stays_is_left_listed_shown_and_stopped() {
    let desk = Desk::new();
    desk.write("g.yaml", &desk.graph("hello\\n"));
    let prefix = desk.path("prefix").to_str().unwrap().to_owned();
    let output = |words: &[&str]| desk.program(words).args(["--prefix", &prefix]).output().unwrap();
    let _stop = StopAtEnd("a", desk.path("prefix"));
    let done = |words: &[&str]| {
        let output = output(words);
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {log}");
        (text(&output.stdout), log)
    };
    assert!(done(&["remote", "list", "local:a"]).0.contains("a: no run was left there"));
    let (_, log) = done(&["remote", "run", "--yaml", "g.yaml", "local:a", "--detach"]);
    assert!(log.contains("a: left there: ") && log.contains("a: runs on there"), "{log}");
    let listed = done(&["remote", "list", "local:a", "--json"]).0;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let run = &listed["hosts"][0]["run"];
    assert!(listed["hosts"][0]["host"] == "a" && run["runs"] == true && run["prefix"] == prefix.as_str(), "{listed}");
    let again = output(&["remote", "run", "--yaml", "g.yaml", "local:a"]);
    assert!(again.status.code() == Some(1) && text(&again.stderr).contains("`remote stop`"), "{}", text(&again.stderr));
    let repaired = || desk.read("out").as_deref() == Some("hello\n");
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < LONG, "not so yet: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("the file", &repaired);
    std::fs::remove_file(desk.path("out")).unwrap();
    until("the repair, which is seen by no one", &repaired);
    // ^C leaves it.
    let mut attach = Command::new(program());
    attach.args(["remote", "attach", "local:a", "--json", "--prefix", &prefix]).stdin(Stdio::null());
    attach.stdout(std::fs::File::create(desk.path("events")).unwrap());
    attach.stderr(std::fs::File::create(desk.path("log")).unwrap());
    let mut attach = attach.spawn().unwrap();
    let count = |word: &str| desk.read("events").unwrap_or_default().matches(&format!("\"event\":\"{word}\"")).count();
    wait(&mut attach, "what was missed", || count("attached") == 1 && count("applied") >= 1);
    let missed = count("applied");
    std::fs::remove_file(desk.path("out")).unwrap();
    wait(&mut attach, "what happens", || count("applied") > missed);
    signal(&attach, "-INT");
    assert_eq!(attach.wait().unwrap().code(), Some(0), "{:?}", desk.read("log"));
    assert!(desk.read("log").unwrap().contains("leaving: the runs stay on their hosts"), "{:?}", desk.read("log"));
    let pid = run["pid"].as_u64().unwrap() as u32;
    assert!(crate::kit::is_alive(pid));
    let (_, log) = done(&["remote", "stop", "local:a"]);
    assert!(log.contains("a: stopped"), "{log}");
    assert!(!crate::kit::is_alive(pid));
    assert!(done(&["remote", "list", "local:a"]).0.contains("has ended at"), "");
    let refused = |words: &[&str]| {
        let output = output(&[&["remote", "run", "--yaml", "g.yaml", "local:a", "--detach"], words].concat());
        assert_ne!(output.status.code(), Some(0), "{words:?}");
        text(&output.stderr)
    };
    assert!(refused(&["--watch"]).contains("cannot be used with"));
    assert!(refused(&["--no-caching"]).contains("leave out --no-caching"));
    assert!(refused(&["--allow-tmp-prefix"]).contains("leave out --allow-tmp-prefix"));
}
