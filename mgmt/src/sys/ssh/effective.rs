//! What ssh's own configuration makes of a host: the answer of `ssh -G`, which connects to nothing.

use std::time::Duration;

use super::endpoint::{Endpoint, EndpointError, distinct_at};
use super::error::{LinkError, LinkProblem};
use super::options::SshOptions;
use crate::sys::process::{Command, ProcessError, escape_lossless, run};

/// A configuration may run commands (`Match exec`).
const LIMIT: Duration = Duration::from_secs(20);
/// The most hosts whose configuration is asked for at once.
const AT_ONCE: usize = 8;

/// What ssh's own configuration makes of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effective {
    words: Vec<(String, String)>,
}

impl Effective {
    /// Asks ssh.
    pub(super) async fn of(endpoint: &Endpoint, options: &SshOptions) -> Result<Effective, LinkProblem> {
        let command = login(endpoint, options).arg("-G").arg("--").arg(endpoint.host()).timeout(LIMIT);
        let output = match run(&command).await {
            Ok(output) => output,
            Err(error @ ProcessError::Timeout { .. }) => {
                return Err(LinkProblem::Config { report: error.to_string() });
            }
            Err(error) => {
                let program = options.program.display().to_string();
                return Err(LinkProblem::NoSsh { program, why: error.to_string() });
            }
        };
        if !output.status.success() {
            let report = escape_lossless(output.stderr.last(1024).trim_ascii());
            return Err(LinkProblem::Config { report });
        }
        Ok(Effective::read(&String::from_utf8_lossy(&output.stdout.head)))
    }

    fn read(text: &str) -> Effective {
        let pair = |line: &str| {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            (key.to_ascii_lowercase(), value.to_owned())
        };
        Effective { words: text.lines().map(pair).collect() }
    }

    /// The value of an option, if there is one that is not `none`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.words.iter().find(|(k, _)| k == key)?;
        (!value.eq_ignore_ascii_case("none") && !value.is_empty()).then_some(value)
    }

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The user there.
    pub(super) fn user(&self) -> &str {
        self.get("user").unwrap_or_default()
    }

    /// How the key of the host is checked: as configured, but never not at all.
    pub(super) fn key_check(&self, can_ask: bool) -> &'static str {
        let files = self.get("userknownhostsfile").unwrap_or_default();
        let forgets = files.split_whitespace().next().is_none_or(|file| file == "/dev/null");
        match self.get("stricthostkeychecking").unwrap_or("ask") {
            // What is configured so was decided by the user; but a key that is not kept is never checked.
            "accept-new" if !forgets => "accept-new",
            "yes" | "true" => "yes",
            _ if can_ask => "ask",
            _ => "yes",
        }
    }

    /// What identifies the place that is reached.
    fn place(&self) -> [String; 5] {
        let [user, host, rest @ ..] = ["user", "hostname", "port", "proxyjump", "proxycommand"]
            .map(|key| self.get(key).unwrap_or_default().to_owned());
        let [port, jump, command] = rest;
        [user, host.to_ascii_lowercase(), port, jump, command]
    }
}

/// The beginning of each call of ssh: which configuration, which user, port and keys.
pub(super) fn login(endpoint: &Endpoint, options: &SshOptions) -> Command {
    let mut command = Command::new(&options.program);
    if let Some(config) = &options.config {
        command = command.arg("-F").arg(config);
    }
    for identity in &options.identities {
        command = command.arg("-i").arg(identity);
    }
    if let Some(user) = endpoint.user() {
        command = command.arg("-l").arg(user);
    }
    if let Some(port) = endpoint.port() {
        command = command.arg("-p").arg(port.to_string());
    }
    command
}

/// Refuses a list in which a name is used twice, or one host has two names, by what ssh's configuration makes of the
/// names. No connection is made.
///
/// # Errors
/// The first two that are not distinct, or ssh refuses its configuration.
pub async fn distinct_as_resolved(endpoints: &[Endpoint], options: &SshOptions) -> Result<(), DistinctError> {
    let mut places = Vec::with_capacity(endpoints.len());
    for chunk in endpoints.chunks(AT_ONCE) {
        let mut tasks = tokio::task::JoinSet::new();
        for (n, endpoint) in chunk.iter().cloned().enumerate() {
            let options = options.clone();
            tasks.spawn(async move { (n, Effective::of(&endpoint, &options).await) });
        }
        let mut found = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            if let Ok((n, effective)) = joined {
                found.push((n, effective.map_err(|problem| problem.of(chunk[n].name()))?.place()));
            }
        }
        found.sort();
        places.extend(found.into_iter().map(|(_, place)| place));
    }
    Ok(distinct_at(endpoints, places)?)
}

/// Why a list of hosts is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistinctError {
    /// Two of them are not distinct.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// ssh can't be asked.
    #[error(transparent)]
    Link(#[from] LinkError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_always_checked() {
        for (configured, files, can_ask, check) in [
            ("ask", "~/.ssh/known_hosts", false, "yes"),
            ("ask", "~/.ssh/known_hosts", true, "ask"),
            ("false", "~/.ssh/known_hosts", false, "yes"),
            ("no", "~/.ssh/known_hosts", true, "ask"),
            ("off", "/dev/null", true, "ask"),
            ("true", "~/.ssh/known_hosts", true, "yes"),
            ("accept-new", "~/.ssh/known_hosts", false, "accept-new"),
            ("accept-new", "/dev/null", false, "yes"),
            ("accept-new", "none", true, "ask"),
        ] {
            let text = format!("user x\nstricthostkeychecking {configured}\nuserknownhostsfile {files}\n");
            assert_eq!(Effective::read(&text).key_check(can_ask), check, "{configured} {files} {can_ask}");
        }
        assert_eq!(Effective::default().key_check(false), "yes");
    }

    #[tokio::test]
    #[ignore = "needs the program ssh"]
    async fn names_that_the_configuration_leads_to_one_host_are_not_distinct() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        std::fs::write(&config, "Host a b\n HostName 10.0.0.1\nHost c\n HostName 10.0.0.1\n Port 23\n").unwrap();
        let options = SshOptions { config: Some(config.clone()), ..SshOptions::default() };
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Endpoint>>();
        distinct_as_resolved(&list(&["a", "c", "d"]), &options).await.unwrap();
        let error = distinct_as_resolved(&list(&["c", "a", "b"]), &options).await.unwrap_err().to_string();
        assert!(error.contains("`a` and `b` are one host"), "{error}");
        std::fs::write(&config, "Nonsense yes\n").unwrap();
        let error = distinct_as_resolved(&list(&["a"]), &options).await.unwrap_err().to_string();
        assert!(error.contains("a: ssh refuses its configuration") && error.contains("nonsense"), "{error}");
        let options = SshOptions { program: "/nonexistent/ssh".into(), ..options };
        let error = distinct_as_resolved(&list(&["a"]), &options).await.unwrap_err().to_string();
        assert!(error.contains("install OpenSSH"), "{error}");
    }
}
