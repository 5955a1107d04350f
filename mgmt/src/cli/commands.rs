//! Executes commands; `run` itself is in `run.rs`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::cli::capture::capture;
use crate::cli::cluster::cluster;
use crate::cli::deploy::deploy;
use crate::cli::exit::{ABSENT, FAILED, PENDING};
use crate::cli::options::{Command, GraphFormat, LogFormat, Setup};
#[cfg(feature = "ssh")]
use crate::cli::remote::remote;
use crate::cli::report::{CommandError, complain, problem, show_warnings};
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::cli::user_file::replace;
use crate::cli::{ask, describe, logs, run, setup, svg};
use crate::gapi::Gapi;
use crate::graph::{GraphConfig, Prepared, Problem};
use crate::id::{Role, in_json, in_one_line};
use crate::resource::Origin;
use crate::sys::signals::{catch_ignored, unblock_all};
use crate::sys::task::blocking;
use crate::sys::threads::keep_one;
use crate::sys::{limits, runtimes};

/// The system must allow this many threads in addition to the workers: one for blocking work, and one because the
/// system still counts a thread for a moment after it has ended.
const SPARE: usize = 2;
/// How long an idle thread is kept where threads are scarce: another one may not be available later.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);
/// The number of threads for tasks that never block.
const WORKERS: usize = 2;
/// How long to wait at the end until the reader of standard error has taken the output.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long to wait for abandoned work before the process exits.
const SHUTDOWN: Duration = Duration::from_millis(300);

/// Runs one command.
pub(crate) fn execute(session: &Session, command: Command, gapi: impl Gapi) -> ExitCode {
    let screen = logs::Screen::new(&session.options);
    logs::start(&session.options, &screen, is_run(&command));
    if let Err(error) = unblock_all() {
        tracing::warn!(target: "mgmt", "signals that were blocked stay so: {error}");
    }
    if !session.options.no_raise_limits {
        limits::raise();
    }
    let runtime = match runtime(session.options.max_runtime) {
        Ok(Some(runtime)) => runtime,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            screen.flush(LAST_WORDS);
            complain(&CommandError::from(error), session.options.color);
            return ExitCode::from(FAILED);
        }
    };
    let is_json = is_json(&command);
    let outcome = runtime.block_on(async {
        catch_ignored();
        match command {
            Command::Run => run::run(session, gapi, screen.clone()).await,
            Command::Plan { json } => plan(session, gapi, json, &screen).await,
            Command::Check { json } => check(session, gapi, json, &screen).await,
            Command::Graph { format, svg } => graph(session, gapi, format, svg.as_deref()).await,
            Command::Deploy(options) => deploy(session, gapi, &options, &screen).await,
            Command::Cluster { what } => cluster(session, &what).await,
            #[cfg(feature = "ssh")]
            Command::Remote { what } => remote(session, gapi, &what, &screen).await,
            Command::Capture(options) => capture(session, gapi, &options).await,
            Command::Ask(asking) => ask::execute(session, asking).await,
            Command::Schema => schema(session, gapi).await,
            Command::Setup { what: Setup::Svc(options) } if options.template => setup::template(session),
            Command::Setup { what: Setup::Svc(options) } => {
                // A service with a wrong graph would fail at each start. The first deploy may come later.
                if !session.options.deploy {
                    prepared(session, gapi).await?;
                }
                show_warnings(&session.warnings.take(), session.options.log, &screen);
                setup::svc(session, &options).await
            }
            Command::Completion { shell } => describe::completion(session, shell),
            Command::Man => describe::man(session),
        }
    });
    // Dropped tasks end their commands. Blocking work (a file system that hangs, for example) must not delay the exit.
    runtime.shutdown_timeout(SHUTDOWN);
    let code = outcome.unwrap_or_else(|error| {
        if let CommandError::Interrupted(signal) = error {
            return signal.cut_short();
        }
        let warnings = session.warnings.take();
        if is_json {
            // The JSON belongs on standard output. If it can't be written, the error still appears on standard error.
            let data = json!({ "errors": error.to_json(), "warnings": data(&warnings) });
            let _ = print(&in_json(&format!("{data:#}\n")));
        }
        show_warnings(&warnings, session.options.log, &screen);
        match session.options.log {
            LogFormat::Text => screen.say(&error.painted(screen.palette).to_string()),
            // A reader that parses JSON lines must not find other lines between them.
            LogFormat::Json => error.log(),
        }
        ExitCode::from(if matches!(error, CommandError::Absent(_)) { ABSENT } else { FAILED })
    });
    // Those that no command has shown.
    show_warnings(&session.warnings.take(), session.options.log, &screen);
    screen.flush(LAST_WORDS);
    code
}

