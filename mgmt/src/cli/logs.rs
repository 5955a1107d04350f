//! Log lines, and the screen that they share with the progress bar.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;

use crate::cli::colour;
use crate::cli::log_format::Form;
use crate::cli::options::{LogFormat, RunOptions};
use crate::cli::outlet::{Canvas, Outlet};
use crate::id::{Palette, harmless, harmless_in_colour};

/// Standard error: a terminal with a progress bar, or just lines.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    /// Hidden if this is no terminal, and before there is something to show. Clones are the same bar.
    pub(crate) bar: ProgressBar,
    pub(crate) terminal: bool,
    /// The colours that it takes.
    pub(crate) palette: Palette,
    outlet: Outlet,
}

impl Screen {
    pub(crate) fn new(options: &RunOptions) -> Screen {
        let is_text = options.log == LogFormat::Text;
        let palette = if is_text { colour::palette(options.color, &io::stderr()) } else { Palette::Plain };
        let terminal = is_text && colour::has_screen();
        Screen { bar: ProgressBar::hidden(), terminal, palette, outlet: Outlet::default() }
    }

    /// What the bar is drawn on.
    pub(crate) fn draw_target(&self) -> ProgressDrawTarget {
        ProgressDrawTarget::term_like(Box::new(Canvas::new(self.outlet.clone())))
    }

    /// Waits until all is written, no longer than that.
    pub(crate) fn flush(&self, limit: Duration) {
        self.outlet.flush(limit);
    }

    /// Tells the user something: a log line where there is no terminal.
    pub(crate) fn tell(&self, text: &str) {
        if self.terminal { self.say(text) } else { tracing::info!(target: "mgmt", "{text}") }
    }

    /// Tells the user of something that has failed.
    pub(crate) fn complain(&self, text: &str) {
        if self.terminal { self.say(text) } else { tracing::error!(target: "mgmt", "{text}") }
    }

    /// Writes lines above the bar, when those who read have taken what came before. What a terminal would obey is
    /// escaped, but colours where there are any.
    pub(crate) fn say(&self, text: &str) {
        let text = if self.palette == Palette::Coloured { harmless_in_colour(text) } else { harmless(text) };
        self.bar.suspend(|| self.outlet.write(format!("{text}\n").into_bytes()));
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

/// Sends log lines to the screen. `RUST_LOG` says which, else `-v`. A program that has set up its own logging keeps it.
pub(crate) fn start(options: &RunOptions, screen: &Screen) {
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
        LogFormat::Text => Form::Text { time: !screen.terminal },
    };
    // An error means that a subscriber is set already: it stays.
    let _ = lines.fmt_fields(JsonFields::new()).event_format(form).try_init();
}
