//! Signals: ^C stops a run, the second one cancels it, the third one exits; and SIGHUP.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::{Ending, INTERRUPTED, has_terminal};
use crate::cli::logs::Screen;
use crate::runtime::Engine;
use crate::sys::signals::is_ignored;

/// How long an immediate exit waits until its message is written.
const GOODBYE: Duration = Duration::from_millis(100);
/// The time after which a stop names the operations that still run.
const PATIENCE: Duration = Duration::from_millis(900);

/// The signals that end a program.
#[derive(Debug)]
pub(crate) struct Ladder {
    interrupt: Signal,
    terminate: Signal,
    hangup: Hangup,
    /// Whether SIGHUP asked for a reload while the program waited for an ending signal only.
    reload: bool,
}

/// What SIGHUP means.
#[derive(Debug)]
enum Hangup {
    /// Nothing: the process was started with the signal ignored (`nohup`).
    Ignored,
    /// The terminal was closed: the program ends.
    Ends(Signal),
    /// The graph must be made again.
    Reloads(Signal),
}

/// What a signal asks a run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    End(Ending),
    Reload,
}

impl Ladder {
    pub(crate) fn new() -> std::io::Result<Ladder> {
        let hangup = SignalKind::hangup();
        Ok(Ladder {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_ignored(hangup.as_raw_value()) { Hangup::Ignored } else { Hangup::Ends(signal(hangup)?) },
            reload: false,
        })
    }

    /// The signals of a run: without a controlling terminal, SIGHUP asks for a reload.
    pub(crate) fn of_run() -> std::io::Result<Ladder> {
        let mut ladder = Ladder::new()?;
        ladder.hangup = match ladder.hangup {
            Hangup::Ends(signal) if !has_terminal() => Hangup::Reloads(signal),
            other => other,
        };
        Ok(ladder)
    }

    /// Waits for a signal that ends the program. A request for a reload is kept for [`Ladder::next`].
    pub(crate) async fn first(&mut self) -> Ending {
        loop {
            match self.any().await {
                Wanted::End(ending) => return ending,
                Wanted::Reload => self.reload = true,
            }
        }
    }

    /// Waits for the next signal. Returns at once if [`Ladder::first`] has kept a request for a reload.
    pub(crate) async fn next(&mut self) -> Wanted {
        if std::mem::take(&mut self.reload) { Wanted::Reload } else { self.any().await }
    }

    async fn any(&mut self) -> Wanted {
        let hangup = async {
            match &mut self.hangup {
                Hangup::Ignored => std::future::pending().await,
                Hangup::Ends(signal) => {
                    signal.recv().await;
                    Wanted::End(Ending::HangUp)
                }
                Hangup::Reloads(signal) => {
                    signal.recv().await;
                    Wanted::Reload
                }
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Wanted::End(Ending::Interrupt),
            _ = self.terminate.recv() => Wanted::End(Ending::Terminate),
            wanted = hangup => wanted,
        }
    }

    /// Stops the engine: running applies may end; a second signal cancels them; a third one exits the program at once.
    pub(crate) async fn stop(&mut self, engine: &Engine, screen: &Screen) {
        engine.shut_down();
        let mut named = false;
        let mut cancelled = false;
        loop {
            tokio::select! {
                // An error with which the engine ends has been reported where it happened.
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