/// Whether the command runs the graph, here or on other hosts.
fn is_run(command: &Command) -> bool {
    match command {
        Command::Run => true,
        #[cfg(feature = "ssh")]
        Command::Remote { what } => what.is_run(),
        _ => false,
    }
}

/// Whether what the command prints is JSON.
fn is_json(command: &Command) -> bool {
    match command {
        Command::Plan { json } | Command::Check { json } => *json,
        Command::Ask(asking) => asking.is_json(),
        Command::Deploy(options) => options.is_json(),
        Command::Cluster { what } => what.is_json(),
        #[cfg(feature = "ssh")]
        Command::Remote { what } => what.is_json(),
        _ => false,
    }
}

/// Warnings as data.
fn data(warnings: &[Problem]) -> Json {
    warnings.iter().map(problem).collect()
}

/// The runtime of the program. Where the system allows hardly any threads, it has only this thread and one for blocking
/// work, and waits until the system allows that one. `None`: the maximum runtime was over before.
fn runtime(max_runtime: Duration) -> io::Result<Option<Runtime>> {
    limits::require_descriptors()?;
    if limits::has_threads(WORKERS + SPARE) {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(WORKERS).enable_all();
        match runtimes::build_apart(builder) {
            Ok(runtime) => return Ok(Some(runtime)),
            // What was there a moment ago is gone by now.
            Err(error) => tracing::debug!(target: "mgmt", "no runtime with {WORKERS} threads: {error}"),
        }
    }
    tracing::warn!(
        target: "mgmt",
        "the system gives this user hardly any threads (`ulimit -u`): operations that block wait for their turn"
    );
    let began = Instant::now();
    loop {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().thread_keep_alive(FOR_EVER);
        let runtime = runtimes::build_here(&mut builder)?;
        if keep_one(&runtime) {
            return Ok(Some(runtime));
        }
        if !max_runtime.is_zero() && began.elapsed() >= max_runtime {
            return Ok(None);
        }
    }
}

async fn plan(session: &Session, gapi: impl Gapi, json: bool, screen: &logs::Screen) -> Result<ExitCode, CommandError> {
    let prefix = session.prefix(true)?;
    let builder = session.builder(prefix.path(), gapi)?;
    // Guards are commands of their own process groups: ^C in the terminal does not reach them.
    let mut ladder = Ladder::new()?;
    let plan = tokio::select! {
        plan = builder.plan() => plan?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    let warnings = session.warnings.take();
    show_warnings(&warnings, session.options.log, screen);
    let text = if json {
        let mut plan = serde_json::to_value(&plan).map_err(io::Error::from)?;
        plan["warnings"] = data(&warnings);
        in_json(&format!("{plan:#}")).into_owned()
    } else if session.options.quiet {
        plan.summary.to_string()
    } else {
        plan.painted(session.palette()).to_string()
    };
    print_unless_interrupted(format!("{text}\n"), &mut ladder).await?;
    Ok(if plan.has_failed() {
        ExitCode::from(FAILED)
    } else if plan.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PENDING)
    })
}

async fn prepared(session: &Session, gapi: impl Gapi) -> Result<Prepared, CommandError> {
    let prefix = session.prefix(true)?;
    let builder = session.builder(prefix.path(), gapi)?;
    // A program that prints the graph is in a process group of its own: ^C in the terminal does not reach it.
    let mut ladder = Ladder::new()?;
    tokio::select! {
        prepared = builder.check() => Ok(prepared?),
        signal = ladder.first() => Err(CommandError::Interrupted(signal)),
    }
}

async fn schema(session: &Session, gapi: impl Gapi) -> Result<ExitCode, CommandError> {
    let prepared = prepared(session, gapi).await;
    let text = describe::schema(session, prepared.map(|prepared| Arc::clone(prepared.config())))?;
    print_unless_interrupted(text, &mut Ladder::new()?).await.map(|()| ExitCode::SUCCESS)
}

