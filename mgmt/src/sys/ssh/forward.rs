//! Connections to servers that a host can reach, through ssh to that host: each is a call of ssh of its own, which ends
//! with it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::oneshot;

use super::den::Slot;
use super::diagnosis::{Evidence, diagnose, last_lines};
use super::effective::{Effective, login};
use super::endpoint::Endpoint;
use super::error::LinkProblem;
use super::options::SshOptions;
use crate::sys::process::{Talker, spawn_talk};
use crate::sys::task::blocking;

/// What is kept of standard error.
const STDERR_KEPT: usize = 16 << 10;
/// How often a host that does not answer is noticed, in seconds, and how many answers may be missing.
const ALIVE_SECONDS: &str = "3";
const ALIVE_MISSING: &str = "3";

/// The public key of a host, as it is in a list of known hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey(String);

/// The text is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no public key of a host: give its type and the key, such as `ssh-ed25519 AAAAC3…`, as in /etc/ssh/ssh_host_ed25519_key.pub"
)]
pub struct HostKeyError(String);

impl FromStr for HostKey {
    type Err = HostKeyError;

    fn from_str(text: &str) -> Result<HostKey, HostKeyError> {
        let wrong = || HostKeyError(text.trim().to_owned());
        let mut words = text.split_whitespace();
        let (Some(kind), Some(key)) = (words.next(), words.next()) else { return Err(wrong()) };
        let is_kind = kind.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.@".contains(&c)) && !kind.starts_with('@');
        let is_key = key.len() > 16 && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c));
        // What follows is a remark, as in the file of the key.
        if is_kind && is_key { Ok(HostKey(format!("{kind} {key}"))) } else { Err(wrong()) }
    }
}

/// Connections to servers that a host can reach, through ssh to it. The key of the host is verified, always. Nothing is
/// asked: keys must be usable without a person. Clones are the same.
#[derive(Clone, Debug)]
pub struct Forward(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    options: SshOptions,
    host_key: Option<HostKey>,
    /// What was reported last.
    reported: Mutex<Option<String>>,
}

impl Forward {
    /// Through the host at this endpoint, with these options of ssh.
    pub fn new(endpoint: Endpoint, options: SshOptions) -> Forward {
        Forward(Arc::new(Inner { endpoint, options, host_key: None, reported: Mutex::default() }))
    }

    /// The host must have this key, and the list of known hosts does not matter. Default: the key that is in the list.
    #[must_use]
    pub fn host_key(self, key: HostKey) -> Forward {
        let Inner { endpoint, options, .. } = &*self.0;
        let (endpoint, options) = (endpoint.clone(), options.clone());
        Forward(Arc::new(Inner { endpoint, options, host_key: Some(key), reported: Mutex::default() }))
    }

    /// A connection to this port of this machine, as the host knows it. What went wrong on the way to it shows itself
    /// when it is read.
    ///
    /// # Errors
    /// ssh can't be started, or refuses its configuration.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<Forwarded> {
        let failed = |problem: LinkProblem| io::Error::other(problem.of(self.0.endpoint.name()).to_string());
        let effective = Effective::of(&self.0.endpoint, &self.0.options).await.map_err(failed)?;
        let slot = blocking(Slot::make).await?;
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let command = self.command(&effective, &slot, &target)?;
        let talk = spawn_talk(&command).await.map_err(|error| io::Error::other(error.to_string()))?;
        let (why, failure) = oneshot::channel();
        let (inner, user) = (Arc::clone(&self.0), effective.user().to_owned());
        let mut stderr = talk.stderr;
        tokio::spawn(async move {
            let (mut errors, mut buffer) = (Vec::new(), vec![0; 4096]);
            while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
                errors.extend_from_slice(&buffer[..count]);
                let surplus = errors.len().saturating_sub(STDERR_KEPT);
                errors.drain(..surplus);
            }
            // The connection may be dropped already.
            let _ = why.send(inner.failure(&String::from_utf8_lossy(&errors), &user));
        });
        let (stdin, stdout, talker) = (Some(talk.stdin), talk.stdout, talk.talker);
        Ok(Forwarded {
            stdin,
            stdout,
            failure: Some(failure),
            heard: false,
            forward: self.clone(),
            _talker: talker,
            _slot: slot,
        })
    }

    fn command(&self, effective: &Effective, slot: &Slot, target: &str) -> io::Result<crate::sys::process::Command> {
        let mut settings = vec![
            ("StrictHostKeyChecking", effective.key_check(false).to_owned()),
            ("NoHostAuthenticationForLocalhost", "no".to_owned()),
            ("BatchMode", "yes".to_owned()),
            ("ConnectTimeout", self.0.options.connect_timeout.as_secs().max(1).to_string()),
            ("ServerAliveInterval", ALIVE_SECONDS.to_owned()),
            ("ServerAliveCountMax", ALIVE_MISSING.to_owned()),
            // A connection that exists already was verified by other rules, and ends at other times.
            ("ControlMaster", "no".to_owned()),
            ("ControlPath", "none".to_owned()),
            ("LogLevel", "INFO".to_owned()),
            ("RequestTTY", "no".to_owned()),
            ("RemoteCommand", "none".to_owned()),
            ("PermitLocalCommand", "no".to_owned()),
            ("ForwardAgent", "no".to_owned()),
            ("ForwardX11", "no".to_owned()),
            ("GSSAPIDelegateCredentials", "no".to_owned()),
            ("Tunnel", "no".to_owned()),
        ];
        if let Some(HostKey(key)) = &self.0.host_key {
            let file = slot.dir().join("known_hosts");
            std::fs::write(&file, format!("* {key}\n"))?;
            settings.retain(|(name, _)| *name != "StrictHostKeyChecking");
            settings.extend([
                ("StrictHostKeyChecking", "yes".to_owned()),
                ("UserKnownHostsFile", format!("\"{}\"", file.display())),
                ("GlobalKnownHostsFile", "/dev/null".to_owned()),
                ("VerifyHostKeyDNS", "no".to_owned()),
                ("UpdateHostKeys", "no".to_owned()),
            ]);
            // An older ssh does not know this.
            if effective.get("knownhostscommand").is_some() {
                settings.push(("KnownHostsCommand", "none".to_owned()));
            }
        }
        let mut command = login(&self.0.endpoint, &self.0.options).arg("-T").arg("-W").arg(target);
        for (name, value) in settings {
            command = command.arg("-o").arg(format!("{name}={value}"));
        }
        Ok(command.arg("--").arg(self.0.endpoint.host()))
    }
}

