//! Programs that print graphs, and Puppet among them.

use std::os::unix::fs::PermissionsExt as _;

use crate::kit::{Desk, Running, text};

const PRINT: &str = "printf 'graph: g\\nresources:\\n  file:\\n  - {name: %s, content: %s}\\n'";

#[test]
fn a_program_prints_the_graph_and_is_run_again_when_its_file_changes() {
    let desk = Desk::new();
    let source = desk.write("source", "one");
    let out = desk.path("out");
    let line = format!("{PRINT} {} $(cat {})", out.display(), source.display());
    let running = Running::start(desk.mgmt(&["run", "--command", &line, "--watch-file", source.to_str().unwrap()]));
    running.wait("the first graph", || desk.read("out").as_deref() == Some("one"));
    desk.write("source", "two");
    running.wait("the second graph", || desk.read("out").as_deref() == Some("two"));
}

#[test]
fn a_program_is_run_again_every_so_often_and_a_failure_keeps_the_old_graph() {
    let desk = Desk::new();
    desk.write("source", "one");
    let line = format!("{PRINT} {} $(cat {})", desk.path("out").display(), desk.path("source").display());
    let running = Running::start(desk.mgmt(&[
        "run",
        "--command",
        &format!("set -e; v={}; test -e $v; {line}", desk.path("source").display()),
        "--every",
        "0.2",
    ]));
    running.wait("the first graph", || desk.read("out").as_deref() == Some("one"));
    std::fs::remove_file(desk.path("source")).unwrap();
    running.wait_said("refused");
    std::fs::remove_file(desk.path("out")).unwrap();
    running.wait("the repair by the old graph", || desk.read("out").as_deref() == Some("one"));
    desk.write("source", "two");
    running.wait("the next graph", || desk.read("out").as_deref() == Some("two"));
}

#[test]
fn a_wrong_graph_that_a_program_prints_is_shown_with_its_lines() {
    let desk = Desk::new();
    let output = desk.mgmt(&["check", "--command", "printf 'graph: g\\nresources:\\n  nop: []\\n'"]).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("there is no kind `nop`: did you mean `noop`?") && said.contains("  3 |   nop: []"),
        "{said}"
    );
}

#[test]
fn what_a_program_that_fails_has_printed_is_shown_in_lines() {
    let desk = Desk::new();
    let script = desk.write("g.py", "#!/bin/sh\necho 'Traceback:' >&2\necho '  line 3' >&2\nexit 3\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = desk.mgmt(&["check", "--command", "./g.py"]);
    let output = command.current_dir(desk.dir.path()).output().unwrap();
    let expected = "error: no graph: `./g.py` failed with exit code 3, and printed:\n  Traceback:\n    line 3\n";
    assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(1), expected));
    let mut command = desk.mgmt(&["check", "--json", "--command", "echo one >&2; echo '  two' >&2; kill -9 $$"]);
    let output = command.output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = said["errors"][0]["message"].as_str().unwrap();
    assert!(message.ends_with("$$` was killed by SIGKILL: one\n  two"), "{message}");
}

/// A program `puppet` that notes what it was asked.
fn puppet(desk: &Desk, interval: &str) {
    std::fs::create_dir(desk.path("bin")).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> $DIR/asked\ncase $1 in\nmgmtgraph) {PRINT} $DIR/out \"$(grep -c mgmtgraph $DIR/asked)\";;\nconfig) {interval};;\nesac\n"
    );
    let path = desk.write("bin/puppet", &script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_puppet(desk: &Desk, arguments: &[&str]) -> std::process::Command {
    let mut command = desk.mgmt(arguments);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", desk.path("bin").display()));
    command
}

#[test]
fn puppet_is_asked_for_the_agent_a_manifest_or_code() {
    let asked = [
        (&["agent"][..], "mgmtgraph print"),
        (&["site.pp"], "mgmtgraph print --manifest site.pp"),
        (&["file { '/x': }"], "mgmtgraph print --code file { '/x': }"),
        (&["agent", "--puppet-conf", "/etc/p.conf"], "mgmtgraph print --config=/etc/p.conf"),
    ];
    for (arguments, expected) in asked {
        let desk = Desk::new();
        puppet(&desk, "echo 1800");
        let mut command = with_puppet(&desk, &["run", "--no-watch", "-t", "0", "--puppet"]);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(desk.read("asked").unwrap().trim_end(), expected);
        assert_eq!(desk.read("out").as_deref(), Some("1"));
    }
}

#[test]
fn what_puppet_prints_when_it_fails_is_shown() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("bin")).unwrap();
    // Its errors go to either output.
    let path = desk.write("bin/puppet", "#!/bin/sh\necho \"Error: Syntax error at 'fil'\"\nexit 1\n");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = with_puppet(&desk, &["check", "--puppet", "fil {}"]).output().unwrap();
    let expected = "`puppet mgmtgraph print` failed with exit code 1, and printed:\n  Error: Syntax error at 'fil'\n";
    assert!(text(&output.stderr).ends_with(expected), "{}", text(&output.stderr));
}

