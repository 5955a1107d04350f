//! The command that undoes what another one did: recorded before that runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, Context as _, Declare as _, Recorded, Result, Reverse, Seconds, Secret, Undone};
use crate::resources::exec::env::EnvValue;
use crate::resources::exec::kind::{Exec, run};
use crate::sys::process::InheritEnv;
use crate::sys::task::blocking;

/// The command to run, with all that it needs. It may hold secrets.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecRecord {
    text: String,
    shell: Option<String>,
    cwd: Option<PathBuf>,
    /// The variables: name, value, whether the value is a secret. `None`: none were declared.
    env: Option<Vec<(String, String, bool)>>,
    inherits: bool,
    user: Option<String>,
    group: Option<String>,
    timeout: Seconds,
    sig: Option<String>,
}

impl Exec {
    /// Records the command that undoes this one, as it is declared now: it belongs to the command that is about to run.
    pub(super) async fn record_undo(&self, cx: &ApplyCx) -> Result<()> {
        let (recorders, Some(line)) = (cx.recorders::<Exec>(), self.undo_line()) else { return Ok(()) };
        if recorders.is_empty() {
            return Ok(());
        }
        let variable = |(name, value): (&str, &EnvValue)| {
            (name.to_owned(), value.plain().to_owned(), matches!(value, EnvValue::Secret { .. }))
        };
        let env = self.env.as_ref().map(|env| env.iter().map(variable).collect());
        let record = ExecRecord {
            text: line.text.to_owned(),
            shell: line.shell.map(str::to_owned),
            cwd: line.cwd.map(Into::into),
            env,
            inherits: cx.provided::<InheritEnv>().is_ok(),
            user: self.user.clone(),
            group: self.group.clone(),
            timeout: self.timeout,
            sig: self.sig.clone(),
        };
        let work = cx.work("recording how to undo it");
        blocking(move || {
            let _work = work;
            recorders.iter().try_for_each(|recorder| recorder.write(&record))
        })
        .await
    }
}

fn variable((name, value, is_secret): (String, String, bool)) -> (String, EnvValue) {
    let value = if is_secret { EnvValue::from(Secret::new(value)) } else { EnvValue::from(value) };
    (name, value)
}

impl Reverse for Exec {
    type Record = ExecRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<ExecRecord>) -> Result<Undone> {
        let ExecRecord { text, shell, cwd, env, inherits, user, group, timeout, sig } = record.data;
        let (mut exec, _) = Exec::new("undo").finish();
        (exec.undo, exec.undoshell, exec.undocwd) = (Some(text), shell, cwd);
        (exec.user, exec.group, exec.timeout, exec.sig) = (user, group, timeout, sig);
        exec.env = env.map(|env| env.into_iter().map(variable).collect());
        let Some(line) = exec.undo_line() else { return Ok(Undone::default()) };
        let command = exec.command(&line, inherits);
        let shown = format!("`{}`", line.shown());
        let ran = run(cx, &command).await.and_then(|output| output.require_success(&command));
        ran.context(format_args!("undo {shown}"))?;
        Ok(Undone::default().did(format!("ran {shown}")))
    }

    fn describe(record: &ExecRecord) -> Vec<String> {
        vec![format!("run `{}`", record.text)]
    }
}
