//! Commands that run as another user.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::sys::process::*;
use crate::sys::process::{account, spawn};

use super::common::*;

/// The lines of `/proc/self/status` with the user and the groups of a command.
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
    // Only the group changes: the supplementary groups of root are gone too.
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
    // The identity of this process itself is unchanged.
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
    assert!(error.to_string().ends_with("/tool` cannot be executed: permission denied"), "{error}");
}

#[tokio::test]
#[ignore = "needs root"]
async fn only_root_runs_commands_as_somebody_else() {
    // This test program itself, as the user nobody, runs one test as a helper.
    let exe = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("tests");
    std::fs::copy(exe, &copy).unwrap();
    let helper = Command::new(copy).args([
        "--ignored",
        "--exact",
        "sys::process::tests::accounts::helper_as_nobody",
        "--nocapture",
    ]);
    let output = run(&helper.user("nobody").cwd(dir.path())).await.unwrap();
    let text = output.stdout.text() + &output.stderr.text();
    assert!(text.contains("said: cannot run `true` as user 1: only root can run commands as another user"), "{text}");
    assert!(text.contains("same: Exit(0)"), "{text}");
}

/// The part of the test above that runs as the user nobody.
#[tokio::test]
#[ignore = "a part of only_root_runs_commands_as_somebody_else"]
async fn helper_as_nobody() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    println!("said: {}", run(&Command::new("true").user(1)).await.map(|o| o.status).unwrap_err());
    println!("same: {:?}", run(&Command::new("true").user("nobody")).await.map(|o| o.status).unwrap());
}
