//! Exit codes: what pipelines and service managers branch on.

use std::path::Path;

use rustix::process::Signal;

use crate::kit::program::{Program, act, example};

#[test]
fn a_wrong_command_line_is_never_taken_for_pending_changes() {
    // A program of its own command line, and one that `mgmt::main` makes.
    let dir = tempfile::tempdir().unwrap();
    for args in ["plan --nope", "plan --json=x", "plan surplus", "plam", "plan --sema none", "--log"] {
        let ended = act("site", dir.path()).args(args).run().code(1);
        assert!(ended.out.is_empty() && ended.err.starts_with("error: "), "{args}: {ended:?}");
        Program::new(&example("hello")).args(args).run().code(1);
    }
    // Nor is one without what the program itself needs.
    Program::new(&example("act")).arg("plan").run().code(1).said("--scene");
    Program::new(&example("act")).arg("--version").run().code(1);
    Program::new(&example("act")).arg("--help").run().code(0);
}

/// The scene `site`, in a session without a terminal, as a service manager starts it.
fn terminated(environment: &[(&str, &str)]) -> Option<i32> {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::new(Path::new("setsid"));
    program.arg(example("act")).args("--scene site --dir").arg(dir.path());
    program.env("MGMT_PREFIX", dir.path().join("prefix"));
    for (name, value) in environment {
        program.env(name, value);
    }
    let mut running = program.start();
    running.says("converged in");
    running.signal(Signal::TERM);
    running.wait().code
}

#[test]
fn a_stop_that_a_service_manager_asks_for_is_success() {
    assert_eq!(terminated(&[]), Some(143));
    assert_eq!(terminated(&[("INVOCATION_ID", "")]), Some(143));
    assert_eq!(terminated(&[("INVOCATION_ID", "0123456789abcdef0123456789abcdef")]), Some(0));
    assert_eq!(terminated(&[("NOTIFY_SOCKET", "/run/systemd/notify")]), Some(0));
}

#[test]
fn exit_codes_are_in_the_help_and_in_the_manual_page() {
    let hello = |args: &str| Program::new(&example("hello")).args(args).run().code(0).out;
    for (args, codes) in [
        ("--help", &["0", "1", "2", "3", "129", "130", "143", "other"][..]),
        ("run --help", &["0", "1", "2", "129", "130", "143", "other"]),
        ("plan --help", &["0", "1", "2", "129", "130", "143"]),
        ("check --help", &["0", "1", "129", "130", "143"]),
        ("graph --help", &["0", "1", "129", "130", "143"]),
        ("schema --help", &["0", "1", "129", "130", "143"]),
        ("setup --help", &["0", "1", "129", "130", "143"]),
        ("setup svc --help", &["0", "1", "129", "130", "143"]),
        ("status --help", &["0", "1", "3", "129", "130", "143"]),
        ("why --help", &["0", "1", "3", "129", "130", "143"]),
        ("events --help", &["0", "1", "3", "129", "130", "143"]),
        ("pause --help", &["0", "1", "3", "129", "130", "143"]),
        ("resume --help", &["0", "1", "3", "129", "130", "143"]),
        ("poke --help", &["0", "1", "3", "129", "130", "143"]),
        ("reload --help", &["0", "1", "3", "129", "130", "143"]),
        ("completion --help", &["0", "1"]),
        ("man --help", &["0", "1"]),
    ] {
        let help = hello(args);
        let (_, table) = help.split_once("Exit codes:\n").unwrap_or_else(|| panic!("{args}: {help}"));
        let found: Vec<_> = table
            .lines()
            .filter(|line| !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(found, codes, "{args}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    }
    let page = hello("man");
    let (_, status) = page.split_once(".SH \"EXIT STATUS\"").unwrap();
    for code in ["0", "1", "2", "3", "129", "130", "143", "other"] {
        assert!(status.contains(&format!(".TP\n{code}\n")), "{code}: {status}");
    }
}
