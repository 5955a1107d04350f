//! The format of log lines, as text or as JSON: each line names the resource whose work it comes from.

use std::fmt;

use serde_json::{Map, Value as Json};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::id::{Palette, ResourceId, Role, in_json, in_one_line};

/// The field of a span around what another host has reported: its name.
const HOST: &str = "host";

/// The format of a line. The subscriber must store the fields of spans as JSON (`JsonFields`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Text: level, resource (unless the message names it), message, other fields.
    Text(Before),
    /// One JSON object for each line: `timestamp`, `level`, `target`, `fields`, and the fields of the spans (for a
    /// resource: `kind`, `name`, `event`).
    Json,
}

/// What a line of text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// The level: in a terminal.
    Nothing,
    /// The level as a word in lower case and a colon, like the errors of a command.
    Word,
    /// The time.
    Time,
    /// The priority, as systemd's journal reads it: `<4>`. The journal has the time itself.
    Priority,
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let whose = whose(cx);
        match self {
            Form::Text(before) => text(*before, &whose, &mut out, event),
            Form::Json => json(&whose, cx, &mut out, event),
        }
    }
}

/// The fields of the spans around a line. Where two spans have the same field, the inner one counts.
fn whose<S, N>(cx: &FmtContext<'_, S, N>) -> Map<String, Json>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut whose = Map::new();
    for span in cx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<N>>().and_then(|fields| serde_json::from_str(fields).ok());
        if let Some(Json::Object(fields)) = fields {
            whose.extend(fields);
        }
    }
    whose
}

fn text(before: Before, whose: &Map<String, Json>, out: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let level = event.metadata().level();
    let (role, priority) = match *level {
        Level::ERROR => (Role::Error, 3),
        Level::WARN => (Role::Drift, 4),
        Level::INFO => (Role::Good, 6),
        Level::DEBUG | Level::TRACE => (Role::Aside, 7),
    };
    match before {
        Before::Nothing | Before::Word => {}
        Before::Time => {
            SystemTime.format_time(out)?;
            out.write_char(' ')?;
        }
        Before::Priority => write!(out, "<{priority}>")?,
    }
    let palette = if out.has_ansi_escapes() { Palette::Coloured } else { Palette::Plain };
    match before {
        Before::Word if *level == Level::WARN => write!(out, "{} ", palette.paint(role, "warning:"))?,
        Before::Word => write!(out, "{} ", palette.paint(role, format!("{level}:").to_lowercase()))?,
        _ => write!(out, "{} ", palette.paint(role, format_args!("{level:>5}")))?,
    }
    if let Some(Json::String(host)) = whose.get(HOST) {
        write!(out, "{}: ", in_one_line(host))?;
    }
    if let (Some(Json::String(kind)), Some(Json::String(name))) = (whose.get("kind"), whose.get("name")) {
        let (id, mut said) = (ResourceId::new(kind, name.as_str()).to_string(), String::new());
        DefaultFields::new().format_fields(Writer::new(&mut said), event)?;
        if !said.contains(&id) {
            write!(out, "{id}: ")?;
        }
    }
    if before == Before::Priority {
        let mut message = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut message), event)?;
        // The journal makes an entry of each line.
        return writeln!(out, "{}", message.trim_end().replace('\n', &format!("\n<{priority}>")));
    }
    DefaultFields::new().format_fields(out.by_ref(), event)?;
    writeln!(out)
}

fn json<S, N>(
    whose: &Map<String, Json>,
    cx: &FmtContext<'_, S, N>,
    out: &mut Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let (mut time, mut fields) = (String::new(), String::new());
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    cx.format_fields(Writer::new(&mut fields), event)?;
    let metadata = event.metadata();
    let of = |text: &str| Json::from(text).to_string();
    let (level, target) = (of(metadata.level().as_str()), of(metadata.target()));
    let mut line = format!("{{\"timestamp\":{},\"level\":{level},\"target\":{target},\"fields\":{fields}", of(&time));
    for (key, value) in whose {
        // A span of an own kind can have fields with these names: they must not appear twice.
        if !matches!(key.as_str(), "timestamp" | "level" | "target" | "fields") {
            line.push_str(&format!(",{}:{value}", of(key)));
        }
    }
    writeln!(out, "{}}}", in_json(&line))
}
