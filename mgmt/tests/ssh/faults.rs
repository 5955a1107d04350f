//! The connection is lost, the process here is killed, the link is slow: what happens is exact, and nothing is left.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::sys::process::Status;
use mgmt::sys::ssh::{Executable, Link, LinkProblem, Start};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};

use crate::hosts::{Net, Setup, inside, inside_alone};
use crate::link::{run as run_there, text};

/// How long a lost connection may stay unnoticed.
const NOTICED: Duration = Duration::from_secs(16);

/// The private directories of our processes here.
fn dens() -> Vec<String> {
    std::fs::read_dir(env::temp_dir())
        .unwrap()
        .flatten()
        .map(|e| e.path().display().to_string())
        .filter(|path| path.contains("/mgmt-ssh-"))
        .collect()
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_connection_that_is_lost_in_the_middle_of_a_copy_leaves_no_part_of_it() {
    if !inside(module_path!(), "a_connection_that_is_lost_in_the_middle_of_a_copy_leaves_no_part_of_it") {
        return;
    }
    let net = Net::new();
    // It unpacks the beginning, and the rest much later.
    let prepare = r#"
        cp /bin/gzip /run/gzip
        printf '#!/bin/sh\n{ head -c 400000; sleep 20; cat; } | /run/gzip "$@"\n' >/run/slow; chmod 755 /run/slow
        mount --bind /run/slow /bin/gzip
    "#;
    let host = net.host(Setup { prepare: prepare.to_owned(), ..Setup::default() });
    let program = Executable::at("/bin/bash").await.unwrap();
    let link = Link::open(&host.at("ann"), &net.options(), &program).await.unwrap();
    let copying = tokio::spawn({
        let link = link.clone();
        async move { link.copy().await }
    });
    let parts = || host.sh("find /home/ann -name '.new-*' -size +0");
    let began = Instant::now();
    while parts().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    host.cut(true);
    let began = Instant::now();
    let error = copying.await.unwrap().unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Lost { .. }), "{error}");
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
    assert!(matches!(link.lost().await.problem, LinkProblem::Lost { .. }));
    assert!(matches!(link.copy().await.unwrap_err().problem, LinkProblem::Lost { .. }));
    link.close().await;
    // The host knows nothing of it yet; a new connection is not in its way.
    host.cut(false);
    host.sh("umount --lazy /bin/gzip");
    let link = Link::open(&host.at("ann"), &net.options(), &program).await.unwrap();
    assert_eq!(run_there(&link, &text(&["-c", "echo ok"]), &[], b"").await.unwrap().stdout, b"ok\n");
    link.close().await;
    let began = Instant::now();
    while !parts().is_empty() || !host.left().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(100), "{} {:#?}", parts(), host.left());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_connection_that_is_lost_while_the_program_runs_is_noticed_and_named() {
    if !inside(module_path!(), "a_connection_that_is_lost_while_the_program_runs_is_noticed_and_named") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let program = Executable::at("/bin/sh").await.unwrap();
    let link = Link::open(&host.at("ann"), &net.options(), &program).await.unwrap();
    let mut first = link.start(&text(&["-c", "echo up; cat"]), &[], b"").await.unwrap();
    let mut second = link.start(&text(&["-c", "exit 255"]), &[], b"").await.unwrap();
    // The code of the program, and not that of a lost connection.
    assert_eq!(second.ended().await.unwrap(), Status::Exit(255));
    let mut line = String::new();
    first.stdout.as_mut().unwrap().read_line(&mut line).await.unwrap();
    assert_eq!(line, "up\n");
    // One that is the connection itself.
    let start = Start { words: &text(&["-c", "echo up; cat"]), vars: &[], early: b"" };
    let (other, mut own) = Link::open_and_start(&host.at("ann"), &net.options(), &program, start).await.unwrap();
    let mut line = String::new();
    own.stdout.as_mut().unwrap().read_line(&mut line).await.unwrap();
    assert_eq!(line, "up\n");
    host.cut(true);
    let began = Instant::now();
    let error = own.ended().await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Lost { .. }), "{error}");
    assert!(matches!(other.lost().await.problem, LinkProblem::Lost { .. }));
    drop((own, other));
    let error = first.ended().await.unwrap_err();
    assert!(matches!(&error.problem, LinkProblem::Lost { report } if report.contains("not responding")), "{error}");
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
    let error = link.start(&text(&["-c", "true"]), &[], b"").await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Lost { .. }), "{error}");
    drop((first, second));
    link.close().await;
    assert_eq!(dens(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_session_that_the_host_ends_is_lost_at_once() {
    if !inside(module_path!(), "a_session_that_the_host_ends_is_lost_at_once") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let program = Executable::at("/bin/sh").await.unwrap();
    let link = Link::open(&host.at("ann"), &net.options(), &program).await.unwrap();
    let mut running = link.start(&text(&["-c", "echo $PPID; cat"]), &[], b"").await.unwrap();
    let mut line = String::new();
    running.stdout.as_mut().unwrap().read_line(&mut line).await.unwrap();
    // The sshd of this connection, which is the parent of the program's shell.
    host.sh(&format!("kill -KILL {line}"));
    let began = Instant::now();
    let error = running.ended().await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Lost { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(running);
    link.close().await;
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn dropping_it_all_ends_what_reads_its_input_there() {
    if !inside(module_path!(), "dropping_it_all_ends_what_reads_its_input_there") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let program = Executable::at("/bin/sh").await.unwrap();
    for closes in [false, true] {
        let link = Link::open(&host.at("ann"), &net.options(), &program).await.unwrap();
        let mut running = link.start(&text(&["-c", "cat; echo end"]), &[], b"").await.unwrap();
        running.stdin.as_mut().unwrap().write_all(b"x\n").await.unwrap();
        drop(running);
        if closes {
            link.close().await;
            assert_eq!(dens(), Vec::<String>::new());
        } else {
            drop(link);
        }
        host.until_nothing_is_left().await;
    }
    // A call that is given up in the middle of the login.
    let (endpoint, options) = (host.at("ann"), net.options());
    let opening = Link::open(&endpoint, &options, &program);
    assert!(tokio::time::timeout(Duration::from_millis(60), opening).await.is_err());
    host.until_nothing_is_left().await;
    assert_eq!(dens(), Vec::<String>::new());
}

/// What the next test kills: it runs `cat` there, and waits.
async fn held(config: OsString) {
    let mut options = mgmt::sys::ssh::SshOptions::default();
    options.config = Some(config.into());
    options.become_user = Some("root".to_owned());
    let program = Executable::at("/bin/sh").await.unwrap();
    let link = Link::open(&"ann@h1".parse().unwrap(), &options, &program).await.unwrap();
    let _running = link.start(&text(&["-c", "cat"]), &[], b"").await.unwrap();
    let start = Start { words: &text(&["-c", "cat"]), vars: &[], early: b"" };
    options.become_user = None;
    let _first = Link::open_and_start(&"ann@h1".parse().unwrap(), &options, &program, start).await.unwrap();
    println!("\nheld");
    std::future::pending().await
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_process_that_is_killed_here_leaves_nothing_here_and_nothing_there() {
    if let Some(config) = env::var_os("MGMT_TEST_HELD") {
        return held(config).await;
    }
    if !inside(module_path!(), "a_process_that_is_killed_here_leaves_nothing_here_and_nothing_there") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let mut command = Command::new(env::current_exe().unwrap());
    let name = "faults::a_process_that_is_killed_here_leaves_nothing_here_and_nothing_there";
    command.args(["--exact", name, "--include-ignored", "--nocapture"]);
    command.env("MGMT_TEST_HELD", net.options().config.unwrap()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.into_iter().any(|line| line.contains("held")));
    assert!(dens().len() == 1 && host.left().len() > 5, "{:?} {:?}", dens(), host.left());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    host.until_nothing_is_left().await;
    assert_eq!(dens(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_warm_start_costs_at_most_three_round_trips_more_than_a_plain_command() {
    if !inside_alone(module_path!(), "a_warm_start_costs_at_most_three_round_trips_more_than_a_plain_command") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let program = Executable::at("/bin/sh").await.unwrap();
    let (endpoint, options) = (host.at("ann"), net.options());
    let mut by_sudo = options.clone();
    by_sudo.become_user = Some("root".to_owned());
    for options in [&options, &by_sudo] {
        let link = Link::open(&endpoint, options, &program).await.unwrap();
        link.copy().await.unwrap();
        link.close().await;
    }
    let trip = Duration::from_millis(400);
    let _slow = host.delay(200);
    // The machine may be busy with something else: the shortest time of some counts.
    let (mut plain, mut warms) = (Duration::MAX, [Duration::MAX; 2]);
    for _ in 0..3 {
        let began = Instant::now();
        let mut command = Command::new("ssh");
        command.arg("-F").arg(options.config.as_ref().unwrap()).args(["ann@h1", "true"]);
        assert!(command.status().unwrap().success());
        plain = plain.min(began.elapsed());
        for (options, warm) in [&options, &by_sudo].into_iter().zip(&mut warms) {
            let began = Instant::now();
            let start = Start { words: &text(&["-c", "id -un; cat"]), vars: &[], early: b"begin\n" };
            let (link, mut running) = Link::open_and_start(&endpoint, options, &program, start).await.unwrap();
            let (mut lines, out) = (String::new(), running.stdout.as_mut().unwrap());
            for _ in 0..2 {
                out.read_line(&mut lines).await.unwrap();
            }
            assert_eq!(lines, format!("{}\nbegin\n", options.become_user.as_deref().unwrap_or("ann")));
            *warm = (*warm).min(began.elapsed());
            drop(running);
            link.close().await;
        }
    }
    println!("plain: {plain:?}, warm: {:?}, by sudo: {:?}", warms[0], warms[1]);
    // Half a round trip for the work of the processes.
    assert!(warms.iter().all(|warm| *warm < plain + trip * 3 + trip / 2), "plain {plain:?}, warm {warms:?}");
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn small_packets_are_enough_and_a_way_that_loses_large_ones_is_named() {
    if !inside(module_path!(), "small_packets_are_enough_and_a_way_that_loses_large_ones_is_named") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let program = Executable::at("/bin/bash").await.unwrap();
    host.narrow(576, true);
    let link = Link::open(&host.at("ann"), &net.options(), &program).await.unwrap();
    link.copy().await.unwrap();
    assert_eq!(run_there(&link, &text(&["-c", "echo ok"]), &[], b"").await.unwrap().stdout, b"ok\n");
    link.close().await;
    // As behind a tunnel whose errors a firewall drops: the connection is made, and then nothing large arrives.
    host.narrow(576, false);
    let began = Instant::now();
    let error = Link::open(&host.at("ann"), &net.options(), &program).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("timed out after it had answered"), "{error}");
    assert!(error.to_string().contains("MTU"), "{error}");
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
}

/// The memory of a process that no other one shares, in kilobytes.
fn own_kilobytes(pid: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let lines =
        text.lines().filter_map(|line| line.strip_prefix("Private_")?.split_whitespace().nth(1)?.parse::<u64>().ok());
    lines.sum()
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn fifty_hosts_are_worked_on_at_once() {
    if !inside_alone(module_path!(), "fifty_hosts_are_worked_on_at_once") {
        return;
    }
    let net = Net::new();
    let hosts: Vec<_> = (0..50).map(|_| net.host(Setup::default())).collect();
    let mut options = net.options();
    options.connect_timeout = Duration::from_secs(20);
    let program = Executable::at("/bin/sh").await.unwrap();
    let before = own_kilobytes("self");
    for what in ["cold", "warm"] {
        let began = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for host in &hosts {
            let (endpoint, options, program) = (host.at("ann"), options.clone(), program.clone());
            tasks.spawn(async move {
                let link = Link::open(&endpoint, &options, &program).await.unwrap_or_else(|error| panic!("{error}"));
                let running =
                    link.start(&text(&["-c", "cat"]), &[], b"").await.unwrap_or_else(|error| panic!("{error}"));
                (link, running)
            });
        }
        let all = tasks.join_all().await;
        let (took, here) = (began.elapsed(), own_kilobytes("self").saturating_sub(before));
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let is_ssh =
            |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "ssh\n");
        let calls: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_ssh).collect();
        let calls_kilobytes: u64 = calls.iter().map(|pid| own_kilobytes(pid)).sum();
        println!("{what}: {took:?}, {here} KiB here, {} calls of ssh with {calls_kilobytes} KiB", calls.len());
        assert_eq!((all.len(), calls.len()), (50, 100));
        assert!(here < 32 << 10 && calls_kilobytes < 400 << 10);
        assert!(took < Duration::from_secs(120), "{took:?}");
        for (link, running) in all {
            drop(running);
            link.close().await;
        }
    }
    hosts[0].until_nothing_is_left().await;
    assert_eq!(dens(), Vec::<String>::new());
}
