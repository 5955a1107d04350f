//! The answers of a running instance as text.

use std::fmt::Write as _;
use std::time::Duration;

use crate::id::{Palette, ResourceId, Role};
use crate::resource::Change;
use crate::runtime::control::{EdgeReport, EngineReport, EventReport, ResourceReport, WhyReport};
use crate::sys::clock;

/// At most this many changes of a resource are shown.
const CHANGES_MAX: usize = 8;

/// A length of time for people: `0.25 s`, `12 s`, `3m 5s`, `2h 7m`, `3d 4h`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{:.2} s", time.as_secs_f64()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn named(ids: &[ResourceId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The engine in one line.
pub(crate) fn engine_line(engine: &EngineReport, palette: Palette) -> String {
    let EngineReport { resources, settled, failed, .. } = engine;
    let state = match engine {
        EngineReport { paused: true, .. } => palette.paint(Role::Drift, "paused"),
        EngineReport { converged: true, .. } => palette.paint(Role::Good, "converged"),
        EngineReport { hopeless: true, .. } => palette.paint(Role::Error, "can't converge"),
        _ => palette.paint(Role::Drift, "converging"),
    };
    let failed = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
    let (name, up) = (crate::id::in_one_line(&engine.graph), span(engine.up));
    let aside = format!("graph {}, process {}, running for {up}", engine.generation, engine.pid);
    let others = match &engine.cluster {
        Some(why) => format!("  other hosts: {}\n", crate::id::in_one_line(why)),
        None => String::new(),
    };
    format!("{name}: {state}, {settled} of {resources} settled{failed} ({aside})\n{others}")
}

/// The state of a resource in words.
fn state(resource: &ResourceReport) -> String {
    let mut text = match (resource.state.as_str(), &resource.operation) {
        ("running", Some(operation)) => match operation.as_str() {
            "watch" => "waiting until its watch listens".to_owned(),
            "wait" => "waiting to be checked again".to_owned(),
            operation => format!("running: {operation}"),
        },
        ("noop", _) => "drifted, noop".to_owned(),
        (state, _) => state.replace('_', " "),
    };
    if !resource.by.is_empty() {
        let _ = write!(text, ": {}", named(&resource.by));
    }
    if let Some(since) = resource.since {
        let _ = write!(text, ", for {}", span(since));
    }
    text
}

fn mark(state: &str, palette: Palette) -> String {
    match state {
        "settled" => palette.paint(Role::Good, '✔').to_string(),
        "failed" => palette.paint(Role::Error, '✘').to_string(),
        "retrying" | "waiting" | "blocked" => palette.paint(Role::Drift, '!').to_string(),
        "noop" => palette.paint(Role::Drift, '·').to_string(),
        _ => palette.paint(Role::Aside, '…').to_string(),
    }
}

/// The state of a resource: one line, and further ones where there is something to say.
pub(crate) fn resource_lines(resource: &ResourceReport, palette: Palette) -> String {
    let aside = |text: String| palette.paint(Role::Aside, text).to_string();
    let mut text = format!("{} {}  {}\n", mark(&resource.state, palette), resource.id, aside(state(resource)));
    if let Some(error) = &resource.error {
        let _ = writeln!(text, "    {}", palette.paint(Role::Error, error.replace('\n', "\n    ")));
    }
    if let Some(cause) = &resource.waits_for {
        let _ = writeln!(text, "    waits for: {cause}");
    }
    changes(&mut text, &resource.changes);
    if let Some(next) = resource.next_try {
        let _ = writeln!(text, "    next try in {}", span(next));
    }
    if let Some(dir) = &resource.dir {
        let _ = writeln!(text, "    {}", aside(format!("its files: {}", dir.display())));
    }
    text
}

fn changes(text: &mut String, changes: &[Change]) {
    for change in changes.iter().take(CHANGES_MAX) {
        let _ = writeln!(text, "    {change}");
        for line in change.diff.iter().flat_map(|diff| diff.lines()) {
            let _ = writeln!(text, "      {line}");
        }
    }
    if changes.len() > CHANGES_MAX {
        let _ = writeln!(text, "    … and {} more", changes.len() - CHANGES_MAX);
    }
}

