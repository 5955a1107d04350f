//! What a run shows: in a terminal a bar while it converges and then a line for each repair; elsewhere plain log lines.

use std::time::{Duration, Instant};

use indicatif::{ProgressDrawTarget, ProgressStyle};

use crate::cli::logs::Screen;
use crate::resource::Change;
use crate::runtime::{EventKind, Progress};

/// So many lines of a diff are shown.
const DIFF_LINES_MAX: usize = 8;
/// So many resources are named while it converges for the first time; the rest is counted by the bar.
const NAMED_MAX: usize = 30;

/// Shows what happens.
#[derive(Debug)]
pub(crate) struct View {
    screen: Screen,
    began: Instant,
    converged: bool,
    ever: bool,
    named: usize,
    repaired: usize,
    greeting: Option<String>,
}

impl View {
    pub(crate) fn new(screen: Screen, greeting: Option<String>) -> View {
        View { screen, began: Instant::now(), converged: false, ever: false, named: 0, repaired: 0, greeting }
    }

    /// Prepares the bar.
    pub(crate) fn start(&mut self, name: &str) {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} settled {elapsed}");
        self.screen.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.screen.bar.set_prefix(name.to_owned());
    }

    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    pub(crate) fn progress(&self, progress: Progress) {
        if !self.converged && self.screen.terminal {
            let bar = &self.screen.bar;
            bar.set_length(progress.resources as u64);
            bar.set_position(progress.settled as u64);
            if bar.is_hidden() && !bar.is_finished() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
        }
    }

    pub(crate) fn event(&mut self, event: &EventKind) {
        let span = event.id().map(|id| {
            let (kind, name, event) = (id.kind.as_str(), id.name.as_str(), event.word());
            tracing::info_span!(target: "mgmt", "resource", kind, name, event)
        });
        let _entered = span.as_ref().map(tracing::Span::enter);
        match event {
            EventKind::Converged => self.set_converged(),
            EventKind::Unconverged => self.converged = false,
            EventKind::Applied { changed: true, .. } => {
                self.repaired += 1;
                self.line(event);
            }
            EventKind::Refreshed { .. } | EventKind::Drifted { noop: true, .. } => self.line(event),
            EventKind::Failed { .. } | EventKind::Flapping { .. } => self.shout(event),
            // Logged where they arise.
            EventKind::Rejected { .. } | EventKind::Warning { .. } => {}
            // A graph that was made anew and is the same is no news.
            EventKind::Swapped { generation, added, changed, removed, .. }
                if generation.0 > 1 && added + changed + removed > 0 =>
            {
                self.line(event)
            }
            EventKind::Blocked { .. } | EventKind::Unblocked { .. } => tracing::info!("{event}"),
            event => tracing::debug!("{event}"),
        }
    }

    fn set_converged(&mut self) {
        self.converged = true;
        if self.ever {
            return tracing::debug!("converged");
        }
        self.ever = true;
        self.screen.bar.finish_and_clear();
        let more = self.named.saturating_sub(NAMED_MAX);
        if more > 0 {
            self.screen.say(&format!("  … and {more} more"));
        }
        let text = format!("converged in {:.2?}, {} changed", self.began.elapsed(), self.repaired);
        self.screen.tell(&text);
        if let Some(greeting) = &self.greeting {
            self.screen.tell(greeting);
        }
    }

    fn line(&mut self, event: &EventKind) {
        if !self.screen.terminal {
            return tracing::info!("{event}");
        }
        if !self.ever {
            self.named += 1;
            if self.named > NAMED_MAX {
                return;
            }
        }
        let mut text = match event {
            EventKind::Applied { id, changes, took, refreshed, .. } => {
                let what = if *refreshed { "repaired and refreshed" } else { "repaired" };
                format!("\x1b[32m✔\x1b[0m {id} \x1b[2m{what} in {}\x1b[0m{}", short(*took), fields(changes))
            }
            EventKind::Refreshed { id, took } => {
                format!("\x1b[36m↻\x1b[0m {id} \x1b[2mrefreshed in {}\x1b[0m", short(*took))
            }
            EventKind::Drifted { id, changes, .. } => {
                format!("\x1b[33m·\x1b[0m {id} \x1b[2mdrifted (noop)\x1b[0m{}", fields(changes))
            }
            event => format!("  {event}"),
        };
        if let (true, EventKind::Applied { changes, .. } | EventKind::Drifted { changes, .. }) = (self.ever, event) {
            text.push_str(&diff(changes));
        }
        self.screen.say(&text);
    }

    fn shout(&self, event: &EventKind) {
        if self.screen.terminal {
            self.screen.say(&format!("\x1b[31m✘\x1b[0m {event}"))
        } else {
            tracing::error!("{event}")
        }
    }
}

fn short(took: Duration) -> String {
    format!("{took:.1?}")
}

fn fields(changes: &[Change]) -> String {
    let all: Vec<String> = changes.iter().take(4).map(|change| format!(" {change}")).collect();
    let more = if changes.len() > 4 { format!(" and {} more", changes.len() - 4) } else { String::new() };
    format!("{}{more}", all.join(","))
}

/// The lines of the changes' diffs that differ.
fn diff(changes: &[Change]) -> String {
    let mut text = String::new();
    let lines = changes.iter().flat_map(|change| change.diff.iter()).flat_map(|diff| diff.lines());
    let differing = lines.filter(|line| {
        (line.starts_with('+') || line.starts_with('-')) && !line.starts_with("+++") && !line.starts_with("---")
    });
    for (n, line) in differing.enumerate() {
        if n == DIFF_LINES_MAX {
            text.push_str("\n    …");
            break;
        }
        let colour = if line.starts_with('+') { "\x1b[32m" } else { "\x1b[31m" };
        text.push_str(&format!("\n    {colour}{line}\x1b[0m"));
    }
    text
}