#[test]
fn puppet_is_asked_again_after_its_run_interval() {
    let desk = Desk::new();
    puppet(&desk, "echo 1");
    let running = Running::start(with_puppet(&desk, &["run", "--puppet", "agent"]));
    running.wait("a third graph", || desk.read("out").is_some_and(|out| out.parse::<u32>().is_ok_and(|n| n >= 3)));
    assert!(desk.read("asked").unwrap().starts_with("mgmtgraph print\nconfig print runinterval\nmgmtgraph print\n"));
}

#[test]
fn where_puppet_does_not_say_its_interval_that_is_said_and_it_runs() {
    let desk = Desk::new();
    puppet(&desk, "exit 1");
    let running = Running::start(with_puppet(&desk, &["run", "--puppet", "agent"]));
    running.wait_said("asked again every 1800 s");
    running.wait("the graph", || desk.read("out").is_some());
}

#[test]
fn what_a_program_prints_is_bounded_and_need_not_be_text() {
    let desk = Desk::new();
    for (line, expected) in [
        ("yes", "printed more than 67108864 bytes and was stopped"),
        ("head -c 100000000 /dev/zero", "printed more than 67108864 bytes and was stopped"),
        ("printf 'graph: \\377'", "the file is not UTF-8: the byte 0xff stands here"),
        ("true", "the file is empty: a graph begins with `graph: NAME`"),
        ("/nowhere/program", "not found"),
        ("kill -9 $$", "was killed by SIGKILL"),
    ] {
        let began = std::time::Instant::now();
        let output = desk.mgmt(&["run", "-t", "0", "--command", line]).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(expected), "{line}: {said}");
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{line}: {:?}", began.elapsed());
    }
}

#[test]
fn an_interrupted_command_leaves_no_program_running() {
    for command in [&["run"][..], &["plan"], &["check"], &["graph"]] {
        let desk = Desk::new();
        let line = format!("echo $$ > {}; exec sleep 300", desk.path("pid").display());
        let mut running = Running::start({
            let mut mgmt = desk.mgmt(command);
            mgmt.args(["--command", &line]);
            mgmt
        });
        let pid = || desk.read("pid").and_then(|pid| pid.trim().parse().ok()).and_then(rustix::process::Pid::from_raw);
        running.wait("the program", || pid().is_some());
        running.signal(rustix::process::Signal::INT);
        let code = if command == ["run"] { 0 } else { 130 };
        assert_eq!(running.ended(), Some(code), "{command:?}");
        let is_gone = || rustix::process::test_kill_process(pid().unwrap()).is_err();
        crate::kit::wait(is_gone, || format!("{command:?}: the program still runs"));
    }
}

#[test]
fn a_slow_program_does_not_keep_the_graph_that_runs_from_its_work() {
    let desk = Desk::new();
    let (out, slow) = (desk.path("out"), desk.path("slow"));
    let line = format!("test -e {} && sleep 300; {PRINT} {} one", slow.display(), out.display());
    let running = Running::start(desk.mgmt(&["run", "--every", "0.1", "--command", &line]));
    running.wait("the first graph", || desk.read("out").as_deref() == Some("one"));
    desk.write("slow", "");
    std::thread::sleep(std::time::Duration::from_millis(500));
    std::fs::remove_file(&out).unwrap();
    running.wait("the repair", || desk.read("out").as_deref() == Some("one"));
}