impl Inner {
    /// Why a connection has ended before anything came.
    fn failure(&self, stderr: &str, user: &str) -> String {
        let address = self.endpoint.address();
        if stderr.contains("administratively prohibited") {
            return format!(
                "{address} does not let connections through: its sshd needs `AllowTcpForwarding yes` or `local` for this user"
            );
        }
        if let Some(line) = stderr.lines().rev().find(|line| line.contains("open failed")) {
            return format!("{address} can't reach the server: {}", line.trim());
        }
        let problem = diagnose(Evidence { stderr, user, address: &address, was_in: false });
        match (problem, &self.host_key) {
            (Some(LinkProblem::ChangedKey { .. } | LinkProblem::UnknownKey { .. }), Some(_)) => format!(
                "{address} has another key than the one that was given for it: give the right one, or find out what answers there"
            ),
            (Some(problem), _) => problem.of(self.endpoint.name()).to_string(),
            (None, _) => match last_lines(stderr) {
                lines if lines.is_empty() => format!("{address}: ssh has ended"),
                lines => format!("{address}: {lines}"),
            },
        }
    }

    /// Reports a failure once.
    fn report(&self, why: Option<&str>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.as_deref() != why {
            if let Some(why) = why {
                tracing::warn!(target: "mgmt", "the way through ssh: {why}");
            }
            *reported = why.map(str::to_owned);
        }
    }
}

/// A connection through a host. When this is dropped, its call of ssh ends.
pub struct Forwarded {
    /// `None`: it was shut down.
    stdin: Option<Sender>,
    stdout: Receiver,
    failure: Option<oneshot::Receiver<String>>,
    /// Whether anything came.
    heard: bool,
    forward: Forward,
    // Before its private directory.
    _talker: Talker,
    _slot: Slot,
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded").field("forward", &self.forward).finish_non_exhaustive()
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            if !std::mem::replace(&mut self.heard, true) {
                self.forward.0.report(None);
            }
            return Poll::Ready(Ok(()));
        }
        // The end: if nothing came at all, there is a reason.
        let heard = self.heard;
        match &mut self.failure {
            Some(failure) if !heard => {
                let why = ready!(Pin::new(failure).poll(cx)).unwrap_or_else(|_| "ssh has ended".to_owned());
                self.failure = None;
                self.forward.0.report(Some(&why));
                Poll::Ready(Err(io::Error::other(why)))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

fn closed() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, bytes),
            None => Poll::Ready(Err(closed())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_type_and_nothing_that_would_be_another_line_or_pattern() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ";
        assert_eq!(format!("{key} root@web1\n").parse::<HostKey>(), Ok(HostKey(key.to_owned())));
        for wrong in
            ["", "ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIJ", "@cert-authority AAAAC3NzaC1lZDI1NTE5AAAAIJ", "a b"]
        {
            assert!(wrong.parse::<HostKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_ssh_prints_is_explained() {
        let inner = |host_key: Option<HostKey>| {
            let (endpoint, options) = ("root@web1".parse().unwrap(), SshOptions::default());
            Inner { endpoint, options, host_key, reported: Mutex::default() }
        };
        let why = |stderr: &str| inner(None).failure(stderr, "root");
        let prohibited = "channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed\n";
        assert!(why(prohibited).contains("AllowTcpForwarding"), "{}", why(prohibited));
        let refused = "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n";
        assert!(why(refused).contains("can't reach the server"), "{}", why(refused));
        assert!(why("").contains("ssh has ended"));
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n";
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ".parse().ok();
        assert!(inner(key).failure(changed, "root").contains("another key than the one that was given"));
        assert!(why(changed).contains("changed"), "{}", why(changed));
    }
}
