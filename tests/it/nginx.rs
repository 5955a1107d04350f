//! `examples/nginx.rs` and `examples/nginx.yaml`, from a bare machine to a served page, with the real nginx.

use std::fs;
use std::time::{Duration, Instant};

use crate::kit::program::{Ended, Program, Running, example};
use crate::pkg::repository::{HERE, Machine};

/// A machine that can get nginx from its repository, and has it not.
fn bare() -> Machine {
    let machine = Machine::with(&[]);
    // Where `tests/run` has put what a machine like this one lacks for nginx.
    let program = crate::kit::program::mgmt();
    let debs = program.ancestors().nth(2).unwrap().join("debs");
    let all = fs::read_dir(&debs).unwrap_or_else(|error| panic!("{}: {error}: run tests/run", debs.display()));
    for deb in all.map(Result::unwrap).filter(|entry| entry.file_name().to_string_lossy().ends_with(".deb")) {
        fs::copy(deb.path(), machine.path(HERE).join(deb.file_name())).unwrap();
    }
    fs::write(machine.path(HERE).join("Release"), "Origin: Debian\n").unwrap();
    machine.offer(&[]);
    machine.out("! test -e /usr/sbin/nginx");
    machine
}

/// The graph of the Rust program.
fn rust(machine: &Machine, args: &[&str]) -> Program {
    let words = ["/usr/local/bin/site", "--prefix", "/srv/prefix"];
    machine.program(&[&words, args].concat())
}

/// What the server answers to a request of a path, with these headers.
fn get(machine: &Machine, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.0\\r\\nHost: x\\r\\n{headers}\\r\\n");
    let line = format!("exec 3<>/dev/tcp/127.0.0.1/80 && printf '{request}' >&3 && cat <&3");
    machine.program(&["bash", "-c", &line]).run().out
}

#[track_caller]
fn is_served(machine: &Machine) {
    // A reload ends a moment before the workers with the configuration of the package do.
    machine.wait("their end", || machine.shell("! pgrep --euid www-data --exact nginx").run().code == Some(0));
    let page = get(machine, "/", "");
    assert!(page.contains("200 OK") && page.contains("<h1>booted</h1>"), "{page}");
    assert!(get(machine, "/admin/", "").contains("401 Unauthorized"));
    let login = machine.out("printf admin: | cat - /srv/site/admin.password | base64 -w 0");
    let room = get(machine, "/admin/", &format!("Authorization: Basic {login}\\r\\n"));
    assert!(room.contains("200 OK") && room.contains("Back room"), "{room}");
}

/// How often the service has read its configuration again.
fn reloads(machine: &Machine) -> usize {
    machine.out("journalctl --sync; journalctl --unit nginx --output cat").matches("Reloaded nginx.service").count()
}

/// Does something, and waits until the shell finds that all is well again.
#[track_caller]
fn repaired(machine: &Machine, running: &Running, damage: &str, is_well: &str, within: Duration) {
    machine.out(damage);
    let began = Instant::now();
    while machine.shell(is_well).run().code != Some(0) {
        let status = || machine.shell("systemctl status nginx; pgrep --list-full 'apt|dpkg'").run().out;
        assert!(began.elapsed() < within, "{damage}: never\n{}\n{}", running.err_so_far(), status());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{damage}: {:?}", began.elapsed());
}

#[track_caller]
fn is_in_sync(ended: Ended) {
    assert!(ended.out.ends_with(" in sync\n") && ended.code == Some(0), "{ended:#?}");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn the_program_serves_a_page_from_a_bare_machine_and_repairs_whatever_breaks() {
    let machine = bare();
    machine.copy(&example("nginx"), "/usr/local/bin/site");
    let ended = rust(&machine, &["plan"]).run().code(2);
    assert!(!ended.out.contains("failed"), "{}", ended.out);
    let mut running = rust(&machine, &["run"]).start();
    running.says("converged in");
    is_served(&machine);
    assert_eq!(machine.transactions().len(), 1);
    assert!(reloads(&machine) <= 1);

    let (soon, package) = (Duration::from_secs(60), Duration::from_secs(120));
    let active = "systemctl is-active nginx";
    repaired(&machine, &running, "systemctl stop --no-block nginx", active, soon);
    repaired(&machine, &running, "pkill -KILL --oldest --exact nginx; sleep 0.2", active, soon);
    repaired(&machine, &running, "chmod 0 /srv/site/public", "test $(stat -c %a /srv/site/public) = 755", soon);
    let before = reloads(&machine);
    let conf = "grep -q 'user site' /etc/nginx/nginx.conf";
    repaired(&machine, &running, "rm /etc/nginx/nginx.conf", conf, soon);
    machine.wait("a reload", || reloads(&machine) > before);
    repaired(&machine, &running, "echo 'user root;' > /etc/nginx/nginx.conf", conf, soon);
    machine.wait("a second reload", || reloads(&machine) > before + 1);
    repaired(&machine, &running, "userdel --force site", "test $(stat -c %U /srv/site/public) = site", soon);
    is_served(&machine);
    let again = "test -e /usr/sbin/nginx && systemctl is-active nginx";
    repaired(&machine, &running, "apt-get --yes purge nginx", again, package);
    machine.wait("the page", || get(&machine, "/", "").contains("200 OK"));
    machine.out("pkill -INT --exact site");
    running.wait().code(0);
    is_served(&machine);
    is_in_sync(rust(&machine, &["plan"]).run());
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_configuration_that_nginx_refuses_never_reaches_the_service() {
    let machine = bare();
    let graph = include_str!("../../examples/nginx.yaml");
    machine.write_graph(graph);
    let mut running = machine.command().start();
    running.says("converged in");
    is_served(&machine);
    let before = reloads(&machine);

    machine.write_graph(&graph.replace("events {}", "events {}\n      nonsense;"));
    running.says("unknown directive \"nonsense\"");
    assert_eq!(running.err_so_far().matches("unknown directive").count(), 1, "{}", running.err_so_far());
    is_served(&machine);
    assert!(!fs::read_to_string(machine.path("/etc/nginx/nginx.conf")).unwrap().contains("nonsense"));
    assert_eq!(reloads(&machine), before);

    machine.write_graph(&graph.replace("listen 80;", "listen 80;\n              listen 8080;"));
    machine.wait("the other port", || machine.shell("bash -c '</dev/tcp/127.0.0.1/8080'").run().code == Some(0));
    assert_eq!(reloads(&machine), before + 1);
    is_served(&machine);
    machine.out("pkill -INT --exact mgmt");
    running.wait().code(0);
    is_in_sync(machine.plan());
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn killed_again_and_again_it_serves_the_page_in_the_end() {
    let machine = bare();
    machine.copy(&example("nginx"), "/usr/local/bin/site");
    for milliseconds in [50, 400, 800, 1200, 1800, 2500] {
        let running = rust(&machine, &["run"]).start();
        std::thread::sleep(Duration::from_millis(milliseconds));
        machine.out("pkill -KILL --exact site");
        drop(running.wait());
    }
    rust(&machine, &["run", "-t", "1"]).run().code(0);
    is_served(&machine);
    is_in_sync(rust(&machine, &["plan"]).run());
}
