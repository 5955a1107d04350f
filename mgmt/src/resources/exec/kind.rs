//! The kind itself: its fields, and what an operation does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::{
    ApplyCx, Change, CheckCx, Context as _, Converge, Error, FieldProblem, Known, Need, Refresh, Result, Seconds, Uid,
    Watch, WatchCx, every,
};
use crate::resources::exec::command::Line;
use crate::resources::exec::commands::Commands;
use crate::resources::exec::env::Env;
use crate::resources::exec::state::{Outputs, Record, State};
use crate::resources::exec::watch;
use crate::sys::fs::normal_form;
use crate::sys::process::{
    Captured, Command, InheritEnv, Leftovers, Output, ProcessError, examine, run_guarded, signal_by_name,
};
use crate::sys::users;
use mgmt_macros::Resource;

/// Runs a command.
///
/// Without a guard (`creates`, `ifcmd`, `nifcmd`, `mtimes`, `donecmd`) the command runs once in the life of the
/// process, again when its watch command prints a line or a watched file changes, and again when it is refreshed. With
/// guards it runs whenever all of them agree. Guards run at each check, also in noop, so they must be harmless.
///
/// The output of the command can be received by other resources. With guards it is remembered beyond a restart, and
/// sent when they find nothing to do. A command that never ran has no output, and the receivers of its outputs wait.
///
/// The command runs in its own process group, with its standard input closed. An exit code other than 0 (see `codes`),
/// or death by a signal, is a failure. If a resource leaves the graph while its command runs, the engine waits for the
/// command. A cancelled command gets a signal (`sig`), and is killed if it still runs 5 seconds later. If the engine's
/// process is killed, its commands are killed too, except processes that have left the group (`setsid`).
///
/// Each command here is executed directly, split at white space, without quoting, unless it has a shell. Words that
/// only a shell understands (`>`, `|`, `&&`, `;`, `$(…)`, and the like) are refused in a command without a shell (in
/// files, a warning). In `args` every word is taken literally.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "exec", inline = watch)]
pub struct Exec {
    /// The name of the resource.
    #[resource(name)]
    pub(super) name: String,
    /// The command to run. Must be given.
    pub(super) cmd: Option<String>,
    /// The arguments of the command, passed on unchanged; `cmd` is then only the program, and may contain blanks.
    pub(super) args: Option<Vec<String>>,
    /// The shell that runs `cmd`, as `<shell> -c <cmd>`. Default: none.
    pub(super) shell: Option<String>,
    /// The exit codes of `cmd` that count as success, for example `[0, 2]`. Default: only 0.
    pub(super) codes: Option<Vec<u8>>,
    /// The directory in which `cmd` runs, an absolute path. Default: the current directory of the engine's process.
    pub(super) cwd: Option<PathBuf>,
    /// The environment variables of all commands here. `PATH` has the usual directories unless it is set here; there
    /// are no other variables. Default: only that `PATH`; in graphs from YAML, the environment of the engine.
    pub(super) env: Option<Env>,
    /// The user of all commands here, by name or number; needs root. Default: the user of the engine.
    pub(super) user: Option<String>,
    /// The group of all commands here, by name or number; needs root. Default: the group of the user.
    pub(super) group: Option<String>,
    /// The time limit of `cmd`, each guard and `donecmd`, in seconds. When it is over, the whole process group is
    /// stopped, and the command has failed. Default: 0, no limit.
    #[resource(default)]
    pub(super) timeout: Seconds,
    /// The signal that asks a command to stop when its time is over or when it is cancelled, for example `INT`; 5
    /// seconds later it is killed. Default: `TERM`.
    pub(super) sig: Option<String>,
    /// A command that runs all the time: each line that it prints, unless it is empty, causes `cmd` to run, if the
    /// guards agree. When it ends, the watch has failed: it is started again as often as `retry` allows.
    pub(super) watchcmd: Option<String>,
    /// The shell that runs `watchcmd`. Default: none.
    pub(super) watchshell: Option<String>,
    /// The directory in which `watchcmd` runs. Default: the current directory of the engine's process.
    pub(super) watchcwd: Option<PathBuf>,
    /// Files whose change causes `cmd` to run, if the guards agree: absolute paths. A file that `cmd` itself changes
    /// would cause it to run again and again.
    #[resource(default)]
    pub(super) watchfiles: Vec<PathBuf>,
    /// A guard, or a list of them: `cmd` runs only if all of them succeed. If one exits with a code other than 0,
    /// nothing is done, and the others are not run. If one can't be executed, or is killed, that is a failure.
    pub(super) ifcmd: Option<Commands>,
    /// The shell that runs `ifcmd`. Default: none.
    pub(super) ifshell: Option<String>,
    /// The directory in which `ifcmd` runs. Default: the current directory of the engine's process.
    pub(super) ifcwd: Option<PathBuf>,
    /// The text that each `ifcmd` must print on its standard output for `cmd` to run, ignoring blanks at both ends. The
    /// guard must succeed too.
    pub(super) ifequals: Option<String>,
    /// A guard, or a list of them: `cmd` runs unless one of them succeeds.
    pub(super) nifcmd: Option<Commands>,
    /// The shell that runs `nifcmd`. Default: none.
    pub(super) nifshell: Option<String>,
    /// The directory in which `nifcmd` runs. Default: the current directory of the engine's process.
    pub(super) nifcwd: Option<PathBuf>,
    /// A guard: `cmd` runs only while there is nothing at this path, or if one of `mtimes` is newer than it.
    pub(super) creates: Option<PathBuf>,
    /// A guard: `cmd` runs only if one of these files is newer than `creates`, or, without `creates`, newer than at the
    /// last run, even if that was before a restart.
    #[resource(default)]
    pub(super) mtimes: Vec<PathBuf>,
    /// A command that runs after `cmd` has succeeded. Once both have succeeded, neither runs again, also after
    /// restarts, until the command changes or a refresh is owed. If it fails, the whole run has failed.
    pub(super) donecmd: Option<String>,
    /// The shell that runs `donecmd`. Default: none.
    pub(super) doneshell: Option<String>,
    /// The directory in which `donecmd` runs. Default: the current directory of the engine's process.
    pub(super) donecwd: Option<PathBuf>,
    /// Whether `cmd` runs only for a refresh, if the guards agree. Default: false.
    #[resource(default)]
    pub(super) refreshonly: bool,
    /// A command that runs when the resource has left the graph, with the metaparameter `reverse`, if `cmd` has run. It
    /// runs as `cmd` does (`env`, `user`, `group`, `timeout`, `sig`), and once more if the engine is killed before it
    /// has ended, so it must not mind to run twice. Default: none, so nothing is undone.
    pub(super) undo: Option<String>,
    /// The shell that runs `undo`. Default: none.
    pub(super) undoshell: Option<String>,
    /// The directory in which `undo` runs. Default: the current directory of the engine's process.
    pub(super) undocwd: Option<PathBuf>,

