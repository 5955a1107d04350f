//! Runs that stay on real hosts: as a unit where there is systemd, for root and for other users, and elsewhere as a
//! process with a session of its own.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::command_line::text;
use crate::hosts::{self, Host, Net, Setup, inside};
use crate::systemd::{Reboot, SystemdHost};

/// So long a loaded machine may take for anything: the executable of a test is large.
const LONG: Duration = Duration::from_secs(120);

/// The program, which remembers nothing here; what it remembers there is in the default place.
fn mgmt(net: &Net, words: &[&str]) -> Command {
    let mut command = hosts::mgmt(words);
    command.arg("--ssh-config").arg(net.dir().join("config")).env("HOME", net.dir());
    command
}

fn output(net: &Net, words: &[&str]) -> Output {
    mgmt(net, words).output().unwrap()
}

#[track_caller]
fn done(net: &Net, words: &[&str]) -> (String, String) {
    let output = output(net, words);
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {log}");
    (text(&output.stdout), log)
}

/// The run that was left on a host.
fn found(net: &Net, host: &str, more: &[&str]) -> Json {
    let listed = done(net, &[&["remote", "list", host, "--json"], more].concat()).0;
    let listed: Json = serde_json::from_str(&listed).unwrap();
    listed["hosts"][0]["run"].clone()
}

