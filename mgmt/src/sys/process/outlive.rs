//! Commands that must not be interrupted, such as a transaction of a package manager: nothing that happens to this
//! process ends them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::capture::{Capture, Captured};
use super::child::Child;
use super::command::Command;
use super::error::ProcessError;
use super::run::Output;
use super::spawn;
use crate::sys::if_simulated;

/// Runs the command to its end, also if the future is dropped, or this process is killed: no signal is sent to it, and
/// its `timeout` has no effect. What it prints is kept in memory, so that it can always be written. `guard` is dropped
/// when the command has ended.
///
/// # Errors
/// The command can't be started, or its end can't be awaited.
pub async fn run_to_its_end<G: Send + 'static>(command: Command, guard: G) -> Result<Output, ProcessError> {
    to_its_end(async move { run(&command).await }, guard).await
}

/// Does the work to its end, also if the future is dropped. `guard` is dropped when it has ended.
pub async fn to_its_end<T, G>(work: impl Future<Output = T> + Send + 'static, guard: G) -> T
where
    T: Send + 'static,
    G: Send + 'static,
{
    let span = tracing::Span::current();
    let running = tokio::spawn(
        async move {
            let ended = work.await;
            drop(guard);
            ended
        }
        .instrument(span),
    );
    match running.await {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down: the caller's future is about to be dropped too.
        Err(_) => std::future::pending().await,
    }
}

async fn run(command: &Command) -> Result<Output, ProcessError> {
    if_simulated!(host => super::simulated::run_until(&host, command, std::future::pending()).await);
    let lost = |source| ProcessError::Io { program: command.shown(), source };
    let started = Instant::now();
    let written = Written::new().map_err(lost)?;
    let mut child: Child = spawn::start_outliving(command, written.ends().map_err(lost)?).await?;
    child.exited().await.map_err(lost)?;
    let elapsed = started.elapsed();
    let status = child.collect().map_err(lost)?;
    let read = |file| read(file, command.output_max).map_err(lost);
    Ok(Output { status, stdout: read(&written.out)?, stderr: read(&written.err)?, elapsed, complete: true })
}

/// Files in memory for what a command prints.
struct Written {
    out: File,
    err: File,
}

impl Written {
    fn new() -> io::Result<Written> {
        Ok(Written { out: spawn::memory("mgmt-output")?, err: spawn::memory("mgmt-output")? })
    }

    /// The standard output and error of the command.
    fn ends(&self) -> io::Result<[Stdio; 2]> {
        Ok([self.out.try_clone()?.into(), self.err.try_clone()?.into()])
    }
}

fn read(file: &File, max: usize) -> io::Result<Captured> {
    let mut kept = Capture::new(max);
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    // The position of the file is the command's.
    loop {
        let count = file.read_at(&mut buffer, at)?;
        if count == 0 {
            return Ok(kept.take());
        }
        kept.push(&buffer[..count]);
        at += count as u64;
    }
}
