//! The lines of a watch command as a watch.

use std::sync::Arc;

use crate::resource::{Context as _, Error, Result, Watch, WatchEvent};
use crate::resources::exec::state::State;
use crate::sys::process::{Command, LineEvent, LineStream, spawn_lines};

enum At {
    Start,
    Listening(Box<LineStream>),
}

/// A watch that reports `Changed` for each line, and first counts the line in the state: a check can't distinguish a
/// line from other causes.
pub(super) fn lines(command: Command, state: Arc<State>) -> Watch {
    let command = Arc::new(command);
    Watch::unfold(At::Start, move |at| step(at, Arc::clone(&command), Arc::clone(&state)))
}

async fn step(at: At, command: Arc<Command>, state: Arc<State>) -> Result<(WatchEvent, At)> {
    let mut lines = match at {
        At::Start => {
            let lines = spawn_lines(&command).await.context("watchcmd")?;
            return Ok((WatchEvent::Ready, At::Listening(Box::new(lines))));
        }
        At::Listening(lines) => lines,
    };
    match lines.next().await.transpose().context("watchcmd")? {
        Some(LineEvent::Line(_)) => {
            state.line();
            Ok((WatchEvent::Changed, At::Listening(lines)))
        }
        Some(LineEvent::Ended { status, stderr }) => {
            let text = stderr.without(&command.secrets).text();
            let text = if text.trim().is_empty() { String::new() } else { format!(": {}", text.trim()) };
            Err(Error::new(format!("watchcmd has ended ({status}){text}")))
        }
        None => Err(Error::new("watchcmd has ended")),
    }
}
