//! Shows a run: in a terminal a bar while the graph converges, then a line for each repair; elsewhere log lines.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use indicatif::ProgressStyle;

use crate::cli::bar::Line;
use crate::cli::logs::Screen;
use crate::cli::options::RunOptions;
use crate::cli::repeats::Repeats;
use crate::id::{Palette, ResourceId, Role};
use crate::resource::Change;
use crate::runtime::{EventKind, Progress};
use crate::sys::terminal;

/// The most lines of a diff that are shown.
const DIFF_LINES_MAX: usize = 8;
/// The most resources that are named while the graph converges for the first time. The rest is counted.
const NAMED_MAX: usize = 30;
/// The most resources that are named at a time because they wait for a failed one. The rest is counted.
const WAITING_MAX: usize = 5;

/// The bar comes back for an operation that takes longer than this, also after the first convergence.
const LONG: Duration = Duration::from_millis(500);

/// Shows the events and the progress of a run.
#[derive(Debug)]
pub(crate) struct View {
    screen: Screen,
    began: Instant,
    converged: bool,
    ever: bool,
    named: usize,
    repaired: usize,
    /// The resources in noop that have drifted, until the first convergence.
    left_alone: HashSet<ResourceId>,
    /// The resources with an alert that has not ended.
    alerts: HashSet<ResourceId>,
    /// The resources in noop that are owed a refresh, until the first convergence.
    owed: HashSet<ResourceId>,
    /// How many resources began to wait, and how many stopped waiting, since the bar was last redrawn.
    waiting: [usize; 2],
    /// Whether an event came since the bar was last redrawn, or operations were under way then.
    busy: bool,
    /// The converged timeout: how long everything must have been settled.
    timeout: Duration,
    greeting: Option<String>,
    /// The name of the graph.
    name: String,
    /// The width of the bar as it is drawn, in columns.
    bar: Option<usize>,
    repeats: Repeats,
    /// Whether the run ends: then nothing is tried again.
    stopping: bool,
}

impl View {
    pub(crate) fn new(screen: Screen, options: &RunOptions, greeting: Option<&String>) -> View {
        let timeout = options.converged_timeout.0;
        // In noop nothing is made, and with a timeout the program ends: then there is no result to look at.
        let greeting = greeting.filter(|_| !options.noop && !options.alert_only && timeout.is_none()).cloned();
        View {
            screen,
            began: Instant::now(),
            converged: false,
            ever: false,
            named: 0,
            repaired: 0,
            left_alone: HashSet::new(),
            alerts: HashSet::new(),
            owed: HashSet::new(),
            waiting: [0; 2],
            busy: true,
            timeout: timeout.unwrap_or_default(),
            greeting,
            name: String::new(),
            bar: None,
            repeats: Repeats::default(),
            stopping: false,
        }
    }

    /// The run of the graph with this name begins.
    pub(crate) fn start(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    /// The run ends: what fails from now on is not tried again.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
    }

    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Whether the progress must be shown: the bar must be redrawn, or the number of unnamed resources printed.
    pub(crate) fn is_moving(&self) -> bool {
        self.screen.terminal && !self.screen.quiet && (self.busy || self.waiting.iter().any(|count| *count > 0))
    }

    pub(crate) fn progress(&mut self, progress: &Progress) {
        self.tell_waiting();
        self.busy = progress.running > 0;
        if !self.screen.terminal || self.screen.quiet {
            return;
        }
        let is_long = progress.longest.as_ref().is_some_and(|running| running.elapsed >= LONG);
        if is_long || !(self.ever || self.converged) {
            let width = usize::from(terminal::width(std::io::stderr()));
            let took = (!self.ever).then(|| self.began.elapsed());
            let line = Line::new(&self.name, progress, self.repeats.len(), took, width);
            self.set_width(line.bar);
            let bar = &self.screen.bar;
            if bar.is_finished() {
                bar.reset();
            }
            bar.set_length(progress.resources as u64);
            bar.set_position(progress.settled as u64);
            bar.set_prefix(line.name);
            bar.set_message(line.message);
            if bar.is_hidden() {
                bar.set_draw_target(self.screen.draw_target());
            }
        } else if self.ever && !self.screen.bar.is_finished() {
            self.screen.bar.finish_and_clear();
        }
    }

