//! The programs of a simulated host: a table of command lines, and what each prints and does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::host::Host;
use super::pattern::{is_of, name_of, program_of};

/// The programs that run a script that follows `-c`.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "zsh"];

/// What a command prints, and how it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// What it prints on its standard output.
    pub stdout: String,
    /// What it prints on its standard error.
    pub stderr: String,
}

impl Answer {
    /// It succeeds and prints nothing.
    pub fn ok() -> Answer {
        Answer::default()
    }

    /// It succeeds and prints this.
    pub fn prints(stdout: impl Into<String>) -> Answer {
        Answer { stdout: stdout.into(), ..Answer::default() }
    }

    /// It ends with this exit code, and prints this on its standard error.
    pub fn fails(code: i32, stderr: impl Into<String>) -> Answer {
        Answer { code, stderr: stderr.into(), ..Answer::default() }
    }
}

/// A command that runs on a simulated host.
#[derive(Debug)]
#[non_exhaustive]
pub struct Called<'a> {
    /// The host.
    pub host: &'a Host,
    /// The program and its arguments.
    pub argv: &'a [String],
    /// What it reads on its standard input.
    pub input: &'a [u8],
}

impl Called<'_> {
    /// The arguments, without the program.
    pub fn args(&self) -> &[String] {
        self.argv.get(1..).unwrap_or_default()
    }
}

type Does = Arc<dyn Fn(&Called<'_>) -> Answer + Send + Sync>;

/// A row of the table.
#[derive(Clone)]
pub(in crate::sys) struct Rule {
    pattern: String,
    takes: Duration,
    does: Does,
}

impl Rule {
    /// How long the command runs before it does something and ends.
    pub(in crate::sys) fn takes(&self) -> Duration {
        self.takes
    }

    /// Whether the program must exist as a file.
    pub(in crate::sys) fn needs_file(&self) -> bool {
        program_of(&self.pattern).contains('/')
    }

    /// Does what the command does.
    pub(in crate::sys) fn run(&self, host: &Host, argv: &[String], input: &[u8]) -> Answer {
        (self.does)(&Called { host, argv, input })
    }
}

/// The table; a later row is found before an earlier one.
#[derive(Default)]
pub(super) struct Commands {
    rules: Vec<Rule>,
    /// Commands whose lines are awaited.
    streams: Vec<(Vec<String>, UnboundedSender<Vec<u8>>)>,
    /// The commands that have run, in order.
    ran: Vec<String>,
}

impl Commands {
    pub(super) fn fork(&self) -> Commands {
        Commands { rules: self.rules.clone(), streams: Vec::new(), ran: Vec::new() }
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rules.iter().map(|rule| &rule.pattern)).finish()
    }
}

impl Host {
    /// Commands of this form end at once with this answer, and do nothing. See [`Host::program`].
    pub fn command(&self, pattern: &str, answer: Answer) {
        self.program(pattern, move |_| answer.clone());
    }

    /// Commands of this form do what the closure does, and end at once with its answer. In the pattern, each `*` stands
    /// for any text; a program without a `/` is found by any path, whether there is a file or not, and one with a path
    /// needs the file. A script of a shell (`sh -c …`) is also found by its own text. Of several patterns that fit, the
    /// one that was added last counts.
    pub fn program(&self, pattern: &str, does: impl Fn(&Called<'_>) -> Answer + Send + Sync + 'static) {
        self.program_that_takes(pattern, Duration::ZERO, does);
    }

    /// Like [`Host::program`], for commands that take this long. A command that is ended before has done nothing.
    pub fn program_that_takes(
        &self,
        pattern: &str,
        takes: Duration,
        does: impl Fn(&Called<'_>) -> Answer + Send + Sync + 'static,
    ) {
        self.commands().rules.push(Rule { pattern: pattern.to_owned(), takes, does: Arc::new(does) });
    }

    /// Removes the programs of this pattern: they are not found any more.
    pub fn remove_program(&self, pattern: &str) {
        self.commands().rules.retain(|rule| rule.pattern != pattern);
    }

    /// The commands that have run, in order: the program and its arguments, separated by blanks.
    pub fn commands_run(&self) -> Vec<String> {
        self.commands().ran.clone()
    }

    /// Makes the running commands of this form that print lines (`watchcmd`) print this line. Returns how many there
    /// are.
    pub fn print_line(&self, pattern: &str, line: &str) -> usize {
        let mut commands = self.commands();
        commands.streams.retain(|(_, sender)| !sender.is_closed());
        let found = commands.streams.iter().filter(|(argv, _)| is_of(pattern, argv));
        found.filter(|(_, sender)| sender.send(line.as_bytes().to_vec()).is_ok()).count()
    }

    /// The row of the table for a command; `None`: there is no such program.
    pub(in crate::sys) fn rule(&self, argv: &[String]) -> Option<Rule> {
        let commands = self.commands();
        let find = |argv: &[String]| commands.rules.iter().rev().find(|rule| is_of(&rule.pattern, argv)).cloned();
        let script = match argv {
            [shell, flag, script, ..] if flag == "-c" && SHELLS.contains(&name_of(shell)) => Some(script),
            _ => None,
        };
        let of_script = || script.and_then(|script| find(&script.split(' ').map(str::to_owned).collect::<Vec<_>>()));
        let unknown = || script.map(|script| not_found(script));
        find(argv).or_else(of_script).or_else(unknown)
    }

    pub(in crate::sys) fn note_run(&self, argv: &[String]) {
        self.commands().ran.push(argv.join(" "));
    }

    pub(in crate::sys) fn note_stream(&self, argv: Vec<String>, sender: UnboundedSender<Vec<u8>>) {
        self.commands().streams.push((argv, sender));
    }
}

/// What a shell does with a script that is in no row.
fn not_found(script: &str) -> Rule {
    let text = format!("sh: 1: {}: not found\n", program_of(script));
    let does = move |_: &Called<'_>| Answer::fails(127, text.clone());
    Rule { pattern: String::new(), takes: Duration::ZERO, does: Arc::new(does) }
}
