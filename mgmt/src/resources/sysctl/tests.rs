//! Parameters: in files of a directory of the test, and those of a network namespace of its own.

use std::fs;
use std::process::Command;

use crate::resource::{Change, Error, ObstacleKind};
use crate::resources::sysctl::{Sysctl, SysctlBuilder};
use crate::sys::spaces;
use crate::testing::Fake;

/// Runs the named test of this file in namespaces. Returns `true` inside.
fn inside(name: &str) -> bool {
    spaces::inside(module_path!(), name, &["--mount", "--net", "--propagation", "private"])
}

fn forward() -> SysctlBuilder {
    Sysctl::new("net.ipv4.ip_forward", "1")
}

/// Only in a file of the host.
fn kept(host: &Fake, sysctl: SysctlBuilder) -> SysctlBuilder {
    sysctl.runtime(false).path(host.path("f.conf").to_str().unwrap().to_owned())
}

/// Only in the kernel.
fn live(name: &str, value: &str) -> SysctlBuilder {
    Sysctl::new(name, value).persist(false)
}

async fn refused(host: &Fake, sysctl: SysctlBuilder) -> Error {
    host.put(sysctl).settle().await.unwrap_err()
}

#[tokio::test]
async fn the_line_of_a_parameter_is_kept_and_every_other_byte_stays() {
    let host = Fake::new().unwrap();
    fs::write(host.path("f.conf"), "# mine\nvm.x=1\nnet/ipv4/ip_forward=0 \n\n").unwrap();
    let sysctl = host.put(kept(&host, forward()));
    let changes = sysctl.settle().await.unwrap().changes;
    let diff = "-net.ipv4.ip_forward = 0\n+net.ipv4.ip_forward = 1\n";
    assert_eq!(changes, [Change::new("persist", "0", "1").with_diff(diff)]);
    assert_eq!(fs::read_to_string(host.path("f.conf")).unwrap(), "# mine\nvm.x=1\nnet/ipv4/ip_forward=1 \n\n");
    assert!(sysctl.check().await.unwrap().in_sync());
    fs::write(host.path("f.conf"), "net.ipv4.ip_forward = 0x1\n").unwrap();
    assert!(sysctl.check().await.unwrap().in_sync(), "the same number");
}

#[tokio::test]
async fn a_missing_file_is_made_and_a_missing_directory_is_not() {
    let host = Fake::new().unwrap();
    host.put(kept(&host, forward())).settle().await.unwrap();
    assert_eq!(fs::read_to_string(host.path("f.conf")).unwrap(), "net.ipv4.ip_forward = 1\n");
    let elsewhere = kept(&host, forward()).path(host.path("d/f.conf").to_str().unwrap().to_owned());
    let error = refused(&host, elsewhere).await;
    assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing, "{error}");
}

#[tokio::test]
async fn many_parameters_of_one_file_do_not_lose_one_another() {
    let host = Fake::new().unwrap();
    let all = (0..40).map(|i| host.put(kept(&host, Sysctl::new(format!("a.p{i}"), i.to_string()))));
    let all: Vec<_> = all.collect();
    let done = futures_util::future::join_all(all.iter().map(|sysctl| sysctl.settle())).await;
    assert!(done.into_iter().all(|outcome| outcome.unwrap().changed));
    let text = fs::read_to_string(host.path("f.conf")).unwrap();
    assert_eq!(text.lines().count(), 40, "{text}");
    for sysctl in all {
        assert!(sysctl.check().await.unwrap().in_sync());
    }
}