async fn check(
    session: &Session,
    gapi: impl Gapi,
    json: bool,
    screen: &logs::Screen,
) -> Result<ExitCode, CommandError> {
    let prepared = prepared(session, gapi).await?;
    let (config, groups) = (prepared.config(), prepared.groups().all().len());
    let warnings = session.warnings.take();
    show_warnings(&warnings, session.options.log, screen);
    let (resources, edges, lacking) = (config.vertices.len(), config.edges.len(), lacking(config));
    let automatic = config.edges.iter().filter(|edge| matches!(edge.origin, Origin::Pass(_))).count();
    let text = if json {
        let none: [(); 0] = [];
        let data = json!({
            "graph": config.name, "resources": resources, "edges": edges, "automatic_edges": automatic, "groups": groups, "lacking_kinds": lacking, "errors": none,
            "warnings": data(&warnings),
        });
        in_json(&format!("{data:#}\n")).into_owned()
    } else if session.options.quiet {
        String::new()
    } else {
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (resources, mut edges) = (count(resources, "resource"), count(edges, "edge"));
        if automatic > 0 {
            edges.push_str(&format!(" ({automatic} automatic)"));
        }
        if groups > 0 {
            edges.push_str(&format!(", {}", count(groups, "group")));
        }
        let found = match warnings.len() {
            0 => "no problems".to_owned(),
            some => format!("no errors, {}", count(some, "warning")),
        };
        let role = if warnings.is_empty() { Role::Good } else { Role::Drift };
        let (name, verdict) = (in_one_line(&config.name), session.palette().paint(role, found));
        format!("{name}: {resources}, {edges}: {verdict}{}\n", will_fail(&lacking))
    };
    print_unless_interrupted(text, &mut Ladder::new()?).await?;
    Ok(ExitCode::SUCCESS)
}

/// The remark about kinds that this build lacks: the file is right, but the resources of these kinds will fail.
fn will_fail(kinds: &[String]) -> String {
    match kinds {
        [] => String::new(),
        [kind] => format!(", but this build has no kind `{kind}`: its resources will fail"),
        kinds => format!(", but this build has no kinds `{}`: their resources will fail", kinds.join("`, `")),
    }
}

#[cfg(feature = "yaml")]
fn lacking(config: &GraphConfig) -> Vec<String> {
    crate::gapi::lacking(config).into_iter().map(|kind| kind.to_string()).collect()
}

#[cfg(not(feature = "yaml"))]
fn lacking(_: &GraphConfig) -> Vec<String> {
    Vec::new()
}

async fn graph(
    session: &Session,
    gapi: impl Gapi,
    format: GraphFormat,
    file: Option<&Path>,
) -> Result<ExitCode, CommandError> {
    let prepared = prepared(session, gapi).await?;
    let picture = file.map(|_| svg::draw(prepared.config())).transpose().map_err(CommandError::Other)?;
    let text = match (picture, file) {
        (Some(picture), Some(file)) if file != Path::new("-") => {
            replace(file.to_owned(), picture.into_bytes())
                .await
                .map_err(|error| CommandError::Other(format!("{} can't be written: {error}", file.display())))?;
            return Ok(ExitCode::SUCCESS);
        }
        (Some(picture), _) => picture,
        (None, _) => match format {
            GraphFormat::Dot => prepared.dot(),
            GraphFormat::Mermaid => prepared.mermaid(),
            GraphFormat::Json => {
                let data = prepared.data().map_err(io::Error::other)?;
                let data = serde_json::to_string_pretty(&data).map_err(io::Error::from)?;
                format!("{}\n", in_json(&data))
            }
        },
    };
    print_unless_interrupted(text, &mut Ladder::new()?).await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a text until it is written or a signal comes: a signal ends the program even if the text is not being read.
async fn print_unless_interrupted(text: String, ladder: &mut Ladder) -> Result<(), CommandError> {
    tokio::select! {
        printed = blocking(move || print(&text)) => printed,
        signal = ladder.first() => Err(CommandError::Interrupted(signal)),
    }
}
