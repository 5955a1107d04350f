//! The options, as clap types that other programs can flatten into their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Subcommand, ValueEnum};

use crate::cli::setup::Svc;
use crate::cli::{exit, help};
use crate::resource::{WITH_UNIT, with_units};
use crate::sys::facts::check_hostname;

/// Where `--prometheus` serves figures, on this machine alone.
const PROMETHEUS_PORT: u16 = 9233;

/// Everything that a program with a graph understands. Flattened into a program's own options:
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
// What it is flattened into has its own text at the top of its help.
#[command(about = None, long_about = None, after_help = exit::program())]
pub struct Options {
    /// How it runs.
    #[command(flatten)]
    pub run: RunOptions,
    /// What to do. Default: run.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How a graph is run.
#[derive(Clone, Debug, Args)]
#[command(about = None, long_about = None)]
pub struct RunOptions {
    /// Working directory; only one engine can use it at a time [env: MGMT_PREFIX]
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "tmp_prefix")]
    pub prefix: Option<PathBuf>,
    /// Work in a fresh temporary directory
    #[arg(long, global = true)]
    pub tmp_prefix: bool,
    /// Fall back to a temporary directory if the prefix can't be used
    #[arg(long, global = true)]
    pub allow_tmp_prefix: bool,
    /// Name of this host
    #[arg(long, global = true, value_name = "NAME", value_parser = hostname)]
    pub hostname: Option<String>,
    /// Check everything, change nothing
    #[arg(long, global = true)]
    pub noop: bool,
    /// Show the contents of files that others may not read, but never a secret
    #[arg(long, global = true)]
    pub show: bool,
    /// Do not follow changes of the graph
    #[arg(long, global = true)]
    pub no_watch: bool,
    /// Exit once everything has been converged for so many seconds (-1: never; 0: at once, without following the graph)
    #[arg(long, short = 't', alias = "converger-timeout", global = true, value_name = "SECONDS", env = "MGMT_CONVERGED_TIMEOUT", default_value = "-1", allow_hyphen_values = true, value_parser = seconds_or_never)]
    pub converged_timeout: Timeout,
    /// Exit after so many seconds (0: never)
    #[arg(long, global = true, value_name = "SECONDS", env = "MGMT_MAX_RUNTIME", default_value = "0", value_parser = seconds_or_zero)]
    pub max_runtime: Duration,
    /// How many operations run at once
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sema: Option<u32>,
    /// Write a line to this file each time it converges or does not any more
    #[arg(long, alias = "converger-status-file", global = true, value_name = "FILE")]
    pub converged_status_file: Option<PathBuf>,
    /// Write the graph that runs to this file, for Graphviz, and draw it as FILE.png if Graphviz is there
    #[arg(long, short, global = true, value_name = "FILE")]
    pub graphviz: Option<PathBuf>,
    /// Which program of Graphviz draws it; default: dot
    #[arg(long, global = true, value_name = "PROGRAM", requires = "graphviz")]
    pub graphviz_filter: Option<GraphvizFilter>,
    /// Find no edges beside those that are declared
    #[arg(long, global = true)]
    pub no_autoedges: bool,
    /// Merge no resources
    #[arg(long, global = true)]
    pub no_autogroup: bool,
    /// Serve figures for Prometheus at this address, for example 127.0.0.1:9233
    #[arg(long, alias = "prometheus-listen", global = true, value_name = "ADDR", value_parser = address)]
    pub metrics: Option<SocketAddr>,
    /// `--metrics` at the address that the Go system has by default.
    #[arg(long, global = true, hide = true)]
    #[doc(hidden)]
    pub prometheus: bool,
    /// Of the Go system: a converged timeout always ends a run here.
    #[arg(long, global = true, hide = true, requires = "converged_timeout")]
    #[doc(hidden)]
    pub converged_exit: bool,
    /// Keep the limit of open files as it is; default: it is raised as far as it may be, but not for commands
    #[arg(long, global = true)]
    pub no_raise_limits: bool,
    /// How to log when the output is not a terminal
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log: LogFormat,
    /// Colours: `auto` is for terminals, and follows NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Print warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more; twice: everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl RunOptions {
    /// Where figures are served.
    pub(crate) fn metrics(&self) -> Option<SocketAddr> {
        let default = || SocketAddr::from((Ipv4Addr::LOCALHOST, PROMETHEUS_PORT));
        self.metrics.or_else(|| self.prometheus.then(default))
    }
}

/// Seconds, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

/// What to do with the graph.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the graph: repair what has drifted, now and whenever it drifts again
    #[command(defer(help::run))]
    Run,
    /// Show what a run would do now, and change nothing
    #[command(defer(help::plan))]
    Plan {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check that the graph is right, without looking at the system
    #[command(defer(help::check))]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the graph
    #[command(defer(help::graph))]
    Graph {
        /// The language to print it in
        #[arg(long, value_name = "FORMAT", default_value = "dot")]
        format: GraphFormat,
        /// Draw it into this file; `-`: standard output
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Print the JSON schema of graphs
    #[command(defer(help::schema))]
    Schema,
    /// Set this machine up
    #[command(defer(help::setup))]
    Setup {
        /// What to set up.
        #[command(subcommand)]
        what: Setup,
    },
    /// Print what a shell needs to complete this program's command line
    #[command(defer(help::completion))]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print this program's manual page
    #[command(defer(help::man))]
    Man,
}

/// What this machine is set up for.
#[derive(Clone, Debug, Subcommand)]
pub enum Setup {
    /// Run the graph as a service of systemd: the unit is written and enabled
    #[command(defer(help::setup_svc))]
    Svc(Svc),
}

/// A language to print a graph in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid, as Markdown pages show it
    Mermaid,
    /// The graph as data
    Json,
}

/// A program of Graphviz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphvizFilter {
    /// In layers, from top to bottom
    Dot,
    /// By springs
    Neato,
    /// In circles around one
    Twopi,
    /// In a circle
    Circo,
    /// By forces
    Fdp,
}

/// A form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

fn number(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a number of seconds, nor {WITH_UNIT}");
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(wrong)
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    if let Some(time) = with_units(text) {
        return Ok(time);
    }
    Duration::try_from_secs_f64(number(text)?).map_err(|_| format!("`{text}` seconds is out of range: give 0 or more"))
}

/// An empty variable of the environment is as good as none.
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

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.strip_prefix(':') {
        Some(port) => format!("which interface? Give 127.0.0.1:{port}, or 0.0.0.0:{port} for all of them"),
        None => "give an address and a port, for example 127.0.0.1:9233 or [::1]:9233".to_owned(),
    })
}

fn hostname(text: &str) -> Result<String, String> {
    check_hostname(text).map(|()| text.to_owned())
}