    /// The standard output of `cmd`, unchanged. Output that is not UTF-8, or is longer than 2 MiB, is not sent.
    #[resource(send)]
    pub(super) stdout: String,
    /// The standard error of `cmd`.
    #[resource(send)]
    pub(super) stderr: String,
    /// Its standard output, followed by its standard error.
    #[resource(send)]
    pub(super) output: String,
}

impl Converge for Exec {
    type Drift = Change;
    const COLLECTED_ON_TRUST: bool = true;

    fn irreversible(&self) -> Option<String> {
        self.undo.is_none().then(|| "it has no `undo`".to_owned())
    }

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let accounts = [("user", &self.user), ("group", &self.group)].map(|(field, account)| {
            // Taken for *not given*, it would run as the engine's user: often root.
            let problem = account.as_deref().and_then(users::problem);
            known.require(
                field,
                problem.is_none(),
                problem.unwrap_or_default(),
                "give a name or a number, or leave it out",
            )
        });
        let rest = [self.wrong_line(known), self.wrong_path(), self.wrong_way(known)];
        every(rest.into_iter().chain(accounts))
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let need = if self.refreshonly { None } else { self.need(cx, false).await? };
        if need.is_none()
            && let Some(record) = self.record(cx).await?
        {
            send(cx, &record.outputs);
        }
        Ok(need.map(|why| Change::new("cmd", why, format_args!("run `{}`", self.cmd_line().shown()))))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        if cx.local::<State>().has_news() {
            cx.by_event();
        }
        self.run(cx).await
    }

    async fn foresee(&self, cx: &CheckCx, _: &Change) -> Result<()> {
        let line = self.cmd_line();
        let command = self.command(&line, cx.provided::<InheritEnv>().is_ok());
        Ok(examine(&command).await?)
    }

    fn is_foreseeable(&self, drifted: bool) -> bool {
        // A guard that is a command may depend on anything, also on what is made before it runs. Guards by files may
        // let the command run when the files change.
        let asks = self.if_lines().chain(self.nif_lines()).next().is_some();
        let compares = self.creates.is_some() || !self.mtimes.is_empty();
        self.refreshonly || !asks && (drifted || !compares)
    }

    fn provides(&self, known: &Known<'_>) -> Vec<Uid> {
        self.creates.iter().filter(|_| known.is_known("creates")).filter_map(path_key).collect()
    }

    fn needs(&self, known: &Known<'_>) -> Vec<Need> {
        self.needed(known)
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let mut watch = Watch::none();
        for path in self.watchfiles.iter().chain(&self.mtimes).chain(&self.creates) {
            watch = watch.and(cx.fs().path(path));
        }
        if let Some(line) = self.watch_line() {
            watch =
                watch.and(watch::lines(self.command(&line, cx.provided::<InheritEnv>().is_ok()), cx.local::<State>()));
        }
        watch
    }
}