fn graph(net: &Net, path: &str, content: &str) -> String {
    let file = net.dir().join("g.yaml");
    let text = format!("graph: g\nresources:\n  file:\n  - name: {path}\n    content: \"{content}\"\n");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Waits until that is so.
#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "not so yet: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs root, sshd and systemd"]
fn a_run_that_stays_is_a_unit_that_repairs_and_ends_at_a_stop_and_at_a_reboot() {
    if !inside(module_path!(), "a_run_that_stays_is_a_unit_that_repairs_and_ends_at_a_stop_and_at_a_reboot") {
        return;
    }
    let net = Net::new();
    let mut host = SystemdHost::boot(&net, "");
    let address = host.at("root").to_string();
    let graph = graph(&net, "/srv/file", "kept $HOME %n");
    let leave = || done(&net, &["remote", "run", "--yaml", &graph, &address, "--detach"]).1;
    let log = leave();
    let run = found(&net, &address, &[]);
    let unit = run["unit"].as_str().unwrap().to_owned();
    assert!(log.contains(&unit) && run["log"] == format!("journalctl --unit={unit}").as_str(), "{log} {run}");
    assert_eq!(host.sh(&format!("systemctl show -P MainPID {unit}")), run["pid"].to_string());
    let kept = || host.try_sh("cat /srv/file") == "kept $HOME %n";
    wait("the file", kept);
    host.sh("echo drift >/srv/file");
    wait("the repair, while nothing is connected", kept);
    // The unit holds no content of the graph, and the executable stays where it was copied to.
    let text = host.sh(&format!("systemctl cat {unit}; systemctl show {unit}"));
    assert!(!text.contains("kept"), "{text}");
    let program = host.sh(&format!("readlink /proc/{}/exe", run["pid"]));
    assert!(program.starts_with(&format!("{}/.cache/mgmt/executables/", host.sh("echo ~root"))), "{program}");
    // The network fails: an attached program connects again, and the run does not notice.
    let mut attach = mgmt(&net, &["remote", "attach", &address, "--json", "--connect-timeout", "2"]);
    let events = net.dir().join("events");
    attach.stdout(std::fs::File::create(&events).unwrap());
    let mut attach = attach.stderr(std::fs::File::create(net.dir().join("log")).unwrap()).spawn().unwrap();
    let count = |word: &str| {
        let text = std::fs::read_to_string(&events).unwrap();
        text.matches(&format!("\"event\":\"{word}\"")).count()
    };
    wait("what was missed", || count("attached") == 1 && count("applied") >= 1);
    let seen = count("applied");
    host.cut(true);
    host.sh("echo drift >/srv/file");
    wait("the repair without a network", kept);
    wait("the loss is known", || count("host_ended") >= 1);
    host.cut(false);
    wait("it is attached again", || count("attached") == 2 && count("applied") > seen);
    assert!(Command::new("kill").args(["-INT", &attach.id().to_string()]).status().unwrap().success());
    assert_eq!(attach.wait().unwrap().code(), Some(0));
    assert_eq!(host.sh(&format!("systemctl is-active {unit}")), "active");
    let refused = output(&net, &["remote", "run", "--yaml", &graph, &address]);
    let refused = (refused.status.code(), crate::command_line::text(&refused.stderr));
    assert!(refused.0 == Some(1) && refused.1.contains(&unit) && refused.1.contains("`remote stop`"), "{refused:?}");
    done(&net, &["remote", "stop", &address]);
    assert_eq!(host.try_sh(&format!("systemctl is-active {unit}")), "inactive");
    // A reboot ends it, which is known afterwards.
    leave();
    host.reboot(Reboot::PowerLost);
    host.sh("echo drift >/srv/file");
    let run = found(&net, &address, &[]);
    assert!(run["runs"] == false && run["ended"].is_null(), "{run}");
    assert_eq!(host.sh("cat /srv/file; systemctl list-units --no-legend 'mgmt-*'"), "drift");
    leave();
    host.sh(&format!("systemctl stop {unit}"));
    let run = found(&net, &address, &[]);
    assert!(run["runs"] == false && run["ended"]["how"] == "stopped_there", "{run}");
}

#[test]
#[ignore = "needs root, sshd and systemd"]
fn a_run_of_another_user_stays_if_that_lingers_and_with_become_it_is_roots() {
    if !inside(module_path!(), "a_run_of_another_user_stays_if_that_lingers_and_with_become_it_is_roots") {
        return;
    }
    let net = Net::new();
    let host = SystemdHost::boot(&net, "");
    let address = host.at("ann").to_string();
    let graph = graph(&net, "/home/ann/file", "kept");
    let leave = ["remote", "run", "--yaml", &graph, &address, "--detach"];
    let refused = output(&net, &leave);
    let log = text(&refused.stderr);
    assert!(refused.status.code() == Some(1) && log.contains("loginctl enable-linger ann"), "{log}");
    assert!(found(&net, &address, &[]).is_null());
    host.sh("loginctl enable-linger ann");
    wait("the systemd of the user", || !host.try_sh("ls -d /run/user/2001/systemd").is_empty());
    done(&net, &leave);
    let run = found(&net, &address, &[]);
    let unit = run["unit"].as_str().unwrap().to_owned();
    assert_eq!(run["log"], format!("journalctl --user --unit={unit}").as_str());
    assert_eq!(host.sh(&format!("stat -c %U /proc/{}", run["pid"])), "ann");
    wait("the logins are over", || host.try_sh("pgrep -u ann -c sshd") == "0");
    host.sh("rm -f /home/ann/file");
    wait("the repair without a login", || host.try_sh("cat /home/ann/file") == "kept");
    // That of root is another one.
    let become_root = [&leave[..], &["--become"]].concat();
    done(&net, &become_root);
    let of_root = found(&net, &address, &["--become"]);
    assert_eq!(host.sh(&format!("stat -c %U /proc/{}", of_root["pid"])), "root");
    done(&net, &["remote", "stop", &address]);
    assert!(found(&net, &address, &[])["runs"] == false && found(&net, &address, &["--become"])["runs"] == true);
    done(&net, &["remote", "stop", &address, "--become"]);
    assert_eq!(host.try_sh("pgrep -c mgmt"), "0");
}

#[test]
#[ignore = "needs root and sshd"]
fn without_systemd_a_run_stays_as_a_process_of_its_own_session() {
    if !inside(module_path!(), "without_systemd_a_run_stays_as_a_process_of_its_own_session") {
        return;
    }
    let net = Net::new();
    let host: Host = net.host(Setup::default());
    let graph = graph(&net, "/tmp/out", "kept");
    for user in ["ann", "root"] {
        let address = host.at(user).to_string();
        done(&net, &["remote", "run", "--yaml", &graph, &address, "--detach"]);
        let run = found(&net, &address, &[]);
        assert!(run["unit"].is_null() && run["log"].as_str().unwrap().ends_with("/detached/log"), "{run}");
        let pid = run["pid"].as_u64().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        assert_eq!(stat.rsplit_once(") ").unwrap().1.split(' ').nth(3), Some(pid.to_string().as_str()), "its session");
        // The last call of ssh has ended, and its sshd.
        wait("all else has ended", || host.left().len() == 1);
        std::fs::remove_file(host.dir.join("tmp/out")).unwrap();
        wait("the repair", || std::fs::read_to_string(host.dir.join("tmp/out")).is_ok_and(|text| text == "kept"));
        done(&net, &["remote", "stop", &address]);
        wait("nothing is left", || host.left().is_empty());
        std::fs::remove_file(host.dir.join("tmp/out")).unwrap();
    }
}

#[test]
#[ignore = "needs root and sshd"]
fn no_run_stays_where_its_executable_can_not() {
    if !inside(module_path!(), "no_run_stays_where_its_executable_can_not") {
        return;
    }
    let net = Net::new();
    let prepare = "mount -t tmpfs -o noexec,mode=755 tmpfs /home/ann; chown ann:ann /home/ann".to_owned();
    let host = net.host(Setup { prepare, ..Setup::default() });
    let graph = graph(&net, "/tmp/out", "kept");
    let refused = output(&net, &["remote", "run", "--yaml", &graph, &host.at("ann").to_string(), "--detach"]);
    let log = text(&refused.stderr);
    assert!(refused.status.code() == Some(1) && log.contains("the executable can't stay there"), "{log}");
    wait("nothing is left", || host.left().is_empty());
    assert!(!host.dir.join("tmp/out").exists());
}
