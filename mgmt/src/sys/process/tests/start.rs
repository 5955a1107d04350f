//! Starting commands.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use tokio::time::sleep;

use crate::sys::process::*;

use super::common::*;

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
    assert_eq!(said(Command::new("/no/such")).await, "program `/no/such` does not exist");
    let data = said(Command::new(path("data"))).await;
    assert_eq!(data, "program `DIR/data` cannot be executed: it has no execute permission");
    let data = said(Command::new("data").var("PATH", dir.path())).await;
    assert_eq!(data, "program `data` cannot be executed: DIR/data: it has no execute permission");
    assert_eq!(said(Command::new("/")).await, "program `/` cannot be executed: it is a directory");
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

#[test]
fn secrets_in_variables_are_not_in_the_debug_text() {
    let env = Env::Explicit(vec![("A".into(), "canary".into())]);
    let text = format!("{:?}", Command::new("x").env(env).var("B", "canary"));
    assert!(!text.contains("canary") && text.contains("\"A\"") && text.contains("\"B\""), "{text}");
}

#[tokio::test]
async fn a_command_reads_the_whole_input_it_was_given() {
    // More than a pipe holds; nothing reads it in the second case.
    let input = "0123456789abcdef".repeat(20_000);
    let command = Command::shell("/bin/sh", "cat; echo end").input(input.clone());
    let output = run(&command).await.unwrap();
    assert_eq!(output.stdout.whole().unwrap(), format!("{input}end\n").as_bytes());
    assert!(run(&Command::new("true").input(input)).await.unwrap().status.success());
    assert!(!format!("{command:?}").contains("0123"), "it may be a secret");
    let output = run(&Command::new("cat")).await.unwrap();
    assert_eq!(output.stdout.total(), 0);
}
