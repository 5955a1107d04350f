//! Running a command to its end.

use std::future::{Future, pending};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use super::capture::{Capture, Captured};
use super::child::Child;
use super::command::{Command, Leftovers};
use super::error::ProcessError;
use super::escape::escape_lossless;
use super::group;
use super::spawn;
use super::status::Status;
use crate::sys::if_simulated;

/// How long a killed group may take to disappear.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// How long output is awaited from a group that has been killed.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// The most bytes of standard error that an error contains.
const SAID_BYTES_MAX: usize = 512;

/// The output of a command, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How the command itself ended.
    pub status: Status,
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
    /// The time from the start of the command to its end.
    pub elapsed: Duration,
    /// Whether this is all of the output; `false` if descendants still held it open when it was not awaited any longer.
    pub complete: bool,
}

impl Output {
    /// This output, if the command succeeded.
    ///
    /// # Errors
    /// `Failed` or `Killed`, with the end of what the command printed on standard error.
    pub fn require_success(self, command: &Command) -> Result<Output, ProcessError> {
        self.require_exit(&[0], command)
    }

    /// This output, if the exit code is one of these.
    ///
    /// # Errors
    /// `Failed` if it is another one, `Killed` if a signal ended the command.
    pub fn require_exit(self, codes: &[u8], command: &Command) -> Result<Output, ProcessError> {
        let stderr = self.stderr.without(&command.secrets);
        let said = || escape_lossless(stderr.last(SAID_BYTES_MAX).trim_ascii());
        match self.status {
            Status::Exit(code) if codes.iter().any(|good| i32::from(*good) == code) => Ok(self),
            Status::Exit(_) => {
                Err(ProcessError::Failed { program: command.shown(), status: self.status, stderr: said() })
            }
            Status::Signal(_) => {
                Err(ProcessError::Killed { program: command.shown(), status: self.status, stderr: said() })
            }
        }
    }
}

/// Runs the command to its end. Any exit code and any signal is an `Output`; see `Output::require_success`.
///
/// If the future is dropped, the whole process group is killed at once. A descendant that leaves the group (`setsid`)
/// can't be killed, neither then nor on a timeout.
///
/// # Errors
/// The command can't be started, or does not end within its timeout.
pub async fn run(command: &Command) -> Result<Output, ProcessError> {
    run_until(command, pending()).await
}

/// Runs the command to its end, or until `stop` completes: then its group gets `stop_signal`, and is killed after
/// `grace`.
///
/// # Errors
/// The command can't be started, does not end within its timeout, or was stopped (`Cancelled`).
pub async fn run_until(command: &Command, stop: impl Future<Output = ()>) -> Result<Output, ProcessError> {
    if_simulated!(host => super::simulated::run_until(&host, command, stop).await);
    let started = Instant::now();
    let mut running = Running::start(command).await?;
    let why = tokio::select! {
        biased;
        exited = running.exited_or_said(command.whole) => exited,
        () = stop => Ok(Some(Why::Cancelled)),
        after = expiry(command.timeout, started) => Ok(Some(Why::Timeout(after))),
    };
    let lost = |source| ProcessError::Io { program: command.shown(), source };
    let why = why.map_err(lost)?;
    let elapsed = started.elapsed();
    let (status, complete) = match why {
        None => running.settle().await.map_err(lost)?,
        Some(_) => (running.end().await?, true),
    };
    let (stdout, stderr) = (running.out.kept.take(), running.err.kept.take());
    let output = Output { status, stdout, stderr, elapsed, complete };
    let program = command.shown();
    match why {
        None => Ok(output),
        Some(Why::Cancelled) => Err(ProcessError::Cancelled { program, output: Box::new(output) }),
        Some(Why::TooMuch) => {
            // As much is kept of the end as of the beginning.
            let max = command.output_max.saturating_mul(2);
            Err(ProcessError::TooMuch { program, max, output: Box::new(output) })
        }
        Some(Why::Timeout(after)) => Err(ProcessError::Timeout { program, after, output: Box::new(output) }),
    }
}

/// Runs the command to its end. If the future is dropped, its group gets `stop_signal`, and is killed after `grace`;
/// `guard` is dropped when all of this is done.
///
/// # Errors
/// As [`run_until`].
pub async fn run_guarded<G: Send + 'static>(command: Command, guard: G) -> Result<Output, ProcessError> {
    let (wanted, unwanted) = tokio::sync::oneshot::channel::<()>();
    let span = tracing::Span::current();
    let running = tokio::spawn(
        async move {
            // `unwanted` completes when `wanted` is dropped.
            let ended = run_until(&command, async { drop(unwanted.await) }).await;
            drop(guard);
            ended
        }
        .instrument(span),
    );
    let ended = running.await;
    drop(wanted);
    match ended {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down: the caller's future is about to be dropped too.
        Err(_) => pending().await,
    }
}

/// Why a command is ended before its own end.
#[derive(Clone, Copy)]
enum Why {
    Timeout(Duration),
    TooMuch,
    Cancelled,
}

async fn expiry(limit: Option<Duration>, started: Instant) -> Duration {
    // A limit beyond the range of the clock is no limit.
    match limit.and_then(|after| Some((after, started.checked_add(after)?))) {
        Some((after, at)) => {
            tokio::time::sleep_until(at).await;
            after
        }
        None => pending().await,
    }
}

/// One output stream of a child.
#[derive(Debug)]
pub(super) struct Stream {
    pipe: Option<Receiver>,
    pub(super) kept: Capture,
}