impl Refresh for Exec {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let need = self.need(cx, true).await?;
        if need.is_some() {
            self.run(cx).await?;
        }
        Ok(need.is_some())
    }
}

pub(super) fn path_key(path: impl AsRef<Path>) -> Option<Uid> {
    normal_form(path.as_ref()).ok().map(Uid::Path)
}

/// Runs a command to its end. If the operation is cancelled, the command is asked to stop, and the operation does not
/// end before the command.
pub(super) async fn run(cx: &CheckCx, command: &Command) -> Result<Output, ProcessError> {
    run_guarded(command.clone(), cx.work("waiting for its command to stop")).await
}

impl Exec {
    /// Runs the command, regardless of the guards.
    async fn run(&self, cx: &ApplyCx) -> Result<()> {
        let line = self.cmd_line();
        let command = self.command(&line, cx.provided::<InheritEnv>().is_ok());
        let state = cx.local::<State>();
        // Changes seen from here on are later than those that this run has seen, and need another run.
        let seen = state.lines();
        let (files, mtimes) = (self.signatures(cx, &self.watchfiles).await?, self.mtimes_now(cx).await?);
        let codes = self.codes.as_deref().unwrap_or(&[0]);
        self.record_undo(cx).await?;
        let output = run(cx, &command).await.and_then(|output| output.require_exit(codes, &command));
        let output = output.map_err(|error| {
            // An error that names the program names the whole command if that is nothing else.
            let (words, error) = (format!("`{}`", line.shown()), Error::from(error));
            if error.to_string().contains(&words) { error } else { error.context(words) }
        })?;
        let shown = |said: &Captured| said.without(&command.secrets).text();
        tracing::debug!(target: "mgmt::exec", exec = %cx.id(), stdout = %shown(&output.stdout), stderr = %shown(&output.stderr), "ran");
        let done = match self.done_line() {
            None => false,
            Some(line) => {
                let command = self.command(&line, cx.provided::<InheritEnv>().is_ok()).leftovers(Leftovers::Kill);
                let ran = run(cx, &command).await.and_then(|output| output.require_success(&command));
                ran.context(format_args!("donecmd `{}`", line.shown())).map(|_| true)?
            }
        };
        let outputs = Outputs::of(&output);
        for (name, text) in [("stdout", &outputs.stdout), ("stderr", &outputs.stderr)] {
            if text.is_none() {
                tracing::warn!(target: "mgmt::exec", exec = %cx.id(), "{name} is not sent: it is not UTF-8, or longer than 2 MiB");
            }
        }
        let record = Arc::new(Record { definition: self.definition_hex(), done, mtimes, outputs });
        state.ran(self.definition_in_memory(), seen, files, Arc::clone(&record));
        // Without a guard it runs in each process anyway: there is nothing to remember.
        if self.is_guarded() || self.refreshonly {
            record.write(cx).await?;
        }
        send(cx, &record.outputs);
        Ok(())
    }

