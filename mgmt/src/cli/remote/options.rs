//! The options of `remote`: which hosts, how they are reached, and how long a run lasts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use crate::cli::help;
use crate::cli::logs::Screen;
use crate::cli::options::{first_given, seconds};
use crate::cli::remote::prompt::Prompt;
use crate::cli::report::CommandError;
use crate::remote::{Host, Job, Ssh};
use crate::sys::prompt;
use crate::sys::ssh::{Answers, Endpoint, Executable, SshOptions as LinkOptions};

/// What to do on other hosts.
#[derive(Clone, Debug, Subcommand)]
pub enum RemoteCommand {
    /// Show what a run would do on other hosts now, without changing anything there
    #[command(defer(help::remote_plan))]
    Plan(Box<RemotePlanOptions>),
    /// Run the graph on other hosts: repair what has drifted there
    #[command(defer(help::remote_run))]
    Run(Box<RemoteRunOptions>),
    /// Show what runs report that `run --detach` has left on hosts, until ^C, which leaves them there
    #[command(defer(help::remote_attach))]
    Attach(Box<RemoteLeftOptions>),
    /// End runs that `run --detach` has left on hosts
    #[command(defer(help::remote_stop))]
    Stop(Box<RemoteLeftOptions>),
    /// List the runs that `run --detach` has left on hosts
    #[command(defer(help::remote_list))]
    List(Box<RemoteLeftOptions>),
}

/// The options of `remote attach`, `remote stop` and `remote list`.
#[derive(Clone, Debug, Args)]
pub struct RemoteLeftOptions {
    /// Which hosts.
    #[command(flatten)]
    pub hosts: HostOptions,
    /// How they are reached.
    #[command(flatten)]
    pub ssh: SshOptions,
    /// Print JSON: what happens as lines, with the name of the host; a list as one document
    #[arg(long)]
    pub json: bool,
}

/// The options of `remote plan`.
#[derive(Clone, Debug, Args)]
pub struct RemotePlanOptions {
    /// Which hosts.
    #[command(flatten)]
    pub hosts: HostOptions,
    /// How they are reached.
    #[command(flatten)]
    pub ssh: SshOptions,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The options of `remote run`.
#[derive(Clone, Debug, Args)]
pub struct RemoteRunOptions {
    /// Which hosts.
    #[command(flatten)]
    pub hosts: HostOptions,
    /// How they are reached.
    #[command(flatten)]
    pub ssh: SshOptions,
    /// Stay: repair there whatever drifts, connect again to hosts that were lost, and follow the graph and the list of
    /// hosts, until ^C
    #[arg(long)]
    pub watch: bool,
    /// Whether the changes must be confirmed.
    #[command(flatten)]
    pub trial: TrialOptions,
    /// Leave the run there when it has started: see `remote attach`, `remote stop` and `remote list`
    #[arg(long, conflicts_with_all = ["watch", "confirm"])]
    pub detach: bool,
    /// Print each event as a line of JSON, with the name of its host
    #[arg(long)]
    pub json: bool,
}

/// Whether what was changed must be confirmed by a new connection.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(about = None, long_about = None)]
pub struct TrialOptions {
    /// Put back what was changed, unless the host can be reached by a new connection within this time after it has
    /// converged: also if it was cut off, rebooted, or the process there was killed
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "no_caching")]
    pub confirm: Option<Duration>,
    /// With --confirm, also make changes that can't be put back
    #[arg(long, requires = "confirm")]
    pub confirm_partial: bool,
}

/// The hosts of a command.
#[derive(Clone, Debug, Default, Args)]
#[command(about = None, long_about = None)]
pub struct HostOptions {
    /// Hosts: a name that ssh knows, USER@HOST, ssh://USER@HOST:PORT, or one of them with a name of its own before it
    /// (NAME=USER@HOST)
    #[arg(value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    pub hosts: Vec<String>,
    /// A file with one host on each line (`-`: standard input); a run reads it again when it is saved
    #[arg(long = "hosts", id = "hosts_file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Files with graphs that name their hosts: the option `--remote` of `run`.
    #[cfg(feature = "yaml")]
    #[arg(skip)]
    pub(crate) graph_files: Vec<PathBuf>,
    /// Unknown keys in these files are warnings.
    #[cfg(feature = "yaml")]
    #[arg(skip)]
    pub(crate) allow_unknown: bool,
    /// All hosts that are alive in the world (`--seeds`), each at the address in its label `ssh`, or else at its name
    #[arg(long)]
    pub world_hosts: bool,
}

impl RemoteRunOptions {
    /// The run of graphs that name their hosts.
    #[cfg(feature = "yaml")]
    pub(crate) fn of_files(
        files: Vec<PathBuf>,
        allow_unknown: bool,
        ssh: SshOptions,
        trial: TrialOptions,
    ) -> RemoteRunOptions {
        let hosts = HostOptions { graph_files: files, allow_unknown, ..HostOptions::default() };
        RemoteRunOptions { hosts, ssh, watch: false, trial, detach: false, json: false }
    }
}

impl TrialOptions {
    /// The job with what they require.
    pub(crate) fn require(self, job: Job) -> Job {
        match self.confirm {
            Some(within) => job.confirm(within).confirm_partial(self.confirm_partial),
            None => job,
        }
    }
}

