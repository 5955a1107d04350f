//! The command `remote`: plans or runs the graph on other machines.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::exit::{FAILED, PENDING};
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::gapi::Gapi;
use crate::graph::GraphConfig;
use crate::remote::{Base, FarEnd, Host, Job, Parcel, RemoteError, Report, far_end};

/// The options of `remote`.
#[derive(Clone, Debug, Args)]
pub struct RemoteOptions {
    /// What is done there.
    #[command(subcommand)]
    what: RemoteCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum RemoteCommand {
    /// Show what a run there would do now, without changing anything
    Plan {
        /// Names of the machines: `local:NAME` is a process on this one
        #[arg(required = true)]
        hosts: Vec<String>,
    },
    /// Run the graph there
    Run {
        /// Names of the machines: `local:NAME` is a process on this one
        #[arg(required = true)]
        hosts: Vec<String>,
    },
}

/// Serves the near end if this process is a far end; otherwise it is the near end.
pub(crate) async fn execute(
    session: &Session,
    gapi: impl Gapi,
    options: &RemoteOptions,
) -> Result<ExitCode, CommandError> {
    if let Some(far) = far_end() {
        return Ok(ExitCode::from(serve(far, session, gapi).await));
    }
    let (RemoteCommand::Plan { hosts } | RemoteCommand::Run { hosts }) = &options.what;
    let prefix = session.prefix(true)?;
    let prepared = session.builder(prefix.path(), gapi)?.check().await?;
    let config: GraphConfig = (**prepared.config()).clone();
    let parcel = Parcel::of(config, &session.kinds, &[]).await.map_err(failed)?;
    let job = Job::graph(parcel).arguments(std::env::args_os().skip(1));
    let mut worst = 0;
    for name in hosts {
        let Some(name) = name.strip_prefix("local:") else {
            return Err(CommandError::Other(format!("`{name}` can't be reached yet: give `local:NAME`")));
        };
        let (host, job) = (Host::local(name), job.clone().hostname(name));
        let code = match &options.what {
            RemoteCommand::Plan { .. } => plan(&host, &job, session).await?,
            RemoteCommand::Run { .. } => run(&host, &job).await?,
        };
        worst = worst.max(code);
    }
    Ok(ExitCode::from(worst))
}

fn failed(error: RemoteError) -> CommandError {
    CommandError::Other(error.to_string())
}

async fn plan(host: &Host, job: &Job, session: &Session) -> Result<u8, CommandError> {
    let plan = host.plan(job).await.map_err(failed)?.plan;
    print(&format!("{}:\n{}\n", host.name(), plan.painted(session.palette())))?;
    Ok(match () {
        () if plan.has_failed() => FAILED,
        () if plan.is_empty() => 0,
        () => PENDING,
    })
}

async fn run(host: &Host, job: &Job) -> Result<u8, CommandError> {
    let mut run = host.run(job).await.map_err(failed)?;
    while let Some(report) = run.next().await {
        match report {
            Report::Event(event) => print(&format!("{}: {}\n", host.name(), event.kind))?,
            Report::Log(line) => print(&format!("{}: {line}\n", host.name()))?,
            Report::Warning(note) => print(&format!("{}: warning: {note}\n", host.name()))?,
            _ => {}
        }
    }
    run.ended().await.map(|ended| ended.code).map_err(failed)
}

/// Serves the near end.
async fn serve(far: FarEnd, session: &Session, gapi: impl Gapi) -> u8 {
    let options = &session.options;
    let mut kept = None;
    let base = |looks: bool| {
        let prefix = session.prefix(looks).map_err(|error| error.to_string())?;
        let builder = session.builder(prefix.path(), gapi).map_err(|error| error.to_string())?;
        let path = prefix.path().to_owned();
        // A temporary one lives as long as the run.
        kept = Some(prefix);
        Ok(Base {
            builder,
            prefix: Some(path),
            warnings: session.warnings.clone(),
            converged_timeout: options.converged_timeout.0,
            max_runtime: options.max_runtime,
        })
    };
    let code = far.kinds(session.kinds.clone()).serve_with(base).await;
    drop(kept);
    code
}