/// The time of an event, by the clock of this machine, which is that of the engine.
fn moment(event: &EventReport) -> String {
    clock::wall().checked_sub(event.ago).map(clock::rfc3339).unwrap_or_default()
}

/// An event: one line, and a second one with its cause.
pub(crate) fn event_lines(event: &EventReport, palette: Palette) -> String {
    let mut text = format!("{} {}\n", palette.paint(Role::Aside, moment(event)), event.text);
    if event.asked || !event.because.is_empty() {
        let _ = writeln!(text, "    {}", palette.paint(Role::Aside, format!("because {}", event.why)));
    }
    text
}

fn edge_line(edge: &EdgeReport, notified: &str, palette: Palette) -> String {
    let mut text = format!("    {} {}  ", mark(&edge.state, palette), edge.id);
    let mut about = vec![edge.state.replace('_', " ")];
    if edge.notify {
        about.push(notified.to_owned());
    }
    if !edge.fields.is_empty() {
        about.push(format!("its value goes to {}", edge.fields.join(", ")));
    }
    let about = format!("{} ({})", about.join(", "), edge.at);
    let _ = writeln!(text, "{}", palette.paint(Role::Aside, about));
    text
}

fn edges(text: &mut String, heading: &str, edges: &[EdgeReport], more: usize, notified: &str, palette: Palette) {
    if edges.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {heading}:");
    edges.iter().for_each(|edge| text.push_str(&edge_line(edge, notified, palette)));
    if more > 0 {
        let _ = writeln!(text, "    … and {more} more");
    }
}

/// Why a resource is in its state.
pub(crate) fn why_lines(why: &WhyReport, palette: Palette) -> String {
    let resource = &why.resource;
    let mut text = resource_lines(resource, palette);
    if resource.state == "gone" {
        text.push_str("  it is not in the graph any more\n");
    }
    if !resource.at.is_empty() {
        let _ = writeln!(text, "  declared at {}", resource.at);
    }
    if let Some(next) = resource.next_poll {
        let _ = writeln!(text, "  polled in {}", span(next));
    }
    edges(&mut text, "after", &why.after, why.after_more, "its changes refresh this", palette);
    edges(&mut text, "before", &why.before, why.before_more, "refreshed by changes of this", palette);
    for (ids, what) in [(&why.owed_by, "owed a refresh by"), (&why.owes, "owes a refresh to")] {
        if !ids.is_empty() {
            let _ = writeln!(text, "  {what} {}", named(ids));
        }
    }
    if !why.events.is_empty() {
        text.push_str("  events:\n");
    }
    let own = format!("{}: ", resource.id);
    for event in &why.events {
        let what = event.text.strip_prefix(&own).unwrap_or(&event.text);
        let when = format!("{} ({} ago)", moment(event), span(event.ago));
        let because = if event.why.is_empty() { String::new() } else { format!("; checked because {}", event.why) };
        let _ =
            writeln!(text, "    {} {what}{}", palette.paint(Role::Aside, when), palette.paint(Role::Aside, because));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_two_parts_at_most() {
        for (millis, text) in [
            (0, "0.00 s"),
            (250, "0.25 s"),
            (12_900, "12 s"),
            (185_000, "3m 5s"),
            (7_620_000, "2h 7m"),
            (273_600_000, "3d 4h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_resource_in_trouble_is_shown_with_its_error_and_its_next_try() {
        let data = serde_json::json!({
            "id": "exec[x]", "state": "retrying", "since": 12, "error": "exit code 3\nbye", "next_try": 5,
            "changes": [{ "field": "cmd", "from": "a", "to": "b", "diff": "-a\n+b" }],
        });
        let resource: ResourceReport = serde_json::from_value(data).unwrap();
        let expected = "! exec[x]  retrying, for 12 s\n    exit code 3\n    bye\n    cmd: a → b\n      -a\n      +b\n    next try in 5 s\n";
        assert_eq!(resource_lines(&resource, Palette::Plain), expected);
    }
}