    /// The record of the last run of this very command.
    pub(super) async fn record(&self, cx: &CheckCx) -> Result<Option<Arc<Record>>> {
        let state = cx.local::<State>();
        if !state.is_loaded() {
            state.load(Record::read(cx).await?);
        }
        let definition = self.definition_hex();
        Ok(state.record().filter(|record| record.definition == definition))
    }

    /// When the files of `mtimes` last changed, in nanoseconds since 1970; files that do not exist are left out.
    pub(super) async fn mtimes_now(&self, cx: &CheckCx) -> Result<BTreeMap<PathBuf, i128>> {
        let found = self.signatures(cx, &self.mtimes).await?;
        Ok(found.into_iter().filter_map(|(path, signature)| Some((path, signature?.mtime_ns))).collect())
    }
}

fn send(cx: &CheckCx, outputs: &Outputs) {
    if let Some(stdout) = &outputs.stdout {
        cx.send(Exec::STDOUT, stdout.clone());
    }
    if let Some(stderr) = &outputs.stderr {
        cx.send(Exec::STDERR, stderr.clone());
    }
    if let (Some(stdout), Some(stderr)) = (&outputs.stdout, &outputs.stderr) {
        cx.send(Exec::OUTPUT, format!("{stdout}{stderr}"));
    }
}

impl Exec {
    /// The first problem with its commands.
    fn wrong_line(&self, known: &Known<'_>) -> Option<FieldProblem> {
        let is_given = !self.cmd_line().text.trim().is_empty();
        let alone = known
            .require("cmd", is_given, "is missing", "give the command to run")
            .or_else(|| {
                let both = self.args.is_some() && self.shell.is_some();
                let problem = "with `shell`: a shell takes the whole script as `cmd`";
                known.require(["args", "shell"], !both, problem, "leave one of them out")
            })
            .or_else(|| {
                let stray = self.ifequals.is_some() && self.if_lines().next().is_none();
                known.require(["ifequals", "ifcmd"], !stray, "compares what `ifcmd` prints", "give that too")
            });
        let parts = [
            ("watchcmd", self.watch_line(), "watchshell", &self.watchshell, "watchcwd", &self.watchcwd),
            ("ifcmd", self.if_lines().next(), "ifshell", &self.ifshell, "ifcwd", &self.ifcwd),
            ("nifcmd", self.nif_lines().next(), "nifshell", &self.nifshell, "nifcwd", &self.nifcwd),
            ("donecmd", self.done_line(), "doneshell", &self.doneshell, "donecwd", &self.donecwd),
            ("undo", self.undo_line(), "undoshell", &self.undoshell, "undocwd", &self.undocwd),
        ];
        let strays = parts.into_iter().flat_map(|(cmd, line, shell, has_shell, cwd, has_cwd)| {
            let given = [(shell, has_shell.as_ref().is_some_and(|s| !s.is_empty())), (cwd, has_cwd.is_some())];
            given.map(|(stray, given)| {
                let problem = format_args!("without `{cmd}`, which it is for");
                known.require([stray, cmd], !given || line.is_some(), problem, "give that, or leave it out")
            })
        });
        let codes = self.codes.as_ref().is_none_or(|codes| !codes.is_empty());
        let codes = || known.require("codes", codes, "is empty", "give the exit codes of a success, or leave it out");
        alone
            .or_else(|| strays.flatten().next())
            .or_else(codes)
            .or_else(|| self.wrong_text())
            .or_else(|| self.shell_words(known))
    }

