//! What ssh prints when it fails, as a problem with its remedy. OpenSSH does not translate its messages.

use super::error::LinkProblem;
use crate::sys::process::escape_lossless;

/// The most characters of a report.
const REPORT_MAX: usize = 400;

/// What is known about a call of ssh that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence<'a> {
    /// What it printed on standard error.
    pub(super) stderr: &'a str,
    /// The user there.
    pub(super) user: &'a str,
    /// The address as ssh was given it.
    pub(super) address: &'a str,
    /// Whether a command had begun there.
    pub(super) was_in: bool,
}

/// Messages that are noise in front of the one that counts.
const NOISE: [&str; 5] = ["Warning: Permanently added", "debug", "** ", "Shared connection to ", "Pseudo-terminal"];

fn is_noise(line: &str) -> bool {
    let is_end = line.starts_with("Connection to ") && line.ends_with("closed.");
    is_end || NOISE.iter().any(|noise| line.starts_with(noise))
}

/// The problem behind what ssh printed; `None`: ssh itself has no complaint.
pub(super) fn diagnose(evidence: Evidence<'_>) -> Option<LinkProblem> {
    let Evidence { stderr, user, address, was_in } = evidence;
    let line = |words: &[&str]| {
        let found = stderr.lines().rev().find(|line| words.iter().any(|word| line.contains(word)));
        found.map(|line| short(line.strip_prefix("ssh: ").unwrap_or(line)))
    };
    let (user, address) = (user.to_owned(), address.to_owned());
    if let Some(report) = line(&["REVOKED HOST KEY", "marked as revoked"]) {
        return Some(LinkProblem::RevokedKey { report });
    }
    if stderr.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let entry = stderr.lines().find_map(|line| line.split_once("Host key for ")?.1.split_once(" has changed"));
        let entry = entry.map_or(address.clone(), |(entry, _)| entry.to_owned());
        let report = line(&["Offending "]).unwrap_or_else(|| "no entry is named".to_owned());
        return Some(LinkProblem::ChangedKey { address, entry, report });
    }
    if let Some(report) = line(&["host key is known for", "Host key verification failed"]) {
        let report = line(&["host key is known for"]).unwrap_or(report);
        return Some(LinkProblem::UnknownKey { address, report });
    }
    if let Some(report) = line(&["Could not resolve hostname", "Name or service not known"]) {
        return Some(LinkProblem::NoSuchHost { address, report });
    }
    if let Some(report) =
        line(&["Bad configuration option", "Bad owner or permissions", "terminating, ", "Bad configuration"])
    {
        return Some(LinkProblem::Config { report });
    }
    if let Some(report) = line(&["Unable to negotiate"]) {
        return Some(LinkProblem::NoCommonMethod { report });
    }
    if let Some(report) =
        line(&["Permission denied (", "Too many authentication failures", "No supported authentication"])
    {
        return Some(LinkProblem::Refused { user, report, hints: Vec::new() });
    }
    let lost =
        ["not responding", "Broken pipe", "Connection reset", "closed by remote host", "client_loop: send disconnect"];
    if was_in && let Some(report) = line(&lost) {
        return Some(LinkProblem::Lost { report });
    }
    let no_connection = |report: String| match was_in {
        true => LinkProblem::Lost { report },
        false => LinkProblem::Unreachable { report },
    };
    if let Some(report) = fell_silent(stderr) {
        let hint = " after it had answered (are large packets lost on the way, by a wrong MTU?)";
        return Some(no_connection(report + if was_in { "" } else { hint }));
    }
    let unreached = [
        "connect to host",
        "Connection timed out",
        "Connection refused",
        "kex_exchange_identification",
        "banner exchange",
        "Connection closed by",
        "Connection reset by",
        "stdio forwarding failed",
        "not responding",
    ];
    line(&unreached).map(no_connection)
}

/// The host had answered, and then nothing came any more.
fn fell_silent(stderr: &str) -> Option<String> {
    let is_it = |line: &&str| line.starts_with("Connection to ") && line.trim_end().ends_with("timed out");
    let line = stderr.lines().rev().find(is_it).filter(|_| !stderr.contains("banner exchange"))?;
    Some(short(line))
}

/// The last lines of standard error without noise, for people.
pub(super) fn last_lines(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let telling = lines.iter().filter(|line| !is_noise(line));
    let telling: Vec<&str> = telling.copied().collect();
    short(&telling[telling.len().saturating_sub(3)..].join(" / "))
}

