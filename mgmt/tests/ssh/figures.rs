//! What a plan of many files costs on one host and on ten, and what it costs to send a large file to many.
//!
//! The figures of the docs: `MGMT_TEST_HOSTS=50 MGMT_TEST_MEBIBYTES=32 cargo test --release --features ssh --test ssh --
//! --ignored --nocapture figures`, with 8 GiB of memory. With `MGMT_TEST_OTHERS=1`, the same is planned with Ansible and
//! pyinfra, which must be there.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::command_line::text;
use crate::executable::program;
use crate::hosts::{self, Host, Net, Setup, address, inside_alone, run};

const FILES: usize = 500;

/// A number for the figures of the docs; what is usual takes less time and memory.
fn number(variable: &str, usual: usize) -> usize {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn content(n: usize) -> String {
    format!("the content of file {n}\n")
}

/// The program on these hosts; what it needs there is in memory.
fn mgmt(net: &Net, words: &[&str], hosts: &[String]) -> Output {
    let mut command = hosts::mgmt(&["remote"]);
    command.args(words).args(hosts).arg("--tmp-prefix").arg("--ssh-config").arg(net.dir().join("config"));
    command.output().unwrap()
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("root@h{n}")).collect()
}

/// The shortest of some: the machine may be busy with something else.
fn shortest(mut act: impl FnMut()) -> Duration {
    let time = |()| {
        let began = Instant::now();
        act();
        began.elapsed()
    };
    [(); 2].map(time).into_iter().min().unwrap_or_default()
}

/// Another program, with a home of its own.
fn theirs(net: &Net, program: &str, words: &[&str]) -> Duration {
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(words).current_dir(net.dir()).env("HOME", net.dir()).env("ANSIBLE_CONFIG", "ansible.cfg");
    run(&mut command);
    began.elapsed()
}

/// The same graph for the others.
fn write_theirs(net: &Net, count: usize) {
    let write = |name: &str, text: &str| fs::write(net.dir().join(name), text).unwrap();
    let config = net.dir().join("config");
    let ssh = format!("-F {} -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/mnt/kit/%C", config.display());
    write(
        "ansible.cfg",
        &format!(
            "[defaults]\nforks = 20\nhost_key_checking = true\n[ssh_connection]\npipelining = true\nssh_args = {ssh}\n"
        ),
    );
    let mut inventory = String::new();
    let mut hosts = String::from("hosts = [\n");
    for n in 1..=count {
        let at = address(n);
        writeln!(inventory, "h{n} ansible_host={at} ansible_user=root ansible_python_interpreter=/usr/bin/python3")
            .unwrap();
        writeln!(hosts, "    ('h{n}', {{'ssh_user': 'root', 'ssh_config_file': '{}'}}),", config.display()).unwrap();
    }
    write("inventory", &inventory);
    write("hosts.py", &(hosts + "]\n"));
    write(
        "play.yaml",
        &format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n  - copy:\n      dest: /tmp/files/{{{{ item }}}}\n      \
             content: \"the content of file {{{{ item }}}}\\n\"\n    loop: \"{{{{ range(0, {FILES}) | list }}}}\"\n"
        ),
    );
    write(
        "deploy.py",
        &format!(
            "from io import StringIO\nfrom pyinfra.operations import files\nfor n in range({FILES}):\n    \
             files.put(src=StringIO(f'the content of file {{n}}\\n'), dest=f'/tmp/files/{{n}}')\n"
        ),
    );
}

