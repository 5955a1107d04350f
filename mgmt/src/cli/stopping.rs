//! The end of a run: operations under way may end, are cancelled at the second signal, and are abandoned at the third.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::cli::exit::Ending;
use crate::cli::signals::Ladder;
use crate::cli::view::View;
use crate::runtime::{Engine, Events, RunningStatus};

/// The time after which a stop names the operations that still run.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long operations may take to end if no second signal can be expected: the terminal was closed, or the maximum
/// runtime is over. Then they are cancelled.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait for the engine's status when the run is abandoned.
const ANSWER: Duration = Duration::from_millis(200);

/// How a run has ended.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// All operations have ended.
    Ended,
    /// Operations were abandoned, at this signal: the process must exit with this message.
    Abandoned(String, Ending),
}

/// Stops the engine. `first`: the signal that ends the run; `None`: it ends by itself. `is_limited`: no second signal
/// can be expected. `over`: ends when the maximum runtime is over, if it is not over yet.
pub(crate) async fn stop(
    engine: &Engine,
    events: &mut Events,
    view: &mut View,
    ladder: &mut Ladder,
    first: Option<Ending>,
    is_limited: bool,
    over: impl Future<Output = ()>,
) -> Stopped {
    engine.shut_down();
    view.stop();
    let began = Instant::now();
    let mut over = std::pin::pin!(over);
    let (mut is_named, mut cancelled) = (false, false);
    loop {
        tokio::select! {
            // An error with which the engine ends has been reported where it happened.
            _ = engine.ended() => return Stopped::Ended,
            Some(event) = events.next() => view.event(&event.kind),
            () = sleep_until(began + PATIENCE), if !is_named => {
                is_named = true;
                if let Ok(status) = engine.status().await {
                    for running in &status.running {
                        view.screen().tell(&still(running, first, cancelled));
                    }
                }
            }
            () = sleep_until(began + GRACE), if is_limited && !cancelled => {
                cancelled = true;
                view.screen().tell(&format!("cancelling what still runs after {} s", GRACE.as_secs()));
                engine.cancel();
            }
            () = &mut over, if !cancelled => {
                cancelled = true;
                view.screen().tell("cancelling what runs: the maximum runtime is over");
                engine.cancel();
            }
            ending = ladder.first() => {
                if cancelled {
                    return Stopped::Abandoned(abandoned(engine).await, ending);
                }
                cancelled = true;
                let next = if ending == Ending::Interrupt { " (^C again exits at once)" } else { "" };
                view.screen().tell(&format!("cancelling what runs{next}"));
                engine.cancel();
            }
        }
    }
}

/// An operation that has not ended yet.
fn still(running: &RunningStatus, first: Option<Ending>, cancelled: bool) -> String {
    let RunningStatus { id, operation, elapsed, .. } = running;
    let doing = match operation.as_str() {
        "apply" => "applying",
        "refresh" => "refreshing",
        "leave" => "leaving",
        _ => "checking",
    };
    let next = match first {
        Some(Ending::Interrupt) if cancelled => "; ^C again exits at once",
        Some(Ending::Interrupt) => "; ^C again cancels it",
        _ => "",
    };
    format!("still {doing} {id} ({elapsed:.1?}){next}")
}

/// The message with which a run is abandoned. Its commands are killed when this process has exited.
async fn abandoned(engine: &Engine) -> String {
    match tokio::time::timeout(ANSWER, engine.status()).await {
        Ok(Ok(status)) if !status.running.is_empty() => {
            let ids: Vec<_> = status.running.iter().map(|running| running.id.to_string()).collect();
            format!("exiting now; abandoned: {}", ids.join(", "))
        }
        _ => "exiting now".to_owned(),
    }
}
