//! The executable on a machine that is reached through the system's `ssh`.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::remote::error::RemoteError;
use crate::remote::transport::{Channel, Launch, Transport};
use crate::resource::BoxFuture;
use crate::sys::ssh::{Endpoint, Executable, Link, LinkError, LinkProblem, Running, SshOptions, Start};

/// Starts the executable on a machine, over the system's `ssh`: copied there once, verified before each start. Clones
/// use the same connection, which is made when it is needed first and closed when the last of them is dropped.
#[derive(Clone)]
pub struct Ssh {
    endpoint: Endpoint,
    options: SshOptions,
    /// `None`: that of this process.
    executable: Option<Executable>,
    link: Arc<Mutex<Kept>>,
}

/// The connection that is kept.
#[derive(Default)]
struct Kept {
    link: Option<Link>,
    /// Whether a person had to answer for one: then it is kept for the starts that follow.
    was_asked: bool,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssh").field("endpoint", &self.endpoint).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Ssh {
    /// Leads to this endpoint, as ssh's own configuration has it, with the executable of this process.
    pub fn new(endpoint: Endpoint) -> Ssh {
        Ssh { endpoint, options: SshOptions::default(), executable: None, link: Arc::default() }
    }

    /// How ssh is used.
    #[must_use]
    pub fn options(mut self, options: SshOptions) -> Ssh {
        self.options = options;
        self
    }

    /// The executable that is sent: for many hosts, it is read and compressed once. Default: that of this process.
    #[must_use]
    pub fn executable(mut self, executable: Executable) -> Ssh {
        self.executable = Some(executable);
        self
    }

    async fn sent(&self) -> Result<Executable, RemoteError> {
        match &self.executable {
            Some(executable) => Ok(executable.clone()),
            None => Executable::this()
                .await
                .map_err(|error| RemoteError::Start(format!("the executable of this process can't be read: {error}"))),
        }
    }

    async fn running(&self, launch: &Launch) -> Result<Running, RemoteError> {
        let mut kept = self.link.lock().await;
        if let Some(link) = &kept.link {
            match link.start(&launch.arguments, &launch.variables, &launch.early).await {
                // The connection of an earlier start may be gone by now.
                Err(LinkError { problem: LinkProblem::Lost { .. }, .. }) => kept.link = None,
                Ok(_) if launch.stays && !link.keeps_executable().await => return Err(not_kept()),
                started => return started.map_err(failed),
            }
        }
        let executable = self.sent().await?;
        let (link, running) = if kept.was_asked {
            let link = Link::open(&self.endpoint, &self.options, &executable).await.map_err(failed)?;
            let running = link.start(&launch.arguments, &launch.variables, &launch.early).await;
            (link, running.map_err(failed)?)
        } else {
            // The first start is the connection itself, which is the fastest way, and ends with it.
            let start = Start { words: &launch.arguments, vars: &launch.variables, early: &launch.early };
            let opened = Link::open_and_start(&self.endpoint, &self.options, &executable, start).await;
            opened.map_err(failed)?
        };
        kept.was_asked |= link.was_asked();
        if launch.stays && !link.keeps_executable().await {
            return Err(not_kept());
        }
        kept.link = Some(link);
        Ok(running)
    }
}

/// The name of the host is known to the caller.
fn failed(error: LinkError) -> RemoteError {
    let text = error.problem.to_string();
    match error.problem {
        _ if !error.problem.can_pass() => RemoteError::Refused(text),
        LinkProblem::Unreachable { .. } | LinkProblem::Lost { .. } | LinkProblem::Slow { .. } => {
            RemoteError::Unreachable(text)
        }
        _ => RemoteError::Start(text),
    }
}

fn not_kept() -> RemoteError {
    let why = "the executable can't stay there after this connection, which a run that stays needs: no directory there can \
               keep it; let the user have a home directory that can be written and where programs run";
    RemoteError::Refused(why.to_owned())
}

impl Transport for Ssh {
    fn fresh(&self) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Ssh { link: Arc::default(), ..self.clone() }))
    }

    fn start(&self, launch: Launch) -> BoxFuture<Result<Channel, RemoteError>> {
        let ssh = self.clone();
        Box::pin(async move {
            let mut running = ssh.running(&launch).await?;
            let streams = (running.stdin.take(), running.stdout.take(), running.stderr.take());
            let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
                return Err(RemoteError::Start("ssh has given no streams".to_owned()));
            };
            Ok(Channel {
                stdin: Box::new(stdin),
                stdout: Box::new(stdout),
                stderr: Box::new(stderr),
                ended: Box::pin(async move {
                    match running.ended().await {
                        Ok(status) => Ok(format!("it has ended there with {status}")),
                        Err(error) if error.problem.can_pass() => Err(error.problem.to_string()),
                        Err(error) => Ok(error.problem.to_string()),
                    }
                }),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a person must react to it: it passes, it may, or something must be changed.
    fn class(problem: LinkProblem) -> &'static str {
        match failed(LinkError { host: "web1".to_owned(), problem }) {
            RemoteError::Unreachable(_) => "passes",
            RemoteError::Start(_) => "may pass",
            RemoteError::Refused(_) => "refused",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_stays_wrong_until_something_is_changed_is_refused() {
        let text = || "why".to_owned();
        let (report, user, address, target) = (text(), text(), text(), text());
        for problem in [
            LinkProblem::Unreachable { report: text() },
            LinkProblem::Lost { report: text() },
            LinkProblem::Slow { what: "it", seconds: 1 },
        ] {
            assert_eq!(class(problem.clone()), "passes", "{problem:?}");
        }
        for problem in [
            LinkProblem::NoSuchHost { address: text(), report: text() },
            LinkProblem::NoPlace(Vec::new()),
            LinkProblem::Damaged { dir: text(), report: text() },
            LinkProblem::Here { action: "it", why: text() },
        ] {
            assert_eq!(class(problem.clone()), "may pass", "{problem:?}");
        }
        for problem in [
            LinkProblem::NoSsh { program: text(), why: text() },
            LinkProblem::Config { report: text() },
            LinkProblem::NoCommonMethod { report: text() },
            LinkProblem::UnknownKey { address: text(), report: text() },
            LinkProblem::ChangedKey { address: address.clone(), entry: text(), report: text() },
            LinkProblem::RevokedKey { report: text() },
            LinkProblem::Refused { user: text(), report: text(), hints: Vec::new() },
            LinkProblem::NoShell { user: text(), report: text() },
            LinkProblem::Noise { user: user.clone(), report: text(), address },
            LinkProblem::Become { user, report: text(), remedy: text() },
            LinkProblem::WrongMachine { ours: text(), theirs: text(), target: text() },
            LinkProblem::WrongLibrary { needed: text(), found: text(), target },
            LinkProblem::NoDigest,
            LinkProblem::NotStarted { report },
            LinkProblem::Executable { path: text(), why: text() },
        ] {
            assert_eq!(class(problem.clone()), "refused", "{problem:?}");
        }
    }
}
