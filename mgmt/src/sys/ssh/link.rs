//! A connection to a host: opened, the executable copied there if it is not there yet, and run.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::den::Slot;
use super::desk::Desk;
use super::diagnosis::{Evidence, diagnose, last_lines, short};
use super::effective::{Effective, login};
use super::endpoint::Endpoint;
use super::error::{LinkError, LinkProblem};
use super::executable::{Executable, hex};
use super::hints::hints;
use super::keeper::{Keeper, Kept, LEASE, Used};
use super::options::SshOptions;
use super::place::{Place, There};
use super::run::{EARLY_BYTES_MAX, Parts, Running, Start, launching};
use super::session::{Heard, Session, here};
use super::sudo::{Elevation, MayAsk, enter, open_as};
use super::words::{COMMAND, Script};
use crate::sys::process::{Command, Status};
use crate::sys::rng;
use crate::sys::task::blocking;

const BEGIN: &str = include_str!("scripts/begin.sh");
const PROBE: &str = include_str!("scripts/probe.sh");
/// The login may take longer than an answer at all, by this factor.
pub(super) const LOGIN: u32 = 3;
/// How often a host that does not answer is noticed, in seconds, and how many answers may be missing.
const ALIVE_SECONDS: &str = "3";
const ALIVE_MISSING: &str = "3";
/// Room that an executable needs there besides its own size.
const ROOM_KB: u64 = 1024;

/// A connection to a host, over which executables are copied and run. A clone is the same connection; it is closed when
/// the last one is dropped, with everything that runs through it.
#[derive(Clone, Debug)]
pub struct Link(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) endpoint: Endpoint,
    pub(super) options: SshOptions,
    pub(super) executable: Executable,
    pub(super) effective: Effective,
    pub(super) there: There,
    pub(super) elevation: Elevation,
    pub(super) keeper: Keeper,
    /// The arguments of every further call of ssh.
    pub(super) call: Command,
    /// Where the executable is there, once it is.
    pub(super) place: tokio::sync::Mutex<Option<Place>>,
    was_asked: bool,
    /// What the calls use here, if no shell is kept there.
    _used: Option<Used>,
}

impl Link {
    /// Connects to the host, and looks at it: what it is, whether the executable runs there, and whether it is there
    /// already. Nothing of it runs yet.
    ///
    /// # Errors
    /// It can't be reached, does not let the user in, has another key than is known, or does not suit the executable.
    pub async fn open(endpoint: &Endpoint, options: &SshOptions, executable: &Executable) -> Result<Link, LinkError> {
        let opened = open(endpoint, options, executable, None).await;
        let (inner, _) = opened.map_err(|problem| problem.of(endpoint.name()))?;
        Ok(Link(Arc::new(inner)))
    }

    /// Connects to the host like [`open`](Link::open), and runs the executable there like [`start`](Link::start). Where
    /// it is there already, this costs hardly more than to connect.
    ///
    /// # Errors
    /// Those of the two.
    pub async fn open_and_start(
        endpoint: &Endpoint,
        options: &SshOptions,
        executable: &Executable,
        start: Start<'_>,
    ) -> Result<(Link, Running), LinkError> {
        let opened = open(endpoint, options, executable, Some(start)).await;
        let (inner, parts) = opened.map_err(|problem| problem.of(endpoint.name()))?;
        let link = Link(Arc::new(inner));
        match parts {
            Some(parts) => Ok((link.clone(), Running::new(link, parts))),
            None => {
                let running = link.start(start.words, start.vars, start.early).await?;
                Ok((link, running))
            }
        }
    }

    /// The host.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Whether something had to be answered for this connection, which would be asked again for another one.
    pub fn was_asked(&self) -> bool {
        self.0.was_asked
    }

    /// What the host reports of itself.
    pub fn there(&self) -> &There {
        &self.0.there
    }

    /// Copies the executable there, if it is not there already.
    ///
    /// # Errors
    /// No directory there can hold it and run it, or the connection was lost.
    pub async fn copy(&self) -> Result<(), LinkError> {
        self.0.placed(false).await.map(drop).map_err(|problem| self.error(problem))
    }

    /// Whether the executable stays there when the connection ends.
    pub async fn keeps_executable(&self) -> bool {
        let place = self.0.place.lock().await;
        self.0.options.caching && place.as_ref().is_none_or(|place| place.number != 0)
    }