fn write_ours(net: &Net) -> String {
    let mut text = String::from("graph: files\nresources:\n  file:\n  - name: /tmp/files/\n");
    for n in 0..FILES {
        writeln!(text, "  - name: /tmp/files/{n}\n    content: {:?}", content(n)).unwrap();
    }
    let path = net.dir().join("files.yaml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs root and sshd"]
fn a_plan_of_500_files_on_one_host_and_on_more() {
    if !inside_alone(module_path!(), "a_plan_of_500_files_on_one_host_and_on_more") {
        return;
    }
    let net = Net::new();
    let has_others = env::var_os("MGMT_TEST_OTHERS").is_some();
    let more = number("MGMT_TEST_HOSTS", 3).min(10);
    let all: Vec<Host> = (0..more).map(|_| net.host(Setup::default())).collect();
    let graph = write_ours(&net);
    let ran = mgmt(&net, &["run", "--yaml", &graph], &names(more));
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let written = |host: &Host| fs::read_dir(host.dir.join("tmp/files")).unwrap().count();
    assert!(all.iter().all(|host| written(host) == FILES));
    let plan = |count: usize| {
        let plan = mgmt(&net, &["plan", "--yaml", &graph], &names(count));
        let expected: String = (1..=count).map(|n| format!("h{n}: {} in sync\n", FILES + 1)).collect();
        assert_eq!((plan.status.code(), text(&plan.stdout)), (Some(0), expected), "{}", text(&plan.stderr));
    };
    let plain = shortest(|| {
        run(Command::new("ssh").arg("-F").arg(net.dir().join("config")).args(["root@h1", "true"]));
    });
    let (one, others) = (shortest(|| plan(1)), shortest(|| plan(more)));
    println!("ssh HOST true: {plain:?}; a plan of {FILES} files in sync: {one:?} on one host, {others:?} on {more}");
    let counts = BTreeSet::from([1, more]);
    for count in counts.into_iter().filter(|_| has_others) {
        write_theirs(&net, count);
        let ansible = theirs(&net, "ansible-playbook", &["-i", "inventory", "--check", "play.yaml"]);
        let pyinfra = theirs(&net, "pyinfra", &["-y", "--dry", "hosts.py", "deploy.py"]);
        println!("{count} hosts: ansible-playbook --check {ansible:?}, pyinfra --dry {pyinfra:?}");
    }

    // With a long way to the host, no file costs a round trip.
    let small = small(&net);
    let plan_of = |graph: &str| {
        shortest(|| {
            let plan = mgmt(&net, &["plan", "--yaml", graph], &names(1));
            assert_eq!(plan.status.code(), Some(0), "{}", text(&plan.stderr));
        })
    };
    let near = plan_of(&small);
    let trip = Duration::from_millis(400);
    let slow = all[0].delay(200);
    let plain = shortest(|| {
        run(Command::new("ssh").arg("-F").arg(net.dir().join("config")).args(["root@h1", "true"]));
    });
    let (few, many) = (plan_of(&small), plan_of(&graph));
    println!("with {trip:?} a round trip: ssh HOST true {plain:?}, a plan of one file {few:?}, of {FILES} {many:?}");
    drop(slow);
    // What the programs compute is known from above.
    assert!(few < plain + trip * 3 + near, "plain {plain:?}, plan {few:?}");
    assert!(many < plain + trip * 3 + one, "plain {plain:?}, plan {many:?}");
}

fn small(net: &Net) -> String {
    let path = net.dir().join("small.yaml");
    fs::write(
        &path,
        format!("graph: small\nresources:\n  file:\n  - name: /tmp/files/0\n    content: {:?}\n", content(0)),
    )
    .unwrap();
    path.to_str().unwrap().to_owned()
}

fn random(path: &Path, mebibytes: usize) {
    run(Command::new("dd")
        .args(["if=/dev/urandom", "bs=1M", "status=none"])
        .arg(format!("count={mebibytes}"))
        .arg(format!("of={}", path.display())));
}

#[test]
#[ignore = "needs root and sshd"]
fn a_large_file_is_sent_to_many_hosts() {
    if !inside_alone(module_path!(), "a_large_file_is_sent_to_many_hosts") {
        return;
    }
    let (count, mebibytes) = (number("MGMT_TEST_HOSTS", 5), number("MGMT_TEST_MEBIBYTES", 16));
    let net = Net::new();
    let all: Vec<Host> = (0..count).map(|_| net.host(Setup::default())).collect();
    let source = net.dir().join("large");
    random(&source, mebibytes);
    let graph = |name: &str, line: &str| {
        let path = net.dir().join(name);
        fs::write(&path, format!("graph: large\nresources:\n  file:\n  - name: /tmp/large\n{line}")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let none = graph("none.yaml", "    state: absent\n");
    let large = graph("large.yaml", &format!("    source: {}\n", source.display()));
    let pass = |yaml: &str| {
        let began = Instant::now();
        let ran = mgmt(&net, &["run", "--parallel", "50", "--yaml", yaml], &names(count));
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        began.elapsed()
    };
    let cold = pass(&none);
    let (without, with) = (pass(&none), pass(&large));
    assert!(all.iter().all(|host| host.dir.join("tmp/large").metadata().unwrap().len() == (mebibytes as u64) << 20));
    let sum = run(Command::new("sha256sum").arg(&source)).split(' ').next().unwrap().to_owned();
    assert!(all[count - 1].sh("sha256sum /tmp/large").starts_with(&sum));
    let size = program().metadata().unwrap().size() >> 20;
    println!(
        "{count} hosts: {cold:?} with the program ({size} MiB) sent, {without:?} without, {with:?} with {mebibytes} MiB"
    );
}
