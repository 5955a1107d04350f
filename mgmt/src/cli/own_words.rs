//! Turns the command line `… setup svc …` into that of the run which the service starts: without the options of
//! `setup svc`, with absolute paths, and with the options that environment variables have set.

use std::any::TypeId;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, Command, Id};

use crate::cli::help::SOURCES;

/// The commands that `run` replaces: each is a subcommand of the one before it.
const REPLACED: [&str; 2] = ["setup", "svc"];

/// The values of an environment variable with which an option without a value is not set.
const FALSE: [&str; 7] = ["", "0", "f", "false", "n", "no", "off"];

/// The command line of the run that a service starts.
#[derive(Debug, PartialEq)]
pub(crate) struct OfRun {
    /// Its words, without the program's name.
    pub(crate) words: Vec<String>,
    /// Whether the graph comes from a text that can name files (`--command`): such names stay relative.
    pub(crate) has_text: bool,
    /// The environment variables that set an option but keep their values hidden: these are not in the words.
    pub(crate) hidden: Vec<String>,
}

/// The command line of the run. `words` is a command line that `command` accepts; paths in it are relative to `dir`,
/// and `variable` gives the values of environment variables.
///
/// # Errors
/// A word is not UTF-8, which a unit must be; or a path is `-`: a service has neither standard input nor output.
pub(crate) fn of_run(
    command: &Command,
    words: impl IntoIterator<Item = OsString>,
    dir: &Path,
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> Result<OfRun, String> {
    let mut command = command.clone();
    command.build();
    let own = REPLACED.iter().try_fold(&command, |command, name| command.find_subcommand(name));
    let mut reader = Reader { root: &command, own, dir, level: 0, kept: Vec::new(), given: HashSet::new() };
    let mut words = words.into_iter().skip(1).map(utf_8);
    let mut rest = Vec::new();
    while let Some(word) = words.next().transpose()? {
        if word == "--" {
            rest.push(word);
            rest.extend(words.collect::<Result<Vec<_>, _>>()?);
            break;
        }
        reader.read(word, &mut || words.next().transpose())?;
    }
    let hidden = reader.add_variables(variable)?;
    let has_text = command.get_arguments().any(|arg| {
        let is_text = arg.get_value_parser().type_id() == TypeId::of::<String>();
        is_text && arg.get_help_heading() == Some(SOURCES) && reader.given.contains(arg.get_id())
    });
    reader.kept.append(&mut rest);
    Ok(OfRun { words: reader.kept, has_text, hidden })
}

pub(crate) fn utf_8(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("{} is not UTF-8, and a unit must be", word.to_string_lossy()))
}

