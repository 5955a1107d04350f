//! The command `run`.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::cli::exit::{Ending, FAILED, PENDING};
use crate::cli::logs::Screen;
use crate::cli::metrics;
use crate::cli::options::RunOptions;
use crate::cli::report::CommandError;
use crate::cli::servers::Servers;
use crate::cli::session::Session;
use crate::cli::signals::{Ladder, Wanted};
use crate::cli::stopping::{Stopped, stop};
use crate::cli::sum::{tell_end, tell_failed};
use crate::cli::supervision::{OFTEN, Supervision};
use crate::cli::user_file;
use crate::cli::view::View;
use crate::gapi::Gapi;
use crate::runtime::{Builder, Engine, EventKind, Events, Prefix, Status};
use crate::sys::facts::hostname;

/// The period at which the bar is redrawn, in a terminal and while something runs.
const LOOK: Duration = Duration::from_millis(100);

/// A temporary directory that was not made again for this long is not made again.
const QUIET: Duration = Duration::from_millis(30);
/// How long to wait until the last message of an abandoned run is written.
const GOODBYE: Duration = Duration::from_millis(100);

/// How long to wait for the engine's status when a signal ends the run.
const ANSWER: Duration = Duration::from_millis(500);

/// Why a run ends.
enum End {
    Signal(Ending),
    Converged,
    MaxRuntime,
    Hopeless(Box<Status>),
    /// A resource has requested the end with this exit code.
    Exit(u8),
    Ended,
}

pub(crate) async fn run(session: &Session, gapi: impl Gapi, screen: Screen) -> Result<ExitCode, CommandError> {
    let options = &session.options;
    let mut ladder = Ladder::of_run()?;
    // Bind the address before anything is changed, so that a failure leaves the machine as it is.
    let figures = match options.metrics() {
        Some(address) => Some(
            metrics::listen(address)
                .await
                .map_err(|error| CommandError::Other(format!("metrics can't be served at {address}: {error}")))?,
        ),
        None => None,
    };
    examine_files(options)?;
    let prefix = session.prefix(false)?;
    let (builder, servers) = match prepared(session, gapi, &prefix, &mut ladder).await? {
        Ok(prepared) => prepared,
        Err(ending) => return Ok(ending.code()),
    };
    let mut events = builder.events();
    let mut view = View::new(screen, options, session.greeting.as_ref());
    let max_runtime = options.max_runtime;
    let runtime = async {
        if max_runtime.is_zero() { std::future::pending().await } else { tokio::time::sleep(max_runtime).await }
    };
    let mut runtime = std::pin::pin!(runtime);
    let mut supervision = Supervision::new();
    // A start that hangs (a graph that waits for the network, say) can be interrupted too.
    let engine = tokio::select! {
        engine = builder.start() => engine?,
        ending = ladder.first() => return Ok(ending.code()),
        () = &mut runtime => return Ok(ExitCode::SUCCESS),
    };
    if let Some(listener) = figures {
        metrics::serve(listener, &engine);
    }
    view.start(&session.name);
    supervision.watch(&engine);
    let end = tokio::select! {
        end = follow(&engine, &mut events, &mut view, &mut ladder, &mut supervision, options) => end,
        () = &mut runtime => End::MaxRuntime,
    };
    let code = match &end {
        End::Signal(ending) => ending.code(),
        End::Converged | End::MaxRuntime => alerted(&engine, &view).await,
        End::Exit(code) => ExitCode::from(*code),
        End::Hopeless(_) | End::Ended => ExitCode::from(FAILED),
    };
    supervision.stopping();
    view.screen().bar.finish_and_clear();
    if matches!(end, End::Signal(_)) && view.screen().terminal {
        // The terminal has echoed `^C`: begin a new line.
        view.screen().say("");
    }
    tell_sum(&end, &engine, &view, max_runtime).await;
    let first = if let End::Signal(ending) = end { Some(ending) } else { None };
    // Someone who can press ^C decides how long to wait. After SIGTERM, that is the service manager.
    let is_limited = matches!(end, End::MaxRuntime | End::Signal(Ending::HangUp));
    let over = async { if matches!(end, End::MaxRuntime) { std::future::pending().await } else { runtime.await } };
    let stopped = stop(&engine, &mut events, &mut view, &mut ladder, first, is_limited, over).await;
    if let Stopped::Abandoned(text, by) = stopped {
        abandon(text, by, prefix, view.screen());
    }
    while let Some(event) = events.try_next() {
        view.event(&event.kind);
    }
    view.tell_waiting();
    end_servers(servers, &mut ladder).await;
    drop(prefix);
    match engine.ended().await {
        Err(error) if matches!(end, End::Ended) => Err(error.into()),
        _ => Ok(code),
    }
}

