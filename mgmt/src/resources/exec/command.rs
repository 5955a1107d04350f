//! Builds the commands to run from the fields.

use std::path::Path;
use std::time::Duration;

use crate::id::shortened;
use crate::resource::{Digest, digest_of};
use crate::resources::digests::hex;
use crate::resources::exec::commands::Commands;
use crate::resources::exec::env::Env;
use crate::resources::exec::kind::Exec;
use crate::sys::process::{Account, Command, Env as CommandEnv, Signal, escape_lossless, signal_by_name};

/// The directories in which programs are found, unless `env` sets another `PATH`.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a command has to end when its time is over, before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// A longer command is cut where it is shown.
const SHOWN_CHARS_MAX: usize = 300;

/// One of the commands of an exec, as the fields give it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) args: Option<&'a [String]>,
    pub(super) shell: Option<&'a str>,
    pub(super) cwd: Option<&'a Path>,
}

impl<'a> Line<'a> {
    /// `None` if there is no such command. An empty text is none: data has such defaults.
    fn of(
        text: Option<&'a String>,
        shell: Option<&'a String>,
        cwd: Option<&'a std::path::PathBuf>,
    ) -> Option<Line<'a>> {
        Some(Line { text: given(text)?, args: None, shell: given(shell), cwd: cwd.map(std::path::PathBuf::as_path) })
    }

    /// A word of the command that only a shell understands, if the command is executed directly and split at white
    /// space.
    pub(super) fn shell_word(&self) -> Option<&'a str> {
        if self.shell.is_some() || self.args.is_some() { None } else { shell_word(self.text) }
    }

    /// Whether a shell runs the command.
    pub(super) fn has_shell(&self) -> bool {
        self.shell.is_some()
    }

    /// The command for messages: one line.
    pub(super) fn shown(&self) -> String {
        let mut text = escape_lossless(self.text.as_bytes());
        for arg in self.args.unwrap_or_default() {
            text.push(' ');
            let bare = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
            if !arg.is_empty() && arg.chars().all(bare) {
                text.push_str(arg);
            } else {
                text.push_str(&format!("'{}'", escape_lossless(arg.as_bytes())));
            }
        }
        shortened(&text, SHOWN_CHARS_MAX)
    }
}

/// A word that has a meaning for a shell, and none for a command that is executed directly.
fn shell_word(text: &str) -> Option<&str> {
    const WORDS: [&str; 9] = ["|", "||", "&&", "&", ";", "<", "<<", "<<<", "|&"];
    let redirects = |word: &str| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        rest.starts_with('>') && !rest.starts_with(">=")
    };
    let substitutes = |word: &str| word.starts_with("$(") || word.starts_with('`');
    text.split_whitespace().find(|word| WORDS.contains(word) || redirects(word) || substitutes(word))
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

impl Exec {
    pub(super) fn cmd_line(&self) -> Line<'_> {
        Line {
            text: given(self.cmd.as_ref()).unwrap_or_default(),
            args: self.args.as_deref(),
            shell: given(self.shell.as_ref()),
            cwd: self.cwd.as_deref(),
        }
    }

    pub(super) fn watch_line(&self) -> Option<Line<'_>> {
        Line::of(self.watchcmd.as_ref(), self.watchshell.as_ref(), self.watchcwd.as_ref())
    }

    pub(super) fn if_lines(&self) -> impl Iterator<Item = Line<'_>> {
        let all = self.ifcmd.iter().flat_map(Commands::iter);
        all.filter_map(|text| Line::of(Some(text), self.ifshell.as_ref(), self.ifcwd.as_ref()))
    }

    pub(super) fn nif_lines(&self) -> impl Iterator<Item = Line<'_>> {
        let all = self.nifcmd.iter().flat_map(Commands::iter);
        all.filter_map(|text| Line::of(Some(text), self.nifshell.as_ref(), self.nifcwd.as_ref()))
    }

    pub(super) fn done_line(&self) -> Option<Line<'_>> {
        Line::of(self.donecmd.as_ref(), self.doneshell.as_ref(), self.donecwd.as_ref())
    }

    pub(super) fn undo_line(&self) -> Option<Line<'_>> {
        Line::of(self.undo.as_ref(), self.undoshell.as_ref(), self.undocwd.as_ref())
    }

    /// The command of a line. `inherits`: without `env`, the engine's environment is taken.
    pub(super) fn command(&self, line: &Line<'_>, inherits: bool) -> Command {
        let mut command = match (line.shell, line.args) {
            (Some(shell), _) => Command::shell(shell, line.text),
            (None, Some(args)) => Command::new(line.text).args(args),
            (None, None) => {
                let mut words = line.text.split_whitespace();
                Command::new(words.next().unwrap_or_default()).args(words)
            }
        };
        command.env = match (&self.env, inherits) {
            (None, true) => CommandEnv::Inherit,
            (env, _) => {
                let vars = env.iter().flat_map(|env| env.iter());
                let path = [("PATH".into(), PATH.into())].into_iter();
                CommandEnv::Explicit(
                    path.chain(vars.map(|(name, value)| (name.into(), value.plain().into()))).collect(),
                )
            }
        };
        command.secrets = self.env.iter().flat_map(Env::secrets).map(str::to_owned).collect();
        command.cwd = line.cwd.map(Path::to_path_buf);
        command.user = self.user.as_deref().map(Account::from);
        command.group = self.group.as_deref().map(Account::from);
        command.timeout = Some(self.timeout.0).filter(|timeout| !timeout.is_zero());
        command.stop(self.sig.as_deref().and_then(signal_by_name).unwrap_or(Signal::TERM), GRACE)
    }

    /// A digest of the command without anything that may be secret: may be written to disk.
    pub(super) fn definition_hex(&self) -> String {
        hex(&self.definition())
    }

    fn definition(&self) -> Digest {
        let cmd = (&self.cmd, &self.args, &self.shell, &self.cwd);
        digest_of(&(cmd, &self.user, &self.group, &self.donecmd, &self.doneshell, &self.donecwd))
    }

    /// A digest of the command with its variables: for memory only, since variables may be guessed from a digest.
    pub(super) fn definition_in_memory(&self) -> Digest {
        digest_of(&(self.definition(), &self.env))
    }
}
