//! Shows a run on many hosts: each line begins with the name of its host; in a terminal, the hosts at work are below.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::ProgressStyle;
use serde_json::{Value as Json, json};

use crate::cli::logs::Screen;
use crate::cli::options::RunOptions;
use crate::cli::remote::bars::{Doing, lines};
use crate::cli::sum::tell_failed;
use crate::cli::view::View;
use crate::id::{in_json, in_one_line};
use crate::remote::{FleetEnded, FleetReport, HostEnded, HostReport, HowEnded, Report, Verdict};
use crate::runtime::{EventKind, Status};
use crate::sys::terminal;

/// The widest column of names.
const COLUMN_MAX: usize = 24;
/// An operation that takes longer than this has a line below also when its host has converged.
const LONG: Duration = Duration::from_millis(500);

/// The most hosts without a turn that are named.
const WAITING_MAX: usize = 20;
/// What is shown instead of hosts.
pub(super) const EMPTY: &str = "the list of hosts is empty";

/// One host as it is shown.
struct HostView {
    view: View,
    /// `None`: it has nothing to do now.
    doing: Option<Doing>,
    /// Whether its graph has converged since it was connected to.
    has_converged: bool,
    has_ended: bool,
    /// Whether what its run has changed is put back.
    is_put_back: bool,
}

/// Shows a run on many hosts.
pub(crate) struct RemoteView {
    screen: Screen,
    options: RunOptions,
    hosts: BTreeMap<String, HostView>,
    column: usize,
    began: Instant,
    /// Whether events are printed as JSON, and not shown.
    is_json: bool,
    is_stopping: bool,
}

