//! ^C, step by step: stop, cancel, exit.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::{Ending, INTERRUPTED};
use crate::cli::logs::Screen;
use crate::runtime::Engine;

/// Whether this process was started with that signal ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// How long an exit at once waits for those who read why.
const GOODBYE: Duration = Duration::from_millis(100);
/// After so long, whoever still runs is named.
const PATIENCE: Duration = Duration::from_millis(900);

/// The signals that end a program.
#[derive(Debug)]
pub(crate) struct Ladder {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal is gone. `None`: whoever started us does not want that to matter (`nohup`).
    hangup: Option<Signal>,
}

impl Ladder {
    pub(crate) fn new() -> std::io::Result<Ladder> {
        let hangup = SignalKind::hangup();
        Ok(Ladder {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_ignored(hangup) { None } else { Some(signal(hangup)?) },
        })
    }

    /// The first signal.
    pub(crate) async fn first(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.terminate.recv() => Ending::Terminate,
            _ = async { self.hangup.as_mut()?.recv().await }, if self.hangup.is_some() => Ending::HangUp,
        }
    }

    /// Stops the engine: running applies end; a second signal cancels them; a third one ends the program on the spot.
    pub(crate) async fn stop(&mut self, engine: &Engine, screen: &Screen) {
        engine.shut_down();
        let mut named = false;
        let mut cancelled = false;
        loop {
            tokio::select! {
                // What it ended with was said where it happened.
                _ = engine.ended() => return,
                () = tokio::time::sleep(PATIENCE), if !named => {
                    named = true;
                    if let Ok(status) = engine.status().await {
                        for running in status.running {
                            screen.tell(&format!("waiting for {}: {} since {:.1?} (^C again cancels it)", running.id, running.operation, running.elapsed));
                        }
                    }
                }
                _ = self.first() => {
                    if cancelled {
                        screen.tell("exit at once");
                        screen.flush(GOODBYE);
                        std::process::exit(i32::from(INTERRUPTED));
                    }
                    cancelled = true;
                    screen.tell("cancelling what runs (^C again exits at once)");
                    engine.cancel();
                }
            }
        }
    }
}
