//! ^C, SIGTERM, SIGHUP.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};

use crate::kit::program::{Program, Running, act, example, mgmt};

/// The command that a scene runs.
fn command(running: &mut Running, dir: &Path) -> Pid {
    let file = dir.join("pid");
    let read = |file: &Path| fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'));
    running.until("the command runs", |_| read(&file).is_some());
    Pid::from_raw(read(&file).unwrap().trim().parse().unwrap()).unwrap()
}

fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(pid).is_ok() && !stat.contains(") Z")
}

/// It ends, or has ended: what was killed may get to that after the program that killed it, on a loaded machine.
#[track_caller]
fn ends(pid: Pid) {
    let began = Instant::now();
    while is_alive(pid) {
        assert!(began.elapsed() < Duration::from_secs(60), "the command lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_first_interrupt_ends_a_run_that_has_nothing_to_do_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for (signal, code) in [(Signal::INT, 0), (Signal::TERM, 143)] {
        let mut running = act("site", dir.path()).start();
        running.says("converged in");
        let sent = Instant::now();
        running.signal(signal);
        running.wait().code(code);
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
    }
}

#[test]
fn a_lost_terminal_ends_a_run_unless_it_was_started_not_to_care() {
    let dir = tempfile::tempdir().unwrap();
    let line = "trap '' HUP; exec \"$@\"";
    let mut program = Program::new(Path::new("/bin/sh"));
    program.arg("-c").arg(line).arg("sh").arg(example("act")).args("--scene site --dir").arg(dir.path());
    let mut running = program.env("MGMT_PREFIX", dir.path().join("prefix")).start();
    running.says("converged in");
    running.signal(Signal::HUP);
    fs::remove_file(dir.path().join("site/motd")).unwrap();
    running.until("it goes on", |_| dir.path().join("site/motd").exists());
    running.signal(Signal::INT);
    running.wait().code(0);
}

#[test]
fn an_interrupt_before_there_is_a_graph_ends_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let running = act("never", dir.path()).arg("-v").start();
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::INT);
    let ended = running.wait();
    // It may have come before the program listened at all: on a loaded machine.
    assert!(ended.code == Some(0) || ended.signal == Some(2), "{ended:?}");
}

#[test]
fn what_runs_is_waited_for_and_named_and_the_second_interrupt_cancels_it() {
    for scene in ["slow", "stubborn"] {
        let dir = tempfile::tempdir().unwrap();
        let mut running = act(scene, dir.path()).start();
        let command = command(&mut running, dir.path());
        running.signal(Signal::INT);
        running.says("still applying exec[sleeper] (");
        running.says("; ^C again cancels it");
        assert!(is_alive(command), "an apply is not cut short by the first");
        running.signal(Signal::INT);
        running.wait().code(0).said("cancelling what runs");
        ends(command);
    }
}

#[test]
fn an_interrupted_plan_leaves_no_guard_running() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let dir = tempfile::tempdir().unwrap();
        let mut running = act("guard", dir.path()).arg("plan").start();
        let guard = command(&mut running, dir.path());
        running.signal(signal);
        let ended = running.wait().code(code);
        assert!(!is_alive(guard), "{ended:?}");
    }
}

#[test]
fn the_third_interrupt_ends_it_on_the_spot() {
    let dir = tempfile::tempdir().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let mut program = act("stubborn", dir.path());
    program.command.env_remove("MGMT_PREFIX");
    let mut running = program.env("TMPDIR", temp.path()).arg("--tmp-prefix").start();
    let command = command(&mut running, dir.path());
    running.signal(Signal::INT);
    running.says("still applying exec[sleeper]");
    running.signal(Signal::INT);
    running.says("cancelling what runs");
    running.signal(Signal::INT);
    let ended = running.wait();
    // Either the command was gone first, or it was left behind at once.
    assert!(matches!(ended.code, Some(0 | 130)), "{ended:?}");
    if ended.code == Some(130) {
        assert!(ended.err.contains("exiting now; abandoned: exec[sleeper]"), "{ended:?}");
    }
    let left: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}: {ended:?}");
    if is_alive(command) {
        rustix::process::kill_process(command, Signal::KILL).unwrap();
    }
}

#[test]
fn a_command_that_is_killed_with_its_program_was_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = act("slow", dir.path()).start();
    let first = command(&mut running, dir.path());
    running.kill_9();
    if is_alive(first) {
        rustix::process::kill_process(first, Signal::KILL).unwrap();
    }
    fs::remove_file(dir.path().join("pid")).unwrap();
    let mut running = act("slow", dir.path()).start();
    let second = command(&mut running, dir.path());
    assert_ne!(first, second);
    running.signal(Signal::TERM);
    running.says("still applying exec[sleeper]");
    running.signal(Signal::TERM);
    running.wait().code(143);
    ends(second);
}