impl RemoteView {
    pub(crate) fn new(screen: Screen, options: &RunOptions, is_json: bool) -> RemoteView {
        let (hosts, options) = (BTreeMap::new(), options.clone());
        RemoteView { screen, options, hosts, column: 0, began: Instant::now(), is_json, is_stopping: false }
    }

    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// The run ends: what fails from now on is not tried again.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
        self.hosts.values_mut().for_each(|host| host.view.stop());
    }

    /// Shows a report. Returns it as data, if that is printed.
    pub(crate) fn report(&mut self, report: &FleetReport) -> Option<String> {
        match report {
            FleetReport::Host { host, what } => {
                self.host_report(host, what);
                self.data(host, what)
            }
            FleetReport::Listed(names) => {
                self.hosts.retain(|name, _| names.contains(name));
                let width = |name: &String| in_one_line(name).chars().count();
                self.column = names.iter().map(width).max().unwrap_or_default().min(COLUMN_MAX);
                for name in names {
                    self.add(name);
                }
                if names.is_empty() {
                    self.screen.tell(EMPTY);
                }
                None
            }
            FleetReport::Unlisted(error) => {
                self.screen.complain(&format!("the new list of hosts is refused, the old one stays in force: {error}"));
                None
            }
            FleetReport::Stopping(verdict) => {
                self.stop();
                let took = self.began.elapsed();
                match verdict {
                    // A single host has reported it.
                    Verdict::Converged if self.hosts.len() == 1 => {}
                    Verdict::Converged => self.screen.tell(&format!("all hosts have converged in {took:.2?}")),
                    _ => self.screen.complain("not all hosts can converge"),
                }
                None
            }
        }
    }

    fn add(&mut self, name: &str) {
        if !self.hosts.contains_key(name) {
            // With a timeout of its own a host reports the end by itself: the view must not subtract it twice.
            let mut view = View::new(self.screen.of_host(name, self.column), &self.options, None);
            if self.is_stopping {
                view.stop();
            }
            let host = HostView { view, doing: None, has_converged: false, has_ended: false, is_put_back: false };
            self.hosts.insert(name.to_owned(), host);
        }
    }

    fn host_report(&mut self, name: &str, what: &HostReport) {
        let (is_json, is_stopping) = (self.is_json, self.is_stopping);
        // A host that has left the list still reports its end.
        self.add(name);
        let Some(host) = self.hosts.get_mut(name) else { return };
        let span = tracing::info_span!(target: "mgmt", "host", host = name);
        let _entered = span.enter();
        let screen = host.view.screen().clone();
        match what {
            HostReport::Connecting => {
                // Another run begins there, which converges again.
                let mut view = View::new(self.screen.of_host(name, self.column), &self.options, None);
                if is_stopping {
                    view.stop();
                }
                host.doing = Some(Doing::Step("connecting".to_owned()));
                (host.view, host.has_converged, host.has_ended, host.is_put_back) = (view, false, false, false);
            }
            HostReport::Report(report) => host.report(report, is_json),
            HostReport::Status(status) => {
                if status.hopeless {
                    tell_hopeless(status, &screen);
                }
            }
            HostReport::Swapped(Ok(())) => tracing::debug!("another graph is in force"),
            HostReport::Swapped(Err(error)) => {
                screen.complain(&format!("the new graph is refused, the old one continues to run: {error}"));
            }
            HostReport::Leaving => screen.tell("no longer in the list of hosts: stopping"),
            HostReport::Ended(ended) => {
                (host.doing, host.has_ended) = (None, ended.again_in.is_none());
                host.view.tell_waiting();
                if let Err(error) = &ended.outcome {
                    let next = match ended.again_in {
                        Some(pause) => format!("; connecting again in {} s", pause.as_secs()),
                        None => String::new(),
                    };
                    screen.complain(&format!("{error}{next}"));
                }
            }
        }
    }

    /// The report as a line of JSON.
    fn data(&self, name: &str, what: &HostReport) -> Option<String> {
        if !self.is_json {
            return None;
        }
        let mut data = match what {
            HostReport::Connecting => json!({ "event": "connecting" }),
            HostReport::Leaving => json!({ "event": "leaving" }),
            HostReport::Report(report) => reported(report)?,
            HostReport::Ended(ended) => json!({
                "event": "host_ended",
                "code": ended.code(),
                "how": ended.outcome.as_ref().ok().map(|ended| ended.how),
                "error": ended.outcome.as_ref().err().map(ToString::to_string),
                "again_in": ended.again_in.map(|pause| pause.as_secs()),
            }),
            HostReport::Swapped(Err(error)) => json!({ "event": "rejected", "problems": error.to_string() }),
            _ => return None,
        };
        data["host"] = json!(name);
        Some(in_json(&format!("{data}\n")).into_owned())
    }

    /// Whether the lines below must be drawn.
    pub(crate) fn is_drawn(&self) -> bool {
        self.screen.terminal && !self.screen.quiet
    }

    /// Draws the lines of the hosts at work.
    pub(crate) fn draw(&mut self) {
        let is_busy = |host: &HostView| match &host.doing {
            Some(Doing::Graph(progress)) if host.has_converged => {
                progress.longest.as_ref().is_some_and(|running| running.elapsed >= LONG)
            }
            doing => doing.is_some(),
        };
        let busy: Vec<_> = self.hosts.iter().filter(|(_, host)| is_busy(host)).collect();
        let busy: Vec<_> =
            busy.into_iter().filter_map(|(name, host)| Some((name.as_str(), host.doing.as_ref()?))).collect();
        let bar = &self.screen.bar;
        if busy.is_empty() {
            if !bar.is_finished() {
                bar.finish_and_clear();
            }
            return;
        }
        let done = self.hosts.values().filter(|host| host.has_ended || host.has_converged).count();
        let text = lines(&busy, done, self.hosts.len(), usize::from(terminal::width(std::io::stderr())));
        if bar.is_finished() {
            bar.reset();
        }
        if bar.is_hidden() {
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_draw_target(self.screen.draw_target());
        }
        bar.set_message(text);
        bar.tick();
    }

    /// Shows how each host has ended.
    pub(crate) fn sum(&self, ended: &FleetEnded) {
        self.screen.bar.finish_and_clear();
        if let Some(error) = &ended.error {
            self.screen.complain(&format!("no hosts: {error}"));
        }
        for (name, of_host) in &ended.hosts {
            let screen = self.screen.of_host(name, self.column);
            let changes = self.hosts.get(name).map_or_else(String::new, HostView::changes);
            let span = tracing::info_span!(target: "mgmt", "host", host = name.as_str());
            let _entered = span.enter();
            let (text, is_good) = conclusion(of_host, ended.verdict, &changes);
            // What a single host reports last is shown already.
            let is_shown = !self.is_json && self.hosts.get(name).is_some_and(|host| host.has_converged);
            if self.hosts.len() == 1 && of_host.outcome.is_err() {
                continue;
            }
            if is_good && is_shown && self.hosts.len() == 1 && text.starts_with("converged") {
                continue;
            }
            if is_good { screen.tell(&text) } else { screen.complain(&text) }
        }
        if !ended.waiting.is_empty() {
            let names: Vec<_> = ended.waiting.iter().take(WAITING_MAX).map(|name| in_one_line(name)).collect();
            let more = match ended.waiting.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.screen.complain(&format!("had no turn: {}{more}", names.join(", ")));
        }
    }
}

