//! What a run shows: in a terminal a bar while it converges and then a line for each repair; elsewhere plain log lines.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use indicatif::ProgressStyle;

use crate::cli::logs::Screen;
use crate::cli::options::RunOptions;
use crate::id::{Palette, ResourceId, Role};
use crate::resource::Change;
use crate::runtime::{EventKind, Progress};

/// So many lines of a diff are shown.
const DIFF_LINES_MAX: usize = 8;
/// So many resources are named while it converges for the first time; the rest is counted by the bar.
const NAMED_MAX: usize = 30;
/// So many who wait for one that failed are named at a time; the rest is counted.
const WAITING_MAX: usize = 5;

/// What takes longer than this has a bar, also after the graph has converged for the first time.
const LONG: Duration = Duration::from_millis(500);
/// What takes longer than this is named on the bar.
const NAMED_AFTER: Duration = Duration::from_secs(1);

/// Shows what happens.
#[derive(Debug)]
pub(crate) struct View {
    screen: Screen,
    began: Instant,
    converged: bool,
    ever: bool,
    named: usize,
    repaired: usize,
    /// Who drifted and is in noop.
    left_alone: HashSet<ResourceId>,
    /// …and those that are owed a refresh which they don't get.
    owed: HashSet<ResourceId>,
    /// Who began to wait, and who waits no longer, since the bar moved last.
    waiting: [usize; 2],
    /// An event came since the bar moved last, or operations were under way then.
    busy: bool,
    /// How long all is settled before it is called converged.
    timeout: Duration,
    greeting: Option<String>,
}

impl View {
    pub(crate) fn new(screen: Screen, options: &RunOptions, greeting: Option<&String>) -> View {
        let timeout = options.converged_timeout.0;
        // Where nothing was made, or what was made is about to end, there is nothing to be invited to.
        let greeting = greeting.filter(|_| !options.noop && timeout.is_none()).cloned();
        View {
            screen,
            began: Instant::now(),
            converged: false,
            ever: false,
            named: 0,
            repaired: 0,
            left_alone: HashSet::new(),
            owed: HashSet::new(),
            waiting: [0; 2],
            busy: true,
            timeout: timeout.unwrap_or_default(),
            greeting,
        }
    }

