//! ^C, step by step: stop, cancel, exit.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::logs::Screen;
use crate::runtime::Engine;

/// After so long, whoever still runs is named.
const PATIENCE: Duration = Duration::from_millis(900);

/// The signals that end a program.
#[derive(Debug)]
pub(crate) struct Ladder {
    interrupt: Signal,
    terminate: Signal,
}

impl Ladder {
    pub(crate) fn new() -> std::io::Result<Ladder> {
        Ok(Ladder { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The first signal; what the program's exit code will be. A request from the terminal is no failure, being terminated is.
    pub(crate) async fn first(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::SUCCESS,
            _ = self.terminate.recv() => ExitCode::from(143),
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
                            screen.tell(&format!("waiting for {}: {} since {:.1?} (^C again cancels it)", running.id, running.operation, running.for_));
                        }
                    }
                }
                _ = self.first() => {
                    if cancelled {
                        screen.tell("exit at once");
                        std::process::exit(130);
                    }
                    cancelled = true;
                    screen.tell("cancelling what runs (^C again exits at once)");
                    engine.cancel();
                }
            }
        }
    }
}
