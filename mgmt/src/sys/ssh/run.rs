//! The executable there: copied, verified, started, and its end.

use std::ffi::OsString;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::diagnosis::short;
use super::error::{LinkError, LinkProblem};
use super::link::{Inner, LOGIN, Link};
use super::place::{Place, Refused};
use super::session::{Heard, Session};
use super::words::Script;
use crate::sys::process::{Status, Talker};

const COPY: &str = include_str!("scripts/copy.sh");
const LAUNCH: &str = include_str!("scripts/launch.sh");
const START: &str = include_str!("scripts/start.sh");
const TEMPORARY: &str = include_str!("scripts/temporary.sh");
/// Where a directory for one run is made, if no place for longer can be had.
const TEMPORARY_PLACES: [&str; 3] = ["/var/tmp", "/tmp", "/dev/shm"];
/// The bytes whose SHA-256 the slowest machine computes in a second.
const DIGEST_BYTES: u64 = 4 << 20;
/// How long a copy may take: this, and a second for each piece of this size.
const COPY_SECONDS: u64 = 30;
const COPY_BYTES: u64 = 64 << 10;
/// How long the loss of the connection may take to be known after the end of a call.
const LOSS_WAIT: Duration = Duration::from_secs(1);

/// What a call of ssh leaves to its caller.
pub(super) struct Parts {
    stdin: Option<Sender>,
    stdout: BufReader<Receiver>,
    stderr: Option<Receiver>,
    talker: Talker,
    /// If the call has made the connection: to note that this is lost.
    first: Option<watch::Sender<Option<LinkProblem>>>,
}

impl Parts {
    pub(super) fn of(mut session: Session, first: Option<watch::Sender<Option<LinkProblem>>>) -> Parts {
        let (stdin, stderr) = (session.take_stdin(), session.take_stderr());
        Parts { stdin, stdout: session.stdout, stderr, talker: session.talker, first }
    }
}

/// The most input that is sent before it is known whether the executable is there: what must be skipped if it is not.
pub const EARLY_BYTES_MAX: usize = 64 << 10;

/// What is started there.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The arguments of the executable.
    pub words: &'a [OsString],
    /// Additional variables of its environment.
    pub vars: &'a [(String, OsString)],
    /// The beginning of its input. Up to [`EARLY_BYTES_MAX`], it costs no round trip.
    pub early: &'a [u8],
}

/// The script with the function that runs the executable.
pub(super) fn launching(script: Script, start: Start<'_>) -> Script {
    let mut script = script.words(start.words).text("launch() {").text(LAUNCH);
    for (name, value) in start.vars {
        script = script.set(name, value).text(&format!("export {name}"));
    }
    script.text("exec \"$mgmt_file\" \"$@\"\n}")
}

/// The executable that runs there. When this is dropped, its input ends there, and its output is not read any more.
#[derive(Debug)]
pub struct Running {
    /// Its standard input; `None` once it was taken or closed.
    pub stdin: Option<Sender>,
    /// Its standard output; `None` once it was taken.
    pub stdout: Option<BufReader<Receiver>>,
    /// Its standard error, with what ssh itself has to report; `None` once it was taken.
    pub stderr: Option<Receiver>,
    // Before the link: its private directory goes after the process that uses it.
    talker: Talker,
    first: Option<watch::Sender<Option<LinkProblem>>>,
    link: Link,
}

impl Running {
    pub(super) fn new(link: Link, parts: Parts) -> Running {
        let Parts { stdin, stdout, stderr, talker, first } = parts;
        Running { stdin, stdout: Some(stdout), stderr, talker, first, link }
    }

    /// How it has ended there; 255 also if a signal has ended it. Cancel safe, and may be called again.
    ///
    /// # Errors
    /// The connection was lost: what became of it there is not known.
    pub async fn ended(&mut self) -> Result<Status, LinkError> {
        let lost = |error: crate::sys::process::ProcessError| LinkProblem::Lost { report: error.to_string() };
        let status = self.talker.ended().await.map_err(|error| self.link.error(lost(error)))?;
        if let Some(first) = &self.first {
            let report = format!("the call of ssh that made it has ended ({status})");
            first.send_replace(Some(LinkProblem::Lost { report }));
        }
        // ssh's own code, or that of the program there.
        if status != Status::Exit(0)
            && matches!(status, Status::Exit(255) | Status::Signal(_))
            && let Ok(lost) = tokio::time::timeout(LOSS_WAIT, self.link.lost()).await
        {
            return Err(lost);
        }
        Ok(status)
    }
}

enum Copied {
    Yes,
    Damaged,
    Failed(String),
}

impl Inner {
    /// The directory there that has the executable, which is copied if it is not there, or if it must be.
    pub(super) async fn placed(&self, again: bool) -> Result<String, LinkProblem> {
        let mut known = self.place.lock().await;
        if let (Some(place), false) = (&*known, again) {
            return Ok(place.dir.clone());
        }
        let found = self.there.place.clone();
        if let (Some(place @ Place { has: true, .. }), false) = (&found, again) {
            return Ok(known.insert(place.clone()).dir.clone());
        }
        let mut refused = self.there.refused.clone();
        let mut place = match (known.take(), self.options.caching) {
            (Some(place), _) => Some(place),
            (None, true) if found.is_some() => found,
            (None, _) => self.temporary(found.as_ref(), &mut refused).await?,
        };
        let mut is_second = false;
        loop {
            let Some(at) = place else { return Err(LinkProblem::NoPlace(refused)) };
            match self.copy_to(&at.dir).await? {
                Copied::Yes => return Ok(known.insert(at).dir.clone()),
                Copied::Damaged if !is_second => {
                    is_second = true;
                    place = Some(at);
                }
                Copied::Damaged => {
                    let report = "what is there has another SHA-256 than was sent".to_owned();
                    return Err(LinkProblem::Damaged { dir: at.dir, report });
                }
                Copied::Failed(why) => {
                    refused.push(Refused(format!("{}: {}", at.dir, short(&why))));
                    place = self.next_place(&at, &mut refused).await?;
                }
            }
        }
    }

