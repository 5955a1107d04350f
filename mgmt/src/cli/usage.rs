//! Parses command lines, and adds hints to the errors.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, Command, Error, FromArgMatches, Parser};

use crate::cli::exit::FAILED;
use crate::resource::nearest;

/// Parses the command line of a program that flattens [`Options`](crate::cli::Options) into its own. It differs from
/// [`clap::Parser::parse`] in this: a wrong command line ends the program with 1, since 2 means that changes are
/// pending; `--version` prints the version of mgmt too; and errors have more hints.
///
/// ```no_run
/// #[derive(clap::Parser)]
/// struct Cli {
///     #[command(flatten)]
///     mgmt: mgmt::cli::Options,
/// }
/// let cli: Cli = mgmt::cli::parse();
/// ```
pub fn parse<P: Parser>() -> P {
    let parsed = matches::<P>(with_our_version(P::command()), std::env::args_os());
    // `process::exit` takes a number, and an `ExitCode` can't be converted to one.
    parsed.unwrap_or_else(|error| std::process::exit(if print(&error) { i32::from(FAILED) } else { 0 }))
}

/// Parses the arguments by this command line.
pub(crate) fn matches<P: FromArgMatches>(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<P, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = command.color(color(&arguments));
    let found = command.try_get_matches_from_mut(arguments).and_then(|matches| P::from_arg_matches(&matches));
    found.map_err(|error| explained(error, &command))
}

/// Adds the version of mgmt to the command's own version.
pub(crate) fn with_our_version(command: Command) -> Command {
    match command.get_version().map(|version| format!("{version} (mgmt {})", env!("CARGO_PKG_VERSION"))) {
        Some(version) => command.version(version),
        None => command,
    }
}

/// Prints an error to standard error; help and version, which clap returns as errors too, to standard output.
pub(crate) fn fail(error: &Error) -> ExitCode {
    if print(error) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// Prints a result of clap. True if it is an error, not help or version.
fn print(error: &Error) -> bool {
    // An error means that the output is closed, and there is nowhere else to report it.
    let _ = error.print();
    error.use_stderr()
}

/// The value of `--color`, read before the arguments are parsed, since parse errors have colours too.
fn color(arguments: &[OsString]) -> ColorChoice {
    let mut found = ColorChoice::Auto;
    let mut words = arguments.iter().skip(1).map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--color") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('=').map(|value| value.to_owned().into()),
            None => continue,
        };
        match value.as_deref() {
            Some("always") => found = ColorChoice::Always,
            Some("never") => found = ColorChoice::Never,
            Some("auto") => found = ColorChoice::Auto,
            _ => {}
        }
    }
    found
}

/// Adds hints to an error that clap does not give.
fn explained(mut error: Error, command: &Command) -> Error {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let has_tip = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::Suggested]
        .iter()
        .any(|kind| error.get(*kind).is_some());
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand if !has_tip => {
            of(ContextKind::InvalidSubcommand).and_then(|word| tip_of_command(&word, command))
        }
        // Clap's own hint for such a word, `to pass it as a value`, is wrong for files.
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {
            of(ContextKind::InvalidArg).and_then(|word| tip_of_file(&word, command))
        }
        _ => None,
    };
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
    error
}

fn tip_of_command(word: &str, command: &Command) -> Option<String> {
    if let Some(tip) = tip_of_file(word, command) {
        return Some(tip);
    }
    let names = || command.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
    match nearest(word, names()) {
        Some(near) => Some(format!("a similar subcommand exists: '{near}'")),
        None if names().next().is_some() => Some(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
        None => None,
    }
}

/// The hint for a file without the option that takes it.
fn tip_of_file(word: &str, command: &Command) -> Option<String> {
    let takes_yaml = command.get_arguments().any(|arg| arg.get_long() == Some("yaml"));
    let option = match word.rsplit_once('.').map(|(_, end)| end) {
        Some("yaml" | "yml") if takes_yaml => "--yaml",
        Some("pp") if takes_yaml => "--puppet",
        _ => return None,
    };
    Some(format!("a graph is given with '{option} {word}'"))
}
