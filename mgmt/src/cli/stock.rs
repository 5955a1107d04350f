//! The program `mgmt`: runs graphs from YAML files, and from programs that print them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::cli::app::App;
use crate::cli::commands::LAST_WORDS;
use crate::cli::exit::FAILED;
use crate::cli::logs::Screen;
use crate::cli::options::{Command, LogFormat, Options, RunOptions, Setup, seconds};
#[cfg(feature = "ssh")]
use crate::cli::remote::{RemoteCommand, RemoteRunOptions, SshOptions, TrialOptions};
use crate::cli::report::{CommandError, complain, show_warnings};
use crate::cli::session::print;
use crate::cli::{convert, exit, help, usage};
use crate::gapi::{
    Fixed, Gapi, GapiData, GapiError, Program, STDIN, Yaml, YamlOptions, command, fixed, puppet, read_graph_file,
    read_yaml, yaml, yaml_of_stdin,
};
use crate::graph::GraphConfig;
use crate::runtime::EngineError;

/// Keeps this machine in the state that a graph declares, continuously
#[derive(Debug, Parser)]
#[command(name = "mgmt", version, max_term_width = 80, after_help = exit::program())]
struct Stock {
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten, next_help_heading = "How it runs")]
    run: RunOptions,
    /// How hosts are reached that the files of `--remote` name.
    #[cfg(feature = "ssh")]
    #[command(flatten)]
    ssh: SshOptions,
    /// Whether their changes must be confirmed.
    #[cfg(feature = "ssh")]
    #[command(flatten)]
    trial: TrialOptions,
    #[command(subcommand)]
    command: Option<StockCommand>,
}

/// Where the graph comes from: at most one of `yaml`, `program` and `puppet`. Without one, the graph has no resources.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = help::SOURCES)]
struct SourceOptions {
    /// A YAML file, read again when it is saved (`-`: standard input, read once)
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["program", "puppet"])]
    yaml: Option<PathBuf>,
    /// A command line for /bin/sh that prints a graph as YAML
    #[arg(long = "command", id = "program", global = true, value_name = "LINE", conflicts_with = "puppet", value_parser = NonEmptyStringValueParser::new())]
    program: Option<String>,
    /// Run the command line of --command again this many seconds after it has ended
    #[arg(long, global = true, value_name = "SECONDS", allow_hyphen_values = true, value_parser = seconds)]
    every: Option<Duration>,
    /// Run the command line of --command again when this file changes; can be given several times
    #[arg(long, global = true, value_name = "FILE")]
    watch_file: Vec<PathBuf>,
    /// Take the graph from Puppet: `agent`, a manifest (FILE.pp), or Puppet code
    #[arg(long, short, global = true, value_name = "WHAT", value_parser = NonEmptyStringValueParser::new())]
    puppet: Option<String>,
    /// Puppet's configuration file
    #[arg(long, global = true, value_name = "FILE")]
    puppet_conf: Option<PathBuf>,
    /// A YAML file whose key `remote` names the host on which its graph runs; can be given several times
    #[cfg(feature = "ssh")]
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["yaml", "program", "puppet", "deploy"])]
    remote: Vec<PathBuf>,
    /// Report unknown keys as warnings, not as errors
    #[arg(long, global = true)]
    allow_unknown: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum StockCommand {
    #[command(flatten)]
    Common(Command),
    /// Convert a YAML graph to a Rust program that declares the same graph
    #[command(defer(help::convert))]
    Convert {
        /// YAML file (`-`: standard input)
        file: PathBuf,
    },
}

/// Runs the program `mgmt`.
pub fn stock() -> ExitCode {
    // Clap's `arg_required_else_help` counts an environment variable as an argument.
    if std::env::args_os().len() <= 1 {
        let printed = stock_command().print_help();
        return if usage::is_unwritten(printed) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
    }
    let stock = match usage::matches::<Stock>(stock_command(), std::env::args_os()).and_then(checked) {
        Ok(stock) => stock,
        Err(error) => return usage::fail(&error),
    };
    let app = App::new("mgmt").built_by(stock_command).inherit_env();
    let options = YamlOptions { allow_unknown: stock.source.allow_unknown, ..YamlOptions::default() };
    match &stock.command {
        Some(StockCommand::Convert { file }) => convert_file(file, &options, &stock.run).unwrap_or_else(|error| {
            complain(&error, stock.run.color);
            ExitCode::from(FAILED)
        }),
        Some(StockCommand::Common(command)) => execute(app, &stock, Some(command.clone()), options),
        None => execute(app, &stock, None, options),
    }
}

