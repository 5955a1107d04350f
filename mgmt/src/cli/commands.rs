//! The commands other than `run`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::options::{Command, GraphFormat, LogFormat};
use crate::cli::session::{CommandError, Session, fail, print};
use crate::cli::signals::Ladder;
use crate::cli::user_file::replace;
use crate::cli::{describe, logs, run, svg};
use crate::gapi::Gapi;
use crate::graph::GraphConfig;

/// Exit code of a plan with something to do.
const PENDING: u8 = 2;

/// Exit code of a plan, a check, a picture that was given up.
const INTERRUPTED: u8 = 130;
/// How long to wait for abandoned work before the process exits.
const SHUTDOWN: Duration = Duration::from_millis(300);

/// Runs one command.
pub(crate) fn execute(session: &Session, command: Command, gapi: impl Gapi) -> ExitCode {
    let screen = logs::Screen::new(&session.options);
    logs::start(&session.options, &screen);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CommandError::from(error)),
    };
    let outcome = runtime.block_on(async {
        match command {
            Command::Run => run::run(session, gapi, screen).await,
            Command::Plan { json } => plan(session, gapi, json).await,
            Command::Check => check(session, gapi).await,
            Command::Graph { format, svg } => graph(session, gapi, format, svg.as_deref()).await,
            Command::Schema => describe::schema(session, config(session, gapi).await),
            Command::Completion { shell } => describe::completion(session, shell),
            Command::Man => describe::man(session),
        }
    });
    // What was given up ends its commands; but blocking work (a hanging file system, say) must not keep the program.
    runtime.shutdown_timeout(SHUTDOWN);
    outcome.unwrap_or_else(|error| match session.options.log {
        _ if matches!(error, CommandError::Interrupted) => ExitCode::from(INTERRUPTED),
        LogFormat::Text => fail(&error),
        // Whoever reads lines of JSON wants nothing else between them.
        LogFormat::Json => {
            tracing::error!(target: "mgmt", "{error}");
            ExitCode::from(1)
        }
    })
}

async fn plan(session: &Session, gapi: impl Gapi, json: bool) -> Result<ExitCode, CommandError> {
    let prefix = session.prefix(true)?;
    // Guards are commands of their own process groups: ^C in the terminal does not reach them.
    let mut ladder = Ladder::new()?;
    let plan = tokio::select! {
        plan = session.builder(prefix.path(), gapi).plan() => plan?,
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

async fn config(session: &Session, gapi: impl Gapi) -> Result<Arc<GraphConfig>, CommandError> {
    let prefix = session.prefix(true)?;
    // A program that prints graphs is in a process group of its own, too.
    let mut ladder = Ladder::new()?;
    tokio::select! {
        prepared = session.builder(prefix.path(), gapi).check() => Ok(Arc::clone(prepared?.config())),
        _ = ladder.first() => Err(CommandError::Interrupted),
    }
}

async fn check(session: &Session, gapi: impl Gapi) -> Result<ExitCode, CommandError> {
    let config = config(session, gapi).await?;
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (resources, edges) = (count(config.vertices.len(), "resource"), count(config.edges.len(), "edge"));
    print(&format!("{}: {resources}, {edges}: no problems{}\n", config.name, lacking(&config)))?;
    Ok(ExitCode::SUCCESS)
}

/// What a file names and this build lacks is no mistake in the file; but it will not run.
#[cfg(feature = "yaml")]
fn lacking(config: &GraphConfig) -> String {
    let kinds: Vec<_> = crate::gapi::lacking(config).into_iter().map(|kind| format!("`{kind}`")).collect();
    match &kinds[..] {
        [] => String::new(),
        [kind] => format!(", but this build has no kind {kind}: its resources will fail"),
        kinds => format!(", but this build has no kinds {}: their resources will fail", kinds.join(", ")),
    }
}

#[cfg(not(feature = "yaml"))]
fn lacking(_: &GraphConfig) -> String {
    String::new()
}

async fn graph(
    session: &Session,
    gapi: impl Gapi,
    format: GraphFormat,
    file: Option<&Path>,
) -> Result<ExitCode, CommandError> {
    let config = config(session, gapi).await?;
    if let Some(file) = file {
        let picture = svg::draw(&config).map_err(CommandError::Other)?;
        replace(file.to_owned(), picture.into_bytes())
            .await
            .map_err(|error| CommandError::Other(format!("{} can't be written: {error}", file.display())))?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = match format {
        GraphFormat::Dot => config.dot(),
        GraphFormat::Mermaid => config.mermaid(),
        GraphFormat::Json => format!("{}\n", serde_json::to_string_pretty(&*config).map_err(io::Error::from)?),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
