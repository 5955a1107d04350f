//! What people see in a terminal: the program runs under a pseudo-terminal (`script` of util-linux).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::kit::program::{Program, Running, example};

fn has_script() -> bool {
    Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A scene in a terminal of 100 columns.
pub fn in_terminal(scene: &str, dir: &Path, args: &str) -> Running {
    in_terminal_with(scene, dir, args, &[])
}

/// The same, with these variables in its environment.
pub fn in_terminal_with(scene: &str, dir: &Path, args: &str, environment: &[(&str, &str)]) -> Running {
    in_terminal_of(100, scene, dir, args, environment)
}

/// The same, in a terminal of this many columns.
fn in_terminal_of(columns: u16, scene: &str, dir: &Path, args: &str, environment: &[(&str, &str)]) -> Running {
    assert!(has_script(), "this test needs `script` of util-linux");
    let act = example("act");
    let line =
        format!("stty cols {columns} rows 30; exec {} --scene {scene} --dir {} {args}", act.display(), dir.display());
    let mut program = Program::new(Path::new("script"));
    program.env("MGMT_PREFIX", dir.join("prefix")).env("TERM", "xterm-256color");
    for (name, value) in environment {
        program.env(name, value);
    }
    program.args("-q -e -f -c").arg(line).arg("/dev/null").start()
}

#[test]
fn a_run_shows_what_it_does_and_then_each_repair_with_a_short_diff() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = in_terminal("site", dir.path(), "");
    running.says("converged in ");
    running.says("look around");
    let text: String = (0..20).map(|n| format!("line {n}\n")).collect();
    // At once, or what is seen first is an empty file.
    fs::write(dir.path().join("new"), text).unwrap();
    fs::rename(dir.path().join("new"), dir.path().join("site/motd")).unwrap();
    running.says("-line 7");
    running.says("exec[reload]");
    running.until("refreshed", |_| fs::read_to_string(dir.path().join("log")).unwrap().lines().count() == 2);
    interrupt(&running);
    let ended = running.wait().code(0);
    let plain = without_colours(&ended.out);
    assert!(plain.contains("✔ file["), "{plain}");
    assert!(plain.contains("repaired in "), "{plain}");
    assert!(plain.contains("↻ exec[reload] refreshed in "), "{plain}");
    assert!(plain.contains("-line 0") && plain.contains("…") && !plain.contains("-line 19"), "short: {plain}");
    assert!(!plain.contains("INFO"), "{plain}");
    assert!(ended.out.contains("\x1b[32m"), "in colours");
}

/// The program in that terminal, which `script` has started.
pub fn program_in(running: &Running) -> u32 {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid())).unwrap();
    children.split_whitespace().next().unwrap_or_else(|| panic!("it has ended")).parse().unwrap()
}

fn signal(running: &Running, signal: Signal) {
    let program = rustix::process::Pid::from_raw(program_in(running) as i32).unwrap();
    rustix::process::kill_process(program, signal).unwrap();
}

/// ^C in that terminal.
pub fn interrupt(running: &Running) {
    signal(running, Signal::INT);
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\x1b');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // `[…` up to its final letter.
        let end = part.char_indices().skip(1).find(|(_, c)| c.is_ascii_alphabetic()).map_or(part.len(), |(n, _)| n + 1);
        plain.push_str(&part[end.min(part.len())..]);
    }
    plain
}

#[test]
fn a_large_graph_has_a_bar_and_not_a_line_for_each() {
    let dir = tempfile::tempdir().unwrap();
    let ended = in_terminal("wide", dir.path(), "-t 0").wait().code(0);
    let plain = without_colours(&ended.out);
    assert_eq!(plain.matches("✔ file[").count(), 30, "{plain}");
    assert!(plain.contains("… and 30 more"), "{plain}");
    assert!(plain.contains("converged in ") && plain.contains(", 60 changed"), "{plain}");
}

#[test]
fn a_failure_stands_out() {
    let dir = tempfile::tempdir().unwrap();
    let ended = in_terminal("fails", dir.path(), "-t 0").wait().code(1);
    let plain = without_colours(&ended.out);
    assert!(plain.contains("✘ exec[broken]: apply failed: "), "{plain}");
    assert!(ended.out.contains("\x1b[31m✘"), "{:?}", ended.out);
    assert!(plain.contains("the graph can't converge:"), "{plain}");
    // A line never stands behind the bar.
    let waits = |line: &&str| line.contains(" waits for ");
    for line in ended.out.lines().filter(waits) {
        let before = line.split(" waits for ").next().unwrap_or_default();
        assert!(!before.rsplit("\x1b[2K").next().unwrap_or_default().contains("settled"), "{line:?}");
    }
    assert!(plain.contains("never] waits for exec[broken]"), "who is blocked: {plain}");
}