    /// Runs the executable there with these words and additional variables of its environment, after it was copied
    /// (see [`copy`](Link::copy)) and verified. `early` is the beginning of its input, which costs no further round
    /// trip.
    ///
    /// # Errors
    /// It can't be copied or started, or the connection was lost.
    pub async fn start(
        &self,
        words: &[OsString],
        vars: &[(String, OsString)],
        early: &[u8],
    ) -> Result<Running, LinkError> {
        let started = self.0.start(Start { words, vars, early }).await;
        let parts = started.map_err(|problem| self.error(problem))?;
        Ok(Running::new(self.clone(), parts))
    }

    /// Waits until the connection is lost or closed, and returns why. Cancel safe.
    pub async fn lost(&self) -> LinkError {
        self.error(self.0.keeper.problem().await)
    }

    /// Closes the connection, and waits until nothing of it is left here. What still runs through it loses its input.
    pub async fn close(self) {
        self.0.keeper.close().await;
    }

    pub(super) fn error(&self, problem: LinkProblem) -> LinkError {
        problem.of(self.0.endpoint.name())
    }
}

/// A mark for the reports of one call, which no other text has.
pub(super) fn nonce() -> Result<String, LinkProblem> {
    let mut bytes = [0; 12];
    rng::fill(&mut bytes).map_err(here("get a random number"))?;
    Ok(hex(&bytes))
}

async fn open(
    endpoint: &Endpoint,
    options: &SshOptions,
    executable: &Executable,
    start: Option<Start<'_>>,
) -> Result<(Inner, Option<Parts>), LinkProblem> {
    let effective = Effective::of(endpoint, options).await?;
    let action = "make a private directory for the sockets of ssh";
    let slot = blocking(Slot::make).await.map_err(here(action))?;
    let desk = Desk::open(&slot, endpoint, &effective, options).map_err(here(action))?;
    let nonce = nonce()?;
    let call = |is_first| call(endpoint, options, &effective, &slot, is_first);
    let mut session = Session::start(&call(true), &nonce).await?;
    let opening = Opening { endpoint, options, effective: &effective, desk: &desk };
    let may_ask = MayAsk { endpoint, options, desk: &desk };
    // A large input would have to be skipped if it came too early.
    let start = start.filter(|start| options.caching && start.early.len() <= EARLY_BYTES_MAX);
    let start = start.filter(|start| options.become_user.is_none() || can_be_skipped(start.early));
    let mut opened = probe(&nonce, options, executable, start).line();
    opened.extend_from_slice(start.map_or(&[], |start| start.early));
    if let Some(user) = &options.become_user {
        session.send(&open_as(&nonce, user).line()).await;
    }
    session.send(&opened).await;
    let (there, elevation, has_started) = opening.talk(&mut session, &nonce, may_ask, &opened).await?;
    let was_asked = desk.was_asked();
    there.suits(executable.needs())?;
    if there.tool.is_empty() {
        return Err(LinkProblem::NoDigest);
    }
    let (user, address) = (effective.user().to_owned(), endpoint.address());
    let later = call(false);
    let (keeper, parts, _used) = match has_started {
        true => {
            let (keeper, first) = Keeper::without_shell();
            (keeper, Some(Parts::of(session, Some(first))), Some((slot, desk)))
        }
        false => (Keeper::start(Kept { session, used: (slot, desk), user, address }), None, None),
    };
    let (endpoint, options, executable) = (endpoint.clone(), options.clone(), executable.clone());
    let place = tokio::sync::Mutex::new(None);
    Ok((
        Inner {
            endpoint,
            options,
            executable,
            effective,
            there,
            elevation,
            keeper,
            call: later,
            place,
            was_asked,
            _used,
        },
        parts,
    ))
}

/// Whether an input is skipped line by line where sudo does not pass it on.
fn can_be_skipped(early: &[u8]) -> bool {
    early.is_empty() || early.ends_with(b"\n") && !early.split(|byte| *byte == b'\n').any(|line| line == b"again")
}

/// The beginning of every script there.
pub(super) fn script(nonce: &str) -> Script {
    Script::default().set("mgmt_n", nonce).text(BEGIN)
}

