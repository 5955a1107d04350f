//! Log lines, and the screen that they share with the progress bar.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;

use crate::cli::colour;
use crate::cli::log_format::{Before, Form};
use crate::cli::options::{LogFormat, RunOptions};
use crate::cli::outlet::{Canvas, Outlet};
use crate::id::{Palette, harmless, harmless_in_colour};
use crate::sys::terminal;

/// Standard error: a terminal with a progress bar, or a stream of lines.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    /// Hidden if standard error is no terminal, and until there is something to show. Clones are the same bar.
    pub(crate) bar: ProgressBar,
    pub(crate) terminal: bool,
    /// Whether a terminal shows only warnings and errors. Elsewhere the log's filter does that.
    pub(crate) quiet: bool,
    /// The palette of standard error.
    pub(crate) palette: Palette,
    outlet: Outlet,
    /// The bar that is drawn: another one than `bar` if that is hidden for good.
    drawn: ProgressBar,
    /// What each line begins with: the name of a host.
    prefix: String,
}

impl Screen {
    pub(crate) fn new(options: &RunOptions) -> Screen {
        let is_text = options.log == LogFormat::Text;
        let palette = if is_text { colour::palette(options.color, &io::stderr()) } else { Palette::Plain };
        let terminal = is_text && colour::has_screen();
        let quiet = terminal && options.quiet;
        let bar = ProgressBar::hidden();
        let (drawn, prefix) = (bar.clone(), String::new());
        Screen { bar, terminal, quiet, palette, outlet: Outlet::default(), drawn, prefix }
    }

    /// The same screen for one of many hosts: the lines begin with its name, and it has no bar of its own.
    #[cfg(feature = "ssh")]
    pub(crate) fn of_host(&self, name: &str, width: usize) -> Screen {
        let name = format!("{:<width$}", crate::id::in_one_line(name));
        let prefix = format!("{} ", self.palette.paint(crate::id::Role::Place, name));
        Screen { bar: ProgressBar::hidden(), prefix, ..self.clone() }
    }

    /// The target on which the bar draws.
    pub(crate) fn draw_target(&self) -> ProgressDrawTarget {
        ProgressDrawTarget::term_like(Box::new(Canvas::new(self.outlet.clone())))
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        self.outlet.flush(limit);
    }

    /// Shows a message to the user, unless the screen is quiet; without a terminal, it is a log line of level info.
    pub(crate) fn tell(&self, text: &str) {
        match self.terminal {
            true if self.quiet => {}
            true => self.say(text),
            false => tracing::info!(target: "mgmt", "{text}"),
        }
    }

    /// Shows a failure to the user; without a terminal, it is a log line of level error.
    pub(crate) fn complain(&self, text: &str) {
        if self.terminal { self.say(text) } else { tracing::error!(target: "mgmt", "{text}") }
    }

    /// Writes lines above the bar, after the output that still waits. Control characters are escaped, except colours if
    /// the palette has them.
    pub(crate) fn say(&self, text: &str) {
        let text = if self.palette == Palette::Coloured { harmless_in_colour(text) } else { harmless(text) };
        let text = match self.prefix.as_str() {
            "" => format!("{text}\n"),
            prefix => text.split('\n').map(|line| format!("{prefix}{line}\n")).collect(),
        };
        self.drawn.suspend(|| self.outlet.write(text.into_bytes()));
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Lines;
    fn make_writer(&'a self) -> Lines {
        Lines { screen: self.clone(), line: Vec::new() }
    }
}

/// Collects one log line and writes it at once.
pub(crate) struct Lines {
    screen: Screen,
    line: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        self.screen.say(text.trim_end_matches('\n'));
    }
}

/// Sends log lines to the screen. `RUST_LOG` selects which, otherwise `-v` and `-q`. A program that has set up its own
/// logging keeps it.
///
/// `is_run`: whether this is a run; the lines of the other commands look like their errors.
pub(crate) fn start(options: &RunOptions, screen: &Screen, is_run: bool) {
    let level = match options.verbose {
        0 if options.quiet => "warn",
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|wanted| !wanted.trim().is_empty());
    let filter = wanted.and_then(|wanted| EnvFilter::try_new(wanted).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(format!("{level},hyper=info")));
    let is_coloured = screen.palette == Palette::Coloured;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(screen.clone()).with_ansi(is_coloured);
    let form = match options.log {
        LogFormat::Json => Form::Json,
        LogFormat::Text => Form::Text(if is_run { before(screen) } else { Before::Word }),
    };
    // An error means that the program has set its own subscriber, which stays.
    let _ = lines.fmt_fields(JsonFields::new()).event_format(form).try_init();
}

/// What log lines begin with.
fn before(screen: &Screen) -> Before {
    let is_journal = || std::env::var("JOURNAL_STREAM").is_ok_and(|name| terminal::is_journal(io::stderr(), &name));
    match screen.terminal {
        true => Before::Nothing,
        false if is_journal() => Before::Priority,
        false => Before::Time,
    }
}
