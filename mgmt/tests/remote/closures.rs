//! The command `remote` of a program whose closure declares the graph: the closure runs on each host, and the files of
//! this machine that it names travel. The program is this test binary.

use std::fs::File as StdFile;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use mgmt::prelude::*;

use crate::kit::{LONG, There};

/// The command line of the program, and the directory of its files.
const WORDS: &str = "MGMT_TEST_WORDS";
const DIR: &str = "MGMT_TEST_DIR";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    mgmt: mgmt::cli::Options,
}

/// The program of the test below: without its variables, it has nothing to do.
#[test]
fn program_of_these_tests() {
    let (Ok(words), Ok(dir)) = (std::env::var(WORDS), std::env::var(DIR)) else { return };
    let cli = Cli::parse_from(std::iter::once("site").chain(words.split(' ')));
    let code = mgmt::App::new("site").run(
        cli.mgmt,
        mgmt::native(move |g, cx| {
            let host = cx.hostname();
            g.add(File::new(format!("{dir}/copy-{host}")).source(format!("{dir}/source-{host}")));
            g.add(File::new(format!("{dir}/name-{host}")).content(format!("{host}\n")));
            Ok(())
        }),
    );
    std::process::exit(if code == mgmt::ExitCode::SUCCESS { 0 } else { 1 });
}

#[test]
fn a_closure_runs_for_each_host_with_the_files_that_it_names_here() {
    let there = There::new();
    for host in ["a", "b"] {
        std::fs::write(there.path(&format!("source-{host}")), format!("for {host}\n")).unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "closures::program_of_these_tests", "--nocapture", "--test-threads=1"]);
    command.env(WORDS, "remote run local:a local:b --tmp-prefix").env(DIR, there.dir.path());
    let output = command.env_remove("RUST_LOG").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    for host in ["a", "b"] {
        assert_eq!(there.read(&format!("name-{host}")), Some(format!("{host}\n")), "{log}");
        assert_eq!(there.read(&format!("copy-{host}")), Some(format!("for {host}\n")), "{log}");
    }
    // A file that is missing here is an error of the host that wants it alone.
    std::fs::remove_file(there.path("source-b")).unwrap();
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("INFO a: converged") && log.contains("source-b"), "{log}");
}

#[test]
fn a_file_that_a_closure_names_is_sent_again_when_it_changes_here() {
    let there = There::new();
    let write = |text: &str| {
        std::fs::write(there.path("new"), text).unwrap();
        std::fs::rename(there.path("new"), there.path("source-a")).unwrap();
    };
    write("one\n");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "closures::program_of_these_tests", "--nocapture", "--test-threads=1"]);
    command.env(WORDS, "remote run local:a --watch --tmp-prefix").env(DIR, there.dir.path()).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(StdFile::create(there.path("log")).unwrap());
    let mut run = command.spawn().unwrap();
    let mut wait = |what: &str, is_so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !is_so() {
            let ended = run.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < LONG, "{what}: {ended:?} {:?}", there.read("log"));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let here = &there;
    let copied = |text: &'static str| move || here.read("copy-a").as_deref() == Some(text);
    wait("one", &copied("one\n"));
    for text in ["two\n", "three\n", "four\n"] {
        write(text);
        wait(text, &copied(text));
    }
    // A file that is gone leaves the one before in force, and comes back.
    std::fs::remove_file(there.path("source-a")).unwrap();
    wait("refused", &|| there.read("log").is_some_and(|log| log.contains("the new graph is refused")));
    std::fs::remove_file(there.path("copy-a")).unwrap();
    wait("four is kept", &copied("four\n"));
    write("five\n");
    wait("five", &copied("five\n"));
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(0), "{:?}", there.read("log"));
}