    fn set_width(&mut self, width: usize) {
        if self.bar.replace(width) != Some(width) {
            let bar = if width > 0 { format!("{{bar:{width}}} ") } else { String::new() };
            let style = ProgressStyle::with_template(&format!("{{prefix}} {bar}{{pos}}/{{len}} settled{{wide_msg}}"));
            self.screen.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
    }

    /// Whether an alert has not ended, unless its resource has left the graph.
    pub(crate) fn has_alerts(&self) -> bool {
        !self.alerts.is_empty()
    }

    /// How long the run has taken so far, and how many resources it has repaired.
    pub(crate) fn sum(&self) -> (Duration, usize) {
        (self.began.elapsed(), self.repaired)
    }

    /// Notes which resources fail or wait. Returns whether one has recovered by itself.
    fn note(&mut self, event: &EventKind) -> bool {
        match event {
            EventKind::InSync { id, .. } => {
                let has_alert = !self.alerts.is_empty() && self.alerts.remove(id);
                return self.repeats.checked(id) || has_alert;
            }
            EventKind::Drifted { id, noop: true, alert, .. } => {
                self.repeats.checked(id);
                if *alert {
                    self.alerts.insert(id.clone());
                }
            }
            EventKind::Applied { id, .. } | EventKind::Refreshed { id, .. } => {
                self.repeats.end(id);
            }
            EventKind::Waiting { id, .. } => self.repeats.wait(id),
            EventKind::Swapped { .. } => self.repeats.clear(),
            _ => {}
        }
        false
    }

    pub(crate) fn event(&mut self, event: &EventKind) {
        self.busy = true;
        let recovered = self.note(event);
        // Most events are not shown, and there can be millions of them.
        let is_quiet =
            matches!(event, EventKind::InSync { owed: false, .. } | EventKind::Owed { .. } | EventKind::Sent { .. });
        if is_quiet && !recovered && !tracing::enabled!(tracing::Level::DEBUG) {
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
            EventKind::Drifted { alert: true, .. } => self.warn(event),
            EventKind::Drifted { id, noop: true, .. } => {
                if !self.ever {
                    self.left_alone.insert(id.clone());
                }
                self.line(event);
            }
            EventKind::Refreshed { .. } | EventKind::Left { error: None, .. } => self.line(event),
            EventKind::Undone { .. } | EventKind::HandedOver { .. } => self.line(event),
            EventKind::InSync { .. } if recovered => self.line(event),
            EventKind::Failed { id, operation, error, retry_in, .. } => {
                let left_out = match retry_in {
                    Some(_) => self.repeats.again(id, *operation, error, Instant::now()),
                    None => Some(self.repeats.end(id)),
                };
                match left_out {
                    // Nothing is tried again now.
                    Some(_) if self.stopping => self.shout(&format!("{id}: {operation} failed: {error}")),
                    Some(0) => self.shout(event),
                    Some(more) => self.shout(&format!("{event}; {more} more since the last line")),
                    None => {}
                }
            }
            EventKind::Waiting { .. } | EventKind::Flapping { .. } | EventKind::Culprit { .. } => self.warn(event),
            EventKind::Left { .. } => self.shout(event),
            // These are logged where they arise.
            EventKind::Rejected { .. } | EventKind::Warning { .. } => {}
            // A new graph that is equal to the old one is not shown.
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
        if more > 0 && !self.screen.quiet {
            self.screen.say(&format!("  … and {more} more"));
        }
        // The graph has been settled for the timeout, which is not part of the time that it took.
        let took = self.began.elapsed().saturating_sub(self.timeout);
        let mut text = format!("converged in {took:.2?}, {} changed", self.repaired);
        if !self.alerts.is_empty() {
            let count = self.alerts.len();
            text.push_str(&format!(", {count} {}", if count == 1 { "alert" } else { "alerts" }));
        }
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

    /// Names a resource that began to wait for a failed one (`which` = 0) or stopped waiting (1). Only a few are named,
    /// since there can be many.
    fn waits(&mut self, which: usize, event: &EventKind, text: String) {
        if !self.screen.terminal {
            return tracing::info!("{event}");
        }
        if self.screen.quiet {
            return;
        }
        self.waiting[which] += 1;
        if self.waiting[which] <= WAITING_MAX {
            self.screen.say(&format!("  {}", self.screen.palette.paint(Role::Aside, text)));
        }
    }

    /// Prints how many resources began or stopped waiting without being named.
    pub(crate) fn tell_waiting(&mut self) {
        for (waiting, what) in
            self.waiting.iter_mut().zip([["more waits", "more wait"], ["more waits no longer", "more wait no longer"]])
        {
            let more = std::mem::take(waiting).saturating_sub(WAITING_MAX);
            if more > 0 {
                let what = what[usize::from(more > 1)];
                let text = self.screen.palette.paint(Role::Aside, format!("… and {more} {what}"));
                self.screen.say(&format!("  {text}"));
            }
        }
    }

    fn line(&mut self, event: &EventKind) {
        if !self.screen.terminal {
            return tracing::info!("{event}");
        }
        if self.screen.quiet {
            return;
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
            EventKind::InSync { id, .. } => {
                format!("{} {id} {}", palette.paint(Role::Good, '✔'), aside("in sync again".to_owned()))
            }
            event => format!("  {event}"),
        };
        if let (true, EventKind::Applied { changes, .. } | EventKind::Drifted { changes, .. }) = (self.ever, event) {
            text.push_str(&diff(changes, palette));
        }
        self.screen.say(&text);
    }

    /// Shows what may pass by itself.
    fn warn(&self, event: &EventKind) {
        if self.screen.terminal {
            self.screen.say(&format!("{} {event}", self.screen.palette.paint(Role::Drift, '!')))
        } else {
            tracing::warn!("{event}")
        }
    }

    fn shout(&self, event: &impl std::fmt::Display) {
        if self.screen.terminal {
            self.screen.say(&format!("{} {event}", self.screen.palette.paint(Role::Error, '✘')))
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

/// The added and removed lines of the changes' diffs.
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
