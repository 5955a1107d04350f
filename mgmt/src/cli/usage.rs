//! Parses command lines, and adds hints to the errors.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as _, ColorChoice, Command, Error, FromArgMatches, Parser};
use serde_json::json;

use crate::cli::exit::FAILED;
use crate::cli::options::RunOptions;
#[cfg(feature = "ssh")]
use crate::cli::remote::SshOptions;
use crate::cli::session::print;
use crate::id::in_json;
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
    parsed.unwrap_or_else(|error| std::process::exit(if has_failed(&error) { i32::from(FAILED) } else { 0 }))
}

/// Parses the arguments by this command line.
pub(crate) fn matches<P: FromArgMatches>(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<P, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = command.color(color(&arguments));
    let original = command.clone();
    let found = command.try_get_matches_from_mut(&arguments).and_then(|matches| P::from_arg_matches(&matches));
    found.or_else(|error| {
        let Some(variable) = Variable::of(&error, &original, &arguments) else {
            return Err(explained(error, &command, &arguments));
        };
        match variable.without(original, &arguments).and_then(|matches| P::from_arg_matches(&matches).ok()) {
            Some(parsed) => Ok(parsed),
            None => Err(variable.named(error)),
        }
    })
}

/// An environment variable whose value an option refuses.
struct Variable {
    option: clap::Id,
    name: String,
}

impl Variable {
    /// The variable from which the refused value comes, if it comes from one.
    fn of(error: &Error, command: &Command, arguments: &[OsString]) -> Option<Variable> {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let refused = matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue);
        let (option, value) = (text(ContextKind::InvalidArg).filter(|_| refused)?, text(ContextKind::InvalidValue)?);
        let long = option.strip_prefix("--")?.split([' ', '=']).next()?;
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long))?;
        let name = arg.get_env()?;
        // A value on the command line goes before that of the variable.
        let is_its = std::env::var_os(name).is_some_and(|found| found == value);
        (is_its && !is_given(arg, arguments))
            .then(|| Variable { option: arg.get_id().clone(), name: name.to_string_lossy().into_owned() })
    }

    /// What the command line means without the variable, if its command does not use the option.
    fn without(&self, command: Command, arguments: &[OsString]) -> Option<clap::ArgMatches> {
        let run = RunOptions::augment_args(Command::new("run"));
        #[cfg(feature = "ssh")]
        let run = SshOptions::augment_args(run);
        let ours: Vec<_> = run.get_arguments().filter(|arg| arg.get_env().is_some()).map(clap::Arg::get_id).collect();
        if !ours.contains(&&self.option) {
            return None;
        }
        let without = |arg: clap::Arg| match ours.contains(&arg.get_id()) {
            true => arg.env(None::<&'static str>),
            false => arg,
        };
        let matches = command.mut_args(without).try_get_matches_from(arguments).ok()?;
        // `setup svc` writes the values into the unit.
        let ignores = matches.subcommand_name().is_some_and(|name| !["run", "remote", "setup"].contains(&name));
        ignores.then_some(matches)
    }

    /// The error, with the name of the variable.
    fn named(&self, mut error: Error) -> Error {
        let tip = StyledStr::from(format!("the value is that of the environment variable {}", self.name));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
        error
    }
}

/// Whether the arguments give this option.
fn is_given(arg: &clap::Arg, arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().skip(1).map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    words.any(|word| {
        let long = word.strip_prefix("--").and_then(|rest| rest.split('=').next());
        let is_long = long.is_some_and(|long| {
            arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
        });
        is_long || (long.is_none() && arg.get_short().is_some_and(|short| word.starts_with(['-', short])))
    })
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
    if has_failed(error) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// Prints a result of clap. True if it is an error, or is help or a version that can't be written.
fn has_failed(error: &Error) -> bool {
    let mut words = std::env::args_os().skip(1).take_while(|word| word != "--");
    if error.use_stderr() && words.any(|word| word == "--json") {
        // If it can't be written, the error still appears on standard error.
        let data = json!({ "errors": [{ "message": message(error) }], "warnings": [] });
        let _ = print(&in_json(&format!("{data:#}\n")));
    }
    is_unwritten(error.print()) || error.use_stderr()
}

/// Whether a text could not be written. A reader that has closed the pipe is no error.
pub(crate) fn is_unwritten(printed: io::Result<()>) -> bool {
    printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// The text of an error without `error:`, the usage and the hint to the help.
fn message(error: &Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let end = text.find("\n\nUsage:").or_else(|| text.find("\n\nFor more information")).unwrap_or(text.len());
    text[..end].trim_end().to_owned()
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
fn explained(mut error: Error, command: &Command, arguments: &[OsString]) -> Error {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let has_tip = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::Suggested]
        .iter()
        .any(|kind| error.get(*kind).is_some());
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand if !has_tip => {
            of(ContextKind::InvalidSubcommand).and_then(|word| tip_of_command(&word, inner(command, arguments)))
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

/// The innermost command that the arguments name.
fn inner<'a>(command: &'a Command, arguments: &[OsString]) -> &'a Command {
    arguments.iter().skip(1).fold(command, |found, word| found.find_subcommand(word).unwrap_or(found))
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