impl Stream {
    fn new(fd: Option<OwnedFd>, max: usize) -> io::Result<Stream> {
        Ok(Stream { pipe: fd.map(Receiver::from_owned_fd).transpose()?, kept: Capture::new(max) })
    }

    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// The next bytes; empty at the end. Cancel safe.
    pub(super) async fn read<'a>(&mut self, buffer: &'a mut [u8]) -> &'a [u8] {
        let Some(pipe) = &mut self.pipe else { return &[] };
        // Reading a pipe fails only if our own descriptor is broken: then no more bytes can come.
        let count = pipe.read(buffer).await.unwrap_or(0);
        if count == 0 {
            self.pipe = None;
        }
        &buffer[..count]
    }

    /// Keeps the output until some of it must be dropped; if that does not happen, never returns. Cancel safe.
    async fn overflow(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        while self.is_open() {
            let bytes = self.read(&mut buffer).await;
            self.kept.push(bytes);
            if self.kept.is_cut() {
                return;
            }
        }
        pending().await
    }

    /// Keeps the output until its end. Cancel safe.
    async fn drain(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        while self.is_open() {
            let bytes = self.read(&mut buffer).await;
            self.kept.push(bytes);
        }
    }
}

/// A running command.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) out: Stream,
    pub(super) err: Stream,
    program: String,
    stop_signal: Signal,
    grace: Duration,
    linger: Duration,
    leftovers: Leftovers,
}

impl Running {
    pub(super) async fn start(command: &Command) -> Result<Running, ProcessError> {
        let (child, (out, err)) = spawn::start(command).await?;
        let stream = |fd| Stream::new(fd, command.output_max);
        let lost = |source| ProcessError::Io { program: command.shown(), source };
        Ok(Running {
            child,
            out: stream(out).map_err(lost)?,
            err: stream(err).map_err(lost)?,
            program: command.shown(),
            stop_signal: command.stop_signal,
            grace: command.grace,
            linger: command.linger,
            leftovers: command.leftovers,
        })
    }

    /// Waits until the command itself has ended, and keeps its output meanwhile. Cancel safe.
    pub(super) async fn exited(&mut self) -> io::Result<()> {
        let Running { child, out, err, .. } = self;
        listening(out, err, child.exited()).await
    }

    /// Like [`Running::exited`]; if the `whole` output is wanted, also returns as soon as it is more than is kept.
    async fn exited_or_said(&mut self, whole: bool) -> io::Result<Option<Why>> {
        if !whole {
            return self.exited().await.map(|()| None);
        }
        let Running { child, out, err, .. } = self;
        let heard = async {
            err.drain().await;
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = out.overflow() => Ok(Some(Why::TooMuch)),
            exited = child.exited() => exited.map(|()| None),
            () = heard => Ok(None),
        }
    }

    /// After the command itself has ended on its own: awaits output of descendants for a while, and collects the
    /// command. Also returns whether this is all of the output.
    async fn settle(&mut self) -> io::Result<(Status, bool)> {
        let Running { child, out, err, .. } = self;
        let heard = async { tokio::join!(out.drain(), err.drain()) };
        let complete = timeout(self.linger, heard).await.is_ok();
        if self.leftovers == Leftovers::Kill {
            child.signal(Signal::KILL);
            if !complete {
                let heard = async { tokio::join!(out.drain(), err.drain()) };
                let _ = timeout(LAST_WORDS, heard).await;
            }
        }
        Ok((child.collect()?, complete))
    }

    /// After the command itself has ended and when its output does not matter any more: kills the rest of the group,
    /// and collects the command.
    pub(super) async fn close(&mut self) -> Result<Status, ProcessError> {
        let Running { child, out, err, program, .. } = self;
        child.signal(Signal::KILL);
        let _ = listening(out, err, timeout(KILL_WAIT, gone(child))).await;
        let _ = timeout(LAST_WORDS, err.drain()).await;
        child.collect().map_err(|source| ProcessError::Io { program: program.clone(), source })
    }

    /// Ends the whole group: asks it to end, waits, kills it. Afterwards no member of it is left.
    pub(super) async fn end(&mut self) -> Result<Status, ProcessError> {
        let (signal, grace) = (self.stop_signal, self.grace);
        let lost = |program: &str, source| ProcessError::Io { program: program.to_owned(), source };
        let Running { child, out, err, program, .. } = self;
        child.signal(signal);
        // A stopped process handles the signal only after it continues.
        child.signal(Signal::CONT);
        let _ = listening(out, err, timeout(grace, gone(child))).await;
        child.signal(Signal::KILL);
        let dead = listening(out, err, timeout(KILL_WAIT, child.exited())).await;
        match dead {
            Err(_) => {
                let pid = child.pid().as_raw_nonzero().get().cast_unsigned();
                return Err(ProcessError::Undead { program: program.clone(), pid });
            }
            Ok(exited) => exited.map_err(|source| lost(program, source))?,
        }
        let _ = listening(out, err, timeout(KILL_WAIT, gone(child))).await;
        let heard = async { tokio::join!(out.drain(), err.drain()) };
        let _ = timeout(LAST_WORDS, heard).await;
        child.collect().map_err(|source| lost(program, source))
    }
}

/// Waits until no member of the group is alive. (The leader is not collected yet, so its number is not used again.)
async fn gone(child: &Child) -> io::Result<()> {
    child.exited().await?;
    let mut pause = Duration::from_millis(5);
    while group::has_others(child.pid()).await {
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    Ok(())
}

/// Awaits a future and keeps the output meanwhile, so that no process blocks on a full pipe.
async fn listening<T>(out: &mut Stream, err: &mut Stream, what: impl Future<Output = T>) -> T {
    let listen = async {
        tokio::join!(out.drain(), err.drain());
        pending().await
    };
    tokio::select! {
        done = what => done,
        never = listen => never,
    }
}
