//! Runs on hosts with a systemd of their own, which cut the branch on which they sit: what they change is put back.

use std::process::Command;
use std::time::{Duration, Instant};

use mgmt::gapi::builtin_kinds;
use mgmt::prelude::*;
use mgmt::remote::{Executable, Host, Job, Parcel, Report, Run, Ssh};
use mgmt::runtime::EventKind;

use crate::executable::program;
use crate::hosts::{Net as Wires, address, inside};
use crate::systemd::{Reboot, SystemdHost};

/// So long a loaded machine may take for anything.
const LONG: Duration = Duration::from_secs(180);

async fn host(net: &Wires, there: &SystemdHost) -> Host {
    let executable = Executable::at(program()).await.unwrap();
    Host::new("there", Ssh::new(there.at("root")).options(net.options()).executable(executable))
}

async fn job(declare: impl FnOnce(&mut Graph), within: u64) -> Job {
    let mut g = Graph::new("trial");
    declare(&mut g);
    let parcel = Parcel::of(g.finish().unwrap(), &builtin_kinds(), &[]).await.unwrap();
    let job = Job::graph(parcel).arguments(["remote", "run", "there"]).prefix("/var/lib/mgmt");
    job.converged_timeout(Duration::ZERO).confirm(Duration::from_secs(within))
}

/// Nobody may log in any more, as soon as sshd has read that.
fn locks_out(g: &mut Graph) {
    let line = g.add(Line::new("AllowUsers nobody-at-all", "/etc/ssh/sshd_config"));
    g.add(Svc::new("ssh").running().subscribe(&line));
}

async fn until_converged(run: &mut Run) {
    let converged = async {
        while let Some(report) = run.next().await {
            if matches!(&report, Report::Event(event) if event.kind == EventKind::Converged) {
                return true;
            }
        }
        false
    };
    let has_converged = tokio::time::timeout(LONG, converged).await.expect("it does not converge");
    assert!(has_converged, "the run has ended: {:?}", run.ended().await);
}

/// Whether root can log in by a new connection.
fn login(net: &Wires, there: &SystemdHost) -> bool {
    let to = format!("root@{}", address(there.number()));
    let options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=2", &to, "true"];
    Command::new("ssh").arg("-F").arg(net.dir().join("config")).args(options).output().unwrap().status.success()
}

async fn wait(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "not so yet: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The login works, the file is as before, and nothing that watches is left.
async fn all_is_as_before(net: &Wires, there: &SystemdHost) {
    wait("the login works again", || login(net, there)).await;
    assert!(!there.sh("cat /etc/ssh/sshd_config").contains("AllowUsers"));
    let left = || there.try_sh("ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants | grep put-back");
    wait("no unit is left", || left().is_empty()).await;
    wait("no record is left", || there.try_sh("ls /var/lib/mgmt/trial").is_empty()).await;
}

#[tokio::test]
#[ignore = "needs root, sshd and systemd"]
async fn a_configuration_of_sshd_that_locks_us_out_is_put_back() {
    if !inside(module_path!(), "a_configuration_of_sshd_that_locks_us_out_is_put_back") {
        return;
    }
    let net = Wires::new();
    let there = SystemdHost::boot(&net, "");
    let mut run = host(&net, &there).await.run(&job(locks_out, 5).await).await.unwrap();
    until_converged(&mut run).await;
    assert!(!login(&net, &there), "sshd has read the new configuration");
    while run.next().await.is_some() {}
    let error = run.ended().await.unwrap_err().to_string();
    assert!(error.contains("not confirmed within 5 s"), "{error}");
    all_is_as_before(&net, &there).await;
    // One that permits the login is confirmed, and stays.
    let good = |g: &mut Graph| {
        let line = g.add(Line::new("AllowUsers root ann", "/etc/ssh/sshd_config"));
        g.add(Svc::new("ssh").running().subscribe(&line));
    };
    let mut run = host(&net, &there).await.run(&job(good, 60).await).await.unwrap();
    while run.next().await.is_some() {}
    assert_eq!(run.ended().await.unwrap().code, 0);
    assert!(there.sh("cat /etc/ssh/sshd_config").contains("AllowUsers root ann") && login(&net, &there));
}

#[tokio::test]
#[ignore = "needs root, sshd and systemd"]
async fn an_address_that_is_removed_comes_back() {
    if !inside(module_path!(), "an_address_that_is_removed_comes_back") {
        return;
    }
    let net = Wires::new();
    let there = SystemdHost::boot(&net, "");
    let addresses = || there.sh("ip -4 -o addr show dev eth0");
    let before = addresses();
    let moved = |g: &mut Graph| _ = g.add(Net::new("eth0").addrs(["10.200.0.1/24"]).purge(true));
    let run = host(&net, &there).await.run(&job(moved, 3).await).await.unwrap();
    wait("the address is gone", || !addresses().contains(&address(there.number()))).await;
    let error = run.ended().await.unwrap_err();
    assert!(error.to_string().contains("not confirmed"), "{error}");
    all_is_as_before(&net, &there).await;
    let address = |text: &str| text.split_whitespace().nth(3).map(str::to_owned);
    assert_eq!(address(&addresses()), address(&before));
}

#[tokio::test]
#[ignore = "needs root, sshd and systemd"]
async fn a_reboot_before_the_confirmation_puts_back_what_was_changed() {
    if !inside(module_path!(), "a_reboot_before_the_confirmation_puts_back_what_was_changed") {
        return;
    }
    let net = Wires::new();
    let mut there = SystemdHost::boot(&net, "");
    for how in [Reboot::PowerLost, Reboot::Orderly] {
        let mut run = host(&net, &there).await.run(&job(locks_out, 600).await).await.unwrap();
        until_converged(&mut run).await;
        there.reboot(how);
        all_is_as_before(&net, &there).await;
    }
}

#[tokio::test]
#[ignore = "needs root, sshd and systemd"]
async fn a_run_that_is_killed_before_the_confirmation_is_put_back() {
    if !inside(module_path!(), "a_run_that_is_killed_before_the_confirmation_is_put_back") {
        return;
    }
    let net = Wires::new();
    let there = SystemdHost::boot(&net, "");
    let mut run = host(&net, &there).await.run(&job(locks_out, 600).await).await.unwrap();
    until_converged(&mut run).await;
    assert!(!login(&net, &there));
    // Not the one that watches, which is a unit.
    there.sh("for p in /proc/[0-9]*; do grep -qz '^MGMT_FAR_END=[a-z0-9]*$' $p/environ 2>/dev/null && kill -9 ${p#/proc/}; done; true");
    all_is_as_before(&net, &there).await;
}
