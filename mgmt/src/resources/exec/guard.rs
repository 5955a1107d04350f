//! Whether the command must run, and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::resource::{CheckCx, Context as _, Result, Stopping};
use crate::resources::exec::command::Line;
use crate::resources::exec::kind::{Exec, run};
use crate::resources::exec::state::{Signature, State};
use crate::sys::fs::{FsError, Links, ReadFs};
use crate::sys::process::{InheritEnv, Leftovers, Output, Status};

impl Exec {
    /// Whether there is a guard: otherwise the command runs once in the life of the process.
    pub(super) fn is_guarded(&self) -> bool {
        self.creates.is_some()
            || !self.mtimes.is_empty()
            || self.if_lines().next().is_some()
            || self.nif_lines().next().is_some()
            || self.done_line().is_some()
    }

    /// Why the command must run; `None`: it must not. All guards must agree; the cheap ones are asked first.
    pub(super) async fn need(&self, cx: &CheckCx, refresh: bool) -> Result<Option<String>> {
        let mut why = match refresh {
            true => "a refresh is owed".to_owned(),
            false if self.is_guarded() => "not run yet".to_owned(),
            false => return self.need_unguarded(cx).await,
        };
        if self.done_line().is_some() && !refresh && self.record(cx).await?.is_some_and(|record| record.done) {
            return Ok(None);
        }
        if self.creates.is_some() || !self.mtimes.is_empty() {
            match self.need_by_files(cx).await? {
                Some(reason) => why = reason,
                None => return Ok(None),
            }
        }
        for line in self.if_lines() {
            let output = self.ask(cx, "ifcmd", &line).await?;
            let said = output.stdout.whole().unwrap_or_default().trim_ascii();
            let equal = self.ifequals.as_ref().is_none_or(|wanted| wanted.trim().as_bytes() == said);
            if !(output.status.success() && equal) {
                return Ok(None);
            }
            why = format!(
                "`ifcmd` {}",
                if self.ifequals.is_some() { "prints the text of `ifequals`" } else { "succeeds" }
            );
        }
        for line in self.nif_lines() {
            if self.ask(cx, "nifcmd", &line).await?.status.success() {
                return Ok(None);
            }
            why = "`nifcmd` fails".to_owned();
        }
        Ok(Some(why))
    }

    async fn need_unguarded(&self, cx: &CheckCx) -> Result<Option<String>> {
        let state = cx.local::<State>();
        if let Some(why) = state.need(self.definition_in_memory()) {
            return Ok(Some(why.to_owned()));
        }
        let now = self.signatures(cx, &self.watchfiles).await?;
        Ok(state.changed_file(&now).map(|path| format!("{} has changed", path.display())))
    }

    /// The guards `creates` and `mtimes`.
    async fn need_by_files(&self, cx: &CheckCx) -> Result<Option<String>> {
        let newer = |than: i128, now: &BTreeMap<PathBuf, i128>| {
            now.iter().find(|(_, mtime)| **mtime > than).map(|(path, _)| path.clone())
        };
        let now = self.mtimes_now(cx).await?;
        let last = self.record(cx).await?.map(|record| record.mtimes.clone());
        let changed = |last: &BTreeMap<PathBuf, i128>| {
            now.iter()
                .find(|(path, mtime)| last.get(*path).is_none_or(|last| *mtime > last))
                .map(|(path, _)| path.clone())
        };
        let Some(creates) = &self.creates else {
            return Ok(match last {
                None => Some("not run yet".to_owned()),
                Some(last) => changed(&last).map(|path| format!("{} is newer than the last run", path.display())),
            });
        };
        let made = self.signatures(cx, std::slice::from_ref(creates)).await?;
        let Some(made) = made.into_values().flatten().next() else {
            return Ok(Some(format!("{} does not exist", creates.display())));
        };
        // A command may find that there is nothing to do and leave the file as old as it was: that run counts.
        let newest = newer(made.mtime_ns, &now).filter(|_| last.is_none_or(|last| changed(&last).is_some()));
        Ok(newest.map(|path| format!("{} is newer than {}", path.display(), creates.display())))
    }

    /// Runs a guard.
    async fn ask(&self, cx: &CheckCx, field: &str, line: &Line<'_>) -> Result<Output> {
        let command = self.command(line, cx.provided::<InheritEnv>().is_ok()).leftovers(Leftovers::Kill);
        let doing = || format!("{field} `{}`", line.shown());
        let output = run(cx, &command).await.context(doing())?;
        let answered = match output.status {
            Status::Signal(_) => false,
            // A shell exits with these codes if it could not execute the command.
            Status::Exit(126 | 127) => !line.has_shell(),
            Status::Exit(_) => true,
        };
        if answered { Ok(output) } else { output.require_success(&command).context(doing()) }
    }

    /// The signatures of the files, with symlinks followed.
    pub(super) async fn signatures(
        &self,
        cx: &CheckCx,
        paths: &[PathBuf],
    ) -> Result<BTreeMap<PathBuf, Option<Signature>>> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let paths = paths.to_vec();
        let look = move |fs: &ReadFs, _: &Stopping| {
            let fs = fs.clone().links(Links::Follow);
            paths.into_iter().map(|path| Ok((path.clone(), signature(&fs, &path)?))).collect::<Result<_, FsError>>()
        };
        Ok(cx.look(look).await?)
    }
}

fn signature(fs: &ReadFs, path: &Path) -> Result<Option<Signature>, FsError> {
    let found = match fs.real_path(path) {
        Ok(real) => fs.stat(real)?,
        // A symlink that leads nowhere exists all the same.
        Err(error) if error.is_missing() => fs.stat(path)?,
        Err(error) => return Err(error),
    };
    Ok(found.map(|stat| Signature { mtime_ns: stat.mtime_ns, size: stat.size, ino: stat.ino }))
}
