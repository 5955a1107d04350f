//! Small packages, a repository of them, and a machine that has no other one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::kit::Booted;
use crate::kit::program::{Ended, Program, mgmt};
use crate::kit::run::LONG;

/// The place of the repository.
pub const HERE: &str = "/srv/repo";
const MADE: &str = "/srv/made";
const GRAPH: &str = "/srv/graph.yaml";

/// A package: its name, its version, and further lines of its description. A line `Script: …` is what runs at the end
/// of its installation.
pub struct Deb(pub &'static str, pub &'static str, pub &'static str);

/// Leaves a machine no repository but this one.
pub fn alone(root: &Path) {
    let at = |dir: &str| root.join(dir.trim_start_matches('/'));
    for dir in ["/etc/apt/sources.list.d", "/var/lib/apt/lists", "/etc/apt/apt.conf.d"] {
        let _ = fs::remove_dir_all(at(dir));
        fs::create_dir_all(at(dir)).unwrap();
    }
    for file in ["/etc/apt/sources.list", "/var/log/apt/history.log", "/var/lib/man-db/auto-update"] {
        let _ = fs::remove_file(at(file));
    }
    fs::write(at("/etc/apt/sources.list.d/own.list"), format!("deb [trusted=yes] file:{HERE} ./\n")).unwrap();
}

/// Makes these packages, and the repository of all that are there then. `run` runs a command in the machine.
pub fn make(root: &Path, debs: &[Deb], run: &dyn Fn(&[&str])) {
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    fs::create_dir_all(at(HERE)).unwrap();
    for Deb(name, version, more) in debs {
        let made = format!("{MADE}/{name}-{version}");
        let write = |path: &str, text: &str| {
            let path = at(&format!("{made}{path}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let (script, more): (Vec<_>, Vec<_>) = more.lines().partition(|line| line.starts_with("Script: "));
        let more: String = more.iter().map(|line| format!("{line}\n")).collect();
        let about = "Architecture: all\nMaintainer: t <t@localhost>\n";
        write("/DEBIAN/control", &format!("Package: {name}\nVersion: {version}\n{about}{more}Description: test\n"));
        if let Some(script) = script.first() {
            write("/DEBIAN/postinst", &format!("#!/bin/sh\nset -e\n{}\n", script.trim_start_matches("Script: ")));
            run(&["chmod", "755", &format!("{made}/DEBIAN/postinst")]);
        }
        write("/DEBIAN/conffiles", &format!("/etc/{name}.conf\n"));
        write(&format!("/etc/{name}.conf"), &format!("setting of {version}\n"));
        write(&format!("/usr/share/{name}/version"), &format!("{version}\n"));
        let file = format!("{HERE}/{name}_{version}.deb");
        run(&["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", &made, &file]);
    }
    let script = format!(
        "cd {HERE}; for f in *.deb; do dpkg-deb -f $f; echo Filename: ./$f; echo Size: $(stat -c%s $f); \
         echo SHA256: $(sha256sum $f | cut -d' ' -f1); echo; done > Packages"
    );
    run(&["sh", "-c", &script]);
}

/// A machine with mgmt, whose only repository has these packages.
pub struct Machine {
    booted: Booted,
}

impl Machine {
    pub fn with(debs: &[Deb]) -> Machine {
        let machine = Machine { booted: Booted::start() };
        machine.booted.copy(&mgmt(), "/usr/local/bin/mgmt");
        let _ = fs::remove_dir_all(machine.path(HERE));
        alone(&machine.path("/"));
        machine.offer(debs);
        machine
    }

    /// Adds packages to the repository.
    pub fn offer(&self, debs: &[Deb]) {
        make(&self.path("/"), debs, &|words| drop(self.booted.out(words)));
    }

    /// Copies a file of this machine into it.
    pub fn copy(&self, file: &Path, inside: &str) {
        self.booted.copy(file, inside);
    }

    /// A command in it.
    pub fn program(&self, words: &[&str]) -> Program {
        self.booted.command(words)
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.booted.path(inside)
    }

    /// Sets the packages of the graph.
    pub fn graph(&self, packages: &str) {
        self.write_graph(&format!("graph: packages\nresources:\n  pkg:\n{packages}"));
    }

    pub fn write_graph(&self, text: &str) {
        fs::write(self.path(GRAPH), text).unwrap();
    }

    /// An engine that runs until it is ended.
    pub fn command(&self) -> Program {
        self.booted.command(&["mgmt", "run", "--prefix", "/srv/prefix", "--yaml", GRAPH])
    }

    /// Runs the graph until it has converged.
    pub fn run(&self) -> Ended {
        self.booted.run(&["mgmt", "run", "--prefix", "/srv/prefix", "-t", "0", "--yaml", GRAPH])
    }

    pub fn plan(&self) -> Ended {
        self.booted.run(&["mgmt", "plan", "--prefix", "/srv/prefix", "--yaml", GRAPH])
    }

    /// A line for the shell, and what it prints; it must succeed.
    pub fn out(&self, line: &str) -> String {
        self.booted.out(&["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", line])
    }

    /// A line for the shell, which is not waited for.
    pub fn shell(&self, line: &str) -> Program {
        self.booted.command(&["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", line])
    }

    /// The installed version; empty: it is not.
    pub fn version(&self, name: &str) -> String {
        let status = self.status(name);
        // A package that is held begins with another letter.
        status.split_once("i ").map(|(_, version)| version.to_owned()).unwrap_or_default()
    }

    /// The state and version as `dpkg --list` has them: `ii 1.0`.
    pub fn status(&self, name: &str) -> String {
        self.booted.run(&["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Version}", name]).out
    }

    /// The transactions of apt, as it has logged them.
    pub fn transactions(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("/var/log/apt/history.log")).unwrap_or_default();
        log.lines().filter_map(|line| line.strip_prefix("Commandline: ")).map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn wait(&self, what: &str, until: impl Fn() -> bool) {
        let began = Instant::now();
        while !until() {
            assert!(began.elapsed() < LONG, "{what}: never");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