/// One line, with a bound, and nothing in it that a terminal obeys.
pub(super) fn short(text: &str) -> String {
    let line = escape_lossless(text.trim().as_bytes());
    match line.char_indices().nth(REPORT_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Why sudo refuses, and what to do.
pub(super) fn sudo(user: &str, stderr: &str) -> LinkProblem {
    const TELLING: [&str; 7] = [
        "password is required",
        "incorrect password",
        "not found",
        "must have a tty",
        "unknown user",
        "is not in the sudoers",
        "is not allowed",
    ];
    let is_telling = |line: &&str| TELLING.iter().any(|words| line.contains(words));
    let lines = || stderr.lines().rev();
    let telling = lines().find(is_telling).or_else(|| lines().find(|line| line.contains("sudo"))).unwrap_or(stderr);
    let report = match last_lines(telling) {
        report if report.is_empty() => "sudo reports nothing".to_owned(),
        report => report,
    };
    let remedy = if report.contains("password is required") || report.contains("incorrect password") {
        "allow it without a password there (a line `LOGIN ALL=(USER) NOPASSWD: ALL` in /etc/sudoers.d), or run this in a \
         terminal with `--allow-interactive`"
    } else if report.contains("not found") || report.contains("No such file") {
        "install sudo there, or log in as that user"
    } else if report.contains("must have a tty") {
        "remove `requiretty` for the login in /etc/sudoers there"
    } else if report.contains("unknown user") {
        "name a user that exists there"
    } else {
        "allow it in /etc/sudoers.d there, or log in as that user"
    };
    LinkProblem::Become { user: user.to_owned(), report, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stderr: &str, was_in: bool) -> String {
        let problem = diagnose(Evidence { stderr, user: "ann", address: "web1", was_in });
        problem.map(|problem| problem.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_message_of_ssh_becomes_a_problem_with_a_remedy() {
        let changed = "@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nOffending ED25519 key in /k:3\n\
                       Host key for [web1]:2222 has changed and you have requested strict checking.\nHost key verification failed.\n";
        for (stderr, parts) in [
            ("ssh: Could not resolve hostname web1: Name or service not known", ["no host has the name", "HostName"]),
            (
                "ssh: connect to host web1 port 22: Connection refused",
                ["can't be reached: connect to host", "firewall"],
            ),
            (
                "No ED25519 host key is known for web1 and you have requested strict checking.\nHost key verification failed.",
                ["is not known here (No ED25519", "ssh-keygen -lf"],
            ),
            (changed, ["has changed (Offending ED25519 key in /k:3)", "ssh-keygen -R [web1]:2222"]),
            ("ann@web1: Permission denied (publickey).", ["lets ann not in", "(publickey)"]),
            (
                "/home/x/.ssh/config: line 1: Bad configuration option: nonsense",
                ["refuses its configuration", "nonsense"],
            ),
            (
                "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-dss",
                ["agree", "ssh-dss"],
            ),
            ("kex_exchange_identification: Connection closed by remote host", ["can't be reached", "kex_exchange"]),
            ("Connection timed out during banner exchange", ["can't be reached", "banner"]),
            (
                "Connection timed out during banner exchange\r\nConnection to web1 port 22 timed out\r\n",
                ["can't be reached: Connection timed out during", "banner"],
            ),
            (
                "Connection to web1 port 22 timed out\r\n",
                ["can't be reached: Connection to web1 port 22 timed out", "MTU"],
            ),
        ] {
            let text = of(stderr, false);
            assert!(parts.iter().all(|part| text.contains(part)), "{stderr}: {text}");
        }
        assert!(of("Timeout, server web1 not responding.", true).contains("lost: Timeout"));
        assert!(of("client_loop: send disconnect: Broken pipe", true).contains("lost"));
        let silent = of("Connection to web1 port 22 timed out\r\n", true);
        assert!(silent.contains("lost: Connection to web1") && !silent.contains("MTU"), "{silent}");
        assert_eq!(of("Welcome!\n", false), "");
    }

    #[test]
    fn what_sudo_reports_has_a_remedy() {
        for (stderr, part) in [
            ("sudo: a password is required", "NOPASSWD"),
            ("/bin/sh: 1: exec: sudo: not found", "install sudo"),
            ("sudo: sorry, you must have a tty to run sudo", "requiretty"),
            ("sudo: unknown user nope\nsudo: error initializing audit plugin sudoers_audit", "exists there"),
            ("ann is not in the sudoers file.", "log in as that user"),
            ("", "sudo reports nothing"),
        ] {
            let text = sudo("root", stderr).to_string();
            assert!(text.contains(part) && text.contains("become root"), "{stderr}: {text}");
        }
    }

    #[test]
    fn a_report_is_one_short_line_without_noise() {
        assert_eq!(last_lines("Warning: Permanently added x\nsh: 1: no\n\n"), "sh: 1: no");
        assert_eq!(last_lines("Connection to h1 broke\nConnection to h1 closed.\r\n"), "Connection to h1 broke");
        assert_eq!(last_lines("a\nb\nc\nd\x1b[31m"), "b / c / d\\x1b[31m");
        assert!(short(&"ä".repeat(1000)).chars().count() == REPORT_MAX + 1);
    }
}
