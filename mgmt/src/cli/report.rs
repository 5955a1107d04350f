//! The error of a command that fails: as text, as log lines, and as data.

use std::fmt;
use std::io::{self, Write as _};

use clap::ColorChoice;
use serde_json::{Value as Json, json};

use crate::cli::colour;
use crate::cli::exit::Ending;
use crate::cli::logs::Screen;
use crate::cli::options::LogFormat;
use crate::graph::{Problem, Problems};
use crate::id::{Palette, Role, Shown, harmless, harmless_in_colour};
use crate::journal::JournalError;
use crate::resource::Origin;
use crate::runtime::EngineError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{0}{remedy}", remedy = remedy(.0))]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Other(String),
    /// No instance answers at the prefix.
    #[error("{0}")]
    Absent(String),
    #[error("interrupted")]
    Interrupted(Ending),
}

/// The remedy that the command line offers, if there is one.
fn remedy(error: &EngineError) -> &'static str {
    match error {
        EngineError::Journal(JournalError::Io { .. } | JournalError::Locked { .. } | JournalError::NotOurs { .. }) => {
            "; give another directory with --prefix DIR, or --tmp-prefix"
        }
        _ => "",
    }
}

impl CommandError {
    /// As text: `error:` before each problem.
    pub(crate) fn painted(&self, palette: Palette) -> impl fmt::Display + '_ {
        Shown(move |f: &mut fmt::Formatter<'_>| match self {
            CommandError::Engine(error) => write!(f, "{}{}", error.painted(palette), remedy(error)),
            error => write!(f, "{} {error}", palette.paint(Role::Error, "error:")),
        })
    }

    /// As data: every problem, with its place if it has one.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            CommandError::Engine(EngineError::Graph(problems)) => problems.0.iter().map(problem).collect(),
            CommandError::Engine(EngineError::Gapi(why)) => {
                json!([{ "message": format!("no graph: {}", why.in_full()) }])
            }
            error => json!([{ "message": error.to_string() }]),
        }
    }

    /// As log lines: one for each problem.
    pub(crate) fn log(&self) {
        let CommandError::Engine(EngineError::Graph(problems)) = self else {
            return tracing::error!(target: "mgmt", "{self}");
        };
        for problem in &problems.0 {
            let at = problem.origin.to_string();
            match &problem.origin {
                Origin::File(span) => {
                    let (file, line, column) = (span.file.as_str(), span.line, span.column);
                    tracing::error!(target: "mgmt", at, file, line, column, "{}", problem.message);
                }
                _ => tracing::error!(target: "mgmt", at, "{}", problem.message),
            }
        }
    }
}

/// Shows the warnings about a graph: as text, or as log lines if all that is shown must be JSON.
pub(crate) fn show_warnings(warnings: &[Problem], format: LogFormat, screen: &Screen) {
    if warnings.is_empty() {
        return;
    }
    match format {
        LogFormat::Text => screen.say(&Problems(warnings.to_vec()).painted_as_warnings(screen.palette).to_string()),
        LogFormat::Json => {
            for warning in warnings {
                let span = if let Origin::File(span) = &warning.origin { Some(span) } else { None };
                let (file, line) = (span.map(|span| span.file.as_str()), span.map(|span| span.line));
                let (at, column) = (warning.origin.to_string(), span.map(|span| span.column));
                tracing::warn!(target: "mgmt", at, file, line, column, "{}", warning.message);
            }
        }
    }
}

/// A problem as data: with its place if it has one.
pub(crate) fn problem(problem: &Problem) -> Json {
    let mut data = json!({ "message": problem.message, "at": problem.origin.to_string() });
    match &problem.origin {
        Origin::File(span) => place(&mut data, &span.file, span.line, span.column),
        Origin::Source(at) => place(&mut data, at.file(), at.line() as usize, at.column() as usize),
        Origin::Host(offerer) => {
            data["host"] = json!(offerer.host);
        }
        Origin::Pass(_) | Origin::Unknown => {}
    }
    if let Some(excerpt) = &problem.excerpt {
        data["excerpt"] = json!(excerpt);
    }
    let also = problem.also.iter().map(|(what, origin)| json!({ "what": what, "at": origin.to_string() }));
    data["also"] = also.collect();
    data
}

fn place(data: &mut Json, file: &str, line: usize, column: usize) {
    data["file"] = json!(file);
    data["line"] = json!(line);
    data["column"] = json!(column);
}

/// Prints an error directly to standard error, for use without a screen.
pub(crate) fn complain(error: &CommandError, color: ColorChoice) {
    let palette = colour::palette(color, &io::stderr());
    let text = error.painted(palette).to_string();
    let text = if palette == Palette::Coloured { harmless_in_colour(&text) } else { harmless(&text) };
    // An error means that standard error is closed, and there is nowhere else to report it.
    let _ = writeln!(io::stderr(), "{text}");
}
