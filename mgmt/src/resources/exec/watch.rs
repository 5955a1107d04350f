//! The lines of a watch command as a watch.

use std::sync::Arc;

use crate::resource::{Context as _, Error, Result, Watch, WatchEvent};
use crate::resources::exec::state::State;
use crate::resources::unfold::unfold;
use crate::sys::process::{Command, LineEvent, LineStream, spawn_lines};

enum At {
    Start,
    Listening(Box<LineStream>),
    Over,
}

/// A watch that says `Changed` for each line, and notes it in the state first: a check can't tell a line from any other reason to look.
pub(super) fn lines(command: Command, state: Arc<State>) -> Watch {
    let command = Arc::new(command);
    Watch::stream(unfold(At::Start, move |at| step(at, Arc::clone(&command), Arc::clone(&state))))
}

async fn step(at: At, command: Arc<Command>, state: Arc<State>) -> Option<(Result<WatchEvent>, At)> {
    Some(match at {
        At::Start => match spawn_lines(&command).await.context("watchcmd") {
            Ok(lines) => (Ok(WatchEvent::Ready), At::Listening(Box::new(lines))),
            Err(error) => (Err(error), At::Over),
        },
        At::Listening(mut lines) => match lines.next().await {
            Some(Ok(LineEvent::Line(_))) => {
                state.line();
                (Ok(WatchEvent::Changed), At::Listening(lines))
            }
            Some(Ok(LineEvent::Ended { status, stderr })) => {
                let said = stderr.without(&command.secrets).text();
                let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
                (Err(Error::new(format!("watchcmd has ended ({status}){said}"))), At::Over)
            }
            Some(Err(error)) => (Err(error).context("watchcmd"), At::Over),
            None => return None,
        },
        At::Over => return None,
    })
}
