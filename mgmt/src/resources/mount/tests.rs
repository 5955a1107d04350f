//! Mounts of file systems in memory, bind mounts, and what is in use, in namespaces of their own.

use std::fs;
use std::future::Future;
use std::process::{Command, Stdio};

use crate::resource::{Change, ObstacleKind};
use crate::resources::mount::{Mount, MountBuilder};
use crate::sys::spaces;
use crate::testing::{Fake, Trial};

/// Runs a test of this file in a user and a mount namespace, with an empty `/etc/fstab` and `/mnt`, and without systemd.
fn inside<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Fake) -> F) {
    if spaces::inside(module_path!(), name, &["--mount", "--propagation", "private"]) {
        for dir in ["/etc", "/run", "/mnt"] {
            command(&["mount", "-t", "tmpfs", "none", dir]);
        }
        fs::write("/etc/fstab", "# first\n").unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(test(Fake::new().unwrap()));
    }
}

fn command(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status().expect("a program");
    assert!(status.success(), "{words:?}: {status}");
}

fn fstab() -> String {
    fs::read_to_string("/etc/fstab").unwrap()
}

/// The options of what is mounted there.
fn mounted(point: &str) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut lines = table.lines().filter(|line| line.split(' ').nth(4) == Some(point));
    lines.next_back().map(|line| line.split(' ').nth(5).unwrap().to_owned() + "," + line.rsplit(' ').next().unwrap())
}

fn memory(point: &str) -> MountBuilder {
    Mount::new(point).device("tmpfs").r#type("tmpfs")
}

