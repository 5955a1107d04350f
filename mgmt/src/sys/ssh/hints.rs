//! What may be the cause when a host lets the user not in: keys that have a passphrase, an agent without keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::effective::Effective;
use super::options::SshOptions;
use crate::sys::process::{Command, Output, run};

/// An agent may be somewhere else, and the other end of its socket dead.
const LIMIT: Duration = Duration::from_secs(3);
/// The most keys that are examined.
const KEYS_MAX: usize = 8;

/// What may be the cause, each with its remedy.
pub(super) async fn hints(
    options: &SshOptions,
    effective: &Effective,
    stderr: &str,
    refused: &[String],
) -> Vec<String> {
    let mut hints = Vec::new();
    if stderr.contains("agent refused operation") {
        hints.push(
            "the agent refuses to sign: it is locked (`ssh-add -X`), or the key needs a touch or a consent".to_owned(),
        );
    }
    if stderr.contains("Too many authentication failures") {
        hints.push(
            "the agent has more keys than the host tries: name one with `-i KEY` and `IdentitiesOnly yes`".to_owned(),
        );
    }
    if let Some(line) = stderr.lines().find(|line| line.contains("are too open") || line.starts_with("Load key ")) {
        hints.push(format!("a key can't be used: {}", super::diagnosis::short(line)));
    }
    if hints.is_empty() {
        hints.extend(agent(options, effective).await);
    }
    hints.extend(passphrases(options, effective).await);
    if let Some(question) = refused.first() {
        let question = super::diagnosis::short(question.lines().last().unwrap_or_default());
        hints.push(format!(
            "ssh asked `{question}`, and got no answer: run this in a terminal with `--allow-interactive`"
        ));
    }
    hints
}

/// A program of OpenSSH that stands beside ssh.
fn beside(options: &SshOptions, name: &str) -> Command {
    match options.program.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => Command::new(dir.join(name)),
        None => Command::new(name),
    }
}

async fn quick(command: Command) -> Option<Output> {
    run(&command.timeout(LIMIT)).await.ok()
}

async fn agent(options: &SshOptions, effective: &Effective) -> Option<String> {
    let variable = "SSH_AUTH_SOCK";
    let configured = effective.get("identityagent").filter(|agent| *agent != variable).map(home);
    let socket = configured.or_else(|| std::env::var_os(variable).map(PathBuf::from))?;
    let shown = socket.display().to_string();
    let command = beside(options, "ssh-add").arg("-l").var(variable, socket);
    match quick(command).await {
        None => Some(format!("the agent at {shown} does not answer")),
        Some(output) if output.status.success() => None,
        Some(output) if output.status == crate::sys::process::Status::Exit(1) => Some(format!(
            "the agent at {shown} is locked (`ssh-add -X` unlocks it) or has no keys (`ssh-add` adds one)"
        )),
        Some(_) => Some(format!("the agent at {shown} can't be reached")),
    }
}

/// Keys that are not tried, because nothing can give their passphrase.
async fn passphrases(options: &SshOptions, effective: &Effective) -> Vec<String> {
    let mut hints = Vec::new();
    let keys = effective.all("identityfile").map(home).filter(|path| path.is_file()).take(KEYS_MAX);
    for key in keys {
        let command = beside(options, "ssh-keygen").args(["-y", "-P", "", "-f"]).arg(&key);
        let Some(output) = quick(command).await else { continue };
        let report = String::from_utf8_lossy(&output.stderr.head).into_owned();
        if !output.status.success() && report.contains("incorrect passphrase") {
            let key = key.display();
            hints.push(format!("the key {key} has a passphrase: give it to an agent (`ssh-add {key}`)"));
        }
    }
    hints
}

/// The path with the home directory in place of `~`.
fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}
