//! The commands `remote attach`, `remote stop` and `remote list`: runs that were left on their hosts.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::cli::exit::FAILED;
use crate::cli::logs::Screen;
use crate::cli::remote::command::{hosts, words};
use crate::cli::remote::options::RemoteLeftOptions;
use crate::cli::remote::run::{Follows, NearRun};
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::id::{in_json, in_one_line};
use crate::remote::{Detached, Fleet, FleetUntil, Hosts as _, Job, RemoteError};
use crate::sys::task::blocking;

/// Shows the runs that were left on the hosts, or ends them.
pub(crate) async fn attach(
    session: &Session,
    options: &RemoteLeftOptions,
    screen: &Screen,
    follows: Follows,
) -> Result<ExitCode, CommandError> {
    let mut ladder = Ladder::of_run()?;
    let hosts = tokio::select! {
        hosts = hosts(session, &options.hosts, &options.ssh, screen) => hosts?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    // One that is lost while it is shown is connected to again; an end must come from the host.
    let (job, until) = match follows {
        Follows::Stop => (Job::stop_detached(), FleetUntil::EachEnds),
        _ => (Job::attach(), FleetUntil::Stopped),
    };
    let fleet = Fleet::new(hosts).until(until).parallel(options.ssh.parallel).no_watch(true);
    let fleet = fleet.run(job.arguments(words(session)));
    // No graph is sent to a run that was left.
    let (graphs, reloads) = (mpsc::channel(1).1, watch::channel(0).0);
    NearRun { fleet, graphs, reloads, follows }.follow(session, screen.clone(), options.json, ladder).await
}

/// One host, and the run that was left there.
type Found = (String, Result<Option<Detached>, RemoteError>);

/// Lists the runs that were left on the hosts.
pub(crate) async fn list(
    session: &Session,
    options: &RemoteLeftOptions,
    screen: &Screen,
) -> Result<ExitCode, CommandError> {
    let mut ladder = Ladder::new()?;
    let found = tokio::select! {
        found = found(session, options, screen) => found?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    let text = if options.json {
        let all: Vec<Json> = found.iter().map(data).collect();
        in_json(&format!("{:#}\n", json!({ "hosts": all }))).into_owned()
    } else {
        found.iter().map(|found| text(found) + "\n").collect()
    };
    tokio::select! {
        printed = blocking(move || print(&text)) => printed?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    }
    let has_failed = found.iter().any(|(_, found)| found.is_err());
    Ok(if has_failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// The runs on all hosts, in the order of the list.
async fn found(session: &Session, options: &RemoteLeftOptions, screen: &Screen) -> Result<Vec<Found>, CommandError> {
    let list = hosts(session, &options.hosts, &options.ssh, screen).await?.hosts().await?;
    let places = match options.ssh.parallel {
        0 => list.len(),
        places => places,
    };
    let (places, job) = (Arc::new(Semaphore::new(places)), Job::own().arguments(words(session)));
    let mut asked = JoinSet::new();
    for (n, host) in list.into_iter().enumerate() {
        let (places, job) = (Arc::clone(&places), job.clone().hostname(host.name()));
        asked.spawn(async move {
            let _place = places.acquire_owned().await;
            (n, (host.name().to_owned(), host.detached(&job).await))
        });
    }
    let mut all = asked.join_all().await;
    all.sort_by_key(|(n, _)| *n);
    Ok(all.into_iter().map(|(_, found)| found).collect())
}

fn data((host, found): &Found) -> Json {
    match found {
        Ok(run) => json!({ "host": host, "run": run }),
        Err(error) => json!({ "host": host, "error": error.to_string() }),
    }
}

/// A line for people.
fn text((host, found): &Found) -> String {
    let state = match found {
        Err(error) => error.to_string(),
        Ok(None) => "no run was left there".to_owned(),
        Ok(Some(run)) if run.runs => format!("runs: {run}"),
        Ok(Some(run)) => match &run.ended {
            Some(end) => {
                let why = end.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
                format!("has ended at {} with exit code {}{why} ({run})", end.at, end.code)
            }
            None => format!("was killed, or ended by a reboot ({run}); its log: {}", run.log),
        },
    };
    in_one_line(&format!("{host}: {state}")).into_owned()
}
