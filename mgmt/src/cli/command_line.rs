//! The whole command line of a program, built when it is needed: a run needs it once, to parse its arguments.

use clap::CommandFactory as _;

use crate::cli::options::Options;
use crate::cli::usage;

/// What the command line of a program is built from.
#[derive(Clone, Debug)]
pub(crate) struct CommandLine {
    /// The program's name.
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) about: Option<String>,
    pub(super) options: Source,
}

/// Where the options of a program come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The program has no options of its own.
    Common,
    /// The program parses this by itself.
    Given(Box<clap::Command>),
    /// The program parses by itself what this function builds.
    #[cfg(feature = "yaml")]
    Built(fn() -> clap::Command),
}

/// The command line of a program that has no options of its own.
#[derive(clap::Parser)]
#[command(max_term_width = 80)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) options: Options,
}

impl CommandLine {
    /// Builds the command line, for parsing, completions and the manual page.
    pub(crate) fn command(&self) -> clap::Command {
        let name = self.name.clone();
        match &self.options {
            Source::Given(command) => return (**command).clone().name(name),
            #[cfg(feature = "yaml")]
            Source::Built(build) => return build().name(name),
            Source::Common => {}
        }
        let about = self.about.clone().unwrap_or_else(|| format!("{name}: keeps what its graph declares"));
        let command = Cli::command().name(name).about(about);
        match &self.version {
            Some(version) => usage::with_our_version(command.version(version.clone())),
            None => command.version(concat!("(mgmt ", env!("CARGO_PKG_VERSION"), ")")),
        }
    }
}