impl HostView {
    /// What became of the changes there.
    fn changes(&self) -> String {
        match (self.is_put_back, self.view.sum().1) {
            (true, _) => ", what was changed is put back".to_owned(),
            (false, changed) => format!(", {changed} changed"),
        }
    }

    fn report(&mut self, report: &Report, is_json: bool) {
        match report {
            Report::Hello(hello) => {
                let arch = in_one_line(&hello.arch);
                tracing::debug!("mgmt {} runs there as process {} ({arch})", in_one_line(&hello.version), hello.pid);
                self.doing = Some(Doing::Step("starting".to_owned()));
            }
            Report::Hopeless(status) => tell_hopeless(status, self.view.screen()),
            Report::Left(run) => self.view.screen().tell(&format!("left there: {run}")),
            Report::Attached(run) => self.view.screen().tell(&format!("attached: {run}")),
            Report::Started => self.doing = Some(Doing::Step("running".to_owned())),
            Report::Event(event) => {
                self.has_converged |= event.kind == EventKind::Converged;
                if !is_json {
                    self.view.event(&event.kind);
                }
            }
            Report::Confirmed => self.view.screen().tell("confirmed: what was changed stays"),
            Report::PuttingBack => {
                self.is_put_back = true;
                self.view.screen().complain("not confirmed: putting back what was changed");
            }
            Report::Missed(count) => tracing::debug!("{count} reports were left out: they came too fast"),
            Report::Progress(progress) => {
                self.view.tell_waiting();
                self.doing = Some(Doing::Graph(progress.clone()));
            }
            Report::Log(line) => self.view.screen().tell(&format!("| {}", in_one_line(line))),
            Report::Warning(note) => tracing::warn!(target: "mgmt", "{note}"),
        }
    }
}

fn tell_hopeless(status: &Status, screen: &Screen) {
    screen.complain("the graph can't converge:");
    tell_failed(status, screen);
}

/// A report as data. `None`: it is not printed.
fn reported(report: &Report) -> Option<Json> {
    match report {
        Report::Event(event) => serde_json::to_value(event).ok(),
        Report::Started => Some(json!({ "event": "started" })),
        Report::Confirmed => Some(json!({ "event": "confirmed" })),
        Report::PuttingBack => Some(json!({ "event": "putting_back" })),
        Report::Left(run) => Some(json!({ "event": "left", "run": run })),
        Report::Attached(run) => Some(json!({ "event": "attached", "run": run })),
        Report::Missed(count) => Some(json!({ "event": "missed", "reports": count })),
        Report::Log(line) => Some(json!({ "event": "log", "line": line })),
        Report::Warning(note) => Some(json!({ "event": "warning", "message": note.to_string() })),
        _ => None,
    }
}

/// How a host has ended, in a line; and whether that is well.
fn conclusion(ended: &HostEnded, verdict: Option<Verdict>, changes: &str) -> (String, bool) {
    let outcome = match &ended.outcome {
        Err(error) => return (format!("failed: {error}"), false),
        Ok(outcome) => outcome,
    };
    let how = match outcome.how {
        HowEnded::Stopped if verdict == Some(Verdict::Converged) => "converged",
        HowEnded::Stopped => "stopped",
        HowEnded::Converged => "converged",
        HowEnded::Confirmed => "converged and confirmed, by another connection",
        HowEnded::Hopeless => "can't converge",
        HowEnded::MaxRuntime => "ended after the maximum runtime",
        HowEnded::Exit => "ended by a resource",
        HowEnded::Detached => return ("runs on there".to_owned(), true),
        HowEnded::StoppedThere => "stopped on that host",
        _ => "ended",
    };
    let alerts = match ended.alerts {
        0 => String::new(),
        1 => ", 1 alert".to_owned(),
        alerts => format!(", {alerts} alerts"),
    };
    let code = ended.code();
    let code_text = if code > 0 { format!(" (exit code {code})") } else { String::new() };
    (format!("{how}{changes}{alerts}{code_text}"), code == 0)
}