/// The settings of the engine, and the servers of etcd that it uses, one of which may be this run's. `Err`: a signal
/// has ended the start, which can take as long as etcd does; what was started is killed then.
async fn prepared<G: Gapi>(
    session: &Session,
    gapi: G,
    prefix: &Prefix,
    ladder: &mut Ladder,
) -> Result<Result<(Builder<G>, Option<Servers>), Ending>, CommandError> {
    let options = &session.options;
    let mut builder = session.builder(prefix.path(), gapi)?;
    let host = options.hostname.clone().unwrap_or_else(hostname);
    let is_noop = options.noop || options.alert_only;
    let servers = tokio::select! {
        servers = Servers::start(&options.world, &host, prefix.path(), is_noop, prefix.is_temporary()) => servers?,
        ending = ladder.first() => return Ok(Err(ending)),
    };
    if let Some(servers) = &servers {
        builder = builder.world(servers.world());
    }
    if let Some(timeout) = options.converged_timeout.0 {
        builder = builder.converged_timeout(timeout).watch_late(timeout.is_zero());
    }
    Ok(Ok((builder, servers)))
}

/// Ends the server of etcd of this run. A second signal ends the wait for other hosts.
async fn end_servers(servers: Option<Servers>, ladder: &mut Ladder) {
    if let Some(servers) = servers {
        tokio::select! {
            () = servers.end() => {}
            _ = ladder.first() => {}
        }
    }
}

/// The exit code of a run that ends by itself.
async fn alerted(engine: &Engine, view: &View) -> ExitCode {
    // Most runs never have one, and need not ask.
    let has_alerts = view.has_alerts() && engine.status().await.is_ok_and(|status| status.alerts > 0);
    if has_alerts { ExitCode::from(PENDING) } else { ExitCode::SUCCESS }
}

/// Refuses files that can't be written later, before anything is changed.
fn examine_files(options: &RunOptions) -> Result<(), CommandError> {
    let refused = |option: &str, path: &Path, error| {
        CommandError::Other(format!("{option}: {} can't be written: {error}", path.display()))
    };
    if let Some(path) = &options.converged_status_file {
        // Opened as for the first line.
        user_file::append(path, "").map_err(|error| refused("--converged-status-file", path, error))?;
    }
    if let Some(path) = &options.graphviz {
        user_file::examine(path).map_err(|error| refused("--graphviz", path, error))?;
    }
    Ok(())
}

