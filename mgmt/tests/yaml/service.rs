//! `mgmt` as a service: the unit that `setup svc` writes, and SIGHUP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::kit::{Desk, Running, text};
use crate::session::without_terminal;

const GRAPH: &str = "graph: shown\nresources:\n  file:\n  - {name: $DIR/made, content: one}\n";

/// `mgmt setup svc` with a `systemctl` that only writes down what it is asked for, and a home of its own.
fn setup(desk: &Desk, arguments: &[&str]) -> Command {
    let mut command = desk.mgmt(&["setup", "svc"]);
    let bin = desk.path("bin");
    if !bin.exists() {
        fs::create_dir(&bin).unwrap();
        let log = desk.path("asked");
        fs::write(bin.join("systemctl"), format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display())).unwrap();
        fs::set_permissions(bin.join("systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    command.args(arguments).env("PATH", bin).env("XDG_CONFIG_HOME", desk.path("config"));
    // As in most shells: the unit has what it needs.
    command.env_remove("MGMT_PREFIX").current_dir(desk.dir.path());
    command
}

fn run(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The value of `ExecStart`, behind the program.
fn words(unit: &str) -> String {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    line.strip_prefix(env!("CARGO_BIN_EXE_mgmt")).unwrap_or_else(|| panic!("{line}")).trim_start().to_owned()
}

#[test]
fn the_unit_runs_the_same_command_line_from_any_directory() {
    let desk = Desk::new();
    desk.write("my graph.yaml", GRAPH);
    let (code, unit, err) = run(setup(&desk, &["--print", "--yaml", "my graph.yaml", "-vt", "5", "--hostname=web1"]));
    assert_eq!(code, Some(0), "{err}");
    let graph = desk.path("my graph.yaml");
    assert_eq!(words(&unit), format!("run --yaml \"{}\" -vt 5 --hostname=web1", graph.display()));
    assert!(unit.contains("\nStateDirectory=mgmt\n") && unit.contains("\nType=notify\n"), "{unit}");
    assert!(!desk.path("config").exists() && desk.read("asked").is_none(), "printed only");
    // A working directory that is named needs no other one; another service gets one of its own.
    let (_, unit, _) = run(setup(&desk, &["--print", "--yaml", "my graph.yaml", "--prefix", "state"]));
    assert!(!unit.contains("StateDirectory") && words(&unit).ends_with("/state"), "{unit}");
    let (_, unit, _) = run(setup(&desk, &["--print", "--yaml", "my graph.yaml", "--service", "web"]));
    assert!(unit.contains("\nStateDirectory=mgmt/web\n") && !words(&unit).contains("--service"), "{unit}");
}

#[test]
fn the_unit_has_the_directory_of_the_caller_and_what_its_environment_sets() {
    let desk = Desk::new();
    desk.write("graph.yaml", GRAPH);
    let here = desk.dir.path().display();
    // A text that names a file can't be made absolute: the service runs where the file is, or not at all.
    for source in [["--command", "cat ./graph.yaml"], ["--puppet", "site.pp"]] {
        // It is checked before, so `puppet` is one that prints the graph.
        let mut command = setup(&desk, &[]);
        fs::write(desk.path("bin/puppet"), "#!/bin/sh\necho 'graph: x'\n").unwrap();
        fs::set_permissions(desk.path("bin/puppet"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", desk.path("bin").display(), std::env::var("PATH").unwrap());
        command.arg("--print").args(source).env("PATH", path);
        let (code, unit, err) = run(command);
        assert_eq!(code, Some(0), "{err}");
        assert!(unit.contains(&format!("\nWorkingDirectory={here}\n")), "{unit}");
        let is_volatile = ["/tmp", "/var/tmp", "/run", "/dev/shm"].iter().any(|dir| desk.dir.path().starts_with(dir));
        assert_eq!(err.contains("may be gone after a reboot"), is_volatile, "{err}");
    }
    let line = ["--print", "--yaml", "graph.yaml"];
    let (_, unit, err) = run(setup(&desk, &line));
    assert!(unit.contains(&format!("\nWorkingDirectory=-{here}\n")) && !err.contains("reboot"), "{unit}{err}");
    assert!(!unit.contains("Environment="), "{unit}");
    let with = |more: &[&str]| {
        let mut command = setup(&desk, &line);
        command.args(more).env("MGMT_PREFIX", "state").env("MGMT_CONVERGED_TIMEOUT", "5");
        command.env("MGMT_MAX_RUNTIME", "1h").env("RUST_LOG", "warn").env("XDG_STATE_HOME", "/state");
        run(command).1
    };
    let unit = with(&[]);
    let words = words(&unit);
    let values = [&format!("--prefix={here}/state"), "--converged-timeout=5", "--max-runtime=1h run "].join(" ");
    assert!(words.starts_with(&values), "{words}");
    assert!(!unit.contains("StateDirectory") && unit.contains("\nEnvironment=RUST_LOG=warn\n"), "{unit}");
    assert!(!unit.contains("XDG_STATE_HOME"), "{unit}");
    // The command line goes before the environment.
    let unit = with(&["--user", "-t", "7", "--tmp-prefix"]);
    assert!(unit.contains("-t 7") && !unit.contains("--converged-timeout") && !unit.contains("--prefix="), "{unit}");
    assert!(unit.contains("\nEnvironment=XDG_STATE_HOME=/state\n"), "{unit}");
}

#[test]
fn the_unit_is_written_once_and_enabled_and_started_if_asked_for() {
    let desk = Desk::new();
    desk.write("graph.yaml", GRAPH);
    let unit = desk.path("config/systemd/user/web.service");
    let line = ["--user", "--service", "web", "--yaml", "graph.yaml"];
    let (code, out, err) = run(setup(&desk, &line));
    assert_eq!((code, out.starts_with(&format!("written: {}\n", unit.display()))), (Some(0), true), "{out}{err}");
    assert!(fs::read_to_string(&unit).unwrap().contains("\nWantedBy=default.target\n"));
    let asked = || desk.read("asked").unwrap().lines().last().unwrap().to_owned();
    assert_eq!(asked(), "--user --quiet enable web");
    let (code, out, _) = run(setup(&desk, &line));
    assert_eq!((code, out.starts_with("unchanged: ")), (Some(0), true), "{out}");
    // Another command line is another unit.
    let (code, out, _) = run(setup(&desk, &[&line[..], &["--noop"]].concat()));
    assert_eq!((code, out.starts_with("written: ")), (Some(0), true), "{out}");
    assert!(words(&fs::read_to_string(&unit).unwrap()).ends_with(" --noop"));
    let (code, out, err) = run(setup(&desk, &[&line[..], &["--now"]].concat()));
    if Path::new("/run/systemd/system").exists() {
        assert_eq!((code, asked().as_str()), (Some(0), "--user restart web"), "{out}{err}");
    } else {
        assert_eq!((code, out.as_str()), (Some(1), ""), "refused before anything is done");
        assert!(err.contains("systemd does not run here, so nothing can be started now"), "{err}");
    }
}

#[test]
fn what_can_t_be_a_service_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    desk.write("graph.yaml", GRAPH);
    desk.write("wrong.yaml", "graph: x\nresources:\n  flie:\n  - {name: a}\n");
    fs::create_dir_all(desk.path("config/systemd/user")).unwrap();
    let foreign = desk.write("config/systemd/user/theirs.service", "[Service]\nExecStart=/bin/true\n");
    for (arguments, why) in [
        (&["--user", "--yaml", "wrong.yaml"][..], "flie"),
        (&["--user", "--yaml", "missing.yaml"], "missing.yaml can't be read"),
        (&["--user"], "no graph: give one with --yaml FILE"),
        (&["--user", "--yaml", "graph.yaml", "--service", "a b"], "`a b` can't be the name of a service"),
        (&["--user", "--yaml", "graph.yaml", "--service", "../x"], "`../x` can't be the name of a service"),
        (&["--user", "--yaml", "graph.yaml", "--service", "web@"], "`web@` can't be the name of a service"),
        (&["--user", "--yaml", "graph.yaml", "--service", "theirs"], "was not written by this command: remove it"),
    ] {
        let (code, out, err) = run(setup(&desk, arguments));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}: {err}");
        assert!(err.contains(why), "{arguments:?}: {err}");
        assert_eq!(desk.read("asked"), None);
    }
    let mut piped = setup(&desk, &["--user", "--yaml", "-"]);
    piped.stdin(fs::File::open(desk.path("graph.yaml")).unwrap());
    let (code, _, err) = run(piped);
    assert_eq!(code, Some(1));
    assert!(err.contains("--yaml -: a service has neither standard input nor output: give a file"), "{err}");
    assert_eq!(fs::read_to_string(foreign).unwrap(), "[Service]\nExecStart=/bin/true\n");
    assert_eq!(fs::read_dir(desk.path("config/systemd/user")).unwrap().count(), 1);
}

#[test]
fn a_systemctl_that_fails_is_reported_with_what_it_printed() {
    let desk = Desk::new();
    desk.write("graph.yaml", GRAPH);
    let command = setup(&desk, &["--user", "--yaml", "graph.yaml"]);
    fs::write(desk.path("bin/systemctl"), "#!/bin/sh\necho 'the unit is masked' >&2\nexit 1\n").unwrap();
    let (code, _, err) = run(command);
    assert_eq!(code, Some(1));
    assert!(err.contains("the unit is written, but ") && err.contains("the unit is masked"), "{err}");
}

/// In a session of its own, with the variables of the command alone.
fn session(command: &Command) -> Command {
    let mut session = without_terminal(command);
    session.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    session.stdout(Stdio::piped()).stderr(Stdio::piped());
    session
}

#[test]
fn sighup_reads_a_file_again_that_is_not_followed() {
    let desk = Desk::new();
    let graph = desk.graph(GRAPH);
    let command = desk.mgmt(&["run", "--no-watch", "--yaml", graph.to_str().unwrap()]);
    let mut running = Running::start(session(&command));
    running.wait("made", || desk.read("made").as_deref() == Some("one"));
    running.wait_said("converged");
    desk.graph(&GRAPH.replace("one", "two"));
    running.signal(Signal::HUP);
    running.wait("the new content", || desk.read("made").as_deref() == Some("two"));
    // A wrong graph is refused, and the one before stays in force.
    desk.graph("graph: x\nresources: 5\n");
    running.signal(Signal::HUP);
    running.wait_said("the new graph is refused");
    fs::remove_file(desk.path("made")).unwrap();
    running.wait("the old content", || desk.read("made").as_deref() == Some("two"));
    running.signal(Signal::INT);
    assert_eq!(running.ended(), Some(0));
}

#[test]
fn sighup_runs_a_program_again_that_prints_the_graph() {
    let desk = Desk::new();
    desk.write("graph.yaml", GRAPH);
    let line = format!("cat {}; test -z \"$NOTIFY_SOCKET\"", desk.path("graph.yaml").display());
    let mut command = desk.mgmt(&["run", "--command", &line]);
    // Where nobody listens; and a command does not get it.
    command.env("NOTIFY_SOCKET", desk.path("nowhere"));
    let mut running = Running::start(session(&command));
    running.wait("made", || desk.read("made").as_deref() == Some("one"));
    running.wait_said("converged");
    desk.write("graph.yaml", &GRAPH.replace("one", "two"));
    running.signal(Signal::HUP);
    running.wait("the new content", || desk.read("made").as_deref() == Some("two"));
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), Some(0), "as a service: {}", running.said());
}
