//! The command `cluster`: shows the hosts of the world, and changes what they are to it.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::cli::exit::PENDING;
use crate::cli::help;
use crate::cli::membership::change;
use crate::cli::report::CommandError;
use crate::cli::session::{Session, print};
use crate::cli::signals::Ladder;
use crate::cli::world::ttl;
use crate::gapi::{Cluster, ClusterStatus, DeployError};
use crate::id::{Palette, Role, in_json, in_one_line};
use crate::resource::{ClusterHost, HostState, WorldError};
use crate::sys::facts::hostname;

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
    /// Make the authority of a new cluster below the prefix: this host lets the others in
    #[command(defer(help::cluster_init))]
    Init {
        /// How long the certificates of hosts hold, which are renewed at half of it; default: 7 days
        #[arg(long, value_name = "SECONDS", value_parser = ttl)]
        certificate_life: Option<Duration>,
    },
    /// Print a token with which one host joins: `mgmt run --join TOKEN`
    #[command(defer(help::cluster_token))]
    Token(TokenOptions),
    /// Show the hosts that have joined, living or not
    #[command(defer(help::cluster_hosts))]
    Hosts {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Permit a host to deploy
    #[command(defer(help::cluster_allow))]
    Allow {
        /// The host.
        host: String,
        /// What it may do.
        right: Right,
    },
    /// Permit a host no longer to deploy
    #[command(defer(help::cluster_allow))]
    Forbid {
        /// The host.
        host: String,
        /// What it may not do.
        right: Right,
    },
    /// Refuse the certificates of a host, and remove all its keys
    #[command(defer(help::cluster_forget))]
    Forget {
        /// The host.
        host: String,
    },
}

/// What a host may be permitted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Right {
    /// To publish deploys.
    Deploy,
}

/// What a join token lets a host do.
#[derive(Clone, Debug, Default, Args)]
pub struct TokenOptions {
    /// How long the token can be used; default: an hour
    #[arg(long, value_name = "SECONDS", value_parser = ttl)]
    pub ttl: Option<Duration>,
    /// The host may run a server of etcd: it is trusted with all data, and with who is let in
    #[arg(long)]
    pub server: bool,
    /// The host may deploy; its graph then decides what runs on all that follow deploys
    #[arg(long)]
    pub may_deploy: bool,
    /// What the token is for: shown in the log when a host joins with it
    #[arg(long = "for", value_name = "TEXT")]
    pub purpose: Option<String>,
}

impl ClusterCommand {
    /// Whether what is printed is JSON.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            ClusterCommand::Status { json } | ClusterCommand::Hosts { json } | ClusterCommand::Size { json, .. } => {
                *json
            }
            _ => false,
        }
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
    let work = async {
        match what {
            ClusterCommand::Status { json } => {
                let world = session.world()?.ok_or(DeployError::NoWorld)?;
                let host = session.options.hostname.clone().unwrap_or_else(hostname);
                status(session, *json, &Cluster::new(&world, &host)).await
            }
            _ => print(&change(session, what).await?).map(|()| ExitCode::SUCCESS),
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
