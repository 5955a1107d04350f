//! The options, as clap types that other programs can flatten into their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Subcommand, ValueEnum};

use crate::cli::ask::Asking;
use crate::cli::capture::CaptureOptions;
use crate::cli::cluster::ClusterCommand;
use crate::cli::deploy::DeployOptions;
#[cfg(feature = "ssh")]
use crate::cli::remote::RemoteCommand;
use crate::cli::setup::Svc;
use crate::cli::world::WorldOptions;
use crate::cli::{exit, help};
use crate::resource::{WITH_UNIT, with_units};
use crate::sys::facts::check_hostname;

/// The most levels of hosts.
#[cfg(feature = "ssh")]
const DEPTH_MAX: u32 = 8;
/// The port at which `--prometheus` serves metrics, on the loopback address.
const PROMETHEUS_PORT: u16 = 9233;

/// All options and commands of a program with a graph. A program with options of its own flattens them:
///
/// ```no_run
/// use mgmt::prelude::*;
///
/// #[derive(clap::Parser)]
/// struct Cli {
///     /// Which site
///     #[arg(long, default_value = "main")]
///     site: String,
///     #[command(flatten)]
///     mgmt: mgmt::cli::Options,
/// }
///
/// fn main() -> mgmt::ExitCode {
///     let Cli { site, mgmt: options } = mgmt::cli::parse();
///     mgmt::App::new("sites").run(options, mgmt::native(move |g, _| {
///         g.add(File::new(format!("/tmp/{site}")).content("here\n"));
///         Ok(())
///     }))
/// }
/// ```
#[derive(Clone, Debug, Args)]
// The program that flattens these options has its own text at the top of its help.
#[command(about = None, long_about = None, after_help = exit::program())]
pub struct Options {
    /// How the graph is run.
    #[command(flatten)]
    pub run: RunOptions,
    /// The command. Default: [`Command::Run`].
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The options of a run.
#[derive(Clone, Debug, Args)]
#[command(about = None, long_about = None)]
pub struct RunOptions {
    /// Working directory, which only one engine can use at a time; default: below /var/lib/mgmt as root, else below
    /// ~/.local/state/mgmt [env: MGMT_PREFIX]
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "tmp_prefix")]
    pub prefix: Option<PathBuf>,
    /// Work in a fresh temporary directory
    #[arg(long, global = true)]
    pub tmp_prefix: bool,
    /// Fall back to a temporary directory if the prefix can't be used
    #[arg(long, global = true)]
    pub allow_tmp_prefix: bool,
    /// Name of this host; default: the system's
    #[arg(long, global = true, value_name = "NAME", value_parser = hostname)]
    pub hostname: Option<String>,
    /// The other hosts.
    #[command(flatten)]
    pub world: WorldOptions,
    /// Run the graph that was deployed last to the world (`--seeds`), and follow further deploys
    #[arg(long, global = true)]
    pub deploy: bool,
    /// Check everything, change nothing
    #[arg(long, global = true)]
    pub noop: bool,
    /// Check everything, change nothing, and report drift as alerts (exit code 2 with a converged timeout)
    #[arg(long, global = true)]
    pub alert_only: bool,
    /// Show the contents of files that other users may not read, but never a secret
    #[arg(long, global = true)]
    pub show: bool,
    /// Do not make the graph again when its source changes
    #[arg(long, global = true)]
    pub no_watch: bool,
    /// Exit once converged for this many seconds (-1: never; 0: at once, without following the graph)
    #[arg(long, short = 't', alias = "converger-timeout", global = true, value_name = "SECONDS", env = "MGMT_CONVERGED_TIMEOUT", default_value = "-1", allow_hyphen_values = true, value_parser = seconds_or_never)]
    pub converged_timeout: Timeout,
    /// Converge only when all other living hosts of the world (`--seeds`) have, too, for that time
    #[arg(long, global = true)]
    pub cluster: bool,
    /// Exit after this many seconds (0: never)
    #[arg(long, global = true, value_name = "SECONDS", env = "MGMT_MAX_RUNTIME", default_value = "0", allow_hyphen_values = true, value_parser = seconds_or_zero)]
    pub max_runtime: Duration,
    /// Run at most this many operations at once; default: four for each processor
    #[arg(long, global = true, value_name = "N", allow_hyphen_values = true, value_parser = at_least_1)]
    pub sema: Option<u32>,
    /// Append a line to this file each time the graph converges, or is no longer converged
    #[arg(long, alias = "converger-status-file", global = true, value_name = "FILE")]
    pub converged_status_file: Option<PathBuf>,
    /// Write the running graph to this file in Graphviz format, and draw it as FILE.png if Graphviz is installed
    #[arg(long, short, global = true, value_name = "FILE")]
    pub graphviz: Option<PathBuf>,
    /// Graphviz program that draws the graph; default: dot
    #[arg(long, global = true, value_name = "PROGRAM", requires = "graphviz")]
    pub graphviz_filter: Option<GraphvizFilter>,
    /// How many levels of other hosts the graph may lead to with resources of the kind `remote`, whose graphs can have
    /// some too; default: 1
    #[cfg(feature = "ssh")]
    #[arg(long, global = true, value_name = "N", default_value = "1", hide_default_value = true, value_parser = clap::value_parser!(u32).range(0..=i64::from(DEPTH_MAX)))]
    pub depth: u32,
    /// Do not add the edges that follow from what resources are
    #[arg(long, global = true)]
    pub no_autoedges: bool,
    /// Do not group resources
    #[arg(long, global = true)]
    pub no_autogroup: bool,
    /// Serve metrics for Prometheus at this address, for example 127.0.0.1:9233
    #[arg(long, alias = "prometheus-listen", global = true, value_name = "ADDR", value_parser = address)]
    pub metrics: Option<SocketAddr>,
    /// The same as `--metrics 127.0.0.1:9233`. An option of Go mgmt, with its default address.
    #[arg(long, global = true, hide = true)]
    #[doc(hidden)]
    pub prometheus: bool,
    /// An option of Go mgmt, accepted without effect: here a converged timeout always ends the run.
    #[arg(long, global = true, hide = true, requires = "converged_timeout")]
    #[doc(hidden)]
    pub converged_exit: bool,
    /// Do not raise the limit of open files; default: raise it to the maximum, except for commands
    #[arg(long, global = true)]
    pub no_raise_limits: bool,
    /// Format of log lines when the output is not a terminal
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log: LogFormat,
    /// When to use colours; `auto`: in terminals, subject to NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Print only warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more; give it twice to print everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl RunOptions {
    /// The address at which metrics are served. `None`: metrics are not served.
    pub(crate) fn metrics(&self) -> Option<SocketAddr> {
        let default = || SocketAddr::from((Ipv4Addr::LOCALHOST, PROMETHEUS_PORT));
        self.metrics.or_else(|| self.prometheus.then(default))
    }

    /// How many levels of hosts there may be. Go mgmt counts from 0.
    #[cfg(feature = "ssh")]
    pub(crate) fn levels(&self) -> u32 {
        self.depth.max(1)
    }
}

