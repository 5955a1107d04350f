//! Packages, with the real apt and dpkg, in a booted machine whose only repository is made here.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::kit::booted::Booted;
use crate::kit::run::{LONG, bin};

const REPOSITORY: &str = "/srv/repo";
const GRAPH: &str = "/srv/graph.yaml";

/// A package: its name, its version, and further lines of its description.
struct Deb(&'static str, &'static str, &'static str);

/// A machine with mgmt and an empty repository, which is the only one.
fn machine(debs: &[Deb]) -> Booted {
    let booted = Booted::start();
    booted.copy(&bin(), "/usr/bin/mgmt");
    for dir in ["/etc/apt/sources.list.d", "/var/lib/apt/lists", "/etc/apt/apt.conf.d"] {
        // What the machine has set for itself is not ours.
        let _ = fs::remove_dir_all(booted.path(dir));
        fs::create_dir_all(booted.path(dir)).unwrap();
    }
    let _ = fs::remove_file(booted.path("/etc/apt/sources.list"));
    let _ = fs::remove_file(booted.path("/var/log/apt/history.log"));
    fs::write(booted.path("/etc/apt/sources.list.d/own.list"), format!("deb [trusted=yes] file:{REPOSITORY} ./\n"))
        .unwrap();
    fs::create_dir_all(booted.path(REPOSITORY)).unwrap();
    offer(&booted, debs);
    booted
}

/// Puts these packages into the repository.
fn offer(booted: &Booted, debs: &[Deb]) {
    for Deb(name, version, more) in debs {
        let root = format!("/srv/made/{name}-{version}");
        let write = |path: &str, text: String| {
            let path = booted.path(&format!("{root}{path}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let about = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: t <t@localhost>\n{more}Description: test\n"
        );
        write("/DEBIAN/control", about);
        write("/DEBIAN/conffiles", format!("/etc/{name}.conf\n"));
        write(&format!("/etc/{name}.conf"), format!("setting of {version}\n"));
        write(&format!("/usr/share/{name}/version"), format!("{version}\n"));
        let file = format!("{REPOSITORY}/{name}_{version}.deb");
        booted.out(&["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", &root, &file]);
    }
    let script = format!(
        "cd {REPOSITORY}; for f in *.deb; do dpkg-deb -f $f; echo Filename: ./$f; echo Size: $(stat -c%s $f); \
         echo SHA256: $(sha256sum $f | cut -d' ' -f1); echo; done > Packages"
    );
    booted.out(&["sh", "-c", &script]);
}

fn graph(booted: &Booted, resources: &str) {
    fs::write(booted.path(GRAPH), format!("graph: packages\nresources:\n  pkg:\n{resources}")).unwrap();
}

fn run(booted: &Booted, more: &[&str]) -> crate::kit::program::Ended {
    let words = [&["mgmt", "run", "--prefix", "/srv/prefix", "-t", "0", "--yaml", GRAPH], more].concat();
    booted.run(&words)
}

/// The installed version; empty: it is not.
fn version(booted: &Booted, name: &str) -> String {
    let words = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Version}", name];
    booted.run(&words).out.strip_prefix("ii ").unwrap_or_default().to_owned()
}

/// The transactions of apt, as it has logged them.
fn transactions(booted: &Booted) -> Vec<String> {
    let log = fs::read_to_string(booted.path("/var/log/apt/history.log")).unwrap_or_default();
    log.lines().filter_map(|line| line.strip_prefix("Commandline: ")).map(str::to_owned).collect()
}

const OURS: &str = "allowunsupported: true";

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_is_declared_together_is_one_transaction_and_found_in_sync_then() {
    let booted = machine(&[Deb("mgt-a", "1.0", ""), Deb("mgt-a", "2.0", ""), Deb("mgt-b", "1.0", "Depends: mgt-a\n")]);
    graph(
        &booted,
        &format!(
            "  - {{name: mgt-a, state: \"1.0\", {OURS}}}\n  - {{name: mgt-b, {OURS}}}\n  - {{name: mgt-none, state: uninstalled}}\n"
        ),
    );
    run(&booted, &[]).code(0);
    assert_eq!((version(&booted, "mgt-a"), version(&booted, "mgt-b")), ("1.0".into(), "1.0".into()));
    assert_eq!(transactions(&booted).len(), 1, "{:?}", transactions(&booted));
    booted.run(&["mgmt", "plan", "--prefix", "/srv/prefix", "--yaml", GRAPH]).code(0);

    graph(&booted, &format!("  - {{name: mgt-a, state: newest, {OURS}}}\n  - {{name: mgt-b, state: uninstalled}}\n"));
    run(&booted, &[]).code(0);
    assert_eq!((version(&booted, "mgt-a"), version(&booted, "mgt-b")), ("2.0".into(), String::new()));
    assert_eq!(transactions(&booted).len(), 3);
}