/// How hosts are reached over SSH.
#[derive(Clone, Debug, Default, Args)]
#[command(about = None, long_about = None, next_help_heading = "How hosts are reached")]
pub struct SshOptions {
    /// Work on at most this many hosts at once (0: no limit)
    #[arg(long, alias = "cconns", value_name = "N", env = "MGMT_CCONNS", default_value = "0", value_parser = whole)]
    pub parallel: usize,
    /// Each host ends by itself when it has converged; default with a converged timeout: all end together
    #[arg(long)]
    pub each: bool,
    /// Private key of ssh, of any type; an empty one means none; default: those of ssh's own configuration
    #[arg(long, short, alias = "ssh-priv-id-rsa", value_name = "FILE", env = "MGMT_SSH_PRIV_ID_RSA", value_parser = path)]
    pub identity: Option<PathBuf>,
    /// Configuration file of ssh; default: ~/.ssh/config
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// Give up connecting to a host after this many seconds; default: 10
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub connect_timeout: Option<Duration>,
    /// Run as this user there, by sudo; default of USER: root
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root", value_parser = NonEmptyStringValueParser::new())]
    pub r#become: Option<String>,
    /// Remove this program from the hosts after the run; default: keep it there for the next run
    #[arg(long)]
    pub no_caching: bool,
    /// Let ssh and sudo ask at the terminal, even if the output goes elsewhere
    #[arg(long)]
    pub allow_interactive: bool,
    /// The program to run there, built for those machines; default: this one
    #[arg(long, value_name = "PATH")]
    pub remote_binary: Option<PathBuf>,
    /// Give the hosts nothing of the cluster that this host belongs to: they exchange nothing through this program
    #[arg(long)]
    pub no_world: bool,
}

/// A path, which can be empty: clap's own parser refuses that.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser")]
fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// An empty text is zero: it comes from an environment variable that is set but empty.
fn whole(text: &str) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| "give a whole number, 0 for no limit".to_owned())
}

impl RemoteCommand {
    /// Whether the graph runs.
    pub(crate) fn is_run(&self) -> bool {
        matches!(self, RemoteCommand::Run(_) | RemoteCommand::Attach(_) | RemoteCommand::Stop(_))
    }

    /// Whether it needs a graph of this host.
    #[cfg(feature = "yaml")]
    pub(crate) fn needs_graph(&self) -> bool {
        matches!(self, RemoteCommand::Plan(_) | RemoteCommand::Run(_))
    }

    /// Whether what is printed is JSON.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            RemoteCommand::Plan(options) => options.json,
            RemoteCommand::Run(options) => options.json,
            RemoteCommand::Attach(options) | RemoteCommand::Stop(options) | RemoteCommand::List(options) => {
                options.json
            }
        }
    }
}

impl SshOptions {
    /// An option that a run on this host can't follow. Those that Go mgmt accepts there, and those that variables set,
    /// are left out.
    #[cfg(feature = "yaml")]
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--become", self.r#become.is_some()),
            ("--each", self.each),
            ("--ssh-config", self.ssh_config.is_some()),
            ("--connect-timeout", self.connect_timeout.is_some()),
            ("--remote-binary", self.remote_binary.is_some()),
            ("--no-world", self.no_world),
        ];
        first_given(&given)
    }

    /// An option by which something else runs on a host over SSH than in a process on this host.
    pub(crate) fn needs_ssh(&self) -> Option<&'static str> {
        let given = [("--become", self.r#become.is_some()), ("--remote-binary", self.remote_binary.is_some())];
        first_given(&given)
    }

    /// How ssh is used.
    pub(crate) fn link_options(&self, screen: &Screen) -> Result<LinkOptions, CommandError> {
        let has_terminal = prompt::has_terminal();
        if self.allow_interactive && !has_terminal {
            let why = "--allow-interactive needs a terminal, and this process has none";
            return Err(CommandError::Other(why.to_owned()));
        }
        let asks = has_terminal && (screen.terminal || self.allow_interactive);
        let mut options = LinkOptions::default();
        options.config.clone_from(&self.ssh_config);
        options.identities = self.identity.iter().filter(|path| !path.as_os_str().is_empty()).cloned().collect();
        options.become_user.clone_from(&self.r#become);
        options.connect_timeout = self.connect_timeout.unwrap_or(options.connect_timeout);
        options.caching = !self.no_caching;
        options.answers = asks.then(|| Arc::new(Prompt::new(screen.clone())) as Arc<dyn Answers>);
        Ok(options)
    }

    /// How hosts are reached with these options. `sends`: whether the executable is sent to any.
    pub(crate) async fn reach(
        &self,
        options: LinkOptions,
        sends: bool,
    ) -> Result<impl Fn(Endpoint) -> Host + Clone + Send + use<>, CommandError> {
        let executable = match (&self.remote_binary, sends) {
            (_, false) => None,
            (Some(path), true) => Some(Executable::at(path).await.map_err(|error| {
                CommandError::Other(format!("--remote-binary: {} can't be sent: {error}", path.display()))
            })?),
            (None, true) => Some(Executable::this().await.map_err(|error| {
                CommandError::Other(format!("the executable of this program can't be read: {error}"))
            })?),
        };
        Ok(move |endpoint: Endpoint| {
            let name = endpoint.name().to_owned();
            let ssh = Ssh::new(endpoint).options(options.clone());
            Host::new(
                name,
                match &executable {
                    Some(executable) => ssh.executable(executable.clone()),
                    None => ssh,
                },
            )
        })
    }
}