    /// A place behind this one, which can't hold the executable.
    async fn next_place(&self, at: &Place, refused: &mut Vec<Refused>) -> Result<Option<Place>, LinkProblem> {
        if at.number == 0 {
            // It was the last resort.
            return Ok(None);
        }
        let reports = self.keeper.ask(Script::default().text(&format!("search {}", at.number)).line()).await?;
        let mut there = super::place::There::default();
        reports.iter().for_each(|(word, rest)| there.take(word, rest));
        refused.append(&mut there.refused);
        match there.place {
            Some(place) => Ok(Some(place)),
            None => self.temporary(None, refused).await,
        }
    }

    /// A directory that is removed at the end of the connection.
    async fn temporary(&self, first: Option<&Place>, refused: &mut Vec<Refused>) -> Result<Option<Place>, LinkProblem> {
        let first = first.map(|place| place.dir.as_str());
        let places = first.into_iter().chain(TEMPORARY_PLACES);
        let reports = self.keeper.ask(Script::default().words(places).text(TEMPORARY).line()).await?;
        let mut place = None;
        for (word, rest) in reports {
            match word.as_str() {
                "place" => place = Some(Place { number: 0, dir: rest, has: false }),
                "refused" => refused.push(Refused(rest)),
                _ => {}
            }
        }
        Ok(place)
    }

    async fn copy_to(&self, dir: &str) -> Result<Copied, LinkProblem> {
        let (mut session, nonce) = self.session().await?;
        let is_packed = self.there.has_gzip;
        let unpack = if is_packed { "gzip -dc" } else { "cat" };
        let limit = COPY_SECONDS + self.executable.bytes() / COPY_BYTES;
        let script = self.script(&nonce, dir).set("UNPACK", unpack).set("LIMIT", limit.to_string());
        session.send(&script.text(COPY).line()).await;
        let Some(stdin) = session.take_stdin() else { return Err(self.why(&mut session).await) };
        let read = |error: std::io::Error| LinkProblem::Executable {
            path: self.executable.path().display().to_string(),
            why: error.to_string(),
        };
        // The script may end early: the disk is full. Then the rest can't be written.
        let mut sending = std::pin::pin!(self.send_all(stdin, is_packed));
        let mut is_sent = false;
        loop {
            let heard = tokio::select! {
                sent = &mut sending, if !is_sent => {
                    sent.map_err(read)?;
                    is_sent = true;
                    continue;
                }
                heard = session.next() => heard,
            };
            return Ok(match heard {
                Heard::Report(word, _) if word == "copied" => Copied::Yes,
                Heard::Report(word, _) if word == "damaged" => Copied::Damaged,
                Heard::Report(word, rest) if word == "failed" => Copied::Failed(rest),
                Heard::Report(word, rest) if word == "lacks" => {
                    return Err(self.there.lacks_libraries(self.executable.needs(), &rest));
                }
                Heard::Report(..) | Heard::Errors => continue,
                Heard::TooMuchNoise | Heard::End => return Err(self.why(&mut session).await),
            });
        }
    }

    /// Sends the executable, as far as it is taken.
    async fn send_all(&self, mut stdin: Sender, is_packed: bool) -> std::io::Result<()> {
        if is_packed {
            let packed = self.executable.packed().await?;
            let _ = stdin.write_all(&packed).await;
            return Ok(());
        }
        let mut at = 0;
        loop {
            let piece = self.executable.piece(at).await?;
            if piece.is_empty() || stdin.write_all(&piece).await.is_err() {
                return Ok(());
            }
            at += piece.len() as u64;
        }
    }

    /// Starts the executable there, after it was copied if it is missing or damaged.
    pub(super) async fn start(&self, start: Start<'_>) -> Result<Parts, LinkProblem> {
        for again in [false, true] {
            let dir = self.placed(again).await?;
            let (mut session, nonce) = self.session().await?;
            let script = launching(self.script(&nonce, &dir), start).text(START);
            session.send(&[script.line().as_slice(), start.early].concat()).await;
            if self.has_started(&mut session).await? {
                return Ok(Parts::of(session, None));
            }
            tracing::debug!("{}: the executable in {dir} is missing or damaged", self.endpoint.name());
        }
        let dir = self.placed(false).await?;
        Err(LinkProblem::Damaged { dir, report: "right after it was copied, it has another SHA-256".to_owned() })
    }

    /// Whether the executable runs; otherwise it is damaged.
    async fn has_started(&self, session: &mut Session) -> Result<bool, LinkProblem> {
        let digest = Duration::from_secs(self.executable.bytes() / DIGEST_BYTES);
        let limit = self.options.connect_timeout.saturating_mul(LOGIN) + digest;
        let deadline = Instant::now() + limit;
        loop {
            let Ok(heard) = timeout_at(deadline, session.next()).await else {
                return Err(LinkProblem::Slow { what: "the start of the executable", seconds: limit.as_secs() });
            };
            match heard {
                Heard::Report(word, _) if word == "started" => return Ok(true),
                Heard::Report(word, _) if word == "damaged" => return Ok(false),
                Heard::Report(..) | Heard::Errors => {}
                Heard::TooMuchNoise | Heard::End => return Err(self.why(session).await),
            }
        }
    }
}