fn probe(nonce: &str, options: &SshOptions, executable: &Executable, start: Option<Start<'_>>) -> Script {
    let kilobytes = executable.bytes().div_ceil(1024) + ROOM_KB;
    let script = match start {
        Some(start) => launching(script(nonce), start),
        None => script(nonce),
    };
    script
        .set("EARLY", start.map(|start| start.early.len().to_string()).unwrap_or_default())
        .set("mgmt_sha", executable.sha256())
        .set("mgmt_name", executable.name())
        .set("SIZE_KB", kilobytes.to_string())
        .set("INTERPRETER", executable.needs().interpreter.as_deref().unwrap_or_default())
        .set("LEASE", LEASE.as_secs().to_string())
        .set("CACHING", if options.caching { "1" } else { "" })
        .text(PROBE)
}

/// A call of ssh: the first one makes the connection, the others use it.
fn call(endpoint: &Endpoint, options: &SshOptions, effective: &Effective, slot: &Slot, is_first: bool) -> Command {
    let can_ask = options.answers.is_some();
    let is_batch = !can_ask && !endpoint.has_password();
    let yes = |is: bool| if is { "yes" } else { "no" };
    let timeout = options.connect_timeout.as_secs().max(1).to_string();
    let mut settings = vec![
        ("StrictHostKeyChecking", effective.key_check(can_ask).to_owned()),
        ("NoHostAuthenticationForLocalhost", "no".to_owned()),
        ("BatchMode", yes(is_batch).to_owned()),
        ("ConnectTimeout", timeout),
        ("ServerAliveInterval", ALIVE_SECONDS.to_owned()),
        ("ServerAliveCountMax", ALIVE_MISSING.to_owned()),
        ("ControlMaster", yes(is_first).to_owned()),
        ("ControlPersist", "no".to_owned()),
        ("LogLevel", "INFO".to_owned()),
        ("EscapeChar", "none".to_owned()),
        ("RequestTTY", "no".to_owned()),
        ("RemoteCommand", "none".to_owned()),
        ("PermitLocalCommand", "no".to_owned()),
        ("ClearAllForwardings", "yes".to_owned()),
        ("ForwardAgent", "no".to_owned()),
        ("ForwardX11", "no".to_owned()),
        ("GSSAPIDelegateCredentials", "no".to_owned()),
        ("Tunnel", "no".to_owned()),
    ];
    if !can_ask && endpoint.has_password() {
        settings.push(("NumberOfPasswordPrompts", "1".to_owned()));
    }
    // An older ssh does not know these, and refuses what it does not know.
    for (key, name, value) in [
        ("sessiontype", "SessionType", "default"),
        ("stdinnull", "StdinNull", "no"),
        ("forkafterauthentication", "ForkAfterAuthentication", "no"),
    ] {
        if effective.get(key).is_some() || effective.all(key).next().is_some() {
            settings.push((name, value.to_owned()));
        }
    }
    let mut command = login(endpoint, options).arg("-T").arg("-S").arg(slot.socket());
    for (name, value) in settings {
        command = command.arg("-o").arg(format!("{name}={value}"));
    }
    command
        .arg("--")
        .arg(endpoint.host())
        .arg(COMMAND)
        .var("SSH_ASKPASS", slot.asker())
        .var("SSH_ASKPASS_REQUIRE", "force")
        .var("MGMT_ASK", slot.dir())
}

/// A connection that is being made.
struct Opening<'a> {
    endpoint: &'a Endpoint,
    options: &'a SshOptions,
    effective: &'a Effective,
    desk: &'a Desk,
}

