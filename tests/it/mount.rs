//! Mounts of a real kernel, in a mount namespace of their own.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};
use mgmt::testing::{Host, TempDir};

use crate::kit::spaces::inside;

/// A file system in memory, below one that hides `/mnt`, with a file of entries that hides that of this machine.
fn stage() {
    for dir in ["/etc", "/run", "/mnt"] {
        command(&format!("mount -t tmpfs none {dir}"));
    }
    fs::create_dir("/mnt/m").unwrap();
    fs::write("/etc/fstab", "# a\n").unwrap();
}

fn command(line: &str) {
    let mut words = line.split(' ');
    let status = Command::new(words.next().unwrap()).args(words).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{line}: {status:?}");
}

/// Unmounts it as soon as no check has a directory of it open.
fn unmount() {
    let begun = Instant::now();
    while !Command::new("umount").arg("/mnt/m").status().unwrap().success() {
        assert!(begun.elapsed() < Duration::from_secs(5), "busy");
    }
}

/// What is mounted at the mount point, without the numbers of the mounts.
fn mounted() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let lines = table.lines().filter(|line| line.split(' ').nth(4) == Some("/mnt/m"));
    lines.map(|line| line.split(' ').skip(3).collect::<Vec<_>>().join(" ")).collect()
}

fn state() -> String {
    format!("{}{}", fs::read_to_string("/etc/fstab").unwrap(), mounted().join("\n"))
}

fn mount() -> mgmt::resources::MountBuilder {
    Mount::new("/mnt/m").device("tmpfs").r#type("tmpfs").options("size=1m,mode=0700,noexec")
}

/// Unmounts everything, and empties the file.
fn reset(fstab: &str) {
    while !mounted().is_empty() {
        command("umount /mnt/m");
    }
    fs::write("/etc/fstab", fstab).unwrap();
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn the_laws_hold_for_a_file_system_that_must_be_mounted() {
    if !inside("mount::the_laws_hold_for_a_file_system_that_must_be_mounted", &["--mount", "--propagation", "private"])
    {
        return;
    }
    stage();
    let subject = Subject::new(|_| mount())
        .prepare(|_| reset("# a\nproc /proc proc"))
        .observe(|_| state())
        .break_it(|_| command("umount /mnt/m"))
        .break_it(|_| command("mount -o remount,ro,exec /mnt/m"))
        .break_it(|_| command("mount -t ramfs ramfs /mnt/m"))
        .break_it(|_| fs::write("/etc/fstab", "# a\nproc /proc proc\n").unwrap());
    let all: Vec<_> = Law::ALL.into_iter().chain([Law::UndoRestores]).collect();
    assert_eq!(laws::check(subject), all);
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn the_laws_hold_for_one_that_must_not() {
    if !inside("mount::the_laws_hold_for_one_that_must_not", &["--mount", "--propagation", "private"]) {
        return;
    }
    stage();
    let subject = Subject::new(|_| Mount::new("/mnt/m").absent())
        .prepare(|_| {
            reset("# a\ntmpfs\t/mnt/m  tmpfs mode=0700\nproc /proc proc\n");
            command("mount /mnt/m");
        })
        .observe(|_| state())
        .break_it(|_| command("mount -t tmpfs -o mode=0700 tmpfs /mnt/m"))
        .break_it(|_| fs::write("/etc/fstab", "# a\nproc /proc proc\nx /mnt/m ext4").unwrap());
    let all: Vec<_> = Law::ALL.into_iter().chain([Law::UndoRestores]).collect();
    assert_eq!(laws::check(subject), all);
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn the_kernel_wakes_it_and_files_come_after_it() {
    if !inside("mount::the_kernel_wakes_it_and_files_come_after_it", &["--mount", "--propagation", "private"]) {
        return;
    }
    stage();
    fs::remove_dir("/mnt/m").unwrap();
    let dir = TempDir::new().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut g = Graph::new("mounts");
        g.add(File::new("/mnt/m/f").content("on the mount\n"));
        g.add(mount());
        g.add(File::new("/mnt/m/"));
        let engine =
            Engine::builder().graph(g.finish().unwrap()).prefix(dir.path().join("prefix")).start().await.unwrap();
        engine.converged().await.unwrap();
        assert_eq!(mounted().len(), 1);
        assert_eq!(fs::read_to_string("/mnt/m/f").unwrap(), "on the mount\n");
        unmount();
        let begun = Instant::now();
        while mounted().is_empty() || fs::read_to_string("/mnt/m/f").is_err() {
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", mounted());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        engine.converged().await.unwrap();
        command("mount -o remount,exec /mnt/m");
        let begun = Instant::now();
        while !mounted()[0].contains("noexec") {
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", mounted());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        engine.stop().await.unwrap();
        command("umount /mnt/m");
        assert!(!fs::exists("/mnt/m/f").unwrap_or(true), "the file was never below the mount");
    });
}

#[test]
fn a_simulated_host_mounts_too() {
    let host = Host::new();
    host.write("/etc/fstab", "# a\n");
    let graph = |g: &mut Graph| -> mgmt::Result<()> {
        g.add(Mount::new("/srv/data").device("/dev/sdb1").r#type("ext4").options("noatime"));
        g.add(File::new("/srv/data/"));
        Ok(())
    };
    let mut run = host.start(graph);
    run.converge();
    run.assert_applied(["file[/srv/data/]", "mount[/srv/data]"]);
    assert_eq!(host.mounted("/srv/data").as_deref(), Some("/dev/sdb1 ext4 rw,noatime"));
    assert_eq!(host.read("/etc/fstab").as_deref(), Some("# a\n/dev/sdb1 /srv/data ext4 noatime 0 0\n"));
    run.forget();
    host.unmount("/srv/data");
    run.converge();
    run.assert_applied(["mount[/srv/data]"]);
    assert_eq!(host.commands_run(), ["mount -t ext4 -o noatime -- /dev/sdb1 /srv/data"; 2]);
}
