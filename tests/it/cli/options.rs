//! Options, right and wrong, and where programs keep their things.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::kit::program::{Program, act, example};

#[test]
fn wrong_options_are_told_with_a_hint() {
    for (args, expected) in [
        ("--nope", "--noop"),
        ("plam", "plan"),
        ("-t soon", "`soon` is not a number of seconds"),
        ("--max-runtime=-1", "out of range"),
        ("--max-runtime 5x", "such as `250ms`, `90s`, `1h 30m` or `2d`"),
        ("-t -5", "`-5` seconds is out of range: give 0 or more, or -1 for never"),
        ("--max-runtime -3", "`-3` seconds is out of range: give 0 or more"),
        ("--sema 0", "give a whole number from 1 to "),
        ("--sema x", "give a whole number from 1 to "),
        ("--sema -1", "give a whole number from 1 to "),
        ("setup scv", "a similar subcommand exists: 'svc'"),
        ("setup other", "there are svc"),
        ("graph --format png", "mermaid"),
        ("--prefix /x --tmp-prefix", "cannot be used with"),
        ("--log xml", "json"),
    ] {
        let ended = Program::new(&example("hello")).args(args).run().code(1);
        assert!(ended.out.is_empty() && ended.err.contains(expected), "{args}: {ended:?}");
    }
}

#[test]
fn times_may_have_units() {
    let dir = tempfile::tempdir().unwrap();
    act("wide", dir.path()).args("-t 10ms --max-runtime 5min").run().code(0);
}

#[test]
fn help_and_version_are_no_errors() {
    let help = Program::new(&example("hello")).arg("--help").run().code(0);
    for part in ["hello: keeps what its graph declares", "plan", "check", "graph", "--converged-timeout", "MGMT_PREFIX"]
    {
        assert!(help.out.contains(part), "{part}: {}", help.out);
    }
    assert!(help.out.lines().all(|line| line.chars().count() <= 80), "{}", help.out);
    let version = Program::new(&example("hello")).arg("--version").run().code(0);
    // A function can't know the version of the crate that calls it. The macro does, as README has it.
    let ours = env!("CARGO_PKG_VERSION");
    assert_eq!(version.out, format!("hello (mgmt {ours})\n"));
    let version = Program::new(&example("refresh")).arg("--version").run().code(0);
    assert_eq!(version.out, format!("refresh {ours} (mgmt {ours})\n"));
}

#[test]
fn help_and_version_that_cannot_be_written_are_errors() {
    for (name, args) in [("hello", "--help"), ("hello", "--version"), ("act", "plan --help")] {
        let mut program = Program::new(&example(name));
        program.args(args).command.stdout(fs::File::create("/dev/full").unwrap());
        program.run().code(1);
    }
}

#[test]
fn a_wrong_command_line_is_data_too_if_the_command_prints_data() {
    for program in ["hello", "act"] {
        let ended = Program::new(&example(program)).args("plan --json --sema x").run().code(1);
        let data: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        let message = data["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("give a whole number from 1 to ") && !message.contains("Usage"), "{message}");
        assert!(ended.err.starts_with("error: "), "{ended:?}");
        let ended = Program::new(&example(program)).args("plan --help --json").run().code(0);
        assert!(ended.out.contains("Usage: "), "{ended:?}");
    }
}

#[test]
fn a_wrong_variable_is_named_where_its_option_is_used_and_ignored_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let set = |args: &str| {
        let mut program = act("site", dir.path());
        program.env("MGMT_CONVERGED_TIMEOUT", "abc").env("MGMT_MAX_RUNTIME", "abc").args(args).run()
    };
    for args in ["run", "", "run -t 0", "setup svc --print"] {
        let ended = set(args).code(1);
        let name = if args.contains("-t") { "MGMT_MAX_RUNTIME" } else { "MGMT_CONVERGED_TIMEOUT" };
        assert!(ended.err.contains(&format!("is that of the environment variable {name}")), "{args}: {ended:?}");
    }
    set("plan").code(2);
    set("check").code(0);
    set("man").code(0);
    let ended = set("check -t def").code(1);
    assert!(!ended.err.contains("environment variable"), "{ended:?}");
}

