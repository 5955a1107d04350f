//! Becoming another user there, by sudo: without a password, or with one that is asked for once.

use std::time::Duration;

use zeroize::Zeroizing;

use super::desk::Desk;
use super::diagnosis;
use super::endpoint::Endpoint;
use super::error::LinkProblem;
use super::link::{LOGIN, script};
use super::options::{Question, QuestionKind, SshOptions};
use super::session::{Heard, Session};
use super::words::{LOADER, Script};

const BECOME: &str = include_str!("scripts/become.sh");
/// How often a password may be wrong.
const TRIES: u32 = 3;
/// When no more has come for this long, sudo has printed all.
const QUIET: Duration = Duration::from_millis(200);

/// How a script there becomes the user that is wanted.
#[derive(Clone)]
pub(super) enum Elevation {
    /// It stays the user of the login.
    None,
    /// By sudo, without a password.
    Plain(String),
    /// By sudo, with this password.
    Password(String, Zeroizing<String>),
}

impl std::fmt::Debug for Elevation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Elevation({:?})", self.user())
    }
}

impl Elevation {
    pub(super) fn of(user: Option<&str>) -> Elevation {
        user.map_or(Elevation::None, |user| Elevation::Plain(user.to_owned()))
    }

    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Elevation::None => None,
            Elevation::Plain(user) | Elevation::Password(user, _) => Some(user),
        }
    }
}

fn prompt(nonce: &str) -> String {
    format!("mgmt:{nonce}:password:")
}

/// The script that becomes the user, and reports that first if it has asked for a password.
fn becoming(nonce: &str, user: &str, prompt: &str, stays: bool) -> Script {
    let inner = match prompt {
        "" => LOADER.to_owned(),
        _ => format!("printf '\\nmgmt:%s:became\\n' {nonce}; {LOADER}"),
    };
    script(nonce)
        .set("BECOME", user)
        .set("PROMPT", prompt)
        .set("INNER", inner)
        .set("STAY", if stays { "1" } else { "" })
        .text(BECOME)
}

/// The script of the first call, which can try again with a password.
pub(super) fn open_as(nonce: &str, user: &str) -> Script {
    becoming(nonce, user, &prompt(nonce), true)
}

/// Makes a further call the user that is wanted.
pub(super) async fn enter(
    session: &mut Session,
    nonce: &str,
    elevation: &Elevation,
    limit: Duration,
) -> Result<(), LinkProblem> {
    match elevation {
        Elevation::None => Ok(()),
        Elevation::Plain(user) => {
            session.send(&becoming(nonce, user, "", false).line()).await;
            Ok(())
        }
        Elevation::Password(user, password) => {
            let prompt = prompt(nonce);
            session.send(&becoming(nonce, user, &prompt, false).line()).await;
            let mut is_given = false;
            loop {
                match next(session, limit).await? {
                    Heard::Report(word, _) if word == "became" => return Ok(()),
                    Heard::Errors if session.take_from_errors(&prompt) => {
                        if is_given {
                            return Err(diagnosis::sudo(user, "sudo: incorrect password"));
                        }
                        is_given = true;
                        give(session, password).await;
                    }
                    Heard::Report(..) | Heard::Errors => {}
                    Heard::End | Heard::TooMuchNoise => {
                        session.ended().await;
                        return Err(diagnosis::sudo(user, &session.errors()));
                    }
                }
            }
        }
    }
}

/// What comes next; sudo may wait for a service that does not answer.
async fn next(session: &mut Session, limit: Duration) -> Result<Heard, LinkProblem> {
    let slow = LinkProblem::Slow { what: "sudo there", seconds: limit.as_secs() };
    tokio::time::timeout(limit, session.next()).await.map_err(|_| slow)
}

/// What sudo has printed, which comes on another way than its end.
async fn complaint(session: &mut Session) -> String {
    while let Ok(Heard::Errors | Heard::Report(..)) = tokio::time::timeout(QUIET, session.next()).await {}
    session.errors()
}

async fn give(session: &mut Session, password: &Zeroizing<String>) {
    let mut line = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    line.extend_from_slice(password.as_bytes());
    line.push(b'\n');
    session.send(&line).await;
}

/// What is needed to ask for a password of sudo.
#[derive(Clone, Copy)]
pub(super) struct MayAsk<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) options: &'a SshOptions,
    pub(super) desk: &'a Desk,
}

impl MayAsk<'_> {
    /// Tries once more with a password, after sudo has refused without one. After that, the script is awaited there.
    pub(super) async fn again(
        &self,
        session: &mut Session,
        nonce: &str,
        elevation: Elevation,
    ) -> Result<Elevation, LinkProblem> {
        let Some(user) = elevation.user() else { return Ok(elevation) };
        let stderr = complaint(session).await;
        let (Some(answers), true) = (&self.options.answers, stderr.contains("password is required")) else {
            return Err(diagnosis::sudo(user, &stderr));
        };
        let prompt = prompt(nonce);
        let (mut given, mut last) = (0, None);
        session.send(b"again\n").await;
        let limit = self.options.connect_timeout.saturating_mul(LOGIN);
        loop {
            match next(session, limit).await? {
                Heard::Report(word, _) if word == "became" => {
                    let Some(password) = last else { return Ok(elevation) };
                    return Ok(Elevation::Password(user.to_owned(), password));
                }
                Heard::Errors if session.take_from_errors(&prompt) => {
                    let text = match given {
                        0 => format!("password of sudo, to become {user}: "),
                        _ => format!("that was wrong; password of sudo, to become {user}: "),
                    };
                    let question = Question { host: self.endpoint.name().to_owned(), text, kind: QuestionKind::Secret };
                    let answer = if given < TRIES { self.desk.ask(&**answers, question).await } else { None };
                    let Some(password) = answer else {
                        return Err(diagnosis::sudo(user, "sudo: a password is required"));
                    };
                    given += 1;
                    give(session, &password).await;
                    last = Some(password);
                }
                Heard::Report(word, _) if word == "sudo" => {
                    return Err(diagnosis::sudo(user, &complaint(session).await));
                }
                Heard::Report(..) | Heard::Errors => {}
                Heard::End | Heard::TooMuchNoise => {
                    session.ended().await;
                    return Err(diagnosis::sudo(user, &session.errors()));
                }
            }
        }
    }
}
