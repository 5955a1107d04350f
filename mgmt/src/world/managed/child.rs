//! The process of etcd. It ends with this program: when it is dropped, and also when this program is killed, since all
//! commands that it runs are guarded.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::sys::process::{Command, Earlier, LineEvent, LineStream, ProcessError, Signal, spawn_lines};
use crate::world::managed::log::Log;

/// How long etcd may take to end when it is asked to: it lets another member lead first.
const GRACE: Duration = Duration::from_secs(10);

/// A running etcd.
#[derive(Debug)]
pub(super) struct Child {
    pump: JoinHandle<()>,
    stop: watch::Sender<bool>,
    log: Arc<Mutex<Log>>,
    /// How it has ended.
    ended: watch::Receiver<Option<String>>,
    pub(super) process: Option<Earlier>,
    pub(super) began: Instant,
}

impl Drop for Child {
    fn drop(&mut self) {
        // With its task the process is dropped, which kills it.
        self.pump.abort();
    }
}

fn locked(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Child {
    /// Starts it. Its log is kept in this directory.
    pub(super) async fn start(command: Command, dir: &Path) -> Result<Child, ProcessError> {
        let command = command.stop(Signal::TERM, GRACE);
        let lines = spawn_lines(&command).await?;
        let process = lines.pid().and_then(Earlier::of);
        let (stop, stopped) = watch::channel(false);
        let (over, ended) = watch::channel(None);
        let log = Arc::new(Mutex::new(Log::new(dir)));
        let pump = tokio::spawn(pump(lines, Arc::clone(&log), stopped, over));
        Ok(Child { pump, stop, log, ended, process, began: Instant::now() })
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&self) -> Option<String> {
        match self.pump.is_finished() {
            true => Some(self.ended.borrow().clone().unwrap_or_else(|| "for an unknown reason".to_owned())),
            false => self.ended.borrow().clone(),
        }
    }

    /// The last lines of its log.
    pub(super) fn last(&self) -> Vec<String> {
        locked(&self.log).last()
    }

    /// Waits until it has ended.
    pub(super) async fn end(&mut self) {
        // An error means that it has ended.
        let _ = self.ended.wait_for(Option::is_some).await;
    }

    /// Asks it to end, waits, and kills it in the end.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        self.end().await;
    }
}

/// Takes its lines until it ends: it would wait otherwise.
async fn pump(
    mut lines: LineStream,
    log: Arc<Mutex<Log>>,
    mut stopped: watch::Receiver<bool>,
    over: watch::Sender<Option<String>>,
) {
    let how = loop {
        let event = tokio::select! {
            event = lines.next() => Some(event),
            () = wanted(&mut stopped) => None,
        };
        let Some(event) = event else {
            break match lines.stop().await {
                Ok(()) => "it was stopped".to_owned(),
                Err(error) => error.to_string(),
            };
        };
        match event {
            Some(Ok(LineEvent::Line(line))) => locked(&log).add(&line.bytes),
            Some(Ok(LineEvent::Ended { status, stderr })) => {
                for line in stderr.text().lines().filter(|line| !line.trim().is_empty()) {
                    locked(&log).add(line.as_bytes());
                }
                break status.to_string();
            }
            Some(Err(error)) => break error.to_string(),
            None => break "it is gone".to_owned(),
        }
    };
    over.send_replace(Some(how));
}

/// Waits until it must stop, also because no program can want it any more.
async fn wanted(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}
