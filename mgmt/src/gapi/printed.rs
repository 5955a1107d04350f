//! A source of graphs that runs a program which prints them as YAML, in any language. Puppet is such a program.

use std::path::PathBuf;
use std::time::Duration;

use crate::gapi::contract::{Gapi, GapiData, GapiError};
use crate::gapi::failure::Failure;
use crate::gapi::watcher::Watcher;
use crate::gapi::yaml::{BYTES_MAX, YamlOptions, accept};
use crate::graph::GraphConfig;
use crate::id::shortened;
use crate::sys::process::{Command, ProcessError, run};

/// The most time that the program may take: one that takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The interval at which Puppet runs if its `runinterval` can't be read.
const RUN_INTERVAL: Duration = Duration::from_secs(1800);

/// How much of the end of its output is kept for the error of a program that failed, in bytes.
const SHOWN_BYTES_MAX: usize = 4096;
/// How much of a shell command line is shown in errors, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The output of the program, or why it failed.
type Printed = Result<Vec<u8>, Failure>;

/// A source of graphs that runs a program which prints them as YAML. Made by [`command`] and [`puppet`].
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
    /// A command that prints the interval between two runs, in seconds.
    ask_interval: Option<Command>,
    interval: Option<Duration>,
    files: Vec<PathBuf>,
    options: YamlOptions,
    data: Option<GapiData>,
    watcher: Option<Watcher>,
    /// The last output of the program, and in `taken` whether a graph was made from it.
    last: Option<Printed>,
    taken: bool,
}

/// A source of the graph that this command line for `/bin/sh` prints as YAML. The line runs once, unless
/// [`Program::every`] or [`Program::watch`] runs it again.
pub fn command(line: impl Into<String>) -> Program {
    let line = line.into();
    Program::new(line.clone(), Command::shell("/bin/sh", line))
}

/// A source of the graph that Puppet's `mgmtgraph` prints. `what` is `agent` (what the agent would do), a manifest (a
/// path that ends in `.pp`), or Puppet code; `conf` is Puppet's configuration file. Runs again after the `runinterval`
/// of Puppet's configuration, or every 30 minutes if that can't be read.
pub fn puppet(what: &str, conf: Option<PathBuf>) -> Program {
    let config = conf.map(|conf| format!("--config={}", conf.display()));
    let mut print = Command::new("puppet").args(["mgmtgraph", "print"]);
    if what.ends_with(".pp") {
        print = print.arg("--manifest").arg(what);
    } else if what != "agent" {
        print = print.arg("--code").arg(what);
    }
    let ask = Command::new("puppet").args(["config", "print", "runinterval"]);
    let mut program = Program::new("puppet mgmtgraph print".to_owned(), print.args(config.clone()));
    program.ask_interval = Some(ask.args(config));
    program
}

impl Program {
    fn new(name: String, command: Command) -> Program {
        Program {
            name,
            command: command.timeout(TIMEOUT).output_max(BYTES_MAX / 2).whole_output(),
            ask_interval: None,
            interval: None,
            files: Vec::new(),
            options: YamlOptions::default(),
            data: None,
            watcher: None,
            last: None,
            taken: false,
        }
    }