#[test]
fn files_that_can_t_be_written_are_refused_before_anything_is_changed() {
    for (option, file) in [
        ("--converged-status-file", "/nonexistent/status"),
        ("--converged-status-file", "/"),
        ("--graphviz", "/nonexistent/picture"),
        ("--graphviz", "/"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let ended = act("site", dir.path()).args("-t 0").args(option).args(file).run().code(1);
        assert!(ended.err.starts_with(&format!("error: {option}: {file} can't be written: ")), "{ended:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{option}");
    }
}

#[test]
fn a_programs_own_options_stand_beside_ours() {
    let help = Program::new(&example("act")).arg("--help").run().code(0);
    for part in ["Plays a scene for a test", "--scene", "--dir", "--noop", "plan"] {
        assert!(help.out.contains(part), "{part}: {}", help.out);
    }
}

#[test]
fn the_prefix_is_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let run = |prepare: &dyn Fn(&mut Program) -> &mut Program| {
        let mut program = act("wide", dir.path());
        program.command.env_remove("MGMT_PREFIX");
        prepare(&mut program);
        program.args("-t 0").run()
    };
    let place = |name: &str| dir.path().join(name);
    let used = |name: &str| place(name).join("journal.lock").exists();
    run(&|program| program.arg("--prefix").arg(place("given"))).code(0);
    run(&|program| program.env("MGMT_PREFIX", place("variable"))).code(0);
    run(&|program| program.env("STATE_DIRECTORY", format!("{}:/other", place("systemd").display()))).code(0);
    assert!(used("given") && used("variable") && used("systemd"));
    assert_eq!(fs::metadata(place("given")).unwrap().permissions().mode() & 0o007, 0, "nobody else's");
    // An option goes before a variable.
    run(&|program| program.env("MGMT_PREFIX", place("no")).arg("--prefix").arg(place("yes"))).code(0);
    run(&|program| program.env("MGMT_PREFIX", place("no")).env("TMPDIR", dir.path()).arg("--tmp-prefix")).code(0);
    assert!(used("yes") && !place("no").exists());
}

/// As an ordinary user, if we are root.
fn unprivileged(program: &mut Program) {
    use std::os::unix::process::CommandExt as _;
    if rustix::process::geteuid().is_root() {
        program.command.uid(65534).gid(65534);
    }
}

#[test]
fn an_ordinary_users_prefix_is_below_the_home_directory() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let run = |prepare: &dyn Fn(&mut Program) -> &mut Program| {
        let mut program = act("wide", dir.path());
        program.command.env_remove("MGMT_PREFIX").env_remove("HOME");
        unprivileged(&mut program);
        prepare(&mut program);
        program.args("-t 0").run()
    };
    let used = |name: &str| dir.path().join(name).join("journal.lock").exists();
    run(&|program| program.env("HOME", dir.path().join("home"))).code(0);
    run(&|program| program.env("XDG_STATE_HOME", dir.path().join("state"))).code(0);
    assert!(used("home/.local/state/mgmt/act") && used("state/mgmt/act"));
    // Without any, the error names the remedy.
    run(&|program| program).code(1).said("error: no working directory: set HOME, or give --prefix DIR");
    run(&|program| program.env("HOME", "/proc/nowhere")).code(1).said("give --prefix DIR or --tmp-prefix");
    run(&|program| program.env("HOME", "/proc/nowhere").arg("--allow-tmp-prefix"))
        .code(0)
        .said("working in a temporary directory");
}

#[test]
fn a_prefix_in_use_by_another_process_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = act("wide", dir.path()).start();
    first.says("converged");
    let prefix = dir.path().join("prefix").display().to_string();
    let holder = format!("error: the prefix {prefix} is in use by another process (pid {})", first.pid());
    let refused = act("wide", dir.path()).args("-t 0").run().code(1).said(&holder);
    refused.said("; give another directory with --prefix DIR, or --tmp-prefix\n");
    // A plan only looks.
    act("wide", dir.path()).arg("plan").run().code(0).said("60 in sync");
    act("wide", dir.path()).args("-t 0 --allow-tmp-prefix").run().code(0).said("working in a temporary directory");
    first.kill_9();
    act("wide", dir.path()).args("-t 0").run().code(0);
}

#[test]
fn a_prefix_that_cannot_be_used_is_an_error_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("prefix/journal.redb")).unwrap();
    let refused = act("wide", dir.path()).args("-t 0").run().code(1).said("error: ").said("prefix/journal.redb");
    refused.said("; give another directory with --prefix DIR, or --tmp-prefix\n");
}

#[test]
fn logs_are_as_talkative_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let run =
        |args: &str, level: &str| act("wide", dir.path()).args("-t 0").args(args).env("RUST_LOG", level).run().code(0);
    assert!(run("", "").err.contains("INFO"));
    let quiet = run("", "error");
    assert!(!quiet.err.contains("INFO"), "{}", quiet.err);
    assert!(!run("", "").err.contains("DEBUG"));
    assert!(run("-v", "").err.contains("DEBUG"));
    fs::write(dir.path().join("3"), "broken\n").unwrap();
    let json = run("--log json", "");
    let lines: Vec<serde_json::Value> = json.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|line| line["fields"]["message"].as_str().is_some_and(|text| text.contains("/3]: repaired")))
    );
}
