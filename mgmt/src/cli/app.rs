//! `mgmt::main`: a program in one call.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::options::{Command, Options};
use crate::cli::session::Session;
use crate::cli::{commands, usage};
use crate::gapi::{Cx, Gapi, builtin_kinds, native};
use crate::graph::{Graph, Kinds};
use crate::resource::{Converge, Error, Provisions, ShowPrivate};
#[cfg(feature = "yaml")]
use crate::sys::process::InheritEnv;

/// Runs a program that declares one graph: parses the command line, and does what it asks for (by default `run`;
/// `--help` lists the rest).
///
/// The name is the program's and the graph's.
pub fn main<F>(name: &str, mut declare: F) -> ExitCode
where
    F: FnMut(&mut Graph) -> Result<(), Error> + Send + 'static,
{
    App::new(name).main(native(move |g: &mut Graph, _: &Cx| declare(g)).named(name))
}

/// A program with a graph, step by step: for graphs that follow the world, kinds of one's own in the schema, and a
/// version of one's own.
///
/// ```no_run
/// use mgmt::prelude::*;
/// fn main() -> mgmt::ExitCode {
///     mgmt::App::new("site").version("1.2.0").main(mgmt::native(|g, cx| {
///         g.add(File::new(format!("/tmp/{}", cx.hostname())).content("here\n"));
///         Ok(())
///     }))
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct App {
    name: String,
    kinds: Kinds,
    version: Option<String>,
    about: Option<String>,
    greeting: Option<String>,
    /// The command line of a program that has parsed it itself.
    command_line: Option<clap::Command>,
    /// Commands get this process's environment: so it has always been with YAML.
    provisions: Provisions,
}

impl App {
    /// A program of that name.
    pub fn new(name: impl Into<String>) -> App {
        App {
            name: name.into(),
            kinds: builtin_kinds(),
            version: None,
            about: None,
            greeting: None,
            command_line: None,
            provisions: Provisions::default(),
        }
    }

    /// The version of the program, which `--version` prints beside that of mgmt: `.version(env!("CARGO_PKG_VERSION"))`.
    /// Default: that of mgmt alone.
    pub fn version(mut self, version: impl Into<String>) -> App {
        self.version = Some(version.into());
        self
    }

    /// What `--help` begins with.
    pub fn about(mut self, about: impl Into<String>) -> App {
        self.about = Some(about.into());
        self
    }

    /// A line that is printed once the graph has converged for the first time, for example where to look at the result.
    /// Not with `--noop`, which makes nothing, nor with `--converged-timeout`, which ends the program then.
    pub fn greeting(mut self, line: impl Into<String>) -> App {
        self.greeting = Some(line.into());
        self
    }

    /// The whole command line of a program that flattens [`Options`] into its own, for `completion` and `man`:
    /// `App::new("site").command_line(Cli::command())`.
    pub fn command_line(mut self, command: clap::Command) -> App {
        self.command_line = Some(command);
        self
    }

    /// A kind of one's own for `schema`, which knows those of the graph already.
    pub fn kind<R: Converge>(mut self) -> App {
        self.kinds = self.kinds.with::<R>();
        self
    }

    /// Commands get this process's environment.
    #[cfg(feature = "yaml")]
    pub(super) fn inherit_env(mut self) -> App {
        self.provisions.insert_own(InheritEnv);
        self
    }

    /// A value of the program for its kinds, see [`Builder::provide`](crate::runtime::Builder::provide).
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> App {
        self.provisions.insert(value);
        self
    }

    /// Does what the command line says with this source of graphs.
    pub fn main(self, gapi: impl Gapi) -> ExitCode {
        match usage::matches::<Cli>(self.command(), std::env::args_os()) {
            Ok(Cli { options }) => self.run(options, gapi),
            Err(error) => usage::fail(&error),
        }
    }

    /// Does what these options say, for programs that have parsed their own command line.
    pub fn run(self, options: Options, gapi: impl Gapi) -> ExitCode {
        let command_line = self.command();
        let App { name, kinds, greeting, mut provisions, .. } = self;
        if options.run.show {
            provisions.insert_own(ShowPrivate);
        }
        let command = options.command.unwrap_or(Command::Run);
        let session = Session { name, kinds, greeting, provisions, command_line, options: options.run };
        commands::execute(&session, command, gapi)
    }

    /// The command line that it understands.
    fn command(&self) -> clap::Command {
        if let Some(command) = &self.command_line {
            return command.clone().name(self.name.clone());
        }
        let name = self.name.clone();
        let about = self.about.clone().unwrap_or_else(|| format!("{name}: keeps what its graph declares"));
        let command = Cli::command().name(name).about(about);
        match &self.version {
            Some(version) => usage::with_our_version(command.version(version.clone())),
            None => command.version(concat!("(mgmt ", env!("CARGO_PKG_VERSION"), ")")),
        }
    }
}

/// The command line of a program that has no options of its own.
#[derive(clap::Parser)]
#[command(max_term_width = 80)]
struct Cli {
    #[command(flatten)]
    options: Options,
}