    /// Runs the program again when this time has passed since it last ended. A time of less than 10 ms counts as 10 ms.
    /// Default: the program runs once, and Puppet at its `runinterval`.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Program {
        self.interval = Some(interval.max(Duration::from_millis(10)));
        self
    }

    /// Runs the program again when one of these files changes. Default: no files.
    #[must_use]
    pub fn watch(mut self, files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Program {
        self.files.extend(files.into_iter().map(Into::into));
        self
    }

    /// Sets how the output of the program is read.
    #[must_use]
    pub fn options(mut self, options: YamlOptions) -> Program {
        self.options = options;
        self
    }

    /// Returns when it is time to run the program again.
    async fn due(&mut self) {
        let interval = self.interval;
        let timer = async {
            match interval {
                Some(interval) => tokio::time::sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        let changed = async {
            match &mut self.watcher {
                Some(watcher) => watcher.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            () = changed => {}
        }
    }
}

/// Whether two runs had the same output, or failed with the same message.
fn is_same(one: &Printed, other: &Printed) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => one.to_string() == other.to_string(),
        _ => false,
    }
}

/// Runs the program to its end.
async fn print(name: &str, command: &Command) -> Printed {
    let output = run(command).await.map_err(Failure::from_error)?;
    // Some programs print errors to standard output.
    let errors = if output.stderr.total() == 0 { &output.stdout } else { &output.stderr };
    let last = String::from_utf8_lossy(&errors.last(SHOWN_BYTES_MAX)).into_owned();
    let output = match output.require_success(command) {
        Ok(output) => output,
        Err(error) => return Err(Failure::of_program(failed(name, &error), last, error)),
    };
    let said = output.stderr.text();
    if !said.is_empty() {
        tracing::warn!(target: "mgmt", "{name}: {}", said.trim_end());
    }
    match output.stdout.whole() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(format!("{name} printed {} bytes: too much for one graph", output.stdout.total()).into()),
    }
}

/// The message about a program that failed, with the name or command line that the user has given.
fn failed(name: &str, error: &ProcessError) -> String {
    let name = shortened(name, NAME_CHARS_MAX);
    match error {
        ProcessError::Failed { status, .. } => format!("`{name}` failed with {status}"),
        ProcessError::Killed { status, .. } => format!("`{name}` was {status}"),
        error => error.to_string(),
    }
}

/// The interval between two runs that this command prints.
async fn asked_interval(ask: &Command) -> Duration {
    let output = match run(ask).await.and_then(|output| output.require_success(ask)) {
        Ok(output) => output.stdout.text(),
        Err(error) => {
            tracing::warn!(target: "mgmt", "{error}: asked again every {} s", RUN_INTERVAL.as_secs());
            return RUN_INTERVAL;
        }
    };
    let seconds = output.trim().parse().ok().filter(|seconds| *seconds > 0);
    seconds.map_or(RUN_INTERVAL, Duration::from_secs)
}

impl Gapi for Program {
    fn travels(&self) -> bool {
        true
    }

    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        if self.data.is_some() {
            return Err(GapiError::Failed(
                "a source of graphs is good for one engine: it was initialised before".into(),
            ));
        }
        if !data.no_watch && !self.files.is_empty() {
            let files = self.files.iter().map(PathBuf::as_path);
            self.watcher = Watcher::new(files).map(Some)?;
        }
        self.data = Some(data);
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        let Some(warnings) = self.data.as_ref().map(|data| data.warnings.clone()) else {
            return Err(GapiError::Failed("asked for a graph before it was initialised".into()));
        };
        let printed = match self.last.take() {
            Some(printed) if !self.taken => printed,
            _ => print(&self.name, &self.command).await,
        };
        self.taken = true;
        let (printed, graph) = match printed {
            Ok(bytes) => {
                let (bytes, graph) = accept(&self.name, bytes, &self.options, &warnings).await;
                (Ok(bytes), graph.map_err(GapiError::Problems))
            }
            Err(error) => (Err(error.clone()), Err(GapiError::Failed(error))),
        };
        self.last = Some(printed);
        graph
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    /// Always true: the program runs again.
    async fn reload(&mut self) -> bool {
        self.taken = true;
        true
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        if let (None, Some(ask)) = (self.interval, &self.ask_interval) {
            self.interval = Some(asked_interval(ask).await);
        }
        if self.interval.is_none() && self.watcher.is_none() {
            return None;
        }
        loop {
            self.due().await;
            let printed = print(&self.name, &self.command).await;
            if !self.last.as_ref().is_some_and(|last| is_same(last, &printed)) {
                self.last = Some(printed);
                self.taken = false;
                return Some(Ok(()));
            }
        }
    }
}
