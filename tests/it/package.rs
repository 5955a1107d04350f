//! The Debian package that `mgmt/package/deb` makes: the same bytes each time, and on a machine of its own installed, used,
//! upgraded, removed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::kit::Booted;
use crate::kit::program::{Ended, Program, copy, mgmt};

/// A program that has what a package is made of, and no more: its unit starts a command that lasts.
const STAND_IN: &str = r"#!/bin/sh
case $* in
  --version) echo 'mgmt VERSION' ;;
  'completion bash' | 'completion zsh' | 'completion fish') echo '# none' ;;
  man) echo '.TH mgmt 1' ;;
  'setup svc --print-template')
    printf '[Service]\nExecStart=/usr/bin/mgmt last %%i\n[Install]\nWantedBy=multi-user.target\n' ;;
  'last broken') exit 7 ;;
  'last '*) exec sleep infinity ;;
  *) exit 2 ;;
esac
";

/// `mgmt/package/deb` with these arguments.
fn deb(program: &Path, directory: &Path) -> Program {
    let mut deb = Program::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mgmt/package/deb"));
    deb.arg(program).arg(directory).env("SOURCE_DATE_EPOCH", "1700000000").env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
    deb
}

/// The package that it has made.
fn path(made: Ended) -> PathBuf {
    made.code(0).out.trim_end().into()
}

/// A package of the stand-in, of this version.
fn stand_in(dir: &Path, version: &str) -> PathBuf {
    let (text, program) = (dir.join("text"), dir.join(version));
    fs::write(&text, STAND_IN.replace("VERSION", version)).unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
    copy(&text, &program);
    path(deb(&program, dir).run())
}

/// A machine that leaves no file of a package out, as those for containers do, and on which no graph has run.
fn machine() -> Booted {
    let booted = Booted::start();
    booted.out(&["rm", "-rf", "/etc/dpkg/dpkg.cfg.d", "/etc/mgmt", "/var/lib/mgmt"]);
    booted
}

fn install(booted: &Booted, package: &Path) {
    booted.copy(package, "/srv/mgmt.deb");
    booted.out(&["dpkg", "--install", "/srv/mgmt.deb"]);
}

/// All files where a package may leave some, and what is known of it.
fn files(booted: &Booted) -> Vec<String> {
    let spared = ["/var/cache", "/var/log", "/var/lib/dpkg/*-old", "/var/lib/dpkg/lock*"];
    let spared: Vec<_> = spared.iter().flat_map(|path| ["-path", path, "-prune", "-o"]).collect();
    let find = [&["find", "/etc", "/usr", "/var", "/lib/systemd/", "-xdev"][..], &spared, &["-print"]].concat();
    let mut files: Vec<_> = booted.out(&find).lines().map(str::to_owned).collect();
    files.sort();
    files
}

#[track_caller]
fn assert_unchanged(booted: &Booted, before: &[String]) {
    let after = files(booted);
    let only = |some: &[String], others: &[String]| -> Vec<String> {
        some.iter().filter(|file| others.binary_search(file).is_err()).cloned().collect()
    };
    let (gone, new) = (only(before, &after), only(&after, before));
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:?}, new: {new:?}");
}

