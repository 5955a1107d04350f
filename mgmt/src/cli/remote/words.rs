//! The command line with which this program is started on another host: its own one, with the options that environment
//! variables have set here, since the other host does not have these variables.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command};

/// The words of the command line there.
#[derive(Debug, PartialEq)]
pub(crate) struct RemoteWords {
    /// Without the program's name.
    pub(crate) words: Vec<OsString>,
    /// The environment variables that set an option but keep their values hidden: the words can be seen there by other
    /// users, so these are not in them.
    pub(crate) hidden: Vec<String>,
}

/// The command line there. `words` is one that `command` accepts, with the program's name; `variable` gives the values
/// of environment variables.
pub(crate) fn remote_words(
    command: &Command,
    words: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> RemoteWords {
    let words: Vec<OsString> = words.into_iter().collect();
    let (mut added, mut hidden) = (Vec::new(), Vec::new());
    // Words that are not accepted have been refused before.
    let matches = command.clone().try_get_matches_from(&words).unwrap_or_default();
    let is_by_variable = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::EnvVariable)
    };
    for arg in command.get_arguments().filter(is_by_variable) {
        let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) else { continue };
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else { continue };
        match arg.get_action() {
            _ if arg.is_hide_env_values_set() => hidden.push(name.to_string_lossy().into_owned()),
            action if action.takes_values() => {
                let mut word = OsString::from(format!("--{long}="));
                word.push(value);
                added.push(word);
            }
            ArgAction::SetTrue if matches.get_flag(arg.get_id().as_str()) => added.push(format!("--{long}").into()),
            _ => {}
        }
    }
    added.extend(words.into_iter().skip(1));
    RemoteWords { words: added, hidden }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;
    use crate::cli::Options;

    #[derive(Parser)]
    struct Cli {
        /// An option of the program itself.
        #[arg(long, env = "MGMT_TEST_HOME_AS_SITE")]
        site: Option<String>,
        /// One that the environment of every process sets.
        #[arg(long, env = "PATH")]
        path: Option<String>,
        /// One whose value is not shown.
        #[arg(long, env = "PATH", hide_env_values = true)]
        token: Option<String>,
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn options_that_variables_set_become_words_unless_they_are_given_or_hidden() {
        let command = Cli::command();
        let line = |line: &[&str]| {
            let words = std::iter::once("site").chain(line.iter().copied()).map(OsString::from);
            remote_words(&command, words, |name| (name == "PATH").then(|| "/a b".into()))
        };
        let words = line(&["remote", "plan", "web1"]);
        assert_eq!(words.words, ["--path=/a b", "remote", "plan", "web1"]);
        assert_eq!(words.hidden, ["PATH"]);
        let words = line(&["--path", "x", "--token=y", "remote", "run", "-t", "5", "web1"]);
        assert_eq!(words.words, ["--path", "x", "--token=y", "remote", "run", "-t", "5", "web1"]);
        assert!(words.hidden.is_empty());
    }
}
