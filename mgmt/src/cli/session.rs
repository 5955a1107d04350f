//! One run of a program's command line: what every command is given, and how it fails.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::graphviz::Picture;
use crate::cli::options::RunOptions;
use crate::cli::prefix;
use crate::gapi::Gapi;
use crate::graph::Kinds;
use crate::journal::JournalError;
use crate::resource::Provisions;
use crate::runtime::{Builder, Engine, EngineError, Prefix};

/// Why a command fails, for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{0}{remedy}", remedy = remedy(.0))]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Other(String),
    #[error("interrupted")]
    Interrupted,
}

/// What the command line can do about it.
fn remedy(error: &EngineError) -> &'static str {
    match error {
        EngineError::Journal(JournalError::Io { .. } | JournalError::Locked { .. } | JournalError::NotOurs { .. }) => {
            "; give another directory with --prefix DIR, or --tmp-prefix"
        }
        _ => "",
    }
}

/// A program and the options that it was started with.
#[derive(Debug)]
pub(crate) struct Session {
    /// The program's name, and the graph's.
    pub(crate) name: String,
    /// The kinds that the program has named.
    pub(crate) kinds: Kinds,
    /// A line to print once the graph has converged for the first time.
    pub(crate) greeting: Option<String>,
    /// What the program gives its kinds.
    pub(crate) provisions: Provisions,
    /// The whole command line that the program understands.
    pub(crate) command_line: clap::Command,
    /// The options of this run.
    pub(crate) options: RunOptions,
}

impl Session {
    /// An engine's settings from the options.
    pub(crate) fn builder<G: Gapi>(&self, prefix: &Path, gapi: G) -> Builder<G> {
        let options = &self.options;
        let mut builder = Engine::builder().gapi(gapi).prefix(prefix);
        if let Some(picture) = Picture::new(options) {
            let picture = Arc::new(picture);
            builder = builder.inspect(move |prepared| {
                let picture = Arc::clone(&picture);
                async move { picture.draw(prepared.config()).await }
            });
        }
        builder = builder
            .name(&self.name)
            .measure(options.metrics.is_some())
            .noop(options.noop)
            .autoedge(!options.no_autoedges)
            .autogroup(!options.no_autogroup)
            .no_watch(options.no_watch)
            .provisions(self.provisions.clone());
        if let Some(hostname) = &options.hostname {
            builder = builder.hostname(hostname);
        }
        if let Some(running) = options.sema {
            builder = builder.running_max(running as usize);
        }
        builder
    }

    /// The working directory that the options ask for. Nothing is made if only `looking`.
    pub(crate) fn prefix(&self, looking: bool) -> io::Result<Prefix> {
        prefix::choose(&self.options, &self.name, looking)
    }
}

/// Writes to standard output; that nobody reads it any more is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints the error; the exit code is 1.
pub(crate) fn fail(error: &CommandError) -> ExitCode {
    // A closed standard error can't be told about.
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(1)
}
