//! The command `remote`: plans or runs the graph on other hosts.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::cli::logs::Screen;
use crate::cli::options::first_given;
use crate::cli::remote::cluster::Cluster;
#[cfg(feature = "yaml")]
use crate::cli::remote::files::run_files;
use crate::cli::remote::graphs::Travelling;
use crate::cli::remote::left::{attach, list};
use crate::cli::remote::options::{HostOptions, RemoteCommand, RemotePlanOptions, RemoteRunOptions, SshOptions};
use crate::cli::remote::plan::{self, HostPlan};
use crate::cli::remote::run::{Follows, NearRun, Purpose};
use crate::cli::remote::view::EMPTY;
use crate::cli::remote::words::remote_words;
use crate::cli::report::{CommandError, problem, show_warnings};
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::gapi::Gapi;
use crate::graph::Problem;
use crate::id::in_json;
use crate::remote::{
    Addresses, Base, BaseFor, FarEnd, Fleet, FleetUntil, Hosts as _, HostsBox, HostsError, Job, far_end,
};
use crate::resource::Origin;
use crate::sys::facts::hostname;
use crate::sys::task::blocking;

/// What the address of a process on this host begins with.
const LOCAL: &str = "local:";

impl From<HostsError> for CommandError {
    fn from(error: HostsError) -> CommandError {
        CommandError::Other(error.to_string())
    }
}

/// Serves the near end if this process was started by one; otherwise it is the near end.
pub(crate) async fn remote(
    session: &Session,
    gapi: impl Gapi,
    command: &RemoteCommand,
    screen: &Screen,
) -> Result<ExitCode, CommandError> {
    if let Some(far) = far_end() {
        return Ok(ExitCode::from(serve(far, session, gapi).await));
    }
    refuse_options(session)?;
    match command {
        RemoteCommand::Plan(options) => plan(session, gapi, options, screen).await,
        RemoteCommand::Run(options) => run(session, gapi, options, screen).await,
        RemoteCommand::Attach(options) => attach(session, options, screen, Follows::Attach).await,
        RemoteCommand::Stop(options) => attach(session, options, screen, Follows::Stop).await,
        RemoteCommand::List(options) => list(session, options, screen).await,
    }
}

/// Refuses options that would write files on other hosts, or listen there.
fn refuse_options(session: &Session) -> Result<(), CommandError> {
    let options = &session.options;
    let given = [
        ("--graphviz", options.graphviz.is_some()),
        ("--metrics", options.metrics().is_some()),
        ("--converged-status-file", options.converged_status_file.is_some()),
    ];
    match first_given(&given) {
        Some(name) => {
            let why = format!("{name} is for a run on this host: leave it out (`remote run --json` prints all events)");
            Err(CommandError::Other(why))
        }
        None => Ok(()),
    }
}

/// What every host does: with the graph of this host, if that travels.
pub(crate) fn job(session: &Session) -> Job {
    // The hosts of the command are the first level.
    Job::own().arguments(words(session)).depth(session.options.levels() - 1)
}

/// The arguments of this program on the hosts.
pub(super) fn words(session: &Session) -> Vec<OsString> {
    let command = session.command_line.command();
    let there = remote_words(&command, std::env::args_os(), |name| std::env::var_os(name));
    for name in there.hidden {
        tracing::warn!(target: "mgmt", "the hosts do not get the value of {name}, which must not be shown");
    }
    there.words
}

/// The hosts that the options name, or else those of the program.
pub(super) async fn hosts(
    session: &Session,
    options: &HostOptions,
    ssh: &SshOptions,
    screen: &Screen,
) -> Result<HostsBox, CommandError> {
    let HostOptions { hosts, file, world_hosts, .. } = options;
    if hosts.is_empty() && file.is_none() && !world_hosts {
        let missing = "no hosts: name them, or give --hosts FILE or --world-hosts";
        return session.hosts.take().ok_or_else(|| CommandError::Other(missing.to_owned()));
    }
    let sends = file.is_some() || *world_hosts || hosts.iter().any(|host| !host.starts_with(LOCAL));
    let options = ssh.link_options(screen)?;
    let mut addresses = Addresses::new(ssh.reach(options.clone(), sends).await?).resolved(options);
    if let Some(option) = ssh.needs_ssh() {
        addresses = addresses.ssh_only(option);
    }
    for host in hosts {
        addresses = addresses.host(host)?;
    }
    if let Some(file) = file {
        addresses = addresses.file(file);
    }
    if *world_hosts {
        let missing = "--world-hosts needs a world: give --seeds";
        let world = session.world()?.ok_or_else(|| CommandError::Other(missing.to_owned()))?;
        let here = session.options.hostname.clone().unwrap_or_else(hostname);
        addresses = addresses.world(&world, &here);
    }
    Ok(HostsBox::new(addresses))
}

