//! Where the executable goes there: the next place where one can't hold it, and never where another user can reach.

use std::os::unix::fs::PermissionsExt as _;

use mgmt::sys::process::Status;
use mgmt::sys::ssh::{Executable, Link, LinkError, LinkProblem, SshOptions};

use crate::hosts::{Host, Net, Setup, inside};
use crate::link::{run as run_there, text};

/// Where the executable is when it runs.
async fn place(host: &Host, user: &str, options: &SshOptions) -> Result<String, LinkError> {
    let program = Executable::at("/bin/sh").await.unwrap();
    let link = Link::open(&host.at(user), options, &program).await?;
    let ended = run_there(&link, &text(&["-c", "echo $0"]), &[], b"").await?;
    assert_eq!(ended.status, Status::Exit(0), "{ended:?}");
    link.close().await;
    let path = String::from_utf8(ended.stdout).unwrap();
    Ok(path.split(&format!("/{}", program.sha256())).next().unwrap().to_owned())
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_place_that_can_not_hold_or_run_it_is_left_for_the_next() {
    if !inside(module_path!(), "a_place_that_can_not_hold_or_run_it_is_left_for_the_next") {
        return;
    }
    let net = Net::new();
    let options = net.options();
    for (user, home, next) in [("root", "/root", "/var/cache/mgmt/executables"), ("ann", "/home/ann", "/var/tmp/mgmt-")]
    {
        for mount in [
            "mount -t tmpfs -o noexec,mode=700,uid=ID tmpfs HOME",
            "mount --bind HOME HOME; mount -o remount,bind,ro HOME",
            "mount -t tmpfs -o size=64k,mode=700,uid=ID tmpfs HOME",
            "mount -t tmpfs -o size=1600k,mode=700,uid=ID tmpfs HOME; dd if=/dev/zero of=HOME/fill bs=1k count=1000 status=none",
        ] {
            let prepare = mount.replace("HOME", home).replace("ID", if user == "root" { "0" } else { "2001" });
            let host = net.host(Setup { prepare, ..Setup::default() });
            let found = place(&host, user, &options).await.unwrap_or_else(|error| panic!("{mount}: {error}"));
            assert!(found.starts_with(next), "{mount}: {found}");
            host.until_nothing_is_left().await;
            // What is not for longer is gone.
            let left = host.sh("ls -A /var/tmp /tmp");
            assert!(!left.contains("mgmt"), "{mount}: {left}");
        }
    }
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_disk_that_fills_while_it_is_written_is_left_for_the_next() {
    if !inside(module_path!(), "a_disk_that_fills_while_it_is_written_is_left_for_the_next") {
        return;
    }
    let net = Net::new();
    // `df` reports more than can be written.
    let prepare = r#"
        mount -t tmpfs -o size=96k,mode=700,uid=2001 tmpfs /home/ann
        printf '#!/bin/sh\necho x 1 1 9999999 1 x\n' >/run/df; chmod 755 /run/df; mount --bind /run/df /bin/df
    "#;
    let host = net.host(Setup { prepare: prepare.to_owned(), ..Setup::default() });
    let found = place(&host, "ann", &net.options()).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(found.starts_with("/var/tmp/mgmt-"), "{found}");
    assert_eq!(host.sh("find /home/ann -type f"), "");
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn where_no_place_is_right_the_error_names_all_that_were_tried() {
    if !inside(module_path!(), "where_no_place_is_right_the_error_names_all_that_were_tried") {
        return;
    }
    let net = Net::new();
    let prepare = "for dir in /home /tmp /var/tmp /dev/shm; do mount -t tmpfs -o noexec,mode=1777 tmpfs $dir; done; mkdir -m 777 /home/ann";
    let host = net.host(Setup { prepare: prepare.to_owned(), ..Setup::default() });
    let error = place(&host, "ann", &net.options()).await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::NoPlace(_)), "{error}");
    let text = error.to_string();
    for part in ["/home/ann", "/tmp: programs can't be run there", "/var/tmp: ", "/dev/shm: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    host.until_nothing_is_left().await;
    assert_eq!(host.sh("find /tmp /var/tmp /dev/shm -mindepth 1"), "");
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn what_another_user_plants_or_can_reach_is_not_used() {
    if !inside(module_path!(), "what_another_user_plants_or_can_reach_is_not_used") {
        return;
    }
    let net = Net::new();
    let options = net.options();
    let dir = "/home/ann/.cache/mgmt/executables";
    let program = Executable::at("/bin/sh").await.unwrap();
    let evil = "printf '#!/bin/sh\\necho evil\\n' >X/sh; chmod 755 X/sh";
    for (what, prepare) in [
        ("a directory of another user", format!("mkdir -p {dir}; chown -R bob /home/ann/.cache")),
        ("the last directory of another user", format!("mkdir -p {dir}; chown -R ann /home/ann/.cache; chown bob {dir}; chmod 777 {dir}")),
        ("a link of another user to one of the user's", "mkdir -m 777 /home/ann/other /tmp/x; chown ann /home/ann/other; chown ann /tmp/x; ln -s /tmp/x /home/ann/.cache; chown -h bob /home/ann/.cache; chmod 777 /tmp/x".to_owned()),
        ("a directory that all can write", "mkdir -m 777 /home/ann/.cache; chown ann /home/ann/.cache".to_owned()),
        ("a directory that a group can write", "mkdir -m 775 /home/ann/.cache; chown ann:bob /home/ann/.cache".to_owned()),
        ("a home of another user", "chown bob /home/ann; chmod 777 /home/ann".to_owned()),
    ] {
        let host = net.host(Setup { prepare, ..Setup::default() });
        let found = place(&host, "ann", &options).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(found.starts_with("/var/tmp/mgmt-"), "{what}: {found}");
    }
    // In a directory that is right, an executable of another content is replaced, and links lead nowhere.
    let sha = program.sha256();
    for (what, prepare) in [
        ("another content", evil.replace('X', &format!("{dir}/{sha}"))),
        (
            "a link",
            format!(
                "rm -rf {dir}/{sha}; mkdir /tmp/evil; {}; ln -s /tmp/evil {dir}/{sha}",
                evil.replace('X', "/tmp/evil")
            ),
        ),
        (
            "a link in place of the file",
            format!("echo precious >/home/bob/file; chmod 666 /home/bob/file; ln -s /home/bob/file {dir}/{sha}/sh"),
        ),
    ] {
        let prepare = format!("mkdir -p {dir}/{sha}; {prepare}; chown -R ann /home/ann/.cache; chmod 700 {dir}");
        let host = net.host(Setup { prepare, ..Setup::default() });
        let found = place(&host, "ann", &options).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        match what {
            "a link" => assert!(found.starts_with("/var/tmp/mgmt-"), "{found}"),
            _ => assert_eq!(found, dir, "{what}"),
        }
        assert_eq!(host.sh("cat /home/bob/file 2>/dev/null || echo precious"), "precious", "{what}");
    }
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn without_caching_nothing_stays_and_versions_that_are_not_used_are_removed() {
    if !inside(module_path!(), "without_caching_nothing_stays_and_versions_that_are_not_used_are_removed") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let mut options = net.options();
    options.caching = false;
    let found = place(&host, "ann", &options).await.unwrap();
    assert!(found.starts_with("/home/ann/.cache/mgmt/executables/mgmt-"), "{found}");
    host.until_nothing_is_left().await;
    assert_eq!(host.sh("find /home/ann /tmp /var/tmp -name 'mgmt-*' -o -type f"), "");
    options.caching = true;
    let (old, used) = ("a".repeat(64), "b".repeat(64));
    let dir = "/home/ann/.cache/mgmt/executables";
    host.sh(&format!(
        "cd {dir}; mkdir {old} {used} other; touch {old}/x; touch -d '31 days ago' {old} other; chown -R ann ."
    ));
    assert_eq!(place(&host, "ann", &options).await.unwrap(), dir);
    let left = host.sh(&format!("ls {dir}"));
    assert!(!left.contains(&old) && left.contains(&used) && left.contains("other"), "{left}");
    // Use counts: the one that runs again is not old.
    let sha = Executable::at("/bin/sh").await.unwrap().sha256().to_owned();
    host.sh(&format!("touch -d '40 days ago' {dir}/{sha}"));
    place(&host, "ann", &options).await.unwrap();
    assert_eq!(host.sh(&format!("find {dir}/{sha} -prune -mtime +30")), "");
    let mode = std::fs::metadata(host.dir.join("home/ann/.cache/mgmt/executables")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn an_executable_for_another_machine_is_refused_before_it_is_sent() {
    if !inside(module_path!(), "an_executable_for_another_machine_is_refused_before_it_is_sent") {
        return;
    }
    let net = Net::new();
    // An older C library, and another machine.
    for (prepare, parts) in [
        (
            "printf '#!/bin/sh\\necho glibc 2.17\\n' >/run/x; chmod 755 /run/x; mount --bind /run/x /usr/bin/getconf",
            ["glibc 2.17", "musl"],
        ),
        (
            "printf '#!/bin/sh\\necho riscv64\\n' >/run/x; chmod 755 /run/x; mount --bind /run/x /bin/uname",
            ["riscv64", "--remote-binary"],
        ),
    ] {
        let host = net.host(Setup { prepare: prepare.to_owned(), ..Setup::default() });
        let error = place(&host, "ann", &net.options()).await.unwrap_err();
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(host.sh("find /home/ann -type f"), "");
        host.until_nothing_is_left().await;
    }
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_library_that_is_missing_there_is_named_when_it_is_copied() {
    if !inside(module_path!(), "a_library_that_is_missing_there_is_named_when_it_is_copied") {
        return;
    }
    let net = Net::new();
    // Another name of the same length for the library that it needs.
    let mut bytes = std::fs::read("/bin/sh").unwrap();
    let name = b"libc.so.6\0";
    let at = bytes.windows(name.len()).position(|part| part == name).expect("it is linked with the C library");
    bytes[at..at + 4].copy_from_slice(b"gone");
    std::fs::write(net.dir().join("program"), bytes).unwrap();
    let program = Executable::at(net.dir().join("program")).await.unwrap();
    let host = net.host(Setup::default());
    let link = Link::open(&host.at("ann"), &net.options(), &program).await;
    let link = link.unwrap_or_else(|error| panic!("{error}"));
    let error = link.copy().await.unwrap_err();
    assert!(matches!(error.problem, LinkProblem::WrongLibrary { .. }), "{error}");
    assert!(error.to_string().contains("libraries of that machine (gone.so.6)"), "{error}");
    link.close().await;
    assert_eq!(host.sh("find /home/ann -type f"), "");
}
