//! Why a host can't be worked on through ssh: each problem with what to do.

use super::place::Refused;

/// Why a host can't be worked on through ssh.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {problem}")]
pub struct LinkError {
    /// The name that the host has here.
    pub host: String,
    /// What went wrong.
    #[source]
    pub problem: LinkProblem,
}

/// What went wrong with a host.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkProblem {
    /// There is no program `ssh` here.
    #[error("can't run `{program}`: {why}; install OpenSSH's client (Debian: openssh-client), or name another program")]
    NoSsh {
        /// The program.
        program: String,
        /// The error of the system.
        why: String,
    },
    /// ssh refuses its own configuration or options.
    #[error("ssh refuses its configuration: {report}")]
    Config {
        /// What ssh reports.
        report: String,
    },
    /// The name leads nowhere.
    #[error(
        "no host has the name `{address}` ({report}): correct it, or give it an address in ssh's configuration (`HostName`)"
    )]
    NoSuchHost {
        /// What was looked up.
        address: String,
        /// What ssh reports.
        report: String,
    },
    /// No connection.
    #[error(
        "can't be reached: {report}; is it running, is the port right (`ssh://HOST:PORT`), does a firewall let ssh through?"
    )]
    Unreachable {
        /// What ssh reports.
        report: String,
    },
    /// The two have no common method for keys or ciphers.
    #[error("its sshd and the ssh here can't agree on a method: {report}")]
    NoCommonMethod {
        /// What ssh reports.
        report: String,
    },
    /// Its key is not in the list of known hosts.
    #[error(
        "its host key is not known here ({report}): compare the key's fingerprint with the host's (there: `ssh-keygen -lf \
         /etc/ssh/ssh_host_ed25519_key.pub`), and accept it once by `ssh {address}` in a terminal; it is never accepted \
         unseen"
    )]
    UnknownKey {
        /// The address to give to ssh.
        address: String,
        /// What ssh reports.
        report: String,
    },
    /// Its key is another one than the known one.
    #[error(
        "its host key has changed ({report}): either it was installed again, or another machine answers in its place; if the \
         change is known to be right, remove the old key with `ssh-keygen -R {entry}`, and accept the new one once by `ssh \
         {address}`"
    )]
    ChangedKey {
        /// The address to give to ssh.
        address: String,
        /// The entry in the list of known hosts.
        entry: String,
        /// What ssh reports.
        report: String,
    },
    /// Its key is marked as revoked.
    #[error("its host key is revoked here ({report}): another machine may answer in its place; nothing was sent to it")]
    RevokedKey {
        /// What ssh reports.
        report: String,
    },
    /// It does not let the user in.
    #[error("it lets {user} not in: {report}{}", all_hints(.hints))]
    Refused {
        /// The user there.
        user: String,
        /// What ssh reports.
        report: String,
        /// What may be the cause, with its remedy.
        hints: Vec<String>,
    },
    /// The account has no shell that runs commands.
    #[error(
        "{user} is let in, but can run no command there ({report}): its login shell must be one (`getent passwd {user}` \
         there; nologin is none), and neither `ForceCommand` of sshd nor `command=` of its key may put another command in \
         the place of ours"
    )]
    NoShell {
        /// The user there.
        user: String,
        /// How the command ended, and what it printed.
        report: String,
    },
    /// Files of the login print without an end, or wait for input.
    #[error(
        "{user} is let in, but {report} before our command runs: look at what the files of its shell do (`ssh {address} true`)"
    )]
    Noise {
        /// The user there.
        user: String,
        /// What happens.
        report: String,
        /// The address to give to ssh.
        address: String,
    },
    /// It can't become the other user there.
    #[error("can't become {user} there: {report}; {remedy}")]
    Become {
        /// The user that was wanted.
        user: String,
        /// What sudo reports.
        report: String,
        /// What to do.
        remedy: String,
    },
    /// The executable is for another kind of machine.
    #[error(
        "the executable is for {ours}, and this machine is {theirs}: build it for that one (`rustup target add {target}`, \
         `cargo build --release --target {target}`), and pass it with `--remote-binary PATH`"
    )]
    WrongMachine {
        /// What the executable is for.
        ours: String,
        /// What the machine is.
        theirs: String,
        /// The target of rustc that fits.
        target: String,
    },
    /// The C library there does not fit.
    #[error(
        "the executable needs {needed}, and there is {found}: build it without a need for it (`rustup target add \
         {target}`, `cargo build --release --target {target}`), and pass it with `--remote-binary PATH`"
    )]
    WrongLibrary {
        /// What the executable needs.
        needed: String,
        /// What is there.
        found: String,
        /// The target of rustc that fits.
        target: String,
    },
    /// No directory there can hold and run the executable.
    #[error("no directory there can hold the executable and run it; tried: {}", places(.0))]
    NoPlace(Vec<Refused>),
    /// No program there computes a SHA-256.
    #[error(
        "it has no program that computes a SHA-256 (sha256sum, shasum or openssl): install one (Debian: coreutils)"
    )]
    NoDigest,
    /// What arrived is not what was sent, twice.
    #[error("the executable was damaged on its way, or {dir} does not keep what is written to it: {report}")]
    Damaged {
        /// The directory there.
        dir: String,
        /// What was found.
        report: String,
    },
    /// The executable can't be started.
    #[error("the executable does not start there: {report}")]
    NotStarted {
        /// What the shell there reports.
        report: String,
    },
    /// The connection was lost.
    #[error("the connection was lost: {report}")]
    Lost {
        /// What ssh reports.
        report: String,
    },
    /// It takes too long.
    #[error("{what} takes longer than {seconds} s: is it overloaded, or is something in between holding back packets?")]
    Slow {
        /// What takes so long.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The executable can't be read here.
    #[error("can't send {path}: {why}")]
    Executable {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The system refuses something here.
    #[error("can't {action}: {why}")]
    Here {
        /// What was tried.
        action: &'static str,
        /// The error of the system.
        why: String,
    },
}

impl LinkProblem {
    /// Whether another try can succeed although nothing is changed, here or there: the host may be starting, or the
    /// network be broken for a while.
    pub fn can_pass(&self) -> bool {
        match self {
            LinkProblem::NoSuchHost { .. }
            | LinkProblem::Unreachable { .. }
            | LinkProblem::NoPlace(_)
            | LinkProblem::Damaged { .. }
            | LinkProblem::Lost { .. }
            | LinkProblem::Slow { .. }
            | LinkProblem::Here { .. } => true,
            LinkProblem::NoSsh { .. }
            | LinkProblem::Config { .. }
            | LinkProblem::NoCommonMethod { .. }
            | LinkProblem::UnknownKey { .. }
            | LinkProblem::ChangedKey { .. }
            | LinkProblem::RevokedKey { .. }
            | LinkProblem::Refused { .. }
            | LinkProblem::NoShell { .. }
            | LinkProblem::Noise { .. }
            | LinkProblem::Become { .. }
            | LinkProblem::WrongMachine { .. }
            | LinkProblem::WrongLibrary { .. }
            | LinkProblem::NoDigest
            | LinkProblem::NotStarted { .. }
            | LinkProblem::Executable { .. } => false,
        }
    }

    pub(super) fn of(self, host: &str) -> LinkError {
        LinkError { host: host.to_owned(), problem: self }
    }
}

fn all_hints(hints: &[String]) -> String {
    hints.iter().map(|hint| format!("; {hint}")).collect()
}

fn places(places: &[Refused]) -> String {
    let all: Vec<&str> = places.iter().map(|refused| refused.0.as_str()).collect();
    if all.is_empty() { "none, since the user has no home directory".to_owned() } else { all.join("; ") }
}