#[test]
#[ignore = "needs root, systemd and dbus, on Debian"]
fn a_package_of_the_program_is_whole_and_leaves_nothing() {
    let (dir, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let package = path(deb(&mgmt(), dir.path()).run());
    let twin = again.path().join("twin");
    copy(&mgmt(), &twin);
    let other = path(deb(&twin, again.path()).env("TZ", "Asia/Tokyo").env("LC_ALL", "C").run());
    assert_eq!(package.file_name(), other.file_name());
    assert!(fs::read(&package).unwrap() == fs::read(other).unwrap(), "two packages of one program differ");

    let booted = machine();
    let before = files(&booted);
    install(&booted, &package);
    booted.out(&["dpkg", "--audit"]);
    assert_eq!(booted.out(&["dpkg", "--verify", "mgmt"]), "");
    let depends = booted.out(&["dpkg-query", "--showformat", "${Depends}", "--show", "mgmt"]);
    assert!(depends.contains("libc6"), "{depends}");

    let version = booted.out(&["/usr/bin/mgmt", "--version"]);
    let packaged = booted.out(&["dpkg-query", "--showformat", "${Version}", "--show", "mgmt"]);
    assert_eq!(version.lines().next().unwrap().replace('-', "~"), format!("mgmt {packaged}"));
    let graph = "graph: g\nresources:\n  file:\n  - name: greeting\n    path: /srv/greeting\n    content: hello\n";
    fs::write(booted.path("/srv/graph.yaml"), graph).unwrap();
    booted.run(&["mgmt", "check", "--yaml", "/srv/graph.yaml"]).code(0);
    booted.run(&["mgmt", "run", "--yaml", "/srv/graph.yaml", "--tmp-prefix", "-t", "0"]).code(0);
    assert_eq!(fs::read_to_string(booted.path("/srv/greeting")).unwrap(), "hello");

    let completes = "source /usr/share/bash-completion/completions/mgmt && complete -p mgmt";
    assert!(booted.out(&["bash", "-c", completes]).ends_with(" mgmt"));
    let share = |path: &str| fs::read_to_string(booted.path("/usr/share").join(path)).unwrap();
    assert!(share("zsh/vendor-completions/_mgmt").starts_with("#compdef mgmt"));
    assert!(share("fish/vendor_completions.d/mgmt.fish").contains("complete -c mgmt"));
    assert!(booted.out(&["zcat", "/usr/share/man/man1/mgmt.1.gz"]).contains(".TH mgmt 1"));
    assert!(booted.out(&["zcat", "/usr/share/doc/mgmt/changelog.gz"]).starts_with(&format!("mgmt ({packaged})")));
    let licences = fs::read_to_string(booted.path("/usr/share/doc/mgmt/copyright")).unwrap();
    assert!(licences.contains("Permission is hereby granted") && licences.contains("Apache-2.0"), "{licences}");
    booted.run(&["systemd-analyze", "verify", "mgmt@one.service"]).code(0);
    assert_eq!(booted.run(&["systemctl", "is-enabled", "mgmt@one"]).out, "disabled\n");
    // An instance has started when its graph has converged.
    fs::create_dir(booted.path("/etc/mgmt")).unwrap();
    fs::write(booted.path("/etc/mgmt/one.yaml"), graph.replace("/srv/greeting", "/srv/of-one")).unwrap();
    booted.out(&["systemctl", "start", "mgmt@one"]);
    assert_eq!(fs::read_to_string(booted.path("/srv/of-one")).unwrap(), "hello");
    assert!(booted.path("/var/lib/mgmt/one").is_dir());
    let status = booted.out(&["systemctl", "show", "--property=StatusText", "mgmt@one"]);
    assert_eq!(status, "StatusText=converged: 1 resource");

    booted.out(&["dpkg", "--remove", "mgmt"]);
    booted.run(&["systemctl", "is-active", "mgmt@one"]).code(3);
    booted.out(&["dpkg", "--purge", "mgmt"]);
    // What the administrator and the instance have written is theirs.
    booted.out(&["rm", "-r", "/etc/mgmt", "/var/lib/mgmt"]);
    assert_unchanged(&booted, &before);
}

#[test]
#[ignore = "needs root, systemd and dbus, on Debian"]
fn instances_run_on_through_an_upgrade_and_are_stopped_before_the_unit_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (stand_in(dir.path(), "1.0.0-rc.2"), stand_in(dir.path(), "1.0.0"));
    assert!(first.to_str().unwrap().contains("/mgmt_1.0.0~rc.2_"), "{first:?}");

    let booted = machine();
    let before = files(&booted);
    let instances = || booted.out(&["systemctl", "list-units", "--all", "--plain", "--no-legend", "mgmt@*"]);
    install(&booted, &first);
    booted.run(&["systemctl", "is-enabled", "mgmt@web"]).code(1).said("disabled");
    assert_eq!(instances(), "");
    booted.out(&["systemctl", "enable", "--now", "mgmt@web"]);
    booted.out(&["systemctl", "start", "mgmt@other", "mgmt@broken"]);
    let pid = || booted.out(&["systemctl", "show", "--property=MainPID", "mgmt@web"]);
    let running = pid();
    assert!(!running.ends_with("=0"), "{running}");

    install(&booted, &second);
    assert_eq!(pid(), running);

    booted.out(&["dpkg", "--remove", "mgmt"]);
    booted.run(&["systemctl", "is-active", "mgmt@web", "mgmt@other"]).code(3);
    // Only what is enabled is known still.
    assert_eq!(instances(), "mgmt@web.service not-found inactive dead mgmt@web.service");
    assert_eq!(booted.out(&["systemctl", "is-system-running"]), "running");
    let enabled = "/etc/systemd/system/multi-user.target.wants/mgmt@web.service";
    assert!(booted.path(enabled).is_symlink(), "what an administrator has enabled is forgotten before the purge");
    // One that the administrator has made is nobody else's to remove.
    booted.out(&["ln", "-s", "/etc/systemd/system/own@.service", &enabled.replace("web", "own")]);
    booted.out(&["dpkg", "--purge", "mgmt"]);
    assert!(!booted.path(enabled).is_symlink());
    assert!(!instances().contains("mgmt@web"), "{}", instances());
    booted.out(&["rm", &enabled.replace("web", "own")]);
    booted.out(&["rmdir", "/etc/systemd/system/multi-user.target.wants"]);
    assert_unchanged(&booted, &before);
}

#[test]
#[ignore = "needs Debian's dpkg-deb"]
fn what_is_no_program_makes_no_package() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    deb(&none, dir.path()).run().code(1).said("none is not a program");
    deb(Path::new("/bin/true"), &none).run().code(1).said("none is not a directory");
    deb(Path::new("/bin/false"), dir.path()).run().code(1).said("mgmt --version failed");
    deb(Path::new("/bin/echo"), dir.path()).run().code(1).said("not a version of mgmt: echo (GNU coreutils)");
    deb(Path::new("/bin/true"), dir.path()).arg("more").run().code(2).said("usage: ");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
