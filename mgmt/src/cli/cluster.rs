//! The command `cluster`: shows the hosts of the world, and sets how many of them run a server of etcd.

use std::io;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::cli::exit::PENDING;
use crate::cli::help;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::gapi::{Cluster, ClusterStatus, DeployError};
use crate::id::{Palette, Role, in_json, in_one_line};
use crate::resource::{ClusterHost, HostState, Member, WorldError};
use crate::sys::facts::hostname;
#[cfg(feature = "etcd")]
use crate::world::ServerCount;

/// What to do with the hosts of a world.
#[derive(Clone, Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the living hosts, and how far each of them has got
    #[command(defer(help::cluster_status))]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show or change how many hosts run a server of etcd
    #[command(defer(help::cluster_size))]
    Size {
        /// How many there should be; they come and go one after the other
        #[arg(value_parser = clap::value_parser!(u16).range(1..))]
        servers: Option<u16>,
        /// Print JSON
        #[arg(long, conflicts_with = "servers")]
        json: bool,
    },
}

impl ClusterCommand {
    /// Whether what is printed is JSON.
    pub(crate) fn is_json(&self) -> bool {
        let (ClusterCommand::Status { json } | ClusterCommand::Size { json, .. }) = self;
        *json
    }
}

impl From<WorldError> for CommandError {
    fn from(error: WorldError) -> CommandError {
        DeployError::from(error).into()
    }
}

/// Executes the command.
pub(crate) async fn cluster(session: &Session, what: &ClusterCommand) -> Result<ExitCode, CommandError> {
    let mut ladder = Ladder::new()?;
    let world = session.options.world.world()?.or_else(|| session.world.clone()).ok_or(DeployError::NoWorld)?;
    let host = session.options.hostname.clone().unwrap_or_else(hostname);
    let work = async {
        match what {
            ClusterCommand::Status { json } => status(session, *json, &Cluster::new(&world, &host)).await,
            ClusterCommand::Size { servers, json } => size(*servers, *json, &*world.member(&host)).await,
        }
    };
    tokio::select! {
        done = work => done,
        signal = ladder.first() => Err(CommandError::Interrupted(signal)),
    }
}

async fn status(session: &Session, json: bool, cluster: &Cluster) -> Result<ExitCode, CommandError> {
    let status = cluster.status().await?;
    let text = match json {
        true => as_json(&status)?,
        false if session.options.quiet => String::new(),
        false => lines(&status, session.palette()),
    };
    print(&text)?;
    Ok(if status.is_converged() { ExitCode::SUCCESS } else { ExitCode::from(PENDING) })
}

#[cfg(feature = "etcd")]
async fn size(wanted: Option<u16>, json: bool, member: &dyn Member) -> Result<ExitCode, CommandError> {
    let count = ServerCount::read(member).await?;
    if count.serving.is_empty() {
        let why = "no host of this world runs a server of etcd by itself (`mgmt run --server-urls`)";
        return Err(CommandError::Other(why.to_owned()));
    }
    let names = |hosts: &[String]| in_one_line(&hosts.join(", ")).into_owned();
    let text = match wanted {
        Some(wanted) => {
            ServerCount::set(member, wanted).await?;
            let hosts = count.serving.len() + count.ready.len();
            let more = match hosts < usize::from(wanted) {
                true => {
                    let hosts = if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") };
                    format!(", which are more than the {hosts} that can be one now")
                }
                false => String::new(),
            };
            format!("servers: {} now, and {wanted} in the end{more}\n", count.serving.len())
        }
        None if json => format!("{}\n", in_json(&serde_json::to_string_pretty(&count).map_err(io::Error::from)?)),
        None => {
            let ready = match count.ready.is_empty() {
                true => String::new(),
                false => format!("ready: {}\n", names(&count.ready)),
            };
            format!("servers: {} of {}: {}\n{ready}", count.serving.len(), count.ideal, names(&count.serving))
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "etcd"))]
async fn size(_: Option<u16>, _: bool, _: &dyn Member) -> Result<ExitCode, CommandError> {
    let why = "servers of etcd need the Cargo feature `etcd`, which this program was built without: build it with it";
    Err(CommandError::Other(why.to_owned()))
}

fn as_json(status: &ClusterStatus) -> Result<String, CommandError> {
    let mut data = serde_json::to_value(status).map_err(io::Error::from)?;
    data["converged"] = json!(status.is_converged());
    Ok(format!("{}\n", in_json(&format!("{data:#}"))))
}

/// A line for each host, with what is wrong there below it, and the sum.
fn lines(status: &ClusterStatus, palette: Palette) -> String {
    let width = |of: fn(&ClusterHost) -> String| {
        status.hosts.iter().map(|host| of(host).chars().count()).max().unwrap_or_default()
    };
    let (names, versions) = (width(name), width(version));
    let mut text = String::new();
    for host in &status.hosts {
        let (role, words) = standing(host);
        let (name, version) = (name(host), version(host));
        let labels: Vec<String> = host.alive.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("  {}", in_one_line(&labels.join(","))),
        };
        let rest = host.state.as_ref().map(about).unwrap_or_default();
        text.push_str(&format!("{name:<names$}  {version:<versions$}  {}{rest}{labels}\n", palette.paint(role, words)));
        for trouble in host.state.iter().flat_map(|state| &state.troubles) {
            let (resource, state) = (in_one_line(&trouble.resource), in_one_line(&trouble.state));
            text.push_str(&format!("    {resource} {state}: {}\n", in_one_line(&trouble.error)));
        }
    }
    if let Some(rollout) = status.rollout.as_ref().filter(|rollout| rollout.is_split()) {
        let (wave, waves) = (rollout.wave + 1, rollout.waves().len());
        text.push_str(&format!(
            "deploy {} is in wave {wave} of {waves}, after {}\n",
            rollout.deploy(),
            rollout.before()
        ));
    }
    match status.obstacles.len() {
        0 => {
            let count = status.hosts.len();
            let all = if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") };
            text.push_str(&palette.paint(Role::Good, format!("converged: {all}\n")).to_string());
        }
        _ => {
            for obstacle in &status.obstacles {
                text.push_str(&format!("{}\n", palette.paint(Role::Drift, in_one_line(obstacle))));
            }
        }
    }
    text
}

fn name(host: &ClusterHost) -> String {
    in_one_line(&host.name).into_owned()
}

fn version(host: &ClusterHost) -> String {
    in_one_line(&host.alive.version).into_owned()
}

fn standing(host: &ClusterHost) -> (Role, String) {
    let since = |state: &HostState| in_one_line(&state.since).into_owned();
    match &host.state {
        None => (Role::Drift, "alive, without a state yet".to_owned()),
        Some(state) if state.converged => (Role::Good, format!("converged since {}", since(state))),
        Some(state) if state.hopeless => (Role::Error, format!("can't converge, since {}", since(state))),
        Some(state) => (Role::Drift, format!("converging since {}", since(state))),
    }
}

/// What a host has, for the rest of its line.
fn about(state: &HostState) -> String {
    let HostState { graph, resources, failed, waiting, follows, .. } = state;
    let mut text = format!(", {}: {resources} resource{}", in_one_line(graph), if *resources == 1 { "" } else { "s" });
    for (count, what) in [(failed, "failed"), (waiting, "waiting")] {
        if *count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if let Some(follows) = follows {
        let deploy = follows.deploy.as_deref().map_or("none".into(), in_one_line);
        text.push_str(&format!(", deploy {deploy}"));
    }
    text
}
