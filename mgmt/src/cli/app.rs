//! `mgmt::main` and `mgmt::App`: the command line tool around a program's graph.

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::chosen::Chosen;
use crate::cli::command_line::{Cli, CommandLine, Source};
use crate::cli::options::{Command, Options};
#[cfg(feature = "ssh")]
use crate::cli::session::KeptHosts;
use crate::cli::session::Session;
use crate::cli::{commands, usage};
use crate::gapi::{Cx, Gapi, Warnings, builtin_kinds, native};
use crate::graph::{Graph, Kinds};
use crate::resource::{Converge, Error, Provisions, ShowPrivate, World};
#[cfg(feature = "yaml")]
use crate::sys::process::InheritEnv;

/// Runs a program that declares one graph: parses the command line and executes its command (default: `run`; `--help`
/// lists the others).
///
/// `name` is the name of the program and of the graph. `--version` prints the version of mgmt: a function can't know
/// that of your program. The macro [`main!`](crate::main!), with the same arguments, prints both.
pub fn main<F>(name: &str, declare: F) -> ExitCode
where
    F: FnMut(&mut Graph) -> Result<(), Error> + Send + 'static,
{
    App::new(name).declare(declare)
}

/// The same as the function [`main`](crate::main()), but `--version` also prints the version of the crate that calls
/// it.
///
/// ```no_run
/// use mgmt::prelude::*;
///
/// fn main() -> mgmt::ExitCode {
///     mgmt::main!("hello", |g: &mut Graph| {
///         g.add(File::new("/tmp/hello").content("hello\n"));
///         Ok(())
///     })
/// }
/// ```
#[macro_export]
macro_rules! main {
    ($name:expr, $declare:expr $(,)?) => {
        $crate::cli::App::new($name).version(::core::env!("CARGO_PKG_VERSION")).declare($declare)
    };
}

/// A program with a graph, configured step by step: for graphs that change, for own kinds in the schema, and for the
/// program's version.
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
    kinds: Kinds,
    greeting: Option<String>,
    command_line: CommandLine,
    /// Values for the kinds. `InheritEnv` is one: commands of YAML graphs inherit the environment of this process.
    provisions: Provisions,
    world: Option<Arc<dyn World>>,
    #[cfg(feature = "ssh")]
    hosts: KeptHosts,
}

impl App {
    /// A program with this name, the built-in kinds, and the defaults of all other settings.
    pub fn new(name: impl Into<String>) -> App {
        App {
            kinds: builtin_kinds(),
            greeting: None,
            command_line: CommandLine { name: name.into(), version: None, about: None, options: Source::Common },
            provisions: Provisions::default(),
            world: None,
            #[cfg(feature = "ssh")]
            hosts: KeptHosts::default(),
        }
    }

    /// The version of the program, which `--version` prints together with that of mgmt:
    /// `.version(env!("CARGO_PKG_VERSION"))`. Default: only the version of mgmt.
    pub fn version(mut self, version: impl Into<String>) -> App {
        self.command_line.version = Some(version.into());
        self
    }

    /// The first line of `--help`. Default: a line with the program's name.
    pub fn about(mut self, about: impl Into<String>) -> App {
        self.command_line.about = Some(about.into());
        self
    }

    /// A line to print once the graph has converged for the first time, for example where to look at the result. It is
    /// not printed with `--noop`, which makes nothing, nor with `--converged-timeout`, which ends the program then.
    pub fn greeting(mut self, line: impl Into<String>) -> App {
        self.greeting = Some(line.into());
        self
    }

    /// The whole command line of a program that flattens [`Options`] into its own, for `completion` and `man`:
    /// `App::new("site").command_line(Cli::command())`.
    pub fn command_line(mut self, command: clap::Command) -> App {
        self.command_line.options = Source::Given(Box::new(command));
        self
    }

    /// The whole command line of a program that parses it itself, built when it is needed.
    #[cfg(feature = "yaml")]
    pub(super) fn built_by(mut self, build: fn() -> clap::Command) -> App {
        self.command_line.options = Source::Built(build);
        self
    }

    /// Adds a kind of your own to the output of `schema`, where the kinds of the graph are already, and to the kinds
    /// that a deployed graph may use. If another type has its kind already, `schema` fails with both names.
    pub fn kind<R: Converge>(mut self) -> App {
        self.kinds = self.kinds.with::<R>();
        self
    }

    /// Lets commands inherit the environment of this process.
    #[cfg(feature = "yaml")]
    pub(super) fn inherit_env(mut self) -> App {
        self.provisions.insert_own(InheritEnv);
        self
    }

    /// Gives a value of the program to its kinds, see [`Builder::provide`](crate::runtime::Builder::provide).
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> App {
        self.provisions.insert(value);
        self
    }

    /// The world of the program's engine, see [`Builder::world`](crate::runtime::Builder::world); the option `--seeds`
    /// takes its place. Default: none.
    pub fn world(mut self, world: impl World) -> App {
        self.world = Some(Arc::new(world));
        self
    }

    /// The hosts on which the command `remote` plans and runs the graph, unless its options name others. Default: none.
    ///
    /// ```no_run
    /// use mgmt::prelude::*;
    /// use mgmt::remote::Host;
    /// fn main() -> mgmt::ExitCode {
    ///     let hosts: Vec<Host> = ["web1", "web2"].into_iter().filter_map(|name| Host::ssh(name).ok()).collect();
    ///     mgmt::App::new("site").hosts(hosts).declare(|g| {
    ///         g.add(File::new("/etc/motd").content("kept\n"));
    ///         Ok(())
    ///     })
    /// }
    /// ```
    #[cfg(feature = "ssh")]
    pub fn hosts(mut self, hosts: impl crate::remote::Hosts) -> App {
        self.hosts = KeptHosts::new(crate::remote::HostsBox::new(hosts));
        self
    }

    /// Parses the command line and executes its command on the one graph that the closure declares, which has the name
    /// of the program. Returns the program's exit code.
    pub fn declare<F>(self, mut declare: F) -> ExitCode
    where
        F: FnMut(&mut Graph) -> Result<(), Error> + Send + 'static,
    {
        let name = self.command_line.name.clone();
        self.main(native(move |g: &mut Graph, _: &Cx| declare(g)).named(name))
    }

    /// Parses the command line and executes its command on this source of graphs. Returns the program's exit code.
    pub fn main(self, gapi: impl Gapi) -> ExitCode {
        match usage::matches::<Cli>(self.command_line.command(), std::env::args_os()) {
            Ok(Cli { options }) => self.run(options, gapi),
            Err(error) => usage::fail(&error),
        }
    }

    /// Executes the command of these options on this source of graphs, for programs that parse their own command line.
    /// Returns the program's exit code.
    pub fn run(self, options: Options, gapi: impl Gapi) -> ExitCode {
        #[cfg(feature = "ssh")]
        let hosts = self.hosts.clone();
        let App { kinds, greeting, command_line, mut provisions, world, .. } = self;
        let name = command_line.name.clone();
        if options.run.show {
            provisions.insert_own(ShowPrivate);
        }
        let command = options.command.unwrap_or(Command::Run);
        let warnings = if matches!(command, Command::Run) { Warnings::default() } else { Warnings::kept() };
        let options = options.run;
        let session = Session {
            name,
            kinds,
            greeting,
            provisions,
            world,
            command_line,
            warnings,
            #[cfg(feature = "ssh")]
            hosts,
            options,
        };
        let gapi = Chosen::of(gapi, session.options.deploy, &session.kinds);
        commands::execute(&session, command, gapi)
    }
}
