//! What goes wrong with a host is an error that names the cause and the remedy, and nothing is left of it.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use mgmt::sys::ssh::{Endpoint, Executable, Link, LinkError, LinkProblem, SshOptions};

use crate::hosts::{Agent, Net, Setup, address, inside, run};

async fn fails(endpoint: &Endpoint, options: &SshOptions) -> LinkError {
    let program = Executable::at("/bin/sh").await.unwrap();
    match Link::open(endpoint, options, &program).await {
        Ok(_) => panic!("{endpoint} lets us in"),
        Err(error) => error,
    }
}

/// Whether the text of the error has all of these parts.
#[track_caller]
fn has(error: &LinkError, parts: &[&str]) {
    let text = error.to_string();
    let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
    assert!(missing.is_empty(), "{missing:?} not in: {text}");
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_key_that_is_unknown_or_has_changed_is_refused_before_anything_is_sent() {
    if !inside(module_path!(), "a_host_key_that_is_unknown_or_has_changed_is_refused_before_anything_is_sent") {
        return;
    }
    let net = Net::new();
    let mut options = net.options();
    let mut host = net.stranger(Setup::default());
    let error = fails(&host.at("ann"), &options).await;
    assert!(matches!(error.problem, LinkProblem::UnknownKey { .. }), "{error}");
    has(&error, &["h1: its host key is not known here", "ssh ann@10.78.0.11", "No ED25519 host key"]);
    // Also where the configuration would take any key.
    let config = std::fs::read_to_string(net.dir().join("config")).unwrap();
    let careless = net.dir().join("careless");
    std::fs::write(&careless, format!("StrictHostKeyChecking no\n{config}")).unwrap();
    options.config = Some(careless);
    assert!(matches!(fails(&host.at("ann"), &options).await.problem, LinkProblem::UnknownKey { .. }));
    net.know(&host);
    let program = Executable::at("/bin/sh").await.unwrap();
    Link::open(&host.at("ann"), &options, &program).await.unwrap().close().await;
    host.change_key(&Setup::default());
    let error = fails(&host.at("ann"), &options).await;
    assert!(matches!(error.problem, LinkProblem::ChangedKey { .. }), "{error}");
    has(&error, &["has changed", "/mnt/kit/known_hosts:1", "ssh-keygen -R 10.78.0.11"]);
    assert!(!host.log().contains("Accepted"), "{}", host.log());
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_that_does_not_let_us_in_names_the_key_and_the_agent() {
    if !inside(module_path!(), "a_host_that_does_not_let_us_in_names_the_key_and_the_agent") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let mut options = net.options();
    let config = std::fs::read_to_string(net.dir().join("config")).unwrap();
    // A key that has a passphrase, which nothing can give.
    let locked = net.dir().join("locked");
    run(Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", "open", "-f", "/mnt/kit/key"]));
    let error = fails(&host.at("ann"), &options).await;
    assert!(matches!(error.problem, LinkProblem::Refused { .. }), "{error}");
    has(&error, &["lets ann not in", "(publickey)", "the key /mnt/kit/key has a passphrase", "`ssh-add /mnt/kit/key`"]);
    run(Command::new("ssh-keygen").args(["-q", "-p", "-P", "open", "-N", "", "-f", "/mnt/kit/key"]));
    // An agent with the key that is locked, and no key in a file.
    let agent = Agent::start(&net);
    let add = |args: &[&str]| run(Command::new("ssh-add").args(args).env("SSH_AUTH_SOCK", &agent.socket));
    add(&["-q", "/mnt/kit/key"]);
    let only = format!("IdentityAgent {}\n{}", agent.socket.display(), config.replace("IdentityFile /mnt/kit/key", ""));
    std::fs::write(&locked, only.replace("IdentitiesOnly yes", "")).unwrap();
    std::fs::rename("/mnt/kit/key", "/mnt/kit/kept").unwrap();
    options.config = Some(locked);
    let program = Executable::at("/bin/sh").await.unwrap();
    Link::open(&host.at("ann"), &options, &program).await.unwrap().close().await;
    agent.lock(true);
    has(&fails(&host.at("ann"), &options).await, &["lets ann not in", "is locked (`ssh-add -X` unlocks it)"]);
    agent.lock(false);
    Link::open(&host.at("ann"), &options, &program).await.unwrap().close().await;
    drop(agent);
    has(&fails(&host.at("ann"), &options).await, &["lets ann not in", "can't be reached"]);
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_that_is_not_there_is_an_error_within_the_time_that_is_allowed() {
    if !inside(module_path!(), "a_host_that_is_not_there_is_an_error_within_the_time_that_is_allowed") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let mut options = net.options();
    options.connect_timeout = Duration::from_secs(1);
    let began = Instant::now();
    let at = |text: &str| text.parse::<Endpoint>().unwrap();
    let closed = fails(&at("ssh://ann@10.78.0.11:7"), &options).await;
    assert!(matches!(closed.problem, LinkProblem::Unreachable { .. }), "{closed}");
    has(&closed, &["10.78.0.11: can't be reached", "port 7: Connection refused"]);
    let nowhere = fails(&at("10.78.0.99"), &options).await;
    assert!(matches!(nowhere.problem, LinkProblem::Unreachable { .. }), "{nowhere}");
    let unknown = fails(&at("no-such-host.invalid"), &options).await;
    assert!(matches!(unknown.problem, LinkProblem::NoSuchHost { .. }), "{unknown}");
    host.cut(true);
    let cut = fails(&host.at("ann"), &options).await;
    assert!(matches!(cut.problem, LinkProblem::Unreachable { .. }), "{cut}");
    host.cut(false);
    // A listener that is no sshd, and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let silent = fails(&at(&format!("ssh://127.0.0.1:{port}")), &options).await;
    has(&silent, &["127.0.0.1: can't be reached", "banner exchange"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // A configuration that ssh does not read.
    std::fs::write(net.dir().join("bad"), "Nonsense yes\n").unwrap();
    options.config = Some(net.dir().join("bad"));
    has(&fails(&host.at("ann"), &options).await, &["ssh refuses its configuration", "line 1", "nonsense"]);
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn an_account_without_a_shell_for_commands_is_named() {
    if !inside(module_path!(), "an_account_without_a_shell_for_commands_is_named") {
        return;
    }
    let net = Net::new();
    let options = net.options();
    for (setup, parts) in [
        (Setup { shell: "/usr/sbin/nologin", ..Setup::default() }, ["exit code 1", "not available"]),
        (Setup { shell: "/bin/false", ..Setup::default() }, ["exit code 1", "login shell"]),
        (
            Setup { sshd: "ForceCommand echo only this\n".to_owned(), ..Setup::default() },
            ["exit code 0: only this", "ForceCommand"],
        ),
    ] {
        let host = net.host(setup);
        let error = fails(&host.at("ann"), &options).await;
        assert!(matches!(error.problem, LinkProblem::NoShell { .. }), "{error}");
        has(&error, &parts);
        host.until_nothing_is_left().await;
    }
    // Files of the login that print without an end, or wait.
    let mut options = options;
    options.connect_timeout = Duration::from_secs(1);
    for (rc, part) in [
        ("yes noise", "more than 1 MiB of text"),
        ("echo one moment; sleep 8", "nothing follows the text `one moment`"),
    ] {
        let prepare = format!("echo '{rc}' >/home/ann/.bashrc");
        let host = net.host(Setup { shell: "/bin/bash", prepare, ..Setup::default() });
        let error = fails(&host.at("ann"), &options).await;
        assert!(matches!(error.problem, LinkProblem::Noise { .. }), "{error}");
        has(&error, &["ann is let in, but", part, &format!("ssh ann@{} true", address(host.number))]);
        host.until_nothing_is_left().await;
    }
}