/// A time limit, as an option gives it. `None`: no limit (`-1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

/// A command: what to do with the graph.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the graph: repair what has drifted, now and whenever it drifts again
    #[command(defer(help::run))]
    Run,
    /// Show what a run would do now, without changing anything
    #[command(defer(help::plan))]
    Plan {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Commands that ask a running instance.
    #[command(flatten)]
    Ask(Asking),
    /// Check the graph for errors, without looking at the system
    #[command(defer(help::check))]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the graph
    #[command(defer(help::graph))]
    Graph {
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "dot")]
        format: GraphFormat,
        /// Draw the graph as SVG into this file (`-`: standard output)
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Publish the graph, for all hosts that run with --deploy
    #[command(defer(help::deploy))]
    Deploy(Box<DeployOptions>),
    /// Show the hosts of the world, make a cluster, and let hosts in
    #[command(defer(help::cluster))]
    Cluster {
        /// What to show.
        #[command(subcommand)]
        what: ClusterCommand,
    },
    /// Plan and run the graph on other hosts, over SSH, with nothing installed there
    #[cfg(feature = "ssh")]
    #[command(defer(help::remote))]
    Remote {
        /// What to do.
        #[command(subcommand)]
        what: RemoteCommand,
    },
    /// Print a graph that declares what this host has now
    #[command(defer(help::capture))]
    Capture(CaptureOptions),
    /// Print the JSON schema of graphs
    #[command(defer(help::schema))]
    Schema,
    /// Set up this machine to run the graph
    #[command(defer(help::setup))]
    Setup {
        /// What to set up.
        #[command(subcommand)]
        what: Setup,
    },
    /// Print a shell script that completes this program's command lines
    #[command(defer(help::completion))]
    Completion {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Print this program's manual page
    #[command(defer(help::man))]
    Man,
}

/// What `setup` sets up.
#[derive(Clone, Debug, Subcommand)]
pub enum Setup {
    /// Run the graph as a systemd service: write its unit and enable it
    #[command(defer(help::setup_svc))]
    Svc(Svc),
}

/// The format in which `graph` prints a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// The language of Graphviz
    Dot,
    /// Mermaid, which Markdown viewers can draw
    Mermaid,
    /// The graph as JSON data
    Json,
}

/// A layout program of Graphviz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphvizFilter {
    /// Layers from top to bottom
    Dot,
    /// Spring model
    Neato,
    /// Concentric circles around one resource
    Twopi,
    /// One circle
    Circo,
    /// Force-directed layout
    Fdp,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Readable lines
    Text,
    /// One JSON object for each line
    Json,
}

fn number(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a number of seconds, nor {WITH_UNIT}");
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(wrong)
}

/// The first option that is given.
pub(crate) fn first_given(options: &[(&'static str, bool)]) -> Option<&'static str> {
    options.iter().find(|(_, is_given)| *is_given).map(|(option, _)| *option)
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    if let Some(time) = with_units(text) {
        return Ok(time);
    }
    Duration::try_from_secs_f64(number(text)?).map_err(|_| format!("`{text}` seconds is out of range: give 0 or more"))
}

/// An empty text is zero: it comes from an environment variable that is set but empty.
fn seconds_or_zero(text: &str) -> Result<Duration, String> {
    if text.is_empty() { Ok(Duration::ZERO) } else { seconds(text) }
}

fn seconds_or_never(text: &str) -> Result<Timeout, String> {
    if text.is_empty() {
        return Ok(Timeout(None));
    }
    match text.parse::<f64>() {
        Ok(-1.0) => Ok(Timeout(None)),
        Ok(negative) if negative < 0.0 => {
            Err(format!("`{text}` seconds is out of range: give 0 or more, or -1 for never"))
        }
        _ => Ok(Timeout(Some(seconds(text)?))),
    }
}

fn at_least_1(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number >= 1);
    number.ok_or_else(|| format!("give a whole number from 1 to {}", u32::MAX))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.strip_prefix(':') {
        Some(port) => format!("which interface? Give 127.0.0.1:{port}, or 0.0.0.0:{port} for all of them"),
        None => "give an address and a port, for example 127.0.0.1:9233 or [::1]:9233".to_owned(),
    })
}

fn hostname(text: &str) -> Result<String, String> {
    check_hostname(text).map(|()| text.to_owned())
}
