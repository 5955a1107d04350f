//! Against real processes: every test looks in `/proc` that nothing is left.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tokio::time::sleep;

use super::*;

/// Much longer than anything here takes, also on a loaded machine.
const LONG: Duration = Duration::from_secs(60);
const MARK: &str = "MGMT_TEST_MARK";

/// A mark in the environment by which all descendants of a test's commands are found, wherever they have gone.
struct Mark(String);

impl Mark {
    fn new() -> Mark {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Mark(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    fn sh(&self, script: &str) -> Command {
        Command::shell("/bin/sh", script).var(MARK, &self.0)
    }

    /// Those alive now.
    fn pids(&self) -> Vec<i32> {
        let wanted = format!("{MARK}={}", self.0);
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        let marked = pids.filter(|pid: &i32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|b| *b == 0).any(|var| var == wanted.as_bytes())
        });
        marked.filter(|pid| group::alive_in(*pid).is_some()).collect()
    }

    async fn wait_for(&self, count: usize) -> Vec<i32> {
        eventually(&format!("{count} processes"), || Some(self.pids()).filter(|pids| pids.len() == count)).await
    }

    async fn all_gone(&self) {
        eventually("all processes gone", || self.pids().is_empty().then_some(())).await;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A failed test leaves nothing either.
        for pid in self.pids() {
            let _ = rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
    }
}

async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LONG, "never came: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Our own children that have ended and were not collected.
fn zombies() -> Vec<String> {
    let me = format!("\nPPid:\t{}\n", std::process::id());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let status = all.filter_map(|e| std::fs::read_to_string(e.path().join("status")).ok());
    status.filter(|s| s.contains(&me) && s.contains("\nState:\tZ")).collect()
}

fn whole(captured: &Captured) -> String {
    String::from_utf8(captured.whole().expect("nothing left out").to_vec()).unwrap()
}

async fn stdout(command: &Command) -> String {
    whole(&run(command).await.unwrap().require_success(command).unwrap().stdout)
}

#[tokio::test]
async fn a_command_runs_and_says_how_it_ended() {
    let mark = Mark::new();
    let output = run(&mark.sh("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(output.status, Status::Exit(3));
    assert_eq!((whole(&output.stdout), whole(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert!(output.complete);
    let output = run(&mark.sh("kill -9 $$")).await.unwrap();
    assert_eq!(output.status, Status::Signal(9));
    mark.all_gone().await;
}

#[tokio::test]
async fn success_can_be_required_and_failure_shows_the_last_words() {
    let command = Command::shell("/bin/sh", "echo 'no such\tthing' >&2; exit 2");
    let error = run(&command).await.unwrap().require_success(&command).unwrap_err();
    assert_eq!(error.to_string(), r"`/bin/sh` failed with exit code 2: no such\tthing");
    let command = Command::shell("/bin/sh", "kill -TERM $$");
    let error = run(&command).await.unwrap().require_success(&command).unwrap_err();
    assert_eq!(error.to_string(), "`/bin/sh` was killed by SIGTERM");
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_are() {
    let wild: Vec<OsString> =
        ["", "-rf", "a\nb", "$(id)", "`id`", "; id", "*", "'\"", "%s%n"].into_iter().map(OsString::from).collect();
    let wild = [wild, vec![OsString::from_vec(b"\xff\xfe".to_vec())]].concat();
    let command = Command::shell("/bin/sh", r#"printf '%s\0' "$@""#).arg("sh").args(&wild);
    let output = run(&command).await.unwrap();
    let got: Vec<&[u8]> = output.stdout.whole().unwrap().split(|b| *b == 0).collect();
    let mut wanted: Vec<Vec<u8>> = wild.into_iter().map(OsString::into_vec).collect();
    wanted.push(Vec::new());
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn the_environment_is_ours_or_exactly_what_was_said() {
    let ours = stdout(&Command::new("env").var("A_NEW_ONE", "x=y")).await;
    assert!(ours.contains("A_NEW_ONE=x=y\n") && ours.contains("PATH="));
    let explicit = || Command::new("env").env(Env::Explicit(vec![("B".into(), "1".into()), ("C".into(), "2".into())]));
    assert_eq!(stdout(&explicit()).await, "B=1\nC=2\n");
    let mut fewer = explicit().var("D", "3");
    fewer.vars.push(("B".into(), None));
    assert_eq!(stdout(&fewer).await, "C=2\nD=3\n");
    assert_eq!(stdout(&Command::new("env").env(Env::Explicit(vec![]))).await, "");
}

#[tokio::test]
async fn standard_input_is_empty_and_the_group_is_its_own() {
    assert_eq!(stdout(&Command::new("cat")).await, "");
    let stat = stdout(&Command::shell("/bin/sh", "cat /proc/$$/stat")).await;
    let fields: Vec<&str> = stat.split(' ').collect();
    assert_eq!(fields[0], fields[4], "the command leads its own process group");
}

#[tokio::test]
async fn the_working_directory_is_where_it_runs_and_where_relative_programs_start() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    assert_eq!(stdout(&Command::new("pwd").cwd(&real)).await, format!("{}\n", real.display()));
    script(&real.join("tool"), "#!/bin/sh\necho here\n");
    assert_eq!(stdout(&Command::new("./tool").cwd(&real)).await, "here\n");
    assert_eq!(stdout(&Command::new("tool").cwd(&real).var("PATH", ".")).await, "here\n");
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let said = async |command: Command| {
        run(&command).await.unwrap_err().to_string().replace(dir.path().to_str().unwrap(), "DIR")
    };
    std::fs::write(path("data"), "text").unwrap();
    script(&path("orphan"), "#!/no/such/interpreter -x\n");
    script(&path("garbage"), "\u{1}\u{2}\u{3}");

    let none = Command::new("no-such\nprogram").var("PATH", "/bin:/usr/bin");
    assert_eq!(said(none).await, r"program `no-such\nprogram` not found in PATH (/bin:/usr/bin)");
    assert_eq!(said(Command::new("/no/such")).await, "program `/no/such` not found: /no/such does not exist");
    let data = said(Command::new(path("data"))).await;
    assert_eq!(data, "program `DIR/data` cannot be executed: DIR/data: it has no execute permission");
    let data = said(Command::new("data").var("PATH", dir.path())).await;
    assert_eq!(data, "program `data` cannot be executed: DIR/data: it has no execute permission");
    assert_eq!(said(Command::new("/")).await, "program `/` cannot be executed: /: it is a directory");
    let orphan = said(Command::new(path("orphan"))).await;
    assert_eq!(orphan, "program `DIR/orphan` cannot start: its interpreter `/no/such/interpreter` does not exist");
    assert!(said(Command::new(path("garbage"))).await.contains("neither a binary for this machine nor a script"));
    let cwd = said(Command::new("true").cwd(path("gone"))).await;
    assert_eq!(cwd, "cannot run `true` in DIR/gone: No such file or directory (os error 2)");
    let cwd = said(Command::new("true").cwd(path("data"))).await;
    assert_eq!(cwd, "cannot run `true` in DIR/data: it is not a directory");
    assert_eq!(said(Command::new("")).await, "cannot run ``: the command is empty");
    assert_eq!(said(Command::new("true").arg("a\0b")).await, "cannot run `true`: an argument contains a NUL byte");
    assert_eq!(
        said(Command::new("true").var("A=B", "")).await,
        "cannot run `true`: `A=B` cannot be the name of a variable"
    );
    assert!(said(Command::new("true").var("A", "\0")).await.contains("variable `A` contains a NUL byte"));
    assert!(said(Command::new("true").arg("x".repeat(3 << 20))).await.contains("too long"));
}

#[tokio::test]
async fn a_program_still_open_for_writing_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tool");
    std::fs::copy("/bin/true", &path).unwrap();
    let open = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let close = tokio::spawn(async move {
        sleep(Duration::from_millis(50)).await;
        drop(open);
    });
    assert!(run(&Command::new(&path)).await.unwrap().status.success());
    close.await.unwrap();
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group() {
    let mark = Mark::new();
    let command = mark.sh("echo started; sleep 1000 & sleep 1000 & wait").timeout(Duration::from_millis(300));
    let error = run(&command).await.unwrap_err();
    // Looked at right after: not "eventually".
    assert_eq!(mark.pids(), Vec::<i32>::new());
    assert_eq!(error.to_string(), "`/bin/sh` did not end within 300ms and was stopped (killed by SIGTERM)");
    let ProcessError::Timeout { output, .. } = error else { unreachable!() };
    assert_eq!(whole(&output.stdout), "started\n");
}

#[tokio::test]
async fn who_ignores_the_stop_signal_is_killed_after_the_grace() {
    let mark = Mark::new();
    // The main process ends at once, its child ignores the signal and has no pipe of ours.
    let script = "(trap '' TERM; exec >/dev/null 2>&1; while :; do sleep 1; done) & wait";
    for script in [script, "trap '' TERM; while :; do sleep 1; done"] {
        let command =
            mark.sh(script).timeout(Duration::from_millis(200)).stop(Signal::TERM, Duration::from_millis(300));
        let started = Instant::now();
        assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
        assert!(started.elapsed() >= Duration::from_millis(500), "the grace was given");
        assert_eq!(mark.pids(), Vec::<i32>::new());
    }
}

#[tokio::test]
async fn who_obeys_the_stop_signal_is_not_waited_for_longer() {
    let mark = Mark::new();
    let command = mark.sh("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done");
    let command = command.timeout(Duration::from_millis(300)).stop(Signal::TERM, LONG);
    let Err(ProcessError::Timeout { output, .. }) = run(&command).await else { panic!("it must not end by itself") };
    assert_eq!((output.status, whole(&output.stdout)), (Status::Exit(0), "bye\n".into()));
    mark.all_gone().await;
}

#[tokio::test]
async fn a_stopped_process_is_ended_too() {
    let mark = Mark::new();
    let command = mark.sh("kill -STOP $$").timeout(Duration::from_millis(200)).stop(Signal::TERM, LONG);
    assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
    mark.all_gone().await;
}

#[tokio::test]
async fn cancelling_asks_first() {
    let mark = Mark::new();
    let command = mark.sh("trap 'echo bye; exit 7' INT; echo up; while :; do sleep 0.05; done").stop(Signal::INT, LONG);
    let up = async {
        mark.wait_for(2).await;
        // The trap is set before the second process is started.
    };
    let Err(ProcessError::Cancelled { output, .. }) = run_until(&command, up).await else { panic!("not cancelled") };
    assert_eq!((output.status, whole(&output.stdout)), (Status::Exit(7), "up\nbye\n".into()));
    mark.all_gone().await;
}

#[tokio::test]
async fn dropping_the_future_kills_the_whole_group_and_leaves_no_zombie() {
    let mark = Mark::new();
    let command = mark.sh("trap '' TERM; sleep 1000 & sleep 1000 & wait");
    let running = tokio::spawn(async move { run(&command).await });
    let pids = mark.wait_for(3).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    mark.all_gone().await;
    let ours = |zombie: &String| pids.iter().any(|pid| zombie.contains(&format!("\nPid:\t{pid}\n")));
    eventually("the child collected", || (!zombies().iter().any(ours)).then_some(())).await;
}

#[tokio::test]
async fn a_runtime_that_ends_kills_what_it_ran() {
    let mark = Mark::new();
    let command = mark.sh("sleep 1000 & wait");
    let other = std::thread::spawn(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
    let runtime = other.join().unwrap();
    runtime.spawn(async move { run(&command).await });
    mark.wait_for(2).await;
    runtime.shutdown_background();
    mark.all_gone().await;
}

#[tokio::test]
async fn endless_output_is_bounded_and_does_not_block() {
    let mark = Mark::new();
    let before = resident();
    let output = run(&mark.sh("head -c 1G /dev/zero; echo end")).await.unwrap();
    let grown = resident().saturating_sub(before);
    assert!(output.status.success() && output.complete);
    assert_eq!(output.stdout.total(), (1 << 30) + 4);
    assert_eq!((output.stdout.head.len(), output.stdout.tail.len()), (OUTPUT_BYTES_MAX, OUTPUT_BYTES_MAX));
    assert!(output.stdout.tail.ends_with(b"\0end\n"));
    // Other tests run beside this one; a gigabyte would show all the same.
    assert!(grown < 200 << 20, "grew by {grown} bytes");
    mark.all_gone().await;
}

/// Bytes of memory in use.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn both_streams_full_at_once_do_not_deadlock() {
    let command = Command::shell("/bin/sh", "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero").output_max(10);
    let output = run(&command).await.unwrap();
    assert_eq!((output.stdout.total(), output.stderr.total()), (3_000_000, 3_000_000));
}

#[tokio::test]
async fn output_that_never_ends_is_stopped_by_the_timeout() {
    let mark = Mark::new();
    let command = mark.sh("yes; :").timeout(Duration::from_millis(300));
    assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
    assert_eq!(mark.pids(), Vec::<i32>::new());
}

#[tokio::test]
async fn output_that_is_not_utf8_is_kept_and_can_be_shown() {
    let output = run(&Command::shell("/bin/sh", r"printf 'a\377\200\033[0m\000'")).await.unwrap();
    assert_eq!(output.stdout.whole().unwrap(), b"a\xff\x80\x1b[0m\0");
    assert_eq!(output.stdout.text(), r"a\xff\x80\x1b[0m\x00");
}

#[tokio::test]
async fn who_closes_its_output_but_lives_on_is_waited_for_and_bounded_by_the_timeout() {
    let mark = Mark::new();
    let output = run(&mark.sh("exec >&- 2>&-; sleep 0.2; exit 5")).await.unwrap();
    assert_eq!(output.status, Status::Exit(5));
    let command = mark.sh("exec >&- 2>&-; sleep 1000").timeout(Duration::from_millis(200));
    assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
    assert_eq!(mark.pids(), Vec::<i32>::new());
}

#[tokio::test]
async fn descendants_that_hold_the_output_open_do_not_hold_us() {
    let mark = Mark::new();
    let linger = Duration::from_millis(200);
    let output = run(&mark.sh("sleep 1000 & echo done").linger(linger)).await.unwrap();
    assert_eq!((output.status, output.complete), (Status::Exit(0), false));
    assert_eq!(whole(&output.stdout), "done\n");
    assert_eq!(mark.pids().len(), 1, "what was put in the background goes on");
    drop(mark);

    let mark = Mark::new();
    let command = mark.sh("sleep 1000 & echo done").linger(linger).leftovers(Leftovers::Kill);
    assert_eq!(run(&command).await.unwrap().status, Status::Exit(0));
    mark.all_gone().await;
}

#[tokio::test]
async fn what_descendants_say_soon_after_the_end_is_heard() {
    let output = run(&Command::shell("/bin/sh", "(sleep 0.1; echo late) & echo early").linger(LONG)).await.unwrap();
    assert_eq!((whole(&output.stdout), output.complete), ("early\nlate\n".into(), true));
}

#[tokio::test]
async fn who_leaves_the_group_is_out_of_reach() {
    let mark = Mark::new();
    let command = mark.sh("setsid sleep 1000 & wait").timeout(Duration::from_millis(500));
    assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
    // A limit, stated in the documentation of `run`; the mark ends it here.
    assert_eq!(mark.pids().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_do_not_mix() {
    let mark = Mark::new();
    let all: Vec<_> = (0..200)
        .map(|n| {
            let command = mark.sh(&format!("echo {n}; echo {n} >&2; exit {}", n % 256));
            tokio::spawn(async move { run(&command).await.unwrap() })
        })
        .collect();
    for (n, one) in all.into_iter().enumerate() {
        let output = one.await.unwrap();
        assert_eq!(output.status, Status::Exit(n as i32));
        assert_eq!((whole(&output.stdout), whole(&output.stderr)), (format!("{n}\n"), format!("{n}\n")));
    }
    mark.all_gone().await;
}

#[tokio::test]
async fn lines_come_as_they_are_written() {
    let mark = Mark::new();
    let command = mark.sh("echo one; echo; printf 'two\\377'; sleep 0.05; echo; echo err >&2; echo three; exit 4");
    let mut lines = spawn_lines(&command).await.unwrap();
    let mut got = Vec::new();
    let end = loop {
        match lines.next().await.unwrap().unwrap() {
            LineEvent::Line(line) => got.push(line.text()),
            end => break end,
        }
    };
    assert_eq!(got, ["one", r"two\xff", "three"]);
    let LineEvent::Ended { status, stderr } = end else { unreachable!() };
    assert_eq!((status, whole(&stderr)), (Status::Exit(4), "err\n".into()));
    assert!(lines.next().await.is_none());
    mark.all_gone().await;
}

#[tokio::test]
async fn a_line_is_there_before_the_command_ends_and_dropping_the_stream_ends_it() {
    let mark = Mark::new();
    let mut lines = spawn_lines(&mark.sh("echo event; sleep 1000 & wait")).await.unwrap();
    let LineEvent::Line(line) = lines.next().await.unwrap().unwrap() else { panic!("no line") };
    assert_eq!(line.bytes, b"event");
    // A call that is given up loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(20), lines.next()).await.is_err());
    mark.wait_for(2).await;
    drop(lines);
    mark.all_gone().await;
}

#[tokio::test]
async fn a_stream_whose_output_ends_is_over() {
    let mark = Mark::new();
    let short =
        |script| mark.sh(script).linger(Duration::from_millis(100)).stop(Signal::TERM, Duration::from_millis(200));
    // It closes its output and lives on; it ends and leaves somebody holding the output.
    for (script, wanted) in [
        ("echo x; trap '' TERM; exec >&- 2>&-; while :; do sleep 1; done", Status::Signal(9)),
        ("echo x; sleep 1000 & exit 0", Status::Exit(0)),
    ] {
        let mut lines = spawn_lines(&short(script)).await.unwrap();
        assert!(matches!(lines.next().await, Some(Ok(LineEvent::Line(_)))));
        let Some(Ok(LineEvent::Ended { status, .. })) = lines.next().await else { panic!("no end") };
        assert_eq!(status, wanted);
        assert_eq!(mark.pids(), Vec::<i32>::new());
    }
}

#[tokio::test]
async fn a_stream_can_be_stopped_in_an_orderly_way() {
    let mark = Mark::new();
    let mut lines = spawn_lines(&mark.sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")).await.unwrap();
    lines.next().await.unwrap().unwrap();
    lines.stop().await.unwrap();
    assert_eq!(mark.pids(), Vec::<i32>::new());
}

#[tokio::test]
async fn lines_without_end_are_bounded() {
    let mark = Mark::new();
    let mut lines = spawn_lines(&mark.sh("head -c 20000000 /dev/zero; echo; echo next")).await.unwrap();
    let Some(Ok(LineEvent::Line(line))) = lines.next().await else { panic!("no line") };
    assert_eq!((line.bytes.len(), line.skipped), (LINE_BYTES_MAX, 20_000_000 - LINE_BYTES_MAX as u64));
    let Some(Ok(LineEvent::Line(line))) = lines.next().await else { panic!("no line") };
    assert_eq!(line.bytes, b"next");
}

#[test]
fn secrets_in_variables_are_not_in_the_debug_text() {
    let env = Env::Explicit(vec![("A".into(), "canary".into())]);
    let text = format!("{:?}", Command::new("x").env(env).var("B", "canary"));
    assert!(!text.contains("canary") && text.contains("\"A\"") && text.contains("\"B\""), "{text}");
}

/// The lines of `/proc/self/status` that say who a command runs as.
async fn who(command: Command) -> Vec<String> {
    let text = stdout(&command.arg("-E").arg("^(Uid|Gid|Groups|CapEff|CapPrm):").arg("/proc/self/status")).await;
    text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

const NO_CAPS: [&str; 2] = ["CapPrm: 0000000000000000", "CapEff: 0000000000000000"];

#[tokio::test]
#[ignore = "needs root"]
async fn another_user_gets_nothing_of_root() {
    let got = who(Command::new("grep").user("nobody").group("nogroup")).await;
    assert_eq!(
        got,
        [&["Uid: 65534 65534 65534 65534", "Gid: 65534 65534 65534 65534", "Groups:"], &NO_CAPS[..]].concat()
    );
    // A number without an account.
    let got = who(Command::new("grep").user(4_000_000_001).group(4_000_000_002)).await;
    assert_eq!(
        got[..2],
        ["Uid: 4000000001 4000000001 4000000001 4000000001", "Gid: 4000000002 4000000002 4000000002 4000000002"]
    );
    assert_eq!(got[2..], [&["Groups:"], &NO_CAPS[..]].concat());
    // Only the group: root's other groups are gone too.
    let got = who(Command::new("grep").group("nogroup")).await;
    assert_eq!(got[..3], ["Uid: 0 0 0 0", "Gid: 65534 65534 65534 65534", "Groups:"]);
}

#[tokio::test]
#[ignore = "needs root"]
async fn another_user_gets_its_supplementary_groups() {
    let before = std::fs::read_to_string("/proc/self/status").unwrap();
    let identity = account::Identity { uid: 65534, gid: 65534, groups: vec![4, 24, 1_000_000], vars: Vec::new() };
    let command = Command::new("grep").args(["-E", "^(Uid|Gid|Groups|CapEff|CapPrm):", "/proc/self/status"]);
    let mut leader = spawn::launch(&command, Path::new("/bin/grep"), Some(identity)).await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::fs::File::from(leader.take_pipes().0.unwrap()), &mut text).unwrap();
    let got: Vec<_> = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let wanted = ["Uid: 65534 65534 65534 65534", "Gid: 65534 65534 65534 65534", "Groups: 4 24 65534 1000000"];
    assert_eq!(got, [&wanted, &NO_CAPS[..]].concat());
    // Nothing of it has stuck to ourselves.
    let after = std::fs::read_to_string("/proc/self/status").unwrap();
    let ours = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|l| l.starts_with("Gid") || l.starts_with("Groups") || l.starts_with("CapEff"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(ours(&before), ours(&after));
}

#[tokio::test]
#[ignore = "needs root"]
async fn another_user_gets_its_own_home_and_who_may_not_start_says_so() {
    let got = stdout(&Command::new("env").user("nobody").var("SHELL", "/bin/x")).await;
    assert!(
        got.contains("HOME=/nonexistent\n") && got.contains("USER=nobody\n") && got.contains("SHELL=/bin/x\n"),
        "{got}"
    );
    let explicit = Command::new("env").user("nobody").env(Env::Explicit(vec![]));
    assert_eq!(stdout(&explicit).await, "");

    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = run(&Command::new("true").user("nobody").cwd(dir.path())).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot run `true` in {}: permission denied", dir.path().display()));
    let mine = dir.path().join("tool");
    script(&mine, "#!/bin/sh\n");
    let error = run(&Command::new(&mine).user("nobody")).await.unwrap_err();
    assert!(error.to_string().ends_with("/tool: permission denied"), "{error}");
}

#[tokio::test]
#[ignore = "needs root"]
async fn only_root_runs_commands_as_somebody_else() {
    // Ourselves as nobody: this very test program, asked to run one helper test.
    let exe = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("tests");
    std::fs::copy(exe, &copy).unwrap();
    let helper =
        Command::new(copy).args(["--ignored", "--exact", "sys::process::tests::helper_as_nobody", "--nocapture"]);
    let output = run(&helper.user("nobody").cwd(dir.path())).await.unwrap();
    let text = output.stdout.text() + &output.stderr.text();
    assert!(text.contains("said: cannot run `true` as user 1: only root can run commands as somebody else"), "{text}");
    assert!(text.contains("same: Exit(0)"), "{text}");
}

/// The part of the test above that runs as nobody.
#[tokio::test]
#[ignore = "a part of only_root_runs_commands_as_somebody_else"]
async fn helper_as_nobody() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    println!("said: {}", run(&Command::new("true").user(1)).await.map(|o| o.status).unwrap_err());
    println!("same: {:?}", run(&Command::new("true").user("nobody")).await.map(|o| o.status).unwrap());
}