    /// Prepares the bar.
    pub(crate) fn start(&mut self, name: &str) {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} settled{wide_msg}");
        self.screen.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.screen.bar.set_prefix(name.to_owned());
    }

    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// There is something to show that no event reports: the bar moves, or what was counted is printed.
    pub(crate) fn is_moving(&self) -> bool {
        self.screen.terminal && (self.busy || self.waiting.iter().any(|count| *count > 0))
    }

    pub(crate) fn progress(&mut self, progress: &Progress) {
        self.tell_waiting();
        self.busy = progress.running > 0;
        if !self.screen.terminal {
            return;
        }
        let is_long = progress.longest.as_ref().is_some_and(|running| running.elapsed >= LONG);
        let bar = &self.screen.bar;
        if is_long || !(self.ever || self.converged) {
            if bar.is_finished() {
                bar.reset();
            }
            bar.set_length(progress.resources as u64);
            bar.set_position(progress.settled as u64);
            bar.set_message(message(progress, (!self.ever).then(|| self.began.elapsed())));
            if bar.is_hidden() {
                bar.set_draw_target(self.screen.draw_target());
            }
        } else if self.ever && !bar.is_finished() {
            bar.finish_and_clear();
        }
    }

    /// How long the run has taken so far, and how many resources it has repaired.
    pub(crate) fn sum(&self) -> (Duration, usize) {
        (self.began.elapsed(), self.repaired)
    }

    pub(crate) fn event(&mut self, event: &EventKind) {
        self.busy = true;
        // Most events are of no interest, and there may be millions.
        let is_quiet =
            matches!(event, EventKind::InSync { owed: false, .. } | EventKind::Owed { .. } | EventKind::Sent { .. });
        if is_quiet && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
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
            EventKind::InSync { id, owed: true, .. } => {
                if !self.ever {
                    self.owed.insert(id.clone());
                }
                self.line(event);
            }
            EventKind::Drifted { id, noop: true, .. } => {
                if !self.ever {
                    self.left_alone.insert(id.clone());
                }
                self.line(event);
            }
            EventKind::Refreshed { .. } | EventKind::Left { error: None, .. } => self.line(event),
            EventKind::Failed { .. }
            | EventKind::Waiting { .. }
            | EventKind::Flapping { .. }
            | EventKind::Left { .. } => self.shout(event),
            // Logged where they arise.
            EventKind::Rejected { .. } | EventKind::Warning { .. } => {}
            // A graph that was made anew and is the same is no news.
            EventKind::Swapped { generation, added, changed, removed, .. }
                if generation.0 > 1 && added + changed + removed > 0 =>
            {
                self.line(event)
            }
            EventKind::Blocked { id, by } => self.waits(0, event, format!("{id} waits for {by}")),
            EventKind::Unblocked { id } => self.waits(1, event, format!("{id} waits no longer")),
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
        // The timeout is how long it was waited to be sure, not how long it took.
        let took = self.began.elapsed().saturating_sub(self.timeout);
        let mut text = format!("converged in {took:.2?}, {} changed", self.repaired);
        if !self.left_alone.is_empty() {
            text.push_str(&format!(", {} drifted in noop", self.left_alone.len()));
        }
        if !self.owed.is_empty() {
            text.push_str(&format!(", {} owed a refresh in noop", self.owed.len()));
        }
        for text in [Some(&text), self.greeting.as_ref()].into_iter().flatten() {
            self.screen.tell(text);
        }
    }

    /// Who waits for one that failed, or no longer does: a few are named, since there may be many.
    fn waits(&mut self, which: usize, event: &EventKind, text: String) {
        if !self.screen.terminal {
            return tracing::info!("{event}");
        }
        self.waiting[which] += 1;
        if self.waiting[which] <= WAITING_MAX {
            self.screen.say(&format!("  {}", self.screen.palette.paint(Role::Aside, text)));
        }
    }

    /// Counts who was not named.
    pub(crate) fn tell_waiting(&mut self) {
        for (waiting, what) in self.waiting.iter_mut().zip(["more wait", "more wait no longer"]) {
            let more = std::mem::take(waiting).saturating_sub(WAITING_MAX);
            if more > 0 {
                let text = self.screen.palette.paint(Role::Aside, format!("… and {more} {what}"));
                self.screen.say(&format!("  {text}"));
            }
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
        let palette = self.screen.palette;
        let aside = |text: String| palette.paint(Role::Aside, text);
        let mut text = match event {
            EventKind::Applied { id, changes, took, refreshed, .. } => {
                let what = if *refreshed { "repaired and refreshed" } else { "repaired" };
                let what = aside(format!("{what} in {}", short(*took)));
                format!("{} {id} {what}{}", palette.paint(Role::Good, '✔'), fields(changes))
            }
            EventKind::Refreshed { id, changed, took, .. } => {
                let what = match changed {
                    true => format!("refreshed in {}", short(*took)),
                    false => "asked to refresh, with nothing to do".to_owned(),
                };
                format!("{} {id} {}", palette.paint(Role::Refresh, '↻'), aside(what))
            }
            EventKind::Drifted { id, changes, .. } => {
                let what = aside("drifted (noop)".to_owned());
                format!("{} {id} {what}{}", palette.paint(Role::Drift, '·'), fields(changes))
            }
            event => format!("  {event}"),
        };
        if let (true, EventKind::Applied { changes, .. } | EventKind::Drifted { changes, .. }) = (self.ever, event) {
            text.push_str(&diff(changes, palette));
        }
        self.screen.say(&text);
    }

    fn shout(&self, event: &EventKind) {
        if self.screen.terminal {
            self.screen.say(&format!("{} {event}", self.screen.palette.paint(Role::Error, '✘')))
        } else {
            tracing::error!("{event}")
        }
    }
}

/// What stands behind the bar: what has failed, what runs longest, and how long all has taken. It is counted while
/// something runs.
fn message(progress: &Progress, took: Option<Duration>) -> String {
    let Progress { failed, blocked, .. } = progress;
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    let mut text = String::new();
    if *failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if *blocked > 0 {
        let (wait, them) = (if *blocked == 1 { "waits" } else { "wait" }, if *failed == 1 { "it" } else { "them" });
        text.push_str(&format!(", {blocked} {wait} for {them}"));
    }
    match &progress.longest {
        Some(running) if running.elapsed >= NAMED_AFTER || took.is_none() => {
            text.push_str(&format!(", {} {}", running.id, seconds(running.elapsed)));
        }
        _ => {}
    }
    if let Some(took) = took {
        text.push_str(&format!(", {}", seconds(took)));
    }
    text
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
fn diff(changes: &[Change], palette: Palette) -> String {
    let mut text = String::new();
    let lines = changes.iter().flat_map(|change| change.diff.iter()).flat_map(|diff| diff.split_terminator('\n'));
    let differing = lines.filter(|line| {
        (line.starts_with('+') || line.starts_with('-')) && !line.starts_with("+++") && !line.starts_with("---")
    });
    for (n, line) in differing.enumerate() {
        if n == DIFF_LINES_MAX {
            text.push_str("\n    …");
            break;
        }
        let role = if line.starts_with('+') { Role::Good } else { Role::Removed };
        text.push_str(&format!("\n    {}", palette.paint(role, line)));
    }
    text
}