/// The command line of the program.
fn stock_command() -> clap::Command {
    #[cfg(feature = "ssh")]
    {
        // `run --remote` takes them too. `remote` shows its own.
        let ssh = TrialOptions::augment_args(SshOptions::augment_args(clap::Command::new("ssh")));
        let ids: Vec<_> = ssh.get_arguments().map(|arg| arg.get_id().clone()).collect();
        Stock::command().mut_args(|arg| if ids.contains(arg.get_id()) { arg.global(true).hide(true) } else { arg })
    }
    #[cfg(not(feature = "ssh"))]
    Stock::command()
}

/// Refuses options that have no effect without another option, and a command that needs a graph but has none.
fn checked(stock: Stock) -> Result<Stock, clap::Error> {
    let source = &stock.source;
    let wrong = |message: &str| stock_command().error(clap::error::ErrorKind::ArgumentConflict, message);
    if source.program.is_none() && (source.every.is_some() || !source.watch_file.is_empty()) {
        return Err(wrong("--every and --watch-file need --command"));
    }
    let needs_graph = match &stock.command {
        None => true,
        Some(StockCommand::Common(command)) => match command {
            Command::Run | Command::Plan { .. } | Command::Check { .. } | Command::Graph { .. } => true,
            Command::Setup { what: Setup::Svc(svc) } => !svc.template,
            Command::Deploy(options) => options.what.is_none(),
            // On another host, the graph comes from the host that has started this program there.
            #[cfg(feature = "ssh")]
            Command::Remote { what } => what.needs_graph() && crate::remote::far_end().is_none(),
            Command::Ask(_) | Command::Cluster { .. } | Command::Capture(_) => false,
            Command::Schema | Command::Completion { .. } | Command::Man => false,
        },
        Some(StockCommand::Convert { .. }) => false,
    };
    #[cfg(feature = "ssh")]
    if !source.remote.is_empty() {
        return match stock.command {
            None | Some(StockCommand::Common(Command::Run)) => Ok(stock),
            _ => Err(wrong("--remote is an option of `run`; other commands take one such file with --yaml")),
        };
    }
    #[cfg(feature = "ssh")]
    if !matches!(&stock.command, Some(StockCommand::Common(Command::Remote { .. })))
        && let Some(option) = stock.ssh.given().or(stock.trial.confirm.map(|_| "--confirm"))
    {
        let why = format!("{option} is for runs on other hosts: `remote run`, and `run` with --remote");
        return Err(wrong(&why));
    }
    let has_source = source.yaml.is_some() || source.program.is_some() || source.puppet.is_some();
    if stock.run.deploy && has_source {
        return Err(wrong("--deploy runs what was deployed: leave out --yaml, --command and --puppet"));
    }
    if needs_graph && !has_source && !stock.run.deploy {
        let publishes = matches!(stock.command, Some(StockCommand::Common(Command::Deploy(_))));
        let last = match publishes {
            true => "or with --puppet",
            false => "with --puppet, or with --deploy (the one that was deployed)",
        };
        let missing =
            format!("no graph: give one with --yaml FILE, with --command LINE (a program that prints YAML), {last}");
        return Err(stock_command().error(clap::error::ErrorKind::MissingRequiredArgument, missing));
    }
    if source.puppet.is_none() && source.puppet_conf.is_some() {
        return Err(wrong("--puppet-conf needs --puppet"));
    }
    Ok(stock)
}

fn execute(app: App, stock: &Stock, command: Option<Command>, options: YamlOptions) -> ExitCode {
    let mut run = stock.run.clone();
    #[cfg(feature = "ssh")]
    let command = of_remote_files(stock, command);
    if let (None, Some(path)) = (&run.hostname, &stock.source.yaml) {
        run.hostname = named_host(path, &options);
    }
    app.run(Options { run, command }, Source::new(&stock.source, options))
}