struct Reader<'a> {
    root: &'a Command,
    /// The command `svc`.
    own: Option<&'a Command>,
    dir: &'a Path,
    /// How many of the replaced commands have been read.
    level: usize,
    kept: Vec<String>,
    /// The options that the command line gives.
    given: HashSet<Id>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, word: String, next: &mut dyn FnMut() -> Result<Option<String>, String>) -> Result<(), String> {
        if REPLACED.get(self.level) == Some(&word.as_str()) {
            if self.level == 0 {
                self.kept.push("run".to_owned());
            }
            self.level += 1;
            return Ok(());
        }
        let Some((arg, inline)) = self.option(&word) else {
            self.kept.push(word);
            return Ok(());
        };
        let is_kept = self.root.get_arguments().any(|of_run| of_run.get_id() == arg.get_id());
        let value = if arg.get_action().takes_values() && inline.is_none() { next()? } else { None };
        if !is_kept {
            return Ok(());
        }
        self.given.insert(arg.get_id().clone());
        match (inline, value) {
            (Some(at), _) => {
                let value = self.absolute(arg, &word[at..])?;
                self.kept.push(format!("{}{value}", &word[..at]));
            }
            (None, Some(value)) => {
                let value = self.absolute(arg, &value)?;
                self.kept.extend([word, value]);
            }
            (None, None) => self.kept.push(word),
        }
        Ok(())
    }

    /// Adds the options that are set by environment variables alone: the service does not have these variables. Returns
    /// the variables whose values are hidden, since everyone can read a unit.
    fn add_variables(&mut self, variable: impl Fn(&OsStr) -> Option<OsString>) -> Result<Vec<String>, String> {
        let (mut added, mut hidden) = (Vec::new(), Vec::new());
        for arg in self.root.get_arguments().filter(|arg| !self.given.contains(arg.get_id())) {
            let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) else { continue };
            // An empty value of ours is the default.
            let is_empty = |value: &OsString| value.is_empty() && lossy(name).starts_with("MGMT_");
            let Some(value) = variable(name).filter(|value| !is_empty(value)) else { continue };
            if arg.is_hide_env_values_set() {
                hidden.push(lossy(name));
                continue;
            }
            let value = utf_8(value)?;
            if arg.get_action().takes_values() {
                added.push(format!("--{long}={}", self.absolute(arg, &value)?));
            } else if !FALSE.contains(&value.to_ascii_lowercase().as_str()) {
                added.push(format!("--{long}"));
            }
        }
        // Before the command: there every option of the program is accepted.
        self.kept.splice(..0, added);
        Ok(hidden)
    }

    /// The option that a word gives, and the byte at which its value begins if that is in the same word. Of several
    /// short options in one word, it is the one that takes a value.
    fn option(&self, word: &str) -> Option<(&'a Arg, Option<usize>)> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, inline) = match long.find('=') {
                Some(at) => (&long[..at], Some(2 + at + 1)),
                None => (long, None),
            };
            let is_it = |arg: &&Arg| {
                arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|others| others.contains(&name))
            };
            return Some((self.arguments().find(is_it)?, inline));
        }
        let mut last = None;
        for (at, letter) in word.strip_prefix('-')?.char_indices() {
            let arg = self.arguments().find(|arg| arg.get_short() == Some(letter))?;
            let after = 1 + at + letter.len_utf8();
            if arg.get_action().takes_values() {
                // `-t=5` is the same as `-t5`.
                let after = if word[after..].starts_with('=') { after + 1 } else { after };
                return Some((arg, (after < word.len()).then_some(after)));
            }
            last = Some((arg, None));
        }
        last
    }

    fn arguments(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        self.root.get_arguments().chain(self.own.into_iter().flat_map(Command::get_arguments))
    }

    /// The value of an option; if it is a path, as an absolute one.
    fn absolute(&self, arg: &Arg, value: &str) -> Result<String, String> {
        if arg.get_value_parser().type_id() != TypeId::of::<PathBuf>() {
            return Ok(value.to_owned());
        }
        if value == "-" {
            let name = arg.get_long().unwrap_or_default();
            return Err(format!("--{name} -: a service has neither standard input nor output: give a file"));
        }
        // `join` leaves an absolute path as it is.
        let path = self.dir.join(value);
        path.into_os_string().into_string().map_err(|path| format!("{} is not UTF-8", lossy(&path)))
    }
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;
    use crate::cli::Options;

    #[derive(Parser)]
    struct Cli {
        /// An option of the program itself.
        #[arg(long, env = "TEST_SITE")]
        site: Option<String>,
        /// Another one, without a value.
        #[arg(long, env = "TEST_FULL")]
        full: bool,
        /// A third one, whose value is not shown.
        #[arg(long, env = "TEST_TOKEN", hide_env_values = true)]
        token: Option<String>,
        #[command(flatten)]
        options: Options,
    }

    fn kept(line: &[&str]) -> Result<Vec<String>, String> {
        kept_with(line, &[]).map(|of_run| of_run.words)
    }

    fn kept_with(line: &[&str], variables: &[(&str, &str)]) -> Result<OfRun, String> {
        let words = || std::iter::once("site").chain(line.iter().copied()).map(OsString::from);
        // The words must be a command line that the program accepts.
        Cli::command().try_get_matches_from(words()).expect("a right command line");
        let value = |name: &OsStr| variables.iter().find(|(known, _)| name == *known).map(|(_, value)| value.into());
        of_run(&Cli::command(), words(), Path::new("/srv/here"), value)
    }

    #[test]
    fn options_that_variables_set_are_words_of_the_run_unless_they_are_given_or_hidden() {
        let variables = [
            ("TEST_SITE", "a b"),
            ("TEST_FULL", "yes"),
            ("TEST_TOKEN", "canary"),
            ("MGMT_CONVERGED_TIMEOUT", "-1"),
            ("MGMT_MAX_RUNTIME", ""),
        ];
        let of_run = kept_with(&["setup", "svc"], &variables).unwrap();
        assert_eq!(of_run.words, ["--site=a b", "--full", "--converged-timeout=-1", "run"]);
        assert_eq!((of_run.hidden, of_run.has_text), (vec!["TEST_TOKEN".to_owned()], false));
        let of_run =
            kept_with(&["--site", "x", "setup", "svc", "-t5"], &[variables[0], variables[3], ("TEST_FULL", "0")]);
        assert_eq!(of_run.unwrap().words, ["--site", "x", "run", "-t5"]);
    }

    #[test]
    fn the_command_and_its_options_become_run_and_all_else_stays() {
        for (line, run) in [
            (&["setup", "svc"][..], &["run"][..]),
            (&["setup", "svc", "--now", "--service", "setup", "-v"], &["run", "-v"]),
            (&["--site", "setup", "setup", "--noop", "svc", "--user"], &["--site", "setup", "run", "--noop"]),
            (&["setup", "svc", "--service=x", "-t", "-1", "--sema", "3"], &["run", "-t", "-1", "--sema", "3"]),
            (&["-vvt5", "setup", "svc", "--max-runtime=10"], &["-vvt5", "run", "--max-runtime=10"]),
            (&["setup", "svc", "--converger-timeout", "5"], &["run", "--converger-timeout", "5"]),
        ] {
            assert_eq!(kept(line).unwrap(), run, "{line:?}");
        }
    }

    #[test]
    fn paths_hold_from_any_directory() {
        for (line, run) in [
            (&["setup", "svc", "--prefix", "state"][..], &["run", "--prefix", "/srv/here/state"][..]),
            (&["setup", "svc", "--prefix=/var/x"], &["run", "--prefix=/var/x"]),
            (&["-g", "a b", "setup", "svc"], &["-g", "/srv/here/a b", "run"]),
            (&["setup", "svc", "-vgpic"], &["run", "-vg/srv/here/pic"]),
            (&["--site", "pic", "-g=pic", "setup", "svc"], &["--site", "pic", "-g=/srv/here/pic", "run"]),
        ] {
            assert_eq!(kept(line).unwrap(), run, "{line:?}");
        }
        assert_eq!(
            kept(&["setup", "svc", "--graphviz", "-"]).unwrap_err(),
            "--graphviz -: a service has neither standard input nor output: give a file"
        );
    }

    #[test]
    fn a_word_that_is_not_utf_8_is_refused() {
        use std::os::unix::ffi::OsStringExt as _;
        let words = ["site", "setup", "svc", "--prefix"].map(OsString::from).into_iter();
        let words = words.chain([OsString::from_vec(vec![b'a', 0xff])]);
        let error = of_run(&Cli::command(), words, Path::new("/"), |_| None).unwrap_err();
        assert!(error.starts_with("a\u{fffd} is not UTF-8"), "{error}");
    }
}