#[test]
fn what_keeps_nothing_or_is_no_parameter_is_refused() {
    let host = Fake::new().unwrap();
    let said = |sysctl: SysctlBuilder| host.put(sysctl).refusal();
    for (sysctl, problem) in [
        (Sysctl::new("net.*.x", "1"), "`name` names several parameters"),
        (Sysctl::new("/proc/sys/vm/x", "1"), "`name` is a path: leave out `/proc/sys/`"),
        (Sysctl::new("vm.x", "1\n2"), "`value` has several lines"),
        (Sysctl::new("vm.x", "1".repeat(4096)), "`value` has 4096 bytes"),
        (Sysctl::new("vm.x", "1").runtime(false).persist(false), "`persist` is false, as is `runtime`"),
        (Sysctl::new("vm.x", "1").path("x.conf".to_owned()), "`path`"),
        (Sysctl::new("vm.x", "1").path("/etc/sysctl.d/x".to_owned()), "`path` is not read at boot"),
    ] {
        let found = said(sysctl);
        assert!(found.starts_with(problem) && found.lines().count() == 1, "{problem}: {found}");
    }
    assert!(said(Sysctl::new("vm.x", "")).is_empty(), "a value may be empty");
}

#[test]
#[ignore = "needs user and network namespaces (unshare)"]
fn the_kernel_gets_the_value_and_what_it_refuses_is_named() {
    if !inside("the_kernel_gets_the_value_and_what_it_refuses_is_named") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let host = Fake::new().unwrap();
        let file = "/proc/sys/net/ipv4/ip_forward";
        assert_eq!(fs::read_to_string(file).unwrap(), "0\n");
        let sysctl = host.put(forward().persist(false));
        assert_eq!(sysctl.settle().await.unwrap().changes, [Change::new("runtime", "0", "1")]);
        assert_eq!(fs::read_to_string(file).unwrap(), "1\n");
        assert!(sysctl.check().await.unwrap().in_sync());

        let range = "/proc/sys/net/ipv4/ip_local_port_range";
        fs::write(range, "32768 60999").unwrap();
        let tabs = host.put(live("net.ipv4.ip_local_port_range", "40000  50001"));
        assert_eq!(tabs.settle().await.unwrap().changes, [Change::new("runtime", "32768 60999", "40000 50001")]);
        assert_eq!(fs::read_to_string(range).unwrap(), "40000\t50001\n");
        assert!(tabs.check().await.unwrap().in_sync(), "tabs are blanks");
        let other_base = host.put(live("net/ipv4/ip_default_ttl", "0x20"));
        assert!(other_base.settle().await.unwrap().changed);
        assert!(other_base.check().await.unwrap().in_sync());

        for (name, value, words) in [
            ("net.ipv4.ip_default_ttl", "300", "the kernel refuses the value `300` for `net.ipv4.ip_default_ttl`"),
            ("net.ipv4.ip_forward", "yes", "the kernel refuses the value `yes`"),
            ("net.ipv4.tcp_rmem", "5000", "declare what the kernel shows"),
            ("net.ipv4.tcp_available_congestion_control", "x", "is read-only"),
            ("net.ipv4.conf", "1", "is a group of parameters"),
        ] {
            let error = refused(&host, live(name, value)).await;
            assert!(error.to_string().contains(words), "{name}: {error}");
            assert_eq!(error.obstacle(), None, "{name}: no event would mend that: {error}");
        }
        let error = refused(&host, live("net.netfilter.mgmt_none", "1")).await;
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing, "{error}");
        assert!(error.to_string().contains("not loaded yet"), "{error}");
    });
}