#[test]
fn what_takes_long_is_seen_on_the_bar() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = in_terminal("slow", dir.path(), "");
    running.says("0/1 settled");
    running.says(" 0/1 settled, exec[sleeper] for 1 s");
    interrupt(&running);
    running.says("0 of 1 settled, 0 changed");
    running.says("still applying exec[sleeper] (");
    interrupt(&running);
    running.wait().code(0);
}

#[test]
fn the_longest_operation_is_seen_in_a_narrow_terminal_too() {
    for columns in [80, 60] {
        let dir = tempfile::tempdir().unwrap();
        let mut running = in_terminal_of(columns, "slow-and-fails", dir.path(), "", &[]);
        running.says("1/5 settled, 1 failed, 2 wait for it, exec");
        running.says("] for 2 s");
        let plain = without_colours(&running.out_so_far());
        let bars = plain.split('\r').filter(|line| line.contains(" for 2 s"));
        assert!(bars.clone().count() > 0, "{plain}");
        for bar in bars.map(|line| line.trim_end().split('\n').next_back().unwrap_or_default()) {
            assert!(bar.trim_end().ends_with("] for 2 s") && bar.contains('…'), "{columns}: {bar:?}");
        }
        interrupt(&running);
        running.says("still applying exec[");
        interrupt(&running);
        running.wait().code(0);
    }
}

#[test]
fn a_quiet_run_in_a_terminal_shows_failures_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let ended = in_terminal("site", dir.path(), "-q -t 0").wait().code(0);
    assert_eq!(without_colours(&ended.out).trim(), "", "{:?}", ended.out);
    assert!(dir.path().join("site/motd").exists());
    let ended = in_terminal("wide", dir.path(), "-q -t 0").wait().code(0);
    assert_eq!(without_colours(&ended.out).trim(), "", "{:?}", ended.out);
    let ended = in_terminal("fails", dir.path(), "-q -t 0").wait().code(1);
    let plain = without_colours(&ended.out);
    assert!(
        plain.starts_with("✘ exec[broken]: apply failed: ") && plain.contains("the graph can't converge:"),
        "{plain}"
    );
    assert!(!plain.contains("settled") && !plain.contains("✔"), "{plain}");
}

#[test]
fn a_run_whose_terminal_is_closed_does_not_wait_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = in_terminal("slow", dir.path(), "");
    running.until("the command", |_| dir.path().join("pid").exists());
    signal(&running, Signal::HUP);
    running.says("still applying exec[sleeper] (");
    let ended = running.wait().code(129).said("cancelling what still runs after 10 s");
    assert!(!ended.out.contains("^C"), "{}", ended.out);
}

/// How many times a text was drawn so far.
fn drawn(running: &Running, text: &str) -> usize {
    without_colours(&running.out_so_far()).matches(text).count()
}

#[test]
fn a_run_that_has_failed_shows_it_on_the_bar_and_time_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = in_terminal("fails", dir.path(), "");
    running.says("1/4 settled, 1 failed, 2 wait for it, ");
    // Nothing runs any more, so nothing is drawn.
    std::thread::sleep(Duration::from_millis(300));
    let before = drawn(&running, "settled");
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(drawn(&running, "settled"), before, "time stops");
    interrupt(&running);
    let ended = running.wait().code(0);
    let plain = without_colours(&ended.out);
    assert!(plain.contains("1 of 4 settled, 1 changed:") && plain.contains("exec[broken] failed: "), "{plain}");
    assert!(plain.contains("stopping after ") && plain.contains("2 more wait for it"), "{plain}");
}

#[test]
fn the_bar_comes_back_for_what_takes_long_after_the_first_convergence() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config"), "as declared\n").unwrap();
    let mut running = in_terminal("pausing", dir.path(), "");
    running.says("converged in ");
    let before = drawn(&running, "1/2 settled, exec[pause] ");
    assert_eq!(before, 0);
    fs::write(dir.path().join("config"), "other\n").unwrap();
    running.says("1/2 settled, exec[pause] ");
    running.says("refreshed in ");
    // It is cleared, and stays so.
    std::thread::sleep(Duration::from_millis(400));
    let count = drawn(&running, "settled");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(drawn(&running, "settled"), count);
    interrupt(&running);
    running.wait().code(0);
}

#[test]
fn a_plan_in_a_terminal_is_the_same_text() {
    let dir = tempfile::tempdir().unwrap();
    let ended = in_terminal("wide", dir.path(), "plan").wait().code(2);
    assert!(ended.out.replace('\r', "").ends_with("60 to repair\n"), "{}", ended.out);
}
