//! The program built without a C library of the machine: what is sent to machines whose own one is older, or another.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::command_line::text;
use crate::hosts::{self, Net, Setup, inside, run};

/// The target that errors name.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Builds the program `mgmt` for [`TARGET`].
fn built() -> PathBuf {
    // `target/debug/deps/ssh-…` is this test. A directory of its own: `tests/run` builds it there, beside other things.
    let tests = env::current_exe().unwrap();
    let out = tests.ancestors().nth(3).expect("a directory of cargo").join("static");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ssh/static_program.sh");
    run(Command::new("sh").arg(script).arg(&out).env_remove("CARGO_MANIFEST_DIR"));
    out.join(TARGET).join("debug/mgmt")
}

#[test]
#[ignore = "needs root, sshd, and the target of rustc"]
fn what_an_error_asks_for_runs_there() {
    // In the namespaces it is there already.
    let program = built();
    if !inside(module_path!(), "what_an_error_asks_for_runs_there") {
        return;
    }
    let net = Net::new();
    // It needs no file of the machine.
    let empty = net.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    std::fs::copy(&program, empty.join("mgmt")).unwrap();
    let version = run(Command::new("chroot").arg(&empty).args(["/mgmt", "--version"]));
    assert!(version.starts_with("mgmt "), "{version}");

    let prepare =
        "printf '#!/bin/sh\\necho glibc 2.17\\n' >/run/x; chmod 755 /run/x; mount --bind /run/x /usr/bin/getconf";
    let host = net.host(Setup { prepare: prepare.to_owned(), ..Setup::default() });
    let graph = net.dir().join("g.yaml");
    std::fs::write(
        &graph,
        "graph: g\nresources:\n  file:\n  - name: /home/ann/out\n    content: made\n    owner: ann\n",
    )
    .unwrap();
    let mgmt = |words: &[&str]| {
        let mut command = hosts::mgmt(&["remote"]);
        command.args(words).arg("--yaml").arg(&graph).args(["root@h1", "--tmp-prefix", "--ssh-config"]);
        command.arg(net.dir().join("config")).output().unwrap()
    };
    let refused = mgmt(&["plan"]);
    let error = format!("{}{}", text(&refused.stdout), text(&refused.stderr));
    assert_eq!(refused.status.code(), Some(1), "{error}");
    let remedy = format!("`rustup target add {TARGET}`, `cargo build --release --target {TARGET}`");
    assert!(error.contains("glibc 2.17") && error.contains(&remedy) && error.contains("--remote-binary"), "{error}");

    let program = program.to_str().unwrap();
    let plan = mgmt(&["plan", "--remote-binary", program]);
    assert_eq!(plan.status.code(), Some(2), "{}{}", text(&plan.stdout), text(&plan.stderr));
    let ran = mgmt(&["run", "--remote-binary", program]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    // It also finds the accounts of that machine.
    assert_eq!(host.sh("stat -c %U:%s /home/ann/out"), "ann:4");
    let plan = mgmt(&["plan", "--remote-binary", program]);
    assert_eq!((plan.status.code(), text(&plan.stdout)), (Some(0), "h1: 1 in sync\n".to_owned()));
}