    /// The commands, each with its field and the field of its shell.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'static str, &'static str, Line<'_>)> {
        let one = |field, shell, line: Option<_>| line.map(|line| (field, shell, line)).into_iter();
        one("cmd", "shell", Some(self.cmd_line()))
            .chain(one("watchcmd", "watchshell", self.watch_line()))
            .chain(self.if_lines().map(|line| ("ifcmd", "ifshell", line)))
            .chain(self.nif_lines().map(|line| ("nifcmd", "nifshell", line)))
            .chain(one("donecmd", "doneshell", self.done_line()))
            .chain(one("undo", "undoshell", self.undo_line()))
    }

    /// Words that only a shell understands, in a command without a shell: the command would get them as arguments.
    fn shell_words(&self, known: &Known<'_>) -> Option<FieldProblem> {
        self.lines().find_map(|(field, shell, line)| {
            let word = line.shell_word()?;
            let literally =
                if field == "cmd" { ", or give the words as `args`, which are taken literally" } else { "" };
            let problem = format_args!("holds `{word}`, which only a shell understands, but no shell is set");
            let remedy = format_args!("set `{shell}` to `/bin/sh`{literally}");
            known.require([field, shell, "args"], false, problem, remedy).map(FieldProblem::lenient)
        })
    }

    fn wrong_text(&self) -> Option<FieldProblem> {
        let lines = self.lines().map(|(field, _, line)| (field, line.text));
        let args = self.args.iter().flatten().map(|arg| ("args", arg.as_str()));
        let (field, text) = lines.chain(args).find(|(_, text)| text.contains('\0'))?;
        let problem = format_args!(": `{}` holds a NUL byte, which no command can", text.escape_debug());
        Some(FieldProblem::new(field, problem, ""))
    }

    /// What is wrong with its signal and its variables, and settings with which it would never run.
    fn wrong_way(&self, known: &Known<'_>) -> Option<FieldProblem> {
        if let Some(sig) = self.sig.as_ref().filter(|sig| !sig.is_empty())
            && signal_by_name(sig).is_none()
        {
            return Some(FieldProblem::new("sig", format_args!("is `{sig}`"), "give the name of a signal, as INT"));
        }
        let sees_in_vain = self.refreshonly && (self.watchcmd.is_some() || !self.watchfiles.is_empty());
        let in_vain = known.require(
            ["refreshonly", "watchcmd", "watchfiles"],
            !sees_in_vain,
            "with `watchcmd` or `watchfiles`: what they see would never run the command",
            "leave one of them out",
        );
        in_vain.or_else(|| {
            let wrong = |name: &str, value: &str| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
            let (name, _) = self.env.iter().flat_map(Env::iter).find(|(name, value)| wrong(name, value.plain()))?;
            let problem = format_args!(": `{}` can't be a variable: no name, a `=` or a NUL byte", name.escape_debug());
            Some(FieldProblem::new("env", problem, ""))
        })
    }

    fn wrong_path(&self) -> Option<FieldProblem> {
        let single = [
            ("cwd", &self.cwd),
            ("watchcwd", &self.watchcwd),
            ("ifcwd", &self.ifcwd),
            ("nifcwd", &self.nifcwd),
            ("donecwd", &self.donecwd),
            ("undocwd", &self.undocwd),
            ("creates", &self.creates),
        ];
        let single = single.into_iter().filter_map(|(field, path)| Some((field, path.as_ref()?)));
        let lists = [("watchfiles", &self.watchfiles), ("mtimes", &self.mtimes)];
        let lists = lists.into_iter().flat_map(|(field, paths)| paths.iter().map(move |path| (field, path)));
        single.chain(lists).find_map(|(field, path)| FieldProblem::of_path(field, path))
    }
}