async fn plan(
    session: &Session,
    gapi: impl Gapi,
    options: &RemotePlanOptions,
    screen: &Screen,
) -> Result<ExitCode, CommandError> {
    let mut ladder = Ladder::new()?;
    let planned = async {
        let prefix = session.prefix(true)?;
        let cluster = Cluster::begin(session, &options.ssh, prefix.path(), Purpose::Plan).await?;
        let hosts = hosts(session, &options.hosts, &options.ssh, screen).await?;
        let mut job = cluster.give(job(session));
        let travels = gapi.travels();
        if travels {
            let (parcel, travelling) = Travelling::begin(session, prefix.path(), gapi, false).await?;
            travelling.close().await;
            job = job.with_graph(parcel);
        }
        planned(Fleet::new(hosts).parallel(options.ssh.parallel).with_files(!travels), job).await
    };
    let (plans, mut warnings) = tokio::select! {
        planned = planned => planned?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    if plans.is_empty() {
        screen.tell(EMPTY);
    }
    warnings.splice(..0, session.warnings.take());
    show_warnings(&warnings, session.options.log, screen);
    let text = if options.json {
        let warnings = warnings.iter().map(problem).collect();
        let data = plan::data(&plans, &warnings).map_err(std::io::Error::from)?;
        in_json(&format!("{data:#}\n")).into_owned()
    } else {
        plan::text(&plans, session.options.quiet, session.palette())
    };
    tokio::select! {
        printed = blocking(move || print(&text)) => printed?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    }
    Ok(ExitCode::from(plan::code(&plans)))
}

/// The plans in the order of the list of hosts, and the warnings about the graph, each once.
async fn planned(fleet: Fleet, job: Job) -> Result<(Vec<HostPlan>, Vec<Problem>), CommandError> {
    let mut plans = fleet.plan(job).await?;
    let mut ready: Vec<Option<HostPlan>> = plans.hosts().iter().map(|_| None).collect();
    let mut warnings: Vec<Problem> = Vec::new();
    while let Some(planned) = plans.next().await {
        let plan = planned.outcome.map_err(|error| error.to_string()).map(|there| {
            for note in &there.warnings {
                let text = note.to_string();
                if !warnings.iter().any(|known| known.message == text) {
                    warnings.push(Problem::new(text, Origin::Unknown));
                }
            }
            there.plan
        });
        if let Some(place) = ready.get_mut(planned.place) {
            *place = Some(HostPlan { host: planned.host, plan });
        }
    }
    Ok((ready.into_iter().flatten().collect(), warnings))
}

/// When the run is over, and the converged timeout of each host.
fn until(session: &Session, options: &RemoteRunOptions) -> Result<(FleetUntil, Option<Duration>), CommandError> {
    let timeout = session.options.converged_timeout.0;
    let wrong = |text: &str| Err(CommandError::Other(text.to_owned()));
    if options.detach {
        let lasts = "--detach needs a working directory that lasts, where the run is found again: leave out";
        let given =
            [("--tmp-prefix", session.options.tmp_prefix), ("--allow-tmp-prefix", session.options.allow_tmp_prefix)];
        if let Some(name) = first_given(&given) {
            return wrong(&format!("{lasts} {name}"));
        }
        if options.ssh.no_caching {
            return wrong("--detach needs this program to stay on the hosts: leave out --no-caching");
        }
        return Ok((FleetUntil::EachEnds, timeout));
    }
    match (options.watch, timeout) {
        (true, Some(_)) => wrong("--watch stays until ^C, and --converged-timeout does not: leave one of them out"),
        (true, None) => Ok((FleetUntil::Stopped, None)),
        (false, Some(timeout)) if !options.ssh.each => Ok((FleetUntil::AllConverge, Some(timeout))),
        (false, timeout) => Ok((FleetUntil::EachEnds, Some(timeout.unwrap_or_default()))),
    }
}

async fn run(
    session: &Session,
    gapi: impl Gapi,
    options: &RemoteRunOptions,
    screen: &Screen,
) -> Result<ExitCode, CommandError> {
    let mut ladder = Ladder::of_run()?;
    #[cfg(feature = "yaml")]
    if !options.hosts.graph_files.is_empty() {
        return run_files(session, options, screen, ladder).await;
    }
    let (until, timeout) = until(session, options)?;
    let is_short = options.detach || until == FleetUntil::EachEnds && timeout == Some(Duration::ZERO);
    let no_watch = session.options.no_watch || is_short;
    let travels = gapi.travels();
    let (sender, graphs) = mpsc::channel(1);
    let (reloads, reloaded) = watch::channel(0);
    let begun = async {
        let prefix = session.prefix(true)?;
        let purpose = if options.detach { Purpose::Leave } else { Purpose::Run };
        let cluster = Cluster::begin(session, &options.ssh, prefix.path(), purpose).await?;
        let mut hosts = hosts(session, &options.hosts, &options.ssh, screen).await?;
        enough_places(&mut hosts, options.ssh.parallel, until).await?;
        let mut job = cluster.give(job(session));
        if let Some(timeout) = timeout {
            job = job.converged_timeout(timeout);
        }
        job = options.trial.require(job);
        job = match options.detach {
            // Without a timeout, it stays until it is stopped.
            true => job.stays(timeout.is_none()).detach(),
            false => job.stays(until != FleetUntil::EachEnds),
        };
        if travels {
            let (parcel, travelling) = Travelling::begin(session, prefix.path(), gapi, !no_watch).await?;
            match options.detach {
                true => travelling.close().await,
                false => drop(tokio::spawn(travelling.follow(None, sender, reloaded))),
            }
            job = job.with_graph(parcel);
        }
        Ok::<_, CommandError>((job, hosts, cluster))
    };
    let (job, hosts, cluster) = tokio::select! {
        begun = begun => begun?,
        signal = ladder.first() => return Err(CommandError::Interrupted(signal)),
    };
    show_warnings(&session.warnings.take(), session.options.log, screen);
    let fleet = Fleet::new(hosts).until(until).parallel(options.ssh.parallel).no_watch(no_watch);
    let fleet = fleet.with_files(!travels).run(job);
    let run = NearRun { fleet, graphs, reloads, follows: Follows::Run };
    let code = run.follow(session, screen.clone(), options.json, ladder).await;
    cluster.end().await;
    code
}

/// Refuses fewer places than hosts for a run in which all hosts must run at once.
async fn enough_places(hosts: &mut HostsBox, parallel: usize, until: FleetUntil) -> Result<(), CommandError> {
    let count = hosts.hosts().await?.len();
    let why = match until {
        FleetUntil::EachEnds => return Ok(()),
        FleetUntil::Stopped => "with --watch",
        _ => "with --converged-timeout (unless --each: each host ends by itself)",
    };
    if parallel == 0 || count <= parallel {
        return Ok(());
    }
    Err(CommandError::Other(format!(
        "--parallel {parallel} is less than the {count} hosts, which must all be connected to at once {why}"
    )))
}

/// Serves the near end.
async fn serve(far: FarEnd, session: &Session, gapi: impl Gapi) -> u8 {
    let options = &session.options;
    let mut kept = None;
    let base = |wanted: BaseFor| {
        let prefix = session.prefix(wanted.looks).map_err(|error| error.to_string())?;
        // The world of the command line is that of the near end.
        let builder = match wanted.has_world {
            true => session.builder_without_world(prefix.path(), gapi),
            false => session.builder(prefix.path(), gapi).map_err(|error| error.to_string())?,
        };
        let (path, is_temporary) = (prefix.path().to_owned(), prefix.is_temporary());
        // A temporary one lives as long as the run.
        kept = Some(prefix);
        Ok(Base {
            builder,
            prefix: Some(path),
            noop: options.noop || options.alert_only,
            is_temporary,
            warnings: session.warnings.clone(),
            converged_timeout: options.converged_timeout.0,
            max_runtime: options.max_runtime,
        })
    };
    let code = far.kinds(session.kinds.clone()).serve_with(base).await;
    drop(kept);
    code
}