/// The command that a run of files with `remote` is.
#[cfg(feature = "ssh")]
fn of_remote_files(stock: &Stock, command: Option<Command>) -> Option<Command> {
    if stock.source.remote.is_empty() {
        return command;
    }
    let SourceOptions { remote, allow_unknown, .. } = &stock.source;
    let options = RemoteRunOptions::of_files(remote.clone(), *allow_unknown, stock.ssh.clone(), stock.trial);
    Some(Command::Remote { what: RemoteCommand::Run(Box::new(options)) })
}

/// Whether a file argument means standard input.
fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// The `hostname` in a YAML file. Errors in the file are ignored here: they are reported when the graph is read.
fn named_host(path: &Path, options: &YamlOptions) -> Option<String> {
    // A pipe can be read only once, and the graph needs its content.
    if is_stdin(path) || !std::fs::metadata(path).is_ok_and(|meta| meta.is_file()) {
        return None;
    }
    let bytes = read_graph_file(path).ok()?;
    let names_it = bytes.windows(8).any(|word| word == b"hostname");
    if names_it { read_yaml("", &bytes, options).ok()?.hostname } else { None }
}

fn convert_file(file: &Path, options: &YamlOptions, run: &RunOptions) -> Result<ExitCode, CommandError> {
    let (name, path) = match is_stdin(file) {
        true => (STDIN.to_owned(), Path::new("/dev/stdin")),
        false => (file.display().to_string(), file),
    };
    let bytes = read_graph_file(path).map_err(|error| CommandError::Other(error.to_string()))?;
    let read = read_yaml(&name, &bytes, options).map_err(EngineError::from)?;
    let screen = Screen::new(run);
    show_warnings(&read.warnings, LogFormat::Text, &screen);
    screen.flush(LAST_WORDS);
    print(&convert::to_rust(&read.config).map_err(CommandError::Other)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The source of graphs that the options select.
#[derive(Debug)]
enum Source {
    Yaml(Box<Yaml>),
    Program(Box<Program>),
    None(Fixed),
}

impl Source {
    fn new(source: &SourceOptions, options: YamlOptions) -> Source {
        if let Some(path) = &source.yaml {
            let yaml = if is_stdin(path) { yaml_of_stdin() } else { yaml(path) };
            return Source::Yaml(Box::new(yaml.options(options)));
        }
        if let Some(line) = &source.program {
            let mut program = command(line).options(options).watch(&source.watch_file);
            if let Some(every) = source.every {
                program = program.every(every);
            }
            return Source::Program(Box::new(program));
        }
        match &source.puppet {
            Some(what) => Source::Program(Box::new(puppet(what, source.puppet_conf.clone()).options(options))),
            None => Source::None(fixed(GraphConfig { name: "empty".to_owned(), ..GraphConfig::default() })),
        }
    }
}

impl Gapi for Source {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        match self {
            Source::Yaml(yaml) => yaml.init(data).await,
            Source::Program(program) => program.init(data).await,
            Source::None(fixed) => fixed.init(data).await,
        }
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        match self {
            Source::Yaml(yaml) => yaml.graph().await,
            Source::Program(program) => program.graph().await,
            Source::None(fixed) => fixed.graph().await,
        }
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        match self {
            Source::Yaml(yaml) => yaml.switched().await,
            Source::Program(program) => program.switched().await,
            Source::None(fixed) => fixed.switched().await,
        }
    }

    async fn reload(&mut self) -> bool {
        match self {
            Source::Yaml(yaml) => yaml.reload().await,
            Source::Program(program) => program.reload().await,
            Source::None(fixed) => fixed.reload().await,
        }
    }

    fn travels(&self) -> bool {
        true
    }

    fn files(&self) -> Vec<PathBuf> {
        match self {
            Source::Yaml(yaml) => yaml.files(),
            Source::Program(program) => program.files(),
            Source::None(fixed) => fixed.files(),
        }
    }
}
