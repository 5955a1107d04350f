//! The commands other than `run`.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::adjust::Adjusted;
use crate::cli::app::App;
use crate::cli::ladder::Ladder;
use crate::cli::options::{Command, GraphFormat, LogFormat, Options, RunOptions};
use crate::cli::{logs, papers, prefix, run, svg};
use crate::gapi::Gapi;
use crate::graph::GraphConfig;
use crate::journal::JournalError;
use crate::runtime::{Builder, Engine, EngineError};

/// Exit code of a plan with something to do.
const PENDING: u8 = 2;

/// Exit code of a plan, a check, a picture that was given up.
const INTERRUPTED: u8 = 130;
/// So long is waited for what was given up.
const SHUTDOWN: Duration = Duration::from_millis(300);

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
        EngineError::Journal(JournalError::Io { .. } | JournalError::Locked { .. }) => {
            "; give another directory with --prefix DIR, or --tmp-prefix"
        }
        _ => "",
    }
}

/// Does what the options say.
pub(crate) fn execute(app: &App, options: Options, gapi: impl Gapi) -> ExitCode {
    let screen = logs::Screen::new(&options.run);
    logs::start(&options.run, &screen);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CommandError::from(error)),
    };
    let outcome = runtime.block_on(async {
        match options.command.clone().unwrap_or(Command::Run) {
            Command::Run => run::run(app, &options.run, gapi, screen).await,
            Command::Plan { json } => plan(app, &options.run, gapi, json).await,
            Command::Check => check(app, &options.run, gapi).await,
            Command::Graph { format, svg } => graph(app, &options.run, gapi, format, svg.as_deref()).await,
            Command::Schema => papers::schema(app, config(app, &options.run, gapi).await),
            Command::Completion { shell } => papers::completion(app.command(), shell),
            Command::Man => papers::man(app.command()),
        }
    });
    // What was given up ends its commands; but blocking work (a hanging file system, say) must not keep the program.
    runtime.shutdown_timeout(SHUTDOWN);
    outcome.unwrap_or_else(|error| match options.run.log {
        _ if matches!(error, CommandError::Interrupted) => ExitCode::from(INTERRUPTED),
        LogFormat::Text => fail(&error),
        // Whoever reads lines of JSON wants nothing else between them.
        LogFormat::Json => {
            tracing::error!(target: "mgmt", "{error}");
            ExitCode::from(1)
        }
    })
}

pub(crate) fn fail(error: &CommandError) -> ExitCode {
    // A closed standard error can't be told about.
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(1)
}

/// An engine's settings from the options.
pub(crate) fn builder<G: Gapi>(app: &App, options: &RunOptions, prefix: &Path, gapi: G) -> Builder<Adjusted<G>> {
    let mut builder = Engine::builder().gapi(Adjusted::new(gapi, options)).prefix(prefix);
    builder = builder
        .name(&app.name)
        .measure(options.metrics.is_some())
        .noop(options.noop)
        .no_watch(options.no_watch)
        .inherit_env(app.inherit_env);
    if let Some(hostname) = &options.hostname {
        builder = builder.hostname(hostname);
    }
    if let Some(running) = options.sema {
        builder = builder.running_max(running as usize);
    }
    builder
}

/// Writes to standard output; that nobody reads it any more is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

async fn plan(app: &App, options: &RunOptions, gapi: impl Gapi, json: bool) -> Result<ExitCode, CommandError> {
    let prefix = prefix::choose(options, &app.name, true)?;
    // Guards are commands of their own process groups: ^C in the terminal does not reach them.
    let mut ladder = Ladder::new()?;
    let plan = tokio::select! {
        plan = builder(app, options, &prefix.path, gapi).plan() => plan?,
        _ = ladder.first() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let text = if json { serde_json::to_string_pretty(&plan).map_err(io::Error::from)? } else { plan.to_string() };
    print(&format!("{text}\n"))?;
    Ok(if plan.has_failed() {
        ExitCode::from(1)
    } else if plan.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PENDING)
    })
}

async fn config(app: &App, options: &RunOptions, gapi: impl Gapi) -> Result<GraphConfig, CommandError> {
    let prefix = prefix::choose(options, &app.name, true)?;
    // A program that prints graphs is in a process group of its own, too.
    let mut ladder = Ladder::new()?;
    tokio::select! {
        config = builder(app, options, &prefix.path, gapi).check() => Ok(config?),
        _ = ladder.first() => Err(CommandError::Interrupted),
    }
}

async fn check(app: &App, options: &RunOptions, gapi: impl Gapi) -> Result<ExitCode, CommandError> {
    let config = config(app, options, gapi).await?;
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (resources, edges) = (count(config.vertices.len(), "resource"), count(config.edges.len(), "edge"));
    print(&format!("{}: {resources}, {edges}: no problems\n", config.name))?;
    Ok(ExitCode::SUCCESS)
}

async fn graph(
    app: &App,
    options: &RunOptions,
    gapi: impl Gapi,
    format: GraphFormat,
    file: Option<&Path>,
) -> Result<ExitCode, CommandError> {
    let config = config(app, options, gapi).await?;
    if let Some(file) = file {
        let picture = svg::draw(&config).map_err(CommandError::Other)?;
        std::fs::write(file, picture)
            .map_err(|error| CommandError::Other(format!("{} can't be written: {error}", file.display())))?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = match format {
        GraphFormat::Dot => config.dot(),
        GraphFormat::Mermaid => config.mermaid(),
        GraphFormat::Json => format!("{}\n", serde_json::to_string_pretty(&config).map_err(io::Error::from)?),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