#[test]
#[ignore = "needs user and network namespaces (unshare)"]
fn a_parameter_that_does_not_exist_yet_is_in_its_file_already() {
    if !inside("a_parameter_that_does_not_exist_yet_is_in_its_file_already") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let host = Fake::new().unwrap();
        let sysctl =
            Sysctl::new("net.ipv4.conf.mgmt0.forwarding", "1").path(host.path("f").to_str().unwrap().to_owned());
        let sysctl = host.put(sysctl);
        let error = sysctl.settle().await.unwrap_err();
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::Missing, "{error}");
        assert_eq!(fs::read_to_string(host.path("f")).unwrap(), "net.ipv4.conf.mgmt0.forwarding = 1\n");
        let added = Command::new("ip").args(["link", "add", "mgmt0", "type", "veth"]).status();
        assert!(added.unwrap().success());
        assert_eq!(sysctl.settle().await.unwrap().changes, [Change::new("runtime", "0", "1")]);
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn a_file_that_is_read_later_at_boot_is_named() {
    if !inside("a_file_that_is_read_later_at_boot_is_named") {
        return;
    }
    let mount =
        |dir: &str| Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "none", dir]).status().unwrap();
    assert!(mount("/etc/sysctl.d").success() && mount("/usr/lib/sysctl.d").success());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let host = Fake::new().unwrap();
        let sysctl = host.put(forward().runtime(false));
        fs::write("/usr/lib/sysctl.d/50-default.conf", "net.ipv4.ip_forward = 0\n").unwrap();
        fs::write("/usr/lib/sysctl.d/99-n.conf", "net.ipv4.ip_forward = 1\n").unwrap();
        assert!(sysctl.settle().await.unwrap().changed);
        assert_eq!(fs::read_to_string("/etc/sysctl.d/99-mgmt.conf").unwrap(), "net.ipv4.ip_forward = 1\n");
        assert!(sysctl.check().await.unwrap().in_sync(), "earlier files and equal values do no harm");

        fs::write(host.path("main"), "net.ipv4.ip_forward = 0\n").unwrap();
        std::os::unix::fs::symlink(host.path("main"), "/etc/sysctl.d/99-sysctl.conf").unwrap();
        let error = sysctl.check().await.unwrap_err();
        assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::InTheWay, "{error}");
        let words = "/etc/sysctl.d/99-sysctl.conf sets `net.ipv4.ip_forward` to `0` and is read at boot after";
        assert!(error.to_string().contains(words), "{error}");
        let later = forward().runtime(false).path("/etc/sysctl.d/99-z.conf".to_owned());
        assert!(host.put(later).settle().await.unwrap().changed);
        assert!(sysctl.check().await.unwrap().in_sync(), "the last file counts");

        fs::remove_file("/etc/sysctl.d/99-z.conf").unwrap();
        fs::remove_file("/etc/sysctl.d/99-sysctl.conf").unwrap();
        std::os::unix::fs::symlink("/dev/null", "/etc/sysctl.d/99-n.conf").unwrap();
        assert!(sysctl.check().await.unwrap().in_sync(), "an empty file");
        let masked = forward().runtime(false).path("/usr/lib/sysctl.d/99-n.conf".to_owned());
        let error = refused(&host, masked).await;
        assert!(error.to_string().contains("is read at boot in place of"), "{error}");
    });
}

#[tokio::test]
async fn an_undo_keeps_what_another_program_has_set_since() {
    let host = Fake::new().unwrap();
    fs::write(host.path("f.conf"), "net.ipv4.ip_forward = 0\n").unwrap();
    let sysctl = host.put(kept(&host, forward())).reversed();
    sysctl.settle().await.unwrap();
    fs::write(host.path("f.conf"), "net.ipv4.ip_forward = 2\n").unwrap();
    let undone = sysctl.undo().await.unwrap().unwrap();
    assert_eq!((undone.done.len(), undone.kept.len()), (0, 1), "{undone:?}");
    assert_eq!(fs::read_to_string(host.path("f.conf")).unwrap(), "net.ipv4.ip_forward = 2\n");
    fs::write(host.path("f.conf"), "net.ipv4.ip_forward = 1\nvm.x = 1\n").unwrap();
    let done = sysctl.undo().await.unwrap().unwrap().done;
    assert_eq!(done, [format!("put the line of `net.ipv4.ip_forward` in {} back", host.path("f.conf").display())]);
    assert_eq!(fs::read_to_string(host.path("f.conf")).unwrap(), "net.ipv4.ip_forward = 0\nvm.x = 1\n");
}