impl Opening<'_> {
    /// Reads the reports until the last one. `opened`: what was sent, which comes again if sudo wants a password first.
    async fn talk(
        &self,
        session: &mut Session,
        nonce: &str,
        may_ask: MayAsk<'_>,
        opened: &[u8],
    ) -> Result<(There, Elevation, bool), LinkProblem> {
        let mut there = There::default();
        let mut elevation = Elevation::of(self.options.become_user.as_deref());
        let limit = self.options.connect_timeout.saturating_mul(LOGIN);
        let mut deadline = Instant::now() + limit;
        loop {
            let heard = match timeout_at(deadline, session.next()).await {
                Ok(heard) => heard,
                // A person may take time to answer.
                Err(_) if self.desk.is_busy() => {
                    deadline = Instant::now() + limit;
                    continue;
                }
                Err(_) => return Err(self.slow(session, limit)),
            };
            match heard {
                Heard::Report(word, _) if word == "end" => return Ok((there, elevation, false)),
                Heard::Report(word, _) if word == "started" => return Ok((there, elevation, true)),
                Heard::Report(word, _) if word == "sudo" => {
                    elevation = may_ask.again(session, nonce, elevation).await?;
                    session.send(opened).await;
                    deadline = Instant::now() + limit;
                }
                Heard::Report(word, rest) => there.take(&word, &rest),
                Heard::Errors => {}
                Heard::TooMuchNoise => return Err(self.noise("more than 1 MiB of text comes")),
                Heard::End => return Err(self.ended(session).await),
            }
        }
    }

    fn noise(&self, report: &str) -> LinkProblem {
        let (user, report) = (self.effective.user().to_owned(), report.to_owned());
        LinkProblem::Noise { user, report, address: self.endpoint.address() }
    }

    fn slow(&self, session: &Session, limit: Duration) -> LinkProblem {
        match session.noise().trim() {
            "" => LinkProblem::Slow { what: "the login", seconds: limit.as_secs() },
            noise => {
                let begin = short(noise.lines().next().unwrap_or_default());
                self.noise(&format!("nothing follows the text `{begin}` within {} s", limit.as_secs()))
            }
        }
    }

    /// Why the call has ended without a report.
    async fn ended(&self, session: &mut Session) -> LinkProblem {
        let status = session.ended().await;
        let (stderr, noise) = (session.errors(), session.noise());
        let (user, address) = (self.effective.user(), &self.endpoint.address());
        let evidence = Evidence { stderr: &stderr, user, address, was_in: false };
        // Only with this code has ssh something to complain about itself.
        let found = if status == Some(Status::Exit(255)) { diagnose(evidence) } else { None };
        match found {
            Some(LinkProblem::Refused { user, report, .. }) => {
                let hints = hints(self.options, self.effective, &stderr, &self.desk.refused()).await;
                LinkProblem::Refused { user, report, hints }
            }
            Some(problem) => problem,
            None if status == Some(Status::Exit(255)) => LinkProblem::Unreachable { report: last_lines(&stderr) },
            None => {
                let status = status.map_or_else(|| "no end".to_owned(), |status| status.to_string());
                let printed = [last_lines(&noise), last_lines(&stderr)].join(" ");
                let report = format!("{status}: {}", short(&printed));
                LinkProblem::NoShell { user: user.to_owned(), report }
            }
        }
    }
}

impl Inner {
    /// A further call of ssh, as the user that is wanted there, ready for a script.
    pub(super) async fn session(&self) -> Result<(Session, String), LinkProblem> {
        if let Some(problem) = self.keeper.lost() {
            return Err(problem);
        }
        let nonce = nonce()?;
        let mut session = Session::start(&self.call, &nonce).await?;
        let limit = self.options.connect_timeout.saturating_mul(LOGIN);
        enter(&mut session, &nonce, &self.elevation, limit).await?;
        Ok((session, nonce))
    }

    /// The script that uses the executable in this directory.
    pub(super) fn script(&self, nonce: &str, dir: &str) -> Script {
        script(nonce)
            .set("mgmt_tool", &self.there.tool)
            .set("mgmt_dir", dir)
            .set("mgmt_sha", self.executable.sha256())
            .set("mgmt_name", self.executable.name())
    }

    /// Why a further call has ended without the report that was awaited.
    pub(super) async fn why(&self, session: &mut Session) -> LinkProblem {
        let status = session.ended().await;
        let stderr = session.errors();
        if status == Some(Status::Exit(255)) {
            let grace = Duration::from_secs(1);
            if let Ok(problem) = tokio::time::timeout(grace, self.keeper.problem()).await {
                return problem;
            }
            let (user, address) = (self.effective.user(), &self.endpoint.address());
            let evidence = Evidence { stderr: &stderr, user, address, was_in: true };
            if let Some(problem) = diagnose(evidence) {
                return problem;
            }
        }
        if stderr.contains("sudo:")
            && let Some(user) = self.elevation.user()
        {
            return super::diagnosis::sudo(user, &stderr);
        }
        let status = status.map_or_else(|| "no end".to_owned(), |status| status.to_string());
        LinkProblem::NotStarted { report: format!("{status}: {}", last_lines(&stderr)) }
    }
}