/// A pipe that is full, and the end of it that nothing reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::io::Write as _;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let set = |flags| rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    set(flags | rustix::fs::OFlags::NONBLOCK);
    while (&writer).write(&[b'.'; 4096]).is_ok() {}
    set(flags);
    writer.flush().unwrap();
    (reader, writer)
}

#[test]
fn a_reader_who_stops_reading_keeps_neither_repairs_nor_signals_from_going_on() {
    let dir = tempfile::tempdir().unwrap();
    let (_reader, writer) = full_pipe();
    let mut program = act("wide", dir.path());
    program.arg("-vv").command.stderr(writer);
    let mut running = program.start();
    let file = dir.path().join("59");
    running.until("all is made", |_| file.exists());
    fs::remove_file(&file).unwrap();
    running.until("a repair", |_| file.exists());
    running.signal(Signal::TERM);
    running.wait().code(143);
}

#[test]
fn a_reader_who_stops_reading_what_is_printed_keeps_no_signal_from_ending_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_reader, writer) = full_pipe();
    let mut program = act("wide", dir.path());
    program.args("graph --format json").command.stdout(writer);
    let running = program.start();
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::TERM);
    running.wait().code(143);
}

#[test]
fn signals_that_were_blocked_at_the_start_end_it_and_reach_its_commands() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::new(Path::new("env"));
    program.args("--block-signal=TERM").arg(example("act")).args("--scene limits --dir").arg(dir.path());
    let mut running = program.env("MGMT_PREFIX", dir.path().join("prefix")).start();
    running.says("converged in");
    let written = fs::read_to_string(dir.path().join("limits")).unwrap();
    assert_eq!(written.split_whitespace().last(), Some("0000000000000000"), "{written}");
    running.signal(Signal::TERM);
    running.wait().code(143);
}

#[test]
fn signals_that_were_ignored_at_the_start_have_their_default_effect_in_commands() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, file) = (dir.path().join("graph.yaml"), dir.path().join("ignored"));
    let line = format!("awk '/SigIgn/ {{ print $2 }}' /proc/self/status > {}", file.display());
    fs::write(&graph, format!("graph: g\nresources:\n  exec:\n  - {{name: a, cmd: \"{line}\", shell: /bin/sh}}\n"))
        .unwrap();
    // SIGHUP is that of `nohup`. SIGPIPE, the shell can't take back.
    for (ignored, left) in [("CHLD", 0), ("CHLD INT QUIT USR1 ALRM", 0), ("HUP TTOU CHLD", 1 | 1 << 21), ("PIPE", 0)] {
        let mut program = Program::new(Path::new("/bin/sh"));
        program.arg("-c").arg(format!("trap '' {ignored}; exec \"$@\"")).arg("sh").arg(mgmt());
        program.args("run -t 0 --tmp-prefix --yaml").arg(&graph).run().code(0);
        // The other signals are real-time signals.
        let mask = u64::from_str_radix(fs::read_to_string(&file).unwrap().trim(), 16).unwrap() & 0x7fff_ffff;
        assert_eq!(format!("{mask:x}"), format!("{left:x}"), "{ignored}");
        fs::remove_file(&file).unwrap();
    }
}

/// The shell that ends the commands of a killed program.
fn guard_of(pid: u32) -> Option<Pid> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let read =
            |name: &str| fs::read(entry.path().join(name)).map(|text| String::from_utf8_lossy(&text).into_owned());
        let (stat, line) = (read("stat").ok()?, read("cmdline").ok()?);
        let is_its = stat.rsplit_once(')')?.1.split_whitespace().nth(1) == Some(pid.to_string().as_str());
        let number = entry.file_name().to_str()?.parse().ok()?;
        (is_its && line.contains("mgmt-guard") && !stat.contains(") Z")).then(|| Pid::from_raw(number)).flatten()
    })
}

#[test]
fn a_killed_run_whose_guard_was_killed_before_leaves_no_command_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = act("slow", dir.path()).start();
    let pid = command(&mut running, dir.path());
    let first = guard_of(running.pid()).unwrap();
    rustix::process::kill_process(first, Signal::KILL).unwrap();
    running.until("another guard", |running| guard_of(running.pid()).is_some_and(|guard| guard != first));
    assert!(is_alive(pid));
    running.signal(Signal::KILL);
    drop(running);
    ends(pid);
}

#[test]
fn a_killed_run_leaves_no_command_behind() {
    for scene in ["slow", "stubborn", "guard"] {
        let dir = tempfile::tempdir().unwrap();
        let mut running = act(scene, dir.path()).start();
        let pid = command(&mut running, dir.path());
        running.signal(Signal::KILL);
        drop(running);
        ends(pid);
    }
}
