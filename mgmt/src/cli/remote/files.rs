//! `run --remote FILE`: graphs that name the hosts on which they run.

use std::path::Path;
use std::process::ExitCode;

use tokio::sync::{mpsc, watch};

use crate::cli::logs::Screen;
use crate::cli::remote::cluster::Cluster;
use crate::cli::remote::command::job;
use crate::cli::remote::graphs::{Changed, Travelling};
use crate::cli::remote::options::{HostOptions, RemoteRunOptions};
use crate::cli::remote::run::{Follows, NearRun, Purpose};
use crate::cli::report::{CommandError, show_warnings};
use crate::cli::session::Session;
use crate::cli::signals::Ladder;
use crate::gapi::{RemoteAddress, Yaml, YamlOptions, read_graph_file, read_yaml, yaml};
use crate::graph::Problem;
use crate::remote::{Fleet, FleetUntil, Parcel};
use crate::runtime::EngineError;
use crate::sys::ssh::{Endpoint, EndpointError, distinct_as_resolved};

/// The user and the port where the file names none.
const USER: &str = "mgmt";
const PORT: u16 = 22;

/// Runs the graphs of these files, each on the host that it names.
pub(crate) async fn run_files(
    session: &Session,
    options: &RemoteRunOptions,
    screen: &Screen,
    mut ladder: Ladder,
) -> Result<ExitCode, CommandError> {
    let RemoteRunOptions { hosts, ssh, trial, .. } = options;
    let HostOptions { graph_files: files, allow_unknown, .. } = hosts;
    let allow_unknown = *allow_unknown;
    let timeout = session.options.converged_timeout.0;
    let until = match timeout {
        None => FleetUntil::Stopped,
        Some(_) if ssh.each => FleetUntil::EachEnds,
        Some(_) => FleetUntil::AllConverge,
    };
    let options = YamlOptions { for_remote: true, allow_unknown, ..YamlOptions::default() };
    let mut endpoints = Vec::new();
    for (n, file) in files.iter().enumerate() {
        // The same file twice is one host.
        if !files.iter().take(n).any(|other| other == file) {
            endpoints.push((file.clone(), endpoint(file, &options)?));
        }
    }
    let all: Vec<Endpoint> = endpoints.iter().map(|(_, endpoint)| endpoint.clone()).collect();
    let link_options = ssh.link_options(screen)?;
    distinct_as_resolved(&all, &link_options).await.map_err(|error| CommandError::Other(error.to_string()))?;
    if ssh.parallel > 0 && ssh.parallel < endpoints.len() && until != FleetUntil::EachEnds {
        let (places, count) = (ssh.parallel, endpoints.len());
        let why = format!("--parallel {places} is less than the {count} hosts, which must all be connected to at once");
        return Err(CommandError::Other(why));
    }
    let reach = ssh.reach(link_options, true).await?;
    let (sender, graphs) = mpsc::channel(1);
    let (reloads, reloaded) = watch::channel(0);
    let prefix = session.prefix(true)?;
    let cluster = tokio::select! {
        cluster = Cluster::begin(session, ssh, prefix.path(), Purpose::Run) => cluster?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    let mut base = trial.require(cluster.give(job(session).stays(until != FleetUntil::EachEnds)));
    if let Some(timeout) = timeout {
        base = base.converged_timeout(timeout);
    }
    let is_short = until == FleetUntil::EachEnds && timeout.is_some_and(|timeout| timeout.is_zero());
    let follows = !session.options.no_watch && !is_short;
    let mut fleet = Fleet::new(all.into_iter().map(reach).collect::<Vec<_>>()).until(until).parallel(ssh.parallel);
    for (file, endpoint) in endpoints {
        let gapi = yaml(&file).options(options.clone());
        let begun = begun(session, gapi, (endpoint.name(), follows), sender.clone(), reloaded.clone());
        let parcel = tokio::select! {
            parcel = begun => parcel?,
            signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
        };
        fleet = fleet.own_job(endpoint.name(), base.clone().with_graph(parcel));
    }
    drop(sender);
    show_warnings(&session.warnings.take(), session.options.log, screen);
    let run = NearRun { fleet: fleet.run(base), graphs, reloads, follows: Follows::Run };
    let code = run.follow(session, screen.clone(), false, ladder).await;
    cluster.end().await;
    code
}

/// The first graph of a file. The next ones are sent.
async fn begun(
    session: &Session,
    gapi: Yaml,
    (host, follows): (&str, bool),
    sender: mpsc::Sender<Changed>,
    reloaded: watch::Receiver<u64>,
) -> Result<Parcel, CommandError> {
    let prefix = session.prefix(true)?;
    let (parcel, graphs) = Travelling::begin(session, prefix.path(), gapi, follows).await?;
    tokio::spawn(graphs.follow(Some(host.to_owned()), sender, reloaded));
    Ok(parcel)
}

/// The host that a file names.
fn endpoint(file: &Path, options: &YamlOptions) -> Result<Endpoint, CommandError> {
    let bytes = read_graph_file(file).map_err(|error| CommandError::Other(error.to_string()))?;
    let read = read_yaml(&file.display().to_string(), &bytes, options).map_err(EngineError::from)?;
    let wrong = |origin: &crate::resource::Origin, message: String| {
        CommandError::from(EngineError::from(crate::graph::Problems(vec![Problem::new(message, origin.clone())])))
    };
    let Some(RemoteAddress { url, origin }) = read.remote else {
        return Err(CommandError::Other(format!("{}: the graph names no host", file.display())));
    };
    // The scheme may be left out.
    let url = url.map(|url| if url.contains("://") { url.clone() } else { format!("ssh://{url}") });
    let endpoint = Endpoint::with_password(url.declassify()).and_then(|endpoint| endpoint.or(USER, PORT));
    // The address may contain a password, so the error must not show it.
    let mut endpoint = endpoint.map_err(|error| match error {
        EndpointError::Text { problem, .. } => wrong(&origin, format!("`remote` names no host: {problem}")),
        _ => wrong(&origin, "`remote` names no host: give ssh://USER@HOST:PORT".to_owned()),
    })?;
    if let Some(name) = read.hostname {
        endpoint = endpoint.named(name).map_err(|error| wrong(&origin, error.to_string()))?;
    }
    if endpoint.has_password() {
        tracing::warn!(
            target: "mgmt",
            "{origin}: the password in `remote` can be read by all who may read this file: use a key, and remove it"
        );
    }
    Ok(endpoint)
}