async fn changes(trial: &Trial) -> Vec<String> {
    let changes = trial.settle().await.unwrap().changes;
    assert!(trial.check().await.unwrap().in_sync(), "after {changes:?}");
    changes.iter().map(Change::to_string).collect()
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn what_is_declared_is_mounted_with_its_options_and_unmounted() {
    inside("what_is_declared_is_mounted_with_its_options_and_unmounted", async |host| {
        fs::create_dir("/mnt/a b").unwrap();
        let declared = || memory("/mnt/a b").options(["size=1m", "mode=0700"]);
        let line = "tmpfs /mnt/a\\040b tmpfs size=1m,mode=0700 0 0";
        let found = changes(&host.put(declared())).await;
        assert_eq!(found, [format!("fstab: no entry → {line}"), "state: unmounted → mounted".to_owned()]);
        assert_eq!(fstab(), format!("# first\n{line}\n"));
        assert!(mounted("/mnt/a\\040b").unwrap().ends_with("size=1024k,mode=700"), "{:?}", mounted("/mnt/a\\040b"));

        // Another program mounts it otherwise.
        command(&["mount", "-o", "remount,ro,noexec,size=2m", "/mnt/a b"]);
        let found = changes(&host.put(declared())).await;
        assert_eq!(found, ["options: ro,noexec,size=2048k → rw,exec,size=1m"]);

        let found = changes(&host.put(declared().unmounted())).await;
        assert_eq!(found, ["state: mounted → unmounted"]);
        assert_eq!(mounted("/mnt/a\\040b"), None);
        assert_eq!(fstab(), format!("# first\n{line}\n"));
        command(&["mount", "-t", "tmpfs", "none", "/mnt/a b"]);
        command(&["mount", "-t", "ramfs", "none", "/mnt/a b"]);
        let found = changes(&host.put(Mount::new("/mnt/a b").absent())).await;
        assert_eq!(found, [format!("fstab: {line} → no entry"), "state: mounted → unmounted".to_owned()]);
        assert_eq!((mounted("/mnt/a\\040b"), fstab()), (None, "# first\n".to_owned()));
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn another_type_or_device_is_unmounted_first() {
    inside("another_type_or_device_is_unmounted_first", async |host| {
        fs::create_dir("/mnt/a").unwrap();
        command(&["mount", "-t", "ramfs", "ramfs", "/mnt/a"]);
        let found = changes(&host.put(memory("/mnt/a"))).await;
        assert_eq!(found[1..], ["type: ramfs → tmpfs", "device: ramfs → tmpfs"]);
        let other = memory("/mnt/a").device("other").options("noauto,x-systemd.automount,nofail,noatime");
        let found = changes(&host.put(other)).await;
        assert_eq!(found[1..], ["device: tmpfs → other"]);
        assert!(mounted("/mnt/a").unwrap().starts_with("rw,noatime"));
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn a_bind_mount_is_known_by_the_directory_that_is_visible() {
    inside("a_bind_mount_is_known_by_the_directory_that_is_visible", async |host| {
        for dir in ["/mnt/from", "/mnt/other", "/mnt/to"] {
            fs::create_dir(dir).unwrap();
        }
        let bind = || host.put(Mount::new("/mnt/to").device("/mnt/from").options("bind,ro"));
        changes(&bind()).await;
        assert!(mounted("/mnt/to").unwrap().starts_with("ro"));
        assert_eq!(fstab(), "# first\n/mnt/from /mnt/to none bind,ro 0 0\n");
        command(&["mount", "-o", "remount,bind,rw", "/mnt/to"]);
        assert_eq!(changes(&bind()).await, ["options: rw → ro"]);
        command(&["mount", "--bind", "/mnt/other", "/mnt/to"]);
        assert_eq!(changes(&bind()).await, ["device: /other → /mnt/from"]);
        fs::write("/mnt/from/f", "x").unwrap();
        assert!(fs::exists("/mnt/to/f").unwrap());
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn what_is_in_use_is_not_unmounted_and_its_users_are_named() {
    inside("what_is_in_use_is_not_unmounted_and_its_users_are_named", async |host| {
        fs::create_dir("/mnt/a").unwrap();
        changes(&host.put(memory("/mnt/a"))).await;
        let mut sleep = Command::new("sleep").arg("60").current_dir("/mnt/a").spawn().unwrap();
        let reader = fs::File::create("/mnt/a/open").unwrap();
        let mut cat = Command::new("sleep").arg("60").stdin(Stdio::from(reader)).spawn().unwrap();
        fs::create_dir("/mnt/a/sub").unwrap();
        command(&["mount", "-t", "tmpfs", "none", "/mnt/a/sub"]);
        let absent = host.put(Mount::new("/mnt/a").absent());
        let error = absent.settle().await.unwrap_err();
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Busy, "{error}");
        for words in [
            format!("`sleep` (pid {}, its directory)", sleep.id()),
            format!("`sleep` (pid {}, an open file)", cat.id()),
            "/mnt/a/sub is mounted below it".to_owned(),
        ] {
            assert!(error.to_string().contains(&words), "{words}: {error}");
        }
        assert!(fstab().contains("/mnt/a"), "what is in use stays in the file");
        command(&["umount", "/mnt/a/sub"]);
        for child in [&mut sleep, &mut cat] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        changes(&absent).await;
        assert_eq!((mounted("/mnt/a"), fstab()), (None, "# first\n".to_owned()));
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn systemd_reads_the_changed_file_before_anything_is_mounted_and_once_for_all() {
    inside("systemd_reads_the_changed_file_before_anything_is_mounted_and_once_for_all", async |host| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::create_dir_all("/run/systemd/system").unwrap();
        command(&["mount", "-t", "tmpfs", "none", "/usr/local/sbin"]);
        let script = "#!/bin/sh\necho \"$@ $(grep -c tmpfs /etc/fstab) $(grep -c ' /mnt/m' /proc/self/mountinfo)\" >> /run/calls\nsleep 0.3\n";
        fs::write("/usr/local/sbin/systemctl", script).unwrap();
        fs::set_permissions("/usr/local/sbin/systemctl", fs::Permissions::from_mode(0o755)).unwrap();
        let all: Vec<_> = (0..8)
            .map(|i| {
                let point = format!("/mnt/m{i}");
                fs::create_dir(&point).unwrap();
                host.put(memory(&point))
            })
            .collect();
        let done = futures_util::future::join_all(all.iter().map(Trial::settle)).await;
        assert!(done.into_iter().all(|outcome| outcome.unwrap().changed));
        let calls = fs::read_to_string("/run/calls").unwrap();
        assert!(calls.lines().all(|line| line.starts_with("daemon-reload ")), "{calls}");
        assert!(calls.lines().next().unwrap().ends_with(" 0"), "nothing is mounted before: {calls}");
        assert!((1..8).contains(&calls.lines().count()), "one call serves several: {calls}");
        assert!(calls.lines().last().unwrap().contains(" 8 "), "all entries are read: {calls}");
        assert_eq!(fstab().lines().count(), 9);
        // What was interrupted is finished.
        let count = calls.lines().count();
        assert!(all[0].check().await.unwrap().in_sync());
        let restarted = Fake::new().unwrap();
        let interrupted = restarted.put(memory("/mnt/m0"));
        interrupted.apply_cx().set_mark(Some(b"reload remount".to_vec())).await.unwrap();
        let found = changes(&interrupted).await;
        assert!(found[0].starts_with("systemd: has not read the file"), "{found:?}");
        assert!(found[1].starts_with("options: perhaps those of before"), "{found:?}");
        assert_eq!(fs::read_to_string("/run/calls").unwrap().lines().count(), count + 1);
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn what_can_not_be_mounted_is_a_clear_error() {
    inside("what_can_not_be_mounted_is_a_clear_error", async |host| {
        let error = host.put(memory("/mnt/none")).settle().await.unwrap_err();
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing, "{error}");
        assert!(error.to_string().contains("declare it too: file[/mnt/none/]"), "{error}");
        fs::create_dir("/mnt/a").unwrap();
        let error = host.put(memory("/mnt/a").options("nonsense=1")).settle().await.unwrap_err();
        assert!(error.to_string().contains("mount"), "{error}");
        let error = host.put(Mount::new("/").absent()).check().await.unwrap_err();
        assert!(error.to_string().contains("the root file system can't be unmounted"), "{error}");
    });
}

#[test]
fn what_describes_no_mount_is_refused() {
    let host = Fake::new().unwrap();
    let said = |mount: MountBuilder| host.put(mount).refusal();
    for (mount, problem) in [
        (Mount::new("/a"), "`device` is missing"),
        (Mount::new("a").device("tmpfs"), "`name`"),
        (Mount::new("/a/../b").device("tmpfs"), "`name`"),
        (Mount::new("/a").device("a").options("bind"), "`device` is no path"),
        (Mount::new("/a").device("a\nb"), "`device` has several lines"),
        (Mount::new("/a").device("a").options("x\ny"), "`options` has several lines"),
        (Mount::new("s").r#type("swap").absent(), "`device` is missing"),
    ] {
        let found = said(mount);
        assert!(found.starts_with(problem) && found.lines().count() == 1, "{problem}: {found}");
    }
    assert!(said(Mount::new("/a").absent()).is_empty());
    assert!(said(Mount::new("swap").r#type("swap").device("/dev/x")).is_empty());
}

#[test]
#[ignore = "needs root: loop devices, a swap file"]
fn a_swap_device_is_used_with_its_priority() {
    let name = "a_swap_device_is_used_with_its_priority";
    if !spaces::inside_as_root(module_path!(), name, &["--mount", "--propagation", "private"]) {
        return;
    }
    let host = Fake::new().unwrap();
    let file = host.path("swap file").to_str().unwrap().to_owned();
    for dir in ["/etc", "/run"] {
        command(&["mount", "-t", "tmpfs", "none", dir]);
    }
    fs::write("/etc/fstab", "").unwrap();
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    command(&["chmod", "600", &file]);
    command(&["mkswap", "-q", &file]);
    let priority = || {
        let table = fs::read_to_string("/proc/swaps").unwrap();
        let line = table.lines().find(|line| line.contains("swap\\040file"))?;
        Some(line.split_whitespace().last().unwrap().to_owned())
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let swap = |priority: &str| {
            Mount::new("swap").device(file.clone()).r#type("swap").options(format!("nofail,pri={priority}"))
        };
        changes(&host.put(swap("7"))).await;
        assert_eq!(priority().as_deref(), Some("7"));
        let escaped = file.replace(' ', "\\040");
        assert_eq!(fstab(), format!("{escaped} none swap nofail,pri=7 0 0\n"));
        let mut watching = host.put(swap("7")).listen();
        assert_eq!(watching.next().await.unwrap().unwrap(), crate::resource::WatchEvent::Ready);
        command(&["swapoff", &file]);
        assert_eq!(watching.next().await.unwrap().unwrap(), crate::resource::WatchEvent::Changed);
        assert_eq!(changes(&host.put(swap("7"))).await, ["state: unmounted → mounted"]);
        assert_eq!(changes(&host.put(swap("9"))).await.last().unwrap(), "options: pri=7 → pri=9");
        assert_eq!(priority().as_deref(), Some("9"));
        changes(&host.put(swap("9").absent())).await;
        assert_eq!((priority(), fstab()), (None, String::new()));
    });
}

#[test]
#[ignore = "needs root: loop devices, a swap file"]
fn a_device_is_known_by_what_it_leads_to() {
    let name = "a_device_is_known_by_what_it_leads_to";
    if !spaces::inside_as_root(module_path!(), name, &["--mount", "--propagation", "private"]) {
        return;
    }
    let host = Fake::new().unwrap();
    for dir in ["/etc", "/run", "/mnt"] {
        command(&["mount", "-t", "tmpfs", "none", dir]);
    }
    fs::write("/etc/fstab", "").unwrap();
    fs::create_dir("/mnt/a").unwrap();
    let image = host.path("image").to_str().unwrap().to_owned();
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    command(&["mkfs.ext4", "-q", "-L", "mgmt test", &image]);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mount =
            |device: &str| Mount::new("/mnt/a").device(device.to_owned()).r#type("ext4").options("loop,noatime");
        changes(&host.put(mount(&image))).await;
        std::os::unix::fs::symlink(&image, host.path("link")).unwrap();
        let found = changes(&host.put(mount(host.path("link").to_str().unwrap()))).await;
        assert_eq!(found.len(), 1, "only the file changes: {found:?}");
        command(&["mount", "-t", "tmpfs", "none", "/mnt/a"]);
        let found = changes(&host.put(mount(&image))).await;
        assert_eq!(
            found[1..],
            ["type: tmpfs → ext4", "device: none → /IMAGE"].map(|text| text.replace("/IMAGE", &image))
        );
        changes(&host.put(mount(&image).absent())).await;
    });
}
