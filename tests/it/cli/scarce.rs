//! Where the system has hardly anything to give: descriptors, threads, processes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::Signal;

use crate::kit::program::{Program, example, mgmt};

/// The program for tests under other limits, given as `prlimit` takes them.
fn limited(limits: &str, scene: &str, dir: &Path) -> Program {
    let mut program = Program::new(Path::new("prlimit"));
    program.args(limits).arg(example("act")).arg("--scene").arg(scene).arg("--dir").arg(dir);
    program.command.env("MGMT_PREFIX", dir.join("prefix"));
    program
}

#[test]
fn too_few_descriptors_are_an_error_with_a_remedy_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    for count in [4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20] {
        let ended = limited(&format!("--nofile={count}:{count}"), "wide", dir.path()).args("-t 0").run().code(1);
        ended.said("Too many open files").said("at least 24 are needed (`ulimit -n` is");
    }
    limited("--nofile=48:48", "site", dir.path()).args("-t 0").run().code(0).said("converged");
}

#[test]
fn the_limit_of_descriptors_is_raised_for_us_and_not_for_commands() {
    let dir = tempfile::tempdir().unwrap();
    let limits = |args: &str| {
        limited("--nofile=900:1500", "limits", dir.path()).args(args).args("-t 0").run().code(0);
        let text = fs::read_to_string(dir.path().join("limits")).unwrap();
        fs::remove_file(dir.path().join("limits")).unwrap();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limits("")[..2], ["900", "1500"]);
    assert_eq!(limits("--no-raise-limits")[..2], ["900", "900"]);
}

#[test]
fn a_limit_for_the_size_of_files_is_waited_for_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let graph = dir.path().join("graph.yaml");
    let (large, small) = (dir.path().join("large"), dir.path().join("small"));
    let text = "x".repeat(300_000);
    let files =
        format!("  - {{name: {}, content: {text}}}\n  - {{name: {}, content: y}}\n", large.display(), small.display());
    fs::write(&graph, format!("graph: g\nresources:\n  file:\n{files}")).unwrap();
    let mut program = Program::new(Path::new("prlimit"));
    program.arg("--fsize=100000:100000").arg(mgmt()).args("run -t 0 --tmp-prefix --yaml").arg(&graph);
    program.run().code(1).said("File too large").said("can't converge");
    assert!(!large.exists() && small.exists());
    let names = fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with(".mgmt-")).count(), 0);
}

/// Calls of the system fail once, or from some time on: at the start, an error or less speed, and never a panic.
#[test]
#[ignore = "needs strace"]
fn calls_that_fail_at_the_start_are_no_panic_and_no_hang() {
    let dir = tempfile::tempdir().unwrap();
    // The fifth thread is the one that builds the runtime; those before only show whether there are threads.
    let threads = (1..=5).map(|n| format!("clone3:error=EAGAIN:when={n}"));
    let calls = ["socketpair:error=EMFILE:when=1", "prlimit64:error=EPERM:when=3+"].map(str::to_owned);
    let trace = dir.path().join("trace");
    for fault in calls.into_iter().chain(threads) {
        // Below its hard limit, so that the limit of descriptors is raised: the third call of `prlimit64`.
        let mut program = Program::new(Path::new("prlimit"));
        program.args("--nofile=900:1500 strace -f -qq -o").arg(&trace).arg("-e");
        program.arg(format!("trace={}", fault.split(':').next().unwrap()));
        program.arg("-e").arg(format!("inject={fault}")).arg(example("act")).args("--scene wide --dir").arg(dir.path());
        let ended = program.env("MGMT_PREFIX", dir.path().join("prefix")).args("-t 0 --max-runtime 3").run();
        assert!(!ended.err.contains("panicked") && matches!(ended.code, Some(0 | 1)), "{fault}: {ended:?}");
        let traced = fs::read_to_string(&trace).unwrap();
        assert!(traced.contains("(INJECTED)"), "{fault}: there was no such call\n{traced}");
    }
}

/// With hardly any threads it is slow, and ends; with one beside its first it converges.
#[test]
#[ignore = "needs root"]
fn hardly_any_threads_are_no_panic_and_no_hang() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for count in 1..=5 {
        // No other process of that user counts against the limit.
        let uid = 54400 + count;
        let own = dir.path().join(count.to_string());
        fs::create_dir(&own).unwrap();
        std::os::unix::fs::chown(&own, Some(uid), Some(uid)).unwrap();
        // The second one has something to write into its journal, for which there is no thread.
        for scene in ["wide", "tell"] {
            let mut program = limited(&format!("--nproc={count}:{count}"), scene, &own);
            program.command.uid(uid).gid(uid);
            let ended = program.args("-t 0 --max-runtime 2").run().code(0);
            assert!(!ended.err.contains("panicked"), "{count}: {ended:?}");
            assert!(count == 1 || ended.err.contains("converged"), "{count}: {ended:?}");
        }
    }
}

/// Processes of another program of the same user, more than the limit.
struct Crowd(Vec<Child>);

impl Crowd {
    fn of(uid: u32) -> Crowd {
        Crowd((0..40).map(|_| Command::new("sleep").arg("600").uid(uid).gid(uid).spawn().unwrap()).collect())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// Where other programs of the user take all processes: files are repaired, commands wait, and it ends when it is asked to.
#[test]
#[ignore = "needs root"]
fn processes_that_others_use_up_are_waited_for() {
    const LIMIT: &str = "--nproc=20:20";
    let uid = 54410;
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(uid), Some(uid)).unwrap();
    let start = |args: &str| {
        let mut program = limited(LIMIT, "pausing", dir.path());
        program.command.uid(uid).gid(uid);
        program.args(args).start()
    };
    let mut running = start("");
    running.says("converged");
    // By then, the threads that it has used have ended.
    std::thread::sleep(Duration::from_secs(11));
    let crowd = Crowd::of(uid);
    fs::remove_file(dir.path().join("config")).unwrap();
    running.until("a repaired file", |_| dir.path().join("config").exists());
    running.says("cannot start `/bin/sh`: no process is left");
    drop(crowd);
    running.until("a second refresh", |running| running.err_so_far().matches("refreshed").count() == 2);
    let _crowd = Crowd::of(uid);
    fs::remove_file(dir.path().join("config")).unwrap();
    running.until("a repaired file", |_| dir.path().join("config").exists());
    running.signal(Signal::TERM);
    let ended = running.wait().code(143);
    assert!(!ended.err.contains("panicked"), "{ended:?}");

    let mut crowded = start("--max-runtime 2");
    crowded.says("hardly any threads");
    let ended = crowded.wait().code(0);
    assert!(!ended.err.contains("panicked") && ended.took < Duration::from_secs(60), "{ended:?}");
}