/// Ends the process at once, although operations are under way.
fn abandon(mut text: String, by: Ending, prefix: Prefix, screen: &Screen) -> ! {
    let temporary = prefix.is_temporary().then(|| prefix.path().to_owned());
    drop(prefix);
    if let Some(left) = temporary.as_ref().filter(|path| path.exists()) {
        text.push_str(&format!("; {} is left", left.display()));
    }
    screen.complain(&text);
    screen.flush(GOODBYE);
    // The engine still runs: it may add to the directory while it is removed, or make it again a moment later, when
    // what was cancelled has ended.
    let (until, mut gone) = (Instant::now() + GOODBYE, Instant::now());
    while let Some(path) = temporary.as_ref().filter(|_| gone.elapsed() < QUIET && Instant::now() < until) {
        if path.exists() {
            // What could not be removed is tried again.
            let _ = std::fs::remove_dir_all(path);
            gone = Instant::now();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    std::process::exit(i32::from(by.number()));
}

async fn follow(
    engine: &Engine,
    events: &mut Events,
    view: &mut View,
    ladder: &mut Ladder,
    supervision: &mut Supervision,
    options: &RunOptions,
) -> End {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut reloads = JoinSet::new();
    let mut often = tokio::time::interval(OFTEN);
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (is_waited_for, mut missed) = (options.converged_timeout.0.is_some(), 0);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    view.event(&event.kind);
                    supervision.event(&event.kind, engine).await;
                    if let EventKind::Converged | EventKind::Unconverged = event.kind {
                        status_line(options.converged_status_file.as_deref(), &event.kind);
                    }
                    if let EventKind::Exit { code, .. } = event.kind {
                        return End::Exit(code);
                    }
                    let is_news = missed < events.missed() || event.kind == EventKind::Hopeless;
                    missed = events.missed();
                    if event.kind == EventKind::Converged && is_waited_for {
                        return End::Converged;
                    }
                    // With a timeout, a hopeless graph would run for ever. Without one, that is what the user wants.
                    if is_news && is_waited_for && let Some(end) = end_of(engine).await {
                        return end;
                    }
                }
                // The event of a resource that ends the program may have been missed.
                None => return engine.exit_code().map_or(End::Ended, End::Exit),
            },
            _ = look.tick(), if view.is_moving() => {
                if let Ok(progress) = engine.progress().await {
                    view.progress(&progress);
                }
            }
            _ = often.tick(), if supervision.is_starting() => supervision.start(engine).await,
            wanted = ladder.next() => match wanted {
                Wanted::End(ending) => return End::Signal(ending),
                Wanted::Reload => {
                    tracing::info!(target: "mgmt", "SIGHUP: reading the graph again");
                    supervision.reloading();
                    let engine = engine.clone();
                    reloads.spawn(async move { engine.reload().await });
                }
            },
            // If the new graph was refused, that is logged already.
            Some(Ok(outcome)) = reloads.join_next() => {
                if reloads.is_empty() {
                    supervision.reloaded(&outcome);
                }
            }
        }
    }
}

/// Why the run can end now, if it can. Asks the engine: events that report it may have been missed, or be outdated.
async fn end_of(engine: &Engine) -> Option<End> {
    match engine.status().await.ok()? {
        status if status.converged => Some(End::Converged),
        status if status.hopeless => Some(End::Hopeless(Box::new(status))),
        _ => None,
    }
}

/// Shows the state in which the run ends, unless that is converged.
async fn tell_sum(end: &End, engine: &Engine, view: &View, max_runtime: Duration) {
    match end {
        End::Hopeless(status) => {
            view.screen().complain("the graph can't converge:");
            tell_failed(status, view.screen());
        }
        End::MaxRuntime => {
            if let Ok(status) = engine.status().await {
                tell_time(&status, max_runtime, view.screen());
            }
        }
        End::Signal(ending) => {
            // An engine that does not answer must not delay the end of the run.
            if let Ok(Ok(status)) = tokio::time::timeout(ANSWER, engine.status()).await {
                tell_stop(&status, *ending, view);
            }
        }
        End::Converged | End::Exit(_) | End::Ended => {}
    }
}

/// Shows the state of a run whose maximum runtime is over. Its exit code is 0 whatever the state is.
fn tell_time(status: &Status, time: Duration, screen: &Screen) {
    tell_end(status, &format!("ended after {time:?} (--max-runtime)"), "", screen);
}

/// Shows the state of a run that a signal ends. Operations under way have not ended yet.
fn tell_stop(status: &Status, ending: Ending, view: &View) {
    let (took, repaired) = view.sum();
    // Who has pressed ^C knows it.
    let why = match ending {
        Ending::Interrupt => "",
        Ending::Terminate => " (SIGTERM)",
        Ending::HangUp => " (SIGHUP: the terminal was closed)",
    };
    tell_end(status, &format!("stopping after {took:.1?}{why}"), &format!(", {repaired} changed"), view.screen());
}

fn status_line(file: Option<&Path>, event: &EventKind) {
    let Some(file) = file else { return };
    let line = format!("{} {event}\n", crate::sys::clock::rfc3339(crate::sys::clock::wall()));
    if let Err(error) = user_file::append(file, &line) {
        tracing::warn!(target: "mgmt", "{} can't be written: {error}", file.display());
    }
}
